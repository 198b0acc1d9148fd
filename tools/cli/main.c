// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast: the table of subcommands.  Exit codes: 0 done, 1 failed, 2 wrong
 * usage.
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "util.h"

struct command {
	const char *name;
	int (*fn)(int argc, char **argv);
	const char *about;	/* NULL: for other programs, not listed */
};

static const struct command commands[] = {
	{ "create", cmd_create, "write metadata and configuration for a new volume" },
	{ "up", cmd_up, "bring a configured volume up, as a replica" },
	{ "down", cmd_down, "take a volume down" },
	{ "replace", cmd_replace, "make this host's copy anew, on a new disk" },
	{ "join", cmd_join, "make a copy of another host's volume here, and keep it" },
	{ "destroy", cmd_destroy, "forget a volume: its metadata and configuration" },
	{ "primary", cmd_primary, "start a reign: take writes here" },
	{ "replica", cmd_replica, "end the reign: follow a primary" },
	{ "set", cmd_set, "when a write counts as done, how fast a resync may be" },
	{ "suspend", cmd_suspend, "let writes wait, reads go on" },
	{ "resume", cmd_resume, "let them go on" },
	{ "detach", cmd_detach, "go on without a primary's failing device" },
	{ "member", cmd_member, "say which replicas are waited for (--membership managed)" },
	{ "lease", cmd_lease, "say until when this host may serve" },
	{ "grow", cmd_grow, "make a volume and all its copies larger, while it is up" },
	{ "connect", cmd_connect, "keep a copy of the volume on a peer" },
	{ "disconnect", cmd_disconnect, "stop doing so" },
	{ "reconnect", cmd_reconnect, "make the links by new connections, with today's key" },
	{ "status", cmd_status, "show volumes and links" },
	{ "events", cmd_events, "show what happens, as it happens" },
	{ "verify", cmd_verify, "compare the copies byte by byte, while writes go on" },
	{ "view", cmd_view, "freeze a volume's content for readers, while writes go on" },
	{ "lag", cmd_lag, "show how far each replica trails, and why" },
	{ "snapshot", cmd_snapshot, "write a volume into a file" },
	{ "restore", cmd_restore, "write such a file into a volume or an image" },
	{ "info", cmd_info, "show what such a file holds" },
	{ "check", cmd_check, "read all of such a file and check it" },
	{ "diff", cmd_diff, "show what differs between two of them" },
	{ "prune", cmd_prune, "delete old ones from a folder of them" },
	{ "meta", cmd_meta, "look at the metadata of a volume that is down" },
	{ "genkey", cmd_genkey, "make the key by which hosts know each other" },
	{ "devname", cmd_devname, NULL },
	{ "holds", cmd_holds, NULL },
	{ "send", cmd_send, NULL },
};

static void print_help(FILE *out)
{
	fprintf(out, "Usage: blkcast COMMAND [ARGUMENT...]\n\n"
		"Keeps live copies of block devices on other hosts.\n\n");
	for (size_t i = 0; i < BC_ARRAY_SIZE(commands); i++) {
		if (commands[i].about)
			fprintf(out, "  %-12s %s\n", commands[i].name,
				commands[i].about);
	}
	fprintf(out, "\n'blkcast COMMAND --help' says more; see also blkcast(8).\n");
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
		print_help(stdout);
		return CLI_DONE;
	}
	if (!strcmp(name, "--version")) {
		printf("blkcast %s\n", BLKCAST_VERSION);
		return CLI_DONE;
	}
	for (size_t i = 0; i < BC_ARRAY_SIZE(commands); i++) {
		if (!strcmp(name, commands[i].name))
			return commands[i].fn(argc - 1, argv + 1);
	}
	if (*name)
		fprintf(stderr, "blkcast: no command '%s'\n\n", name);
	print_help(stderr);
	return CLI_USAGE;
}
