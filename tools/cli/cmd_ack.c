// SPDX-License-Identifier: GPL-2.0-or-later
/* blkcast ack: the policy, in the configuration and, when up, at once. */
#include <errno.h>
#include <stdio.h>

#include "cli.h"

static const struct cli_option options[] = {
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME local|disk",
	"When a write counts as done: once it is written here (local), or also on the\n"
	"device of every replica that is in sync (disk). Takes effect at once.",
	options, 2, 2
};

static int apply(const char *name, uint8_t ack, struct bc_error *error)
{
	struct bc_kernel *kernel;
	struct bc_volume volume;
	struct bc_error ignored;
	int ret;

	if (bc_kernel_open(&kernel, &ignored))
		return 0;	/* not up, then: 'up' applies it */
	ret = bc_kernel_get(kernel, name, &volume, &ignored);
	if (!ret) {
		bc_volume_release(&volume);
		ret = bc_kernel_set_ack(kernel, name, ack, error);
	} else {
		ret = 0;
	}
	bc_kernel_close(kernel);
	return ret;
}

int cmd_ack(int argc, char **argv)
{
	struct bc_volume_config config;
	struct bc_error error;
	int exit_code, ack, ret;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	ack = bc_ack_parse(rest[1]);
	if (ack < 0) {
		cli_failf("ack must be local or disk, not '%s'", rest[1]);
		return CLI_USAGE;
	}
	if (bc_volume_config_load(&config, rest[0], &error))
		return cli_failed(&error);
	config.ack = ack;
	ret = bc_volume_config_save(&config, &error);
	if (!ret)
		ret = apply(rest[0], ack, &error);
	bc_volume_config_release(&config);
	return ret ? cli_failed(&error) : CLI_DONE;
}
