// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The right to begin the next reign: who has it, how it is handed over, and what
 * becomes of a primary that somebody else has replaced.
 *
 * Two copies that both begin a reign lose what one of them acknowledges.  So at
 * most one copy, the heir, may do so unasked (rule 20); the superblock has its id.
 *
 *  1. Who begins a reign is its own heir until the first replica connects: nobody
 *     else has anything of it.  That is forgotten, durably, before the link is.
 *     So a primary that has crashed is no heir: somebody may have replaced it.
 *  2. A reign that is laid down in order makes this copy the heir again, or the
 *     one copy that REPLICA names.  Then this copy forgets its own right, durably,
 *     before HANDOVER tells anybody.
 *  3. A replica records an heir when all of the reign is durable there, and
 *     forgets it durably before it follows anybody again (blkcast_super_adopt()).
 *  4. Whatever is lost on the way leaves no heir, never two: the operator is asked.
 *
 * A hand-over, all of it with no write under way:
 *
 *	primary					replicas in sync
 *	drained, flushed, stamps exact
 *	superblock: laid down, heir
 *	HANDOVER behind the last entry ->	all applied, flushed
 *						superblock: heir
 *					   <-	HANDED
 *
 * A primary that hears of a newer term is *deposed*: it takes in nothing more and
 * whatever has not been acknowledged fails (op_complete() in write.c).
 */
#include "link.h"

#define HANDOVER_WAIT	(10 * HZ)

/* ---- the primary's end of a link ---- */

/* Caller holds vol->lock. */
bool blkcast_reign_due(struct blkcast_link *l)
{
	lockdep_assert_held(&l->vol->lock);
	return l->members_due || l->handover == BLKCAST_HANDOVER_DUE;
}

static int members_send(struct blkcast_link *l)
{
	struct blkcast_frame f = { .type = cpu_to_le16(BLKCAST_FRAME_MEMBERS) };
	struct blkcast_volume *v = l->vol;
	u8 member[BLKCAST_MEMBERS_MAX][16];
	u32 n;

	spin_lock_irq(&v->lock);
	l->members_due = false;
	n = v->members;
	memcpy(member, v->member, n * sizeof(*member));
	spin_unlock_irq(&v->lock);
	f.sectors = cpu_to_le32(n);
	f.length = cpu_to_le32(n * sizeof(*member));
	return blkcast_frame_send(l, &f, member, false);
}

static int handover_send(struct blkcast_link *l)
{
	struct blkcast_frame f = { .type = cpu_to_le16(BLKCAST_FRAME_HANDOVER) };
	struct blkcast_volume *v = l->vol;
	u8 heir[sizeof(v->heir)];

	spin_lock_irq(&v->lock);
	l->handover = BLKCAST_HANDOVER_SENT;
	f.lsn = cpu_to_le64(l->sent);
	memcpy(heir, v->heir, sizeof(heir));
	spin_unlock_irq(&v->lock);
	f.length = cpu_to_le32(sizeof(heir));
	return blkcast_frame_send(l, &f, heir, false);
}

/* What is due goes out, from the sender's thread. */
int blkcast_reign_step(struct blkcast_link *l)
{
	bool members, handover;
	int err = 0;

	spin_lock_irq(&l->vol->lock);
	members = l->members_due;
	handover = l->handover == BLKCAST_HANDOVER_DUE;
	spin_unlock_irq(&l->vol->lock);
	if (members)
		err = members_send(l);
	if (handover && !err)
		err = handover_send(l);
	return err;
}

int blkcast_handed_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	struct blkcast_volume *v = l->vol;
	bool valid;

	spin_lock_irq(&v->lock);
	valid = !f->length && l->handover == BLKCAST_HANDOVER_SENT &&
		le64_to_cpu(f->lsn) == l->sent;
	if (valid) {
		l->handover = BLKCAST_HANDOVER_DONE;
		v->heir_told |= !memcmp(l->peer, v->heir, sizeof(v->heir));
	}
	spin_unlock_irq(&v->lock);
	wake_up_all(&v->idle);
	return valid ? 0 : -EPROTO;
}

/* ---- handing over ---- */

/* Has the replica everything?  Caller holds vol->lock. */
static bool link_complete(const struct blkcast_link *l)
{
	return l->state == BLKCAST_LINK_IN_SYNC && !l->unapplied && !l->next &&
	       !l->lost_flush && !l->dirty_count;
}

/* Name the copy at the other end of the link, if it can be the heir. */
static bool heir_choose(struct blkcast_volume *v, const char *name)
{
	struct blkcast_link *l;
	bool fit;

	spin_lock_irq(&v->lock);
	l = blkcast_link_find(v, name);
	fit = l && l->has_node && link_complete(l);
	if (fit) {
		memcpy(v->heir, l->peer, sizeof(v->heir));
		v->heir_told = false;
	}
	spin_unlock_irq(&v->lock);
	return fit;
}

static void handover_begin(struct blkcast_volume *v)
{
	struct blkcast_link *l;

	spin_lock_irq(&v->lock);
	list_for_each_entry(l, &v->links, node) {
		if (!link_complete(l))
			continue;
		l->handover = BLKCAST_HANDOVER_DUE;
		wake_up_all(&l->wake);
	}
	spin_unlock_irq(&v->lock);
}

/* Nobody that has been told, or has to be, still owes an answer. */
static bool handover_over(struct blkcast_volume *v)
{
	struct blkcast_link *l;
	bool owed = false;

	spin_lock_irq(&v->lock);
	list_for_each_entry(l, &v->links, node)
		owed |= !l->error && (l->handover == BLKCAST_HANDOVER_DUE ||
				      l->handover == BLKCAST_HANDOVER_SENT);
	spin_unlock_irq(&v->lock);
	return !owed;
}

/**
 * blkcast_reign_hand_over() - lay the reign down and name who may begin the next
 * @v: a primary that takes in no writes, with none under way
 * @name: of the link to the heir's copy
 * @extack: takes the reason of a failure
 *
 * Caller holds vol->admin.
 *
 * Return: 0: the heir knows.  -ENOLINK: it has not got everything, or there is no
 * such link: nothing is changed.  -ETIMEDOUT, -EIO: the reign is over all the same,
 * and there may be no heir.
 */
int blkcast_reign_hand_over(struct blkcast_volume *v, const char *name,
			    struct netlink_ext_ack *extack)
{
	lockdep_assert_held(&v->admin);
	if (v->deposed || !heir_choose(v, name)) {
		NL_SET_ERR_MSG(extack, "the next primary's link is not in sync: the reign goes on");
		return -ENOLINK;
	}
	/* Inv. 2. */
	if ((!v->detached && (blkcast_map_clean(v) || blkcast_flush(v))) ||
	    blkcast_super_lay_down(v, v->heir)) {
		vol_warn(v, "the reign could not be laid down: it counts as crashed\n");
		NL_SET_ERR_MSG(extack, "the reign has ended, but could not be laid down and is not handed over");
		return -EIO;
	}
	handover_begin(v);
	wait_event_timeout(v->idle, handover_over(v), HANDOVER_WAIT);
	if (READ_ONCE(v->heir_told))
		return 0;
	NL_SET_ERR_MSG(extack, "the reign has ended, but the next primary does not confirm that it was handed over");
	return -ETIMEDOUT;
}

/* In order, with this copy as heir, unless somebody else reigns.  0 or an errno. */
int blkcast_reign_lay_down(struct blkcast_volume *v)
{
	return blkcast_flush(v) ?:
	       blkcast_super_lay_down(v, v->deposed || v->detached ? NULL :
							v->super->node);
}

/* ---- replaced ---- */

/* Caller holds vol->admin.  Errors: see DEPOSE in uapi/blkcast_netlink.h. */
int blkcast_reign_depose(struct blkcast_volume *v, u32 term,
			 struct netlink_ext_ack *extack)
{
	int err;

	lockdep_assert_held(&v->admin);
	if (v->role != BLKCAST_ROLE_PRIMARY || term <= v->deposed)
		return 0;
	if (term <= v->term || term > BLKCAST_TERM_MAX) {
		NL_SET_ERR_MSG(extack, "not a newer term than this primary's");
		return -ESTALE;
	}
	spin_lock_irq(&v->lock);
	v->accepting = false;
	v->deposed = term;
	blkcast_policy_update(v);
	spin_unlock_irq(&v->lock);
	vol_warn(v, "deposed: a primary of term %u reigns, this one has %u: no more writes\n",
		 term, v->term);
	blkcast_write_abort(v, -EIO);
	blkcast_links_drop(v);
	blkcast_write_reached(v);
	blkcast_event(v, BLKCAST_EVENT_DEPOSED, NULL, 0);
	err = blkcast_super_see_term(v, term);
	if (err)
		return err;
	err = blkcast_volume_demote(v, NULL, false, extack);
	return err == -EBUSY ? 0 : err;
}
