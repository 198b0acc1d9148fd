// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The primary's end of a link: the stream of writes, and resync.
 *
 * The sender takes entries from the backlog in LSN order.  What it may not send
 * and why:
 *
 *  1. A link starts with every region dirty; a region turns clean when the
 *     replica's stamp has been found equal (stamps_compare) or it has been
 *     copied whole (resync_region).  Until all stamps are compared nothing is
 *     sent at all: the backlog holds it.                       rules 10, 11
 *  2. A write into a dirty region is not sent; its LSN still moves the stream
 *     on (NOP).  What is dropped turns its region dirty (blkcast_stream_drop).
 *  3. Before the first frame after 1 or 2 left a hole, GAP has the replica mark
 *     itself inconsistent.                                     rule 12
 *  4. A region is read, with its stamp, while a LOCK op keeps every write out;
 *     from then on its writes are streamed.                    rule 14
 *  5. DONE goes out when nothing is dirty and the stream has passed the newest
 *     LSN at which a region was read.                          rule 15
 *  6. After DONE_OK completions wait for the link (JOINING); it is in sync when
 *     all up to that moment is durable there.                  rule 19
 *
 *	COMPARING --last STAMPS--> RESYNC --DONE_OK--> JOINING --ACK--> IN_SYNC
 *	                             ^-------- dirty again -----+----------'
 */
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>

#include "link.h"
#include "trace.h"

#define STREAM_BATCH	64	/* entries before resync gets its turn */

static struct blkcast_op *log_after(struct blkcast_op *op)
{
	if (list_is_last(&op->log_node, &op->vol->log))
		return NULL;
	return list_next_entry(op, log_node);
}

/* A region differs from now on.  Caller holds vol->lock. */
void blkcast_stream_dirty(struct blkcast_link *l, u32 region)
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

/*
 * The backlog is full: let the link's entries go.  What it has been sent it
 * has; the rest is dirty.  Caller holds vol->lock.
 */
void blkcast_stream_drop(struct blkcast_link *l)
{
	u64 since = l->unapplied ? l->unapplied->start : 0;
	bool behind = l->dirty_count;
	struct blkcast_op *op;

	lockdep_assert_held(&l->vol->lock);
	for (op = l->next; op; op = log_after(op)) {
		if (blkcast_op_writes(op))
			blkcast_stream_dirty(l, op->region);
		else
			l->lost_flush = op->lsn;
	}
	if (!behind && l->dirty_count && since)
		l->behind_since = since;
	l->next = NULL;
	l->unreceived = NULL;
	l->unapplied = NULL;
}

/* ---- sending entries ---- */

struct entry {
	struct blkcast_op *op;	/* NULL: nothing to send; else a reference */
	u64 lsn;		/* 0: the backlog is drained */
	bool more;
	bool gap;		/* GAP has to go first */
	bool flush;		/* in place of one that was dropped: rule 17 */
};

static bool gap_due(struct blkcast_link *l)
{
	bool due = l->dirty_count && !l->gap_sent;

	if (due)
		l->gap_sent = true;
	return due;
}

/* Inv. 1: nothing while stamps are being compared. */
static bool entries_due(struct blkcast_link *l)
{
	return l->state > BLKCAST_LINK_COMPARING && (l->next || l->lost_flush);
}

static struct entry entry_take(struct blkcast_link *l)
{
	struct entry e = {};
	struct blkcast_op *op;

	spin_lock_irq(&l->vol->lock);
	if (!entries_due(l))
		goto out;
	e.gap = gap_due(l);
	if (l->lost_flush) {
		e.flush = true;
		e.lsn = l->lost_flush;
		l->lost_flush = 0;
	} else {
		op = l->next;
		e.lsn = op->lsn;
		l->next = log_after(op);
		e.more = l->next;
		if (!blkcast_op_writes(op) || !test_bit(op->region, l->dirty)) {
			blkcast_op_get(op);
			e.op = op;
		}
	}
	l->sent = e.lsn;
out:
	spin_unlock_irq(&l->vol->lock);
	return e;
}

static int gap_send(struct blkcast_link *l)
{
	struct blkcast_frame f = { .type = cpu_to_le16(BLKCAST_FRAME_GAP) };

	return blkcast_frame_send(l, &f, NULL, true);
}

static int entry_send(struct blkcast_link *l, struct entry *e)
{
	static const u16 types[] = {
		[BLKCAST_OP_WRITE] = BLKCAST_FRAME_WRITE,
		[BLKCAST_OP_ZEROES] = BLKCAST_FRAME_ZEROES,
		[BLKCAST_OP_FLUSH] = BLKCAST_FRAME_FLUSH,
	};
	struct blkcast_op *op = e->op;
	struct blkcast_frame f = {
		.type = cpu_to_le16(types[op->kind]),
		.lsn = cpu_to_le64(op->lsn),
		.sector = cpu_to_le64(op->sector),
		.sectors = cpu_to_le32(op->sectors),
	};
	int err;

	err = op->kind == BLKCAST_OP_WRITE ?
	      blkcast_frame_send_op(l, &f, op, e->more) :
	      blkcast_frame_send(l, &f, NULL, e->more);
	if (!err)
		trace_blkcast_link_sent(l->vol->minor, l->id, op->lsn,
					blkcast_op_bytes(op), op->start);
	return err;
}

/* A frame that has nothing but its place in the stream: FLUSH, NOP. */
static int position_send(struct blkcast_link *l, u16 type, u64 lsn)
{
	struct blkcast_frame f = {
		.type = cpu_to_le16(type),
		.lsn = cpu_to_le64(lsn),
	};

	return blkcast_frame_send(l, &f, NULL, false);
}

static int stream_entries(struct blkcast_link *l)
{
	u64 skipped = 0;
	int n, err = 0;

	for (n = 0; n < STREAM_BATCH && !err; n++) {
		struct entry e = entry_take(l);

		if (!e.lsn)
			break;
		skipped = 0;
		err = e.gap ? gap_send(l) : 0;
		if (e.op) {
			err = err ?: entry_send(l, &e);
			blkcast_op_put(e.op);
		} else if (e.flush) {
			err = err ?: position_send(l, BLKCAST_FRAME_FLUSH, e.lsn);
		} else {
			skipped = e.lsn;
		}
	}
	if (skipped && !err)
		err = position_send(l, BLKCAST_FRAME_NOP, skipped);
	return err;
}

/* ---- resync ---- */

static bool region_pick(struct blkcast_link *l, u32 *region)
{
	u32 n = l->vol->regions;
	bool due;

	spin_lock_irq(&l->vol->lock);
	due = l->state == BLKCAST_LINK_RESYNC && l->dirty_count;
	if (due) {
		*region = find_next_bit(l->dirty, n, l->resync_at);
		if (*region >= n)
			*region = find_first_bit(l->dirty, n);
		l->resync_at = *region + 1;
	}
	spin_unlock_irq(&l->vol->lock);
	return due;
}

struct region_lock {
	struct blkcast_op *op;
	struct completion granted;
};

static void region_granted(struct blkcast_op *op)
{
	struct region_lock *lock = (struct region_lock *)op->parent;

	complete(&lock->granted);
}

/* Wait until no write is in flight in the region, and keep new ones out. */
static void region_lock(struct blkcast_link *l, u32 region,
			struct region_lock *lock)
{
	struct blkcast_volume *v = l->vol;
	struct blkcast_op *op = blkcast_op_alloc(v, BLKCAST_OP_LOCK,
						 &v->aux_pool);
	bool mine;

	init_completion(&lock->granted);
	blkcast_op_set_range(op, blkcast_region_start(v, region),
			     blkcast_region_sectors(v, region));
	op->step = region_granted;
	op->parent = (struct blkcast_op *)lock;
	lock->op = op;
	spin_lock_irq(&v->lock);
	mine = blkcast_range_enter(op);
	spin_unlock_irq(&v->lock);
	if (!mine)
		wait_for_completion(&lock->granted);
}

/*
 * Let writes in again; from here on they are streamed if the region was @copied
 * and its stamp is still the one that goes with the copy (a failed flush may
 * have changed it).
 */
static void region_unlock(struct blkcast_link *l, struct region_lock *lock,
			  bool copied, u64 stamp)
{
	struct blkcast_volume *v = l->vol;

	spin_lock_irq(&v->lock);
	if (copied && v->map.stamps[lock->op->region] == stamp && __test_and_clear_bit(lock->op->region, l->dirty)) {
		l->dirty_count--;
		l->copied_at = v->lsn;
	}
	blkcast_range_leave(lock->op);
	spin_unlock_irq(&v->lock);
	blkcast_op_put(lock->op);
}

static int region_send(struct blkcast_link *l, u32 region, u64 stamp)
{
	struct blkcast_volume *v = l->vol;
	u32 left = blkcast_region_sectors(v, region);
	sector_t sector = blkcast_region_start(v, region);
	u16 flags = BLKCAST_FRAME_FIRST;
	void *data = l->buf;
	int err = 0;

	while (left && !err) {
		u32 n = min_t(u32, left, BLKCAST_OP_SECTORS_MAX);
		struct blkcast_frame f = {
			.type = cpu_to_le16(BLKCAST_FRAME_REGION),
			.lsn = cpu_to_le64(stamp),
			.sector = cpu_to_le64(sector),
			.sectors = cpu_to_le32(n),
			.length = cpu_to_le32(n << SECTOR_SHIFT),
		};

		left -= n;
		if (!left)
			flags |= BLKCAST_FRAME_LAST;
		f.flags = cpu_to_le16(flags);
		err = blkcast_frame_send(l, &f, data, left);
		flags = 0;
		data += n << SECTOR_SHIFT;
		sector += n;
		WRITE_ONCE(l->resync_bytes,
			   l->resync_bytes + (n << SECTOR_SHIFT));
	}
	return err;
}

static int forget_send(struct blkcast_link *l, u32 region)
{
	struct blkcast_frame f = {
		.type = cpu_to_le16(BLKCAST_FRAME_FORGET),
		.sector = cpu_to_le64(region),
	};

	return blkcast_frame_send(l, &f, NULL, false);
}

static int region_read(struct blkcast_link *l, u32 region)
{
	struct blkcast_volume *v = l->vol;
	u64 pos = (v->data_start + blkcast_region_start(v, region)) <<
		  SECTOR_SHIFT;
	int err;

	err = blkcast_disk_rw(v->backing.bdev, REQ_OP_READ, pos, l->buf,
			      (size_t)blkcast_region_sectors(v, region) <<
			      SECTOR_SHIFT);
	if (err)
		vol_err_ratelimited(v, "cannot read region %u for link %s: %d\n",
				    region, l->name, err);
	return err;
}

/* Inv. 4.  Copy one dirty region, if there is any. */
static int resync_region(struct blkcast_link *l)
{
	struct blkcast_volume *v = l->vol;
	struct region_lock lock;
	bool touched, gap;
	u64 stamp;
	u32 region;
	int err;

	if (!region_pick(l, &region))
		return 0;
	spin_lock_irq(&v->lock);
	gap = gap_due(l);
	spin_unlock_irq(&v->lock);
	err = gap ? gap_send(l) : 0;
	if (err)
		return err;

	region_lock(l, region, &lock);
	spin_lock_irq(&v->lock);
	stamp = v->map.stamps[region];
	touched = test_bit(region, v->map.touched);
	spin_unlock_irq(&v->lock);
	err = touched ? region_read(l, region) : 0;
	region_unlock(l, &lock, !err, stamp);
	if (err)
		return err;
	return touched ? region_send(l, region, stamp) : forget_send(l, region);
}

static bool done_due(struct blkcast_link *l)
{
	return l->state == BLKCAST_LINK_RESYNC && !l->dirty_count &&
	       !l->done_sent && (!l->next || l->next->lsn > l->copied_at);
}

/* Inv. 5. */
static int resync_done(struct blkcast_link *l)
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

/* ---- the sender ---- */

static u64 ping_ns(const struct blkcast_link *l)
{
	return (u64)l->timeout * NSEC_PER_MSEC / 4;
}

static int ping(struct blkcast_link *l)
{
	struct blkcast_frame f = { .type = cpu_to_le16(BLKCAST_FRAME_PING) };

	if (ktime_get_ns() - l->tx_when < ping_ns(l))
		return 0;
	return blkcast_frame_send(l, &f, NULL, false);
}

/*
 * A replica that writers wait for has to apply what it is sent, not only to
 * answer.
 */
static int progress_check(struct blkcast_link *l)
{
	u64 now = ktime_get_ns(), limit = (u64)l->timeout * NSEC_PER_MSEC;
	bool stuck;

	spin_lock_irq(&l->vol->lock);
	stuck = blkcast_link_waited(l) && l->unapplied &&
		now - l->unapplied->start > limit &&
		now - l->progress_when > limit;
	spin_unlock_irq(&l->vol->lock);
	if (stuck)
		vol_warn(l->vol, "link %s: answers, but has applied nothing for %u ms\n",
			 l->name, l->timeout);
	return stuck ? -ETIMEDOUT : 0;
}

static bool stream_due(struct blkcast_link *l)
{
	bool due;

	spin_lock_irq(&l->vol->lock);
	due = l->error || entries_due(l) || done_due(l) ||
	      (l->state == BLKCAST_LINK_RESYNC && l->dirty_count);
	spin_unlock_irq(&l->vol->lock);
	return due;
}

int blkcast_stream_tx(void *data)
{
	unsigned int noio = memalloc_noio_save();
	struct blkcast_link *l = data;
	int err;

	do {
		wait_event_timeout(l->wake, stream_due(l),
				   nsecs_to_jiffies(ping_ns(l)) + 1);
		err = READ_ONCE(l->error);
		if (!err)
			err = stream_entries(l);
		if (!err)
			err = resync_region(l);
		if (!err)
			err = resync_done(l);
		if (!err)
			err = ping(l);
		if (!err)
			err = progress_check(l);
	} while (!err);
	memalloc_noio_restore(noio);
	return blkcast_link_park(l, err);
}

/* ---- what the replica answers ---- */

/* Inv. 1: compare a piece of the replica's map. */
static void stamps_compare(struct blkcast_link *l, const __le64 *stamps,
			   u32 first, u32 count)
{
	struct blkcast_volume *v = l->vol;
	u32 i;

	for (i = 0; i < count; i++) {
		u32 r = first + i;

		spin_lock_irq(&v->lock);
		if (blkcast_stamps_equal(le64_to_cpu(stamps[i]),
					 v->map.stamps[r]) &&
		    __test_and_clear_bit(r, l->dirty))
			l->dirty_count--;
		spin_unlock_irq(&v->lock);
		if (!(i % 1024))
			cond_resched();
	}
}

static int stamps_recv(struct blkcast_link *l, const struct blkcast_frame *f,
		       __le64 *buf)
{
	struct blkcast_volume *v = l->vol;
	u64 first = le64_to_cpu(f->sector);
	u32 count = le32_to_cpu(f->sectors);
	bool last = le16_to_cpu(f->flags) & BLKCAST_FRAME_LAST;
	int err;

	if (l->state != BLKCAST_LINK_COMPARING || first != l->stamps_done ||
	    !count || count > BLKCAST_STAMPS_MAX || count > v->regions - first ||
	    le32_to_cpu(f->length) != count * sizeof(*buf) ||
	    last != (first + count == v->regions))
		return -EPROTO;
	err = blkcast_frame_recv_data(l, f, buf);
	if (err)
		return err;
	stamps_compare(l, buf, first, count);
	l->stamps_done += count;
	if (!last)
		return 0;
	vol_info(v, "link %s: %u of %u regions differ\n", l->name,
		 l->dirty_count, v->regions);
	spin_lock_irq(&v->lock);
	if (!l->error)
		blkcast_link_set_state(l, BLKCAST_LINK_RESYNC);
	spin_unlock_irq(&v->lock);
	return 0;
}

/* Caller holds vol->lock.  Walk the cursors up to what is acknowledged. */
static void ack_advance(struct blkcast_link *l)
{
	u32 minor = l->vol->minor;
	struct blkcast_op *op;

	for (op = l->unreceived; op && op->lsn <= l->received; op = log_after(op))
		trace_blkcast_link_received(minor, l->id, op->lsn,
					    blkcast_op_bytes(op), op->start);
	l->unreceived = op;
	for (op = l->unapplied; op && op->lsn <= l->applied; op = log_after(op)) {
		trace_blkcast_link_applied(minor, l->id, op->lsn,
					   blkcast_op_bytes(op), op->start);
		if (op->kind == BLKCAST_OP_FLUSH)
			trace_blkcast_link_durable(minor, l->id, op->lsn, 0,
						   op->start);
	}
	l->unapplied = op;
}

static bool ack_valid(struct blkcast_link *l, const struct blkcast_ack *a)
{
	u64 received = le64_to_cpu(a->received);
	u64 applied = le64_to_cpu(a->applied);
	u64 durable = le64_to_cpu(a->durable);

	return received <= l->sent && applied <= received && durable <= applied &&
	       received >= l->received && applied >= l->applied &&
	       durable >= l->durable && !a->reserved;
}

static void rtt_update(struct blkcast_link *l, const struct blkcast_frame *f,
		       const struct blkcast_ack *a)
{
	u64 trip = ktime_get_ns() - le64_to_cpu(f->time);
	u64 held = le64_to_cpu(a->held_ns);

	/* Nonsense (an echo of nothing, a lie) is not taken for a figure. */
	if (f->time && trip < (u64)l->timeout * NSEC_PER_MSEC && held <= trip)
		l->rtt_ns = max(trip - held, 1ULL);
}

static int ack_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	struct blkcast_volume *v = l->vol;
	struct blkcast_ack a;
	bool valid;
	int err;

	if (le32_to_cpu(f->length) != sizeof(a))
		return -EPROTO;
	err = blkcast_frame_recv_data(l, f, &a);
	if (err)
		return err;
	spin_lock_irq(&v->lock);
	valid = ack_valid(l, &a);
	if (valid) {
		if (l->applied != le64_to_cpu(a.applied))
			l->progress_when = ktime_get_ns();
		l->received = le64_to_cpu(a.received);
		l->applied = le64_to_cpu(a.applied);
		l->durable = le64_to_cpu(a.durable);
		l->apply_ns = le64_to_cpu(a.apply_ns);
		l->flush_ns = le64_to_cpu(a.flush_ns);
		rtt_update(l, f, &a);
		ack_advance(l);
		/* Inv. 6. */
		if (l->state == BLKCAST_LINK_JOINING && l->durable > l->join_lsn) {
			l->behind_since = 0;
			blkcast_link_set_state(l, BLKCAST_LINK_IN_SYNC);
		}
		blkcast_log_trim(v);
	}
	spin_unlock_irq(&v->lock);
	blkcast_write_reached(v);
	return valid ? 0 : -EPROTO;
}

static int done_ok_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	struct blkcast_volume *v = l->vol;
	bool join;

	if (f->length || le64_to_cpu(f->lsn) > l->done_id)
		return -EPROTO;
	spin_lock_irq(&v->lock);
	join = l->state == BLKCAST_LINK_RESYNC && l->done_sent &&
	       le64_to_cpu(f->lsn) == l->done_id && !l->dirty_count;
	if (join) {
		l->join_lsn = v->lsn;
		blkcast_link_set_state(l, BLKCAST_LINK_JOINING);
	}
	spin_unlock_irq(&v->lock);
	if (join)
		blkcast_write_flush(v);
	return 0;
}

static int answer_recv(struct blkcast_link *l, __le64 *buf)
{
	struct blkcast_frame f;
	int err = blkcast_frame_recv(l, &f);

	if (err)
		return err;
	switch (le16_to_cpu(f.type)) {
	case BLKCAST_FRAME_STAMPS:
		return stamps_recv(l, &f, buf);
	case BLKCAST_FRAME_ACK:
		return ack_recv(l, &f);
	case BLKCAST_FRAME_DONE_OK:
		return done_ok_recv(l, &f);
	case BLKCAST_FRAME_ERROR:
		vol_warn(l->vol, "link %s: the replica failed: %llu\n", l->name,
			 le64_to_cpu(f.lsn));
		return -EREMOTEIO;
	default:
		vol_err_ratelimited(l->vol, "link %s: unknown frame %u\n",
				    l->name, le16_to_cpu(f.type));
		return -EPROTO;
	}
}

int blkcast_stream_rx(void *data)
{
	unsigned int noio = memalloc_noio_save();
	struct blkcast_link *l = data;
	__le64 *buf = kvmalloc(BLKCAST_PAYLOAD_MAX, GFP_KERNEL);
	int err = buf ? 0 : -ENOMEM;

	while (!err)
		err = READ_ONCE(l->error) ?: answer_recv(l, buf);
	kvfree(buf);
	memalloc_noio_restore(noio);
	return blkcast_link_park(l, err);
}
