// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast diff A B: which parts of a volume differ between two snapshots, by their
 * stamps; no content is read.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../cli/cli.h"
#include "../lib/util.h"
#include "blkcast_lsn.h"
#include "commands.h"
#include "have.h"

static bool json;

static const struct cli_option options[] = {
	{ "json", CLI_FLAG, &json, NULL, "as JSON" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"A B [OPTION...]",
	"Show which parts of the volume differ between two snapshots of it, full or\n"
	"deltas, by their stamps alone. What was in doubt in either counts as different.",
	options, 2, 2
};

/* Neighbouring regions of B that A lacks. */
struct run {
	uint64_t offset, bytes;
};

static uint64_t region_end(const struct have *have, uint32_t r)
{
	uint64_t end = (uint64_t)(r + 1) << have->region_shift;

	return end < have->bytes ? end : have->bytes;
}

/* The next run from region *r on; false: there is none. */
static bool next_run(const struct have *have, const uint8_t *lacks, uint32_t *r,
		     struct run *run)
{
	while (*r < have->regions && !snap_held(lacks, *r))
		++*r;
	if (*r == have->regions)
		return false;
	run->offset = (uint64_t)*r << have->region_shift;
	while (*r < have->regions && snap_held(lacks, *r))
		++*r;
	run->bytes = region_end(have, *r - 1) - run->offset;
	return true;
}

static void print_text(const struct have *b, const uint8_t *lacks)
{
	char size[BC_SIZE_TEXT], all[BC_SIZE_TEXT];
	uint64_t total = 0;
	struct run run;
	uint32_t r = 0;

	while (next_run(b, lacks, &r, &run)) {
		printf("%16llu %12s\n", (unsigned long long)run.offset,
		       bc_size_format(run.bytes, size));
		total += run.bytes;
	}
	printf("%s of %s differ\n", bc_size_format(total, size), bc_size_format(b->bytes, all));
}

static void print_json(const struct have *b, const uint8_t *lacks)
{
	struct json_object *object = json_object_new_object();
	struct json_object *list = json_object_new_array();
	uint64_t total = 0;
	struct run run;
	uint32_t r = 0;

	while (next_run(b, lacks, &r, &run)) {
		struct json_object *entry = json_object_new_object();

		json_add_u64(entry, "offset", run.offset);
		json_add_u64(entry, "bytes", run.bytes);
		json_object_array_add(list, entry);
		total += run.bytes;
	}
	json_add_u64(object, "bytes", b->bytes);
	json_add_u64(object, "differ", total);
	json_object_object_add(object, "ranges", list);
	json_print(object);
}

static int diff(const struct have *a, const struct have *b, struct bc_error *error)
{
	int err = have_check(a, b->volume, b->bytes, b->region_shift, error);
	uint8_t *lacks;

	if (err)
		return err;
	lacks = have_lacks(a, b->stamp, b->history, b->reigns);
	if (!lacks)
		return bc_fail(error, -ENOMEM, "out of memory");
	if (json)
		print_json(b, lacks);
	else
		print_text(b, lacks);
	free(lacks);
	return 0;
}

int cmd_diff(int argc, char **argv)
{
	struct have a = { 0 }, b = { 0 };
	struct bc_error error;
	char **rest;
	int exit_code = cli_parse(&syntax, argc, argv, &rest), err;

	if (exit_code != CLI_GO)
		return exit_code;
	err = have_read(&a, rest[0], &error);
	if (!err)
		err = have_read(&b, rest[1], &error);
	if (!err)
		err = diff(&a, &b, &error);
	have_release(&a);
	have_release(&b);
	return err ? cli_failed(&error) : CLI_DONE;
}
