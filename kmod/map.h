/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef _BLKCAST_MAP_H
#define _BLKCAST_MAP_H

#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "uapi/blkcast_disk.h"
#include "uapi/blkcast_lsn.h"

#define BLKCAST_MAP_BATCH	32	/* blocks written at once */
#define BLKCAST_STAMP_PAGE	(PAGE_SIZE / sizeof(u64))	/* stamps in it */

#define BLKCAST_ACTIVE_MIN	(64ULL << 20)
#define BLKCAST_ACTIVE_MAX	(1ULL << 46)
#define BLKCAST_ACTIVE_DEFAULT	(64ULL << 30)

struct blkcast_op;
struct blkcast_volume;

/**
 * struct blkcast_group - the regions of one map block
 *
 * L: vol->lock; P: map.pen
 */
struct blkcast_group {
	u64		generation;	/* P: of the block on disk */
	u8		slot;		/* P: the slot that holds it */
	bool		active;		/* L: the active bit is on stable storage */
	u8		unsure;		/* L: slots to be written before the next op */
	bool		penned;		/* P: its block is about to be written */
	u32		pending;	/* L: ops that are in it or on the way */
	u32		doubts;		/* L: regions in doubt, ranges that are bad */
	u64		entered;	/* L: counts ops and changes, for cleaning */
	unsigned long	idle_since;	/* L: jiffies */
};

/**
 * struct blkcast_map - the stamp map of one copy
 * @stamps: L: LSN of the last write to each region, or BLKCAST_LSN_DOUBT; in
 *	pages, so that a map of 128 MiB needs no piece of memory of that size
 * @touched: L for writing, RCU: a bit a region: was ever written, hence holds
 *	data; cleared regions read as zeros.  Set only after the region has been
 *	zeroed and the mark is on stable storage
 * @zeroed: P: a bit a region: zeroed since it was found untouched
 * @groups: L: one for each map block
 * @room: L: regions that the arrays above have room for, vol->regions or more
 * @touched_count: L: bits in @touched
 * @blocks: P: what is written next
 * @waiting: L: ops that wait for the pen
 * @pen: serializes all who write map blocks
 * @wq: ordered, runs the two works below
 * @pen_work: sets active bits and touched marks for @waiting
 * @clean_work: writes exact stamps of idle groups and clears their bits
 * @writes: L: blocks written, superblocks included
 * @active: L: number of active groups
 * @damaged: blocks that were lost when they were read
 * @active_max: L: bytes of the volume that may be active before groups that have
 *	been idle longest are cleaned early
 */
struct blkcast_map {
	u64			**stamps;
	unsigned long __rcu	*touched;
	unsigned long		*zeroed;
	struct blkcast_group	*groups;
	u32			room;
	u32			touched_count;
	struct blkcast_map_block *blocks[BLKCAST_MAP_BATCH];
	struct list_head	waiting;
	struct mutex		pen;
	struct workqueue_struct	*wq;
	struct work_struct	pen_work;
	struct delayed_work	clean_work;
	u64			writes;
	u32			active;
	u32			damaged;
	u64			active_max;
};

/**
 * struct blkcast_map_arrays - memory for a map of @room regions
 * @pages: stamps' pages up to here belong to somebody else
 *
 * The rest: as in struct blkcast_map.
 */
struct blkcast_map_arrays {
	u64			**stamps;
	unsigned long		*touched;
	unsigned long		*zeroed;
	struct blkcast_group	*groups;
	u32			room;
	u32			pages;
};

/* map_memory.c */
int blkcast_map_arrays_alloc(struct blkcast_map_arrays *a, u32 have, u32 room);
void blkcast_map_arrays_install(struct blkcast_volume *v,
				struct blkcast_map_arrays *a);
void blkcast_map_arrays_free(struct blkcast_map_arrays *a);

static inline u32 blkcast_map_group(u32 region)
{
	return region / BLKCAST_MAP_STAMPS;
}

/* The first region of a group. */
static inline u32 blkcast_map_first(u32 group)
{
	return group * BLKCAST_MAP_STAMPS;
}

/* map_block.c */
u32 blkcast_map_group_size(struct blkcast_volume *v, u32 group);
u64 blkcast_map_pos(struct blkcast_volume *v, u32 group, u8 slot);
void blkcast_map_fill(struct blkcast_volume *v, u32 group, bool active,
		      struct blkcast_map_block *b);
void blkcast_map_block_touch(struct blkcast_map_block *b, u32 region);
void blkcast_map_seal(struct blkcast_map_block *b, u64 generation);
int blkcast_map_read(struct blkcast_volume *v);

/* map.c */
int blkcast_map_load(struct blkcast_volume *v);
int blkcast_map_clean(struct blkcast_volume *v);
int blkcast_map_keep_doubts(struct blkcast_volume *v);
int blkcast_map_close(struct blkcast_volume *v);
void blkcast_map_free(struct blkcast_volume *v);

void blkcast_map_begin(struct blkcast_op *op);
bool blkcast_map_ready(struct blkcast_op *op);
void blkcast_map_end(struct blkcast_op *op);

void blkcast_map_hold(struct blkcast_volume *v, u32 region, int n);
void blkcast_map_stamp(struct blkcast_volume *v, u32 region, u64 lsn);
int blkcast_map_forget(struct blkcast_volume *v, u32 region);
void blkcast_map_touch(struct blkcast_volume *v, u32 region);
void blkcast_map_set_active(struct blkcast_volume *v, u32 group, bool active);
int blkcast_map_truncate(struct blkcast_volume *v, u64 sectors, u32 regions);
u32 blkcast_map_exposed(struct blkcast_volume *v);
bool blkcast_map_in_doubt(struct blkcast_volume *v);
void blkcast_map_doubt_active(struct blkcast_volume *v);
int blkcast_map_doubt_reigns(struct blkcast_volume *v,
			     const struct blkcast_reign *history, u32 count);
void blkcast_map_newest(struct blkcast_volume *v);
void blkcast_map_settle_doubt(struct blkcast_volume *v, u64 lsn);

#endif /* _BLKCAST_MAP_H */
