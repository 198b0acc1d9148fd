// SPDX-License-Identifier: GPL-2.0-or-later
/* blkcast set: the policy, in the configuration and, when up, at once. */
#include <errno.h>
#include <stdio.h>

#include "cli.h"

static const char *ack_text;
static uint64_t resync_rate, active_max;

static const struct cli_option options[] = {
	{ "ack", CLI_TEXT, &ack_text, "local|memory|disk",
	  "done: when written here; received, or written, by all replicas in sync too" },
	{ "resync-rate", CLI_SIZE, &resync_rate, "SIZE",
	  "a second, while writers are at work: 64K..1T (8M)" },
	{ "active-max", CLI_SIZE, &active_max, "SIZE",
	  "of the volume in use at once, to compare after a crash: 64M..64T (64G)" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME [--ack local|memory|disk] [--resync-rate SIZE] [--active-max SIZE]",
	"Change a volume's policy, at once and for good. A resync gives way to writers\n"
	"down to its rate; a volume that nobody writes to gives it all there is. What is\n"
	"active needs no more metadata written, and is compared after a crash.",
	options, 1, 1
};

/* Not up: 'up' applies it. */
static int apply(const char *name, const struct bc_set *set, struct bc_error *error)
{
	struct bc_kernel *kernel;
	struct bc_volume volume;
	struct bc_error ignored;
	int ret = 0;

	if (bc_kernel_open(&kernel, &ignored))
		return 0;
	if (!bc_kernel_get(kernel, name, &volume, &ignored)) {
		bc_volume_release(&volume);
		ret = bc_kernel_set(kernel, name, set, error);
	}
	bc_kernel_close(kernel);
	return ret;
}

static int change(const char *name, const struct bc_set *set, struct bc_error *error)
{
	struct bc_volume_config config;
	int ret;

	ret = bc_volume_config_load(&config, name, error);
	if (ret)
		return ret;
	if (set->ack >= 0)
		config.ack = set->ack;
	if (set->resync_rate)
		config.resync_rate = set->resync_rate;
	if (set->active_max)
		config.active_max = set->active_max;
	ret = bc_volume_config_save(&config, error);
	bc_volume_config_release(&config);
	return ret ? ret : apply(name, set, error);
}

int cmd_set(int argc, char **argv)
{
	struct bc_set set = { .ack = -1 };
	struct bc_error error;
	int exit_code;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (!ack_text && !resync_rate && !active_max) {
		fprintf(stderr, "Usage: blkcast set %s\n", syntax.synopsis);
		return CLI_USAGE;
	}
	if (ack_text)
		set.ack = bc_ack_parse(ack_text);
	if (ack_text && set.ack < 0) {
		cli_failf("--ack must be local, memory or disk, not '%s'", ack_text);
		return CLI_USAGE;
	}
	if (resync_rate && !bc_resync_rate_valid(resync_rate)) {
		cli_failf("--resync-rate must be 64K..1T");
		return CLI_USAGE;
	}
	if (active_max && !bc_active_max_valid(active_max)) {
		cli_failf("--active-max must be 64M..64T");
		return CLI_USAGE;
	}
	set.resync_rate = resync_rate;
	set.active_max = active_max;
	return change(rest[0], &set, &error) ? cli_failed(&error) : CLI_DONE;
}
