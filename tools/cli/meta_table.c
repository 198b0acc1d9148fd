// SPDX-License-Identifier: GPL-2.0-or-later
/* Metadata for people. */
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "meta_view.h"
#include "util.h"

#define LSN_TEXT 32

static const char *lsn_text(uint64_t lsn, char text[LSN_TEXT])
{
	snprintf(text, LSN_TEXT, "%u.%" PRIu64, blkcast_lsn_term(lsn),
		 (uint64_t)blkcast_lsn_seq(lsn));
	return text;
}

/* --- dump ------------------------------------------------------------- */

static void print_copy(const struct meta_view *view, int i)
{
	const struct bc_super_copy *copy = &view->copies[i];

	printf("superblock %d %s, at byte %" PRIu64, i, meta_copy_word(view, i),
	       copy->offset);
	if (copy->state == BC_BLOCK_GOOD)
		printf(", generation %" PRIu64, copy->super.generation);
	printf("%s\n", i == view->chosen ? " (this one counts)" : "");
}

/* Of the one that does not count, what matters. */
static void print_other(const struct meta_view *view)
{
	const struct bc_super_copy *other = &view->copies[!view->chosen];
	const struct bc_super *super = &other->super;

	if (other->state != BC_BLOCK_GOOD ||
	    (super->flags == view->meta.super.flags &&
	     super->term == view->meta.super.term &&
	     super->reigns == view->meta.super.reigns))
		return;
	printf("%-12s term %u, %u reigns, flags %#x\n", "the other", super->term,
	       super->reigns, super->flags);
}

static void print_identity(const struct meta_view *view)
{
	const struct bc_super *super = &view->meta.super;
	char uuid[BC_UUID_TEXT], size[BC_SIZE_TEXT], region[BC_SIZE_TEXT];

	printf("%-12s %s\n", "name", super->name);
	printf("%-12s %s\n", "volume", bc_uuid_format(super->volume, uuid));
	printf("%-12s %s\n", "node", bc_uuid_format(super->node, uuid));
	printf("%-12s %" PRIu64 " bytes (%s), from byte %" PRIu64 " of %s\n", "data",
	       super->sectors * 512, bc_size_format(super->sectors * 512, size),
	       super->data_start * 512, view->backing);
	printf("%-12s %u blocks from byte %" PRIu64 " of %s\n", "map",
	       super->map_blocks, super->map_offset, view->meta.path);
	printf("%-12s %u of %s\n", "regions", super->regions,
	       bc_size_format(1ULL << super->region_shift, region));
}

static void print_flags(uint32_t flags)
{
	static const struct {
		uint32_t flag;
		const char *says;
	} words[] = {
		{ BLKCAST_SUPER_PRIMARY, "primary, and has not laid it down" },
		{ BLKCAST_SUPER_OWN, "the newest reign was this copy's own" },
		{ BLKCAST_SUPER_MANAGED, "managed: 'blkcast member' alone changes the in-sync set" },
		{ BLKCAST_SUPER_DISCARD, "discard-mine: gives up what it alone has" },
		{ BLKCAST_SUPER_INCONSISTENT,
		  "inconsistent: under resync, no content of one moment" },
		{ BLKCAST_SUPER_INCOMPLETE,
		  "incomplete: a restore did not finish; cannot be brought up" },
	};

	if (!(flags & BLKCAST_SUPER_PRIMARY))
		printf("%-12s %s\n", "role", "replica");
	for (size_t i = 0; i < BC_ARRAY_SIZE(words); i++) {
		if (flags & words[i].flag)
			printf("%-12s %s\n", words[i].flag == BLKCAST_SUPER_PRIMARY ?
			       "role" : "state", words[i].says);
	}
	printf("%-12s %s\n", "metadata", flags & BLKCAST_SUPER_INTERNAL ?
	       "internal: at the end of the backing device" :
	       "external: on a device of their own");
}

static void print_history(const struct bc_super *super)
{
	char text[LSN_TEXT];

	printf("%-12s %u, the highest seen\n", "term", super->term);
	if (!super->reigns)
		printf("%-12s no reign yet\n", "history");
	for (uint32_t i = 0; i < super->reigns; i++) {
		const struct blkcast_reign *reign = &super->history[i];

		printf("%-12s term %u, reign id %016" PRIx64 ", inherited up to %s\n",
		       i ? "" : "history", le32toh(reign->term),
		       (uint64_t)le64toh(reign->reign),
		       lsn_text(le64toh(reign->inherited), text));
	}
}

static void print_following(const struct bc_super *super)
{
	char uuid[BC_UUID_TEXT], text[LSN_TEXT];

	if (super->position)
		printf("%-12s %s: has all of the stream up to here, and nothing else\n",
		       "position", lsn_text(super->position, text));
	for (uint32_t i = 0; i < super->members; i++)
		printf("%-12s node %s\n", i ? "" : "in sync",
		       bc_uuid_format(super->member[i], uuid));
	if (!bc_uuid_is_null(super->heir))
		printf("%-12s node %s%s\n", "heir", bc_uuid_format(super->heir, uuid),
		       memcmp(super->heir, super->node, sizeof(super->heir)) ? "" :
		       ", this one: may begin the next reign unasked");
}

static void print_map(const struct bc_map_summary *map)
{
	char text[LSN_TEXT];

	printf("%-12s %u: %u active", "groups", map->blocks, map->active);
	if (map->bad_slots)
		printf(", %u slots damaged", map->bad_slots);
	if (map->lost)
		printf(", %u lost", map->lost);
	printf("\n%-12s %u written, %u never written, %u in doubt, %u bad\n", "of regions",
	       map->regions[BC_REGION_WRITTEN], map->regions[BC_REGION_NEVER],
	       map->regions[BC_REGION_DOUBT], map->regions[BC_REGION_BAD]);
	printf("%-12s %u regions\n", "touched", map->touched);
	printf("%-12s %s\n", "newest stamp",
	       map->newest ? lsn_text(map->newest, text) : "none");
}

static void table_dump(const struct meta_view *view, bool runs)
{
	print_copy(view, 0);
	print_copy(view, 1);
	if (view->chosen < 0)
		return;
	printf("%-12s %u\n", "format", view->copies[view->chosen].version);
	print_identity(view);
	print_flags(view->meta.super.flags);
	print_history(&view->meta.super);
	print_following(&view->meta.super);
	print_other(view);
	print_map(&view->map);
	if (runs)
		printf("\n%10s %10s %10s  %-14s %s\n", "FIRST", "LAST", "REGIONS", "STATE",
		       "STAMP");
}

static void table_run(const struct meta_view *view, const struct bc_map_run *run)
{
	char text[LSN_TEXT];

	(void)view;
	printf("%10u %10u %10u  %-14s %s\n", run->first, run->first + run->count - 1,
	       run->count, meta_region_word(run->state),
	       run->stamp == BLKCAST_LSN_DOUBT ? "-" : lsn_text(run->stamp, text));
}

static void table_dump_end(const struct meta_view *view, bool runs)
{
	(void)view;
	(void)runs;
}

/* --- check ------------------------------------------------------------ */

static void table_check(const struct meta_view *view)
{
	(void)view;
}

static void table_finding(const struct bc_finding *finding)
{
	printf("%s: byte %" PRIu64 ": %s\n", meta_level_word(finding->level),
	       finding->offset, finding->text);
}

static void table_check_end(const struct meta_view *view)
{
	unsigned int sum = 0;

	for (int level = 0; level <= BC_FINDING_FATAL; level++)
		sum += view->findings[level];
	printf("%s: ", view->meta.path);
	if (!sum)
		printf("no damage found");
	else
		printf("%u found: %u fatal, %u errors, %u warnings", sum,
		       view->findings[BC_FINDING_FATAL],
		       view->findings[BC_FINDING_ERROR],
		       view->findings[BC_FINDING_WARNING]);
	if (view->map.blocks)
		printf("; %u map blocks, %u regions, %u of them in doubt",
		       view->map.blocks, view->meta.super.regions,
		       view->map.regions[BC_REGION_DOUBT]);
	printf("\n");
}

const struct meta_output meta_output_table = {
	.dump = table_dump,
	.run = table_run,
	.dump_end = table_dump_end,
	.check = table_check,
	.finding = table_finding,
	.check_end = table_check_end,
};
