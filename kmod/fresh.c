// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How old what a replica shows may be, and how old it is.
 *
 * A PING takes its place in the stream and is applied after all that was sent before
 * it.  It says how long the oldest write that was not sent yet had been waiting, a
 * round trip included, by the primary's clock alone; the replica counts on from its
 * arrival by its own.  So the age is never too low: what was done that long ago is
 * shown.  A replica that turns readers away by its age asks for four PINGs in that time.
 *
 * Nothing is known before the first PING that says it, nor from a hole in the stream
 * (GAP) until the copy is in sync and one says it again.
 */
#include "link.h"

#define PINGS_IN_MAX_LAG	4

/* Primary: what a PING that goes out now says.  Caller holds vol->lock. */
u64 blkcast_fresh_tell(const struct blkcast_link *l, u64 now)
{
	lockdep_assert_held(&l->vol->lock);
	if (l->state != BLKCAST_LINK_IN_SYNC || l->dirty_count || !l->rtt_ns)
		return BLKCAST_AGE_UNKNOWN;
	return l->rtt_ns + (l->next ? now - l->next->start : 0);
}

/*
 * Replica: an @age has come with a PING.  Return: as of when, by ktime_get_ns(), it
 * shows what there is when the PING is applied; 0: nobody knows.
 */
u64 blkcast_fresh_told(u64 age)
{
	u64 now = ktime_get_ns();

	return age < now ? now - age : 0;
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
