// SPDX-License-Identifier: GPL-2.0-or-later
/* blkcast down: end the reign, drop the links, let go of the devices. */
#include "cli.h"
#include "devlink.h"
#include "role.h"

#define WAIT_MS 10000

static const struct cli_option options[] = {
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME",
	"Take a volume down: end the reign if this host is the primary, drop the\n"
	"links, write the stamp map, let go of the devices. Refused while the\n"
	"device is open.",
	options, 1, 1
};

int cmd_down(int argc, char **argv)
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
	ret = role_end_reign(kernel, rest[0], NULL, WAIT_MS, &error);
	if (!ret)
		ret = control_hold(&hold, kernel, rest[0], &error);
	if (!ret)
		ret = bc_kernel_down(kernel, rest[0], &error);
	if (!ret)
		devlink_remove(rest[0]);
	control_close(hold);
	bc_kernel_close(kernel);
	return ret ? cli_failed(&error) : CLI_DONE;
}
