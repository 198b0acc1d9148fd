// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The primary's end of a link: the stream of writes, and what comes back.
 *
 * A link begins with the replica's POSITION.  If the backlog still holds all
 * that follows it, the stream goes on from there; else the replica is asked for
 * its MAP and every region counts as dirty until its stamp is found equal
 * (resync.c).  Until either is settled nothing is sent: the backlog holds it.
 *
 * The sender takes entries from the backlog in LSN order.  A write into a dirty
 * region is not sent; its LSN still moves the stream on (NOP).  What is dropped
 * when the backlog is full turns its region dirty (blkcast_stream_drop), and a
 * dropped flush goes out in its place: a barrier binds (rule 17).
 *
 * When the volume has grown, SIZE goes out before anything that is of the new
 * size; a replica that comes with another size is told as well, first of all.
 *
 * After DONE_OK completions wait for the link (JOINING); it is in sync when all
 * up to that moment is durable there and the superblock says so (members.c).
 *
 *	COMPARING --position or last STAMPS--> RESYNC --DONE_OK--> JOINING
 *	  JOINING --ACK--> IN_SYNC		JOINING, IN_SYNC --dirty--> RESYNC
 */
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>

#include "lag.h"
#include "trace.h"

#define PING_WISH_MIN	20U	/* ms */
#define STREAM_BATCH	1024	/* of work before resync gets its turn: */
#define STREAM_SEND	16	/* an entry that is sent */
#define STREAM_SKIP	1	/* one that goes as a region */

static struct blkcast_op *log_after(struct blkcast_op *op)
{
	if (list_is_last(&op->log_node, &op->vol->log))
		return NULL;
	return list_next_entry(op, log_node);
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
			blkcast_resync_dirty(l, op->region);
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
	struct blkcast_ask *ask;	/* to go out in this place: verify.c, inv. 1 */
	struct blkcast_repair *read;	/* the same: repair.c, inv. 1 */
};

/*
 * Nothing before it is settled what the replica lacks and what size it has, nor
 * after HANDOVER.
 */
static bool entries_due(struct blkcast_link *l)
{
	return l->state > BLKCAST_LINK_COMPARING && !l->handover &&
	       (l->next || l->lost_flush) && l->sectors == l->vol->sectors;
}

static struct entry entry_take(struct blkcast_link *l)
{
	struct entry e = {};
	struct blkcast_op *op;

	spin_lock_irq(&l->vol->lock);
	e.read = blkcast_repair_take(l);
	e.ask = e.read ? NULL : blkcast_verify_ask(l);
	if (e.read || e.ask || !entries_due(l))
		goto out;
	e.gap = blkcast_resync_gap_due(l);
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

/* With ack=memory somebody waits for the receipt alone. */
static __le16 entry_flags(const struct blkcast_link *l)
{
	return cpu_to_le16(READ_ONCE(l->vol->ack) == BLKCAST_ACK_MEMORY ?
			   BLKCAST_FRAME_RECEIPT : 0);
}

static int entry_send(struct blkcast_link *l, struct entry *e)
{
	static const u16 types[] = {
		[BLKCAST_OP_WRITE] = BLKCAST_FRAME_WRITE,
		[BLKCAST_OP_ZEROES] = BLKCAST_FRAME_ZEROES,
		[BLKCAST_OP_FLUSH] = BLKCAST_FRAME_FLUSH,
	};
	struct blkcast_op *op = e->op;
	u64 now;
	struct blkcast_frame f = {
		.type = cpu_to_le16(types[op->kind]),
		.flags = entry_flags(l),
		.lsn = cpu_to_le64(op->lsn),
		.sector = cpu_to_le64(op->sector),
		.sectors = cpu_to_le32(op->sectors),
	};
	int err;

	/* The sum takes a while; it is the sender's, not the network's. */
	if (op->kind == BLKCAST_OP_WRITE)
		blkcast_op_crc(op);
	now = ktime_get_ns();
	f.time = cpu_to_le64(now);
	/* Before: the acknowledgement may be here before the socket lets us go. */
	trace_blkcast_link_sent(l->vol->minor, l->id, op->lsn, blkcast_op_bytes(op),
				op->start, op->sector, op->pid, now);
	err = op->kind == BLKCAST_OP_WRITE ?
	      blkcast_frame_send_op(l, &f, op, e->more) :
	      blkcast_frame_send(l, &f, NULL, e->more);
	if (!err)
		WRITE_ONCE(l->queue_ns, now - op->start);
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

/* While there are regions to copy they take turns with as many bytes of entries. */
static bool resync_turn(struct blkcast_link *l, u64 bytes)
{
	return READ_ONCE(l->dirty_count) &&
	       bytes >= 1ULL << (l->vol->region_shift + SECTOR_SHIFT);
}

static int stream_entries(struct blkcast_link *l)
{
	u64 skipped = 0, bytes = 0;
	int work, err = 0;

	for (work = 0; work < STREAM_BATCH && !resync_turn(l, bytes) && !err;
	     work += skipped ? STREAM_SKIP : STREAM_SEND) {
		struct entry e = entry_take(l);

		if (e.read) {
			err = blkcast_repair_send(l, e.read);
			continue;
		}
		if (e.ask) {
			err = blkcast_ask_send(l, e.ask);
			continue;
		}
		if (!e.lsn)
			break;
		skipped = 0;
		err = e.gap ? blkcast_resync_gap(l) : 0;
		if (e.op) {
			bytes += blkcast_op_memory(e.op);
			/* A region may take its time. */
			e.more = e.more && !resync_turn(l, bytes);
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

/* ---- the volume's size ---- */

/*
 * The replica has to be told; not while it sends its map or hashes, which are of
 * the size that it knew when it was asked.
 */
static bool size_due(struct blkcast_link *l)
{
	return l->sectors != l->vol->sectors && !l->asked && !l->handover &&
	       (l->state > BLKCAST_LINK_COMPARING || l->map_due);
}

static int size_tell(struct blkcast_link *l)
{
	struct blkcast_frame f = { .type = cpu_to_le16(BLKCAST_FRAME_SIZE) };
	bool due;

	spin_lock_irq(&l->vol->lock);
	due = size_due(l);
	if (due) {
		l->sectors = l->vol->sectors;
		f.sector = cpu_to_le64(l->sectors);
	}
	spin_unlock_irq(&l->vol->lock);
	return due ? blkcast_frame_send(l, &f, NULL, false) : 0;
}

static bool park_due(struct blkcast_link *l)
{
	return l->vol->growing && !l->parked && !l->asked;
}

/* No region is being read or compared, and none will be until the volume has grown. */
static void park(struct blkcast_link *l)
{
	spin_lock_irq(&l->vol->lock);
	if (park_due(l)) {
		l->parked = true;
		wake_up(&l->vol->idle);
	}
	spin_unlock_irq(&l->vol->lock);
}

/* ---- the sender ---- */

static u64 ping_ns(const struct blkcast_link *l)
{
	u64 wish = READ_ONCE(l->ping_wish), ns = (u64)l->timeout * NSEC_PER_MSEC / 4;

	return wish ? min(wish, ns) : ns;
}

/* A replica that has a wish wants them under load, too. */
static bool ping_is_due(const struct blkcast_link *l)
{
	u64 last = READ_ONCE(l->ping_wish) ? l->ping_when : l->tx_when;

	return READ_ONCE(l->ping_due) || ktime_get_ns() - last >= ping_ns(l);
}

static int ping(struct blkcast_link *l)
{
	struct blkcast_frame f = { .type = cpu_to_le16(BLKCAST_FRAME_PING) };

	if (!ping_is_due(l))
		return 0;
	WRITE_ONCE(l->ping_due, false);
	l->ping_when = ktime_get_ns();
	spin_lock_irq(&l->vol->lock);
	f.sector = cpu_to_le64(blkcast_fresh_tell(l, l->ping_when));
	spin_unlock_irq(&l->vol->lock);
	return blkcast_frame_send(l, &f, NULL, false);
}

/**
 * blkcast_stream_progress() - does a replica do what it is waited for?
 * @l: a link; that of a replica's own always does
 *
 * A replica that writers or a reader wait for has to apply what it is sent, not only
 * to answer; and what it is asked to compare it has to answer.  Neither thread looks: one
 * that takes, or gives, a byte now and then holds up either for long.
 *
 * Return: 0; -ETIMEDOUT.
 */
int blkcast_stream_progress(struct blkcast_link *l)
{
	u64 limit = (u64)l->timeout * NSEC_PER_MSEC, now;
	bool stuck, mute;

	spin_lock_irq(&l->vol->lock);
	now = ktime_get_ns();
	mute = blkcast_ask_stuck(l);
	stuck = blkcast_repair_stuck(l);
	stuck |= blkcast_link_waited(l) && l->unapplied &&
		now - l->unapplied->start > limit &&
		now - l->progress_when > limit;
	spin_unlock_irq(&l->vol->lock);
	if (stuck)
		vol_warn(l->vol, "link %s: answers, but has applied nothing for %u ms\n",
			 l->name, l->timeout);
	if (mute)
		vol_warn(l->vol, "link %s: leaves COMPARE without an answer\n", l->name);
	return stuck || mute ? -ETIMEDOUT : 0;
}

static bool stream_due(struct blkcast_link *l)
{
	bool due;

	spin_lock_irq(&l->vol->lock);
	due = l->error || l->map_due || l->ping_due || size_due(l) ||
	      park_due(l) || entries_due(l) || blkcast_resync_due(l) ||
	      blkcast_verify_due(l) || blkcast_repair_due(l) ||
	      blkcast_reign_due(l);
	spin_unlock_irq(&l->vol->lock);
	return due;
}

/* jiffies until there may be something to do that nobody wakes us for. */
static long tx_patience(struct blkcast_link *l)
{
	u32 resync = blkcast_resync_wait(l) ?: blkcast_verify_waits(l) ? 10 : 0;

	return resync ? msecs_to_jiffies(resync) :
			nsecs_to_jiffies(ping_ns(l)) + 1;
}

static int map_ask(struct blkcast_link *l)
{
	struct blkcast_frame f = { .type = cpu_to_le16(BLKCAST_FRAME_MAP) };

	if (!READ_ONCE(l->map_due))
		return 0;
	WRITE_ONCE(l->map_due, false);
	return blkcast_frame_send(l, &f, NULL, false);
}

int blkcast_stream_tx(void *data)
{
	unsigned int noio = memalloc_noio_save();
	struct blkcast_link *l = data;
	int err;

	do {
		wait_event_timeout(l->wake, stream_due(l), tx_patience(l));
		err = READ_ONCE(l->error);
		if (!err)
			err = size_tell(l);
		if (!err)
			err = map_ask(l);
		if (!err)
			err = stream_entries(l);
		if (!err)
			err = blkcast_resync_step(l);
		park(l);
		if (!err)
			blkcast_verify_step(l);
		if (!err)
			err = blkcast_reign_step(l);
		if (!err)
			err = ping(l);
	} while (!err);
	memalloc_noio_restore(noio);
	return blkcast_link_park(l, err);
}

/* ---- what the replica answers ---- */

/*
 * The replica holds the stream up to @lsn and nothing else.  Rule 18: go on from
 * there if that is of this reign and nothing behind it has left the backlog.
 */
static bool replay_from(struct blkcast_link *l, u64 lsn)
{
	struct blkcast_volume *v = l->vol;
	struct blkcast_op *op;

	lockdep_assert_held(&v->lock);
	if (blkcast_lsn_term(lsn) != l->term || lsn < v->log_floor ||
	    lsn > v->lsn)
		return false;
	l->lost_flush = 0;
	l->next = NULL;
	list_for_each_entry_reverse(op, &v->log, log_node) {
		if (op->lsn <= lsn)
			break;
		l->next = op;
	}
	l->unreceived = l->next;
	l->unapplied = l->next;
	l->sent = lsn;
	blkcast_resync_skip(l);
	return true;
}

/*
 * It is settled what the replica lacks.  Nobody waits for it before the stream
 * has passed what has gathered in the backlog by now.  Caller holds vol->lock.
 */
static void resync_enter(struct blkcast_link *l)
{
	l->copied_at = l->vol->lsn;
	blkcast_link_set_state(l, BLKCAST_LINK_RESYNC);
}

static int position_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	struct blkcast_volume *v = l->vol;
	u64 lsn = le64_to_cpu(f->lsn);
	bool replay = false;

	if (f->length || l->positioned)
		return -EPROTO;
	l->positioned = true;
	spin_lock_irq(&v->lock);
	l->sectors = le64_to_cpu(f->sector);
	if (!l->error) {
		replay = replay_from(l, lsn);
		l->map_due = !replay;
		if (replay)
			resync_enter(l);
		wake_up(&l->wake);
	}
	spin_unlock_irq(&v->lock);
	if (replay)
		vol_info(v, "link %s: goes on where it was, at %u.%llu\n", l->name,
			 blkcast_lsn_term(lsn), blkcast_lsn_seq(lsn));
	return 0;
}

/* Compare a piece of the replica's map. */
static void stamps_compare(struct blkcast_link *l, const __le64 *stamps,
			   u32 first, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++) {
		spin_lock_irq(&l->vol->lock);
		blkcast_resync_stamp(l, first + i, le64_to_cpu(stamps[i]));
		spin_unlock_irq(&l->vol->lock);
		if (!(i % 1024))
			cond_resched();
	}
}

/* Regions of the volume as the replica knows it, which are those in its map. */
static u32 link_regions(struct blkcast_link *l)
{
	u64 regions;

	spin_lock_irq(&l->vol->lock);
	regions = DIV_ROUND_UP_ULL(l->sectors, 1ULL << l->vol->region_shift);
	regions = min_t(u64, regions, l->vol->regions);
	spin_unlock_irq(&l->vol->lock);
	return regions;
}

static int stamps_recv(struct blkcast_link *l, const struct blkcast_frame *f,
		       __le64 *buf)
{
	struct blkcast_volume *v = l->vol;
	u64 first = le64_to_cpu(f->sector);
	u32 count = le32_to_cpu(f->sectors);
	bool last = le16_to_cpu(f->flags) & BLKCAST_FRAME_LAST;
	u32 regions = link_regions(l);
	int err;

	if (l->state != BLKCAST_LINK_COMPARING || !l->positioned ||
	    first != l->stamps_done ||
	    !count || count > BLKCAST_STAMPS_MAX || count > regions - first ||
	    le32_to_cpu(f->length) != count * sizeof(*buf) ||
	    last != (first + count == regions))
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
		resync_enter(l);
	spin_unlock_irq(&v->lock);
	return 0;
}

/* A write into a dirty region is passed over: it is neither there nor applied. */
static bool op_streamed(const struct blkcast_link *l, const struct blkcast_op *op)
{
	return !blkcast_op_writes(op) || !test_bit(op->region, l->dirty);
}

/* When an ACK came in, and what it says of the time before; ns. */
struct echo {
	u64 now;
	u64 sent;	/* the newest frame that was taken in as it came; 0: not said */
	u64 held;	/* by its receiver, before it answered */
};

static struct echo echo_of(const struct blkcast_link *l,
			   const struct blkcast_frame *f, const struct blkcast_ack *a)
{
	struct echo e = {
		.now = l->rx_when,
		.sent = le64_to_cpu(f->time),
		.held = le64_to_cpu(a->held_ns),
	};
	u64 trip = e.now - e.sent;

	/* Nonsense (an echo of nothing, a lie) is not taken for a figure. */
	if (trip >= (u64)l->timeout * NSEC_PER_MSEC || e.held > trip)
		e.sent = 0;
	return e;
}

/* Caller holds vol->lock.  Walk the cursors up to what is acknowledged. */
static void ack_advance(struct blkcast_link *l, const struct echo *e)
{
	u32 minor = l->vol->minor;
	struct blkcast_op *op;

	for (op = l->unreceived; op && op != l->next && op->lsn <= l->received;
	     op = log_after(op))
		if (op_streamed(l, op))
			trace_blkcast_link_received(minor, l->id, op->lsn,
						    blkcast_op_bytes(op), op->start,
						    op->sector, op->pid, e->now,
						    e->sent, e->held);
	l->unreceived = op;
	for (op = l->unapplied; op && op != l->next && op->lsn <= l->applied;
	     op = log_after(op)) {
		if (!op_streamed(l, op))
			continue;
		blkcast_lag_applied(l, op);
		trace_blkcast_link_applied(minor, l->id, op->lsn,
					   blkcast_op_bytes(op), op->start,
					   op->sector, op->pid, e->now);
		if (op->kind == BLKCAST_OP_FLUSH)
			trace_blkcast_link_durable(minor, l->id, op->lsn, 0,
						   op->start, 0, op->pid, e->now);
	}
	l->unapplied = op;
}

/*
 * A flush is applied and durable in one step.  Who says otherwise would have writers wait
 * for ever.
 */
static bool flushes_durable(struct blkcast_link *l, u64 applied, u64 durable)
{
	struct blkcast_op *op;

	for (op = l->unapplied; op && op != l->next && op->lsn <= applied;
	     op = log_after(op))
		if (op->kind == BLKCAST_OP_FLUSH && op->lsn > durable)
			return false;
	return true;
}

static bool ack_valid(struct blkcast_link *l, const struct blkcast_ack *a)
{
	u64 received = le64_to_cpu(a->received);
	u64 applied = le64_to_cpu(a->applied);
	u64 durable = le64_to_cpu(a->durable);

	return received <= l->sent && applied <= received && durable <= applied &&
	       received >= l->received && applied >= l->applied &&
	       durable >= l->durable && flushes_durable(l, applied, durable);
}

/* Bounded: nobody has us do nothing but ping. */
static u64 ping_wish(const struct blkcast_frame *f)
{
	u32 ms = le32_to_cpu(f->sectors);

	return ms ? max(ms, PING_WISH_MIN) * NSEC_PER_MSEC : 0;
}

static int ack_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	struct blkcast_volume *v = l->vol;
	struct blkcast_ack a;
	struct echo e;
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
		e = echo_of(l, f, &a);
		if (l->applied != le64_to_cpu(a.applied))
			l->progress_when = e.now;
		if (l->durable != le64_to_cpu(a.durable))
			blkcast_lag_durable(l);
		l->received = le64_to_cpu(a.received);
		l->applied = le64_to_cpu(a.applied);
		l->durable = le64_to_cpu(a.durable);
		l->apply_ns = le64_to_cpu(a.apply_ns);
		l->flush_ns = le64_to_cpu(a.flush_ns);
		blkcast_reads_told(l, le64_to_cpu(a.reads));
		l->room = a.room ? le64_to_cpu(a.room) : l->room;
		WRITE_ONCE(l->ping_wish, ping_wish(f));
		l->peer_when = le64_to_cpu(f->sector);
		if (e.sent)
			l->rtt_ns = max(e.now - e.sent - e.held, 1ULL);
		ack_advance(l, &e);
		blkcast_members_join(l);
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

static int answer_handle(struct blkcast_link *l, const struct blkcast_frame *f,
			 __le64 *buf)
{
	switch (le16_to_cpu(f->type)) {
	case BLKCAST_FRAME_STAMPS:
		return stamps_recv(l, f, buf);
	case BLKCAST_FRAME_POSITION:
		return position_recv(l, f);
	case BLKCAST_FRAME_HASHES:
		return blkcast_hashes_recv(l, f);
	case BLKCAST_FRAME_ACK:
		return ack_recv(l, f);
	case BLKCAST_FRAME_DONE_OK:
		return done_ok_recv(l, f);
	case BLKCAST_FRAME_DATA:
		return blkcast_repair_recv(l, f);
	case BLKCAST_FRAME_HANDED:
		return blkcast_handed_recv(l, f);
	case BLKCAST_FRAME_ERROR:
		vol_warn(l->vol, "link %s: the replica failed: %llu\n", l->name,
			 le64_to_cpu(f->lsn));
		return -EREMOTEIO;
	default:
		return -EPROTO;
	}
}

static int answer_recv(struct blkcast_link *l, __le64 *buf)
{
	struct blkcast_frame f;
	int err = blkcast_frame_recv(l, &f);

	if (err)
		return err;
	err = answer_handle(l, &f, buf);
	if (err == -EPROTO)
		blkcast_frame_refused(l, &f);
	return err;
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
