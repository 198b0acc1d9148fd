// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast lease: until when a primary may serve.
 *
 * The time counts from the start of this command, before anything was asked of anybody.
 * Who has asked somebody else before, for the right to serve, took the clock before that
 * and says --until.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli.h"

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
	"the time, suspended or not; a new reign begins without a lease.",
	options, 1, 1
};

static uint64_t boottime(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* Seconds to ns; false: it is no such number. */
static bool seconds(const char *text, uint64_t *ns)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= 0 && value < 1e9))
		return false;
	*ns = (uint64_t)(value * 1e9);
	return true;
}

int cmd_lease(int argc, char **argv)
{
	uint64_t now = boottime(), until = 0;
	struct bc_kernel *kernel;
	struct bc_error error;
	int exit_code, ret;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (!for_text + !until_text + !off != 2) {
		fprintf(stderr, "Usage: blkcast lease %s\n", syntax.synopsis);
		return CLI_USAGE;
	}
	if (!off && !seconds(for_text ? for_text : until_text, &until)) {
		cli_failf("'%s' is no number of seconds", for_text ? for_text : until_text);
		return CLI_USAGE;
	}
	if (for_text)
		until += now;
	/* 0 is none: what was over when the host started is over. */
	if (!off && !until)
		until = 1;
	if (bc_kernel_open(&kernel, &error))
		return cli_failed(&error);
	ret = bc_kernel_lease(kernel, rest[0], until, &error);
	bc_kernel_close(kernel);
	return ret ? cli_failed(&error) : CLI_DONE;
}
