// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The policy: whether a write is taken in, and what it waits for before the
 * application is told that it is done.
 *
 *	ack=local	the local device
 *	ack=memory	... and the receipt of it by every replica in sync
 *	ack=disk	... and the device of every replica in sync; a flush, its flush
 *
 * The rule is all replicas in sync, never some of them: then each of them can take
 * over and nothing that was acknowledged is lost.
 *
 * min_isr copies, this one counted, have to be there, and, if user space manages it,
 * all that it has put into the in-sync set (members.c).  While they are not, while the
 * lease is over (lease.c), or while the operator has halted it, the gate is closed:
 *
 *	submit_bio --gate--> open: on its way	(write.c)
 *		       `---> parked, or EIO with on_loss=error or on the way down
 *
 *  1. Nothing is parked or refused once it is on its way: it is written here, and
 *     its completion waits, or fails, while the gate is closed for want of copies.
 *  2. What is parked holds nothing: no range, no room, no LSN.  It goes on in the
 *     order in which it came, before what comes later.
 *  3. A link that is joining opens the gate: it is waited for.  But no completion
 *     is given before min_isr copies are in sync.
 *  4. Only an application's writes and flushes meet the gate.  The flush by which a
 *     link joins does not.
 *  5. Each change of a link's state comes by here, under the same vol->lock as the
 *     change itself, so nothing is judged by a link that has left.
 *
 * The in-sync set on disk never shrinks below min_isr while writes wait for it: see
 * members.c, inv. 5.
 */
#include "link.h"

/* Copies that are in @state or above, this one too while it has a device.  Caller holds vol->lock. */
static u32 copies_count(struct blkcast_volume *v, enum blkcast_link_state state)
{
	struct blkcast_link *l;
	u32 n = !v->detached;

	lockdep_assert_held(&v->lock);
	list_for_each_entry(l, &v->links, node)
		n += blkcast_link_counts(l) && l->state >= state;
	return n;
}

/* Why there are too few.  Caller holds vol->lock. */
static u32 copies_lacking(struct blkcast_volume *v)
{
	u32 i, why = 0;

	if (copies_count(v, BLKCAST_LINK_JOINING) < v->min_isr)
		why |= BLKCAST_SUSPENDED_ISR;
	for (i = 0; i < v->members; i++)
		if (blkcast_member_missing(v, i))
			why |= BLKCAST_SUSPENDED_MEMBER;
	return why;
}

/* May a write come in?  Caller holds vol->lock. */
enum blkcast_gate blkcast_policy_gate(struct blkcast_volume *v)
{
	lockdep_assert_held(&v->lock);
	if (!v->accepting)
		return BLKCAST_GATE_FAIL;
	if (v->halted)
		return BLKCAST_GATE_PARK;
	if (!v->lacking && !blkcast_lease_over(v))
		return BLKCAST_GATE_OPEN;
	return v->on_loss == BLKCAST_ON_LOSS_ERROR ? BLKCAST_GATE_FAIL :
						     BLKCAST_GATE_PARK;
}

/* Keep an op until the gate opens.  Caller holds vol->lock. */
void blkcast_policy_park(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;

	lockdep_assert_held(&v->lock);
	list_add_tail(&op->node, &v->parked);
	v->parked_count++;
}

static void parked_release(struct blkcast_volume *v)
{
	struct blkcast_link *l;

	if (list_empty(&v->parked))
		return;
	list_splice_tail_init(&v->parked, &v->ready);
	v->parked_count = 0;
	wake_up(&v->wake);
	/* They are old, but no replica has had them: it has all its time. */
	list_for_each_entry(l, &v->links, node)
		l->progress_when = ktime_get_ns();
}

static const char *lacking_text(const struct blkcast_volume *v)
{
	return v->lacking & BLKCAST_SUSPENDED_ISR ? "of min-isr" : "in the in-sync set";
}

/* Tell that it has opened or closed.  Caller holds vol->lock. */
static void gate_note(struct blkcast_volume *v)
{
	bool closed = v->halted || v->lacking || v->lease_told;

	if (closed == !!v->closed_since)
		return;
	v->closed_since = closed ? ktime_get_ns() : 0;
	if (v->role != BLKCAST_ROLE_PRIMARY)
		return;
	if (v->lacking)
		vol_warn(v, "not all copies %s are there: writes %s\n",
			 lacking_text(v), v->on_loss == BLKCAST_ON_LOSS_ERROR ? "fail" : "wait");
	else if (!v->lease_told)
		vol_info(v, "writes %s\n", closed ? "wait: suspended" : "go on");
	blkcast_event(v, closed ? BLKCAST_EVENT_SUSPENDED :
				  BLKCAST_EVENT_RESUMED, NULL, 0);
}

/**
 * blkcast_policy_update() - links, role or policy have changed
 * @v: the volume; caller holds vol->lock
 */
void blkcast_policy_update(struct blkcast_volume *v)
{
	lockdep_assert_held(&v->lock);
	v->lacking = v->role == BLKCAST_ROLE_PRIMARY ? copies_lacking(v) : 0;
	gate_note(v);
	blkcast_detach_update(v);
	if (blkcast_policy_gate(v) == BLKCAST_GATE_OPEN)
		parked_release(v);
	queue_work(blkcast_wq, &v->policy_work);
}

/* What the change means for those who wait. */
static void policy_work(struct work_struct *work)
{
	struct blkcast_volume *v = container_of(work, struct blkcast_volume,
						policy_work);
	struct blkcast_op *op, *next;
	LIST_HEAD(refused);
	LIST_HEAD(held);

	spin_lock_irq(&v->lock);
	list_splice_init(&v->held, &held);
	if (blkcast_policy_gate(v) == BLKCAST_GATE_FAIL) {
		list_splice_init(&v->parked, &refused);
		v->parked_count = 0;
	}
	spin_unlock_irq(&v->lock);
	list_for_each_entry_safe(op, next, &refused, node) {
		list_del_init(&op->node);
		blkcast_write_refuse(op, -EIO);
	}
	list_for_each_entry_safe(op, next, &held, node) {
		list_del_init(&op->node);
		blkcast_write_complete(op);
	}
	blkcast_write_reached(v);
}

static bool link_reached(const struct blkcast_link *l, const struct blkcast_op *op)
{
	if (l->vol->ack == BLKCAST_ACK_MEMORY)
		return l->received >= op->lsn;
	return l->applied >= op->lsn && l->durable >= op->durable_lsn;
}

/**
 * blkcast_policy_judge() - have the replicas done what a completion waits for?
 * @op: has its LSN; caller holds vol->lock
 */
enum blkcast_verdict blkcast_policy_judge(const struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;
	struct blkcast_link *l;

	lockdep_assert_held(&v->lock);
	if (v->deposed)
		return BLKCAST_FAIL;
	if (v->detaching)
		return BLKCAST_WAIT;
	if (v->ack == BLKCAST_ACK_LOCAL)
		return BLKCAST_DONE;
	if (v->lacking)
		return v->accepting && v->on_loss == BLKCAST_ON_LOSS_SUSPEND ?
		       BLKCAST_WAIT : BLKCAST_FAIL;
	if (v->members_hold || copies_count(v, BLKCAST_LINK_IN_SYNC) < v->min_isr)
		return BLKCAST_WAIT;
	list_for_each_entry(l, &v->links, node)
		if (blkcast_link_waited(l) && !link_reached(l, op))
			return BLKCAST_WAIT;
	return BLKCAST_DONE;
}

/**
 * blkcast_policy_set() - change what is asked of the replicas
 * @v: the volume; caller holds vol->admin
 * @min_isr: copies; 0: as it is
 * @on_loss: enum blkcast_on_loss; -1: as it is
 */
void blkcast_policy_set(struct blkcast_volume *v, u32 min_isr, int on_loss)
{
	lockdep_assert_held(&v->admin);
	spin_lock_irq(&v->lock);
	if (min_isr)
		v->min_isr = min_isr;
	if (on_loss >= 0)
		v->on_loss = on_loss;
	blkcast_policy_update(v);
	spin_unlock_irq(&v->lock);
	blkcast_members_policy(v);
}

/* Caller holds vol->admin.  Errors: SUSPEND, RESUME in uapi/blkcast_netlink.h. */
int blkcast_policy_halt(struct blkcast_volume *v, bool halt,
			struct netlink_ext_ack *extack)
{
	lockdep_assert_held(&v->admin);
	if (halt && v->role != BLKCAST_ROLE_PRIMARY) {
		NL_SET_ERR_MSG(extack, "is not primary here: it takes no writes");
		return -EINVAL;
	}
	if (!halt && !v->halted) {
		NL_SET_ERR_MSG(extack, "was not suspended by hand");
		return -EINVAL;
	}
	spin_lock_irq(&v->lock);
	v->halted = halt;
	blkcast_policy_update(v);
	spin_unlock_irq(&v->lock);
	return 0;
}

static u32 waiting_count(struct blkcast_volume *v)
{
	struct blkcast_op *op;
	u32 n = 0;

	if (v->lacking)
		list_for_each_entry(op, &v->waiting, wait_node)
			n += !!op->bio;
	list_for_each_entry(op, &v->held, node)
		n++;
	return n + blkcast_detach_held(v);
}

/* Caller holds vol->lock. */
void blkcast_policy_status(struct blkcast_volume *v,
			   struct blkcast_policy_status *s)
{
	lockdep_assert_held(&v->lock);
	s->isr = copies_count(v, BLKCAST_LINK_IN_SYNC);
	s->suspended = (v->halted ? BLKCAST_SUSPENDED_HAND : 0) | v->lacking |
		       (v->lease_told ? BLKCAST_SUSPENDED_LEASE : 0);
	s->since = v->closed_since;
	s->parked = v->parked_count + waiting_count(v);
}

void blkcast_policy_init(struct blkcast_volume *v)
{
	v->min_isr = 1;
	INIT_LIST_HEAD(&v->parked);
	INIT_LIST_HEAD(&v->failed);
	INIT_WORK(&v->policy_work, policy_work);
}

/* No link is left, and nothing comes in. */
void blkcast_policy_stop(struct blkcast_volume *v)
{
	cancel_work_sync(&v->policy_work);
}
