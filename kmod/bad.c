// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What of a primary's device must not be read: ranges that could not be read and could
 * not be written anew (repair.c, inv. 4), until something is written there with success.
 * Of a device that fails or is detached (detach.c) that is all.
 */
#include "repair.h"

static bool bad_overlaps(const struct bad *b, sector_t sector, u32 sectors)
{
	return b->from < sector + sectors && sector < b->to;
}

static bool bad_look(struct blkcast_volume *v, sector_t sector, u32 sectors)
{
	struct blkcast_repairs *rs = v->repairs;
	unsigned long flags;
	bool bad = false;
	u32 i;

	spin_lock_irqsave(&v->lock, flags);
	for (i = 0; i < rs->bads && !bad; i++)
		bad = bad_overlaps(&rs->bad[i], sector, sectors);
	spin_unlock_irqrestore(&v->lock, flags);
	return bad;
}

/* Must a range not be read from this device?  Inv. 4.  Any context. */
bool blkcast_repair_bad(struct blkcast_volume *v, sector_t sector, u32 sectors)
{
	struct blkcast_repairs *rs = READ_ONCE(v->repairs);

	if (unlikely(blkcast_repair_over(v)))
		return true;
	return rs && READ_ONCE(rs->bads) && bad_look(v, sector, sectors);
}

/* False: there is no room for it.  Caller holds vol->lock. */
bool blkcast_bad_add(struct blkcast_repairs *rs, const struct blkcast_op *op)
{
	u32 i;

	rs->bads_ever++;
	for (i = 0; i < rs->bads; i++) {
		struct bad *b = &rs->bad[i];

		/* One that overlaps or touches it, within one region. */
		if (blkcast_region(op->vol, b->from) != op->region ||
		    op->sector > b->to || b->from > op->sector + op->sectors)
			continue;
		b->from = min(b->from, op->sector);
		b->to = max(b->to, op->sector + op->sectors);
		return true;
	}
	if (i == BADS_MAX)
		return false;
	rs->bad[i].from = op->sector;
	rs->bad[i].to = op->sector + op->sectors;
	WRITE_ONCE(rs->bads, rs->bads + 1);
	blkcast_map_hold(op->vol, op->region, 1);
	return true;
}

static void bad_drop(struct blkcast_volume *v, u32 i)
{
	struct blkcast_repairs *rs = v->repairs;

	blkcast_map_hold(v, blkcast_region(v, rs->bad[i].from), -1);
	rs->bad[i] = rs->bad[rs->bads - 1];
	WRITE_ONCE(rs->bads, rs->bads - 1);
}

/* Cut a range that has been written off what is bad.  Caller holds vol->lock. */
void __blkcast_repair_written(struct blkcast_op *op)
{
	sector_t from = op->sector, to = from + op->sectors;
	struct blkcast_repairs *rs = op->vol->repairs;
	u32 i = 0;

	lockdep_assert_held(&op->vol->lock);
	while (i < rs->bads) {
		struct bad *b = &rs->bad[i];

		if (from <= b->from && b->to <= to) {
			bad_drop(op->vol, i);
			continue;
		}
		if (from <= b->from && b->from < to)
			b->from = to;
		else if (b->to <= to && from < b->to)
			b->to = from;
		i++;
	}
}

/*
 * Has any range been written back, or failed to be?  Since a time when this was another
 * number (which wraps).  A primary with links; caller holds vol->lock.
 */
u32 blkcast_bads_ever(struct blkcast_volume *v)
{
	return v->repairs->bads_ever;
}

/* Has anything bad to be cut?  Caller holds vol->lock. */
bool blkcast_repair_bads(struct blkcast_volume *v)
{
	return v->repairs && v->repairs->bads;
}

/**
 * blkcast_repair_settle() - the reign ends: what is bad is in doubt
 * @v: a primary without ops
 *
 * Return: was there any?
 */
bool blkcast_repair_settle(struct blkcast_volume *v)
{
	struct blkcast_repairs *rs = v->repairs;
	u32 region, n = 0;

	spin_lock_irq(&v->lock);
	if (rs && rs->bads)
		blkcast_views_unreadable(v);
	while (rs && rs->bads) {
		region = blkcast_region(v, rs->bad[0].from);
		bad_drop(v, 0);
		blkcast_map_stamp(v, region, BLKCAST_LSN_DOUBT);
		n++;
	}
	spin_unlock_irq(&v->lock);
	if (n)
		vol_warn(v, "%u ranges cannot be read or written here: their regions are in doubt\n",
			 n);
	return n;
}
