// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How old what a replica shows may be, and how old it is.
 *
 * A PING takes its place in the stream and is applied after all that was sent before
 * it.  Each ACK bears the replica's time, and a PING gives back that of the newest one
 * that has come, less the time for which the oldest write that was not sent yet had been
 * waiting.  The PING was sent after that ACK, so what was done until then is shown when
 * the PING is applied, however long it was on its way: the age is never too low.  It is
 * by the replica's clock alone.  A replica that turns readers away by it asks for
 * PINGS_IN_MAX_LAG of them in that time; what is shown looks up to two PINGs older than
 * it is.
 *
 * Nothing is known before the first PING that says it, nor from a hole in the stream
 * (GAP) until the copy is in sync and one says it again.
 */
#include "link.h"

#define PINGS_IN_MAX_LAG	8

/*
 * Primary: what a PING that goes out now says, in ns of the replica's clock; 0: not
 * known.  Caller holds vol->lock.
 */
u64 blkcast_fresh_tell(const struct blkcast_link *l, u64 now)
{
	u64 wait = l->next ? now - l->next->start : 0;

	lockdep_assert_held(&l->vol->lock);
	if (l->state != BLKCAST_LINK_IN_SYNC || l->dirty_count || wait >= l->peer_when)
		return 0;
	return l->peer_when - wait;
}

/* Replica: what a PING says, if that can be: a time that has been; else 0. */
u64 blkcast_fresh_told(u64 as_of)
{
	return as_of <= ktime_get_ns() ? as_of : 0;
}

/* How many ms may lie between two PINGs; 0: as the primary likes. */
u32 blkcast_fresh_wish(const struct blkcast_volume *v)
{
	return READ_ONCE(v->max_lag) / NSEC_PER_MSEC / PINGS_IN_MAX_LAG;
}

/* Replica: age of what is shown, in ns; BLKCAST_AGE_UNKNOWN.  Any context. */
u64 blkcast_fresh_age(const struct blkcast_volume *v)
{
	u64 as_of = READ_ONCE(v->fresh_as_of);

	return as_of ? ktime_get_ns() - as_of : BLKCAST_AGE_UNKNOWN;
}

/* Is a reader of this copy to be turned away?  Any context. */
bool blkcast_fresh_refuse(struct blkcast_volume *v)
{
	u64 max_lag = READ_ONCE(v->max_lag);

	if (!max_lag || READ_ONCE(v->role) == BLKCAST_ROLE_PRIMARY ||
	    blkcast_fresh_age(v) <= max_lag)
		return false;
	atomic64_inc(&v->turned_away);
	return true;
}
