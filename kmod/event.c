// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Events: what happens to volumes and links, told to who listens.
 *
 * Events are numbered, without a gap, in the order in which they are sent, over all
 * volumes.  Telling nobody may be noticed: a listener that misses a number, or sees
 * in GET one that it has not heard, has to look at the state anew.  So an event that
 * finds no memory costs a number, and is not lost silently.
 *
 * A disk that fails does so many times a second: errors are counted, and told once a
 * second at most, with the count.
 */
#include <linux/skbuff.h>
#include <net/netlink.h>

#include "link.h"

static DEFINE_SPINLOCK(event_lock);	/* order; innermost */
static u64 event_seq;

/* Number of the newest event. */
u64 blkcast_event_seq(void)
{
	unsigned long flags;
	u64 seq;

	spin_lock_irqsave(&event_lock, flags);
	seq = event_seq;
	spin_unlock_irqrestore(&event_lock, flags);
	return seq;
}

/* What this event has beside its kind, as the uapi header says. */
static int event_put_more(struct sk_buff *msg, struct blkcast_volume *v,
			  enum blkcast_event event)
{
	switch (event) {
	case BLKCAST_EVENT_ROLE:
		return nla_put_u8(msg, BLKCAST_A_ROLE, v->role) ?:
		       nla_put_u32(msg, BLKCAST_A_TERM, v->term);
	case BLKCAST_EVENT_DEPOSED:
		return nla_put_u32(msg, BLKCAST_A_TERM, v->deposed);
	case BLKCAST_EVENT_MEMBERS:
		return nla_put(msg, BLKCAST_A_MEMBERS,
			       v->members * sizeof(*v->member), v->member);
	case BLKCAST_EVENT_ERROR:
		return nla_put_u64_64bit(msg, BLKCAST_A_ERRORS, v->errors,
					 BLKCAST_A_PAD);
	default:
		return 0;
	}
}

static int event_put(struct sk_buff *msg, struct blkcast_volume *v,
		     enum blkcast_event event, const char *link, int error)
{
	if (nla_put_u64_64bit(msg, BLKCAST_A_EVENT_SEQ, event_seq, BLKCAST_A_PAD) ||
	    nla_put_u64_64bit(msg, BLKCAST_A_EVENT_TIME, ktime_get_real_ns(),
			      BLKCAST_A_PAD) ||
	    nla_put_string(msg, BLKCAST_A_NAME, v->name) ||
	    nla_put_u8(msg, BLKCAST_A_EVENT, event) ||
	    (link && nla_put_string(msg, BLKCAST_A_LINK, link)) ||
	    (error && nla_put_u32(msg, BLKCAST_A_ERROR, error)))
		return -EMSGSIZE;
	return event_put_more(msg, v, event);
}

static void event_send(struct blkcast_volume *v, enum blkcast_event event,
		       const char *link, int error)
{
	struct sk_buff *msg = nlmsg_new(NLMSG_GOODSIZE, GFP_ATOMIC);
	void *head = msg ? blkcast_event_begin(msg) : NULL;

	if (!head || event_put(msg, v, event, link, error)) {
		nlmsg_free(msg);
		return;
	}
	blkcast_event_end(msg, head);
}

/**
 * blkcast_event() - tell who listens
 * @v: the volume
 * @event: what has happened
 * @link: name of the link that is meant, or NULL
 * @error: a positive errno, or 0
 *
 * Any context.
 */
void blkcast_event(struct blkcast_volume *v, enum blkcast_event event,
		   const char *link, int error)
{
	unsigned long flags;

	spin_lock_irqsave(&event_lock, flags);
	event_seq++;
	event_send(v, event, link, error);
	spin_unlock_irqrestore(&event_lock, flags);
}

/* A device of this copy has failed: @error, negative.  Any context. */
void blkcast_event_error(struct blkcast_volume *v, int error)
{
	u64 now = ktime_get_ns();
	unsigned long flags;

	spin_lock_irqsave(&event_lock, flags);
	v->errors++;
	if (!v->error_when || now - v->error_when > NSEC_PER_SEC) {
		v->error_when = now;
		event_seq++;
		event_send(v, BLKCAST_EVENT_ERROR, NULL, -error);
	}
	spin_unlock_irqrestore(&event_lock, flags);
}
