// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The policy: what a write waits for before the application is told it is done.
 *
 *	ack=local	the local device
 *	ack=memory	... and the receipt of it by every replica in sync
 *	ack=disk	... and the device of every replica in sync; a flush, its flush
 *
 * The rule is all replicas in sync, never some of them: then each of them can take
 * over and nothing that was acknowledged is lost.
 */
#include "link.h"

static bool link_reached(const struct blkcast_link *l, const struct blkcast_op *op)
{
	if (l->vol->ack == BLKCAST_ACK_MEMORY)
		return l->received >= op->lsn;
	return l->applied >= op->lsn && l->durable >= op->durable_lsn;
}

/* Have the replicas done what the completion waits for?  Caller holds vol->lock. */
bool blkcast_policy_reached(const struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;
	struct blkcast_link *l;

	lockdep_assert_held(&v->lock);
	if (v->ack == BLKCAST_ACK_LOCAL)
		return true;
	if (v->members_hold)
		return false;
	list_for_each_entry(l, &v->links, node)
		if (blkcast_link_waited(l) && !link_reached(l, op))
			return false;
	return true;
}
