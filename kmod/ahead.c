// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading ahead for a resync: while a region is on its way the next ones are read, so
 * that the device has several requests at once.
 *
 * Writes go on meanwhile.  What was read goes for the region's content if, when its turn
 * has come and writes are kept out (resync.c, inv. 1),
 *
 *  1. it has the stamp that it had before the read began: nothing has got an LSN since;
 *  2. nothing had been in flight in it then: what has its LSN is on the device;
 *  3. nothing has been written back since without an LSN (repair.c), or is known to be bad;
 *     and the device is the one that counts.
 *
 * Else the region is read again.  This is rule 14.  The sender's thread does it all.
 */
#include <linux/bio.h>
#include <linux/completion.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/vmalloc.h>

#include "link.h"

#define AHEAD_MAX	8
#define AHEAD_LOOK	64	/* dirty regions, for one to be read */
#define AHEAD_BYTES	SZ_512K	/* a link; a larger region is several requests anyway */

/* A region that is being read, or has been. */
struct blkcast_ahead {
	bool			used;
	u32			region, sectors;
	u64			stamp;	/* the region's, before the read began */
	u32			bads;	/* the device's, then: bad.c */
	void			*buf;	/* vmalloc memory; NULL: this one is not used */
	int			error;	/* of the read */
	struct completion	over;	/* it is */
};

int blkcast_ahead_init(struct blkcast_link *l)
{
	size_t bytes = (size_t)1 << (l->vol->region_shift + SECTOR_SHIFT);
	int i;

	l->ahead = kcalloc(AHEAD_MAX, sizeof(*l->ahead), GFP_KERNEL);
	if (!l->ahead)
		return -ENOMEM;
	for (i = 0; i < AHEAD_MAX && (i + 1) * bytes <= AHEAD_BYTES; i++) {
		l->ahead[i].buf = vmalloc(bytes);
		if (!l->ahead[i].buf)
			return -ENOMEM;
	}
	return 0;
}

void blkcast_ahead_free(struct blkcast_link *l)
{
	int i;

	for (i = 0; l->ahead && i < AHEAD_MAX; i++)
		vfree(l->ahead[i].buf);
	kfree(l->ahead);
}

static struct blkcast_ahead *ahead_find(struct blkcast_link *l, u32 region)
{
	int i;

	for (i = 0; i < AHEAD_MAX; i++)
		if (l->ahead[i].used && l->ahead[i].region == region)
			return &l->ahead[i];
	return NULL;
}

static bool ahead_busy(struct blkcast_ahead *a)
{
	return a->used && !completion_done(&a->over);
}

/* ---- beginning ---- */

/* Inv. 3, but for what changes meanwhile. */
static bool ahead_good(struct blkcast_volume *v, const struct blkcast_ahead *a)
{
	return !READ_ONCE(v->failing) && !READ_ONCE(v->detached) &&
	       !blkcast_repair_bad(v, blkcast_region_start(v, a->region), a->sectors);
}

/* Inv. 1 to 3 as they are now.  Caller holds vol->lock. */
static bool ahead_note(struct blkcast_volume *v, struct blkcast_ahead *a, u32 region)
{
	lockdep_assert_held(&v->lock);
	if (!blkcast_map_touched(v, region) || blkcast_range_busy(v, region))
		return false;
	a->region = region;
	a->sectors = blkcast_region_sectors(v, region);
	a->stamp = blkcast_map_get(v, region);
	a->bads = blkcast_bads_ever(v);
	return true;
}

/* The first of the dirty regions from *@region on that is to be read; moves *@region. */
static bool ahead_pick(struct blkcast_link *l, struct blkcast_ahead *a, u32 *region)
{
	struct blkcast_volume *v = l->vol;
	bool picked = false;
	u32 r = *region;
	int look;

	spin_lock_irq(&v->lock);
	for (look = 0; look < AHEAD_LOOK && !picked; look++) {
		r = find_next_bit(l->dirty, v->regions, r);
		if (r >= v->regions || !blkcast_resync_budget(l))
			break;
		picked = !test_bit(r, l->compare) && !ahead_find(l, r) &&
			 ahead_note(v, a, r);
		r++;
	}
	spin_unlock_irq(&v->lock);
	*region = r;
	return picked && ahead_good(v, a);
}

static void ahead_end_io(struct bio *bio)
{
	struct blkcast_ahead *a = bio->bi_private;

	a->error = blk_status_to_errno(bio->bi_status);
	bio_put(bio);
	complete(&a->over);
}

static void ahead_read(struct blkcast_volume *v, struct blkcast_ahead *a)
{
	size_t left = (size_t)a->sectors << SECTOR_SHIFT, n;
	struct bio *bio = bio_alloc(v->backing.bdev, DIV_ROUND_UP(left, PAGE_SIZE),
				    REQ_OP_READ, GFP_NOIO);
	void *p;

	bio->bi_iter.bi_sector = v->data_start + blkcast_region_start(v, a->region);
	bio->bi_private = a;
	bio->bi_end_io = ahead_end_io;
	for (p = a->buf; left; p += n, left -= n) {
		n = min_t(size_t, left, PAGE_SIZE);
		__bio_add_page(bio, vmalloc_to_page(p), n, 0);
	}
	a->used = true;
	init_completion(&a->over);
	submit_bio(bio);
}

/**
 * blkcast_ahead_start() - begin to read the dirty regions that come next
 * @l: a link whose sender this is, and is about to send what it has read
 */
void blkcast_ahead_start(struct blkcast_link *l)
{
	u32 region = l->resync_at;
	int i;

	for (i = 0; i < AHEAD_MAX; i++) {
		struct blkcast_ahead *a = &l->ahead[i];

		/* Passed by: made equal in another way, or not good. */
		if (a->used && a->region < l->resync_at && !ahead_busy(a))
			a->used = false;
		if (a->used)
			continue;
		if (!a->buf || !ahead_pick(l, a, &region))
			break;
		ahead_read(l->vol, a);
	}
}

/* ---- using ---- */

/* Inv. 1 and 3: nothing has changed.  The caller keeps writes out. */
static bool ahead_holds(struct blkcast_volume *v, const struct blkcast_ahead *a, u64 stamp)
{
	bool same;

	spin_lock_irq(&v->lock);
	same = a->stamp == stamp && a->bads == blkcast_bads_ever(v) &&
	       a->sectors == blkcast_region_sectors(v, a->region);
	spin_unlock_irq(&v->lock);
	return same && ahead_good(v, a);
}

/**
 * blkcast_ahead_take() - has the region been read?
 * @l: a link whose sender this is
 * @region: which is locked by the caller (resync.c)
 * @stamp: its stamp
 *
 * Waits for a read that has begun and is good for something.
 *
 * Return: true: what it holds is in l->buf.
 */
bool blkcast_ahead_take(struct blkcast_link *l, u32 region, u64 stamp)
{
	struct blkcast_ahead *a = ahead_find(l, region);

	if (!a || !ahead_holds(l->vol, a, stamp))
		return false;
	wait_for_completion_io(&a->over);
	a->used = false;
	if (a->error)
		return false;
	swap(l->buf, a->buf);
	return true;
}

/* The sender has ended, on a replica too: wait until the device has nothing more of it. */
void blkcast_ahead_end(struct blkcast_link *l)
{
	int i;

	for (i = 0; l->ahead && i < AHEAD_MAX; i++)
		if (l->ahead[i].used)
			wait_for_completion_io(&l->ahead[i].over);
}
