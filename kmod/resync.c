// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Resync, on the primary: regions that differ from the replica's, or may, are
 * made equal while writes go on.
 *
 * A region is *dirty* on a link until the replica's stamp has been found equal
 * or it has been copied whole, newest content once.  Which way it is copied:
 *
 *	never written here	FORGET
 *	in doubt on either side	COMPARE; the replica answers with a hash of each
 *				4 KiB block, and the blocks that differ travel
 *	else			all of it
 *
 * Nothing streams into a dirty region, so what the replica hashes stays as it
 * is until the copy arrives.  The primary compares and reads under one lock.
 *
 *  1. A region is read, with its stamp, while a LOCK op keeps every write out, or
 *     before and is as it was (ahead.c); from then on its writes are streamed.  rule 14
 *  2. A region that is being compared stays dirty until it is copied: rule 16
 *  3. DONE goes out when nothing is dirty and the stream has passed the newest
 *     LSN at which a region was read.                          rule 15
 *  4. Before the first frame that leaves a hole, GAP.            rule 12
 *
 * The sender's thread does it all, a region between two batches of entries.
 * While writers are at work it keeps to the volume's resync rate; an idle volume
 * gives it all there is.
 */
#include <linux/completion.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "link.h"

#define RESYNC_QUIET_NS		(200 * NSEC_PER_MSEC)	/* idle after this */

/* ---- the dirty set ---- */

/* A region differs from now on.  Caller holds vol->lock. */
void blkcast_resync_dirty(struct blkcast_link *l, u32 region)
{
	lockdep_assert_held(&l->vol->lock);
	if (!l->dirty || l->state == BLKCAST_LINK_DOWN)
		return;
	l->done_sent = false;
	if (!__test_and_set_bit(region, l->dirty))
		l->dirty_count++;
	if (!l->behind_since)
		l->behind_since = ktime_get_ns();
	if (l->state > BLKCAST_LINK_RESYNC)
		blkcast_link_set_state(l, BLKCAST_LINK_RESYNC);
	wake_up(&l->wake);
}

/* Inv. 4.  Caller holds vol->lock. */
bool blkcast_resync_gap_due(struct blkcast_link *l)
{
	bool due = l->dirty_count && !l->gap_sent;

	lockdep_assert_held(&l->vol->lock);
	if (due)
		l->gap_sent = true;
	return due;
}

int blkcast_resync_gap(struct blkcast_link *l)
{
	struct blkcast_frame f = { .type = cpu_to_le16(BLKCAST_FRAME_GAP) };

	/* For a region that cannot be read now no copy loses its consistency. */
	if (READ_ONCE(l->vol->failing) && !READ_ONCE(l->vol->detached))
		return -EAGAIN;
	/* What it lacks nobody has: it may be the last copy that is of one moment. */
	if (!blkcast_repair_source(l))
		return -ENODATA;
	return blkcast_frame_send(l, &f, NULL, true);
}

/*
 * Compare a stamp of the replica with ours: equal, to be copied, or to be
 * compared because somebody does not know what a crash has left.  The first
 * LSN of a term is what a new primary stamps its own doubts with.
 */
void blkcast_resync_stamp(struct blkcast_link *l, u32 region, u64 theirs)
{
	u64 ours = blkcast_map_get(l->vol, region);

	lockdep_assert_held(&l->vol->lock);
	if (blkcast_stamps_equal(theirs, ours)) {
		if (__test_and_clear_bit(region, l->dirty))
			l->dirty_count--;
		return;
	}
	if (theirs == BLKCAST_LSN_DOUBT ||
	    (theirs != BLKCAST_LSN_NEVER && blkcast_lsn_seq(ours) == 1))
		__set_bit(region, l->compare);
}

/* The replica is at a known position: nothing is dirty. */
void blkcast_resync_skip(struct blkcast_link *l)
{
	lockdep_assert_held(&l->vol->lock);
	bitmap_zero(l->dirty, l->vol->regions);
	l->dirty_count = 0;
}

/* ---- a region held still ---- */

struct region_lock {
	struct blkcast_op *op;
	struct completion granted;
};

static void region_granted(struct blkcast_op *op)
{
	struct region_lock *lock = op->owner;

	complete(&lock->granted);
}

/* Wait until no write is in flight in the region, and keep new ones out. */
static void region_lock(struct blkcast_link *l, u32 region,
			struct region_lock *lock)
{
	struct blkcast_volume *v = l->vol;
	struct blkcast_op *op = blkcast_op_alloc(v, BLKCAST_OP_LOCK,
						 &v->aux_pool);
	bool wait;

	init_completion(&lock->granted);
	blkcast_op_set_range(op, blkcast_region_start(v, region),
			     blkcast_region_sectors(v, region));
	op->step = region_granted;
	op->owner = lock;
	lock->op = op;
	spin_lock_irq(&v->lock);
	l->locking = !blkcast_range_enter(op);
	wait = l->locking;
	spin_unlock_irq(&v->lock);
	if (!wait)
		return;
	/* Who is waited for may wait for room in the backlog. */
	wake_up(&v->idle);
	wait_for_completion(&lock->granted);
	spin_lock_irq(&v->lock);
	l->locking = false;
	spin_unlock_irq(&v->lock);
}

/*
 * Let writes in again; from here on they are streamed if the region was @read
 * and its stamp is still the one that goes with it (a failed flush may have
 * changed it).
 */
static void region_unlock(struct blkcast_link *l, struct region_lock *lock,
			  bool read, u64 stamp)
{
	struct blkcast_volume *v = l->vol;
	u32 region = lock->op->region;

	spin_lock_irq(&v->lock);
	if (read && blkcast_map_get(v, region) == stamp &&
	    __test_and_clear_bit(region, l->dirty)) {
		l->dirty_count--;
		l->resynced++;
		__clear_bit(region, l->compare);
		l->copied_at = v->lsn;
	}
	blkcast_range_leave(lock->op);
	spin_unlock_irq(&v->lock);
	blkcast_op_put(lock->op);
}

static int region_read(struct blkcast_link *l, u32 region, u64 stamp)
{
	struct blkcast_volume *v = l->vol;
	int err;

	if (READ_ONCE(v->detached))
		err = blkcast_repair_load(v, region, l->buf);
	else
		err = (blkcast_ahead_take(l, region, stamp) ? 0 :
		       blkcast_region_load(v, region, l->buf)) ?:
		      blkcast_detach_sure(v, region);
	if (err)
		vol_err_ratelimited(v, "cannot read region %u for link %s: %d\n",
				    region, l->name, err);
	return err;
}

/*
 * Inv. 1: read the region into l->buf and take its stamp, BLKCAST_LSN_NEVER
 * without reading if it was never written.
 */
static int region_take(struct blkcast_link *l, u32 region, u64 *stamp)
{
	struct blkcast_volume *v = l->vol;
	struct region_lock lock;
	bool touched;
	int err;

	region_lock(l, region, &lock);
	spin_lock_irq(&v->lock);
	touched = blkcast_map_touched(v, region);
	*stamp = touched ? blkcast_map_get(v, region) : BLKCAST_LSN_NEVER;
	l->resync_budget -= touched ?
		blkcast_region_sectors(v, region) << SECTOR_SHIFT : PAGE_SIZE;
	spin_unlock_irq(&v->lock);
	err = touched ? region_read(l, region, *stamp) : 0;
	region_unlock(l, &lock, !err, *stamp);
	return err;
}

/* ---- sending a region ---- */

/* Send @bytes of l->buf from @at on as one piece. */
static int piece_send(struct blkcast_link *l, u32 region, u64 stamp, u32 at,
		      u32 bytes, u16 flags)
{
	struct blkcast_frame f = {
		.type = cpu_to_le16(BLKCAST_FRAME_REGION),
		.flags = cpu_to_le16(flags),
		.lsn = cpu_to_le64(stamp),
		.sector = cpu_to_le64(blkcast_region_start(l->vol, region) +
				      (at >> SECTOR_SHIFT)),
		.sectors = cpu_to_le32(bytes >> SECTOR_SHIFT),
		.length = cpu_to_le32(bytes),
	};

	WRITE_ONCE(l->resync_bytes, l->resync_bytes + bytes);
	return blkcast_frame_send(l, &f, l->buf + at,
				  !(flags & BLKCAST_FRAME_LAST));
}

static int region_send_whole(struct blkcast_link *l, u32 region, u64 stamp)
{
	u32 total = blkcast_region_sectors(l->vol, region) << SECTOR_SHIFT;
	u32 at, n;
	int err = 0;

	for (at = 0; at < total && !err; at += n) {
		n = min_t(u32, total - at, BLKCAST_PAYLOAD_MAX);
		err = piece_send(l, region, stamp, at, n,
				 (at ? 0 : BLKCAST_FRAME_FIRST) |
				 (at + n < total ? 0 : BLKCAST_FRAME_LAST));
	}
	return err;
}

/* Bytes of the run of blocks that differ from block *@at on; moves *@at there. */
static u32 differing_run(struct blkcast_link *l, const struct blkcast_ask *ask,
			 u32 *at)
{
	u32 blocks = blkcast_region_blocks(l->vol, ask->region), b, bytes = 0;
	u8 hash[BLKCAST_HASH_SIZE];

	for (b = *at; b < blocks; b++) {
		blkcast_block_hash(l->vol, ask->region, b, l->buf, hash);
		if (memcmp(hash, ask->hashes[b], sizeof(hash))) {
			if (!bytes)
				*at = b;
			bytes += blkcast_block_bytes(l->vol, ask->region, b);
			if (bytes < BLKCAST_PAYLOAD_MAX)
				continue;
		}
		if (bytes)
			return bytes;
	}
	return bytes;
}

static int region_send_differing(struct blkcast_link *l,
				 const struct blkcast_ask *ask, u64 stamp)
{
	u32 block = 0, bytes;
	int err;

	err = piece_send(l, ask->region, stamp, 0, 0,
			 BLKCAST_FRAME_FIRST | BLKCAST_FRAME_SPARSE);
	while (!err && (bytes = differing_run(l, ask, &block))) {
		err = piece_send(l, ask->region, stamp,
				 block * BLKCAST_COMPARE_BLOCK, bytes, 0);
		block += DIV_ROUND_UP(bytes, BLKCAST_COMPARE_BLOCK);
	}
	return err ?: piece_send(l, ask->region, stamp, 0, 0,
				 BLKCAST_FRAME_LAST);
}

static int forget_send(struct blkcast_link *l, u32 region)
{
	struct blkcast_frame f = {
		.type = cpu_to_le16(BLKCAST_FRAME_FORGET),
		.sector = cpu_to_le64(region),
	};

	return blkcast_frame_send(l, &f, NULL, false);
}

/* Inv. 2: copied, under one lock with the reading of ours, or still dirty. */
static int ask_finish(struct blkcast_link *l, struct blkcast_ask *ask)
{
	u64 stamp;
	int err = region_take(l, ask->region, &stamp);

	if (!err)
		err = stamp ? region_send_differing(l, ask, stamp) :
			      forget_send(l, ask->region);
	spin_lock_irq(&l->vol->lock);
	blkcast_ask_end(l, ask);
	spin_unlock_irq(&l->vol->lock);
	return err;
}

/* ---- one step ---- */

/* The next dirty region that is not being compared; false: there is none. */
static bool region_pick(struct blkcast_link *l, u32 *region)
{
	u32 n = l->vol->regions, r = l->resync_at, i;

	lockdep_assert_held(&l->vol->lock);
	/* At most as many as are asked stand in the way. */
	for (i = 0; i <= l->asked; i++, r++) {
		r = find_next_bit(l->dirty, n, r);
		if (r >= n)
			r = find_first_bit(l->dirty, n);
		if (r >= n)
			return false;
		if (blkcast_ask_find(l, r))
			continue;
		l->resync_at = r + 1;
		*region = r;
		return true;
	}
	return false;
}

/* Is there a region to begin with?  Caller holds vol->lock. */
static bool region_due(struct blkcast_link *l)
{
	return l->state == BLKCAST_LINK_RESYNC && l->dirty_count > l->asked &&
	       l->asked < blkcast_asks_max(l->vol) && blkcast_link_sized(l);
}

static bool done_due(struct blkcast_link *l)
{
	return l->state == BLKCAST_LINK_RESYNC && !l->dirty_count && !l->asked &&
	       !l->done_sent && (!l->next || l->next->lsn > l->copied_at);
}

/*
 * While writers are at work the budget of this moment may be used up.  Caller
 * holds vol->lock.
 */
bool blkcast_resync_budget(struct blkcast_link *l)
{
	struct blkcast_volume *v = l->vol;
	u64 now = ktime_get_ns();
	s64 cap = v->resync_rate / 10;

	if (now - v->write_when > RESYNC_QUIET_NS) {
		l->resync_when = now;
		l->resync_budget = cap;
		return true;
	}
	/* Not a moment at a time: what is rounded away would add up. */
	if (now - l->resync_when >= NSEC_PER_MSEC) {
		/* Both bounded: no overflow. */
		l->resync_budget +=
			mul_u64_u64_div_u64(min_t(u64, now - l->resync_when,
						  NSEC_PER_SEC),
					    v->resync_rate, NSEC_PER_SEC);
		l->resync_budget = min(l->resync_budget, cap);
		l->resync_when = now;
	}
	return l->resync_budget > 0;
}

/* Is there anything for blkcast_resync_step()?  Caller holds vol->lock. */
bool blkcast_resync_due(struct blkcast_link *l)
{
	lockdep_assert_held(&l->vol->lock);
	return done_due(l) ||
	       ((region_due(l) || blkcast_ask_answered(l, false)) &&
		blkcast_resync_budget(l));
}

/* ms after which blkcast_resync_due() may have changed by itself; 0: never. */
u32 blkcast_resync_wait(struct blkcast_link *l)
{
	bool wait;

	spin_lock_irq(&l->vol->lock);
	wait = region_due(l) || l->asked;
	spin_unlock_irq(&l->vol->lock);
	return wait ? 10 : 0;
}

static int region_begin(struct blkcast_link *l)
{
	struct blkcast_ask *ask = NULL;
	bool due, gap = false;
	u64 stamp;
	u32 region;
	int err;

	spin_lock_irq(&l->vol->lock);
	due = region_due(l) && region_pick(l, &region);
	if (due) {
		gap = blkcast_resync_gap_due(l);
		if (test_bit(region, l->compare))
			ask = blkcast_ask_begin(l, region);
	}
	spin_unlock_irq(&l->vol->lock);
	if (!due)
		return 0;
	err = gap ? blkcast_resync_gap(l) : 0;
	if (err || ask)
		return err ?: blkcast_ask_send(l, ask);
	err = region_take(l, region, &stamp);
	if (err)
		return err;
	if (stamp)
		blkcast_ahead_start(l);
	return stamp ? region_send_whole(l, region, stamp) :
		       forget_send(l, region);
}

/* Inv. 3. */
static int done_send(struct blkcast_link *l)
{
	struct blkcast_frame f = { .type = cpu_to_le16(BLKCAST_FRAME_DONE) };
	bool due;

	spin_lock_irq(&l->vol->lock);
	due = done_due(l);
	if (due) {
		l->done_sent = true;
		l->gap_sent = false;
		f.lsn = cpu_to_le64(++l->done_id);
	}
	spin_unlock_irq(&l->vol->lock);
	return due ? blkcast_frame_send(l, &f, NULL, false) : 0;
}

/**
 * blkcast_resync_step() - do one thing to make the replica equal
 * @l: a link whose sender this is
 *
 * Return: 0, also if there was nothing to do; else the link has to end.
 */
int blkcast_resync_step(struct blkcast_link *l)
{
	struct blkcast_ask *ask;
	bool due;

	spin_lock_irq(&l->vol->lock);
	due = blkcast_resync_due(l);
	ask = blkcast_ask_answered(l, false);
	spin_unlock_irq(&l->vol->lock);
	if (!due)
		return 0;
	return (ask ? ask_finish(l, ask) : region_begin(l)) ?: done_send(l);
}

/* ---- what a link needs ---- */

int blkcast_dirty_alloc(struct blkcast_dirty_bits *bits, u32 regions)
{
	bits->dirty = kvcalloc(BITS_TO_LONGS(regions), sizeof(long), GFP_KERNEL);
	bits->compare = kvcalloc(BITS_TO_LONGS(regions), sizeof(long), GFP_KERNEL);
	return bits->dirty && bits->compare ? 0 : -ENOMEM;
}

/*
 * Put larger bits in the place of those the link has, which are in @bits then: the
 * volume is about to get @regions.  A replica whose size is agreed has nothing in
 * what is new.  One that has just come may be the larger one: rule 10.  Caller
 * holds vol->lock.
 */
void blkcast_dirty_install(struct blkcast_link *l, struct blkcast_dirty_bits *bits,
			   u32 regions)
{
	u32 have = l->vol->regions;

	lockdep_assert_held(&l->vol->lock);
	/* bitmap_fill() sets whole words: what is beyond is not dirty. */
	bitmap_copy_clear_tail(bits->dirty, l->dirty, have);
	bitmap_copy_clear_tail(bits->compare, l->compare, have);
	if (l->state == BLKCAST_LINK_COMPARING && l->sectors != l->vol->sectors) {
		bitmap_set(bits->dirty, have, regions - have);
		l->dirty_count += regions - have;
	}
	swap(l->dirty, bits->dirty);
	swap(l->compare, bits->compare);
}

void blkcast_dirty_free(struct blkcast_dirty_bits *bits)
{
	kvfree(bits->compare);
	kvfree(bits->dirty);
}

int blkcast_resync_init(struct blkcast_link *l)
{
	struct blkcast_volume *v = l->vol;
	size_t region = (size_t)1 << (v->region_shift + SECTOR_SHIFT);
	struct blkcast_dirty_bits bits;
	int err;

	err = blkcast_dirty_alloc(&bits, v->regions);
	l->dirty = bits.dirty;
	l->compare = bits.compare;
	l->buf = vmalloc(region);
	if (err || !l->buf || blkcast_ahead_init(l) || blkcast_asks_init(l))
		return -ENOMEM;
	/* Rule 10: nothing streams into a region before it is compared. */
	bitmap_fill(l->dirty, v->regions);
	l->dirty_count = v->regions;
	return 0;
}

void blkcast_resync_free(struct blkcast_link *l)
{
	blkcast_ahead_free(l);
	blkcast_asks_free(l);
	kvfree(l->compare);
	kvfree(l->dirty);
	vfree(l->buf);
}
