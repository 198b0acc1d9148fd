// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast snapshot VOLUME FILE|-
 *
 * Reads a volume that is up, or a plain device or file, into a snapshot file.
 * Nothing appears under the file's name before it is whole.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "../cli/cli.h"
#include "../lib/util.h"
#include "../lib/viewstore.h"
#include "commands.h"
#include "folder.h"
#include "pool.h"
#include "take.h"

#define RATE_MIN (64U << 10)

static uint32_t level = 3, threads;
static uint64_t rate;
static bool force, quiet, json, live;
static const char *from, *file, *since, *store;

static const struct cli_option options[] = {
	{ "since", CLI_TEXT, &since, "PARENT", "a delta: only what differs from the snapshot in file PARENT" },
	{ "level", CLI_NUMBER, &level, "N", "of zstd, 1..22, default 3" },
	{ "threads", CLI_NUMBER, &threads, "N", "that compress, default: all processors" },
	{ "rate", CLI_SIZE, &rate, "BYTES", "a second at most, of the volume; default: no limit" },
	{ "store", CLI_TEXT, &store, "STORE",
	  "for the old content of what is overwritten meanwhile: memory:SIZE (default 64M), FILE:SIZE, DEVICE" },
	{ "live", CLI_FLAG, &live, NULL, "without a view: the image is not of one moment" },
	{ "force", CLI_FLAG, &force, NULL, "replace FILE if it exists" },
	{ "quiet", CLI_FLAG, &quiet, NULL, "no progress bar, no summary" },
	{ "json", CLI_FLAG, &json, NULL, "summary as JSON on standard output" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"VOLUME[@VIEW]|PATH FILE|- [OPTION...]",
	"Write the content of a volume that is up, or of a view of it, or of a plain device\n"
	"or file (a name with a '/'), to a snapshot file or, with -, to standard output.\n"
	"'zstd -dc FILE' gives the raw image.",
	options, 2, 2
};

static int take_options(int argc, char **argv)
{
	char **rest;
	int exit_code;

	threads = pool_cpus() < THREADS_MAX ? pool_cpus() : THREADS_MAX;
	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	from = rest[0];
	file = rest[1];
	if (level < 1 || level > (uint32_t)ZSTD_maxCLevel() || !threads || threads > THREADS_MAX) {
		cli_failf("--level is 1..%d, --threads 1..%d", ZSTD_maxCLevel(), THREADS_MAX);
		return CLI_USAGE;
	}
	if (rate && rate < RATE_MIN) {
		cli_failf("--rate is at least %u", RATE_MIN);
		return CLI_USAGE;
	}
	if (live && store) {
		cli_failf("--live and --store exclude each other");
		return CLI_USAGE;
	}
	if (!strchr(from, '/') && strchr(from, '@') && (live || store)) {
		cli_failf("a view is there already: --live and --store mean nothing for it");
		return CLI_USAGE;
	}
	if (json && !strcmp(file, "-")) {
		cli_failf("--json and - both want standard output");
		return CLI_USAGE;
	}
	return CLI_GO;
}

/* ---- what was done ---- */

static void report_json(const struct take *take)
{
	const struct snap_trailer *trailer = &take->trailer;
	struct json_object *object = json_object_new_object();
	char id[BC_UUID_TEXT];

	json_add_text(object, "source", from);
	json_add_text(object, "file", file);
	json_add_text(object, "id", bc_uuid_format(trailer->id, id));
	if (take->have)
		json_add_text(object, "parent", bc_uuid_format(take->have->id, id));
	json_add_u64(object, "bytes", take->held);
	json_add_u64(object, "stored", take->output->offset);
	json_add_u64(object, "lsn", le64toh(trailer->lsn));
	json_add_u64(object, "regions", le32toh(trailer->regions));
	json_add_u64(object, "never_written", le32toh(trailer->never));
	json_add_u64(object, "in_doubt", le32toh(trailer->doubt));
	json_add_bool(object, "fuzzy", le32toh(trailer->flags) & SNAP_TRAILER_FUZZY);
	json_object_object_add(object, "seconds",
			       json_object_new_double(progress_seconds(&take->progress)));
	json_print(object);
}

static void report_text(const struct take *take)
{
	const struct snap_trailer *trailer = &take->trailer;
	char size[BC_SIZE_TEXT];

	report_rate(from, take->held, progress_seconds(&take->progress));
	fprintf(stderr, ", stored in %s", bc_size_format(take->output->offset, size));
	if (trailer->regions)
		fprintf(stderr, "; of %u regions %u never written, %u in doubt",
			le32toh(trailer->regions), le32toh(trailer->never),
			le32toh(trailer->doubt));
	fputs("\n", stderr);
	if (le32toh(trailer->flags) & SNAP_TRAILER_FUZZY)
		fprintf(stderr, trailer->regions ?
			"%s: written to meanwhile, so the image is not of one moment; a volume restored from it is completed when it connects\n" :
			"%s: mounted, so it may have been written to meanwhile and the image not be of one moment\n",
			from);
}

/* ---- doing it ---- */

static int snapshot(struct take *take, struct bc_error *error)
{
	int err = output_open(take->output, file, force, error);

	if (!err)
		err = take_run(take, error);
	return err ? err : output_commit(take->output, error);
}

int cmd_snapshot(int argc, char **argv)
{
	struct output output = { .fd = -1 };
	struct source source = { .blockdev.fd = -1, .live.fd = -1 };
	struct have have = { 0 };
	struct take take = { .source = &source, .output = &output, .what = "snapshot" };
	struct bc_error error;
	int exit_code = take_options(argc, argv), err = 0, lock = -1;

	if (exit_code != CLI_GO)
		return exit_code;
	take.level = level;
	take.threads = threads;
	take.rate = rate;
	take.quiet = quiet;
	if (since) {
		take.have = &have;
		err = folder_lock_of(since, &lock, &error);
		if (!err)
			err = have_read(&have, since, &error);
	}
	if (!err)
		err = source_open(&source, from, live ? NULL : store ? store : VIEWSTORE_DEFAULT,
				  &error);
	if (!err)
		err = snapshot(&take, &error);
	if (!err && json)
		report_json(&take);
	else if (!err && !quiet)
		report_text(&take);
	output_close(&output);
	source_close(&source);
	have_release(&have);
	if (lock >= 0)
		close(lock);
	return err ? cli_failed(&error) : CLI_DONE;
}
