// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Read repair, on the primary: what the device here cannot read is read from a
 * replica, and written here anew.
 *
 *	blkcast_repair_read()	a read failed (reads.c): it queues for one of REPAIRS slots
 *	repair_work()		  in pieces of REPAIR_PAGES:
 *	  replica_read()	wait until no write is under way in the range; note the
 *				position of the stream; READ stands there in a link's
 *				stream; DATA comes back
 *				the reader has his answer
 *	  write_back()		through the pen and the range lock like a write; read
 *				again, compare
 *
 * Of a device that fails or is detached (detach.c) all is bad: nothing is written back, and a region
 * that another replica needs comes by blkcast_repair_load().
 *
 *  Rules 29 and 30 in parts:
 *
 *  1. READ stands behind every write that was completed here when the range was free,
 *     all from before the read began among them, and ahead of all later ones; the
 *     replica answers when it has applied the former (answer.c).  So with ack=local as
 *     well the reader sees nothing older.
 *  2. Only a link that follows the stream is asked, about a region that is not dirty.
 *     A READ that is not out when the link falls behind is not sent any more.
 *  3. Nothing is locked while the network is waited for: writers go on.  So what has
 *     come is written back, under the range lock, only if the region still has the
 *     stamp that it had at READ's place: nothing was written in between and nothing
 *     was restamped by a failure.  It is then the region's content by that very stamp:
 *     whoever copies the region meanwhile gets it or an error, nothing third.
 *  4. A range that is being written back, could not be, or does not read back, is
 *     *bad*: no read or copy takes it from this device before something has been
 *     written there with success, and its group stays active (map.c, inv. 4).  It has
 *     no fresh stamp: no replica is given the content of a region that is not known
 *     (rule 9).  Its regions are in doubt when the reign ends, and such a reign is not
 *     laid down.  If there is no room to note one more, nothing is written back.
 *  5. Memory: clones come from a pool of their own, which repairs give back to as long
 *     as links answer or fail; the slots and their pages come with the first link.
 *     A replica that leaves a READ without an answer loses its link by the timeout.
 */
#include <linux/crc32c.h>
#include <linux/highmem.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "repair.h"

#define READ_AGAIN	(HZ / 10)

static struct workqueue_struct *repair_wq;

/* Caller holds vol->lock. */
void blkcast_repair_status(struct blkcast_volume *v, struct blkcast_read_fails *f)
{
	struct blkcast_repairs *rs = v->repairs;
	u32 i;

	lockdep_assert_held(&v->lock);
	memset(f, 0, sizeof(*f));
	if (!rs)
		return;
	*f = rs->fails;
	for (i = 0; i < rs->bads; i++)
		f->bad += (rs->bad[i].to - rs->bad[i].from) << SECTOR_SHIFT;
}

/* ---- asking a replica ---- */

static bool link_tried(const struct blkcast_repair *r, const struct blkcast_link *l)
{
	u32 i;

	for (i = 0; i < r->tries; i++)
		if (r->tried[i] == l->id)
			return true;
	return false;
}

/* Inv. 2. */
static bool link_serves(const struct blkcast_repair *r, const struct blkcast_link *l)
{
	return l->state >= BLKCAST_LINK_JOINING && l->flags & BLKCAST_F_READS &&
	       !l->handover && !test_bit(r->op.region, l->dirty) &&
	       r->op.sector + r->op.sectors <= l->sectors && !link_tried(r, l);
}

/* The one that has least to catch up.  Caller holds vol->lock. */
static struct blkcast_link *link_pick(const struct blkcast_repair *r)
{
	struct blkcast_link *l, *best = NULL;

	if (r->tries == LINKS_TRIED)
		return NULL;
	list_for_each_entry(l, &r->vol->links, node)
		if (link_serves(r, l) && (!best || l->applied > best->applied))
			best = l;
	return best;
}

static void op_granted(struct blkcast_op *op)
{
	struct blkcast_repair *r = container_of(op, struct blkcast_repair, op);

	complete(&r->granted);
}

/* The op is for this range from now on. */
static void op_aim(struct blkcast_repair *r, sector_t sector, u32 bytes)
{
	struct blkcast_op *op = &r->op;

	blkcast_op_init(op, r->vol, BLKCAST_OP_WRITE);
	blkcast_op_set_range(op, sector, bytes >> SECTOR_SHIFT);
	op->nr_pages = DIV_ROUND_UP(bytes, PAGE_SIZE);
	memcpy(op->pages, r->pages, sizeof(r->pages));
	op->step = op_granted;
}

/* Wait for the range; @write: and announce that it is written to. */
static void range_hold(struct blkcast_repair *r, bool write)
{
	struct blkcast_volume *v = r->vol;
	bool mine;

	reinit_completion(&r->granted);
	spin_lock_irq(&v->lock);
	if (write)
		blkcast_map_begin(&r->op);
	mine = blkcast_range_enter(&r->op);
	spin_unlock_irq(&v->lock);
	if (!mine)
		wait_for_completion(&r->granted);
}

/*
 * Inv. 1: the place is noted, and taken, before another write has its LSN.  @held: the
 * caller has the region.
 */
static struct blkcast_link *read_ask(struct blkcast_repair *r, bool held)
{
	struct blkcast_volume *v = r->vol;
	struct blkcast_link *l;

	reinit_completion(&r->answered);
	if (!held)
		range_hold(r, false);
	spin_lock_irq(&v->lock);
	l = link_pick(r);
	if (l) {
		r->tried[r->tries++] = l->id;
		r->position = v->lsn;
		r->stamp = blkcast_map_get(v, r->op.region);
		r->seq = 0;
		r->error = 0;
		list_add_tail(&r->node, &l->reads_due);
		wake_up(&l->wake);
	}
	if (!held)
		blkcast_range_leave(&r->op);
	spin_unlock_irq(&v->lock);
	return l;
}

/* Read the op's range from one replica after the other. */
static int replica_read(struct blkcast_repair *r, bool held)
{
	r->error = -ENOLINK;
	r->tries = 0;
	while (read_ask(r, held)) {
		wait_for_completion(&r->answered);
		if (!READ_ONCE(r->error))
			return 0;
	}
	return r->error;
}

/* It is over with this link.  Caller holds vol->lock. */
static void read_over(struct blkcast_repair *r, int error)
{
	list_del_init(&r->node);
	r->error = error;
	complete(&r->answered);
}

/* ---- the link's part ---- */

/* A READ whose place the stream has come to, or NULL.  Caller holds vol->lock. */
static struct blkcast_repair *read_due(struct blkcast_link *l)
{
	struct blkcast_repair *r;

	lockdep_assert_held(&l->vol->lock);
	r = list_first_entry_or_null(&l->reads_due, struct blkcast_repair, node);
	return r && (!l->next || l->next->lsn > r->position) ? r : NULL;
}

bool blkcast_repair_due(struct blkcast_link *l)
{
	return read_due(l);
}

/*
 * What has to go out before the next entry is taken: the sender asks each time.
 * Caller holds vol->lock.
 */
struct blkcast_repair *blkcast_repair_take(struct blkcast_link *l)
{
	struct blkcast_repair *r = read_due(l);

	if (r) {
		list_move_tail(&r->node, &l->reads_sent);
		r->since = ktime_get_ns();
		r->seq = l->tx_seq + 1;
	}
	return r;
}

/* Its frame is the next one.  Nobody else touches it before the answer. */
int blkcast_repair_send(struct blkcast_link *l, const struct blkcast_repair *r)
{
	struct blkcast_frame f = {
		.type = cpu_to_le16(BLKCAST_FRAME_READ),
		.sector = cpu_to_le64(r->op.sector),
		.sectors = cpu_to_le32(r->op.sectors),
	};

	return blkcast_frame_send(l, &f, NULL, false);
}

static struct blkcast_repair *read_find(struct blkcast_link *l, u64 seq)
{
	struct blkcast_repair *r, *found = NULL;

	spin_lock_irq(&l->vol->lock);
	list_for_each_entry(r, &l->reads_sent, node)
		if (r->seq == seq)
			found = r;
	spin_unlock_irq(&l->vol->lock);
	return found;
}

/* Once a second at most.  Caller holds vol->lock. */
static void served_tell(const struct blkcast_repair *r, const struct blkcast_link *l)
{
	struct blkcast_repairs *rs = l->vol->repairs;
	u64 now = ktime_get_ns();

	if (rs->told && now - rs->told < NSEC_PER_SEC)
		return;
	rs->told = now;
	vol_warn(l->vol, "%u sectors at %llu that cannot be read here come from link %s\n",
		 r->op.sectors, (u64)r->op.sector, l->name);
	blkcast_event(l->vol, BLKCAST_EVENT_READ, l->name, 0);
}

/* The receiver's part.  An answer that was not asked for ends the link. */
int blkcast_repair_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	struct blkcast_repair *r = read_find(l, le64_to_cpu(f->lsn));
	u32 sectors = le32_to_cpu(f->sectors);
	int err = 0;

	if (!r || f->flags || le64_to_cpu(f->sector) != r->op.sector ||
	    (sectors && sectors != r->op.sectors) ||
	    le32_to_cpu(f->length) != sectors << SECTOR_SHIFT)
		return -EPROTO;
	if (sectors)
		err = blkcast_frame_recv_op(l, f, &r->op);
	if (err)
		return err;
	spin_lock_irq(&l->vol->lock);
	if (sectors)
		served_tell(r, l);
	read_over(r, sectors ? 0 : -EIO);
	spin_unlock_irq(&l->vol->lock);
	return 0;
}

/* Inv. 2: the link does not follow the stream any more.  Holds vol->lock. */
void blkcast_repair_behind(struct blkcast_link *l)
{
	struct blkcast_repair *r, *next;

	lockdep_assert_held(&l->vol->lock);
	list_for_each_entry_safe(r, next, &l->reads_due, node)
		read_over(r, -EAGAIN);
}

/* No thread of the link is left. */
void blkcast_repair_end(struct blkcast_link *l)
{
	struct blkcast_repair *r, *next;

	spin_lock_irq(&l->vol->lock);
	blkcast_repair_behind(l);
	list_for_each_entry_safe(r, next, &l->reads_sent, node)
		read_over(r, -ENOLINK);
	spin_unlock_irq(&l->vol->lock);
}

/*
 * Has the oldest READ been out too long?  One that stands behind much that has to be
 * applied first has time as long as that moves on.  Caller holds vol->lock.
 */
bool blkcast_repair_stuck(struct blkcast_link *l)
{
	u64 limit = (u64)l->timeout * NSEC_PER_MSEC, now = ktime_get_ns();
	struct blkcast_repair *r;

	lockdep_assert_held(&l->vol->lock);
	r = list_first_entry_or_null(&l->reads_sent, struct blkcast_repair, node);
	return r && now - r->since > limit && now - l->progress_when > limit;
}

/* ---- writing it back ---- */

static void io_end(struct blkcast_op *op, int error)
{
	struct blkcast_repair *r = container_of(op, struct blkcast_repair, op);

	r->io_error = error;
	complete(&r->granted);
}

static int device_io(struct blkcast_repair *r, bool write)
{
	reinit_completion(&r->granted);
	r->op.end = io_end;
	if (write)
		/* Not by way of the views: it is what they show already. */
		blkcast_op_submit(&r->op, 0);
	else
		blkcast_op_read(&r->op);
	wait_for_completion_io(&r->granted);
	return r->io_error;
}

static u32 pages_crc(const struct blkcast_repair *r)
{
	u32 left = blkcast_op_bytes(&r->op), crc = ~0;
	unsigned int i;

	for (i = 0; i < r->op.nr_pages; i++) {
		u32 n = min_t(u32, left, PAGE_SIZE);
		void *p = kmap_local_page(r->pages[i]);

		crc = crc32c(crc, p, n);
		kunmap_local(p);
		left -= n;
	}
	return crc;
}

/* Write what is in the pages, and see that it is there. */
static int device_write(struct blkcast_repair *r)
{
	u32 crc = pages_crc(r);
	int err;

	err = device_io(r, true) ?: device_io(r, false);
	if (!err && pages_crc(r) != crc)
		err = -EILSEQ;
	if (err)
		vol_err_ratelimited(r->vol, "%u sectors at %llu cannot be written here anew: %d\n",
				    r->op.sectors, (u64)r->op.sector, err);
	return err;
}

/*
 * Inv. 3: may it be written?  The range is held.  Then it is bad until that has gone
 * well: inv. 4.
 */
static bool write_begin(struct blkcast_repair *r)
{
	struct blkcast_volume *v = r->vol;
	bool may;

	spin_lock_irq(&v->lock);
	may = !r->op.error && !v->failing && !v->detached && blkcast_map_get(v, r->op.region) == r->stamp &&
	      blkcast_bad_add(v->repairs, &r->op);
	spin_unlock_irq(&v->lock);
	return may;
}

/* The range is let go. */
static void write_over(struct blkcast_repair *r, bool repaired)
{
	struct blkcast_volume *v = r->vol;

	spin_lock_irq(&v->lock);
	if (repaired) {
		__blkcast_repair_written(&r->op);
		v->repairs->fails.repaired++;
	}
	blkcast_range_leave(&r->op);
	blkcast_map_end(&r->op);
	spin_unlock_irq(&v->lock);
}

static void write_back(struct blkcast_repair *r)
{
	range_hold(r, true);
	reinit_completion(&r->granted);
	if (!blkcast_map_ready(&r->op))
		wait_for_completion(&r->granted);
	write_over(r, write_begin(r) && !device_write(r));
}

/* ---- a read that has failed ---- */

/* The next @bytes of the bio are what the pages hold. */
static void bio_fill(const struct blkcast_repair *r, struct bio *bio,
		     struct bvec_iter *iter, u32 bytes)
{
	u32 at = 0, n;

	for (; at < bytes; at += n) {
		struct bio_vec bv = bio_iter_iovec(bio, *iter);

		n = min3(bytes - at, bv.bv_len,
			 (u32)(PAGE_SIZE - offset_in_page(at)));
		memcpy_page(bv.bv_page, bv.bv_offset, r->pages[at / PAGE_SIZE],
			    offset_in_page(at), n);
		flush_dcache_page(bv.bv_page);
		bio_advance_iter(bio, iter, n);
	}
}

static void read_count(struct blkcast_volume *v, bool served)
{
	struct blkcast_read_fails *f = &v->repairs->fails;

	spin_lock_irq(&v->lock);
	if (served)
		f->served++;
	else
		f->failed++;
	spin_unlock_irq(&v->lock);
}

/* Answer the reader; neither bio is there afterwards. */
static void read_answer(struct blkcast_volume *v, struct bio *clone, bool served)
{
	read_count(v, served);
	if (served)
		clone->bi_status = BLK_STS_OK;
	blkcast_read_done(clone);
}

static void read_tell(struct blkcast_volume *v, const struct bio *clone)
{
	const struct bio *bio = clone->bi_private;
	int error = blk_status_to_errno(clone->bi_status);

	vol_err_ratelimited(v, "read of %u sectors at %llu failed here: %d\n",
			    bio_sectors(bio), (u64)bio->bi_iter.bi_sector, error);
	blkcast_event_error(v, error);
}

/* With a detached device readers fare as writers do when no replica is there. */
static bool read_waits(struct blkcast_repair *r)
{
	struct blkcast_volume *v = r->vol;
	bool waits;

	spin_lock_irq(&v->lock);
	waits = (v->detached || v->failing) && v->accepting && r->error != -EIO &&
		v->on_loss == BLKCAST_ON_LOSS_SUSPEND;
	spin_unlock_irq(&v->lock);
	if (waits)
		schedule_timeout_uninterruptible(READ_AGAIN);
	return waits;
}

/* The device may not have been asked, as it failed something else, and be well again. */
static bool read_again(struct blkcast_repair *r)
{
	return !blkcast_repair_bad(r->vol, r->op.sector, r->op.sectors) &&
	       !device_io(r, false);
}

static void read_serve(struct blkcast_repair *r, struct bio *clone)
{
	struct bio *bio = clone->bi_private;
	struct bvec_iter iter = bio->bi_iter;
	u32 bytes;

	if (!blkcast_repair_over(r->vol))
		read_tell(r->vol, clone);
	do {
		sector_t sector = iter.bi_sector;
		bool here = false;

		bytes = min_t(u32, iter.bi_size, REPAIR_BYTES);
		op_aim(r, sector, bytes);
		while (replica_read(r, false)) {
			if (read_waits(r))
				continue;
			here = read_again(r);
			if (here)
				break;
			read_answer(r->vol, clone, false);
			return;
		}
		bio_fill(r, bio, &iter, bytes);
		/* The reader does not wait for a device that may be slow to fail. */
		if (!iter.bi_size)
			read_answer(r->vol, clone, true);
		if (!here && !blkcast_repair_over(r->vol))
			write_back(r);
	} while (iter.bi_size);
}

/* The next one, or an end.  @ended: one that has come to its. */
static struct bio *waiting_take(struct blkcast_repair *r, bool ended)
{
	struct blkcast_volume *v = r->vol;
	struct bio *clone;

	spin_lock_irq(&v->lock);
	clone = bio_list_pop(&v->repairs->waiting);
	if (!clone)
		r->busy = false;
	/* The last one lets the volume go: not a look at it afterwards. */
	if (ended && !--v->ops)
		wake_up(&v->idle);
	spin_unlock_irq(&v->lock);
	return clone;
}

static void repair_work(struct work_struct *work)
{
	struct blkcast_repair *r = container_of(work, struct blkcast_repair, work);
	unsigned int noio = memalloc_noio_save();
	struct bio *clone = waiting_take(r, false);

	while (clone) {
		read_serve(r, clone);
		clone = waiting_take(r, true);
	}
	memalloc_noio_restore(noio);
}

/**
 * blkcast_repair_read() - answer a read that has failed here
 * @v: the volume; blkcast_repair_guards() was true when the read began
 * @clone: with its error; ours from now on, ends in blkcast_read_done()
 *
 * Any context.
 */
void blkcast_repair_read(struct blkcast_volume *v, struct bio *clone)
{
	struct blkcast_repairs *rs = v->repairs;
	struct blkcast_repair *r = rs->slot;
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	v->ops++;
	bio_list_add(&rs->waiting, clone);
	while (r < rs->slot + REPAIRS && r->busy)
		r++;
	if (r < rs->slot + REPAIRS) {
		r->busy = true;
		queue_work(repair_wq, &r->work);
	}
	spin_unlock_irqrestore(&v->lock, flags);
}

/* ---- a region that another replica needs ---- */

/* Can such a region be had, for this link? */
bool blkcast_repair_source(const struct blkcast_link *l)
{
	struct blkcast_volume *v = l->vol;
	const struct blkcast_link *other;
	bool there;

	spin_lock_irq(&v->lock);
	there = !v->detached && !v->detaching;
	list_for_each_entry(other, &v->links, node)
		there |= other != l && other->state >= BLKCAST_LINK_JOINING &&
			 other->flags & BLKCAST_F_READS;
	spin_unlock_irq(&v->lock);
	return there;
}

static void pages_copy(const struct blkcast_repair *r, void *to)
{
	u32 bytes = blkcast_op_bytes(&r->op), at;

	for (at = 0; at < bytes; at += PAGE_SIZE)
		memcpy_from_page(to + at, r->pages[at / PAGE_SIZE], 0,
				 min_t(u32, bytes - at, PAGE_SIZE));
}

/**
 * blkcast_repair_load() - read a region from a replica
 * @v: a primary whose device is detached
 * @region: held by the caller, with no write in flight; has been written
 * @buf: has room for it
 *
 * Return: 0, or a negative errno.
 */
int blkcast_repair_load(struct blkcast_volume *v, u32 region, void *buf)
{
	u32 bytes = blkcast_region_sectors(v, region) << SECTOR_SHIFT, at, n;
	struct blkcast_repair *r = &v->repairs->slot[REPAIRS];
	int err = 0;

	mutex_lock(&v->repairs->loading);
	for (at = 0; at < bytes && !err; at += n) {
		n = min_t(u32, bytes - at, REPAIR_BYTES);
		op_aim(r, blkcast_region_start(v, region) + (at >> SECTOR_SHIFT), n);
		err = replica_read(r, true);
		if (!err)
			pages_copy(r, buf + at);
	}
	mutex_unlock(&v->repairs->loading);
	return err;
}

/**
 * blkcast_repair_guards() - is a read that fails here worth an attempt elsewhere?
 * @v: the volume
 *
 * Return: true: or it is to be kept from here, where blkcast_repair_bad() says so.
 */
bool blkcast_repair_guards(struct blkcast_volume *v)
{
	struct blkcast_repairs *rs = READ_ONCE(v->repairs);

	return rs && READ_ONCE(v->role) == BLKCAST_ROLE_PRIMARY &&
	       (!list_empty(&v->links) || READ_ONCE(rs->bads) || blkcast_repair_over(v));
}

/* ---- what a volume needs ---- */

static void repairs_free(struct blkcast_repairs *rs)
{
	u32 i, k;

	for (i = 0; rs && i <= REPAIRS; i++)
		for (k = 0; k < REPAIR_PAGES; k++)
			if (rs->slot[i].pages[k])
				__free_page(rs->slot[i].pages[k]);
	kvfree(rs);
}

static int slot_init(struct blkcast_repair *r, struct blkcast_volume *v)
{
	u32 k;

	r->vol = v;
	INIT_WORK(&r->work, repair_work);
	INIT_LIST_HEAD(&r->node);
	init_completion(&r->granted);
	init_completion(&r->answered);
	for (k = 0; k < REPAIR_PAGES; k++) {
		r->pages[k] = alloc_page(GFP_KERNEL);
		if (!r->pages[k])
			return -ENOMEM;
	}
	return 0;
}

/* A primary gets a link.  Caller holds vol->admin. */
int blkcast_repairs_init(struct blkcast_volume *v)
{
	struct blkcast_repairs *rs;
	int err = 0;
	u32 i;

	lockdep_assert_held(&v->admin);
	if (v->repairs)
		return 0;
	rs = kvzalloc(sizeof(*rs), GFP_KERNEL);
	if (!rs)
		return -ENOMEM;
	mutex_init(&rs->loading);
	for (i = 0; i <= REPAIRS && !err; i++)
		err = slot_init(&rs->slot[i], v);
	if (err) {
		repairs_free(rs);
		return err;
	}
	/* Pairs with who finds it by READ_ONCE(). */
	smp_store_release(&v->repairs, rs);
	return 0;
}

/* No op is left: the last words of those who had one. */
void blkcast_repairs_stop(struct blkcast_volume *v)
{
	u32 i;

	for (i = 0; v->repairs && i < REPAIRS; i++)
		flush_work(&v->repairs->slot[i].work);
}

void blkcast_repairs_free(struct blkcast_volume *v)
{
	repairs_free(v->repairs);
}

int __init blkcast_repair_init(void)
{
	repair_wq = alloc_workqueue("blkcast-repair", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return repair_wq ? 0 : -ENOMEM;
}

void blkcast_repair_exit(void)
{
	destroy_workqueue(repair_wq);
}
