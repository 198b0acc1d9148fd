// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Growing: where the metadata of a larger volume go, and getting them there.
 *
 *	as it is	the map's area has room behind its last block
 *	at the end	the metadata device has been enlarged: before its new end,
 *			superblocks too
 *	below		before the old map
 *
 * What is new never overlaps what is old, so that power may fail at any moment:
 *
 *  1. Blocks: those of new groups; if the map moves, a copy of all.  A group that
 *     is active, or that an op is on the way to, is copied as active (rule 6).
 *     Both slots are written, nothing older may look newer.  Flush.
 *  2. If the map moves, the superblock, at its new place, with the old size.  From
 *     here on the old metadata are free space.  The pen is held until then.  The
 *     old superblocks are wiped.
 *  3. The tail of the old last region is zeroed, flush (rule 27).
 *
 * The volume has the old size still.
 */
#include <linux/mm.h>

#include "volume.h"

#define GROW_BLOCKS	32		/* map blocks written at once, both slots */

/* Where a volume of some size stands. */
struct place {
	u64 sectors;
	u32 regions, groups;
	u64 map_offset, meta_end;	/* bytes on the metadata device */
};

/* ---- where to ---- */

static u64 map_bytes(const struct place *p)
{
	return 2ULL * p->groups * BLKCAST_BLOCK_SIZE;
}

static u64 map_offset(struct blkcast_volume *v)
{
	return le64_to_cpu(v->super->map_offset);
}

static bool data_fits(struct blkcast_volume *v, const struct place *p)
{
	u64 end = v->data_start + p->sectors;

	return end <= bdev_nr_sectors(v->backing.bdev) &&
	       (!v->meta_internal || end << SECTOR_SHIFT <= p->map_offset);
}

static bool place_as_it_is(struct blkcast_volume *v, struct place *p)
{
	p->map_offset = map_offset(v);
	p->meta_end = v->meta_end;
	return p->map_offset + map_bytes(p) <= p->meta_end - BLKCAST_SUPER_AREA &&
	       data_fits(v, p);
}

static bool place_at_end(struct blkcast_volume *v, struct place *p)
{
	u64 need = map_bytes(p) + BLKCAST_SUPER_AREA;

	p->meta_end = round_down(bdev_nr_bytes(v->meta.bdev), BLKCAST_BLOCK_SIZE);
	if (p->meta_end < v->meta_end || p->meta_end - v->meta_end < need)
		return false;
	p->map_offset = p->meta_end - need;
	return data_fits(v, p);
}

static bool place_below(struct blkcast_volume *v, struct place *p)
{
	if (map_offset(v) < map_bytes(p))
		return false;
	p->map_offset = map_offset(v) - map_bytes(p);
	p->meta_end = v->meta_end;
	return data_fits(v, p);
}

/*
 * Find a place for a size; a smaller one has a place where a larger one has.
 * Caller holds the pen; or vol->lock, for a figure that may be out of date.
 */
static bool place_find(struct blkcast_volume *v, u64 sectors, struct place *p)
{
	u64 regions = DIV_ROUND_UP_ULL(sectors, 1ULL << v->region_shift);

	if (regions > BLKCAST_REGIONS_MAX)
		return false;
	p->sectors = sectors;
	p->regions = regions;
	p->groups = DIV_ROUND_UP(p->regions, BLKCAST_MAP_STAMPS);
	return place_as_it_is(v, p) || place_at_end(v, p) || place_below(v, p);
}

/**
 * blkcast_grow_room() - how large could the volume's copy here become?
 * @v: the volume
 *
 * Return: sectors, at least what it has.
 */
u64 blkcast_grow_room(struct blkcast_volume *v)
{
	u64 low, high, mid;
	struct place p;

	/* Not super_lock: who asks for the state does not wait for a disk. */
	spin_lock_irq(&v->lock);
	/* Its devices may be closed by now: see volume_close_devices(). */
	if (!v->backing.bdev) {
		spin_unlock_irq(&v->lock);
		return v->sectors;
	}
	low = v->sectors / BLKCAST_GROW_SECTORS;
	high = bdev_nr_sectors(v->backing.bdev) / BLKCAST_GROW_SECTORS + 1;
	while (low + 1 < high) {
		mid = low + (high - low) / 2;
		if (place_find(v, mid * BLKCAST_GROW_SECTORS, &p))
			low = mid;
		else
			high = mid;
	}
	spin_unlock_irq(&v->lock);
	return max_t(u64, v->sectors, low * BLKCAST_GROW_SECTORS);
}

/* ---- the map ---- */

/*
 * Fill slot 0, as the first block that ever was at its place; a bit in @active
 * says how a group that exists was written.
 */
static void group_copy(struct blkcast_volume *v, u32 group,
		       unsigned long *active, struct blkcast_map_block *b)
{
	struct blkcast_group *g = &v->map.groups[group];
	bool doubtful;

	spin_lock_irq(&v->lock);
	if (group < blkcast_map_groups(v)) {
		doubtful = g->active || g->pending || g->doubts || g->unsure;
		__assign_bit(group, active, doubtful);
		blkcast_map_fill(v, group, doubtful, b);
	} else {
		blkcast_map_fill(v, group, false, b);
	}
	spin_unlock_irq(&v->lock);
	blkcast_map_seal(b, 1);
}

/* Step 1: write the blocks from group @first on. */
static int blocks_copy(struct blkcast_volume *v, const struct place *p, u32 first,
		       unsigned long *active)
{
	u32 mark = blkcast_flush_mark(v), g, i, n;
	struct blkcast_map_block *buf;
	int err = 0;

	lockdep_assert_held(&v->map.pen);
	buf = kvcalloc(2 * GROW_BLOCKS, BLKCAST_BLOCK_SIZE, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	for (g = first; g < p->groups && !err; g += n) {
		n = min_t(u32, GROW_BLOCKS, p->groups - g);
		for (i = 0; i < n; i++)
			group_copy(v, g + i, active, &buf[2 * i]);
		err = blkcast_disk_rw(v->meta.bdev, REQ_OP_WRITE | REQ_META,
				      p->map_offset +
				      2ULL * g * BLKCAST_BLOCK_SIZE,
				      buf, 2 * n * BLKCAST_BLOCK_SIZE);
		cond_resched();
	}
	kvfree(buf);
	return err ?: blkcast_flush_meta(v, mark);
}

/* The map is where it was copied to: slot 0, active as written. */
static void groups_moved(struct blkcast_volume *v, const unsigned long *active)
{
	u32 g, groups = blkcast_map_groups(v);

	spin_lock_irq(&v->lock);
	for (g = 0; g < groups; g++) {
		v->map.groups[g].generation = 1;
		v->map.groups[g].slot = 0;
		v->map.groups[g].unsure = 0;
		if (test_bit(g, active))
			blkcast_map_set_active(v, g, true);
	}
	spin_unlock_irq(&v->lock);
}

/*
 * Superblocks that count no more, before @end, must not be found again, however
 * the device is enlarged later.
 */
static void super_wipe(struct blkcast_volume *v, u64 end)
{
	void *zeros = page_address(ZERO_PAGE(0));
	int err;

	err = blkcast_disk_rw(v->meta.bdev, REQ_OP_WRITE | REQ_META,
			      end - BLKCAST_SUPER_AREA, zeros, BLKCAST_BLOCK_SIZE) ?:
	      blkcast_disk_rw(v->meta.bdev, REQ_OP_WRITE | REQ_META,
			      end - BLKCAST_BLOCK_SIZE, zeros, BLKCAST_BLOCK_SIZE);
	if (err)
		vol_warn(v, "cannot wipe superblocks that count no more: %d\n", err);
}

/* Step 2. */
static int map_move(struct blkcast_volume *v, const struct place *p)
{
	u64 old_end = v->meta_end;
	unsigned long *active;
	int err;

	active = kvcalloc(BITS_TO_LONGS(p->groups), sizeof(long), GFP_KERNEL);
	if (!active)
		return -ENOMEM;
	err = blocks_copy(v, p, 0, active) ?:
	      blkcast_super_move(v, p->map_offset, p->meta_end);
	if (!err)
		groups_moved(v, active);
	if (p->meta_end != old_end)
		super_wipe(v, err ? p->meta_end : old_end);
	kvfree(active);
	return err;
}

/* Step 3. */
static int tail_zero(struct blkcast_volume *v, u64 sectors)
{
	sector_t region = round_up(v->sectors, 1ULL << v->region_shift);
	sector_t tail = min_t(sector_t, region, sectors) - v->sectors;
	u32 mark = blkcast_flush_mark(v);
	int err;

	if (!tail)
		return 0;
	err = blkdev_issue_zeroout(v->backing.bdev, v->data_start + v->sectors,
				   tail, GFP_NOIO, 0);
	return err ?: blkcast_flush_since(v, mark);
}

/**
 * blkcast_grow_prepare() - bring all but a new size to stable storage
 * @v: the volume
 * @sectors: its new size
 *
 * Return: 0; -ENOSPC there is no place for it; another negative errno.
 */
int blkcast_grow_prepare(struct blkcast_volume *v, u64 sectors)
{
	struct place p;
	int err;

	mutex_lock(&v->map.pen);
	if (!place_find(v, sectors, &p))
		err = -ENOSPC;
	else if (p.map_offset != map_offset(v))
		err = map_move(v, &p);
	else
		err = blocks_copy(v, &p, blkcast_map_groups(v), NULL);
	mutex_unlock(&v->map.pen);
	return err ?: tail_zero(v, sectors);
}
