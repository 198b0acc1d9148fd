// SPDX-License-Identifier: GPL-2.0-or-later
/* blkcast suspend, blkcast resume: the writers of a primary, by hand. */
#include "cli.h"

static const struct cli_option no_options[] = {
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax suspend_syntax = {
	"NAME",
	"Take in no more writes: they wait until 'blkcast resume NAME'. Those on their\n"
	"way end; reads go on.",
	no_options, 1, 1
};

static const struct cli_syntax resume_syntax = {
	"NAME",
	"End what 'blkcast suspend NAME' began. Writes that wait because too few copies\n"
	"are in sync go on waiting: 'blkcast set NAME --min-isr 1' ends that.",
	no_options, 1, 1
};

static int run(const struct cli_syntax *syntax, int argc, char **argv,
	       int (*command)(struct bc_kernel *kernel, const char *name,
			      struct bc_error *error))
{
	struct bc_kernel *kernel;
	struct bc_error error;
	int exit_code, ret;
	char **rest;

	exit_code = cli_parse(syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (bc_kernel_open(&kernel, &error))
		return cli_failed(&error);
	ret = command(kernel, rest[0], &error);
	bc_kernel_close(kernel);
	return ret ? cli_failed(&error) : CLI_DONE;
}

int cmd_suspend(int argc, char **argv)
{
	return run(&suspend_syntax, argc, argv, bc_kernel_suspend);
}

int cmd_resume(int argc, char **argv)
{
	return run(&resume_syntax, argc, argv, bc_kernel_resume);
}
