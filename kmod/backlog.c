// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The backlog: recent writes and flushes in LSN order, data included.
 *
 * Links drain it, each from a cursor of its own.  Entries that the backing device
 * and every link are done with stay for replicas that return (stream.c), until
 * their room or their memory is needed.  Who has the turn (volume.c) sees to room before
 * it appends; while there is none the volume's thread waits, and
 *
 *	- a link that completions wait for (in sync, not asynchronous) slows the
 *	  writers down,
 *	- so does one that they are about to wait for (under resync), or the resync
 *	  might have no end: as long as the stream goes on (log_waited()),
 *	- any other link that holds the oldest entry is dropped from the stream:
 *	  what it has not been sent turns dirty and travels later as regions
 *	  (blkcast_stream_drop()).
 *
 * So no writer ever waits for an asynchronous replica, and memory is bounded.
 */
#include "lag.h"

/* For a link under resync; after it has been in vain there is none for a while. */
#define LOG_PATIENCE_NS	NSEC_PER_SEC
#define LOG_IMPATIENT_NS (10 * NSEC_PER_SEC)
#define LOG_PACE	256	/* the part of the budget that a second of it has to free */

/* Append an op that has just got its LSN.  Caller holds vol->lock. */
void blkcast_log_append(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;
	struct blkcast_link *l;

	lockdep_assert_held(&v->lock);
	blkcast_op_get(op);
	list_add_tail(&op->log_node, &v->log);
	v->log_bytes += blkcast_op_memory(op);
	op->writes_before = v->logged_writes;
	op->bytes_before = v->logged_bytes;
	v->logged_writes += blkcast_op_writes(op);
	v->logged_bytes += blkcast_op_bytes(op);
	blkcast_lag_log(v, op);
	list_for_each_entry(l, &v->links, node) {
		if (l->state == BLKCAST_LINK_DOWN)
			continue;
		if (!l->next)
			l->next = op;
		if (!l->unreceived)
			l->unreceived = op;
		if (!l->unapplied) {
			l->unapplied = op;
			/* The op may have waited for room since it came. */
			l->progress_when = ktime_get_ns();
		}
		wake_up(&l->wake);
	}
}

/* The link that still needs an entry, asynchronous ones first; or NULL. */
static struct blkcast_link *entry_holder(struct blkcast_op *op)
{
	struct blkcast_link *l, *holder = NULL;

	list_for_each_entry(l, &op->vol->links, node) {
		if (l->unapplied != op)
			continue;
		if (!blkcast_link_waited(l))
			return l;
		holder = l;
	}
	return holder;
}

/* Writers are about to wait for it; they have not just done so here in vain. */
static bool link_coming(const struct blkcast_link *l)
{
	return l->state == BLKCAST_LINK_RESYNC && !l->apart && !l->vol->starving &&
	       !(l->flags & BLKCAST_F_ASYNC) && l->vol->ack != BLKCAST_ACK_LOCAL &&
	       (!l->in_vain || ktime_get_ns() - l->in_vain > LOG_IMPATIENT_NS);
}

/* Let the oldest entry go.  The floor never sinks: see write_failed(). */
static void entry_release(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;

	list_del_init(&op->log_node);
	v->log_bytes -= blkcast_op_memory(op);
	v->log_floor = max(v->log_floor, op->lsn);
	blkcast_op_put(op);
}

/*
 * Release the oldest entry if nobody needs it; with @drop links that writers do
 * not wait for lose it.  False: it has to stay, or there is none.
 */
static bool entry_spare(struct blkcast_volume *v, bool drop)
{
	struct blkcast_link *l;
	struct blkcast_op *op;

	op = list_first_entry_or_null(&v->log, struct blkcast_op, log_node);
	if (!op)
		return false;
	while ((l = entry_holder(op))) {
		if (!drop || blkcast_link_waited(l) || link_coming(l))
			return false;
		blkcast_stream_drop(l);
	}
	if (!op->local_done)
		return false;
	if (blkcast_detach_last(v))
		return false;
	entry_release(op);
	return true;
}

/* Somebody is done with an entry.  Caller holds vol->lock. */
void blkcast_log_trim(struct blkcast_volume *v)
{
	lockdep_assert_held(&v->lock);
	while ((!v->log_keeps || v->starving) && entry_spare(v, v->starving))
		;
	wake_up(&v->idle);
}

/* Somebody begins (1) or ceases (-1) to wait for memory that entries hold. */
void blkcast_log_starve(struct blkcast_volume *v, int n)
{
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	v->starving += n;
	blkcast_log_trim(v);
	spin_unlock_irqrestore(&v->lock, flags);
}

/* From now on entries stay as long as there is room.  Caller holds vol->lock. */
void blkcast_log_keep(struct blkcast_volume *v, bool keep)
{
	lockdep_assert_held(&v->lock);
	v->log_keeps = keep;
	blkcast_log_trim(v);
}

/*
 * The sender of a link that is waited for waits for a write, this one perhaps, and makes no
 * room meanwhile.  So there is some, but not without end.
 */
static bool sender_waits(struct blkcast_volume *v)
{
	struct blkcast_link *l;

	if (v->log_bytes > v->log_budget + v->log_budget / 4)
		return false;
	list_for_each_entry(l, &v->links, node)
		if (l->locking && link_coming(l))
			return true;
	return false;
}

/* Is there room, or can it be made at once?  Caller holds vol->lock. */
static bool log_room_locked(struct blkcast_volume *v, u64 bytes)
{
	while (v->log_bytes && v->log_bytes + bytes > v->log_budget)
		if (!entry_spare(v, true))
			return sender_waits(v);
	return true;
}

/**
 * blkcast_log_room() - can the backlog take an entry?
 * @v: the volume; the caller has the turn
 * @bytes: of data
 */
bool blkcast_log_room(struct blkcast_volume *v, u64 bytes)
{
	bool room;

	spin_lock_irq(&v->lock);
	room = log_room_locked(v, bytes + sizeof(struct blkcast_op));
	spin_unlock_irq(&v->lock);
	return room;
}

/* Patience that has come to its end: who holds the oldest entry is not waited for. */
static void log_impatient(struct blkcast_volume *v)
{
	struct blkcast_link *l;

	spin_lock_irq(&v->lock);
	list_for_each_entry(l, &v->links, node)
		if (l->unapplied && link_coming(l) &&
		    list_is_first(&l->unapplied->log_node, &v->log))
			l->in_vain = ktime_get_ns();
	spin_unlock_irq(&v->lock);
}

/* A wait of @waited ns uses patience up; @freed bytes meanwhile give it back. */
static void log_waited(struct blkcast_volume *v, u64 waited, u64 freed)
{
	u64 back = div64_u64(freed * NSEC_PER_SEC, div_u64(v->log_budget, LOG_PACE));

	v->log_waited += waited;
	v->log_waited -= min(v->log_waited, back);
	if (v->log_waited < LOG_PATIENCE_NS)
		return;
	v->log_waited = 0;
	log_impatient(v);
}

/* Wait until it can.  The volume's thread. */
void blkcast_log_reserve(struct blkcast_volume *v, u64 bytes)
{
	u64 begun, held;
	bool room;

	do {
		begun = ktime_get_ns();
		held = READ_ONCE(v->log_bytes);
		room = wait_event_timeout(v->idle, blkcast_log_room(v, bytes),
					  nsecs_to_jiffies(LOG_PATIENCE_NS - v->log_waited) + 1);
		log_waited(v, ktime_get_ns() - begun, held - READ_ONCE(v->log_bytes));
	} while (!room);
}
