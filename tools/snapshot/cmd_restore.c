// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast restore FILE|- TARGET
 *
 * Everything that can be refused is refused before the first byte of the target
 * changes; what fails later says what the target holds then.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../cli/cli.h"
#include "commands.h"
#include "extract.h"
#include "pool.h"

static uint32_t threads;
static bool force, verify, quiet, json;
static const char *file, *to;

static const struct cli_option options[] = {
	{ "force", CLI_FLAG, &force, NULL,
	  "overwrite what TARGET holds; take an image of no one moment" },
	{ "verify", CLI_FLAG, &verify, NULL, "read back everything that was written" },
	{ "threads", CLI_NUMBER, &threads, "N", "that decompress, default: all processors" },
	{ "quiet", CLI_FLAG, &quiet, NULL, "no progress bar, no summary" },
	{ "json", CLI_FLAG, &json, NULL, "summary as JSON on standard output" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"FILE|- VOLUME|PATH [OPTION...]",
	"Write the content of a snapshot file (or, with -, of one that arrives on standard\n"
	"input) onto a block device or into a file (a name with a '/'), or onto the copy of\n"
	"a volume that is configured here and down.",
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
	file = rest[0];
	to = rest[1];
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
	"\nblkcast: interrupted: the target holds partial content\n";
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

static void report(const struct reader *reader, const struct target *target,
		   const struct progress *progress)
{
	struct json_object *object;

	if (json) {
		object = json_object_new_object();
		json_add_text(object, "file", file);
		json_add_text(object, "target", to);
		json_add_u64(object, "bytes", reader_bytes(reader));
		json_add_u64(object, "in_doubt", le32toh(reader->trailer.doubt));
		json_add_bool(object, "fuzzy", reader_fuzzy(reader));
		json_add_bool(object, "verified", verify);
		json_object_object_add(object, "seconds",
				       json_object_new_double(progress_seconds(progress)));
		json_print(object);
		return;
	}
	if (quiet)
		return;
	report_rate(to, reader_bytes(reader), progress_seconds(progress));
	fputs(verify ? ", read back and equal\n" : "\n", stderr);
	if (target->volume && reader_fuzzy(reader))
		fprintf(stderr, "%s: the image is not of one moment: the copy is inconsistent until it has connected and caught up\n",
			to);
}

/* The sentence, and what the target holds now. */
static void explain(const struct target *target, struct bc_error *error)
{
	if (!target->started)
		return;
	bc_error_prefix(error, target->volume ?
			"the copy of volume %s is marked incomplete now and cannot be brought up until a restore succeeds" :
			"%s holds partial content now", to);
}

/* ---- doing it ---- */

static int restore(struct reader *reader, struct target *target, struct progress *progress,
		   struct bc_error *error)
{
	const struct extract_plan plan = {
		.reader = reader, .target = target, .threads = threads,
		.verify = verify, .progress = progress,
	};
	int err;

	guard_signals(target);
	err = target_begin(target, reader, error);
	if (!err)
		err = extract_chunks(&plan, error);
	if (!err)
		err = target_finish(target, reader, force, error);
	if (err)
		explain(target, error);
	return err;
}

int cmd_restore(int argc, char **argv)
{
	struct reader reader = { .input.fd = -1 };
	struct target target = { .fd = -1, .raw.fd = -1 };
	struct progress progress;
	struct bc_error error;
	int exit_code = take_options(argc, argv), err;

	if (exit_code != CLI_GO)
		return exit_code;
	err = reader_open(&reader, file, &error);
	if (err)
		goto cleanup;
	err = target_open(&target, to, &reader, force, &error);
	if (err)
		goto cleanup;
	progress_start(&progress, "restore", reader_bytes(&reader), quiet);
	err = restore(&reader, &target, &progress, &error);
	progress_end(&progress);
	if (!err)
		report(&reader, &target, &progress);
cleanup:
	target_close(&target);
	reader_close(&reader);
	return err ? cli_failed(&error) : CLI_DONE;
}
