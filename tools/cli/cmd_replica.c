// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast replica: the reign ends, orderly, and is handed over to a replica that
 * is in sync, if there is one: that copy may begin the next reign, and no other.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "role.h"

static uint32_t wait_s = 10;
static bool discard_mine;
static const char *to;

static const struct cli_option options[] = {
	{ "to", CLI_TEXT, &to, "PEER",
	  "the next primary, if more than one replica is in sync" },
	{ "wait", CLI_NUMBER, &wait_s, "SECONDS",
	  "for the replicas to have everything (10)" },
	{ "discard-mine", CLI_FLAG, &discard_mine, NULL,
	  "give up what this copy alone has, for the next primary's content" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME [--to PEER] [--wait SECONDS] [--discard-mine]",
	"End the reign: no more writes here, what is under way is finished and sent,\n"
	"then the links are dropped. A replica that is in sync is handed over to:\n"
	"'blkcast primary' there needs nobody's word. If none is in sync, this host may\n"
	"become primary again.\n"
	"--discard-mine ends a split brain, for a volume that is a replica already too.",
	options, 1, 1
};

/*
 * Whom to hand over to: the only replica in sync, or the one that was named; empty
 * if there is nobody, or nothing to hand over.
 */
static int choose_heir(struct bc_kernel *kernel, const char *name,
		       char heir[BLKCAST_NAME_MAX], struct bc_error *error)
{
	struct bc_volume volume;
	uint32_t in_sync = 0;
	int ret;

	*heir = 0;
	ret = bc_kernel_get(kernel, name, &volume, error);
	if (ret)
		return ret;
	for (uint32_t i = 0; i < volume.links; i++) {
		if (volume.link[i].state != BLKCAST_LINK_IN_SYNC)
			continue;
		in_sync++;
		strcpy(heir, volume.link[i].name);
	}
	if (to)
		snprintf(heir, BLKCAST_NAME_MAX, "%s", to);
	else if (in_sync > 1)
		ret = bc_fail(error, -EINVAL,
			      "volume %s: %u replicas are in sync: say with --to which of them shall be the next primary",
			      name, in_sync);
	if (volume.role != BLKCAST_ROLE_PRIMARY || bc_known(&volume, BLKCAST_A_DEPOSED)) {
		*heir = 0;
		ret = 0;
	}
	bc_volume_release(&volume);
	return ret;
}

static int end_reign(struct bc_kernel *kernel, const char *name,
		     struct bc_error *error)
{
	char heir[BLKCAST_NAME_MAX] = "";
	int ret;

	ret = discard_mine ? 0 : choose_heir(kernel, name, heir, error);
	if (!ret)
		ret = role_end_reign(kernel, name, *heir ? heir : NULL, wait_s * 1000,
				     error);
	if (!ret && *heir)
		printf("Volume %s is handed over to %s: 'blkcast primary %s' there.\n",
		       name, heir, name);
	return ret;
}

/*
 * One that follows a primary has given up whatever it had; the word would wait for
 * the next primary, and be taken for one about what it has by then.
 */
static int discard_needed(struct bc_kernel *kernel, const char *name,
			  struct bc_error *error)
{
	struct bc_volume volume;
	int ret = bc_kernel_get(kernel, name, &volume, error);

	if (ret)
		return ret;
	if (volume.role == BLKCAST_ROLE_REPLICA && volume.links) {
		printf("Volume %s follows %s already: there is nothing to give up.\n",
		       name, volume.link[0].name);
		discard_mine = false;
	}
	bc_volume_release(&volume);
	return ret;
}

int cmd_replica(int argc, char **argv)
{
	struct control *hold = NULL;
	struct bc_kernel *kernel;
	struct bc_error error;
	int exit_code, ret;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (to && discard_mine) {
		cli_failf("--to and --discard-mine exclude each other");
		return CLI_USAGE;
	}
	if (bc_kernel_open(&kernel, &error))
		return cli_failed(&error);
	ret = discard_mine ? discard_needed(kernel, rest[0], &error) : 0;
	if (!ret)
		ret = end_reign(kernel, rest[0], &error);
	if (!ret && discard_mine)
		ret = control_hold(&hold, kernel, rest[0], &error);
	if (!ret && discard_mine)
		ret = bc_kernel_replica(kernel, rest[0], NULL, BLKCAST_F_DISCARD, &error);
	control_close(hold);
	bc_kernel_close(kernel);
	return ret ? cli_failed(&error) : CLI_DONE;
}
