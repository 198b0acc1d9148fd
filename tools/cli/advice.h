/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Would the replicas that are left serve the reads if one were lost?
 *
 * From how much each replica is read and what it is said to be able to serve
 * (read-capacity of its link in the configuration). A loss is survived if what is
 * read now, all of it, is within the capacity of those that are left. Three
 * replicas at 53% survive one loss, two do not.
 */
#ifndef BC_ADVICE_H
#define BC_ADVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct advice_copy - one replica
 * @rate: reads a second
 * @capacity: reads a second that it can serve
 */
struct advice_copy {
	const char *peer;
	uint64_t rate, capacity;
};

/**
 * struct advice - what the loss of one replica would mean
 * @load: of all replicas now, 1: all they can do
 * @worst: peer whose loss is the worst
 * @after: load of the rest without it; infinite: there is none
 * @survives: that is at most 1
 * @enough: how many replicas like these on average would survive a loss
 */
struct advice {
	double load, after;
	const char *worst;
	bool survives;
	uint64_t rate, capacity;
	unsigned int enough;
};

/* False: no replica, or none has a capacity. */
bool advice_give(const struct advice_copy *copies, size_t count, struct advice *advice);

#endif /* BC_ADVICE_H */
