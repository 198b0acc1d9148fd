// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pair: links two volumes of one host, a primary and its replica.
 *
 *	pair [-a] [-t MS] PRIMARY REPLICA
 *
 * Does what two daemons do, without a network or a key between them: connects a
 * TCP socket to itself, hands one end to each volume.  The links are named after
 * the volumes at their other ends.  -a: asynchronous; -t: timeout.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sockets.h"

static uint32_t flags, timeout_ms;

/* The replica's end first: a primary talks at once. */
static int link_both(struct bc_kernel *kernel, const struct bc_volume *primary,
		     const char *replica, const int ends[2],
		     struct bc_error *error)
{
	struct bc_link_add there = {
		.name = replica, .link = primary->name, .socket = ends[0],
		.term = primary->term, .timeout_ms = timeout_ms,
		.history = primary->history, .reigns = primary->reigns,
	};
	struct bc_link_add here = {
		.name = primary->name, .link = replica, .socket = ends[1],
		.term = primary->term, .timeout_ms = timeout_ms, .flags = flags,
	};
	int ret = bc_kernel_link_add(kernel, &there, error);

	return ret ? ret : bc_kernel_link_add(kernel, &here, error);
}

int main(int argc, char **argv)
{
	struct bc_volume primary;
	struct bc_kernel *kernel;
	struct bc_error error;
	int option, ends[2];

	while ((option = getopt(argc, argv, "at:")) != -1) {
		if (option == 'a')
			flags = BLKCAST_F_ASYNC;
		else if (option == 't')
			timeout_ms = strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	if (argc - optind != 2)
		return 2;
	if (bc_kernel_open(&kernel, &error) ||
	    bc_kernel_get(kernel, argv[optind], &primary, &error) ||
	    socket_ends(ends, &error) ||
	    link_both(kernel, &primary, argv[optind + 1], ends, &error)) {
		fprintf(stderr, "pair: %s\n", error.text);
		return 1;
	}
	return 0;
}
