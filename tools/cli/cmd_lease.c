// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast lease: until when a primary may serve.
 */
#include <stdio.h>

#include "cli.h"
#include "deadline.h"

static const char *for_text, *until_text;
static bool off;

static const struct cli_option options[] = {
	{ "for", CLI_TEXT, &for_text, "SECONDS", "from the start of this command on" },
	{ "until", CLI_TEXT, &until_text, "UPTIME",
	  "of this host in seconds, as /proc/uptime counts it" },
	{ "off", CLI_FLAG, &off, NULL, "no lease: it may serve for ever" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME --for SECONDS|--until UPTIME|--off",
	"Say until when this host, the volume's primary, may serve. After that no write and\n"
	"no read succeeds: reads fail, writes wait, or fail with --on-loss error. A new lease\n"
	"lets them go on, unless a primary of a newer term has been seen. The kernel keeps\n"
	"the time, suspended or not; a new reign begins without a lease, but for that of\n"
	"'blkcast primary --lease-for'.",
	options, 1, 1
};

int cmd_lease(int argc, char **argv)
{
	uint64_t until = 0;
	struct bc_kernel *kernel;
	struct bc_error error;
	uint64_t now = deadline_now();
	int exit_code, ret;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (!for_text + !until_text + !off != 2) {
		fprintf(stderr, "Usage: blkcast lease %s\n", syntax.synopsis);
		return CLI_USAGE;
	}
	if (!off && !deadline_parse(for_text, until_text, now, &until))
		return CLI_USAGE;
	if (bc_kernel_open(&kernel, &error))
		return cli_failed(&error);
	ret = bc_kernel_lease(kernel, rest[0], until, &error);
	bc_kernel_close(kernel);
	return ret ? cli_failed(&error) : CLI_DONE;
}
