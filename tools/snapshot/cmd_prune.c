// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast prune FOLDER --keep-...: delete snapshots that no rule keeps (prune.h).
 *
 * Files are told by what they say of themselves, never by their names; only their
 * begin and end are read.  Nothing is deleted before all is decided, nor if anything
 * could not be read for another reason than that it is no whole snapshot.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../cli/cli.h"
#include "../lib/util.h"
#include "commands.h"
#include "folder.h"
#include "prune.h"
#include "reader.h"

static uint32_t keep[PRUNE_RULES];
static bool dry_run, json;
static const char *folder, *volume;

static const struct cli_option options[] = {
	{ "keep-last", CLI_NUMBER, &keep[PRUNE_LAST], "N", "keep the N newest" },
	{ "keep-hourly", CLI_NUMBER, &keep[PRUNE_HOURLY], "N",
	  "keep the newest of each of the N newest hours that have one" },
	{ "keep-daily", CLI_NUMBER, &keep[PRUNE_DAILY], "N", "the same of days" },
	{ "keep-weekly", CLI_NUMBER, &keep[PRUNE_WEEKLY], "N", "of weeks, from Monday" },
	{ "keep-monthly", CLI_NUMBER, &keep[PRUNE_MONTHLY], "N", "of months" },
	{ "keep-yearly", CLI_NUMBER, &keep[PRUNE_YEARLY], "N", "of years" },
	{ "volume", CLI_TEXT, &volume, "NAME|UUID",
	  "whose snapshots are meant, if there are several volumes' in FOLDER" },
	{ "dry-run", CLI_FLAG, &dry_run, NULL, "only say what would be done" },
	{ "json", CLI_FLAG, &json, NULL, "say it as JSON" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"FOLDER --keep-RULE N... [OPTION...]",
	"Delete the snapshots of a volume (files *.snap) from a folder that no rule keeps\n"
	"and on which none builds that stays. What is not a whole snapshot of this volume\n"
	"is left alone.",
	options, 1, 1
};

static int take_options(int argc, char **argv)
{
	unsigned int rule;
	char **rest;
	int exit_code = cli_parse(&syntax, argc, argv, &rest);

	if (exit_code != CLI_GO)
		return exit_code;
	folder = rest[0];
	for (rule = 0; rule < PRUNE_RULES; rule++) {
		if (keep[rule])
			return CLI_GO;
	}
	cli_failf("say what to keep: --keep-last, --keep-hourly, ... (1 or more)");
	return CLI_USAGE;
}

/* ---- what there is ---- */

static int no_memory(struct bc_error *error)
{
	return bc_fail(error, -ENOMEM, "out of memory");
}

static int leave(struct prune_snapshot *snapshot, enum prune_state state, const char *why,
		 struct bc_error *error)
{
	snapshot->state = state;
	snapshot->why = strdup(why);
	return snapshot->why ? 0 : no_memory(error);
}

static void take_ends(struct prune_snapshot *snapshot, const struct reader *reader)
{
	const struct snap_super *super = reader->super;

	_Static_assert(sizeof(snapshot->volume_name) == sizeof(super->name), "one name");
	memcpy(snapshot->volume, super->volume, sizeof(snapshot->volume));
	memcpy(snapshot->volume_name, super->name, sizeof(snapshot->volume_name));
	memcpy(snapshot->id, super->id, sizeof(snapshot->id));
	memcpy(snapshot->parent, super->parent, sizeof(snapshot->parent));
	snapshot->created = le64toh(super->created);
	snapshot->parent_root = le64toh(super->parent_root);
	snapshot->root = le64toh(reader->trailer.root);
	snapshot->delta = reader_delta(reader);
}

/* It is no snapshot, or damaged from its begin on; or the reason is another. */
static bool is_refused(int err)
{
	return err == -EINVAL || err == -EBADMSG || err == -ENODATA;
}

static int read_ends(struct prune_snapshot *snapshot, const char *path, struct bc_error *error)
{
	struct reader reader;
	int err = reader_open_ends(&reader, path, error);

	if (is_refused(err))
		return leave(snapshot, PRUNE_FOREIGN, error->text, error);
	if (err)
		return err;
	take_ends(snapshot, &reader);
	if (reader.trailer_known)
		snapshot->state = PRUNE_WHOLE;
	else
		err = leave(snapshot, PRUNE_DAMAGED, error->text, error);
	reader_close(&reader);
	return err;
}

static int read_file(struct prune_snapshot *snapshot, int fd, const char *name,
		     struct bc_error *error)
{
	struct stat st;
	char *path;
	int err;

	snapshot->name = strdup(name);
	if (!snapshot->name)
		return no_memory(error);
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return bc_fail_errno(error, -errno, "%s/%s", folder, name);
	if (!S_ISREG(st.st_mode))
		return leave(snapshot, PRUNE_FOREIGN, "not a regular file", error);
	snapshot->inode = st.st_ino;
	snapshot->bytes = st.st_size;
	if (asprintf(&path, "%s/%s", folder, name) < 0)
		return no_memory(error);
	err = read_ends(snapshot, path, error);
	free(path);
	return err;
}

static bool is_ours(const char *name)
{
	size_t length = strlen(name), suffix = strlen(FOLDER_SUFFIX);

	return *name != '.' && length > suffix && !strcmp(name + length - suffix, FOLDER_SUFFIX);
}

static int read_names(struct prune_set *set, DIR *dir, struct bc_error *error)
{
	struct prune_snapshot *snapshot;
	struct dirent *entry;
	int err = 0;

	while (!err) {
		errno = 0;
		entry = readdir(dir);
		if (!entry)
			return errno ? bc_fail_errno(error, -errno, "cannot read %s", folder) : 0;
		if (!is_ours(entry->d_name))
			continue;
		snapshot = prune_add(set);
		err = snapshot ? read_file(snapshot, dirfd(dir), entry->d_name, error) :
				 no_memory(error);
	}
	return err;
}

/* ---- deleting ---- */

static int sync_folder(int fd, struct bc_error *error)
{
	return fsync(fd) ? bc_fail_errno(error, -errno, "cannot sync %s", folder) : 0;
}

static int delete_one(int fd, const struct prune_snapshot *snapshot, struct bc_error *error)
{
	struct stat st;

	if (fstatat(fd, snapshot->name, &st, AT_SYMLINK_NOFOLLOW))
		return bc_fail_errno(error, -errno, "%s/%s", folder, snapshot->name);
	if (st.st_ino != snapshot->inode || (uint64_t)st.st_size != snapshot->bytes)
		return bc_fail(error, -ESTALE,
			       "%s/%s has become another file meanwhile; nothing more is deleted",
			       folder, snapshot->name);
	if (unlinkat(fd, snapshot->name, 0))
		return bc_fail_errno(error, -errno, "cannot delete %s/%s", folder,
				     snapshot->name);
	return 0;
}

/* Inv. 4 of prune.h, power cuts included. */
static int delete_all(int fd, const struct prune_set *set, struct bc_error *error)
{
	struct prune_snapshot **order;
	size_t count, i;
	int err = 0;

	order = prune_order(set, &count);
	if (!order)
		return no_memory(error);
	for (i = 0; !err && i < count; i++) {
		if (i && order[i]->depth != order[i - 1]->depth)
			err = sync_folder(fd, error);
		if (!err)
			err = delete_one(fd, order[i], error);
	}
	if (!err && count)
		err = sync_folder(fd, error);
	free(order);
	return err;
}

/* ---- what is done ---- */

static const char *const verdict_name[] = {
	[PRUNE_KEEP] = "keep", [PRUNE_DELETE] = "delete", [PRUNE_LEAVE] = "left",
};

static void print_reasons(const struct prune_snapshot *snapshot)
{
	const char *separator = "  ";
	unsigned int rule;

	for (rule = 0; rule < PRUNE_RULES; rule++) {
		if (!(snapshot->rules & 1U << rule))
			continue;
		printf("%s%s", separator, prune_rule_name[rule]);
		separator = ", ";
	}
	if (snapshot->why)
		printf("%s%s", separator, snapshot->why);
	else if (!snapshot->rules && snapshot->needed_by)
		printf("%s%s builds on it", separator, snapshot->needed_by->name);
}

static void print_text(const struct prune_set *set)
{
	unsigned int numbers[BC_ARRAY_SIZE(verdict_name)] = { 0 };
	char when[32], size[BC_SIZE_TEXT];
	uint64_t freed = 0;
	size_t i;

	for (i = 0; i < set->count; i++) {
		const struct prune_snapshot *snapshot = &set->snapshot[i];
		time_t seconds = snapshot->created / 1000000000;
		struct tm tm;

		localtime_r(&seconds, &tm);
		strftime(when, sizeof(when), "%F %T", &tm);
		printf("%-6s  %-19s  %s", verdict_name[snapshot->verdict],
		       snapshot->created ? when : "", snapshot->name);
		print_reasons(snapshot);
		putchar('\n');
		numbers[snapshot->verdict]++;
		freed += snapshot->verdict == PRUNE_DELETE ? snapshot->bytes : 0;
	}
	printf("%u kept, %u %s (%s), %u left alone\n", numbers[PRUNE_KEEP],
	       numbers[PRUNE_DELETE], dry_run ? "would be deleted" : "deleted",
	       bc_size_format(freed, size), numbers[PRUNE_LEAVE]);
}

static struct json_object *json_snapshot(const struct prune_snapshot *snapshot)
{
	struct json_object *object = json_object_new_object();
	struct json_object *rules = json_object_new_array();
	char id[BC_UUID_TEXT];
	unsigned int rule;

	for (rule = 0; rule < PRUNE_RULES; rule++) {
		if (snapshot->rules & 1U << rule)
			json_object_array_add(rules,
					      json_object_new_string(prune_rule_name[rule]));
	}
	json_add_text(object, "file", snapshot->name);
	json_add_text(object, "verdict", verdict_name[snapshot->verdict]);
	if (snapshot->state != PRUNE_FOREIGN) {
		json_add_text(object, "id", bc_uuid_format(snapshot->id, id));
		json_add_u64(object, "created_ns", snapshot->created);
	}
	json_add_u64(object, "stored", snapshot->bytes);
	json_object_object_add(object, "rules", rules);
	if (snapshot->base)
		json_add_text(object, "builds_on", snapshot->base->name);
	if (snapshot->needed_by)
		json_add_text(object, "needed_by", snapshot->needed_by->name);
	if (snapshot->why)
		json_add_text(object, "why", snapshot->why);
	return object;
}

static void print_json(const struct prune_set *set, const uint8_t uuid[16])
{
	struct json_object *object = json_object_new_object();
	struct json_object *list = json_object_new_array();
	char text[BC_UUID_TEXT];
	size_t i;

	for (i = 0; i < set->count; i++)
		json_object_array_add(list, json_snapshot(&set->snapshot[i]));
	json_add_text(object, "folder", folder);
	json_add_text(object, "volume", bc_uuid_format(uuid, text));
	json_add_bool(object, "dry_run", dry_run);
	json_object_object_add(object, "snapshots", list);
	json_print(object);
}

/* ---- all of it ---- */

static int prune(struct prune_set *set, DIR *dir, struct bc_error *error)
{
	uint8_t uuid[16] = { 0 };
	int err = read_names(set, dir, error);

	if (!err)
		err = prune_volume(set, volume, uuid, error);
	if (!err)
		err = prune_decide(set, keep, error);
	if (!err && !dry_run)
		err = delete_all(dirfd(dir), set, error);
	if (!err && json)
		print_json(set, uuid);
	else if (!err)
		print_text(set);
	return err;
}

static int prune_folder(struct bc_error *error)
{
	struct prune_set set = { 0 };
	DIR *dir = opendir(folder);
	int err = 0, lock = -1;

	if (!dir)
		return bc_fail_errno(error, -errno, "cannot open %s", folder);
	if (!dry_run)
		err = folder_lock(folder, false, &lock, error);
	if (!err)
		err = prune(&set, dir, error);
	if (lock >= 0)
		close(lock);
	closedir(dir);
	prune_release(&set);
	return err;
}

int cmd_prune(int argc, char **argv)
{
	struct bc_error error;
	int exit_code = take_options(argc, argv);

	if (exit_code != CLI_GO)
		return exit_code;
	return prune_folder(&error) ? cli_failed(&error) : CLI_DONE;
}
