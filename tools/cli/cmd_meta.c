// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast meta dump|check: the metadata of a volume that is down, to be looked at.
 * Nothing is ever written.
 *
 * While a volume is up its map in memory is newer than the one on disk, and the
 * latter changes as it is read: refused.  That it is down is told by the devices,
 * which open exclusively; they stay open so until all is read.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cli.h"
#include "copy.h"
#include "meta_view.h"
#include "util.h"

static const char *device, *meta_path, *range_text;
static bool json, regions;

static const struct cli_option dump_options[] = {
	{ "device", CLI_TEXT, &device, "DEV", "backing device or image, in place of NAME" },
	{ "meta", CLI_TEXT, &meta_path, "DEV|FILE", "its metadata, where not on DEV" },
	{ "regions", CLI_FLAG, &regions, NULL, "list all regions, equal neighbours as one" },
	{ "range", CLI_TEXT, &range_text, "FIRST[-LAST]", "list these regions" },
	{ "json", CLI_FLAG, &json, NULL, "for programs" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_option check_options[] = {
	{ "device", CLI_TEXT, &device, "DEV", "backing device or image, in place of NAME" },
	{ "meta", CLI_TEXT, &meta_path, "DEV|FILE", "its metadata, where not on DEV" },
	{ "json", CLI_FLAG, &json, NULL, "for programs" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax dump_syntax = {
	"NAME|--device DEV [OPTION...]",
	"Show the metadata of a volume that is down: both superblocks, the history of its\n"
	"reigns, and what the stamp map knows of its regions.",
	dump_options, 0, 1
};

static const struct cli_syntax check_syntax = {
	"NAME|--device DEV [OPTION...]",
	"Look for damage in the metadata of a volume that is down. Each finding is a line\n"
	"that says where it is and what it means. Nothing is written. Exit codes: 0 no\n"
	"damage, 1 damage or failure, 2 wrong usage.",
	check_options, 0, 1
};

/* --- the devices -------------------------------------------------------- */

static int take_devices(struct bc_volume_config *config, struct bc_error *error)
{
	int ret;

	memset(config, 0, sizeof(*config));
	ret = cli_absolute(config->backing, sizeof(config->backing), device, error);
	if (!ret && meta_path)
		ret = cli_absolute(config->meta, sizeof(config->meta), meta_path, error);
	return ret;
}

/* The volume that is up on this backing device; false: none. */
static bool up_as(const char *backing, char name[BLKCAST_NAME_MAX])
{
	struct bc_volume *volumes;
	struct bc_kernel *kernel;
	struct bc_error ignored;
	struct stat st;
	size_t count = 0;

	name[0] = 0;
	if (stat(backing, &st) || !S_ISBLK(st.st_mode) ||
	    bc_kernel_open(&kernel, &ignored))
		return false;
	if (!bc_kernel_get_all(kernel, &volumes, &count, &ignored)) {
		for (size_t i = 0; i < count; i++) {
			if (volumes[i].backing == BLKCAST_DEV(major(st.st_rdev),
							      minor(st.st_rdev)))
				strcpy(name, volumes[i].name);
		}
		bc_volumes_free(volumes, count);
	}
	bc_kernel_close(kernel);
	return name[0];
}

static int open_devices(struct bc_copy *copy, const struct bc_volume_config *config,
			struct bc_error *error)
{
	char name[BLKCAST_NAME_MAX];
	int ret;

	ret = bc_copy_open_devices_readonly(copy, config, error);
	if (ret != -EBUSY || !up_as(config->backing, name))
		return ret;
	return bc_fail(error, ret,
		       "volume %s is up: the map in the kernel's memory is newer than the one on disk ('blkcast status %s' shows it); take the volume down first ('blkcast down %s')",
		       name, name, name);
}

/* --- options ------------------------------------------------------------- */

static int number(const char *text, const char **end, uint32_t *value)
{
	unsigned long long number;
	char *after;

	errno = 0;
	number = strtoull(text, &after, 10);
	if (*text < '0' || *text > '9' || errno || number > UINT32_MAX)
		return -EINVAL;
	*end = after;
	*value = number;
	return 0;
}

/* "FIRST" or "FIRST-LAST". */
static int parse_range(const char *text, uint32_t *first, uint32_t *last)
{
	const char *end;

	if (number(text, &end, first))
		return -EINVAL;
	*last = *first;
	if (*end == '-' && number(end + 1, &end, last))
		return -EINVAL;
	return *end || *last < *first ? -EINVAL : 0;
}

static bool wrong_options(const char *name)
{
	uint32_t first, last;

	return !name == !device || (meta_path && !device) ||
	       (range_text && parse_range(range_text, &first, &last));
}

/* --- both ----------------------------------------------------------------- */

struct work {
	struct bc_copy copy;
	struct meta_view view;
	const struct meta_output *output;
};

static int read_copies(struct work *work, const struct bc_volume_config *config,
		       struct bc_error *error)
{
	struct bc_blockdev *on = bc_copy_meta_device(&work->copy);
	const char *path = bc_copy_meta_path(config);
	struct meta_view *view = &work->view;
	uint64_t end = bc_meta_end(on->fd, on->bytes, config->meta_end, path);

	view->backing = config->backing;
	view->chosen = -1;
	return bc_meta_copies(&view->meta, on->fd, end, path, view->copies, error);
}

static int with_devices(const struct bc_volume_config *config,
			int (*fn)(struct work *work, struct bc_error *error))
{
	struct bc_error error;
	struct work *work = calloc(1, sizeof(*work));
	int ret;

	if (!work)
		return cli_failf("out of memory");
	work->output = json ? &meta_output_json : &meta_output_table;
	ret = open_devices(&work->copy, config, &error);
	if (!ret) {
		ret = read_copies(work, config, &error);
		if (!ret)
			ret = fn(work, &error);
		bc_copy_close(&work->copy);
	}
	free(work);
	/* A check that has found something has said so. */
	return ret < 0 ? cli_failed(&error) : ret;
}

/* argv[0] is "dump" or "check". */
static int run(const struct cli_syntax *syntax, int argc, char **argv,
	       int (*fn)(struct work *work, struct bc_error *error))
{
	struct bc_volume_config config;
	char command[16];
	struct bc_error error;
	int exit_code, ret;
	char **rest;

	snprintf(command, sizeof(command), "meta %s", argv[0]);
	argv[0] = command;
	exit_code = cli_parse(syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (wrong_options(rest[0])) {
		cli_failf("Usage: blkcast %s %s", command, syntax->synopsis);
		return CLI_USAGE;
	}
	ret = device ? take_devices(&config, &error) :
	      bc_volume_config_load(&config, rest[0], &error);
	if (ret)
		return cli_failed(&error);
	exit_code = with_devices(&config, fn);
	bc_volume_config_release(&config);
	return exit_code;
}

/* --- dump ----------------------------------------------------------------- */

static int take_range(const struct bc_super *super, uint32_t *first, uint32_t *last,
		      struct bc_error *error)
{
	*first = 0;
	*last = super->regions - 1;
	if (!range_text)
		return 0;
	parse_range(range_text, first, last);
	if (*last >= super->regions)
		return bc_fail(error, -ERANGE, "--range %s: the regions are 0 to %u",
			       range_text, super->regions - 1);
	return 0;
}

static int add_block(const struct bc_map_block *block, void *arg)
{
	bc_map_summary_add(arg, block);
	return 0;
}

static void show_run(const struct bc_map_run *run, void *arg)
{
	struct work *work = arg;

	work->output->run(&work->view, run);
}

static int dump(struct work *work, struct bc_error *error)
{
	struct meta_view *view = &work->view;
	bool runs = regions || range_text;
	uint32_t first, last;
	int ret, chosen;

	ret = bc_meta_choose(&view->meta, view->copies, &chosen, &view->why);
	if (ret) {
		work->output->dump(view, false);
		work->output->dump_end(view, false);
		*error = view->why;
		return ret;
	}
	view->chosen = chosen;
	ret = take_range(&view->meta.super, &first, &last, error);
	if (!ret)
		ret = bc_meta_map_walk(&view->meta, 0, view->meta.super.map_blocks,
				       add_block, &view->map, error);
	if (ret)
		return ret;
	work->output->dump(view, runs);
	if (runs)
		ret = bc_meta_map_runs(&view->meta, first, last, show_run, work, error);
	work->output->dump_end(view, runs);
	return ret;
}

static int meta_dump(int argc, char **argv)
{
	return run(&dump_syntax, argc, argv, dump);
}

/* --- check ---------------------------------------------------------------- */

static void take_finding(const struct bc_finding *finding, void *arg)
{
	struct work *work = arg;

	work->view.findings[finding->level]++;
	work->output->finding(finding);
}

static int check(struct work *work, struct bc_error *error)
{
	struct meta_view *view = &work->view;
	const struct bc_meta_checked checked = {
		.meta = &view->meta,
		.copies = view->copies,
		.backing_bytes = work->copy.backing.bytes,
		.logical = work->copy.backing.logical,
		.internal = work->copy.external.fd < 0,
	};
	int ret;

	work->output->check(view);
	ret = bc_meta_check(&checked, take_finding, work, &view->map, error);
	if (ret)
		return ret;
	work->output->check_end(view);
	for (int level = 0; level <= BC_FINDING_FATAL; level++) {
		if (view->findings[level])
			ret = CLI_FAILED;
	}
	return ret;
}

static int meta_check(int argc, char **argv)
{
	return run(&check_syntax, argc, argv, check);
}

/* --- the command ------------------------------------------------------------ */

static void print_usage(FILE *out)
{
	fprintf(out, "Usage: blkcast meta dump|check NAME|--device DEV [OPTION...]\n\n"
		"Look at the metadata of a volume that is down.\n\n"
		"  dump         show superblocks, history and stamp map\n"
		"  check        look for damage\n"
		"\n'blkcast meta dump --help' and 'blkcast meta check --help' say more.\n");
}

int cmd_meta(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (!strcmp(verb, "dump"))
		return meta_dump(argc - 1, argv + 1);
	if (!strcmp(verb, "check"))
		return meta_check(argc - 1, argv + 1);
	if (!strcmp(verb, "--help") || !strcmp(verb, "-h")) {
		print_usage(stdout);
		return CLI_DONE;
	}
	print_usage(stderr);
	return CLI_USAGE;
}
