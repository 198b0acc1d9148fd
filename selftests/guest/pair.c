// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pair: links two volumes of one host, a primary and its replica.
 *
 *	pair [-amo] [-t MS] PRIMARY REPLICA
 *	pair -d PRIMARY REPLICA
 *
 * Does what two daemons do, without a network or a key between them: connects a
 * TCP socket to itself, hands one end to each volume.  The links are named after
 * the volumes at their other ends.  -a: asynchronous; -m: the primary is told which
 * copy it is, so that it can record it as in sync; -o: an old kernel's link, which
 * knows no READ; -t: timeout; -d: takes the link away.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sockets.h"

static uint32_t flags = BLKCAST_F_READS, timeout_ms;
static int named;

/* The replica's end first: a primary talks at once. */
static int link_both(struct bc_kernel *kernel, const struct bc_volume *primary,
		     const struct bc_volume *replica, const int ends[2],
		     struct bc_error *error)
{
	struct bc_link_add there = {
		.name = replica->name, .link = primary->name, .socket = ends[0],
		.term = primary->term, .timeout_ms = timeout_ms,
		.history = primary->history, .reigns = primary->reigns,
		.flags = flags & BLKCAST_F_READS,
	};
	struct bc_link_add here = {
		.name = primary->name, .link = replica->name,
		.node = named ? replica->node : NULL, .socket = ends[1],
		.term = primary->term, .timeout_ms = timeout_ms, .flags = flags,
	};
	int ret = bc_kernel_link_add(kernel, &there, error);

	return ret ? ret : bc_kernel_link_add(kernel, &here, error);
}

static int pair(struct bc_kernel *kernel, const char *name, const char *replica,
		struct bc_error *error)
{
	struct bc_volume primary, other;
	int ends[2], ret;

	ret = bc_kernel_get(kernel, name, &primary, error);
	if (!ret)
		ret = bc_kernel_get(kernel, replica, &other, error);
	if (!ret)
		ret = socket_ends(ends, error);
	return ret ? ret : link_both(kernel, &primary, &other, ends, error);
}

/* The other end notices, but perhaps not at once. */
static int part(struct bc_kernel *kernel, const char *primary,
		const char *replica, struct bc_error *error)
{
	int ret = bc_kernel_link_del(kernel, primary, replica, error);

	if (ret)
		return ret;
	ret = bc_kernel_link_del(kernel, replica, primary, error);
	return ret == -ENOENT ? 0 : ret;
}

int main(int argc, char **argv)
{
	int option, away = 0, ret;
	struct bc_kernel *kernel;
	struct bc_error error;

	while ((option = getopt(argc, argv, "admot:")) != -1) {
		if (option == 'a')
			flags |= BLKCAST_F_ASYNC;
		else if (option == 'd')
			away = 1;
		else if (option == 'o')
			flags &= ~BLKCAST_F_READS;
		else if (option == 'm')
			named = 1;
		else if (option == 't')
			timeout_ms = strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	if (argc - optind != 2)
		return 2;
	ret = bc_kernel_open(&kernel, &error);
	if (!ret)
		ret = (away ? part : pair)(kernel, argv[optind], argv[optind + 1],
					   &error);
	if (ret)
		fprintf(stderr, "pair: %s\n", error.text);
	return ret ? 1 : 0;
}
