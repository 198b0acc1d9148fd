// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A write's way on the primary.
 *
 *	submit_bio		split at region boundaries; an op for each piece, if
 *				the policy lets it in, now or later (policy.c)
 *	write_begin		PREFLUSH: a flush goes first
 *	write_enter		queue behind overlapping writes (range.c)
 *	write_granted		the region's active bit and touched mark (map.c)
 *	write_commit		room in the backlog, one copy of the data, then in
 *				one step under vol->lock: LSN, stamp, backlog
 *	  local I/O		  links send from the backlog (stream.c)
 *	write_end		  acknowledgements: blkcast_write_reached()
 *	op_complete		both have come: the bio ends
 *
 * Steps run one at a time, so LSN order is backlog order is stream order: in the
 * volume's thread; or where the write comes in if nothing is ahead of it, as long as it
 * need not wait.  Reads have their own way: reads.c.
 *
 * A flush is an entry of the stream with an LSN of its own: a replica flushes
 * there before it applies anything behind.  It completes when the local device
 * has flushed, and the replicas have done what policy.c asks of them.  A FUA write
 * is a FUA write here, if the device can do that without a flush, and a write with
 * a flush behind it in the stream.
 *
 * A write that the backing device refuses fails; its region gets a fresh stamp
 * and turns dirty on every link, for nobody knows what it holds now (rule 9).  Unless
 * the device may be given up: then it waits for that (detach.c).
 */
#include <linux/highmem.h>
#include <linux/part_stat.h>

#include "link.h"
#include "trace.h"

/* For /sys/block/.../stat.  A flush counts when it is over, and among flushes. */
static void account_begin(struct blkcast_op *op)
{
	if (op->kind != BLKCAST_OP_FLUSH)
		op->since = bio_start_io_acct(op->bio);
}

static void account_end(struct blkcast_op *op)
{
	struct block_device *bdev = op->bio->bi_bdev;

	if (op->kind != BLKCAST_OP_FLUSH) {
		bio_end_io_acct(op->bio, op->since);
		return;
	}
	part_stat_lock();
	part_stat_inc(bdev, ios[STAT_FLUSH]);
	part_stat_add(bdev, nsecs[STAT_FLUSH], ktime_get_ns() - op->start);
	part_stat_unlock();
}

static void op_complete(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;
	struct blkcast_op *parent = op->parent;
	unsigned long flags;

	/* Somebody else reigns: nothing is acknowledged any more. */
	if (READ_ONCE(v->deposed) && !op->error)
		op->error = -EIO;
	/* Or may do so: not now. */
	if (blkcast_lease_over(v) && blkcast_lease_keep(op))
		return;
	trace_blkcast_write_done(v->minor, op->lsn, blkcast_op_bytes(op),
				 op->start, op->error, op->sector, op->pid);
	if (parent) {
		parent->error = op->error;
		blkcast_op_ready(parent);
	}
	if (op->bio) {
		account_end(op);
		op->bio->bi_status = errno_to_blk_status(op->error);
		bio_endio(op->bio);
	}
	blkcast_op_put(op);
	/* The last one lets the volume go: not a look at it afterwards. */
	spin_lock_irqsave(&v->lock, flags);
	if (!--v->ops)
		wake_up(&v->idle);
	spin_unlock_irqrestore(&v->lock, flags);
}

/* All that a completion waits for has come, and a lease. */
void blkcast_write_complete(struct blkcast_op *op)
{
	op_complete(op);
}

/* One of the things that the completion waits for has come. */
static void op_arrived(struct blkcast_op *op)
{
	if (atomic_dec_and_test(&op->pending))
		op_complete(op);
}

/* An op that never got an LSN ends; one that was held has left its range. */
static void op_abort(struct blkcast_op *op, int error)
{
	struct blkcast_volume *v = op->vol;

	spin_lock_irq(&v->lock);
	if (!list_empty(&op->range_node)) {
		blkcast_range_leave(op);
		blkcast_map_end(op);
	}
	spin_unlock_irq(&v->lock);
	op->error = error;
	op_complete(op);
}

/* The replicas' part is over for these ops: with @error, or well. */
static void ops_arrived(struct list_head *ops, int error)
{
	struct blkcast_op *op, *next;

	list_for_each_entry_safe(op, next, ops, wait_node) {
		list_del_init(&op->wait_node);
		if (error)
			op->error = op->error ?: error;
		op_arrived(op);
	}
}

/*
 * Acknowledgements, links or the policy have changed: complete what may be.
 * Replicas do things in order and the ops stand in the order of the stream: what
 * is behind one that has to wait has to wait, too.  That is not so behind a flush
 * that came before a link began, so all are looked at while somebody waits for the
 * memory that they hold.
 */
void blkcast_write_reached(struct blkcast_volume *v)
{
	enum blkcast_verdict verdict;
	struct blkcast_op *op, *next;
	LIST_HEAD(reached);
	LIST_HEAD(failed);

	spin_lock_irq(&v->lock);
	list_for_each_entry_safe(op, next, &v->waiting, wait_node) {
		verdict = blkcast_policy_judge(op);
		if (verdict == BLKCAST_WAIT && !v->starving)
			break;
		if (verdict == BLKCAST_WAIT)
			continue;
		list_move_tail(&op->wait_node,
			       verdict == BLKCAST_DONE ? &reached : &failed);
	}
	spin_unlock_irq(&v->lock);
	ops_arrived(&reached, 0);
	ops_arrived(&failed, -EIO);
}

/* Fail what waits for replicas: what it asks for cannot be promised. */
void blkcast_write_abort(struct blkcast_volume *v, int error)
{
	LIST_HEAD(aborted);

	spin_lock_irq(&v->lock);
	list_splice_init(&v->waiting, &aborted);
	spin_unlock_irq(&v->lock);
	ops_arrived(&aborted, error);
}

/* End an op that has not begun. */
void blkcast_write_refuse(struct blkcast_op *op, int error)
{
	op->error = error;
	op_complete(op);
}

/* Give an op its LSN and its place in the stream.  Caller holds vol->lock. */
static void op_enlist(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;
	enum blkcast_verdict verdict;

	op->lsn = ++v->lsn;
	blkcast_view_enlist(op);
	if (blkcast_op_writes(op))
		blkcast_map_stamp(v, op->region, op->lsn);
	else
		op->durable_lsn = op->lsn;
	blkcast_log_append(op);
	verdict = blkcast_policy_judge(op);
	atomic_set(&op->pending, verdict == BLKCAST_WAIT ? 2 : 1);
	if (verdict == BLKCAST_WAIT)
		list_add_tail(&op->wait_node, &v->waiting);
	else if (verdict == BLKCAST_FAIL)
		op->error = -EIO;
}

static bool lsns_left(struct blkcast_volume *v)
{
	return blkcast_lsn_seq(v->lsn) < BLKCAST_SEQ_MAX - 1;
}

/* ---- flushes ---- */

static void flush_done(struct blkcast_flush *f, int error)
{
	struct blkcast_op *op = container_of(f, struct blkcast_op, flush);

	if (error)
		op->error = error;
	op_arrived(op);
}

static void flush_commit(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;

	blkcast_log_reserve(v, 0);
	spin_lock_irq(&v->lock);
	if (!lsns_left(v)) {
		spin_unlock_irq(&v->lock);
		op->error = -EOVERFLOW;
		op_complete(op);
		return;
	}
	op_enlist(op);
	/* The backlog has nothing that the device wants, however long that takes. */
	op->local_done = true;
	spin_unlock_irq(&v->lock);
	trace_blkcast_write_start(v->minor, op->lsn, 0, 0, op->start, op->pid);
	op->flush.done = flush_done;
	op->flush.app = op->bio || op->parent;
	op->flush.since = op->start;
	blkcast_flush_ask(v, &op->flush);
}

static struct blkcast_op *op_start(struct blkcast_volume *v,
				   enum blkcast_op_kind kind)
{
	struct blkcast_op *op = blkcast_op_alloc(v, kind, &v->aux_pool);
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	v->ops++;
	spin_unlock_irqrestore(&v->lock, flags);
	return op;
}

/* Put a flush into the stream that nobody waits for. */
void blkcast_write_flush(struct blkcast_volume *v)
{
	struct blkcast_op *op = op_start(v, BLKCAST_OP_FLUSH);

	op->step = flush_commit;
	blkcast_op_ready(op);
}

/* ---- writes ---- */

/* One that was held, or waits for a flush, has left it.  Caller holds vol->lock. */
static void range_over(struct blkcast_op *op)
{
	if (list_empty(&op->range_node))
		return;
	if (!op->error && blkcast_repair_bads(op->vol))
		__blkcast_repair_written(op);
	blkcast_range_leave(op);
}

static void write_finish(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	range_over(op);
	blkcast_map_end(op);
	op->local_done = true;
	blkcast_log_trim(v);
	spin_unlock_irqrestore(&v->lock, flags);
	op_arrived(op);
}

/*
 * Rule 9.  What is in flight there beside it has an older stamp, and is waited for by who
 * copies the region.
 */
static void write_failed(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;
	struct blkcast_link *l;

	op->error = op->local_error;
	spin_lock_irq(&v->lock);
	blkcast_view_failed(op, op->error);
	blkcast_map_stamp(v, op->region, ++v->lsn);
	v->log_floor = v->lsn;
	list_for_each_entry(l, &v->links, node)
		blkcast_resync_dirty(l, op->region);
	spin_unlock_irq(&v->lock);
	blkcast_write_reached(v);
	blkcast_detach_restamped(v);
	write_finish(op);
}

static void write_judge(struct work_struct *work)
{
	struct blkcast_op *op = container_of(work, struct blkcast_op, work);

	switch (blkcast_detach_fate(op)) {
	case BLKCAST_FATE_OPEN:
	case BLKCAST_FATE_HELD:
		break;
	case BLKCAST_FATE_SPARED:
		write_finish(op);
		break;
	case BLKCAST_FATE_FAILED:
		write_failed(op);
		break;
	}
}

/* Beside the volume's thread, which may wait for this op's room. */
static void write_error(struct blkcast_op *op, int error)
{
	vol_err_ratelimited(op->vol, "write of %u sectors at %llu failed here: %d\n",
			    op->sectors, (u64)op->sector, error);
	blkcast_event_error(op->vol, error);
	op->local_error = error;
	INIT_WORK(&op->work, write_judge);
	queue_work(blkcast_wq, &op->work);
}

/* A stacked device says it can, and makes a flush of it below. */
static bool fua_by_flush(const struct blkcast_op *op)
{
	struct block_device *bdev = op->vol->backing.bdev;

	return op->bio->bi_opf & REQ_FUA &&
	       !(bdev_fua(bdev) && queue_is_mq(bdev_get_queue(bdev)));
}

static void write_flushed(struct blkcast_flush *f, int error)
{
	struct blkcast_op *op = container_of(f, struct blkcast_op, flush);

	/* It may have failed for another reason already. */
	if (error)
		op->error = error;
	write_finish(op);
}

/* Its data are there: for a flush nobody needs its range or its place in the backlog. */
static void op_written(struct blkcast_op *op)
{
	spin_lock_irq(&op->vol->lock);
	range_over(op);
	op->local_done = true;
	blkcast_log_trim(op->vol);
	spin_unlock_irq(&op->vol->lock);
}

static void write_flush(struct work_struct *work)
{
	struct blkcast_op *op = container_of(work, struct blkcast_op, work);

	op->flush.done = write_flushed;
	op->flush.app = true;
	op->flush.since = op->start;
	op_written(op);
	blkcast_flush_ask(op->vol, &op->flush);
}

static void write_end(struct blkcast_op *op, int error)
{
	trace_blkcast_write_local(op->vol->minor, op->lsn, blkcast_op_bytes(op),
				  op->start, error, op->sector, op->pid);
	if (error) {
		write_error(op, error);
	} else if (fua_by_flush(op)) {
		INIT_WORK(&op->work, write_flush);
		queue_work(blkcast_wq, &op->work);
	} else {
		write_finish(op);
	}
}

/* The one copy: device and links use it, whatever the writer does meanwhile. */
static void write_copy(struct blkcast_op *op)
{
	struct bio_vec bv;
	struct bvec_iter it;
	u32 at = 0;

	bio_for_each_segment(bv, op->bio, it) {
		void *from = bvec_kmap_local(&bv);
		u32 done = 0;

		while (done < bv.bv_len) {
			u32 n = min_t(u32, bv.bv_len - done,
				      PAGE_SIZE - offset_in_page(at));

			memcpy_to_page(op->pages[at / PAGE_SIZE],
				       offset_in_page(at), from + done, n);
			done += n;
			at += n;
		}
		kunmap_local(from);
	}
}

/* The flush that stands behind a FUA write in the stream alone. */
static struct blkcast_op *fua_barrier(struct blkcast_op *op)
{
	struct blkcast_op *flush;

	if (!op->bio || !(op->bio->bi_opf & REQ_FUA))
		return NULL;
	flush = op_start(op->vol, BLKCAST_OP_FLUSH);
	flush->start = op->start;
	flush->pid = op->pid;
	flush->local_done = true;
	return flush;
}

static void write_granted(struct blkcast_op *op);
static void write_enter(struct blkcast_op *op);

/* The pen has failed: the op has no LSN. */
static void write_unpenned(struct blkcast_op *op)
{
	switch (blkcast_detach_fate(op)) {
	case BLKCAST_FATE_OPEN:
	case BLKCAST_FATE_HELD:
		break;
	case BLKCAST_FATE_SPARED:
		op->error = 0;
		if (list_empty(&op->range_node))
			write_enter(op);
		else
			write_granted(op);
		break;
	case BLKCAST_FATE_FAILED:
		blkcast_detach_restamped(op->vol);
		op_abort(op, op->error);
		break;
	}
}

/* Pages and room.  Only the thread waits for them; false: the op is left to it. */
static bool write_prepare(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;
	u64 bytes = blkcast_op_bytes(op) + PAGE_SIZE;
	bool data = op->kind == BLKCAST_OP_WRITE;

	if (current == v->thread) {
		if (data)
			blkcast_op_alloc_pages(op);
		blkcast_log_reserve(v, bytes);
		return true;
	}
	if (blkcast_log_room(v, bytes) && (!data || blkcast_op_try_pages(op)))
		return true;
	blkcast_op_ready(op);
	return false;
}

static void write_commit(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;
	struct blkcast_op *barrier;
	blk_opf_t opf;
	bool room;

	if (op->error) {
		write_unpenned(op);
		return;
	}
	if (!write_prepare(op))
		return;
	if (op->kind == BLKCAST_OP_WRITE)
		write_copy(op);
	barrier = fua_barrier(op);

	spin_lock_irq(&v->lock);
	room = lsns_left(v);
	if (room) {
		op_enlist(op);
		if (barrier) {
			op_enlist(barrier);
			op->durable_lsn = barrier->lsn;
		}
	}
	spin_unlock_irq(&v->lock);
	if (!room) {
		vol_err_ratelimited(v, "term is used up: make it primary again\n");
		op_abort(op, -EOVERFLOW);
		if (barrier)
			op_complete(barrier);
		return;
	}
	trace_blkcast_write_start(v->minor, op->lsn, op->sector,
				  blkcast_op_bytes(op), op->start, op->pid);
	op->end = write_end;
	opf = op->bio->bi_opf & (REQ_FUA | REQ_SYNC | REQ_META | REQ_PRIO | REQ_IDLE);
	if (fua_by_flush(op))
		opf &= ~REQ_FUA;
	if (READ_ONCE(v->detached))
		write_end(op, 0);
	else
		blkcast_view_submit(op, opf);
	if (barrier)
		op_arrived(barrier);
}

static void write_granted(struct blkcast_op *op)
{
	/* What was never written reads as zeros already. */
	if (op->kind == BLKCAST_OP_ZEROES &&
	    !blkcast_map_touched(op->vol, op->region)) {
		op_abort(op, 0);
		return;
	}
	op->step = write_commit;
	if (blkcast_map_ready(op))
		write_commit(op);
}

static void write_enter(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;
	bool mine;

	if (op->error) {
		op_complete(op);
		return;
	}
	op->step = write_granted;
	spin_lock_irq(&v->lock);
	blkcast_map_begin(op);
	mine = blkcast_range_enter(op);
	spin_unlock_irq(&v->lock);
	if (mine)
		write_granted(op);
}

static void write_begin(struct blkcast_op *op)
{
	struct blkcast_op *flush;

	op->step = write_enter;
	if (!(op->bio->bi_opf & REQ_PREFLUSH)) {
		write_enter(op);
		return;
	}
	flush = op_start(op->vol, BLKCAST_OP_FLUSH);
	flush->start = op->start;
	flush->pid = op->pid;
	flush->parent = op;
	flush_commit(flush);
}

/* ---- the door ---- */

/* One that waits for nothing, as a rule.  Caller holds vol->lock. */
static bool write_runs_here(struct blkcast_op *op)
{
	return op->kind != BLKCAST_OP_FLUSH &&
	       !(op->bio->bi_opf & (REQ_PREFLUSH | REQ_FUA)) &&
	       blkcast_turn_take(op->vol);
}

/*
 * Take an op in, if the policy lets it.  @here: and its step is to be run now, and the
 * turn to be given up.  Caller holds vol->lock.
 */
static bool write_admit(struct blkcast_op *op, bool *here)
{
	struct blkcast_volume *v = op->vol;
	enum blkcast_gate gate = blkcast_policy_gate(v);

	if (gate == BLKCAST_GATE_FAIL)
		return false;
	v->ops++;
	v->writes += op->kind != BLKCAST_OP_FLUSH;
	v->write_when = op->start;
	v->write_bytes += blkcast_op_bytes(op);
	if (gate == BLKCAST_GATE_PARK)
		blkcast_policy_park(op);
	else if (write_runs_here(op))
		*here = true;
	else
		__blkcast_op_ready(op);
	return true;
}

static void write_submit(struct blkcast_volume *v, struct bio *bio,
			 enum blkcast_op_kind kind)
{
	struct blkcast_op *op = blkcast_op_alloc(v, kind, &v->op_pool);
	bool accepted, here = false;
	unsigned long flags;

	op->bio = bio;
	op->step = kind == BLKCAST_OP_FLUSH ? flush_commit : write_begin;
	op->pid = task_tgid_nr(current);
	if (kind != BLKCAST_OP_FLUSH)
		blkcast_op_set_range(op, bio->bi_iter.bi_sector, bio_sectors(bio));
	trace_blkcast_write_submit(v->minor, op->sector, blkcast_op_bytes(op),
				   op->start, op->pid);

	account_begin(op);
	spin_lock_irqsave(&v->lock, flags);
	accepted = write_admit(op, &here);
	spin_unlock_irqrestore(&v->lock, flags);
	if (!accepted) {
		account_end(op);
		blkcast_op_put(op);
		bio_io_error(bio);
	}
	if (here) {
		op->step(op);
		blkcast_turn_over(v);
	}
}

/* Cut a bio at the end of its region, and to what an op can carry. */
static struct bio *bio_piece(struct blkcast_volume *v, struct bio *bio)
{
	sector_t sector = bio->bi_iter.bi_sector;
	u32 mask = (1U << v->region_shift) - 1;
	u32 room = (1U << v->region_shift) - (sector & mask);
	struct bio *piece;

	if (bio_op(bio) == REQ_OP_WRITE)
		room = min_t(u32, room, BLKCAST_OP_SECTORS_MAX);
	if (bio_sectors(bio) <= room)
		return bio;
	piece = bio_split(bio, room, GFP_NOIO, &v->split_bios);
	bio_chain(piece, bio);
	submit_bio_noacct(bio);
	return piece;
}

void blkcast_submit_bio(struct bio *bio)
{
	struct blkcast_volume *v = bio->bi_bdev->bd_disk->private_data;

	if (!bio_sectors(bio)) {
		if (bio->bi_opf & REQ_PREFLUSH)
			write_submit(v, bio, BLKCAST_OP_FLUSH);
		else
			bio_endio(bio);
		return;
	}
	bio = bio_piece(v, bio);
	switch (bio_op(bio)) {
	case REQ_OP_READ:
		blkcast_read(v, bio);
		break;
	case REQ_OP_WRITE:
		write_submit(v, bio, BLKCAST_OP_WRITE);
		break;
	case REQ_OP_DISCARD:
	case REQ_OP_WRITE_ZEROES:
		write_submit(v, bio, BLKCAST_OP_ZEROES);
		break;
	default:
		bio->bi_status = BLK_STS_NOTSUPP;
		bio_endio(bio);
	}
}
