// SPDX-License-Identifier: GPL-2.0-or-later
/* blkcast devname blkcastN: the volume's name, for the udev rule. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static const struct cli_option options[] = {
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"blkcastN", "Print the name of the volume with that device.", options, 1, 1
};

int cmd_devname(int argc, char **argv)
{
	struct bc_volume *volumes;
	struct bc_kernel *kernel;
	struct bc_error error;
	int exit_code, ret;
	unsigned int minor;
	size_t count;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (sscanf(rest[0], "blkcast%u", &minor) != 1)
		return cli_failf("'%s' is no blkcastN", rest[0]);
	if (bc_kernel_open(&kernel, &error))
		return cli_failed(&error);
	ret = bc_kernel_get_all(kernel, &volumes, &count, &error);
	bc_kernel_close(kernel);
	if (ret)
		return cli_failed(&error);
	exit_code = CLI_FAILED;
	for (size_t i = 0; i < count; i++) {
		if (volumes[i].minor != minor)
			continue;
		printf("%s\n", volumes[i].name);
		exit_code = CLI_DONE;
	}
	bc_volumes_free(volumes, count);
	return exit_code;
}
