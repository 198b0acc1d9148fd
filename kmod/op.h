/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef _BLKCAST_OP_H
#define _BLKCAST_OP_H

#include <linux/bio.h>
#include <linux/mempool.h>
#include <linux/refcount.h>

#include "uapi/blkcast_wire.h"

struct blkcast_volume;
struct blkcast_link;

#define BLKCAST_OP_SECTORS_MAX	(BLKCAST_PAYLOAD_MAX >> SECTOR_SHIFT)
#define BLKCAST_OP_PAGES	(BLKCAST_PAYLOAD_MAX / PAGE_SIZE)

enum blkcast_op_kind {
	BLKCAST_OP_WRITE,
	BLKCAST_OP_ZEROES,	/* discard and write-zeroes */
	BLKCAST_OP_FLUSH,
	BLKCAST_OP_NOP,		/* replica: a frame with nothing left to apply */
	BLKCAST_OP_LOCK,	/* primary: a region held still while it is read */
	BLKCAST_OP_READ,	/* replica: READ of its primary */
};

/**
 * struct blkcast_flush - somebody who wants the backing device flushed
 * @node: flush.c
 * @app: an application will take its data for safe
 * @since: @app: ktime_get_ns() when it wanted that
 * @done: called when it is over, in any context
 */
struct blkcast_flush {
	struct list_head node;
	bool app;
	u64 since;
	void (*done)(struct blkcast_flush *f, int error);
};

/**
 * struct blkcast_op - one write, flush or region lock, from arrival to the end
 *
 * An op never crosses a region.  It is what a bio becomes on the primary, an
 * entry of the backlog, and what a frame becomes on a replica.
 *
 * Who may touch what:
 *	I  set before the op is seen by others
 *	L  vol->lock
 *	S  whoever holds the op's turn: its step, its I/O or its end, one at a time
 *
 * References: one for the op's way (dropped by blkcast_op_finish() on the
 * primary, by the in-order end of applying on a replica), one while it is in
 * the backlog, one for each link that is sending it.
 */
struct blkcast_op {
	struct blkcast_volume	*vol;		/* I */
	struct blkcast_link	*link;		/* I: replica: where it came from */
	struct blkcast_op	*parent;	/* I: write that waits for this flush */
	void			*owner;		/* I: LOCK: who asked for it */
	struct bio		*bio;		/* I: primary: NULL if nobody waits */
	enum blkcast_op_kind	kind;		/* I */
	mempool_t		*pool;		/* I */
	refcount_t		refs;
	u32			region;		/* I */
	u32			sectors;	/* I */
	sector_t		sector;		/* I: on the volume */
	u64			start;		/* I: ktime_get_ns() at arrival */
	unsigned long		since;		/* I: jiffies then, for the bio's account */
	u32			pid;		/* I: thread group that submitted it, or 0 */
	u64			lsn;		/* S then constant: 0 = none yet */
	int			error;		/* S: negative errno */
	int			local_error;	/* S: primary: what the device said */
	u8			fate;		/* L: enum blkcast_fate: of one that was held */
	u32			data_crc;	/* valid once crc_known */
	bool			crc_known;
	bool			lendable;	/* I: sockets may keep its pages: op.c */

	/* What to do next, and by whom it is called when the time has come. */
	void (*step)(struct blkcast_op *op);		/* S */
	void (*end)(struct blkcast_op *op, int error);	/* S: local I/O is over */
	struct list_head	node;		/* L: vol->ready or map.waiting */

	struct blkcast_flush	flush;		/* S */

	u32			view_seq;	/* L: 0: without a place in the order */
	blk_opf_t		opf;		/* S: of a write that op->work submits */
	unsigned long		view_since;	/* S: jiffies: when that began */

	struct list_head	range_node;	/* L: range.c */
	u32			blockers;	/* L: earlier ops it overlaps */

	struct list_head	log_node;	/* L: backlog.c */
	bool			local_done;	/* L: the backing device is done */
	u64			writes_before;	/* L: vol->logged_* without it */
	u64			bytes_before;	/* L */

	struct list_head	wait_node;	/* L: vol->waiting */
	u64			durable_lsn;	/* S: FUA, flush: durable up to here */
	atomic_t		pending;	/* what the completion waits for */

	struct list_head	apply_node;	/* L: link->applying */
	u64			seq;		/* I: replica: its frame */
	u64			as_of;		/* I: replica, PING: fresh.c; 0: no PING */
	bool			applied;	/* L */

	struct work_struct	work;		/* S: what sleeps */
	unsigned int		nr_pages;	/* S */
	struct page		*pages[BLKCAST_OP_PAGES];
};

static inline bool blkcast_op_writes(const struct blkcast_op *op)
{
	return op->kind == BLKCAST_OP_WRITE || op->kind == BLKCAST_OP_ZEROES;
}

static inline u32 blkcast_op_bytes(const struct blkcast_op *op)
{
	return op->sectors << SECTOR_SHIFT;
}

/* Memory an op holds. */
static inline u32 blkcast_op_memory(const struct blkcast_op *op)
{
	return sizeof(*op) + op->nr_pages * PAGE_SIZE;
}

struct blkcast_op *blkcast_op_alloc(struct blkcast_volume *v,
				    enum blkcast_op_kind kind, mempool_t *pool);
void blkcast_op_init(struct blkcast_op *op, struct blkcast_volume *v,
		     enum blkcast_op_kind kind);
void blkcast_op_set_range(struct blkcast_op *op, sector_t sector, u32 sectors);
void blkcast_op_alloc_pages(struct blkcast_op *op);
bool blkcast_op_try_pages(struct blkcast_op *op);
void blkcast_op_get(struct blkcast_op *op);
void blkcast_op_put(struct blkcast_op *op);
void blkcast_op_ready(struct blkcast_op *op);
void __blkcast_op_ready(struct blkcast_op *op);
void blkcast_op_bvecs(struct blkcast_op *op, struct bio_vec *bvecs);
void blkcast_op_submit(struct blkcast_op *op, blk_opf_t opf);
void blkcast_op_read(struct blkcast_op *op);

int blkcast_op_pools_init(struct blkcast_volume *v);
void blkcast_op_pools_exit(struct blkcast_volume *v);
int blkcast_ops_init(void);
void blkcast_ops_exit(void);

/* range.c: overlapping ops of a region run one after the other, in order */
#define BLKCAST_RANGE_BUCKETS	1024

void blkcast_range_init(struct blkcast_volume *v);
bool blkcast_range_enter(struct blkcast_op *op);
void blkcast_range_leave(struct blkcast_op *op);
bool blkcast_range_busy(struct blkcast_volume *v, u32 region);

#endif /* _BLKCAST_OP_H */
