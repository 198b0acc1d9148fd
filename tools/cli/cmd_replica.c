// SPDX-License-Identifier: GPL-2.0-or-later
/* blkcast replica: the reign ends, orderly. */
#include "cli.h"
#include "role.h"

static uint32_t wait_s = 10;
static bool discard_mine;

static const struct cli_option options[] = {
	{ "wait", CLI_NUMBER, &wait_s, "SECONDS",
	  "for the replicas to have everything (10)" },
	{ "discard-mine", CLI_FLAG, &discard_mine, NULL,
	  "give up what this copy alone has, for the next primary's content" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME [--wait SECONDS] [--discard-mine]",
	"End the reign: no more writes here, what is under way is finished and sent,\n"
	"then the links are dropped. Another host can become primary after that.\n"
	"--discard-mine ends a split brain, for a volume that is a replica already too.",
	options, 1, 1
};

int cmd_replica(int argc, char **argv)
{
	struct control *hold = NULL;
	struct bc_kernel *kernel;
	struct bc_error error;
	int exit_code, ret;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (bc_kernel_open(&kernel, &error))
		return cli_failed(&error);
	ret = role_end_reign(kernel, rest[0], wait_s * 1000, &error);
	if (!ret)
		ret = control_hold(&hold, kernel, rest[0], &error);
	if (!ret && discard_mine)
		ret = bc_kernel_replica(kernel, rest[0], BLKCAST_F_DISCARD, &error);
	control_close(hold);
	bc_kernel_close(kernel);
	return ret ? cli_failed(&error) : CLI_DONE;
}
