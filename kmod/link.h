/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef _BLKCAST_LINK_H
#define _BLKCAST_LINK_H

#include <linux/net.h>

#include "uapi/blkcast_wire.h"
#include "volume.h"

/* What a replica takes in before it has applied it. */
#define BLKCAST_APPLYING_MAX	(16U << 20)

/* A region whose hashes are asked for: compare.c, inv. 1.  L vol->lock */
struct blkcast_ask {
	bool used;			/* L */
	bool verify;			/* L: by verify.c, else by resync.c */
	bool sent;			/* L */
	bool answered;			/* L */
	u64 since;			/* L: ktime_get_ns(): sent */
	u32 region;			/* L */
	u8 (*hashes)[BLKCAST_HASH_SIZE];	/* the replica's, one a block */
	/* verify.c */
	u8 (*ours)[BLKCAST_HASH_SIZE];
	u64 position;			/* L: of the stream, when ours was read */
	struct list_head node;		/* L: until COMPARE is sent */
};

/* How much a replica is read from: reads.c */
struct blkcast_read_rate {
	u64 since;			/* L: ktime_get_ns(); 0: not told yet */
	u64 before;			/* L: reads told at that time */
	u64 a_second;			/* L: over the span before that, if known */
	bool known;			/* L */
};

/* A write that has left the backlog: when it came and what was logged before. */
struct blkcast_mark {
	u64 start;			/* L: ktime_get_ns(); 0: none */
	u64 writes, bytes;		/* L */
};

enum blkcast_handover {
	BLKCAST_HANDOVER_NONE,
	BLKCAST_HANDOVER_DUE,		/* the stream stands still */
	BLKCAST_HANDOVER_SENT,
	BLKCAST_HANDOVER_DONE,		/* and answered */
};

/**
 * struct blkcast_link - one connection between a primary's and a replica's copy
 *
 * Two threads: @tx sends and @rx receives, on either side.  Whoever meets an
 * error calls blkcast_link_fail(), which shuts the socket down so that both
 * threads come to their end; @reap then joins them, waits until all that has
 * arrived is applied, takes the link off the volume and frees it.  Nothing else
 * frees a link, so threads may use it without a reference.
 *
 * I set before it is seen by others; L vol->lock; X tx thread; R rx thread
 */
struct blkcast_link {
	struct blkcast_volume	*vol;		/* I */
	struct list_head	node;		/* L */
	char			name[BLKCAST_NAME_MAX];	/* I */
	u32			id;		/* I */
	u32			flags;		/* I: BLKCAST_F_ASYNC, _READS, _TLS */
	u32			term;		/* I: of the primary */
	bool			has_node;	/* I: @peer is known */
	u8			peer[16];	/* I: primary: id of the replica's copy */
	bool			member;		/* L: may be in the in-sync set on disk */
	bool			apart;		/* L: managed: user space has not let it in */
	u32			timeout;	/* I: ms */
	struct socket		*sock;		/* I */
	struct task_struct	*tx, *rx;	/* I */
	wait_queue_head_t	wake;		/* for both threads */
	struct work_struct	reap;
	struct delayed_work	watch;
	enum blkcast_link_state	state;		/* L */
	int			error;		/* L: 0, or why it fails */

	u64			tx_seq;		/* X */
	struct page		*tx_page;	/* X: of headers that go out with data: frame.c */
	u32			tx_headers;	/* X: used ones in it */
	u64			rx_seq;		/* R */
	u64			rx_when;	/* L: ktime_get_ns() of the newest frame */
	unsigned long		rx_since;	/* R: jiffies: in the socket; 0: not */
	bool			rx_late;	/* R: frames may have waited for it */
	u64			echo_time;	/* L: peer's time of the newest that has not */
	u64			echo_when;	/* L: ktime_get_ns() of its arrival */
	u64			tx_when;	/* X: time in the last frame, as sent */
	u64			sent_bytes;	/* X */

	/* Positions in the stream: on the primary as acknowledged. */
	u64			sent;		/* L */
	u64			received;	/* L */
	u64			applied;	/* L */
	u64			durable;	/* L */
	u64			apply_ns;	/* L */
	u64			flush_ns;	/* L */
	u64			rtt_ns;		/* L: 0 unknown */
	u64			queue_ns;	/* X: newest write: arrival to sent */
	struct blkcast_mark	undurable;	/* L: oldest applied, not durable: lag.c */
	struct blkcast_away	*away;		/* L: left behind at the end: lag.c */
	struct blkcast_read_rate read_rate;

	/* Primary.  Cursors into the backlog, NULL at its end. */
	struct blkcast_op	*next;		/* L: to be sent next */
	struct blkcast_op	*unreceived;	/* L: oldest not acknowledged */
	struct blkcast_op	*unapplied;	/* L: oldest not applied */
	unsigned long		*dirty;		/* L: a bit a region */
	u32			dirty_count;	/* L */
	unsigned long		*compare;	/* L: a bit a region: by hash */
	struct blkcast_ask	*asks;		/* L: being compared */
	struct blkcast_verify	*verify;	/* L: the newest, or NULL */
	u32			asked;		/* L: how many */
	u64			hashed_when;	/* L: ktime_get_ns() of the newest HASHES */
	bool			positioned;	/* R: POSITION has come */
	u64			sectors;	/* L: the volume's size as the replica knows it */
	u64			room;		/* L: sectors its devices could hold; 0 not known */
	bool			parked;		/* L: keeps still while the volume grows */
	bool			ping_due;	/* L: an answer is wanted at once */
	u64			ping_wish;	/* L: ns between two at most; 0: none */
	u64			ping_when;	/* X: ktime_get_ns() of the last */
	u64			peer_when;	/* L: replica's time in its newest ACK */
	bool			map_due;	/* L: the replica has to send its map */
	u64			resync_start;	/* L: ktime_get_ns() */
	u32			resynced;	/* L: regions made equal since */
	s64			resync_budget;	/* L: bytes, while writers are at work */
	u64			resync_when;	/* L: when it was last filled up */
	u32			stamps_done;	/* R primary: compared; X replica: sent */
	u32			resync_at;	/* X: where to look for the next */
	bool			locking;	/* L: the sender waits for a region's lock */
	u64			in_vain;	/* L: ktime_get_ns(): writers waited so: backlog.c */
	bool			gap_sent;	/* L: replica is marked inconsistent */
	u64			copied_at;	/* L: newest LSN at a region's read */
	bool			done_sent;	/* L: DONE is out, no answer yet */
	bool			members_due;	/* L: the replica has to be told the set */
	enum blkcast_handover	handover;	/* L: how far reign.c is */
	u64			done_id;	/* L */
	u64			join_lsn;	/* L: in sync when durable up to here */
	u64			behind_since;	/* L: ktime_get_ns(); 0: in sync */
	u64			lost_flush;	/* L: LSN of a flush dropped with others */
	u64			progress_when;	/* L: ktime_get_ns() when applied moved, or its state */
	u64			resync_bytes;	/* L */
	struct list_head	reads_due;	/* L: repair.c: READs not out yet */
	struct list_head	reads_sent;	/* L: not answered yet */
	void			*buf;		/* X: one region */
	struct blkcast_ahead	*ahead;		/* X: regions read ahead */

	/* Replica. */
	struct list_head	applying;	/* L: ops in order of arrival */
	u32			applying_bytes;	/* L */
	u64			seq_applied;	/* L */
	bool			ack_due;	/* L */
	u64			done_due;	/* L: attempt to answer, 0 none */
	int			local_error;	/* L: what the replica failed with */
	bool			over;		/* R: HANDOVER has come */
	u64			handed_due;	/* L: HANDOVER to answer, 0 none */
	u32			copy_left;	/* R: sectors of a region to come */
	sector_t		copy_next;	/* R: where they begin */
	u64			copy_stamp;	/* R */
	bool			copy_sparse;	/* R: pieces may leave gaps */
	bool			copy_open;	/* R: more pieces have to come */
	u32			copy_region;	/* R */
	u32			comparing;	/* L: COMPAREs not yet answered */
	bool			map_asked;	/* L: by the primary */
	bool			map_sent;	/* X */
	bool			room_due;	/* L: the next ACK tells the room */
	struct list_head	hashed;		/* L: answers to COMPARE */
	u32			reading;	/* L: READs not yet answered */
	struct list_head	answers;	/* L: ops that have read for one */
};

/* Primary: it is, or is about to be, in sync.  Caller holds vol->lock. */
static inline bool blkcast_link_counts(const struct blkcast_link *l)
{
	return l->state >= BLKCAST_LINK_JOINING && !l->apart &&
	       !(l->flags & BLKCAST_F_ASYNC);
}

/*
 * Primary: the replica has the volume's present size, which stays for now.  A
 * region is read for it, or compared, only while this is so, or was when that
 * began (grow.c).  Caller holds vol->lock.
 */
static inline bool blkcast_link_sized(const struct blkcast_link *l)
{
	return l->sectors == l->vol->sectors && !l->vol->growing;
}

/* Primary: completions wait for this link.  Caller holds vol->lock. */
static inline bool blkcast_link_waited(const struct blkcast_link *l)
{
	return l->vol->ack != BLKCAST_ACK_LOCAL && blkcast_link_counts(l);
}

struct blkcast_link_params {
	const char *name;
	const u8 *node;
	int fd;
	u32 term, flags, timeout;
	const struct blkcast_reign *history;
	u32 reigns;
};

/* link.c */
int blkcast_links_init(void);
void blkcast_links_exit(void);
int blkcast_link_add(struct blkcast_volume *v,
		     const struct blkcast_link_params *params,
		     struct netlink_ext_ack *extack);
int blkcast_link_del(struct blkcast_volume *v, const char *name);
void blkcast_links_drop(struct blkcast_volume *v);
bool blkcast_link_fail(struct blkcast_link *l, int error);
void blkcast_link_set_state(struct blkcast_link *l, enum blkcast_link_state to);
int blkcast_link_park(struct blkcast_link *l, int error);
struct blkcast_link *blkcast_link_find(struct blkcast_volume *v, const char *name);

/* frame.c */
int blkcast_frame_send(struct blkcast_link *l, struct blkcast_frame *f,
		       const void *data, bool more);
void blkcast_frame_free(struct blkcast_link *l);
int blkcast_frame_send_op(struct blkcast_link *l, struct blkcast_frame *f,
			  struct blkcast_op *op, bool more);
int blkcast_frame_recv(struct blkcast_link *l, struct blkcast_frame *f);
int blkcast_frame_recv_data(struct blkcast_link *l,
			    const struct blkcast_frame *f, void *data);
int blkcast_frame_recv_op(struct blkcast_link *l, const struct blkcast_frame *f,
			  struct blkcast_op *op);
void blkcast_frame_refused(struct blkcast_link *l, const struct blkcast_frame *f);
u32 blkcast_op_crc(struct blkcast_op *op);

/* fresh.c */
u64 blkcast_fresh_tell(const struct blkcast_link *l, u64 now);

/* reads.c */
void blkcast_reads_told(struct blkcast_link *l, u64 reads);

/* members.c */
void blkcast_members_meet(struct blkcast_link *l);
void blkcast_members_join(struct blkcast_link *l);
void blkcast_members_leave(struct blkcast_link *l);

/* reign.c: the primary's end */
bool blkcast_reign_due(struct blkcast_link *l);
int blkcast_reign_step(struct blkcast_link *l);
int blkcast_handed_recv(struct blkcast_link *l, const struct blkcast_frame *f);

/* stream.c: the primary's end */
int blkcast_stream_tx(void *link);
int blkcast_stream_rx(void *link);
void blkcast_stream_drop(struct blkcast_link *l);
int blkcast_stream_progress(struct blkcast_link *l);

/* What a link has a bit a region of. */
struct blkcast_dirty_bits {
	unsigned long *dirty, *compare;
};

/* resync.c: what the primary does about regions that differ */
int blkcast_resync_init(struct blkcast_link *l);
void blkcast_resync_free(struct blkcast_link *l);
int blkcast_dirty_alloc(struct blkcast_dirty_bits *bits, u32 regions);
void blkcast_dirty_install(struct blkcast_link *l, struct blkcast_dirty_bits *bits,
			   u32 regions);
void blkcast_dirty_free(struct blkcast_dirty_bits *bits);
void blkcast_resync_dirty(struct blkcast_link *l, u32 region);
void blkcast_resync_stamp(struct blkcast_link *l, u32 region, u64 theirs);
void blkcast_resync_skip(struct blkcast_link *l);
bool blkcast_resync_gap_due(struct blkcast_link *l);
int blkcast_resync_gap(struct blkcast_link *l);
bool blkcast_resync_budget(struct blkcast_link *l);
bool blkcast_resync_due(struct blkcast_link *l);
u32 blkcast_resync_wait(struct blkcast_link *l);
int blkcast_resync_step(struct blkcast_link *l);

/* ahead.c: reading for resync.c */
int blkcast_ahead_init(struct blkcast_link *l);
void blkcast_ahead_free(struct blkcast_link *l);
void blkcast_ahead_start(struct blkcast_link *l);
bool blkcast_ahead_take(struct blkcast_link *l, u32 region, u64 stamp);
void blkcast_ahead_end(struct blkcast_link *l);

/* compare.c: by checksum */
u32 blkcast_region_blocks(struct blkcast_volume *v, u32 region);
u32 blkcast_block_bytes(struct blkcast_volume *v, u32 region, u32 block);
void blkcast_block_hash(struct blkcast_volume *v, u32 region, u32 block,
			const void *data, u8 *hash);
void blkcast_region_hash(struct blkcast_volume *v, u32 region, const void *data,
			 u8 *hashes);
int blkcast_region_load(struct blkcast_volume *v, u32 region, void *buf);
u32 blkcast_asks_max(const struct blkcast_volume *v);
struct blkcast_ask *blkcast_ask_find(struct blkcast_link *l, u32 region);
struct blkcast_ask *blkcast_ask_begin(struct blkcast_link *l, u32 region);
int blkcast_ask_send(struct blkcast_link *l, struct blkcast_ask *ask);
struct blkcast_ask *blkcast_ask_answered(struct blkcast_link *l, bool verify);
bool blkcast_ask_stuck(struct blkcast_link *l);
void blkcast_ask_end(struct blkcast_link *l, struct blkcast_ask *ask);
int blkcast_hashes_recv(struct blkcast_link *l, const struct blkcast_frame *f);
int blkcast_asks_init(struct blkcast_link *l);
void blkcast_asks_free(struct blkcast_link *l);

/**
 * struct blkcast_verify_status - how a verify stands
 * @repair: what differs is made equal at the end
 * @total: regions to be compared when it began
 * @left: of these, those that are not compared yet
 * @differ: regions that differ
 * @unreadable: regions that cannot be read here, hence were not compared
 * @differ_bytes: bytes of the blocks that differ
 * @ns: how long it has been running, or ran
 */
struct blkcast_verify_status {
	enum blkcast_verify_state state;
	bool repair;
	u32 total, left, differ, unreadable;
	u64 differ_bytes, ns;
};

/* verify.c: is a copy what it should be? */
int blkcast_verify_start(struct blkcast_volume *v, const char *name, bool repair,
			 struct netlink_ext_ack *extack);
int blkcast_verify_stop(struct blkcast_volume *v, const char *name,
			struct netlink_ext_ack *extack);
bool blkcast_verify_status(struct blkcast_link *l, struct blkcast_verify_status *s);
int blkcast_verify_ranges(struct blkcast_volume *v, const char *name, u32 first,
			  u32 *ranges, u32 max);
struct blkcast_ask *blkcast_verify_ask(struct blkcast_link *l);
bool blkcast_verify_due(struct blkcast_link *l);
bool blkcast_verify_waits(struct blkcast_link *l);
void blkcast_verify_step(struct blkcast_link *l);
bool blkcast_verify_idle(struct blkcast_link *l);
void blkcast_verify_free(struct blkcast_link *l);

/* replica.c: the replica's end */
int blkcast_replica_tx(void *link);
int blkcast_replica_rx(void *link);
struct blkcast_op *blkcast_frame_op(struct blkcast_link *l,
				    const struct blkcast_frame *f,
				    enum blkcast_op_kind kind);
bool blkcast_frame_range_valid(struct blkcast_volume *v,
			       const struct blkcast_frame *f);
void blkcast_applied_advance(struct blkcast_link *l);

/* answer.c: what a replica reads for its primary */
int blkcast_compare_recv(struct blkcast_link *l, const struct blkcast_frame *f);
int blkcast_read_recv(struct blkcast_link *l, const struct blkcast_frame *f);
bool blkcast_answers_due(struct blkcast_link *l);
int blkcast_answers_send(struct blkcast_link *l);
void blkcast_answers_free(struct blkcast_link *l);

/* repair.c: the primary's end of READ */
struct blkcast_repair;
bool blkcast_repair_source(const struct blkcast_link *l);
bool blkcast_repair_due(struct blkcast_link *l);
struct blkcast_repair *blkcast_repair_take(struct blkcast_link *l);
int blkcast_repair_send(struct blkcast_link *l, const struct blkcast_repair *r);
int blkcast_repair_recv(struct blkcast_link *l, const struct blkcast_frame *f);
void blkcast_repair_behind(struct blkcast_link *l);
void blkcast_repair_end(struct blkcast_link *l);
bool blkcast_repair_stuck(struct blkcast_link *l);

#endif /* _BLKCAST_LINK_H */
