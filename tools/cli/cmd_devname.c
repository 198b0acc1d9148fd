// SPDX-License-Identifier: GPL-2.0-or-later
/* blkcast devname blkcastN: the name of a volume or view, for the udev rule. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static const struct cli_option options[] = {
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"blkcastN", "Print the name of the volume or view with that device.", options, 1, 1
};

/* The volume's, or VOLUME@VIEW of one of its views; false: of neither. */
static bool print_name(const struct bc_volume *volume, unsigned int minor)
{
	if (volume->minor == minor)
		return printf("%s\n", volume->name) > 0;
	for (uint32_t i = 0; i < volume->views; i++) {
		const struct bc_view *view = &volume->view[i];

		/* One that was replaced has no name. */
		if (view->minor == minor && !(view->flags & BLKCAST_F_REPLACE))
			return printf("%s@%s\n", volume->name, view->name) > 0;
	}
	return false;
}

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
		if (print_name(&volumes[i], minor))
			exit_code = CLI_DONE;
	}
	bc_volumes_free(volumes, count);
	return exit_code;
}
