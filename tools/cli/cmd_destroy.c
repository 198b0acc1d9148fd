// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast destroy: a volume that is down loses its metadata and configuration.
 * The metadata go first: a configuration without metadata says so at 'up'.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "copy.h"

static bool force;

static const struct cli_option options[] = {
	{ "force", CLI_FLAG, &force, NULL,
	  "do not ask; go on where the devices are gone or damaged" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME [--force]",
	"Forget a volume on this host: its metadata are made unreadable and its\n"
	"configuration is removed. What the device holds is left as it is, but which\n"
	"parts of it were ever written is forgotten too. The volume must be down.",
	options, 1, 1
};

static bool confirmed(const struct bc_volume_config *config)
{
	char sentence[BC_PATH_MAX + BLKCAST_NAME_MAX + 64];

	if (force)
		return true;
	snprintf(sentence, sizeof(sentence),
		 "This makes the copy of volume %s on %s unusable.", config->name,
		 config->backing);
	return cli_confirmed(config->name, sentence, "--force");
}

static int wipe(const struct bc_volume_config *config, struct bc_error *error)
{
	struct bc_copy copy;
	int ret;

	ret = bc_copy_open(&copy, config, error);
	if (ret)
		return ret;
	ret = bc_meta_wipe(&copy.meta, error);
	bc_copy_close(&copy);
	return ret;
}

int cmd_destroy(int argc, char **argv)
{
	struct bc_volume_config config;
	struct bc_error error;
	int exit_code, ret;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (bc_volume_config_load(&config, rest[0], &error))
		return cli_failed(&error);
	if (!confirmed(&config)) {
		bc_volume_config_release(&config);
		return CLI_FAILED;
	}
	ret = wipe(&config, &error);
	if (ret && force && ret != -EBUSY && ret != -EPERM && ret != -EACCES) {
		cli_failf("%s (going on: --force)", error.text);
		ret = 0;
	}
	if (!ret)
		ret = bc_volume_config_remove(rest[0], &error);
	bc_volume_config_release(&config);
	return ret ? cli_failed(&error) : CLI_DONE;
}
