// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast info FILE, blkcast check FILE
 *
 * What a snapshot file says about itself: info from its first and its last
 * frames, check after all of it has been read and held against that.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../cli/cli.h"
#include "../lib/util.h"
#include "blkcast_lsn.h"
#include "commands.h"
#include "extract.h"
#include "pool.h"

static bool json, check, quiet;

static const struct cli_option info_options[] = {
	{ "json", CLI_FLAG, &json, NULL, "as JSON" },
	{ "quiet", CLI_FLAG, &quiet, NULL, "no progress bar" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_option check_options[] = {
	{ "json", CLI_FLAG, &json, NULL, "what it holds as JSON" },
	{ "quiet", CLI_FLAG, &quiet, NULL, "no progress bar; no word if all is well" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax info_syntax = {
	"FILE|- [OPTION...]",
	"Show what a snapshot file holds. With - it is read from standard input, and all\n"
	"of it checked.",
	info_options, 1, 1
};

static const struct cli_syntax check_syntax = {
	"FILE|- [OPTION...]",
	"Read all of a snapshot file and check every checksum, the root hash and that\n"
	"nothing is missing.",
	check_options, 1, 1
};

static int check_all(struct reader *reader, struct bc_error *error)
{
	struct progress progress;
	const struct extract_plan plan = {
		.reader = reader, .threads = pool_cpus() < THREADS_MAX ? pool_cpus() : THREADS_MAX,
		.progress = &progress,
	};
	int err;

	progress_start(&progress, "check", reader_bytes(reader), quiet);
	err = extract_chunks(&plan, error);
	progress_end(&progress);
	return err;
}

/* ---- as text ---- */

static void print_time(const char *label, uint64_t ns)
{
	time_t seconds = ns / 1000000000;
	char text[64];
	struct tm tm;

	if (gmtime_r(&seconds, &tm) && strftime(text, sizeof(text), "%F %T UTC", &tm))
		printf("%-12s %s\n", label, text);
}

static void print_uuid(const char *label, const uint8_t uuid[16])
{
	char text[BC_UUID_TEXT];

	printf("%-12s %s\n", label, bc_uuid_format(uuid, text));
}

static void print_lsn(const char *label, uint64_t lsn)
{
	printf("%-12s %u.%llu\n", label, blkcast_lsn_term(lsn),
	       (unsigned long long)blkcast_lsn_seq(lsn));
}

static void print_volume(const struct reader *reader)
{
	const struct snap_super *super = reader->super;
	const struct snap_trailer *trailer = &reader->trailer;
	uint32_t i;

	print_uuid("volume", super->volume);
	print_uuid("read from", super->node);
	print_lsn("LSN", le64toh(super->lsn));
	if (trailer->lsn != super->lsn)
		print_lsn("  at the end", le64toh(trailer->lsn));
	printf("%-12s %u of %u KiB: %u never written, %u in doubt\n", "regions",
	       le32toh(trailer->regions), 1U << (le32toh(super->region_shift) - 10),
	       le32toh(trailer->never), le32toh(trailer->doubt));
	for (i = 0; i < le32toh(super->reigns); i++) {
		const struct blkcast_reign *reign = &super->history[i];
		uint64_t inherited = le64toh(reign->inherited);

		printf("%-12s term %u, id %016llx, from %u.%llu\n", i ? "" : "history",
		       le32toh(reign->term), (unsigned long long)le64toh(reign->reign),
		       blkcast_lsn_term(inherited),
		       (unsigned long long)blkcast_lsn_seq(inherited));
	}
}

static void print_text(const struct reader *reader, const char *file, uint64_t stored)
{
	const struct snap_super *super = reader->super;
	char bytes[BC_SIZE_TEXT], size[BC_SIZE_TEXT];

	printf("%-12s %s\n", "file", file);
	print_uuid("snapshot", super->id);
	printf("%-12s %s\n", "of", (const char *)super->name);
	print_time("begun", le64toh(super->created));
	print_time("finished", le64toh(reader->trailer.finished));
	printf("%-12s %llu bytes (%s), stored in %s\n", "image",
	       (unsigned long long)reader_bytes(reader),
	       bc_size_format(reader_bytes(reader), bytes), bc_size_format(stored, size));
	printf("%-12s %llu of %u KiB, root hash %016llx\n", "chunks",
	       (unsigned long long)le64toh(reader->trailer.chunks),
	       le32toh(super->chunk_size) >> 10,
	       (unsigned long long)le64toh(reader->trailer.root));
	printf("%-12s %s\n", "moment", reader_fuzzy(reader) ?
	       "none: it was written to while it was read" : "one");
	if (reader_has_stamps(reader))
		print_volume(reader);
	printf("%-12s %s\n", "checked", check ? "everything, no fault found" : "ends only ('blkcast check')");
}

/* ---- as JSON ---- */

static void json_add_uuid(struct json_object *object, const char *key, const uint8_t uuid[16])
{
	char text[BC_UUID_TEXT];

	json_add_text(object, key, bc_uuid_format(uuid, text));
}

static struct json_object *json_history(const struct snap_super *super)
{
	struct json_object *list = json_object_new_array();
	uint32_t i;

	for (i = 0; i < le32toh(super->reigns); i++) {
		const struct blkcast_reign *reign = &super->history[i];
		struct json_object *entry = json_object_new_object();
		char id[17];

		snprintf(id, sizeof(id), "%016llx", (unsigned long long)le64toh(reign->reign));
		json_add_u64(entry, "term", le32toh(reign->term));
		json_add_text(entry, "reign", id);
		json_add_u64(entry, "inherited", le64toh(reign->inherited));
		json_object_array_add(list, entry);
	}
	return list;
}

static void json_add_volume(struct json_object *object, const struct reader *reader)
{
	const struct snap_super *super = reader->super;
	const struct snap_trailer *trailer = &reader->trailer;

	json_add_uuid(object, "volume", super->volume);
	json_add_uuid(object, "node", super->node);
	json_add_u64(object, "term", le32toh(super->term));
	json_add_u64(object, "lsn_begin", le64toh(super->lsn));
	json_add_u64(object, "lsn_end", le64toh(trailer->lsn));
	json_add_u64(object, "region_size", 1ULL << le32toh(super->region_shift));
	json_add_u64(object, "regions", le32toh(trailer->regions));
	json_add_u64(object, "never_written", le32toh(trailer->never));
	json_add_u64(object, "in_doubt", le32toh(trailer->doubt));
	json_object_object_add(object, "history", json_history(super));
}

static void print_json(const struct reader *reader, const char *file, uint64_t stored)
{
	struct json_object *object = json_object_new_object();
	const struct snap_super *super = reader->super;
	char root[17];

	snprintf(root, sizeof(root), "%016llx", (unsigned long long)le64toh(reader->trailer.root));
	json_add_text(object, "file", file);
	json_add_uuid(object, "id", super->id);
	json_add_text(object, "name", (const char *)super->name);
	json_add_u64(object, "created_ns", le64toh(super->created));
	json_add_u64(object, "finished_ns", le64toh(reader->trailer.finished));
	json_add_u64(object, "bytes", reader_bytes(reader));
	json_add_u64(object, "stored", stored);
	json_add_u64(object, "chunk_size", le32toh(super->chunk_size));
	json_add_u64(object, "chunks", le64toh(reader->trailer.chunks));
	json_add_text(object, "root", root);
	json_add_bool(object, "fuzzy", reader_fuzzy(reader));
	json_add_bool(object, "checked", check);
	if (reader_has_stamps(reader))
		json_add_volume(object, reader);
	json_print(object);
}

static int show(const char *file)
{
	struct reader reader = { .input.fd = -1 };
	bool silent = check && quiet;
	struct bc_error error;
	uint64_t stored;
	int err = reader_open(&reader, file, &error);

	if (err)
		return cli_failed(&error);
	check = check || !reader.trailer_known;
	if (check)
		err = check_all(&reader, &error);
	stored = reader.input.regular ? reader.input.size : reader.input.offset;
	if (!err && json)
		print_json(&reader, file, stored);
	else if (!err && !silent)
		print_text(&reader, file, stored);
	reader_close(&reader);
	return err ? cli_failed(&error) : CLI_DONE;
}

int cmd_info(int argc, char **argv)
{
	char **rest;
	int exit_code = cli_parse(&info_syntax, argc, argv, &rest);

	return exit_code == CLI_GO ? show(rest[0]) : exit_code;
}

int cmd_check(int argc, char **argv)
{
	char **rest;
	int exit_code = cli_parse(&check_syntax, argc, argv, &rest);

	check = true;
	return exit_code == CLI_GO ? show(rest[0]) : exit_code;
}
