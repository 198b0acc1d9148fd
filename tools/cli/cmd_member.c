// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast member: who is in the in-sync set of a volume with --membership managed.
 *
 * Out is done when the command is: a set without the replica is on stable storage, and
 * no acknowledgement waits for it.  In is done when a set with it is, which takes as
 * long as the replica needs to make all that is there so far durable.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "util.h"

static uint32_t wait_s = 60;

static const struct cli_option options[] = {
	{ "wait", CLI_NUMBER, &wait_s, "SECONDS", "in: for it to be recorded (60; 0: do not)" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME REPLICA in|out [--wait SECONDS]",
	"Put a replica into the set of those that every acknowledgement waits for, or out\n"
	"of it, on the primary of a volume with --membership managed. A replica goes in when\n"
	"it has caught up. One that is lost is waited for until it is back, or put out: what\n"
	"is acknowledged from then on is not there, so never make it primary before it is in\n"
	"again.",
	options, 3, 3
};

/* 1: it is in; 0: it is waited for; else a negative errno. */
static int is_in(struct bc_kernel *kernel, const char *name, const char *replica,
		 struct bc_error *error)
{
	struct bc_volume volume;
	int ret;

	ret = bc_kernel_get(kernel, name, &volume, error);
	if (ret)
		return ret;
	ret = -ENOLINK;
	for (uint32_t i = 0; i < volume.links; i++) {
		const struct bc_link *link = &volume.link[i];

		if (!strcmp(link->name, replica) && !(link->flags & BLKCAST_F_APART))
			ret = link->state == BLKCAST_LINK_IN_SYNC;
	}
	bc_volume_release(&volume);
	if (ret == -ENOLINK)
		bc_fail(error, ret, "volume %s: %s was lost before it was in: 'blkcast status %s' says whether it is waited for",
			name, replica, name);
	return ret;
}

static int wait_in(struct bc_kernel *kernel, const char *name, const char *replica,
		   struct bc_error *error)
{
	uint64_t until = bc_now_ns() + wait_s * 1000000000ULL;
	int ret;

	while (!(ret = is_in(kernel, name, replica, error)) && bc_now_ns() < until)
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	if (!ret)
		return bc_fail(error, -ETIMEDOUT, "volume %s: %s is waited for, but not in yet after %u s",
			       name, replica, wait_s);
	return ret < 0 ? ret : 0;
}

int cmd_member(int argc, char **argv)
{
	struct bc_kernel *kernel;
	struct bc_error error;
	int exit_code, ret;
	char **rest;
	bool in;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	in = !strcmp(rest[2], "in");
	if (!in && strcmp(rest[2], "out")) {
		cli_failf("in or out, not '%s': blkcast member %s", rest[2],
			  syntax.synopsis);
		return CLI_USAGE;
	}
	if (bc_kernel_open(&kernel, &error))
		return cli_failed(&error);
	ret = bc_kernel_member(kernel, rest[0], rest[1], in, &error);
	if (!ret && in && wait_s)
		ret = wait_in(kernel, rest[0], rest[1], &error);
	bc_kernel_close(kernel);
	return ret ? cli_failed(&error) : CLI_DONE;
}
