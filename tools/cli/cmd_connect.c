// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast connect: put the peer into the configuration, let the daemon apply
 * it, wait for the link.  A peer that refuses for good (wrong key, wrong
 * volume, smaller device ...) leaves the configuration as it was; one that is
 * not there yet stays configured and the daemon goes on trying.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

static const char *peer, *address_text;
static bool async, plain;
static uint32_t timeout_ms, wait_s = 10;

static const struct cli_option options[] = {
	{ "peer", CLI_TEXT, &peer, "PEER", "name of the other node" },
	{ "address", CLI_TEXT, &address_text, "HOST[:PORT]", "of its blkcastd" },
	{ "async", CLI_FLAG, &async, NULL, "never wait for this replica" },
	{ "plain", CLI_FLAG, &plain, NULL, "without TLS, for a network that is private" },
	{ "timeout", CLI_NUMBER, &timeout_ms, "MS",
	  "of silence before the link is dropped (10000)" },
	{ "wait", CLI_NUMBER, &wait_s, "SECONDS", "for the link to be up (10; 0: do not)" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME --peer PEER --address HOST[:PORT] [OPTION...]",
	"Keep a copy of the volume on PEER. Called on the primary, whose daemon\n"
	"connects; the peer has created the volume with the same uuid and has it up.",
	options, 1, 1
};

static int fill_link(struct bc_link_config *link, struct bc_error *error)
{
	int ret;

	ret = bc_address_parse(&link->address, address_text, error);
	if (ret)
		return ret;
	if (timeout_ms && (timeout_ms < 1000 || timeout_ms > 600000))
		return bc_fail(error, -EINVAL, "--timeout must be 1000..600000 (ms)");
	link->async = async;
	link->plain = plain;
	link->timeout_ms = timeout_ms;
	return 0;
}

/* Add or change the link and save; @old keeps what stood there. */
static int configure(const char *name, struct bc_volume_config *old,
		     struct bc_error *error)
{
	struct bc_volume_config config;
	struct bc_link_config *link;
	int ret;

	ret = bc_volume_config_load(old, name, error);
	if (ret)
		return ret;
	ret = bc_volume_config_load(&config, name, error);
	if (ret) {
		bc_volume_config_release(old);
		return ret;
	}
	link = bc_volume_config_find_link(&config, peer);
	if (!link)
		link = bc_volume_config_add_link(&config, peer);
	ret = link ? fill_link(link, error) : bc_fail(error, -ENOMEM, "out of memory");
	if (!ret)
		ret = bc_volume_config_save(&config, error);
	bc_volume_config_release(&config);
	if (ret)
		bc_volume_config_release(old);
	return ret;
}

static int take_verdict(struct json_object *answer, bool *permanent,
			struct bc_error *error)
{
	struct json_object *state, *reason, *flag;

	if (!json_object_object_get_ex(answer, "state", &state))
		return bc_fail(error, -EPROTO, "blkcastd gives no state");
	if (!strcmp(json_object_get_string(state), "linked"))
		return 0;
	if (!strcmp(json_object_get_string(state), "idle")) {
		printf("The link is made while this host is primary.\n");
		return 0;
	}
	*permanent = json_object_object_get_ex(answer, "permanent", &flag) &&
		     json_object_get_boolean(flag);
	if (!json_object_object_get_ex(answer, "reason", &reason))
		return bc_fail(error, -EPROTO, "blkcastd gives no reason");
	return bc_fail(error, -ENOLINK, "%s", json_object_get_string(reason));
}

static int wait_link(struct control *control, const char *name, bool *permanent,
		     struct bc_error *error)
{
	struct json_object *request = control_request("wait-link", name), *answer;
	int ret;

	json_object_object_add(request, "peer", json_object_new_string(peer));
	json_object_object_add(request, "timeout_ms",
			       json_object_new_int64(wait_s * 1000LL));
	ret = control_ask(control, request, wait_s * 1000 + 5000, &answer, error);
	if (ret)
		return ret;
	ret = take_verdict(answer, permanent, error);
	json_object_put(answer);
	if (ret)
		bc_error_prefix(error, "volume %s: no link to %s at %s", name, peer,
				address_text);
	return ret;
}

static int apply(const char *name, bool *permanent, struct bc_error *error)
{
	struct control *control;
	int ret;

	ret = control_open(&control, error);
	if (ret)
		return ret;
	ret = control_ask(control, control_request("reload", NULL), 15000, NULL,
			  error);
	if (!ret && wait_s)
		ret = wait_link(control, name, permanent, error);
	control_close(control);
	return ret;
}

static int connect_peer(const char *name)
{
	struct bc_error error, ignored;
	struct bc_volume_config old;
	bool permanent = false;
	int ret;

	if (configure(name, &old, &error))
		return cli_failed(&error);
	ret = apply(name, &permanent, &error);
	if (ret)
		cli_failed(&error);
	if (ret && permanent && !bc_volume_config_save(&old, &ignored)) {
		control_reload(&ignored);
		cli_failf("volume %s: the configuration is as it was before", name);
	} else if (ret) {
		cli_failf("volume %s: the link stays configured, blkcastd goes on trying ('blkcast disconnect %s --peer %s' ends that)",
			  name, name, peer);
	}
	bc_volume_config_release(&old);
	return ret ? CLI_FAILED : CLI_DONE;
}

int cmd_connect(int argc, char **argv)
{
	int exit_code;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (!peer || !address_text) {
		cli_failf("--peer and --address are needed: blkcast connect %s",
			  syntax.synopsis);
		return CLI_USAGE;
	}
	return connect_peer(rest[0]);
}
