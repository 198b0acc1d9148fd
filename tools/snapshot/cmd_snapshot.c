// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast snapshot VOLUME FILE|-
 *
 * Reads a volume that is up, or a plain device or file, into a snapshot file.
 * Nothing appears under the file's name before it is whole.
 */
#include <stdio.h>
#include <string.h>
#include <zstd.h>

#include "../cli/cli.h"
#include "../lib/util.h"
#include "commands.h"
#include "create.h"
#include "pool.h"
#include "source.h"

static uint32_t level = 3, threads;
static bool force, quiet, json;
static const char *from, *file;

static const struct cli_option options[] = {
	{ "level", CLI_NUMBER, &level, "N", "of zstd, 1..22, default 3" },
	{ "threads", CLI_NUMBER, &threads, "N", "that compress, default: all processors" },
	{ "force", CLI_FLAG, &force, NULL, "replace FILE if it exists" },
	{ "quiet", CLI_FLAG, &quiet, NULL, "no progress bar, no summary" },
	{ "json", CLI_FLAG, &json, NULL, "summary as JSON on standard output" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"VOLUME|PATH FILE|- [OPTION...]",
	"Write the content of a volume that is up, or of a plain device or file (a name\n"
	"with a '/'), to a snapshot file or, with -, to standard output. 'zstd -dc FILE'\n"
	"gives the raw image.",
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
	if (json && !strcmp(file, "-")) {
		cli_failf("--json and - both want standard output");
		return CLI_USAGE;
	}
	return CLI_GO;
}

/* ---- what was done ---- */

static void report_json(const struct snap_trailer *trailer, uint64_t stored, double seconds)
{
	struct json_object *object = json_object_new_object();
	char id[BC_UUID_TEXT];

	json_add_text(object, "source", from);
	json_add_text(object, "file", file);
	json_add_text(object, "id", bc_uuid_format(trailer->id, id));
	json_add_u64(object, "bytes", le64toh(trailer->bytes));
	json_add_u64(object, "stored", stored);
	json_add_u64(object, "lsn", le64toh(trailer->lsn));
	json_add_u64(object, "regions", le32toh(trailer->regions));
	json_add_u64(object, "never_written", le32toh(trailer->never));
	json_add_u64(object, "in_doubt", le32toh(trailer->doubt));
	json_add_bool(object, "fuzzy", le32toh(trailer->flags) & SNAP_TRAILER_FUZZY);
	json_object_object_add(object, "seconds", json_object_new_double(seconds));
	json_print(object);
}

static void report_text(const struct snap_trailer *trailer, uint64_t stored, double seconds)
{
	char size[BC_SIZE_TEXT];

	report_rate(from, le64toh(trailer->bytes), seconds);
	fprintf(stderr, ", stored in %s", bc_size_format(stored, size));
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

static void report(const struct writer *writer, const struct progress *progress)
{
	double seconds = progress_seconds(progress);

	if (json)
		report_json(&writer->trailer, writer->output->offset, seconds);
	else if (!quiet)
		report_text(&writer->trailer, writer->output->offset, seconds);
}

/* ---- doing it ---- */

static int snapshot_begin(struct writer *writer, const struct source *source,
			  struct bc_error *error)
{
	struct snap_super super;

	source_describe(source, &super);
	return writer_super(writer, &super, source->begin.history, error);
}

static int snapshot_end(struct writer *writer, struct source *source, struct bc_error *error)
{
	struct source_end end;
	int err = source_finish(source, &end, error);

	if (!err && source->volume)
		err = writer_stamps(writer, source->stamps.stamp, source->stamps.regions, error);
	if (err)
		return err;
	writer->trailer.lsn = htole64(end.lsn);
	writer->trailer.flags = htole32(end.fuzzy ? SNAP_TRAILER_FUZZY : 0);
	return writer_trailer(writer, error);
}

static int snapshot_write(struct source *source, struct writer *writer,
			  struct progress *progress, struct bc_error *error)
{
	const struct create_plan plan = {
		.fd = source->blockdev.fd, .bytes = source->blockdev.bytes,
		.level = level, .threads = threads,
		.stamps = &source->stamps, .writer = writer, .progress = progress,
	};
	int err = snapshot_begin(writer, source, error);

	if (!err)
		err = create_chunks(&plan, error);
	if (!err)
		err = snapshot_end(writer, source, error);
	return err ? err : output_commit(writer->output, error);
}

int cmd_snapshot(int argc, char **argv)
{
	struct output output = { .fd = -1 };
	struct writer writer = { 0 };
	struct source source = { .blockdev.fd = -1 };
	struct progress progress;
	struct bc_error error;
	int exit_code = take_options(argc, argv), err;

	if (exit_code != CLI_GO)
		return exit_code;
	err = source_open(&source, from, &error);
	if (err)
		goto cleanup;
	err = output_open(&output, file, force, &error);
	if (err)
		goto cleanup;
	err = writer_open(&writer, &output, &error);
	if (err)
		goto cleanup;
	progress_start(&progress, "snapshot", source.blockdev.bytes, quiet);
	err = snapshot_write(&source, &writer, &progress, &error);
	progress_end(&progress);
	if (!err)
		report(&writer, &progress);
cleanup:
	writer_close(&writer);
	output_close(&output);
	source_close(&source);
	return err ? cli_failed(&error) : CLI_DONE;
}
