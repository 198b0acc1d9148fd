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
 *  6. If user space manages it, the set changes by MEMBER alone.  Who is in it and out
 *     of reach is *missing*: the set stays, and nothing is acknowledged until he is
 *     back, or is put out.  Who is not in it is *apart*: he gets the stream and nobody
 *     waits for him, as for an asynchronous link.  A reign begins with nobody in it:
 *     PRIMARY is the word that this copy alone counts.		rules 19, 31
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
	return l->vol->ack == BLKCAST_ACK_DISK && l->has_node && !l->apart &&
	       !(l->flags & BLKCAST_F_ASYNC) &&
	       (l->state == BLKCAST_LINK_IN_SYNC || link_joins(l));
}

/* Are there enough copies for a set?  Inv. 5.  Caller holds vol->lock. */
static bool members_suffice(struct blkcast_volume *v)
{
	struct blkcast_link *l;
	u32 n = !v->detached;

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

static bool among(const u8 (*member)[16], u32 n, const u8 *node)
{
	while (n--)
		if (!memcmp(member[n], node, sizeof(*member)))
			return true;
	return false;
}

static bool is_out(const struct blkcast_volume *v, u32 i)
{
	return v->member_out && !strcmp(v->member_name[i], v->member_out);
}

static u32 members_add(struct blkcast_volume *v, u8 (*member)[16], u32 n,
		       const u8 *node, const char *name)
{
	memcpy(member[n], node, sizeof(*member));
	strscpy(v->member_next[n], name, sizeof(v->member_next[n]));
	return n + 1;
}

/* Inv. 6. */
static u32 members_keep(struct blkcast_volume *v, u8 (*member)[16])
{
	u32 i, n = 0;

	for (i = 0; v->managed && i < v->members; i++)
		if (!is_out(v, i))
			n = members_add(v, member, n, v->member[i],
					v->member_name[i]);
	return n;
}

/* The set as it should be.  Caller holds vol->lock. */
static u32 members_collect(struct blkcast_volume *v, u8 (*member)[16])
{
	u32 n = members_keep(v, member);
	struct blkcast_link *l;

	list_for_each_entry(l, &v->links, node) {
		if (!link_belongs(l))
			continue;
		if (!among(member, n, l->peer)) {
			if (n == BLKCAST_MEMBERS_MAX)
				continue;
			n = members_add(v, member, n, l->peer, l->name);
		}
		l->member = true;
	}
	return n;
}

/*
 * What waits for a set that cannot be written cannot be promised, unless the device may
 * still be given up.
 */
static void members_failed(struct blkcast_volume *v)
{
	bool held = blkcast_detach_super_fate(v) != BLKCAST_FATE_FAILED;

	spin_lock_irq(&v->lock);
	v->members_hold = true;
	spin_unlock_irq(&v->lock);
	vol_err_ratelimited(v, "cannot record who is in sync: writes %s\n",
			    held ? "wait" : "fail");
	blkcast_event_error(v, -EIO);
	if (!held)
		blkcast_write_abort(v, -EIO);
	queue_delayed_work(blkcast_wq, &v->members_work, MEMBERS_RETRY);
}

/* The link to one in the set, if completions wait for it. */
static struct blkcast_link *member_link(struct blkcast_volume *v, const u8 *node)
{
	struct blkcast_link *l;

	list_for_each_entry(l, &v->links, node)
		if (blkcast_link_counts(l) && l->has_node &&
		    !memcmp(l->peer, node, sizeof(l->peer)))
			return l;
	return NULL;
}

/*
 * Those in it record the set as well: it tells their operators what a promotion
 * would lose.  Nothing here depends on when they do.  Caller holds vol->lock.
 */
static void members_tell(struct blkcast_volume *v, const u8 (*member)[16], u32 n)
{
	struct blkcast_link *l;

	lockdep_assert_held(&v->lock);
	memcpy(v->member_name, v->member_next, sizeof(v->member_name));
	if (n == v->members && !memcmp(v->member, member, n * sizeof(*member)))
		return;
	v->members = n;
	memcpy(v->member, member, n * sizeof(*member));
	/* Who has just got into it may be gone again: inv. 6. */
	blkcast_policy_update(v);
	blkcast_event(v, BLKCAST_EVENT_MEMBERS, NULL, 0);
	list_for_each_entry(l, &v->links, node) {
		if (l->state < BLKCAST_LINK_JOINING)
			continue;
		l->members_due = true;
		wake_up_all(&l->wake);
	}
}

/* Completions wait for it from here on; it is in once it has all until now. */
static void link_admit(struct blkcast_link *l)
{
	l->apart = false;
	if (l->state < BLKCAST_LINK_JOINING)
		return;
	l->join_lsn = l->vol->lsn;
	blkcast_link_set_state(l, BLKCAST_LINK_JOINING);
}

/* A link that came while its copy was being recorded is not apart. */
static bool members_late(struct blkcast_volume *v)
{
	struct blkcast_link *l;
	bool any = false;

	list_for_each_entry(l, &v->links, node) {
		if (!l->apart || !l->has_node ||
		    (v->member_out && !strcmp(l->name, v->member_out)) ||
		    !among(v->member, v->members, l->peer))
			continue;
		link_admit(l);
		any = true;
	}
	return any;
}

/* The set is on stable storage, if nobody has left since. */
static void members_written(struct blkcast_volume *v, u32 seq,
			    const u8 (*member)[16], u32 n)
{
	bool full = n == BLKCAST_MEMBERS_MAX, late;
	struct blkcast_link *l;

	spin_lock_irq(&v->lock);
	members_tell(v, member, n);
	late = members_late(v);
	if (seq == v->members_seq) {
		v->members_hold = false;
		list_for_each_entry(l, &v->links, node)
			if (link_joins(l) &&
			    (l->member || full || !link_belongs(l)))
				link_in_sync(l);
	}
	spin_unlock_irq(&v->lock);
	if (late)
		blkcast_write_flush(v);
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
	suffice = v->ack != BLKCAST_ACK_DISK || v->managed || members_suffice(v);
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
	if (v->managed && v->accepting)
		blkcast_event(v, BLKCAST_EVENT_MEMBER_LOST, l->name, 0);
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

/* ---- managed ---- */

/*
 * Whom the volume misses: name of the one in place @i of the set if nobody can wait for
 * him, else NULL.  Caller holds vol->lock.
 */
const char *blkcast_member_missing(struct blkcast_volume *v, u32 i)
{
	lockdep_assert_held(&v->lock);
	if (!v->managed || v->role != BLKCAST_ROLE_PRIMARY || is_out(v, i) ||
	    member_link(v, v->member[i]))
		return NULL;
	return v->member_name[i];
}

/* A link begins: is it to one in the set?  Caller holds vol->lock. */
void blkcast_members_meet(struct blkcast_link *l)
{
	struct blkcast_volume *v = l->vol;

	lockdep_assert_held(&v->lock);
	l->apart = v->managed && v->role == BLKCAST_ROLE_PRIMARY &&
		   !(l->flags & BLKCAST_F_ASYNC) &&
		   !(l->has_node && among(v->member, v->members, l->peer));
}

/**
 * blkcast_members_manage() - who decides from now on who is in the set
 * @v: the volume; caller holds vol->admin
 * @managed: user space; else the links, as they come and go
 *
 * Return: 0; an error if that could not be recorded: nothing changed.
 */
int blkcast_members_manage(struct blkcast_volume *v, bool managed)
{
	bool primary = v->role == BLKCAST_ROLE_PRIMARY;
	struct blkcast_link *l;
	int err;

	lockdep_assert_held(&v->admin);
	err = blkcast_super_set_flags(v, managed ? BLKCAST_SUPER_MANAGED : 0,
				      managed ? 0 : BLKCAST_SUPER_MANAGED);
	if (err || managed == v->managed)
		return err;
	spin_lock_irq(&v->lock);
	/* Who is missing leaves: inv. 3. */
	if (!managed && primary && v->members) {
		v->members_seq++;
		v->members_hold = true;
	}
	v->managed = managed;
	list_for_each_entry(l, &v->links, node) {
		if (managed && primary && !l->member)
			l->apart = !(l->flags & BLKCAST_F_ASYNC);
		else if (!managed && l->apart)
			link_admit(l);
	}
	blkcast_policy_update(v);
	spin_unlock_irq(&v->lock);
	blkcast_members_policy(v);
	if (primary)
		blkcast_write_flush(v);
	return 0;
}

static int manage_check(struct blkcast_volume *v, struct netlink_ext_ack *extack)
{
	if (v->managed && v->role == BLKCAST_ROLE_PRIMARY)
		return 0;
	if (v->managed)
		NL_SET_ERR_MSG(extack, "is not primary here");
	else
		NL_SET_ERR_MSG(extack, "membership is auto: set --membership managed comes first");
	return -EINVAL;
}

/* Caller holds vol->lock. */
static int admit(struct blkcast_volume *v, const char *name,
		 struct netlink_ext_ack *extack)
{
	struct blkcast_link *l = blkcast_link_find(v, name);

	if (!l || l->error) {
		NL_SET_ERR_MSG(extack, "no such link: it has to be connected");
		return -ENOENT;
	}
	if (l->flags & BLKCAST_F_ASYNC || !l->has_node) {
		NL_SET_ERR_MSG(extack, "the link is asynchronous, or its copy is not known");
		return -EINVAL;
	}
	if (!l->apart)
		return 0;
	if (l->state != BLKCAST_LINK_IN_SYNC || l->dirty_count) {
		NL_SET_ERR_MSG(extack, "has not caught up: wait until it has");
		return -EAGAIN;
	}
	if (v->members == BLKCAST_MEMBERS_MAX) {
		NL_SET_ERR_MSG(extack, "the in-sync set is full");
		return -ENOSPC;
	}
	link_admit(l);
	return 0;
}

/**
 * blkcast_member_in() - put a replica into the in-sync set
 * @v: the volume; caller holds vol->admin
 * @name: of its link
 * @extack: takes the reason of a refusal
 *
 * It is waited for at once, and in when that is recorded.  Errors: see MEMBER in
 * uapi/blkcast_netlink.h.
 */
int blkcast_member_in(struct blkcast_volume *v, const char *name,
		      struct netlink_ext_ack *extack)
{
	int err = manage_check(v, extack);

	lockdep_assert_held(&v->admin);
	if (err)
		return err;
	spin_lock_irq(&v->lock);
	err = admit(v, name, extack);
	spin_unlock_irq(&v->lock);
	/* So that there is an answer after it was admitted. */
	if (!err)
		blkcast_write_flush(v);
	return err;
}

/* How many of that name are in the set. */
static u32 members_named(const struct blkcast_volume *v, const char *name)
{
	u32 i, n = 0;

	for (i = 0; i < v->members; i++)
		n += !strcmp(v->member_name[i], name);
	return n;
}

/* He is waited for no longer, once that is recorded.  Caller holds vol->lock. */
static int expel(struct blkcast_volume *v, const char *name,
		 struct netlink_ext_ack *extack)
{
	struct blkcast_link *l = blkcast_link_find(v, name);
	u32 named = members_named(v, name);

	if (!named && !(l && !l->apart && !(l->flags & BLKCAST_F_ASYNC))) {
		NL_SET_ERR_MSG(extack, "is not in the in-sync set");
		return -ENOENT;
	}
	if (named && 1 + v->members - named < v->min_isr) {
		NL_SET_ERR_MSG(extack,
			       "fewer copies than min-isr would be left: set --min-isr comes first");
		return -ERANGE;
	}
	v->member_out = name;
	v->members_seq++;
	v->members_hold = true;
	if (l) {
		l->apart = true;
		l->member = false;
	}
	blkcast_policy_update(v);
	return 0;
}

/* Is the set without him on stable storage?  Else he is still in. */
static int expelled(struct blkcast_volume *v, const char *name)
{
	struct blkcast_link *l;
	bool in;

	spin_lock_irq(&v->lock);
	v->member_out = NULL;
	in = members_named(v, name);
	l = blkcast_link_find(v, name);
	if (in && l && among(v->member, v->members, l->peer))
		link_admit(l);
	blkcast_policy_update(v);
	spin_unlock_irq(&v->lock);
	return in ? -EIO : 0;
}

/**
 * blkcast_member_out() - put a replica out of the in-sync set
 * @v: the volume; caller holds vol->admin
 * @name: of its link, or that it had
 * @extack: takes the reason of a refusal
 *
 * Inv. 3.  Errors: see MEMBER in uapi/blkcast_netlink.h.
 */
int blkcast_member_out(struct blkcast_volume *v, const char *name,
		       struct netlink_ext_ack *extack)
{
	int err = manage_check(v, extack);

	lockdep_assert_held(&v->admin);
	if (err)
		return err;
	spin_lock_irq(&v->lock);
	err = expel(v, name, extack);
	spin_unlock_irq(&v->lock);
	if (err)
		return err;
	mod_delayed_work(blkcast_wq, &v->members_work, 0);
	flush_delayed_work(&v->members_work);
	err = expelled(v, name);
	if (err)
		NL_SET_ERR_MSG(extack, "cannot write the metadata: it is still in");
	return err;
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
