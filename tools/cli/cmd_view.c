// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast view create|refresh|list|remove: what the kernel's views are asked for.  A view
 * is there until it is removed or its volume goes down; nothing of it is on disk.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "devlink.h"
#include "util.h"
#include "view.h"
#include "viewstore.h"

static const char *store = VIEWSTORE_DEFAULT;
static uint32_t timeout;
static bool json;

/* --- create --------------------------------------------------------------- */

static const struct cli_option create_options[] = {
	{ "store", CLI_TEXT, &store, "STORE",
	  "where old content is kept: memory:SIZE (default 64M), FILE:SIZE, DEVICE" },
	{ "timeout", CLI_NUMBER, &timeout, "SECONDS",
	  "that a write may wait for the store, default 5; then the view breaks" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax create_syntax = {
	"VOLUME VIEW [--store STORE] [--timeout SECONDS]",
	"Make /dev/blkcast/VOLUME@VIEW: the volume as it is now, read-only, while writes go\n"
	"on. Before a block is overwritten for the first time its old content is kept in\n"
	"the store; a FILE is made, and goes with the view. A view whose store is full, too\n"
	"slow or fails is broken: its readers get errors, writers never.",
	create_options, 2, 2
};

/* The link is where it should be. */
static int link_settle(const struct bc_view_create *create, const struct bc_view *made,
		       struct bc_error *error)
{
	char link[2 * BLKCAST_NAME_MAX];
	int ret;

	snprintf(link, sizeof(link), "%s@%s", create->name, create->view);
	ret = devlink_settle(link, made->minor, error);
	if (!ret)
		printf("/dev/blkcast/%s\n", link);
	return ret;
}

static int create_view(struct bc_kernel *kernel, const struct bc_view_create *create,
		       struct bc_error *error)
{
	struct bc_view made;
	int ret = bc_kernel_view_create(kernel, create, &made, error);

	return ret ? ret : link_settle(create, &made, error);
}

/* What create and refresh have in common. */
static int make_view(const struct cli_syntax *syntax, int argc, char **argv,
		     uint32_t flags,
		     int (*make)(struct bc_kernel *kernel,
				 const struct bc_view_create *create,
				 struct bc_error *error))
{
	struct bc_view_create create = { .store_fd = -1, .flags = flags };
	struct bc_kernel *kernel;
	struct bc_error error;
	int exit_code, ret;
	char **rest;

	exit_code = cli_parse(syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	create.name = rest[0];
	create.view = rest[1];
	create.timeout_ms = timeout > UINT32_MAX / 1000 ? UINT32_MAX : timeout * 1000;
	ret = viewstore_open(&create, store, &error);
	if (ret) {
		cli_failed(&error);
		return ret == -EINVAL ? CLI_USAGE : CLI_FAILED;
	}
	ret = bc_kernel_open(&kernel, &error);
	if (!ret) {
		ret = make(kernel, &create, &error);
		bc_kernel_close(kernel);
	}
	viewstore_close(&create);
	return ret ? cli_failed(&error) : CLI_DONE;
}

static int view_create(int argc, char **argv)
{
	return make_view(&create_syntax, argc, argv, 0, create_view);
}

/* --- refresh -------------------------------------------------------------- */

static const struct cli_syntax refresh_syntax = {
	"VOLUME VIEW [--store STORE] [--timeout SECONDS]",
	"Make a view anew: /dev/blkcast/VOLUME@VIEW is the volume as it is now. The one\n"
	"that had the name stays as it is for those who have it open, a read-only mount\n"
	"say, and goes when the last of them closes it. Says how old it was.",
	create_options, 2, 2
};

/* Of the one that is replaced. */
static void tell_age(const struct bc_view_create *create, const struct bc_view *old)
{
	char age[BC_SIZE_TEXT];

	if (!old->name[0])
		fprintf(stderr, "%s@%s: the first\n", create->name, create->view);
	else if (old->state != BLKCAST_VIEW_WHOLE)
		fprintf(stderr, "%s@%s: the one before was broken: %s\n", create->name,
			create->view, bc_view_state_name(old->state));
	else
		fprintf(stderr, "%s@%s: the one before was %s old%s\n", create->name,
			create->view, bc_duration_format(old->age_ns, age),
			old->openers ? "; it is open, and goes when it is closed" : "");
}

static int refresh_view(struct bc_kernel *kernel, const struct bc_view_create *create,
			struct bc_error *error)
{
	const struct bc_view *found;
	struct bc_view old = { 0 }, made;
	struct bc_volume volume;
	int ret = bc_kernel_get(kernel, create->name, &volume, error);

	if (ret)
		return ret;
	found = bc_volume_view(&volume, create->view);
	if (found)
		old = *found;
	bc_volume_release(&volume);
	ret = bc_kernel_view_create(kernel, create, &made, error);
	if (ret)
		return ret;
	tell_age(create, &old);
	if (old.openers)
		devlink_poke(old.minor);
	return link_settle(create, &made, error);
}

static int view_refresh(int argc, char **argv)
{
	return make_view(&refresh_syntax, argc, argv, BLKCAST_F_REPLACE, refresh_view);
}

/* --- list ----------------------------------------------------------------- */

static const struct cli_option list_options[] = {
	{ "json", CLI_FLAG, &json, NULL, "for programs" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax list_syntax = {
	"VOLUME [--json]", "Show the views of a volume.", list_options, 1, 1
};

static void print_json(const struct bc_volume *volume)
{
	struct json_object *root = json_object_new_object();

	json_object_object_add(root, "views", view_list_json(volume));
	printf("%s\n", json_object_to_json_string_ext(root,
						      JSON_C_TO_STRING_PRETTY |
						      JSON_C_TO_STRING_SPACED |
						      JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(root);
}

static int view_list(int argc, char **argv)
{
	struct bc_kernel *kernel;
	struct bc_volume volume;
	struct bc_error error;
	int exit_code, ret;
	char **rest;

	exit_code = cli_parse(&list_syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (bc_kernel_open(&kernel, &error))
		return cli_failed(&error);
	ret = bc_kernel_get(kernel, rest[0], &volume, &error);
	bc_kernel_close(kernel);
	if (ret)
		return cli_failed(&error);
	if (json)
		print_json(&volume);
	else
		view_list_print(&volume, "");
	bc_volume_release(&volume);
	return CLI_DONE;
}

/* --- remove --------------------------------------------------------------- */

static const struct cli_option no_options[] = {
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax remove_syntax = {
	"VOLUME VIEW",
	"Remove a view and what it keeps. Refused while its device is open.",
	no_options, 2, 2
};

static int view_remove(int argc, char **argv)
{
	char link[2 * BLKCAST_NAME_MAX];
	struct bc_kernel *kernel;
	struct bc_error error;
	unsigned int tries = 0;
	int exit_code, ret;
	char **rest;

	exit_code = cli_parse(&remove_syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (bc_kernel_open(&kernel, &error))
		return cli_failed(&error);
	do {
		ret = bc_kernel_view_remove(kernel, rest[0], rest[1], &error);
	} while (devlink_retry(ret, &tries));
	bc_kernel_close(kernel);
	if (ret)
		return cli_failed(&error);
	snprintf(link, sizeof(link), "%s@%s", rest[0], rest[1]);
	devlink_remove(link);
	return CLI_DONE;
}

/* --- the command ---------------------------------------------------------- */

static const struct {
	const char *name;
	int (*fn)(int argc, char **argv);
	const char *about;
} verbs[] = {
	{ "create", view_create, "make one of the volume as it is now" },
	{ "refresh", view_refresh, "replace one by a newer one, whoever has it open" },
	{ "list", view_list, "show those of a volume" },
	{ "remove", view_remove, "remove one" },
};

static void print_usage(FILE *out)
{
	fprintf(out, "Usage: blkcast view VERB VOLUME [VIEW] [OPTION...]\n\n"
		"Read-only devices that show a volume as it was at one moment.\n\n");
	for (size_t i = 0; i < BC_ARRAY_SIZE(verbs); i++)
		fprintf(out, "  %-12s %s\n", verbs[i].name, verbs[i].about);
	fprintf(out, "\n'blkcast view VERB --help' says more.\n");
}

int cmd_view(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	char command[32];

	for (size_t i = 0; i < BC_ARRAY_SIZE(verbs); i++) {
		if (strcmp(verb, verbs[i].name))
			continue;
		snprintf(command, sizeof(command), "view %s", verb);
		argv[1] = command;
		return verbs[i].fn(argc - 1, argv + 1);
	}
	if (!strcmp(verb, "--help") || !strcmp(verb, "-h")) {
		print_usage(stdout);
		return CLI_DONE;
	}
	print_usage(stderr);
	return CLI_USAGE;
}
