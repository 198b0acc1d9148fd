// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The in-sync set on stable storage: the replicas that hold every write that was
 * acknowledged in this reign.
 *
 * With ack=disk a completion waits for every link in sync.  Whoever finds this
 * copy after a crash has to know which replicas these were: only one of them can
 * have become primary without losing an acknowledged write, so only from one of
 * them this copy takes back, unasked, what it has beyond it (rule 22).
 *
 *  1. A link may be in the set on disk from before that is written until a set
 *     without it has been: link->member.
 *  2. A link enters when all that was acknowledged is durable there, and is in
 *     sync once the set with it is on stable storage.         rule 19
 *  3. When one leaves, no completion is given (members_hold) before a set without
 *     it is on stable storage.                                rules 19, 20
 *  4. With ack=local nobody is waited for, and with ack=memory a replica that
 *     crashes loses what it had only received: a copy cannot know whether that
 *     has happened before it took over.  So the set is empty.	rule 20
 *  5. While fewer than min_isr copies are left, nothing is acknowledged (policy.c),
 *     so the set stays as it is: each of them still holds all that was.
 *
 * If the set cannot be written, what waits for it fails, and it is tried again.
 */
#include "link.h"

#define MEMBERS_RETRY	HZ

/* Does it wait for nothing but its name in the set?  Caller holds vol->lock. */
static bool link_joins(const struct blkcast_link *l)
{
	return l->state == BLKCAST_LINK_JOINING && l->durable > l->join_lsn;
}

static bool link_belongs(const struct blkcast_link *l)
{
	return l->vol->ack == BLKCAST_ACK_DISK && l->has_node &&
	       !(l->flags & BLKCAST_F_ASYNC) &&
	       (l->state == BLKCAST_LINK_IN_SYNC || link_joins(l));
}

/* Are there enough copies for a set?  Inv. 5.  Caller holds vol->lock. */
static bool members_suffice(struct blkcast_volume *v)
{
	struct blkcast_link *l;
	u32 n = 1;

	list_for_each_entry(l, &v->links, node)
		n += blkcast_link_counts(l) &&
		     (l->state == BLKCAST_LINK_IN_SYNC || link_joins(l));
	return n >= v->min_isr;
}

static void link_in_sync(struct blkcast_link *l)
{
	l->behind_since = 0;
	blkcast_link_set_state(l, BLKCAST_LINK_IN_SYNC);
}

/* The set as it should be.  Caller holds vol->lock. */
static u32 members_collect(struct blkcast_volume *v, u8 (*member)[16])
{
	struct blkcast_link *l;
	u32 n = 0;

	list_for_each_entry(l, &v->links, node) {
		if (!link_belongs(l) || n == BLKCAST_MEMBERS_MAX)
			continue;
		l->member = true;
		memcpy(member[n++], l->peer, sizeof(*member));
	}
	return n;
}

/* What waits for a set that cannot be written cannot be promised. */
static void members_failed(struct blkcast_volume *v)
{
	spin_lock_irq(&v->lock);
	v->members_hold = true;
	spin_unlock_irq(&v->lock);
	vol_err_ratelimited(v, "cannot record who is in sync: writes fail\n");
	blkcast_event_error(v, -EIO);
	blkcast_write_abort(v, -EIO);
	queue_delayed_work(blkcast_wq, &v->members_work, MEMBERS_RETRY);
}

/*
 * Those in it record the set as well: it tells their operators what a promotion
 * would lose.  Nothing here depends on when they do.  Caller holds vol->lock.
 */
static void members_tell(struct blkcast_volume *v, const u8 (*member)[16], u32 n)
{
	struct blkcast_link *l;

	lockdep_assert_held(&v->lock);
	if (n == v->members && !memcmp(v->member, member, n * sizeof(*member)))
		return;
	v->members = n;
	memcpy(v->member, member, n * sizeof(*member));
	blkcast_event(v, BLKCAST_EVENT_MEMBERS, NULL, 0);
	list_for_each_entry(l, &v->links, node) {
		if (l->state < BLKCAST_LINK_JOINING)
			continue;
		l->members_due = true;
		wake_up_all(&l->wake);
	}
}

/* The set is on stable storage, if nobody has left since. */
static void members_written(struct blkcast_volume *v, u32 seq,
			    const u8 (*member)[16], u32 n)
{
	bool full = n == BLKCAST_MEMBERS_MAX;
	struct blkcast_link *l;

	spin_lock_irq(&v->lock);
	members_tell(v, member, n);
	if (seq == v->members_seq) {
		v->members_hold = false;
		list_for_each_entry(l, &v->links, node)
			if (link_joins(l) &&
			    (l->member || full || !link_belongs(l)))
				link_in_sync(l);
	}
	spin_unlock_irq(&v->lock);
	blkcast_write_reached(v);
}

static void members_work(struct work_struct *work)
{
	struct blkcast_volume *v = container_of(to_delayed_work(work),
						struct blkcast_volume,
						members_work);
	u8 member[BLKCAST_MEMBERS_MAX][16];
	bool suffice;
	u32 n, seq;
	int err;

	mutex_lock(&v->members_lock);
	spin_lock_irq(&v->lock);
	suffice = v->ack != BLKCAST_ACK_DISK || members_suffice(v);
	n = suffice ? members_collect(v, member) : 0;
	seq = v->members_seq;
	spin_unlock_irq(&v->lock);
	if (!suffice)
		goto out_unlock;
	/* A flush that failed, and was told to this one, may be over. */
	err = blkcast_super_set_members(v, member[0], n) &&
	      blkcast_super_set_members(v, member[0], n);
	if (err)
		members_failed(v);
	else
		members_written(v, seq, member, n);
out_unlock:
	mutex_unlock(&v->members_lock);
}

/* A link has all that was acknowledged.  Caller holds vol->lock. */
void blkcast_members_join(struct blkcast_link *l)
{
	lockdep_assert_held(&l->vol->lock);
	if (!link_joins(l))
		return;
	if (link_belongs(l))
		queue_delayed_work(blkcast_wq, &l->vol->members_work, 0);
	else
		link_in_sync(l);
}

/* A link is waited for no longer.  Inv. 3.  Caller holds vol->lock. */
void blkcast_members_leave(struct blkcast_link *l)
{
	struct blkcast_volume *v = l->vol;

	lockdep_assert_held(&v->lock);
	if (!l->member)
		return;
	l->member = false;
	v->members_seq++;
	v->members_hold = true;
	mod_delayed_work(blkcast_wq, &v->members_work, 0);
}

/* min_isr has changed: the set that was kept may have to be another. */
void blkcast_members_policy(struct blkcast_volume *v)
{
	spin_lock_irq(&v->lock);
	if (v->role == BLKCAST_ROLE_PRIMARY && v->ack == BLKCAST_ACK_DISK)
		mod_delayed_work(blkcast_wq, &v->members_work, 0);
	spin_unlock_irq(&v->lock);
}

/* From here on completions wait for more.  Caller holds vol->lock. */
static void ack_raise(struct blkcast_volume *v, enum blkcast_ack_mode ack)
{
	struct blkcast_link *l;

	v->ack = ack;
	list_for_each_entry(l, &v->links, node) {
		if (l->state < BLKCAST_LINK_JOINING || l->flags & BLKCAST_F_ASYNC)
			continue;
		/* It may lack what was acknowledged so far. */
		l->join_lsn = v->lsn;
		blkcast_link_set_state(l, BLKCAST_LINK_JOINING);
	}
}

/* ... for less; nobody is in the set.  Caller holds vol->lock. */
static void ack_lower(struct blkcast_volume *v, enum blkcast_ack_mode ack)
{
	struct blkcast_link *l;

	v->ack = ack;
	v->members_hold = false;
	members_tell(v, NULL, 0);
	list_for_each_entry(l, &v->links, node)
		l->member = false;
}

/* How much a completion waits for. */
static int ack_rank(enum blkcast_ack_mode ack)
{
	return ack == BLKCAST_ACK_LOCAL ? 0 : ack == BLKCAST_ACK_MEMORY ? 1 : 2;
}

/**
 * blkcast_members_set_ack() - change when a write counts as done
 * @v: the volume; caller holds vol->admin
 * @ack: the policy
 *
 * Return: 0; an error if the in-sync set could not be written: nothing changed.
 */
int blkcast_members_set_ack(struct blkcast_volume *v, enum blkcast_ack_mode ack)
{
	bool primary = v->role == BLKCAST_ROLE_PRIMARY;
	bool raise = ack_rank(ack) > ack_rank(v->ack);
	int err = 0;

	lockdep_assert_held(&v->admin);
	if (ack == v->ack)
		return 0;
	mutex_lock(&v->members_lock);
	if (primary && ack != BLKCAST_ACK_DISK)
		err = blkcast_super_set_members(v, NULL, 0);
	if (!err) {
		spin_lock_irq(&v->lock);
		if (raise)
			ack_raise(v, ack);
		else
			ack_lower(v, ack);
		spin_unlock_irq(&v->lock);
	}
	mutex_unlock(&v->members_lock);
	if (err) {
		mod_delayed_work(blkcast_wq, &v->members_work, MEMBERS_RETRY);
		return err;
	}
	/* So that there is an answer after the change. */
	if (primary)
		blkcast_write_flush(v);
	blkcast_write_reached(v);
	return 0;
}

void blkcast_members_init(struct blkcast_volume *v)
{
	mutex_init(&v->members_lock);
	INIT_DELAYED_WORK(&v->members_work, members_work);
}

/* No link is left, and no completion waits. */
void blkcast_members_stop(struct blkcast_volume *v)
{
	cancel_delayed_work_sync(&v->members_work);
}
