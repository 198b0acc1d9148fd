/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Has an event been lost?  Events are numbered without a gap, over all volumes; a
 * look at the state tells the number of the newest.
 */
#ifndef BC_FOLLOW_H
#define BC_FOLLOW_H

#include "kernel.h"

/* @seq: newest number that was heard, or that the state includes; 0: none yet. */
struct bc_follow {
	uint64_t seq;
};

/* An event has come.  True: some before it were lost, look at the state. */
static inline bool bc_follow_event(struct bc_follow *follow,
				   const struct bc_event *event)
{
	bool gap = follow->seq && event->seq > follow->seq + 1;

	if (event->seq > follow->seq)
		follow->seq = event->seq;
	return gap;
}

/* The state of a volume has been looked at.  True: it has more than was heard. */
static inline bool bc_follow_state(struct bc_follow *follow,
				   const struct bc_volume *volume)
{
	bool gap = volume->event_seq > follow->seq;

	if (gap)
		follow->seq = volume->event_seq;
	return gap;
}

#endif /* BC_FOLLOW_H */
