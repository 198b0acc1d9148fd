// SPDX-License-Identifier: GPL-2.0-or-later
/* blkcast detach: a primary goes on without its device. */
#include <stdio.h>

#include "cli.h"
#include "detach.h"

static const struct cli_option no_options[] = {
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME",
	"Go on without this primary's device, which fails or is to be taken away: the\n"
	"replicas in sync serve what is read and keep what is written, as with --ack disk.\n"
	"It takes at least one, and as many as --min-isr asks for without this copy.\n"
	"With 'blkcast set NAME --on-io-error detach' this happens by itself when the device\n"
	"fails a write. To have a copy here again: hand over ('blkcast replica NAME'), take\n"
	"it down, and 'blkcast replace', or 'blkcast up' if the device is well again.",
	no_options, 1, 1
};

int cmd_detach(int argc, char **argv)
{
	struct bc_kernel *kernel;
	struct bc_error error;
	int exit_code, ret;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (bc_kernel_open(&kernel, &error))
		return cli_failed(&error);
	ret = bc_detach(kernel, rest[0], &error);
	bc_kernel_close(kernel);
	if (ret)
		return cli_failed(&error);
	printf("Volume %s: the replicas alone have what is written from now on.\n", rest[0]);
	return CLI_DONE;
}
