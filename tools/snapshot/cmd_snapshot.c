// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast snapshot VOLUME FILE|-
 *
 * Reads a volume that is up, or a plain device or file, into a snapshot file.
 * Nothing appears under the file's name before it is whole.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <json-c/json.h>
#include <zstd.h>

#include "../lib/util.h"
#include "commands.h"
#include "create.h"
#include "pool.h"
#include "source.h"

static const char usage_text[] =
	"usage: blkcast snapshot [options] VOLUME|PATH FILE|-\n"
	"\n"
	"Write the content of a volume that is up, or of a plain device or file\n"
	"(a name with a '/'), to a snapshot file or, with -, to standard output.\n"
	"\n"
	"  -l, --level N     zstd level (default 3)\n"
	"  -t, --threads N   threads that compress (default: all processors)\n"
	"  -f, --force       replace FILE if it exists\n"
	"  -q, --quiet       no progress bar, no summary\n"
	"      --json        summary as JSON on standard output (not with -)\n"
	"  -h, --help        this text\n";

struct snapshot_options {
	const char *source, *file;
	int level;
	unsigned int threads;
	bool force, quiet, json;
};

enum { OPT_JSON = 256 };

static const struct option long_options[] = {
	{ "level", required_argument, NULL, 'l' },
	{ "threads", required_argument, NULL, 't' },
	{ "force", no_argument, NULL, 'f' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int wrong_usage(const char *why)
{
	fprintf(stderr, "blkcast snapshot: %s\n%s", why, usage_text);
	return EXIT_USAGE;
}

static int check_options(const struct snapshot_options *options)
{
	if (options->level < 1 || options->level > ZSTD_maxCLevel())
		return wrong_usage("--level is 1 to 22");
	if (!options->threads)
		return wrong_usage("--threads is 1 to 256");
	if (options->json && !strcmp(options->file, "-"))
		return wrong_usage("--json and - both want standard output");
	return 0;
}

/* 0: go on; else -1 (help was printed) or an exit code. */
static int parse_options(struct snapshot_options *options, int argc, char **argv)
{
	int c;

	*options = (struct snapshot_options) { .level = 3, .threads = pool_cpus() };
	optind = 0;
	while ((c = getopt_long(argc, argv, "l:t:fqh", long_options, NULL)) != -1) {
		switch (c) {
		case 'l':
			options->level = parse_count(optarg, 22);
			break;
		case 't':
			options->threads = parse_count(optarg, THREADS_MAX);
			break;
		case 'f':
			options->force = true;
			break;
		case 'q':
			options->quiet = true;
			break;
		case OPT_JSON:
			options->json = true;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return -1;
		default:
			return EXIT_USAGE;
		}
	}
	if (argc - optind != 2)
		return wrong_usage("a volume and a file are needed");
	options->source = argv[optind];
	options->file = argv[optind + 1];
	return check_options(options);
}

/* ---- what was done ---- */

static void report_json(const struct snapshot_options *options, const struct snap_trailer *trailer,
			uint64_t stored, double seconds)
{
	struct json_object *object = json_object_new_object();
	char id[BC_UUID_TEXT];

	json_object_object_add(object, "source", json_object_new_string(options->source));
	json_object_object_add(object, "file", json_object_new_string(options->file));
	json_object_object_add(object, "id", json_object_new_string(bc_uuid_format(trailer->id, id)));
	json_add_u64(object, "bytes", le64toh(trailer->bytes));
	json_add_u64(object, "stored", stored);
	json_add_u64(object, "lsn", le64toh(trailer->lsn));
	json_add_u64(object, "regions", le32toh(trailer->regions));
	json_add_u64(object, "never_written", le32toh(trailer->never));
	json_add_u64(object, "in_doubt", le32toh(trailer->doubt));
	json_object_object_add(object, "fuzzy", json_object_new_boolean(
		le32toh(trailer->flags) & SNAP_TRAILER_FUZZY));
	json_object_object_add(object, "seconds", json_object_new_double(seconds));
	json_print(object);
}

static void report_text(const struct snapshot_options *options, const struct snap_trailer *trailer,
			uint64_t stored, double seconds)
{
	char bytes[BC_SIZE_TEXT], size[BC_SIZE_TEXT], rate[BC_SIZE_TEXT];
	uint64_t total = le64toh(trailer->bytes);

	fprintf(stderr, "%s: %s in %s, %.1f s, %s/s", options->source,
		bc_size_format(total, bytes), bc_size_format(stored, size), seconds,
		bc_size_format(total / (seconds + 1e-9), rate));
	if (trailer->regions)
		fprintf(stderr, "; of %u regions %u never written, %u in doubt",
			le32toh(trailer->regions), le32toh(trailer->never),
			le32toh(trailer->doubt));
	fputs("\n", stderr);
	if (le32toh(trailer->flags) & SNAP_TRAILER_FUZZY)
		fprintf(stderr, "%s: it was written to meanwhile: the image is not of one moment; a volume restored from it is completed when it connects\n",
			options->source);
}

static void report(const struct snapshot_options *options, const struct writer *writer,
		   const struct progress *progress)
{
	double seconds = progress_seconds(progress);
	uint64_t stored = writer->output->offset;

	if (options->json)
		report_json(options, &writer->trailer, stored, seconds);
	else if (!options->quiet)
		report_text(options, &writer->trailer, stored, seconds);
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

static int snapshot_write(const struct snapshot_options *options, struct source *source,
			  struct writer *writer, struct progress *progress,
			  struct bc_error *error)
{
	const struct create_plan plan = {
		.fd = source->blockdev.fd, .bytes = source->blockdev.bytes,
		.level = options->level, .threads = options->threads,
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
	struct snapshot_options options;
	struct output output = { .fd = -1 };
	struct writer writer = { 0 };
	struct source source = { .blockdev.fd = -1 };
	struct progress progress = { 0 };
	struct bc_error error;
	int err = parse_options(&options, argc, argv);

	if (err)
		return err < 0 ? 0 : err;
	err = source_open(&source, options.source, &error);
	if (err)
		goto cleanup;
	err = output_open(&output, options.file, options.force, &error);
	if (err)
		goto cleanup;
	err = writer_open(&writer, &output, &error);
	if (err)
		goto cleanup;
	progress_start(&progress, "snapshot", source.blockdev.bytes, options.quiet);
	err = snapshot_write(&options, &source, &writer, &progress, &error);
	progress_end(&progress);
	if (!err)
		report(&options, &writer, &progress);
cleanup:
	if (err)
		fprintf(stderr, "blkcast snapshot: %s: %s\n", options.source, error.text);
	writer_close(&writer);
	output_close(&output);
	source_close(&source);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
