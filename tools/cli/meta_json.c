// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Metadata for programs.  Each of the two superblocks is given with all it says.
 * Reign ids are strings (many readers take numbers as doubles), and LSNs are
 * numbers with a string "TERM.SEQ" beside them, as in 'status --json'.
 */
#include <endian.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>

#include "../snapshot/commands.h"
#include "meta_view.h"
#include "util.h"

/* --- a stream: an object whose last member is a list that needs no memory --- */

static bool first_item;

static const char *plain(struct json_object *object)
{
	return json_object_to_json_string_ext(object, JSON_C_TO_STRING_SPACED |
						      JSON_C_TO_STRING_NOSLASHESCAPE);
}

/* Print the members of @object, and free it. */
static void put_members(struct json_object *object, const char *before)
{
	json_object_object_foreach(object, key, value) {
		printf("%s\n  \"%s\": %s", before, key, plain(value));
		before = ",";
	}
	json_object_put(object);
}

static void list_begin(const char *key, const char *before)
{
	printf("%s\n  \"%s\": [", before, key);
	first_item = true;
}

static void list_item(struct json_object *item)
{
	printf("%s\n    %s", first_item ? "" : ",", plain(item));
	first_item = false;
	json_object_put(item);
}

static void list_end(void)
{
	printf("\n  ]");
}

/* --- members ---------------------------------------------------------- */

static void add_uuid(struct json_object *to, const char *key, const uint8_t uuid[16])
{
	char text[BC_UUID_TEXT];

	json_add_text(to, key, bc_uuid_format(uuid, text));
}

static void add_lsn(struct json_object *to, const char *key, uint64_t lsn)
{
	char text[48], name[48];

	json_add_u64(to, key, lsn);
	snprintf(name, sizeof(name), "%s_text", key);
	snprintf(text, sizeof(text), "%u.%" PRIu64, blkcast_lsn_term(lsn),
		 (uint64_t)blkcast_lsn_seq(lsn));
	json_add_text(to, name, text);
}

static struct json_object *history(const struct bc_super *super)
{
	struct json_object *list = json_object_new_array();

	/* The one that does not count has not been checked. */
	for (uint32_t i = 0; i < super->reigns && i < BLKCAST_HISTORY_MAX; i++) {
		const struct blkcast_reign *reign = &super->history[i];
		struct json_object *entry = json_object_new_object();
		char id[24], copy[9];

		snprintf(id, sizeof(id), "%016" PRIx64, (uint64_t)le64toh(reign->reign));
		json_add_u64(entry, "term", le32toh(reign->term));
		snprintf(copy, sizeof(copy), "%02x%02x%02x%02x", reign->copy[0],
			 reign->copy[1], reign->copy[2], reign->copy[3]);
		json_add_text(entry, "copy", copy);
		json_add_text(entry, "reign", id);
		add_lsn(entry, "inherited", le64toh(reign->inherited));
		json_object_array_add(list, entry);
	}
	return list;
}

static struct json_object *members(const struct bc_super *super)
{
	struct json_object *list = json_object_new_array();
	char text[BC_UUID_TEXT];

	for (uint32_t i = 0; i < super->members && i < BLKCAST_MEMBERS_MAX; i++)
		json_object_array_add(list, json_object_new_string(
				      bc_uuid_format(super->member[i], text)));
	return list;
}

static void add_flags(struct json_object *to, uint32_t flags)
{
	json_add_u64(to, "flags", flags);
	json_add_text(to, "role", flags & BLKCAST_SUPER_PRIMARY ? "primary" : "replica");
	json_add_bool(to, "inconsistent", !!(flags & BLKCAST_SUPER_INCONSISTENT));
	json_add_bool(to, "incomplete", !!(flags & BLKCAST_SUPER_INCOMPLETE));
	json_add_bool(to, "own_reign", !!(flags & BLKCAST_SUPER_OWN));
	json_add_bool(to, "discard", !!(flags & BLKCAST_SUPER_DISCARD));
	json_add_bool(to, "managed", !!(flags & BLKCAST_SUPER_MANAGED));
	json_add_bool(to, "internal", !!(flags & BLKCAST_SUPER_INTERNAL));
}

static void add_super(struct json_object *to, const struct bc_super *super)
{
	json_add_u64(to, "generation", super->generation);
	json_add_text(to, "name", super->name);
	add_uuid(to, "uuid", super->volume);
	add_uuid(to, "node", super->node);
	json_add_u64(to, "bytes", super->sectors * 512);
	json_add_u64(to, "data_start", super->data_start * 512);
	json_add_u64(to, "map_offset", super->map_offset);
	json_add_u64(to, "map_blocks", super->map_blocks);
	json_add_u64(to, "regions", super->regions);
	json_add_u64(to, "region_bytes", super->region_shift < 64 ?
		     1ULL << super->region_shift : 0);
	add_flags(to, super->flags);
	json_add_u64(to, "term", super->term);
	json_object_object_add(to, "history", history(super));
	add_lsn(to, "position", super->position);
	json_object_object_add(to, "members", members(super));
	if (!bc_uuid_is_null(super->heir))
		add_uuid(to, "heir", super->heir);
}

static struct json_object *superblock(const struct meta_view *view, int i)
{
	const struct bc_super_copy *copy = &view->copies[i];
	struct json_object *to = json_object_new_object();

	json_add_u64(to, "offset", copy->offset);
	json_add_text(to, "state", meta_copy_word(view, i));
	json_add_bool(to, "counts", i == view->chosen);
	if (copy->state != BC_BLOCK_GOOD)
		return to;
	json_add_u64(to, "version", copy->version);
	/* Of a version or a value that is not known, nothing is. */
	if (view->chosen >= 0)
		add_super(to, &copy->super);
	return to;
}

static struct json_object *map_counts(const struct bc_map_summary *map)
{
	struct json_object *to = json_object_new_object();

	json_add_u64(to, "groups", map->blocks);
	json_add_u64(to, "active_groups", map->active);
	json_add_u64(to, "damaged_slots", map->bad_slots);
	json_add_u64(to, "lost_groups", map->lost);
	json_add_u64(to, "touched_regions", map->touched);
	json_add_u64(to, "written_regions", map->regions[BC_REGION_WRITTEN]);
	json_add_u64(to, "never_regions", map->regions[BC_REGION_NEVER]);
	json_add_u64(to, "doubt_regions", map->regions[BC_REGION_DOUBT]);
	json_add_u64(to, "bad_regions", map->regions[BC_REGION_BAD]);
	add_lsn(to, "newest", map->newest);
	return to;
}

static struct json_object *devices(const struct meta_view *view)
{
	struct json_object *to = json_object_new_object();

	json_add_text(to, "backing", view->backing);
	json_add_text(to, "meta", view->meta.path);
	return to;
}

/* --- dump ------------------------------------------------------------- */

static void json_dump(const struct meta_view *view, bool runs)
{
	struct json_object *top = devices(view), *copies = json_object_new_array();

	json_object_array_add(copies, superblock(view, 0));
	json_object_array_add(copies, superblock(view, 1));
	json_object_object_add(top, "superblocks", copies);
	if (view->chosen >= 0)
		json_object_object_add(top, "map", map_counts(&view->map));
	else
		json_add_text(top, "error", view->why.text);
	printf("{");
	put_members(top, "");
	if (runs)
		list_begin("runs", ",");
}

static void json_run(const struct meta_view *view, const struct bc_map_run *run)
{
	uint32_t shift = view->meta.super.region_shift;
	struct json_object *item = json_object_new_object();

	json_add_u64(item, "first", run->first);
	json_add_u64(item, "last", run->first + run->count - 1);
	json_add_u64(item, "offset", (uint64_t)run->first << shift);
	json_add_text(item, "state", meta_region_word(run->state));
	if (run->stamp != BLKCAST_LSN_DOUBT)
		add_lsn(item, "stamp", run->stamp);
	list_item(item);
}

static void json_dump_end(const struct meta_view *view, bool runs)
{
	(void)view;
	if (runs)
		list_end();
	printf("\n}\n");
}

/* --- check ------------------------------------------------------------ */

static void json_check(const struct meta_view *view)
{
	printf("{");
	put_members(devices(view), "");
	list_begin("findings", ",");
}

static void json_finding(const struct bc_finding *finding)
{
	struct json_object *item = json_object_new_object();

	json_add_text(item, "level", meta_level_word(finding->level));
	json_add_text(item, "kind", finding->kind);
	json_add_u64(item, "offset", finding->offset);
	if (finding->of_map) {
		json_add_u64(item, "first_block", finding->first_block);
		json_add_u64(item, "last_block", finding->last_block);
		json_add_u64(item, "first_region", finding->first_region);
		json_add_u64(item, "last_region", finding->last_region);
	}
	json_add_text(item, "text", finding->text);
	list_item(item);
}

static void json_check_end(const struct meta_view *view)
{
	struct json_object *end = json_object_new_object();

	list_end();
	json_add_u64(end, "fatal", view->findings[BC_FINDING_FATAL]);
	json_add_u64(end, "errors", view->findings[BC_FINDING_ERROR]);
	json_add_u64(end, "warnings", view->findings[BC_FINDING_WARNING]);
	json_object_object_add(end, "map", map_counts(&view->map));
	put_members(end, ",");
	printf("\n}\n");
}

const struct meta_output meta_output_json = {
	.dump = json_dump,
	.run = json_run,
	.dump_end = json_dump_end,
	.check = json_check,
	.finding = json_finding,
	.check_end = json_check_end,
};
