// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The lease: until when a primary may serve.
 *
 * Whoever may make another copy primary gives this one a lease, renews it, and waits
 * until it is over before he does so; then nobody here is told anything that the next
 * reign does not know (rule 23).  No thread, no link and no user space is needed for
 * it to end: the clock is read at each submission and, last of all, at each completion.
 *
 *  1. The clock is CLOCK_BOOTTIME, which runs in suspend.  The deadline is absolute:
 *     the time that the request took is not added to it.
 *  2. Once it is over nothing ends well: op_complete() in write.c and blkcast_read_done()
 *     in reads.c have the last word, and look at the clock there.
 *  3. A read fails: what it would tell may be old, and nothing is lost by that.
 *  4. A write or flush waits, with on_loss=error it fails, as while copies are lacking
 *     (policy.c): what is on its way has its place in the stream, so it counts once
 *     there is a new deadline, and the application need not know.
 *  5. A new deadline does not bring back what has ended: a deposed primary gets none.
 *  6. It is kept in memory alone.  A reign begins with the one that PRIMARY says, or
 *     without; one that was cut off and is made primary again has a reign of its own
 *     (rule 1).
 *
 * What it does not bind: a virtual machine that is paused from outside, whose clock
 * stands still; what the page cache of a reader holds.  From the last look at the clock
 * to the application is a moment: who waits a lease out adds that, and drift.
 */
#include "link.h"

#define LEASE_MAX	(24 * 3600 * NSEC_PER_SEC)

/* It is over, and that is news: the gate closes.  Caller holds vol->lock. */
static void lease_tell(struct blkcast_volume *v)
{
	lockdep_assert_held(&v->lock);
	if (v->lease_told)
		return;
	v->lease_told = true;
	vol_warn(v, "the lease is over: reads fail, writes %s\n",
		 v->on_loss == BLKCAST_ON_LOSS_ERROR ? "fail" : "wait");
	blkcast_event(v, BLKCAST_EVENT_LEASE_OVER, NULL, 0);
	blkcast_policy_update(v);
}

/* So that it is told when nobody writes: nothing depends on when this runs. */
static void lease_work(struct work_struct *work)
{
	struct blkcast_volume *v = container_of(to_delayed_work(work),
						struct blkcast_volume,
						lease_work);
	s64 left;

	spin_lock_irq(&v->lock);
	left = v->lease - ktime_get_boottime_ns();
	if (v->lease && left > 0)
		queue_delayed_work(blkcast_wq, &v->lease_work,
				   nsecs_to_jiffies(left) + 1);
	else if (v->lease)
		lease_tell(v);
	spin_unlock_irq(&v->lock);
}

/**
 * blkcast_lease_keep() - an op that would be done has come too late
 * @op: all it has waited for has come; the lease is over
 *
 * Any context.
 *
 * Return: true: it waits, and is completed anew when the lease or the policy changes;
 * false: complete it, with the error it has now.
 */
bool blkcast_lease_keep(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;
	unsigned long flags;
	bool keep = false;

	/* Without a bio nobody is told. */
	if (op->error || !op->bio)
		return false;
	spin_lock_irqsave(&v->lock, flags);
	if (blkcast_lease_over(v)) {
		keep = v->accepting && v->on_loss == BLKCAST_ON_LOSS_SUSPEND;
		if (keep)
			list_add_tail(&op->node, &v->held);
		else
			op->error = -EIO;
		mod_delayed_work(blkcast_wq, &v->lease_work, 0);
	}
	spin_unlock_irqrestore(&v->lock, flags);
	return keep;
}

/* May that be a deadline?  A time that is over may, too.  Any context. */
int blkcast_lease_check(u64 until, struct netlink_ext_ack *extack)
{
	if (until <= ktime_get_boottime_ns() + LEASE_MAX)
		return 0;
	NL_SET_ERR_MSG(extack, "a lease is for a day at most");
	return -ERANGE;
}

/* What a reign begins with; 0: none, as without a reign.  Caller holds vol->lock. */
void blkcast_lease_begin(struct blkcast_volume *v, u64 until)
{
	lockdep_assert_held(&v->lock);
	WRITE_ONCE(v->lease, until);
	v->lease_told = false;
	mod_delayed_work(blkcast_wq, &v->lease_work, 0);
}

/**
 * blkcast_lease_set() - give the volume a deadline
 * @v: the volume; caller holds vol->admin
 * @until: ns of CLOCK_BOOTTIME; 0: none
 * @extack: takes the reason of a refusal
 *
 * Errors: see LEASE in uapi/blkcast_netlink.h.
 */
int blkcast_lease_set(struct blkcast_volume *v, u64 until,
		      struct netlink_ext_ack *extack)
{
	int err;

	lockdep_assert_held(&v->admin);
	if (v->role != BLKCAST_ROLE_PRIMARY) {
		NL_SET_ERR_MSG(extack, "is not primary here: it has nothing to serve");
		return -EINVAL;
	}
	if (v->deposed || le32_to_cpu(v->super->term) > v->term) {
		NL_SET_ERR_MSG(extack, "a primary of a newer term has deposed this one");
		return -ESTALE;
	}
	err = blkcast_lease_check(until, extack);
	if (err)
		return err;
	spin_lock_irq(&v->lock);
	WRITE_ONCE(v->lease, until);
	if (v->lease_told && !blkcast_lease_over(v)) {
		v->lease_told = false;
		blkcast_event(v, BLKCAST_EVENT_LEASE_RENEWED, NULL, 0);
	}
	/* Also if it has not been told that it was over. */
	blkcast_policy_update(v);
	spin_unlock_irq(&v->lock);
	mod_delayed_work(blkcast_wq, &v->lease_work, 0);
	return 0;
}

void blkcast_lease_init(struct blkcast_volume *v)
{
	INIT_LIST_HEAD(&v->held);
	INIT_DELAYED_WORK(&v->lease_work, lease_work);
}

/* No op is left. */
void blkcast_lease_stop(struct blkcast_volume *v)
{
	cancel_delayed_work_sync(&v->lease_work);
}
