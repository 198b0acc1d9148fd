// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Flushes of the backing device, one at a time.
 *
 * A flush that fails may have dropped what the device's cache held, and the next
 * one then succeeds, for there is nothing left to write.  So
 *
 *  1. At most one flush is in flight.  Who asks meanwhile is served by the next
 *     one, all together.
 *  2. One that fails is dealt with (blkcast_map_doubt_active(), rule 9) before
 *     another begins, and everybody who has asked by then is told.
 *  3. If no application was among them, the next one that asks is told, and every
 *     other that was on its way before: it must not take its data for safe because
 *     of a later flush that succeeded.
 *  4. Who writes something for himself and then flushes wants to know that no flush
 *     has failed in between: blkcast_flush_mark() before, blkcast_flush_since().
 *
 * Hence no flush of that device passes by here: FUA goes down only where the device
 * does it without one (write.c), and metadata are written, then flushed.
 */
#include "link.h"

static struct workqueue_struct *flush_wq;

static void flush_end_io(struct bio *bio);

/* Serve all who have asked.  The flush is ours to begin. */
static void flush_begin(struct blkcast_volume *v)
{
	struct bio *bio = &v->flush_bio;

	spin_lock_irq(&v->lock);
	list_splice_tail_init(&v->flush_asked, &v->flush_served);
	spin_unlock_irq(&v->lock);
	bio_init(bio, v->backing.bdev, NULL, 0,
		 REQ_OP_WRITE | REQ_PREFLUSH | REQ_SYNC);
	bio->bi_private = v;
	bio->bi_end_io = flush_end_io;
	v->flush_began = jiffies;
	submit_bio_noacct(bio);
}

static void flush_tell(struct list_head *served, int error)
{
	struct blkcast_flush *f, *next;

	list_for_each_entry_safe(f, next, served, node) {
		list_del_init(&f->node);
		f->done(f, error);
	}
}

/* Nobody may be told and then find the flush still busy with the volume. */
static void flush_go_on(struct blkcast_volume *v)
{
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	if (list_empty(&v->flush_asked)) {
		v->flush_busy = false;
		wake_up_all(&v->idle);
	} else {
		queue_work(flush_wq, &v->flush_work);
	}
	spin_unlock_irqrestore(&v->lock, flags);
}

static void flush_end_io(struct bio *bio)
{
	struct blkcast_volume *v = bio->bi_private;
	unsigned long flags;
	LIST_HEAD(served);

	v->flush_error = blk_status_to_errno(bio->bi_status);
	if (v->flush_error) {
		spin_lock_irqsave(&v->lock, flags);
		v->flush_fails++;
		/* What it has lost must not be read any more. */
		__blkcast_detach_fate(v);
		spin_unlock_irqrestore(&v->lock, flags);
		queue_work(flush_wq, &v->flush_work);
		return;
	}
	spin_lock_irqsave(&v->lock, flags);
	v->flush_good = v->flush_began;
	list_splice_init(&v->flush_served, &served);
	spin_unlock_irqrestore(&v->lock, flags);
	flush_tell(&served, 0);
	flush_go_on(v);
}

/*
 * A flush that is held (detach.c): who asked for himself is told, lest he stand in the
 * way of what ends that; applications wait.
 */
static void flush_hold(struct blkcast_volume *v)
{
	struct blkcast_flush *f, *next;
	LIST_HEAD(ours);

	spin_lock_irq(&v->lock);
	blkcast_views_flush_failed(v);
	list_splice_tail_init(&v->flush_asked, &v->flush_served);
	list_for_each_entry_safe(f, next, &v->flush_served, node)
		if (!f->app)
			list_move_tail(&f->node, &ours);
	spin_unlock_irq(&v->lock);
	flush_tell(&ours, v->flush_error);
}

/* There is no device any more whose flush could matter to an application. */
static void flush_spare(struct blkcast_volume *v)
{
	LIST_HEAD(served);

	flush_hold(v);
	spin_lock_irq(&v->lock);
	list_splice_init(&v->flush_served, &served);
	spin_unlock_irq(&v->lock);
	flush_tell(&served, 0);
	v->flush_error = 0;
}

/* Inv. 2 and 3. */
static void flush_failed(struct blkcast_volume *v)
{
	struct blkcast_flush *f;
	LIST_HEAD(served);
	bool told = false;

	blkcast_event_error(v, v->flush_error);
	blkcast_map_doubt_active(v);
	spin_lock_irq(&v->lock);
	list_splice_init(&v->flush_served, &served);
	list_splice_tail_init(&v->flush_asked, &served);
	list_for_each_entry(f, &served, node)
		told |= f->app;
	if (told)
		v->flush_told = ktime_get_ns();
	else if (v->role == BLKCAST_ROLE_PRIMARY)
		v->flush_lost = true;
	spin_unlock_irq(&v->lock);
	flush_tell(&served, v->flush_error);
	v->flush_error = 0;
	blkcast_detach_restamped(v);
}

static void flush_next_work(struct work_struct *work)
{
	struct blkcast_volume *v = container_of(work, struct blkcast_volume,
						flush_work);

	if (!v->flush_error) {
		flush_begin(v);
		return;
	}
	switch (blkcast_detach_flush_fate(v)) {
	case BLKCAST_FATE_OPEN:
	case BLKCAST_FATE_HELD:
		flush_hold(v);
		return;
	case BLKCAST_FATE_SPARED:
		flush_spare(v);
		break;
	case BLKCAST_FATE_FAILED:
		flush_failed(v);
		break;
	}
	flush_go_on(v);
}

/* What was held is dealt with anew.  Caller holds vol->lock. */
void blkcast_flush_again(struct blkcast_volume *v)
{
	lockdep_assert_held(&v->lock);
	queue_work(flush_wq, &v->flush_work);
}

/**
 * blkcast_flush_ask() - have the backing device flushed
 * @v: the volume
 * @f: its done is called, in any context, with 0 when all that was written before
 *	is on stable storage; an error otherwise
 *
 * Process context; does not wait.
 */
void blkcast_flush_ask(struct blkcast_volume *v, struct blkcast_flush *f)
{
	bool lost, spared, begin = false;

	spin_lock_irq(&v->lock);
	/* What was lost before the device was given up is lost (inv. 3). */
	spared = v->detached;
	lost = f->app ? v->flush_lost || f->since <= v->flush_told :
			v->flush_held || spared;
	if (v->flush_lost && lost && f->app) {
		v->flush_lost = false;
		v->flush_told = ktime_get_ns();
	}
	if (!lost && !spared) {
		list_add_tail(&f->node, &v->flush_asked);
		begin = !v->flush_busy;
		v->flush_busy = true;
	}
	spin_unlock_irq(&v->lock);
	if (lost || spared)
		f->done(f, lost ? -EIO : 0);
	else if (begin)
		flush_begin(v);
}

struct flush_wait {
	struct blkcast_flush flush;
	struct completion over;
	int error;
};

static void flush_wait_done(struct blkcast_flush *f, int error)
{
	struct flush_wait *wait = container_of(f, struct flush_wait, flush);

	wait->error = error;
	complete(&wait->over);
}

/* Flush the backing device, and wait.  0 or a negative errno. */
int blkcast_flush(struct blkcast_volume *v)
{
	struct flush_wait wait = { .flush.done = flush_wait_done };

	init_completion(&wait.over);
	blkcast_flush_ask(v, &wait.flush);
	wait_for_completion_io(&wait.over);
	return wait.error;
}

/* For blkcast_flush_since(). */
u32 blkcast_flush_mark(struct blkcast_volume *v)
{
	u32 mark;

	spin_lock_irq(&v->lock);
	mark = v->flush_fails;
	spin_unlock_irq(&v->lock);
	return mark;
}

/* Flush what was written to the backing device since then.  Inv. 4. */
int blkcast_flush_since(struct blkcast_volume *v, u32 mark)
{
	int err = blkcast_flush(v);

	return err ?: mark == blkcast_flush_mark(v) ? 0 : -EIO;
}

/* ... to the metadata device. */
int blkcast_flush_meta(struct blkcast_volume *v, u32 mark)
{
	return v->meta_internal && !READ_ONCE(v->detached) ? blkcast_flush_since(v, mark) :
				  blkdev_issue_flush(v->meta.bdev);
}

/*
 * Is all that was written to the region on stable storage?  What a device's cache has
 * lost reads as it was before, until a flush fails.  Caller holds vol->lock.
 */
bool __blkcast_flush_sure(struct blkcast_volume *v, u32 region)
{
	lockdep_assert_held(&v->lock);
	return time_before(v->map.groups[blkcast_map_group(region)].idle_since,
			   v->flush_good);
}

void blkcast_flush_init(struct blkcast_volume *v)
{
	INIT_LIST_HEAD(&v->flush_asked);
	INIT_LIST_HEAD(&v->flush_served);
	INIT_WORK(&v->flush_work, flush_next_work);
}

static bool flush_idle(struct blkcast_volume *v)
{
	bool idle;

	spin_lock_irq(&v->lock);
	idle = !v->flush_busy;
	spin_unlock_irq(&v->lock);
	return idle;
}

/* Nobody asks any more: wait for the last one to be over. */
void blkcast_flush_stop(struct blkcast_volume *v)
{
	wait_event(v->idle, flush_idle(v));
	cancel_work_sync(&v->flush_work);
}

int __init blkcast_flushes_init(void)
{
	flush_wq = alloc_workqueue("blkcast-flush", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return flush_wq ? 0 : -ENOMEM;
}

void blkcast_flushes_exit(void)
{
	destroy_workqueue(flush_wq);
}
