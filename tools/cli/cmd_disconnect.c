// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast disconnect: take the peer out of the configuration, drop the link.
 *
 * With --forget the peer, if it can be reached, first gives its copy up: what it
 * refuses changes nothing here either, so that no copy is left of which nobody
 * knows.  One that cannot be reached is removed here alone.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

#define FORGET_MS 25000	/* a conversation has 10 s, finding the host as much */

static const char *peer;
static bool forget;

static const struct cli_option options[] = {
	{ "peer", CLI_TEXT, &peer, "PEER", "name of the other node" },
	{ "forget", CLI_FLAG, &forget, NULL,
	  "for good: the copy on PEER is given up, too" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME --peer PEER [--forget]",
	"Stop keeping a copy of the volume on PEER. Called on the primary. What the\n"
	"peer has stays there; connected again, it gets what it has missed. With --forget\n"
	"it is no copy any more: the volume is taken down there, its metadata are made\n"
	"unreadable and its configuration is removed.",
	options, 1, 1
};

static int check_primary(const char *name, struct bc_error *error)
{
	struct bc_kernel *kernel;
	struct bc_volume volume;
	int ret;

	ret = bc_kernel_open(&kernel, error);
	if (ret)
		return ret;
	ret = bc_kernel_get(kernel, name, &volume, error);
	bc_kernel_close(kernel);
	if (ret)
		return ret;
	if (volume.role != BLKCAST_ROLE_PRIMARY)
		ret = bc_fail(error, -EPERM,
			      "volume %s: only its primary can have another host forget its copy; this host is a replica ('blkcast destroy %s' on the other host does it there)",
			      name, name);
	bc_volume_release(&volume);
	return ret;
}

static int take_state(struct json_object *answer, const char *name,
		      struct bc_error *error)
{
	struct json_object *value;
	const char *state = "", *reason = "no reason given";

	if (json_object_object_get_ex(answer, "state", &value))
		state = json_object_get_string(value);
	if (json_object_object_get_ex(answer, "reason", &value))
		reason = json_object_get_string(value);
	if (!strcmp(state, "forgotten"))
		return 0;
	if (strcmp(state, "unreachable"))
		return bc_fail(error, -EPERM,
			       "volume %s: %s keeps its copy, and nothing has changed here: %s",
			       name, peer, reason);
	fprintf(stderr,
		"blkcast: volume %s: %s cannot be reached (%s) and is removed here alone; should it come back: 'blkcast destroy %s' there\n",
		name, peer, reason, name);
	return 0;
}

static int forget_peer(const char *name, struct bc_error *error)
{
	struct json_object *request, *answer;
	struct control *control;
	int ret;

	ret = check_primary(name, error);
	if (!ret)
		ret = control_open(&control, error);
	if (ret)
		return ret;
	request = control_request("forget", name);
	json_object_object_add(request, "peer", json_object_new_string(peer));
	ret = control_ask(control, request, FORGET_MS, &answer, error);
	control_close(control);
	if (ret)
		return ret;
	ret = take_state(answer, name, error);
	json_object_put(answer);
	return ret;
}

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
	ret = forget ? forget_peer(rest[0], &error) : 0;
	if (!ret)
		ret = unconfigure(rest[0], &error);
	if (!ret)
		ret = drop_link(rest[0], &error);
	return ret ? cli_failed(&error) : CLI_DONE;
}
