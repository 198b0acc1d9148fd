// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Ranges: ops that overlap run one after the other, in the order in which they
 * entered; all others run side by side.
 *
 * Ops of one region stand in one list, oldest first (regions share lists by
 * hash).  An op counts the earlier ones it overlaps; whoever leaves counts its
 * later ones down, and the one that comes to 0 gets its turn.  A LOCK op covers
 * a whole region: it has its turn when no write is in flight there, and holds
 * the later ones back until it leaves.
 */
#include <linux/hash.h>

#include "volume.h"

static struct list_head *range_bucket(struct blkcast_volume *v, u32 region)
{
	return &v->ranges[hash_32(region, ilog2(BLKCAST_RANGE_BUCKETS))];
}

static bool ranges_overlap(const struct blkcast_op *a, const struct blkcast_op *b)
{
	return a->sector < b->sector + b->sectors &&
	       b->sector < a->sector + a->sectors;
}

void blkcast_range_init(struct blkcast_volume *v)
{
	int i;

	for (i = 0; i < BLKCAST_RANGE_BUCKETS; i++)
		INIT_LIST_HEAD(&v->ranges[i]);
}

/**
 * blkcast_range_enter() - queue for the op's range
 * @op: its range is set, and its step is what to do with the range
 *
 * Caller holds vol->lock.  Return: true if the range is the op's now; else its
 * step is called when it is.
 */
bool blkcast_range_enter(struct blkcast_op *op)
{
	struct list_head *bucket = range_bucket(op->vol, op->region);
	struct blkcast_op *other;

	lockdep_assert_held(&op->vol->lock);
	op->blockers = 0;
	list_for_each_entry(other, bucket, range_node)
		if (ranges_overlap(op, other))
			op->blockers++;
	list_add_tail(&op->range_node, bucket);
	return !op->blockers;
}

/* Give the range up.  Caller holds vol->lock. */
void blkcast_range_leave(struct blkcast_op *op)
{
	struct list_head *bucket = range_bucket(op->vol, op->region);
	struct blkcast_op *other = op;

	lockdep_assert_held(&op->vol->lock);
	list_for_each_entry_continue(other, bucket, range_node)
		if (ranges_overlap(op, other) && !--other->blockers)
			__blkcast_op_ready(other);
	list_del_init(&op->range_node);
	if (op->vol->view_older)
		__blkcast_view_left(op);
}

/* Has any op of the region entered and not left?  Caller holds vol->lock. */
bool blkcast_range_busy(struct blkcast_volume *v, u32 region)
{
	struct blkcast_op *op;

	lockdep_assert_held(&v->lock);
	list_for_each_entry(op, range_bucket(v, region), range_node)
		if (op->region == region)
			return true;
	return false;
}
