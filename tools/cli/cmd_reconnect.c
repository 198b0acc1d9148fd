// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast reconnect: links by new connections, with the key and the certificates of
 * today, one after the other (see tools/daemon/renew.c).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

#define ANSWER_MS 30000

static const char *peer;
static bool all;

static const struct cli_option options[] = {
	{ "peer", CLI_TEXT, &peer, "PEER", "this link only" },
	{ "all", CLI_FLAG, &all, NULL, "those of all volumes" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME [--peer PEER] | --all",
	"Make the links of a primary anew, one after the other: after a change of the key\n"
	"or of certificates, which links that are up do not see. Each new connection is made\n"
	"beside the old one, which stays if that fails. Writes wait for a moment, none of\n"
	"them fails, and no replica leaves the in-sync set.",
	options, 0, 1
};

/* What has become of one: 1: it is not wanted, as the volume is no primary here. */
static int take_state(struct json_object *answer, struct bc_error *error)
{
	struct json_object *state, *reason;

	if (!json_object_object_get_ex(answer, "state", &state))
		return bc_fail(error, -EPROTO, "blkcastd gives no state");
	if (!strcmp(json_object_get_string(state), "linked"))
		return 0;
	if (!strcmp(json_object_get_string(state), "idle"))
		return 1;
	if (!json_object_object_get_ex(answer, "reason", &reason))
		return bc_fail(error, -EPROTO, "blkcastd gives no reason");
	return bc_fail(error, -ENOLINK, "%s", json_object_get_string(reason));
}

static int renew_link(struct control *control, const char *name, const char *link,
		      struct bc_error *error)
{
	struct json_object *request = control_request("reconnect", name), *answer;
	int ret;

	json_object_object_add(request, "peer", json_object_new_string(link));
	json_object_object_add(request, "timeout_ms", json_object_new_int64(ANSWER_MS));
	ret = control_ask(control, request, ANSWER_MS + 5000, &answer, error);
	if (ret)
		return ret;
	ret = take_state(answer, error);
	json_object_put(answer);
	if (ret < 0)
		bc_error_prefix(error, "volume %s: link to %s", name, link);
	return ret;
}

/* Goes on with the others when one fails. */
static int renew_volume(struct control *control, const struct bc_volume_config *config)
{
	unsigned int found = 0, failed = 0;
	struct bc_error error;
	int ret;

	for (size_t i = 0; i < config->links; i++) {
		const char *link = config->link[i].peer;

		if (peer && strcmp(link, peer))
			continue;
		found++;
		ret = renew_link(control, config->name, link, &error);
		if (!ret)
			printf("volume %s: link to %s: by a new connection\n", config->name,
			       link);
		else if (ret > 0 && !all)
			printf("volume %s: its links are made while this host is primary\n",
			       config->name);
		else if (ret < 0)
			cli_failed(&error);
		failed += ret < 0;
	}
	if (found || all)
		return failed ? CLI_FAILED : CLI_DONE;
	cli_failf("volume %s: no %s in its configuration", config->name,
		  peer ? peer : "links");
	return CLI_FAILED;
}

static int renew_volumes(struct control *control, const char *name)
{
	struct bc_volume_config *configs;
	struct bc_error error;
	int exit_code = CLI_DONE;
	bool found = false;
	size_t count;

	if (bc_volume_configs_load(&configs, &count, &error))
		exit_code = cli_failed(&error);
	for (size_t i = 0; i < count; i++) {
		if (name && strcmp(name, configs[i].name))
			continue;
		found = true;
		if (renew_volume(control, &configs[i]) != CLI_DONE)
			exit_code = CLI_FAILED;
	}
	bc_volume_configs_free(configs, count);
	if (name && !found) {
		cli_failf("volume %s: not configured on this host", name);
		return CLI_FAILED;
	}
	return exit_code;
}

int cmd_reconnect(int argc, char **argv)
{
	struct control *control;
	struct bc_error error;
	int exit_code, ret;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (!rest[0] == !all || (all && peer)) {
		cli_failf("either a volume or --all: blkcast reconnect %s", syntax.synopsis);
		return CLI_USAGE;
	}
	ret = control_open(&control, &error);
	/* The key and the certificates of today. */
	if (!ret)
		ret = control_ask(control, control_request("reload", NULL), 15000, NULL, &error);
	if (ret)
		return cli_failed(&error);
	exit_code = renew_volumes(control, rest[0]);
	control_close(control);
	return exit_code;
}
