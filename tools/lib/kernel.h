/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The netlink client: every command of the family "blkcast" as a function (see
 * kmod/uapi/blkcast_netlink.h, which says what each does and refuses).
 *
 * A refusal is returned as a negative errno, with the kernel's own text, the
 * volume and the values in the bc_error.  -ENOPROTOOPT: the module is not
 * loaded.  -EPERM: not root.
 *
 * A struct bc_kernel is used by one thread at a time.
 */
#ifndef BC_KERNEL_H
#define BC_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blkcast_disk.h"
#include "blkcast_lsn.h"
#include "blkcast_netlink.h"
#include "blkcast_wire.h"
#include "error.h"

struct bc_kernel;
struct bc_events;

/* A bit for each attribute that was there. */
__extension__ typedef unsigned __int128 bc_attrs;

#define BC_ATTR(attr) ((bc_attrs)1 << (attr))
#define BC_MISSING_MAX BLKCAST_MEMBERS_MAX

/**
 * struct bc_link - one link of a volume, as GET shows it
 * @known: BC_ATTR(BLKCAST_L_x) for each attribute that was there; the value of
 *	another means nothing.  Ask with bc_known().
 * The rest: BLKCAST_L_* of the same name.
 */
struct bc_link {
	bc_attrs known;
	char name[BLKCAST_NAME_MAX];
	uint8_t state;
	uint32_t flags, id, dirty;
	uint64_t sent, received, applied, durable;
	uint64_t sent_bytes, resync_bytes;
	uint64_t lag_ns, lag_writes, lag_bytes, behind_ns;
	uint64_t rtt_ns, apply_ns, flush_ns, contact_ns, room;
	uint8_t verify_state;
	uint32_t verify_flags, verify_total, verify_left, verify_differ;
	uint32_t verify_unreadable;
	uint64_t verify_bytes, verify_ns;
	uint32_t resynced;
	uint64_t resync_ns;
	uint64_t unsent_ns, unsent_writes, unsent_bytes;
	uint64_t unreceived_ns, unreceived_writes, unreceived_bytes;
	uint64_t undurable_ns, undurable_writes, undurable_bytes;
	uint64_t queue_ns, dirty_bytes, read_rate;
};

/**
 * struct bc_view - one view of a volume, as GET shows it
 * @known: BC_ATTR(BLKCAST_V_x), as in struct bc_link
 * The rest: BLKCAST_V_* of the same name.
 */
struct bc_view {
	bc_attrs known;
	char name[BLKCAST_NAME_MAX];
	uint8_t state, store;
	uint32_t minor, error, doubt, openers, passed, flags;
	uint64_t lsn, reign, age_ns, sectors, store_bytes, store_used;
};

/**
 * struct bc_volume - state of a volume, as GET shows it
 * @known: BC_ATTR(BLKCAST_A_x) for each attribute that was there
 * @history: @reigns entries, oldest first, still little-endian
 * @member: @members ids of copies
 * @missing: @missings names of links to copies in the in-sync set that are not there
 * @away: @aways replicas without a link: name, lag and contact of each
 * The rest: BLKCAST_A_* of the same name.
 */
struct bc_volume {
	bc_attrs known;
	char name[BLKCAST_NAME_MAX];
	uint8_t role, ack, uuid[16], node[16];
	uint32_t backing, meta, minor, term, region_shift, regions;
	uint32_t super_flags, openers, active_groups, doubt, touched, exposed, block;
	uint64_t backlog, backlog_used, reign, sectors, lsn;
	uint64_t meta_writes, writes, write_bytes;
	uint64_t resync_rate, active_max, meta_end, reads, room;
	uint32_t min_isr, isr, suspended, parked, max_lag_ms;
	uint64_t age_ns, turned_away;
	uint8_t on_loss, on_io_error, device;
	uint64_t suspended_ns;
	uint64_t event_seq, errors;
	uint32_t flags;
	struct blkcast_read_fails read_fails;
	uint32_t reigns;
	struct blkcast_reign *history;
	uint32_t members;
	uint8_t member[BLKCAST_MEMBERS_MAX][16];
	uint8_t heir[16];
	uint32_t deposed;
	uint64_t lease;
	uint32_t missings;
	char missing[BC_MISSING_MAX][BLKCAST_NAME_MAX];
	uint32_t links;
	struct bc_link *link;
	uint32_t aways;
	struct bc_link *away;
	uint32_t views;
	struct bc_view *view;
};

_Static_assert(__BLKCAST_A_MAX <= 128 && __BLKCAST_L_MAX <= 128, "a bit for each");

#define bc_known(object, attr) ((bool)((object)->known >> (attr) & 1))

/**
 * struct bc_event - what bc_events_read() gives
 * @known: BC_ATTR(BLKCAST_A_x) for each attribute that was there
 * @seq: its number; one that is left out is an event that was lost
 * @time_ns: of CLOCK_REALTIME
 * The rest: as in uapi, empty or 0 when not meant
 */
struct bc_event {
	bc_attrs known;
	uint64_t seq, time_ns, errors;
	uint8_t event, role;
	char name[BLKCAST_NAME_MAX], link[BLKCAST_NAME_MAX];
	uint32_t error, term;
	uint32_t members;
	uint8_t member[BLKCAST_MEMBERS_MAX][16];
};

/* A run of regions. */
struct bc_range {
	uint32_t first, count;
};

/* What bc_kernel_up() needs. */
struct bc_up {
	const char *name;
	uint32_t backing, meta;		/* BLKCAST_DEV(major, minor) */
	uint64_t backlog;		/* 0: the kernel's default */
	uint64_t meta_end;		/* as GET said last; 0: not known */
};

/* What bc_kernel_set() changes. */
struct bc_set {
	int ack;		/* enum blkcast_ack_mode, -1: as it is */
	uint64_t resync_rate;	/* bytes a second, 0: as it is */
	uint64_t active_max;	/* bytes, 0: as it is */
	uint32_t min_isr;	/* copies, 0: as it is */
	int on_loss;		/* enum blkcast_on_loss, -1: as it is */
	int64_t max_lag_ms;	/* 0: none, -1: as it is */
	int membership;		/* enum blkcast_membership, -1: as it is */
	int on_io_error;	/* enum blkcast_on_io_error, -1: as it is */
};

/* What the module that has this volume knows of BLKCAST_WIRE_FEATURES. */
static inline uint64_t bc_wire_features(const struct bc_volume *volume)
{
	return volume->flags & BLKCAST_F_READS ? BLKCAST_WIRE_READ : 0;
}

/* What bc_kernel_link_add() needs. */
struct bc_link_add {
	const char *name, *link;
	const uint8_t *node;	/* primary: id of the replica's copy, or NULL */
	int socket;
	uint32_t term, flags, timeout_ms;	/* 0: the kernel's default */
	const struct blkcast_reign *history;	/* replica only, else NULL */
	uint32_t reigns;
};

int bc_kernel_open(struct bc_kernel **kernel, struct bc_error *error);
void bc_kernel_close(struct bc_kernel *kernel);
/* Do both speak to the same load of the module? */
bool bc_kernel_same(const struct bc_kernel *a, const struct bc_kernel *b);

int bc_kernel_up(struct bc_kernel *kernel, const struct bc_up *up,
		 uint32_t *minor, struct bc_error *error);
int bc_kernel_down(struct bc_kernel *kernel, const char *name,
		   struct bc_error *error);
/* @lease: until when the reign may serve, ns of CLOCK_BOOTTIME; 0: for ever. */
int bc_kernel_primary(struct bc_kernel *kernel, const char *name, uint32_t term,
		      uint64_t reign, uint64_t lease, uint32_t flags,
		      struct bc_error *error);
/* @heir: link to the copy that may begin the next reign; NULL: this one may. */
int bc_kernel_replica(struct bc_kernel *kernel, const char *name,
		      const char *heir, uint32_t flags, struct bc_error *error);
/* A reign of the newer @term has begun elsewhere: stop, if this is a primary. */
int bc_kernel_depose(struct bc_kernel *kernel, const char *name, uint32_t term,
		     struct bc_error *error);
int bc_kernel_set(struct bc_kernel *kernel, const char *name,
		  const struct bc_set *set, struct bc_error *error);
/* Take in no more writes; take them in again. */
int bc_kernel_suspend(struct bc_kernel *kernel, const char *name,
		      struct bc_error *error);
int bc_kernel_resume(struct bc_kernel *kernel, const char *name,
		     struct bc_error *error);
/* Put a replica into the in-sync set, or out of it: -EAGAIN: it is not caught up. */
int bc_kernel_member(struct bc_kernel *kernel, const char *name, const char *link,
		     bool in, struct bc_error *error);
/* Go on without its device; by bc_detach() alone. */
int bc_kernel_detach(struct bc_kernel *kernel, const char *name, struct bc_error *error);
/* Until when it may serve, in ns of CLOCK_BOOTTIME; 0: for ever. */
int bc_kernel_lease(struct bc_kernel *kernel, const char *name, uint64_t until,
		    struct bc_error *error);
/* Make a primary's volume larger; -ENOBUFS: the devices of a replica are too small. */
int bc_kernel_grow(struct bc_kernel *kernel, const char *name, uint64_t sectors,
		   struct bc_error *error);
int bc_kernel_link_add(struct bc_kernel *kernel, const struct bc_link_add *add,
		       struct bc_error *error);
int bc_kernel_link_del(struct bc_kernel *kernel, const char *name,
		       const char *link, struct bc_error *error);

/* State of one volume; -ENODEV (or the kernel's errno) if it is not up. */
int bc_kernel_get(struct bc_kernel *kernel, const char *name,
		  struct bc_volume *volume, struct bc_error *error);
void bc_volume_release(struct bc_volume *volume);

/* State of all; *volumes is freed with bc_volumes_free(). */
int bc_kernel_get_all(struct bc_kernel *kernel, struct bc_volume **volumes,
		      size_t *count, struct bc_error *error);
void bc_volumes_free(struct bc_volume *volumes, size_t count);

/*
 * Stamps of regions first..first+count-1, any count (asked for in pieces of
 * BLKCAST_STAMPS_QUERY_MAX).  In doubt or being written: BLKCAST_LSN_DOUBT.
 * @view: as they were when it was made, or NULL.
 */
int bc_kernel_stamps(struct bc_kernel *kernel, const char *name, const char *view,
		     uint32_t first, uint32_t count, uint64_t *stamps,
		     struct bc_error *error);

/* What bc_kernel_view_create() needs. */
struct bc_view_create {
	const char *name, *view;
	uint64_t store_bytes;
	int store_fd;		/* a file; -1: no file */
	uint32_t store_dev;	/* BLKCAST_DEV(); 0: no device */
	uint32_t timeout_ms;	/* 0: the kernel's default */
	uint32_t flags;		/* BLKCAST_F_REPLACE, BLKCAST_F_OWNED: by @kernel */
};

/* @made: its minor and its LSN are set; or NULL. */
int bc_kernel_view_create(struct bc_kernel *kernel, const struct bc_view_create *create,
			  struct bc_view *made, struct bc_error *error);
int bc_kernel_view_remove(struct bc_kernel *kernel, const char *name,
			  const char *view, struct bc_error *error);
/* Regions below @first are not needed any more. */
int bc_kernel_view_pass(struct bc_kernel *kernel, const char *name,
			const char *view, uint32_t first, struct bc_error *error);
/* NULL: it has none of this name; one that was replaced has none. */
const struct bc_view *bc_volume_view(const struct bc_volume *volume, const char *view);

/*
 * Compare a link's copy with this one: start with 0 or BLKCAST_F_REPAIR, or
 * BLKCAST_F_STOP.  -EBUSY: one runs; -ENOENT: no link, or nothing to stop.
 */
int bc_kernel_verify(struct bc_kernel *kernel, const char *name,
		     const char *link, uint32_t flags, struct bc_error *error);

/* What the newest verify found to differ; *ranges is freed with free(). */
int bc_kernel_differing(struct bc_kernel *kernel, const char *name,
			const char *link, struct bc_range **ranges,
			size_t *count, struct bc_error *error);

/* A subscription to the family's events; the fd is for polling (POLLIN). */
int bc_events_open(struct bc_events **events, struct bc_error *error);
void bc_events_close(struct bc_events *events);
int bc_events_fd(const struct bc_events *events);

/*
 * Read what is there without blocking and call @fn for each event.  -ENOBUFS:
 * some were lost, look at the state anew.
 */
int bc_events_read(struct bc_events *events,
		   void (*fn)(const struct bc_event *event, void *arg),
		   void *arg, struct bc_error *error);

const char *bc_role_name(uint8_t role);
const char *bc_ack_name(uint8_t ack);
const char *bc_on_loss_name(uint8_t on_loss);
const char *bc_on_io_error_name(uint8_t on_io_error);
const char *bc_device_name(uint8_t device);
const char *bc_membership_name(uint8_t membership);
const char *bc_link_state_name(uint8_t state);
const char *bc_verify_state_name(uint8_t state);
const char *bc_view_state_name(uint8_t state);
const char *bc_store_name(uint8_t store);
const char *bc_event_name(uint8_t event);

bool bc_max_lag_valid(uint64_t ms);
bool bc_resync_rate_valid(uint64_t bytes_a_second);
bool bc_active_max_valid(uint64_t bytes);
bool bc_min_isr_valid(uint64_t copies);

/* "local", "memory" or "disk" to enum blkcast_ack_mode; -EINVAL. */
int bc_ack_parse(const char *text);
/* "suspend" or "error" to enum blkcast_on_loss; -EINVAL. */
int bc_on_loss_parse(const char *text);
/* "pass" or "detach" to enum blkcast_on_io_error; -EINVAL. */
int bc_on_io_error_parse(const char *text);
/* "auto" or "managed" to enum blkcast_membership; -EINVAL. */
int bc_membership_parse(const char *text);

#endif /* BC_KERNEL_H */
