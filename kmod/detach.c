// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A dying disk under the primary: given up, with the volume kept alive by its replicas
 * (on_io_error=detach).
 *
 *	a write, flush or pen fails here
 *	blkcast_detach_fate()	it is held: it has neither failed nor been done
 *	event FAILING ->	user space durably notes, on this host but not on that
 *				disk, that this copy will lack writes
 *	DETACH		     <-	blkcast_detach()
 *	  ack=disk, and all until now at every replica in sync
 *	  one step: detached; what was held is done by what the replicas have done
 *
 * Rule 32 in parts:
 *
 *  1. What is held is not restamped, and dirties no link: the replicas have the right
 *     content by the stream.  It holds nothing that a command waits for: neither its range
 *     nor its place in the backlog.  Its group stays active.  While anything is held,
 *     nothing is read from the device (bad.c), for a reader, a region's copy or a view:
 *     nobody knows what it has lost.
 *  2. From the moment when detaching begins no completion is given until it is over:
 *     then every replica in sync has all that was acknowledged, and completions wait for
 *     ack=disk, whatever was asked for before.  It begins when nothing is on its way to be
 *     restamped by a failure of before, and no replica is marked inconsistent by then.
 *  3. From the step on nothing is read from the device or written to it.  The map in
 *     memory tells of the volume, as the replicas have it; the one on disk stays as it
 *     is, that of what the disk holds (blocks_write() in map.c).  What was active is in
 *     doubt when this copy is used again; the rest has exact, older stamps.
 *  4. This copy counts no more for min_isr.  It may hand over, as it has no right of its
 *     own to a reign since its first replica came (reign.c, inv. 1), but is laid down
 *     with no heir else, is not promoted and follows nobody until it has been down and
 *     up.  Then it is an inconsistent copy like others: user space's note has made it
 *     one, and the superblock, if that could be written.
 *  5. The superblock binds nobody any more: it is written if it can be.
 *  6. Reads, and regions for other replicas, come from a replica (repair.c).  If there
 *     is none, nothing is begun that would take a copy's consistency from it.
 *  7. A region that was written since the last flush is flushed before a copy of it gets
 *     its stamp: if that fails and is held, the replicas in sync have the content of that
 *     stamp, and the disk may have lost it.
 */
#include "link.h"

#define DETACH_WAIT	(10 * HZ)

/*
 * Are there enough copies without this one, in that state or above, and one of them that
 * readers can be served from?  Caller holds vol->lock.
 */
static bool others_suffice(struct blkcast_volume *v, enum blkcast_link_state state)
{
	struct blkcast_link *l;
	bool serves = false;
	u32 n = 0;

	lockdep_assert_held(&v->lock);
	list_for_each_entry(l, &v->links, node) {
		if (!blkcast_link_counts(l) || l->state < state)
			continue;
		serves |= l->flags & BLKCAST_F_READS;
		n++;
	}
	return serves && n >= v->min_isr;
}

/*
 * Is what fails here kept for a decision?  Not if nobody else has the volume when it
 * fails; if they are lost later, that is as with any write.  Caller holds vol->lock.
 */
static bool holds(struct blkcast_volume *v)
{
	if (v->detaching)
		return true;
	return v->hold_errors && v->accepting && !v->detached &&
	       (others_suffice(v, BLKCAST_LINK_IN_SYNC) ||
		(v->failing && v->on_loss == BLKCAST_ON_LOSS_SUSPEND));
}

/**
 * __blkcast_detach_fate() - what becomes of something that has failed here
 * @v: the volume; caller holds vol->lock
 *
 * Any context.
 */
enum blkcast_fate __blkcast_detach_fate(struct blkcast_volume *v)
{
	lockdep_assert_held(&v->lock);
	if (v->detached)
		return BLKCAST_FATE_SPARED;
	if (!holds(v))
		return BLKCAST_FATE_FAILED;
	if (!v->failing) {
		WRITE_ONCE(v->failing, true);
		vol_warn(v, "the device fails: what it failed waits to be done without it\n");
		blkcast_event(v, BLKCAST_EVENT_FAILING, NULL, 0);
	}
	return BLKCAST_FATE_HELD;
}

/* Inv. 1.  Caller holds vol->lock. */
static void op_hold(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;

	list_add_tail(&op->node, &v->failed);
	if (!list_empty(&op->range_node))
		blkcast_range_leave(op);
	if (!op->lsn) {
		blkcast_map_end(op);
		return;
	}
	blkcast_view_failed(op, op->local_error);
	op->local_done = true;
	blkcast_log_trim(v);
}

/**
 * blkcast_detach_fate() - what becomes of something that has failed here
 * @op: a write that the device has failed, or one without an LSN that the pen has:
 *	if it is held, its work is queued, or its step called, when it is to ask again;
 *	it has left its range, and one without an LSN its group.
 *	If it has failed, blkcast_detach_restamped() is called when that is dealt with
 *
 * Process context.
 */
enum blkcast_fate blkcast_detach_fate(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;
	enum blkcast_fate fate;

	spin_lock_irq(&v->lock);
	fate = op->fate ?: __blkcast_detach_fate(v);
	if (fate == BLKCAST_FATE_HELD)
		op_hold(op);
	v->restamping += fate == BLKCAST_FATE_FAILED && !op->fate;
	spin_unlock_irq(&v->lock);
	return fate;
}

void blkcast_detach_restamped(struct blkcast_volume *v)
{
	spin_lock_irq(&v->lock);
	v->restamping--;
	wake_up(&v->idle);
	spin_unlock_irq(&v->lock);
}

/* ... of a flush.  If it is held flush.c is called when it is to ask again; as above. */
enum blkcast_fate blkcast_detach_flush_fate(struct blkcast_volume *v)
{
	enum blkcast_fate fate;

	spin_lock_irq(&v->lock);
	fate = v->flush_fate ?: __blkcast_detach_fate(v);
	v->flush_held = fate == BLKCAST_FATE_HELD;
	v->restamping += fate == BLKCAST_FATE_FAILED && !v->flush_fate;
	v->flush_fate = BLKCAST_FATE_OPEN;
	spin_unlock_irq(&v->lock);
	return fate;
}

/* ... of what the superblock does not say. */
enum blkcast_fate blkcast_detach_super_fate(struct blkcast_volume *v)
{
	enum blkcast_fate fate;

	spin_lock_irq(&v->lock);
	fate = __blkcast_detach_fate(v);
	spin_unlock_irq(&v->lock);
	return fate;
}

/* How many wait for it.  Caller holds vol->lock. */
u32 blkcast_detach_held(struct blkcast_volume *v)
{
	struct blkcast_op *op;
	u32 n = v->flush_held;

	lockdep_assert_held(&v->lock);
	list_for_each_entry(op, &v->failed, node)
		n++;
	return n;
}

/* Has nobody else what the backlog holds?  Caller holds vol->lock. */
bool blkcast_detach_last(struct blkcast_volume *v)
{
	lockdep_assert_held(&v->lock);
	return v->accepting &&
	       ((v->detached && v->lacking) ||
		(v->failing && !others_suffice(v, BLKCAST_LINK_JOINING)));
}

/* What was held is not any more: this is its fate.  Caller holds vol->lock. */
static void held_release(struct blkcast_volume *v, enum blkcast_fate fate)
{
	struct blkcast_op *op, *next;

	list_for_each_entry_safe(op, next, &v->failed, node) {
		list_del_init(&op->node);
		op->fate = fate;
		v->restamping += fate == BLKCAST_FATE_FAILED;
		if (op->lsn)
			queue_work(blkcast_wq, &op->work);
		else
			__blkcast_op_ready(op);
	}
	if (!v->flush_held)
		return;
	v->flush_held = false;
	v->flush_fate = fate;
	v->restamping += fate == BLKCAST_FATE_FAILED;
	blkcast_flush_again(v);
}

/*
 * Links, role or policy have changed, or the device is detached: what was held may have
 * another fate.  Caller holds vol->lock.
 */
void blkcast_detach_update(struct blkcast_volume *v)
{
	lockdep_assert_held(&v->lock);
	/* Who waits for links, or for room: blkcast_detach_last(). */
	if (v->detaching || v->detached || v->failing)
		wake_up_all(&v->idle);
	if (!v->failing || holds(v))
		return;
	WRITE_ONCE(v->failing, false);
	held_release(v, v->detached ? BLKCAST_FATE_SPARED : BLKCAST_FATE_FAILED);
}

/*
 * What fails here from now on is held, or not.  Copies that were made before, of what a
 * flush is yet to lose, are none of inv. 7: so it goes well first.  Caller holds
 * vol->admin.
 */
int blkcast_detach_hold(struct blkcast_volume *v, bool hold)
{
	int err = 0;

	lockdep_assert_held(&v->admin);
	WRITE_ONCE(v->copies_sure, hold);
	if (hold && !v->hold_errors && !v->detached)
		err = blkcast_flush(v);
	if (err) {
		WRITE_ONCE(v->copies_sure, false);
		return err;
	}
	spin_lock_irq(&v->lock);
	v->hold_errors = hold;
	blkcast_policy_update(v);
	spin_unlock_irq(&v->lock);
	return 0;
}

/**
 * blkcast_detach_sure() - does the device hold what was read from it?
 * @v: the volume
 * @region: read by the caller, who has it
 *
 * What a flush that fails has lost reads as it was before, until then.  Where that would
 * restamp the region (flush.c) a copy of it gets another stamp; where it is held it does
 * not, so no copy is made of what has been written since the last flush: inv. 7.
 *
 * Return: 0, or a negative errno.
 */
int blkcast_detach_sure(struct blkcast_volume *v, u32 region)
{
	bool sure;

	spin_lock_irq(&v->lock);
	sure = !v->copies_sure || __blkcast_flush_sure(v, region);
	spin_unlock_irq(&v->lock);
	return sure ? 0 : blkcast_flush(v);
}

static const char *detach_refusal(struct blkcast_volume *v)
{
	if (v->role != BLKCAST_ROLE_PRIMARY)
		return "is not primary here: take it down";
	if (v->detached)
		return "is detached already";
	if (v->deposed)
		return "a primary of a newer term has deposed this one";
	return NULL;
}

static bool others_ready(struct blkcast_volume *v)
{
	bool ready;

	spin_lock_irq(&v->lock);
	ready = others_suffice(v, BLKCAST_LINK_IN_SYNC) || !v->accepting;
	spin_unlock_irq(&v->lock);
	return ready;
}

/* Inv. 2: nothing has failed that is still on its way to be restamped. */
static bool detach_begin(struct blkcast_volume *v)
{
	bool settled, may;

	spin_lock_irq(&v->lock);
	may = v->accepting && others_suffice(v, BLKCAST_LINK_JOINING);
	settled = !v->restamping || !may;
	if (settled)
		WRITE_ONCE(v->detaching, may);
	spin_unlock_irq(&v->lock);
	return settled;
}

/* The step: inv. 3.  False: there are not enough replicas. */
static bool detach_step(struct blkcast_volume *v)
{
	bool may;

	spin_lock_irq(&v->lock);
	may = others_suffice(v, BLKCAST_LINK_IN_SYNC) && v->accepting;
	WRITE_ONCE(v->detached, may);
	WRITE_ONCE(v->detaching, false);
	if (may)
		blkcast_views_unreadable(v);
	else
		/* A set that only memory has may have been taken for recorded. */
		v->members_hold = v->ack == BLKCAST_ACK_DISK;
	blkcast_policy_update(v);
	spin_unlock_irq(&v->lock);
	if (!may)
		blkcast_members_policy(v);
	blkcast_write_reached(v);
	return may;
}

/* Caller holds vol->admin.  Errors: see DETACH in uapi/blkcast_netlink.h. */
int blkcast_detach(struct blkcast_volume *v, struct netlink_ext_ack *extack)
{
	const char *refusal = detach_refusal(v);
	enum blkcast_ack_mode ack = v->ack;

	lockdep_assert_held(&v->admin);
	if (refusal) {
		extack->_msg = refusal;
		return v->detached ? -EALREADY : -EINVAL;
	}
	wait_event(v->idle, detach_begin(v));
	if (!v->detaching) {
		NL_SET_ERR_MSG(extack, "not enough replicas are in sync to go on without this device");
		return -ENOLINK;
	}
	/* Inv. 2: a link is in sync again when it has all until now. */
	blkcast_members_set_ack(v, BLKCAST_ACK_DISK);
	wait_event_timeout(v->idle, others_ready(v), DETACH_WAIT);
	if (!detach_step(v)) {
		/* If that cannot be recorded it stays what it is: more, not less. */
		blkcast_members_set_ack(v, ack);
		NL_SET_ERR_MSG(extack, "the replicas have not caught up");
		return -ETIMEDOUT;
	}
	vol_warn(v, "detached: the replicas alone have what is written from now on\n");
	blkcast_event(v, BLKCAST_EVENT_DETACHED, NULL, 0);
	/* Inv. 4 and 5: for who moves the disk to another host. */
	blkcast_super_set_flags(v, BLKCAST_SUPER_INCONSISTENT, 0);
	return 0;
}
