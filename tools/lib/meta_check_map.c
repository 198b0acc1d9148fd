// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Checks 3 and 4 of meta_check.h: the map, block by block.
 *
 * Neighbours of which the same is wrong are one finding: each kind has a run,
 * which is extended while it can be and reported when it cannot.
 */
#include <endian.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "meta_block.h"
#include "meta_check_map.h"
#include "util.h"

enum kind {
	SLOT_TORN,
	STAMPS_LOST,
	BLOCK_LOST,
	SLOTS_EQUAL,
	SLOTS_APART,
	BLOCK_FLAGS,
	BEYOND_END,
	STAMP_FUTURE,
	STAMP_UNKNOWN,
	STAMP_UNTOUCHED,
	DOUBT_INACTIVE,
	KINDS
};

/**
 * struct kind_info - what is said of a kind
 * @regions: it is counted in regions, not in blocks
 * @means: for the administrator
 */
static const struct kind_info {
	const char *name;
	enum bc_finding_level level;
	bool regions;
	const char *means;
} infos[KINDS] = {
	[SLOT_TORN] = { "slot-torn", BC_FINDING_WARNING, false,
		"the other slot is newer and counts: nothing is lost" },
	[STAMPS_LOST] = { "stamps-lost", BC_FINDING_WARNING, false,
		"power failed while it was written, or it has rotted: what was ever written there is known, and in doubt: it is compared with the primary's" },
	[BLOCK_LOST] = { "block-lost", BC_FINDING_ERROR, false,
		"all of these regions count as written and are in doubt: they are compared with the primary's" },
	[SLOTS_EQUAL] = { "slots-equal", BC_FINDING_ERROR, false,
		"somebody else has written here; slot 0 counts" },
	[SLOTS_APART] = { "slots-apart", BC_FINDING_ERROR, false,
		"a write between them was lost, and what the newer one says may be old: the device does not keep what it confirms" },
	[BLOCK_FLAGS] = { "block-flags", BC_FINDING_ERROR, false,
		"a newer version has written here: use its program" },
	[BEYOND_END] = { "beyond-end", BC_FINDING_ERROR, false,
		"they are ignored, but nobody should have written them" },
	[STAMP_FUTURE] = { "stamp-future", BC_FINDING_ERROR, true,
		"the superblock is older than the map, so its writes were lost: the copy should be replaced" },
	[STAMP_UNKNOWN] = { "stamp-unknown", BC_FINDING_ERROR, true,
		"no reign vouches for them, and another copy's equal stamps prove nothing: the copy should be replaced" },
	[STAMP_UNTOUCHED] = { "stamp-untouched", BC_FINDING_ERROR, true,
		"they count as never written and read as zeros: their content is lost here, and comes back from the primary if it has them" },
	[DOUBT_INACTIVE] = { "doubt-inactive", BC_FINDING_ERROR, true,
		"they are compared all the same" },
};

/**
 * struct run - neighbours of which the same is wrong
 * @count: 0: none
 * @first: number of the first block or region
 * @detail: what must be equal too: states of slots, or a term
 * @offset: of the first
 */
struct run {
	uint32_t first, count;
	uint64_t detail, offset;
};

struct map_check {
	struct bc_meta *meta;
	void (*report)(const struct bc_finding *finding, void *arg);
	void *arg;
	struct bc_map_summary *summary;
	struct run runs[KINDS];
};

/* --- counts --------------------------------------------------------------- */

/* Empty it may be until the block's second write, which goes there. */
bool bc_map_slot_bad(const struct bc_map_block *block, int slot)
{
	if (block->state[slot] == BC_BLOCK_NONE)
		return block->state[!slot] < BC_BLOCK_HEAD ||
		       block->generation[!slot] > 1;
	return block->state[slot] != BC_BLOCK_GOOD;
}

void bc_map_summary_add(struct bc_map_summary *summary,
			const struct bc_map_block *block)
{
	summary->blocks++;
	summary->active += block->active;
	summary->bad_slots += bc_map_slot_bad(block, 0) + bc_map_slot_bad(block, 1);
	summary->lost += block->current < 0;
	for (uint32_t i = 0; i < block->count; i++) {
		summary->touched += block->touched[i];
		summary->regions[block->regions[i]]++;
		if (block->regions[i] == BC_REGION_WRITTEN &&
		    block->stamps[i] > summary->newest)
			summary->newest = block->stamps[i];
	}
}

/* --- findings ------------------------------------------------------------- */

static const char *slot_word(uint64_t state)
{
	static const char * const words[] = {
		[BC_BLOCK_NONE] = "empty",
		[BC_BLOCK_UNREADABLE] = "unreadable",
		[BC_BLOCK_DAMAGED] = "damaged (wrong checksum)",
		[BC_BLOCK_FOREIGN] = "of another volume, place or time",
		[BC_BLOCK_HEAD] = "of stamps with a wrong checksum",
		[BC_BLOCK_GOOD] = "good",
	};

	return words[state];
}

static void say_what(char *text, size_t size, enum kind kind, uint64_t detail,
		     const struct bc_super *super)
{
	switch (kind) {
	case SLOT_TORN:
		snprintf(text, size, "the older slot was not written whole");
		break;
	case STAMPS_LOST:
		snprintf(text, size, "the stamps have a wrong checksum");
		break;
	case BLOCK_LOST:
		snprintf(text, size, "slot 0 is %s, slot 1 is %s",
			 slot_word(detail / 8), slot_word(detail % 8));
		break;
	case SLOTS_EQUAL:
		snprintf(text, size, "both slots have the same generation");
		break;
	case SLOTS_APART:
		snprintf(text, size, "the generations of the slots differ by more than one");
		break;
	case BLOCK_FLAGS:
		snprintf(text, size, "flags unknown here (%#" PRIx64 ")", detail);
		break;
	case BEYOND_END:
		snprintf(text, size, "marks or stamps beyond the last region, %u",
			 super->regions - 1);
		break;
	case STAMP_FUTURE:
		snprintf(text, size, "stamps of term %" PRIu64
			 ", above the highest term seen, %u", detail, super->term);
		break;
	case STAMP_UNKNOWN:
		snprintf(text, size, "stamps of term %" PRIu64
			 ", which the history does not have", detail);
		break;
	case STAMP_UNTOUCHED:
		snprintf(text, size, "stamps, but no mark that they were ever written");
		break;
	case DOUBT_INACTIVE:
		snprintf(text, size, "in doubt in a group that is not active");
		break;
	case KINDS:
		break;
	}
}

static void fill_range(struct bc_finding *finding, const struct run *run,
		       bool regions, const struct bc_super *super)
{
	uint32_t last = run->first + run->count - 1;

	finding->of_map = true;
	if (regions) {
		finding->first_region = run->first;
		finding->last_region = last;
		finding->first_block = run->first / BLKCAST_MAP_STAMPS;
		finding->last_block = last / BLKCAST_MAP_STAMPS;
		return;
	}
	finding->first_block = run->first;
	finding->last_block = last;
	finding->first_region = run->first * BLKCAST_MAP_STAMPS;
	finding->last_region = last * BLKCAST_MAP_STAMPS +
			       bc_map_block_regions(super, last) - 1;
}

/* "map blocks 1 to 2, regions 480 to 1439" or, of a region's kind, "region 7". */
static void say_where(char *text, size_t size, const struct bc_finding *finding,
		      bool regions)
{
	uint32_t first = regions ? finding->first_region : finding->first_block;
	uint32_t last = regions ? finding->last_region : finding->last_block;
	const char *noun = regions ? "region" : "map block";
	int len;

	if (first == last)
		len = snprintf(text, size, "%s %u", noun, first);
	else
		len = snprintf(text, size, "%ss %u to %u", noun, first, last);
	if (!regions)
		snprintf(text + len, size - len, ", regions %u to %u",
			 finding->first_region, finding->last_region);
}

static void run_end(struct map_check *check, enum kind kind)
{
	const struct kind_info *info = &infos[kind];
	struct run *run = &check->runs[kind];
	struct bc_finding finding = {
		.level = info->level, .kind = info->name, .offset = run->offset,
	};
	char where[96], what[96];

	if (!run->count)
		return;
	fill_range(&finding, run, info->regions, &check->meta->super);
	say_where(where, sizeof(where), &finding, info->regions);
	say_what(what, sizeof(what), kind, run->detail, &check->meta->super);
	snprintf(finding.text, sizeof(finding.text), "%s: %s: %s", where, what,
		 info->means);
	check->report(&finding, check->arg);
	run->count = 0;
}

/* @number is a block's or a region's, as the kind counts. */
static void note(struct map_check *check, enum kind kind, uint32_t number,
		 uint64_t offset, uint64_t detail)
{
	struct run *run = &check->runs[kind];

	if (run->count && (run->first + run->count != number ||
			   run->detail != detail))
		run_end(check, kind);
	if (!run->count++) {
		run->first = number;
		run->offset = offset;
		run->detail = detail;
	}
}

static uint64_t slot_offset(const struct map_check *check, uint32_t index, int slot)
{
	return check->meta->super.map_offset + (uint64_t)index * BC_SLOTS_BYTES +
	       slot * BLKCAST_BLOCK_SIZE;
}

static void note_block(struct map_check *check, enum kind kind,
		       const struct bc_map_block *block, int slot, uint64_t detail)
{
	note(check, kind, block->index, slot_offset(check, block->index, slot), detail);
}

/* --- slots (check 3) --------------------------------------------------------- */

/* A slot that is still empty counts as generation 0, which the other one follows. */
static void check_slots(struct map_check *check, const struct bc_map_block *block)
{
	uint64_t gen0 = block->generation[0], gen1 = block->generation[1];
	int current = block->current;

	if (current < 0)
		note_block(check, BLOCK_LOST, block, 0,
			   block->state[0] * 8 + block->state[1]);
	else if (block->state[current] == BC_BLOCK_HEAD)
		note_block(check, STAMPS_LOST, block, current, 0);
	else if (block->state[!current] == BC_BLOCK_HEAD)
		note_block(check, SLOT_TORN, block, !current, 0);
	else if (gen0 == gen1)
		note_block(check, SLOTS_EQUAL, block, 0, 0);
	else if (gen0 + 1 != gen1 && gen1 + 1 != gen0)
		note_block(check, SLOTS_APART, block, block->current, 0);
}

static bool beyond_end(const struct bc_map_block *block)
{
	if (block->state[block->current] == BC_BLOCK_HEAD)
		return false;
	for (uint32_t i = block->count; i < BLKCAST_MAP_STAMPS; i++) {
		if (block->disk->stamps[i] ||
		    block->disk->touched[i / 8] >> (i % 8) & 1)
			return true;
	}
	return false;
}

static void check_block(struct map_check *check, const struct bc_map_block *block)
{
	uint32_t unknown = le32toh(block->disk->flags) & ~BLKCAST_MAP_ACTIVE;

	if (unknown)
		note_block(check, BLOCK_FLAGS, block, block->current, unknown);
	if (beyond_end(block))
		note_block(check, BEYOND_END, block, block->current, 0);
}

/* --- stamps (check 4) --------------------------------------------------------- */

/* Of a full history the oldest have fallen out. */
static bool term_known(const struct bc_super *super, uint32_t term)
{
	for (uint32_t i = 0; i < super->reigns; i++) {
		if (le32toh(super->history[i].term) == term)
			return true;
	}
	return super->reigns == BLKCAST_HISTORY_MAX &&
	       term < le32toh(super->history[0].term);
}

static void check_stamp(struct map_check *check, const struct bc_map_block *block,
			uint32_t i)
{
	uint64_t stamp = le64toh(block->disk->stamps[i]);
	uint32_t term = blkcast_lsn_term(stamp), region = block->first + i;
	uint64_t offset = slot_offset(check, block->index, block->current) +
			  offsetof(struct blkcast_map_block, stamps) + i * sizeof(stamp);

	if (stamp == BLKCAST_LSN_NEVER)
		return;
	if (!block->touched[i])
		note(check, STAMP_UNTOUCHED, region, offset, 0);
	else if (stamp == BLKCAST_LSN_DOUBT)
		note(check, DOUBT_INACTIVE, region, offset, 0);
	else if (term > check->meta->super.term)
		note(check, STAMP_FUTURE, region, offset, term);
	else if (!term_known(&check->meta->super, term))
		note(check, STAMP_UNKNOWN, region, offset, term);
}

static int map_check_block(const struct bc_map_block *block, void *arg)
{
	struct map_check *check = arg;

	bc_map_summary_add(check->summary, block);
	check_slots(check, block);
	if (!block->disk)
		return 0;
	check_block(check, block);
	for (uint32_t i = 0; i < block->count && !block->active; i++)
		check_stamp(check, block, i);
	return 0;
}

int bc_meta_check_map(struct bc_meta *meta,
		      void (*report)(const struct bc_finding *finding, void *arg),
		      void *arg, struct bc_map_summary *summary,
		      struct bc_error *error)
{
	struct map_check check = { meta, report, arg, summary, { { 0 } } };
	int ret;

	ret = bc_meta_map_walk(meta, 0, meta->super.map_blocks, map_check_block,
			       &check, error);
	for (int kind = 0; kind < KINDS; kind++)
		run_end(&check, kind);
	return ret;
}
