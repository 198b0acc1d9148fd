// SPDX-License-Identifier: GPL-2.0-or-later
/* blkcast disconnect: take the peer out of the configuration, drop the link. */
#include <errno.h>
#include <stdio.h>

#include "cli.h"

static const char *peer;

static const struct cli_option options[] = {
	{ "peer", CLI_TEXT, &peer, "PEER", "name of the other node" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME --peer PEER",
	"Stop keeping a copy of the volume on PEER. Called on the primary. What the\n"
	"peer has stays there; connected again, it gets what it has missed.",
	options, 1, 1
};

static int unconfigure(const char *name, struct bc_error *error)
{
	struct bc_volume_config config;
	struct bc_link_config *link;
	int ret;

	ret = bc_volume_config_load(&config, name, error);
	if (ret)
		return ret;
	link = bc_volume_config_find_link(&config, peer);
	if (!link) {
		ret = bc_fail(error, -ENOENT, "volume %s: no peer %s in its configuration",
			      name, peer);
	} else {
		bc_volume_config_del_link(&config, link);
		ret = bc_volume_config_save(&config, error);
	}
	bc_volume_config_release(&config);
	return ret;
}

/* The daemon drops links it does not find configured; without one we do. */
static int drop_link(const char *name, struct bc_error *error)
{
	struct bc_kernel *kernel;
	struct bc_error ignored;
	int ret;

	ret = control_reload(error);
	if (ret || bc_kernel_open(&kernel, &ignored))
		return ret;
	ret = bc_kernel_link_del(kernel, name, peer, error);
	bc_kernel_close(kernel);
	return ret == -ENOENT || ret == -ENODEV ? 0 : ret;
}

int cmd_disconnect(int argc, char **argv)
{
	struct bc_error error;
	int exit_code, ret;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (!peer) {
		cli_failf("--peer is needed: blkcast disconnect %s", syntax.synopsis);
		return CLI_USAGE;
	}
	ret = unconfigure(rest[0], &error);
	if (!ret)
		ret = drop_link(rest[0], &error);
	return ret ? cli_failed(&error) : CLI_DONE;
}
