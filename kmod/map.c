// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The stamp map: what each region last saw, in memory and on disk.
 *
 * Two copies of a region are the same exactly when their stamps are equal and
 * neither is in doubt.  What keeps this true here:
 *
 *  1. A group's active bit is on stable storage before the first write into it
 *     (pen_work).  Whatever is active at a crash is in doubt at the next load.
 *  2. A region that was never written is zeroed whole, the zeros flushed, its
 *     touched mark written with the active bit; only then a write enters it
 *     and only then reads look at the device.
 *  3. An idle group is cleaned (clean_work): nothing pending in it, copy its
 *     stamps; flush the backing device; if nothing entered it meanwhile, it is
 *     inactive and the *copied* stamps go to disk.  Newcomers find it inactive
 *     and queue for the pen, which comes after us.
 *  4. A group with a region in doubt, or a range that is bad (repair.c), stays active,
 *     however idle.
 *  5. A failed flush puts all touched regions of active groups in doubt.
 *  6. Blocks are written to the slot that does not hold the current one.
 *  7. When the active groups reach their limit, the pen cleans some of those that
 *     have been idle longest before it activates more.  Groups with ops under way
 *     or with doubts may exceed it.
 *
 * An op announces itself with blkcast_map_begin() as soon as it has arrived, so
 * that no group is cleaned under it; blkcast_map_ready() says whether it may
 * write, or has the pen call its step; blkcast_map_end() when it is done.
 */
#include <linux/mm.h>
#include <linux/moduleparam.h>

#include "link.h"

#define MAP_WALK	4096			/* regions under one hold of the lock */
#define MAP_CLEAN_EVERY	HZ
#define MAP_ACTIVE_LEAST	(2 * BLKCAST_MAP_BATCH)	/* groups, whatever the limit */
#define MAP_IDLE_MOST	3600			/* seconds */

/* Linux writes back every 30 to 35 s what changes all the time in a file. */
static unsigned int map_idle = 40;
module_param(map_idle, uint, 0644);
MODULE_PARM_DESC(map_idle, "seconds without a write before a group is cleaned, 3600 at most");

/* Set a stamp, keep count of doubts.  Caller holds vol->lock. */
void blkcast_map_stamp(struct blkcast_volume *v, u32 region, u64 lsn)
{
	struct blkcast_group *g = &v->map.groups[blkcast_map_group(region)];
	u64 *slot = __blkcast_map_slot(v, region);

	lockdep_assert_held(&v->lock);
	if (v->view_new)
		__blkcast_view_stamping(v, region);
	g->doubts += (lsn == BLKCAST_LSN_DOUBT) - (*slot == BLKCAST_LSN_DOUBT);
	g->entered++;
	*slot = lsn;
}

/* Caller holds vol->lock, or nobody else knows the volume yet. */
void blkcast_map_set_active(struct blkcast_volume *v, u32 group, bool active)
{
	struct blkcast_group *g = &v->map.groups[group];

	v->map.active += active - g->active;
	g->active = active;
}

/* Caller holds vol->lock. */
void blkcast_map_begin(struct blkcast_op *op)
{
	struct blkcast_group *g = &op->vol->map.groups[blkcast_map_group(op->region)];

	lockdep_assert_held(&op->vol->lock);
	g->pending++;
	g->entered++;
}

/* Caller holds vol->lock. */
void blkcast_map_end(struct blkcast_op *op)
{
	struct blkcast_group *g = &op->vol->map.groups[blkcast_map_group(op->region)];

	lockdep_assert_held(&op->vol->lock);
	g->pending--;
	g->entered++;
	g->idle_since = jiffies;
}

/* Keep the region's group active, @n: 1, or cease to.  Caller holds vol->lock. */
void blkcast_map_hold(struct blkcast_volume *v, u32 region, int n)
{
	struct blkcast_group *g = &v->map.groups[blkcast_map_group(region)];

	lockdep_assert_held(&v->lock);
	g->doubts += n;
	g->entered++;
}

static bool map_open(struct blkcast_volume *v, u32 region)
{
	const struct blkcast_group *g = &v->map.groups[blkcast_map_group(region)];

	return g->active && !g->unsure && blkcast_map_touched(v, region);
}

/* Caller holds vol->lock, or nobody else knows the volume yet. */
void blkcast_map_touch(struct blkcast_volume *v, u32 region)
{
	v->map.touched_count += !test_and_set_bit(region, blkcast_map_touched_bits(v));
}

/* Caller holds vol->lock.  Was it touched? */
static bool touched_clear(struct blkcast_volume *v, u32 region)
{
	bool touched = test_and_clear_bit(region, blkcast_map_touched_bits(v));

	v->map.touched_count -= touched;
	return touched;
}

/**
 * blkcast_map_ready() - may the op write to its region now?
 * @op: has begun; its step is what to do then
 *
 * Return: true; or false, and the op's step is called when it may, with
 * op->error set if the metadata could not be written.
 */
bool blkcast_map_ready(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;
	unsigned long flags;
	bool open;

	spin_lock_irqsave(&v->lock, flags);
	open = v->detached || map_open(v, op->region);
	if (v->detached)
		blkcast_map_touch(v, op->region);
	if (!open) {
		list_add_tail(&op->node, &v->map.waiting);
		queue_work(v->map.wq, &v->map.pen_work);
	}
	spin_unlock_irqrestore(&v->lock, flags);
	return open;
}

/* ---- blocks on disk ---- */

struct map_io {
	atomic_t left;
	int error;
	struct completion done;
};

static void map_end_io(struct bio *bio)
{
	struct map_io *io = bio->bi_private;

	if (bio->bi_status)
		io->error = blk_status_to_errno(bio->bi_status);
	bio_put(bio);
	if (atomic_dec_and_test(&io->left))
		complete(&io->done);
}

/* Once: to their other slots, then flush. */
static int blocks_write_once(struct blkcast_volume *v, const u32 *groups,
			struct blkcast_map_block **blocks, u32 n)
{
	struct map_io io = { .left = ATOMIC_INIT(n + 1) };
	u32 mark = blkcast_flush_mark(v), i;
	struct blk_plug plug;

	lockdep_assert_held(&v->map.pen);
	/* Blocks are where the superblock on disk says, or they are lost. */
	io.error = blkcast_super_settle(v);
	if (io.error)
		return io.error;
	init_completion(&io.done);
	blk_start_plug(&plug);
	for (i = 0; i < n; i++) {
		struct blkcast_group *g = &v->map.groups[groups[i]];
		struct blkcast_map_block *b = blocks[i];
		struct bio *bio;

		blkcast_map_seal(b, g->generation + 1);
		bio = bio_alloc(v->meta.bdev, 1,
				REQ_OP_WRITE | REQ_META | REQ_SYNC, GFP_NOIO);
		bio->bi_iter.bi_sector = blkcast_map_pos(v, groups[i], !g->slot) >>
					 SECTOR_SHIFT;
		bio->bi_private = &io;
		bio->bi_end_io = map_end_io;
		__bio_add_page(bio, virt_to_page(b), BLKCAST_BLOCK_SIZE,
			       offset_in_page(b));
		submit_bio(bio);
	}
	blk_finish_plug(&plug);
	if (!atomic_dec_and_test(&io.left))
		wait_for_completion_io(&io.done);
	if (!io.error)
		io.error = blkcast_flush_meta(v, mark);
	if (io.error) {
		vol_err_ratelimited(v, "cannot write the stamp map: %d\n",
				    io.error);
		blkcast_event_error(v, io.error);
		return io.error;
	}
	for (i = 0; i < n; i++) {
		v->map.groups[groups[i]].generation++;
		v->map.groups[groups[i]].slot ^= 1;
	}
	spin_lock_irq(&v->lock);
	for (i = 0; i < n; i++)
		if (v->map.groups[groups[i]].unsure)
			v->map.groups[groups[i]].unsure--;
	v->map.writes += n;
	spin_unlock_irq(&v->lock);
	return 0;
}

static bool groups_unsure(struct blkcast_volume *v, const u32 *groups, u32 n)
{
	bool unsure = false;

	spin_lock_irq(&v->lock);
	while (n--)
		unsure |= v->map.groups[groups[n]].unsure;
	spin_unlock_irq(&v->lock);
	return unsure;
}

/*
 * Write the blocks of @n groups to their other slots, and to both where nobody
 * knows what the slots hold.  Caller holds the pen.  If it fails, the current
 * slots still hold what they held.  Those of a detached device stay as they are, that
 * of what it holds: detach.c, inv. 3.
 */
static int blocks_write(struct blkcast_volume *v, const u32 *groups,
			struct blkcast_map_block **blocks, u32 n)
{
	int err;

	if (READ_ONCE(v->detached))
		return 0;
	do {
		err = blocks_write_once(v, groups, blocks, n);
	} while (!err && groups_unsure(v, groups, n));
	return err;
}

/* ---- cleaning: exact stamps of idle groups ---- */

struct clean_batch {
	u32 n;
	u32 groups[BLKCAST_MAP_BATCH];
	u64 entered[BLKCAST_MAP_BATCH];
};

/* May it be cleaned?  Caller holds vol->lock. */
static bool group_idle(const struct blkcast_group *g)
{
	return g->active && !g->pending && !g->doubts;
}

/* Copy the stamps of groups idle since @cutoff (jiffies), from @*next on. */
static void clean_pick(struct blkcast_volume *v, struct clean_batch *c, u32 *next,
		       unsigned long cutoff)
{
	c->n = 0;
	for (; *next < blkcast_map_groups(v) && c->n < BLKCAST_MAP_BATCH; ++*next) {
		struct blkcast_group *g = &v->map.groups[*next];

		spin_lock_irq(&v->lock);
		if (group_idle(g) && time_before_eq(g->idle_since, cutoff)) {
			blkcast_map_fill(v, *next, false, v->map.blocks[c->n]);
			c->groups[c->n] = *next;
			c->entered[c->n++] = g->entered;
		}
		spin_unlock_irq(&v->lock);
	}
}

/* Keep those that nothing has entered since; they are inactive now. */
static void clean_close(struct blkcast_volume *v, struct clean_batch *c)
{
	u32 i, n = 0;

	spin_lock_irq(&v->lock);
	for (i = 0; i < c->n; i++) {
		struct blkcast_group *g = &v->map.groups[c->groups[i]];

		if (g->entered != c->entered[i] || g->pending)
			continue;
		blkcast_map_set_active(v, c->groups[i], false);
		swap(v->map.blocks[n], v->map.blocks[i]);
		c->groups[n++] = c->groups[i];
	}
	spin_unlock_irq(&v->lock);
	c->n = n;
}

/*
 * Clean what is idle since @cutoff, at most so many batches.  Caller holds the
 * pen.  If the blocks cannot be written the bits on disk stay: more doubt, no loss.
 */
static int clean_groups(struct blkcast_volume *v, unsigned long cutoff, u32 batches)
{
	struct clean_batch c;
	u32 next = 0;
	int err = 0;

	lockdep_assert_held(&v->map.pen);
	if (READ_ONCE(v->detached))
		return 0;
	while (next < blkcast_map_groups(v) && !err && batches--) {
		clean_pick(v, &c, &next, cutoff);
		if (!c.n)
			break;
		err = blkcast_flush(v);
		if (err)
			break;
		clean_close(v, &c);
		if (c.n)
			err = blocks_write(v, c.groups, v->map.blocks, c.n);
	}
	return err;
}

static void clean_work(struct work_struct *work)
{
	struct blkcast_volume *v = container_of(to_delayed_work(work),
						struct blkcast_volume,
						map.clean_work);
	unsigned int idle = min_t(unsigned int, READ_ONCE(map_idle), MAP_IDLE_MOST);

	mutex_lock(&v->map.pen);
	clean_groups(v, jiffies - idle * HZ, UINT_MAX);
	mutex_unlock(&v->map.pen);
	queue_delayed_work(v->map.wq, &v->map.clean_work, MAP_CLEAN_EVERY);
}

/* ---- the limit of active groups ---- */

/* Would one batch more be too many?  Inv. 7. */
static bool active_full(struct blkcast_volume *v)
{
	u64 max;
	bool full;

	spin_lock_irq(&v->lock);
	max = v->map.active_max >> (v->region_shift + SECTOR_SHIFT);
	max = max_t(u64, max / BLKCAST_MAP_STAMPS, MAP_ACTIVE_LEAST);
	full = v->map.active + BLKCAST_MAP_BATCH > max;
	spin_unlock_irq(&v->lock);
	return full;
}

/* Groups idle since then or longer are among the least recently used. */
static unsigned long active_oldest(struct blkcast_volume *v)
{
	unsigned long now = jiffies, oldest = now;
	u32 g;

	for (g = 0; g < blkcast_map_groups(v); g++) {
		spin_lock_irq(&v->lock);
		if (group_idle(&v->map.groups[g]) &&
		    time_before(v->map.groups[g].idle_since, oldest))
			oldest = v->map.groups[g].idle_since;
		spin_unlock_irq(&v->lock);
	}
	return oldest + (now - oldest) / 4;
}

static void active_make_room(struct blkcast_volume *v)
{
	if (active_full(v))
		clean_groups(v, active_oldest(v), 1);
}

/* ---- the pen: before the first write ---- */

static int zero_region(struct blkcast_volume *v, u32 region)
{
	return blkdev_issue_zeroout(v->backing.bdev,
				    v->data_start + blkcast_region_start(v, region),
				    blkcast_region_sectors(v, region),
				    GFP_NOIO, 0);
}

/* Zero what the ops of the list touch first, and flush.  Inv. 2. */
static void pen_zero(struct blkcast_volume *v, struct list_head *ops)
{
	u32 mark = blkcast_flush_mark(v);
	struct blkcast_op *op;
	bool zeroed = false;
	int err;

	list_for_each_entry(op, ops, node) {
		if (blkcast_map_touched(v, op->region) ||
		    test_bit(op->region, v->map.zeroed))
			continue;
		op->error = zero_region(v, op->region);
		if (!op->error) {
			__set_bit(op->region, v->map.zeroed);
			zeroed = true;
		}
	}
	err = zeroed ? blkcast_flush_since(v, mark) : 0;
	if (!err)
		return;
	list_for_each_entry(op, ops, node) {
		__clear_bit(op->region, v->map.zeroed);
		op->error = op->error ?: err;
	}
}

/*
 * Write active bits and touched marks for the groups of as many ops as fit one
 * batch; those ops move from @ops to @done.
 */
static void pen_batch(struct blkcast_volume *v, struct list_head *ops,
		      struct list_head *done)
{
	struct blkcast_map_block **blocks = v->map.blocks;
	u32 groups[BLKCAST_MAP_BATCH], n = 0, i;
	struct blkcast_op *op, *next;
	int err;

	list_for_each_entry_safe(op, next, ops, node) {
		struct blkcast_group *g = &v->map.groups[blkcast_map_group(op->region)];

		if (!op->error && !g->penned) {
			if (n == BLKCAST_MAP_BATCH)
				continue;
			groups[n++] = blkcast_map_group(op->region);
			g->penned = true;
		}
		list_move_tail(&op->node, done);
	}
	spin_lock_irq(&v->lock);
	for (i = 0; i < n; i++)
		blkcast_map_fill(v, groups[i], true, blocks[i]);
	spin_unlock_irq(&v->lock);
	list_for_each_entry(op, done, node)
		for (i = 0; i < n && !op->error; i++)
			if (groups[i] == blkcast_map_group(op->region))
				blkcast_map_block_touch(blocks[i], op->region);
	err = n ? blocks_write(v, groups, blocks, n) : 0;

	spin_lock_irq(&v->lock);
	for (i = 0; i < n; i++) {
		v->map.groups[groups[i]].penned = false;
		if (!err)
			blkcast_map_set_active(v, groups[i], true);
	}
	list_for_each_entry(op, done, node) {
		op->error = op->error ?: err;
		if (!op->error)
			blkcast_map_touch(v, op->region);
	}
	spin_unlock_irq(&v->lock);
	list_for_each_entry(op, done, node)
		__clear_bit(op->region, v->map.zeroed);
}

static void pen_work(struct work_struct *work)
{
	struct blkcast_volume *v = container_of(work, struct blkcast_volume,
						map.pen_work);
	LIST_HEAD(ops);
	LIST_HEAD(done);

	mutex_lock(&v->map.pen);
	spin_lock_irq(&v->lock);
	list_splice_init(&v->map.waiting, &ops);
	spin_unlock_irq(&v->lock);

	pen_zero(v, &ops);
	while (!list_empty(&ops)) {
		active_make_room(v);
		pen_batch(v, &ops, &done);
		spin_lock_irq(&v->lock);
		list_splice_tail_init(&done, &v->ready);
		wake_up(&v->wake);
		spin_unlock_irq(&v->lock);
	}
	mutex_unlock(&v->map.pen);
}

/* ---- doubt ---- */

/* Give up the lock now and then in a walk over all regions. */
static void walk_pause(struct blkcast_volume *v, u32 region)
{
	if (region % MAP_WALK)
		return;
	spin_unlock_irq(&v->lock);
	cond_resched();
	spin_lock_irq(&v->lock);
}

/*
 * Inv. 5: after a failed flush nobody knows what the device holds.  A replica's
 * touched regions of active groups are in doubt, and its link ends before it
 * acknowledges anything more; a primary keeps what it has under a fresh stamp
 * and copies it to every replica again.
 */
void blkcast_map_doubt_active(struct blkcast_volume *v)
{
	struct blkcast_link *l;
	u64 lsn = BLKCAST_LSN_DOUBT;
	bool primary;
	u32 r;

	vol_warn(v, "flush failed: what all active regions hold is not known\n");
	spin_lock_irq(&v->lock);
	blkcast_views_flush_failed(v);
	primary = v->role == BLKCAST_ROLE_PRIMARY;
	list_for_each_entry(l, &v->links, node) {
		if (!primary && !l->local_error)
			l->local_error = -EIO;
		wake_up_all(&l->wake);
	}
	for (r = 0; r < v->regions; r++) {
		walk_pause(v, r);
		primary = v->role == BLKCAST_ROLE_PRIMARY;
		/*
		 * A write that came in a pause must not have the newer stamp,
		 * and no replay may pass over what no entry says.
		 */
		if (primary && !(r % MAP_WALK))
			v->log_floor = lsn = ++v->lsn;
		if (!v->map.groups[blkcast_map_group(r)].active ||
		    !test_bit(r, blkcast_map_touched_bits(v)))
			continue;
		blkcast_map_stamp(v, r, lsn);
		list_for_each_entry(l, &v->links, node)
			blkcast_resync_dirty(l, r);
	}
	/* One that began meanwhile has old stamps. */
	blkcast_views_flush_failed(v);
	spin_unlock_irq(&v->lock);
	blkcast_write_reached(v);
}

/* Is a stamp of a reign that comes after the @common ones? */
static bool reign_unknown(u32 common, u64 stamp)
{
	return stamp != BLKCAST_LSN_NEVER && stamp != BLKCAST_LSN_DOUBT &&
	       blkcast_lsn_term(stamp) > common;
}

/* Set the active bit of one group on disk if it is not.  Holds the pen. */
static int group_activate(struct blkcast_volume *v, u32 group)
{
	int err;

	if (v->map.groups[group].active && !v->map.groups[group].unsure)
		return 0;
	spin_lock_irq(&v->lock);
	blkcast_map_fill(v, group, true, v->map.blocks[0]);
	spin_unlock_irq(&v->lock);
	err = blocks_write(v, &group, v->map.blocks, 1);
	if (err)
		return err;
	spin_lock_irq(&v->lock);
	blkcast_map_set_active(v, group, true);
	spin_unlock_irq(&v->lock);
	return 0;
}

/* Is a region in doubt that was never written here? */
static bool group_has_hole(struct blkcast_volume *v, u32 group)
{
	u32 r = blkcast_map_first(group), end = r + blkcast_map_group_size(v, group);
	bool hole = false;

	spin_lock_irq(&v->lock);
	for (; r < end && !hole; r++)
		hole = blkcast_map_get(v, r) == BLKCAST_LSN_DOUBT &&
		       !blkcast_map_touched(v, r);
	spin_unlock_irq(&v->lock);
	return hole;
}

/**
 * blkcast_map_keep_doubts() - make what is in doubt in memory so on disk
 * @v: the volume
 *
 * A write that failed because its group's active bit could not be set leaves a
 * doubt in an inactive group.  One that failed to enter a region for the first time
 * leaves one where no touched mark keeps it: the copy lacks a write and says so.
 * Caller does not hold the pen.
 */
int blkcast_map_keep_doubts(struct blkcast_volume *v)
{
	bool hole = false;
	int err = 0;
	u32 g;

	mutex_lock(&v->map.pen);
	for (g = 0; g < blkcast_map_groups(v) && !err; g++) {
		if (!READ_ONCE(v->map.groups[g].doubts))
			continue;
		hole |= group_has_hole(v, g);
		err = group_activate(v, g);
	}
	mutex_unlock(&v->map.pen);
	if (hole && !err)
		err = blkcast_super_set_flags(v, BLKCAST_SUPER_INCONSISTENT, 0);
	return err;
}

/**
 * blkcast_map_doubt_reigns() - put what another history does not share in doubt
 * @v: the volume
 * @history: of the primary that is about to be followed
 * @count: its reigns
 *
 * Rule 22: durable before the history is adopted.  No op may be pending.
 */
int blkcast_map_doubt_reigns(struct blkcast_volume *v,
			     const struct blkcast_reign *history, u32 count)
{
	u32 common = blkcast_super_common_term(v, history, count);
	u64 branch = blkcast_super_branch(v, history, count);
	u32 r, n = 0, newer = 0, doubts = 0;
	int err = 0;
	u64 stamp;

	mutex_lock(&v->map.pen);
	for (r = 0; r < v->regions && !err; r++) {
		if (!(r % MAP_WALK))
			cond_resched();
		stamp = *__blkcast_map_slot(v, r);
		if (stamp == BLKCAST_LSN_DOUBT)
			doubts++;
		else if (stamp > branch)
			newer++;
		/* One that an earlier try could not make durable comes again. */
		if (!reign_unknown(common, stamp) &&
		    !(stamp == BLKCAST_LSN_DOUBT &&
		      !v->map.groups[blkcast_map_group(r)].active))
			continue;
		err = group_activate(v, blkcast_map_group(r));
		if (err)
			break;
		spin_lock_irq(&v->lock);
		blkcast_map_stamp(v, r, BLKCAST_LSN_DOUBT);
		spin_unlock_irq(&v->lock);
		n++;
	}
	mutex_unlock(&v->map.pen);
	if (n)
		vol_info(v, "%u regions of a reign the primary does not know\n", n);
	if (blkcast_super_flags(v) & BLKCAST_SUPER_OWN && newer + doubts)
		vol_info(v, "gives up what it alone wrote, if any: %u regions (%llu KiB) newer than the primary's reign, %u in doubt\n",
			 newer, (u64)newer << (v->region_shift - 1), doubts);
	return err;
}

/* How many regions would be compared after a crash now. */
u32 blkcast_map_exposed(struct blkcast_volume *v)
{
	u32 g, r, n = 0;

	spin_lock_irq(&v->lock);
	for (g = 0; g < blkcast_map_groups(v); g++) {
		walk_pause(v, blkcast_map_first(g));
		if (!v->map.groups[g].active)
			continue;
		for (r = blkcast_map_first(g); r < blkcast_map_first(g) + blkcast_map_group_size(v, g); r++)
			n += test_bit(r, blkcast_map_touched_bits(v));
	}
	spin_unlock_irq(&v->lock);
	return n;
}

/* Is any region in doubt? */
bool blkcast_map_in_doubt(struct blkcast_volume *v)
{
	bool doubt = false;
	u32 g;

	spin_lock_irq(&v->lock);
	for (g = 0; g < blkcast_map_groups(v) && !doubt; g++)
		doubt = v->map.groups[g].doubts;
	spin_unlock_irq(&v->lock);
	return doubt;
}

/* vol->lsn is that of the newest write here.  No op is pending. */
void blkcast_map_newest(struct blkcast_volume *v)
{
	u64 newest = 0;
	u32 r;

	spin_lock_irq(&v->lock);
	for (r = 0; r < v->regions; r++) {
		walk_pause(v, r);
		if (blkcast_map_get(v, r) != BLKCAST_LSN_DOUBT)
			newest = max(newest, blkcast_map_get(v, r));
	}
	v->lsn = newest;
	spin_unlock_irq(&v->lock);
}

/* A new primary keeps its content: its doubts get a fresh stamp. */
void blkcast_map_settle_doubt(struct blkcast_volume *v, u64 lsn)
{
	u32 r, n = 0;

	spin_lock_irq(&v->lock);
	for (r = 0; r < v->regions; r++) {
		walk_pause(v, r);
		if (blkcast_map_get(v, r) != BLKCAST_LSN_DOUBT)
			continue;
		blkcast_map_stamp(v, r, test_bit(r, blkcast_map_touched_bits(v)) ?
				  lsn : BLKCAST_LSN_NEVER);
		n++;
	}
	spin_unlock_irq(&v->lock);
	if (n)
		vol_info(v, "%u regions in doubt keep this copy's content\n", n);
}

/**
 * blkcast_map_forget() - make a region one that was never written
 * @v: the volume
 * @region: its number
 *
 * Rule 4: durable when this returns.  No op may be pending in the region.
 */
int blkcast_map_forget(struct blkcast_volume *v, u32 region)
{
	u32 group = blkcast_map_group(region);
	bool touched;
	int err;

	mutex_lock(&v->map.pen);
	spin_lock_irq(&v->lock);
	touched = touched_clear(v, region);
	blkcast_map_stamp(v, region, BLKCAST_LSN_NEVER);
	blkcast_map_fill(v, group, v->map.groups[group].active, v->map.blocks[0]);
	spin_unlock_irq(&v->lock);
	err = blocks_write(v, &group, v->map.blocks, 1);
	if (err && touched) {
		spin_lock_irq(&v->lock);
		blkcast_map_touch(v, region);
		blkcast_map_stamp(v, region, BLKCAST_LSN_DOUBT);
		/* Which slot a reader takes is not known: the next op pens. */
		v->map.groups[group].unsure = 1;
		spin_unlock_irq(&v->lock);
	}
	mutex_unlock(&v->map.pen);
	return err;
}

/**
 * blkcast_map_truncate() - forget all from a new end on
 * @v: the volume
 * @sectors: its new size, less than now
 * @regions: that go with it
 *
 * No op is pending and nobody writes.  The block of the group that has lost a
 * part is written, so that no mark of what was there is left for a volume that
 * grows again.
 */
int blkcast_map_truncate(struct blkcast_volume *v, u64 sectors, u32 regions)
{
	u32 group = blkcast_map_group(regions - 1), end, r, g;
	int err;

	mutex_lock(&v->map.pen);
	spin_lock_irq(&v->lock);
	end = v->regions;
	blkcast_views_shrunk(v, sectors);
	v->sectors = sectors;
	v->regions = regions;
	for (r = regions; r < end; r++) {
		walk_pause(v, r);
		touched_clear(v, r);
		blkcast_map_stamp(v, r, BLKCAST_LSN_NEVER);
	}
	for (g = group + 1; g <= blkcast_map_group(end - 1); g++)
		blkcast_map_set_active(v, g, false);
	blkcast_map_fill(v, group, v->map.groups[group].active, v->map.blocks[0]);
	spin_unlock_irq(&v->lock);
	err = blocks_write(v, &group, v->map.blocks, 1);
	mutex_unlock(&v->map.pen);
	return err;
}

/* ---- loading and closing ---- */

/**
 * blkcast_map_load() - read the map and start the pen
 * @v: its superblock is loaded
 *
 * Sets vol->lsn to the newest stamp.  Return: 0 or a negative errno; the caller
 * then calls blkcast_map_free().
 */
int blkcast_map_load(struct blkcast_volume *v)
{
	struct blkcast_map_arrays arrays = {};
	struct blkcast_map *m = &v->map;
	int err;
	u32 i;

	mutex_init(&m->pen);
	INIT_LIST_HEAD(&m->waiting);
	m->active_max = BLKCAST_ACTIVE_DEFAULT;
	INIT_WORK(&m->pen_work, pen_work);
	INIT_DELAYED_WORK(&m->clean_work, clean_work);
	for (i = 0; i < BLKCAST_MAP_BATCH; i++) {
		m->blocks[i] = (void *)__get_free_page(GFP_KERNEL);
		if (!m->blocks[i])
			return -ENOMEM;
	}
	m->wq = alloc_ordered_workqueue("blkcast-pen/%s", WQ_MEM_RECLAIM, v->name);
	if (!m->wq)
		return -ENOMEM;
	err = blkcast_map_arrays_alloc(&arrays, 0, v->regions);
	if (!err) {
		spin_lock_irq(&v->lock);
		blkcast_map_arrays_install(v, &arrays);
		spin_unlock_irq(&v->lock);
	}
	blkcast_map_arrays_free(&arrays);
	return err ?: blkcast_map_read(v);
}

/**
 * blkcast_map_clean() - write exact stamps of all groups
 * @v: the volume; no op is pending
 *
 * Return: 0, all that is not in doubt is exact on disk; or a negative errno.
 */
int blkcast_map_clean(struct blkcast_volume *v)
{
	int err;

	mutex_lock(&v->map.pen);
	err = clean_groups(v, jiffies, UINT_MAX);
	mutex_unlock(&v->map.pen);
	return err ?: blkcast_map_keep_doubts(v);
}

/* ... and let nobody change it any more. */
int blkcast_map_close(struct blkcast_volume *v)
{
	cancel_delayed_work_sync(&v->map.clean_work);
	flush_workqueue(v->map.wq);
	return blkcast_map_clean(v);
}

void blkcast_map_free(struct blkcast_volume *v)
{
	struct blkcast_map *m = &v->map;
	struct blkcast_map_arrays arrays = {
		.stamps = m->stamps,
		.touched = rcu_dereference_protected(m->touched, true),
		.zeroed = m->zeroed,
		.groups = m->groups,
		.room = m->room,
	};
	u32 i;

	if (m->wq)
		destroy_workqueue(m->wq);
	for (i = 0; i < BLKCAST_MAP_BATCH; i++)
		free_page((unsigned long)m->blocks[i]);
	blkcast_map_arrays_free(&arrays);
}
