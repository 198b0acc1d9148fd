/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration, the only desired state: DIR/blkcast.conf and one
 * DIR/volumes.d/NAME.conf a volume, where DIR is /etc/blkcast or
 * $BLKCAST_CONFIG_DIR.  See blkcast.conf(5) for the format.
 *
 * Read strictly: an unknown section or key, a value out of range, a key twice
 * are errors with file and line.  Written atomically: a temporary file in the
 * same folder, fsync, rename, fsync of the folder.
 */
#ifndef BC_CONFIG_H
#define BC_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blkcast_disk.h"
#include "error.h"

struct bc_kernel;

#define BC_PATH_MAX	4096
#define BC_HOST_MAX	256
#define BC_PORT_DEFAULT	"7790"
#define BC_FALLBACK_VIEW "fallback"	/* of what a replica was before a resync */
#define BC_ALLOW_MAX	181	/* a line of the configuration */
#define BC_PEER_MAX	40	/* characters of a peer or node name */

struct bc_address {
	char host[BC_HOST_MAX];	/* name, IPv4 or IPv6 without brackets */
	char port[8];
};

struct bc_daemon_config {
	struct bc_address listen;
	char key[BC_PATH_MAX];
	char node[BLKCAST_NAME_MAX];	/* default: the host's name */
	bool plain;			/* links without TLS are taken, too */
	/* By certificates; all three or, by the key, none. */
	char certificate[BC_PATH_MAX];	/* this host's, with what is between it and a CA */
	char private_key[BC_PATH_MAX];
	char ca[BC_PATH_MAX];		/* who signs the hosts' certificates */
	char crl[BC_PATH_MAX];		/* what they have revoked, or empty */
	char domain[BC_HOST_MAX];	/* certificates are for NODE or NODE.domain */
	bool accept_key;		/* links by the key are taken, too */
	/* Of the view that a host which joins is sent; empty: VIEWSTORE_DEFAULT. */
	char send_store[BC_PATH_MAX];
};

struct bc_link_config {
	char peer[BLKCAST_NAME_MAX];
	struct bc_address address;
	bool async;
	bool plain;		/* without TLS */
	uint32_t timeout_ms;	/* 0: the kernel's default */
	uint32_t read_capacity;	/* reads a second that it can serve; 0: not said */
};

struct bc_volume_config {
	char name[BLKCAST_NAME_MAX];
	uint8_t uuid[16];	/* of the volume; zero: not said, any will do */
	char backing[BC_PATH_MAX];
	char meta[BC_PATH_MAX];	/* device or file; empty: internal */
	uint64_t meta_end;	/* see bc_volume_end_save(); 0: not known */
	uint64_t backlog;	/* bytes; 0: the kernel's default */
	uint8_t ack;		/* enum blkcast_ack_mode */
	uint64_t resync_rate;	/* bytes a second; 0: the kernel's default */
	uint64_t active_max;	/* bytes; 0: the kernel's default */
	uint32_t min_isr;	/* copies; 0: the kernel's default */
	uint8_t on_loss;	/* enum blkcast_on_loss */
	uint8_t on_io_error;	/* enum blkcast_on_io_error */
	uint32_t max_lag_ms;	/* of what readers of a replica are shown; 0: any */
	char fallback[BC_PATH_MAX];	/* store of a view, see viewstore.h; empty: none */
	uint8_t membership;	/* enum blkcast_membership + 1; 0: as the copy has it */
	char allow[BC_ALLOW_MAX];	/* nodes, blanks between; empty: all that prove themselves */
	size_t links;
	struct bc_link_config *link;
};

/* DIR as above; the path of a file in it. */
const char *bc_config_dir(void);
/* /run/blkcast or $BLKCAST_RUN_DIR. */
const char *bc_run_dir(void);

/* May it be a store of a view?  Whether there is such a one shows when it is opened. */
bool bc_fallback_valid(const char *store);

/* May @node offer the volume here, or ask for it? */
bool bc_volume_allows(const struct bc_volume_config *config, const char *node);

/* Missing blkcast.conf: the defaults. */
int bc_daemon_config_load(struct bc_daemon_config *config,
			  struct bc_error *error);

/* -ENOENT: no such volume. */
int bc_volume_config_load(struct bc_volume_config *config, const char *name,
			  struct bc_error *error);
int bc_volume_config_save(const struct bc_volume_config *config,
			  struct bc_error *error);
/*
 * Remember at which byte of their device the metadata end, in DIR/volumes.d/
 * NAME.end: an enlarged device has its end elsewhere.  No part of what is
 * configured, hence a file of its own; loaded with the configuration.
 */
int bc_volume_end_save(const char *name, uint64_t end, struct bc_error *error);
/* The same with what the kernel says of a volume that is up, if it is not @known. */
int bc_volume_end_refresh(struct bc_kernel *kernel, const char *name,
			  uint64_t known, struct bc_error *error);
/*
 * Remember which copy was detached, in DIR/volumes.d/NAME.detached, durably: see
 * detach.h.  bc_volume_detached_load(): -ENOENT none.
 */
int bc_volume_detached_save(const char *name, const uint8_t node[16],
			    struct bc_error *error);
int bc_volume_detached_load(const char *name, uint8_t node[16], struct bc_error *error);
int bc_volume_detached_remove(const char *name, struct bc_error *error);
int bc_volume_config_remove(const char *name, struct bc_error *error);
void bc_volume_config_release(struct bc_volume_config *config);

/*
 * All volumes, by name; freed with bc_volume_configs_free(), also after an error.  A file
 * that is wrong is left out, and the first such one's error is returned, with how many more.
 */
int bc_volume_configs_load(struct bc_volume_config **configs, size_t *count,
			   struct bc_error *error);
void bc_volume_configs_free(struct bc_volume_config *configs, size_t count);

struct bc_link_config *bc_volume_config_find_link(struct bc_volume_config *config,
						  const char *peer);
/* A new link with the given peer, the rest zero. */
struct bc_link_config *bc_volume_config_add_link(struct bc_volume_config *config,
						 const char *peer);
void bc_volume_config_del_link(struct bc_volume_config *config,
			       struct bc_link_config *link);

/* "HOST:PORT", "[V6]:PORT" or "HOST" (default port). */
int bc_address_parse(struct bc_address *address, const char *text,
		     struct bc_error *error);
void bc_address_format(const struct bc_address *address, char *text, size_t size);

#endif /* BC_CONFIG_H */
