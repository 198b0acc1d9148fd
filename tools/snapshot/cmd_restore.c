// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast restore FILE|- [DELTA...] TARGET
 *
 * Everything that can be refused is refused before the first byte of the target
 * changes; what fails later says what the target holds then.
 *
 * Of a chain each snapshot is restored onto the one before; that they build on each
 * other is found out beforehand.
 */
#include <signal.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../cli/cli.h"
#include "../lib/util.h"
#include "commands.h"
#include "extract.h"
#include "pool.h"

#define CHAIN_MAX 366

static uint32_t threads;
static bool force, verify, update, quiet, json;
static char **files;
static unsigned int count;
static const char *to;

static const struct cli_option options[] = {
	{ "force", CLI_FLAG, &force, NULL,
	  "overwrite what TARGET holds; take an image of no one moment" },
	{ "update", CLI_FLAG, &update, NULL, "write only what differs from what TARGET holds" },
	{ "verify", CLI_FLAG, &verify, NULL, "read back everything that was written" },
	{ "threads", CLI_NUMBER, &threads, "N", "that decompress, default: all processors" },
	{ "quiet", CLI_FLAG, &quiet, NULL, "no progress bar, no summary" },
	{ "json", CLI_FLAG, &json, NULL, "summary as JSON on standard output" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"FILE|- [DELTA...] VOLUME|PATH [OPTION...]",
	"Write the content of a snapshot file (or, with -, of one that arrives on standard\n"
	"input) onto a block device or into a file (a name with a '/'), or onto the copy of\n"
	"a volume that is configured here and down. Of a chain name the full snapshot first,\n"
	"then the deltas in their order. A restore that was interrupted leaves its target\n"
	"marked incomplete; the same again goes on where it was.",
	options, 2, CHAIN_MAX + 1
};

static int take_options(int argc, char **argv)
{
	char **rest;
	int exit_code;

	threads = pool_cpus() < THREADS_MAX ? pool_cpus() : THREADS_MAX;
	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	files = rest;
	while (rest[count + 1])
		count++;
	to = rest[count];
	if (!threads || threads > THREADS_MAX) {
		cli_failf("--threads is 1..%d", THREADS_MAX);
		return CLI_USAGE;
	}
	return CLI_GO;
}

/* ---- interrupted ---- */

static const char interrupted_volume[] =
	"\nblkcast: interrupted: the volume's copy is marked incomplete and cannot be brought up; restore again\n";
static const char interrupted_raw[] =
	"\nblkcast: interrupted: the target holds partial content and is marked incomplete; restore again\n";
static const char *volatile interrupted_text;

static void say_and_die(int signal_number)
{
	/* Nothing can be done about a message that does not get out. */
	if (write(STDERR_FILENO, interrupted_text, strlen(interrupted_text)) < 0)
		interrupted_text = NULL;
	raise(signal_number);
}

static void guard_signals(const struct target *target)
{
	const struct sigaction action = {
		.sa_handler = say_and_die, .sa_flags = SA_RESETHAND,
	};

	interrupted_text = target->volume ? interrupted_volume : interrupted_raw;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* ---- what was done ---- */

static void report_json(const struct reader *last, const struct extract_done *done,
			double seconds)
{
	struct json_object *object = json_object_new_object();

	json_add_text(object, "file", files[count - 1]);
	json_add_text(object, "target", to);
	json_add_u64(object, "bytes", reader_bytes(last));
	json_add_u64(object, "written", done->written);
	json_add_u64(object, "zeroed", done->zeroed);
	json_add_u64(object, "kept", done->kept);
	json_add_u64(object, "in_doubt", le32toh(last->trailer.doubt));
	json_add_bool(object, "fuzzy", reader_fuzzy(last));
	json_add_bool(object, "verified", verify);
	json_object_object_add(object, "seconds", json_object_new_double(seconds));
	json_print(object);
}

static void report_text(const struct reader *last, const struct target *target,
			const struct extract_done *done, uint64_t bytes, double seconds)
{
	char written[BC_SIZE_TEXT];

	report_rate(to, bytes, seconds);
	fprintf(stderr, ", %s written%s\n", bc_size_format(done->written, written),
		verify ? ", read back and equal" : "");
	if (target->volume && reader_fuzzy(last))
		fprintf(stderr, "%s: the image is not of one moment: the copy is inconsistent until it has connected and caught up\n",
			to);
}

/* The sentence, and what the target holds now. */
static void explain(const struct target *target, struct bc_error *error)
{
	if (!target->started || (target->head.length && !target->head.marked))
		return;
	bc_error_prefix(error, target->volume ?
			"the copy of volume %s is marked incomplete now and cannot be brought up until a restore succeeds" :
			"%s holds partial content now and is marked incomplete", to);
}

/* ---- a chain ---- */

/* @next builds on snapshot @number: the same state, region by region. */
static int check_link(unsigned int number, const struct reader *last,
		      const struct reader *next, struct bc_error *error)
{
	struct have have = { 0 };
	int err;

	if (!last->trailer_known)
		return bc_fail(error, -ESPIPE,
			       "%s: a chain is checked before it is restored, which needs regular files",
			       last->input.name);
	if (!reader_delta(next) || memcmp(next->super->parent, last->super->id, 16) ||
	    next->super->parent_root != last->trailer.root)
		return bc_fail(error, -EINVAL, "%s does not build on %s", next->input.name,
			       last->input.name);
	err = have_read(&have, files[number], error);
	if (!err)
		err = have_fits(&have, next, error);
	have_release(&have);
	return err;
}

static int open_files(struct reader *reader, struct bc_error *error)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < count; i++) {
		err = reader_open(&reader[i], files[i], error);
		if (!err && i)
			err = check_link(i - 1, &reader[i - 1], &reader[i], error);
	}
	return err;
}

/* ---- doing it ---- */

static int restore_one(struct reader *reader, struct target *target,
		       struct extract_done *done, struct progress *progress,
		       struct bc_error *error)
{
	const struct extract_plan plan = {
		.reader = reader, .target = target, .threads = threads, .done = done,
		.journal = target_journal,
		.verify = verify, .update = update || target->resumed, .progress = progress,
	};

	progress_start(progress, "restore", reader_covers(reader), quiet);
	return extract_chunks(&plan, error);
}

static int restore(struct reader *reader, struct target *target, struct bc_error *error)
{
	struct extract_done done = { 0 };
	struct progress progress;
	uint64_t begun = bc_now_ns(), bytes = 0;
	double seconds;
	unsigned int i;
	int err;

	guard_signals(target);
	err = target_begin(target, &reader[0], error);
	for (i = 0; !err && i < count; i++) {
		if (i)
			err = target_go_on(target, &reader[i], error);
		if (!err)
			err = restore_one(&reader[i], target, &done, &progress, error);
		progress_end(&progress);
		bytes += reader_covers(&reader[i]);
	}
	if (!err)
		err = target_finish(target, &reader[count - 1], force, error);
	*(target->head_written ? &done.written : &done.kept) += target->head.length;
	if (err) {
		explain(target, error);
		return err;
	}
	seconds = (bc_now_ns() - begun) / 1e9;
	if (json)
		report_json(&reader[count - 1], &done, seconds);
	else if (!quiet)
		report_text(&reader[count - 1], target, &done, bytes, seconds);
	return 0;
}

static int with_readers(struct reader *reader, struct bc_error *error)
{
	struct target target = { .fd = -1, .raw.fd = -1 };
	int err = open_files(reader, error);

	if (!err)
		err = target_open(&target, to, reader,
				  (force ? TARGET_FORCE : 0) | (update ? TARGET_UPDATE : 0) |
				  (verify ? TARGET_VERIFY : 0), error);
	if (!err)
		err = restore(reader, &target, error);
	target_close(&target);
	return err;
}

int cmd_restore(int argc, char **argv)
{
	struct bc_error error;
	struct reader *reader;
	int exit_code = take_options(argc, argv), err;
	unsigned int i;

	if (exit_code != CLI_GO)
		return exit_code;
	reader = calloc(count, sizeof(*reader));
	for (i = 0; reader && i < count; i++)
		reader[i].input.fd = -1;
	err = reader ? with_readers(reader, &error) : bc_fail(&error, -ENOMEM, "out of memory");
	for (i = 0; reader && i < count; i++)
		reader_close(&reader[i]);
	free(reader);
	return err ? cli_failed(&error) : CLI_DONE;
}
