// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The claims of a cut disk against the history.
 *
 * The history's sums are worked out once for each claim: struct lw_seen keeps the
 * last one of each region, for a claim stands through many cuts.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

/**
 * struct lw_seen - what was worked out about a region
 * @stamp, @sum: a claim, and the content that goes with it
 * @of, @touched, @span, @known: the span of the content with sum @of
 * @held: it was touched when the segment began
 * @left: what a region held when its touched mark went, NULL: it did not
 */
struct lw_seen {
	uint64_t stamp, sum;
	bool held;
	uint64_t *left;
	uint64_t of;
	bool touched, known;
	struct lw_span span;
};

static bool __attribute__((format(printf, 3, 4)))
complain(const struct lw_check *check, const struct lw_cut *cut,
	 const char *fmt, ...)
{
	va_list args;

	if (check->failures >= check->complaints)
		return false;
	printf("cut %u.%u: ", cut->from, cut->number);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	return false;
}

/* An LSN as people read it. */
#define LSN_FORMAT	"%u.%" PRIu64
#define LSN_ARGS(lsn)	blkcast_lsn_term(lsn), (uint64_t)blkcast_lsn_seq(lsn)

int lw_check_init(struct lw_check *check, struct bc_error *error)
{
	int ret = lw_meta_init(&check->meta, check->disk, error);

	if (ret)
		return ret;
	check->generations = calloc(check->meta.map_blocks,
				    sizeof(*check->generations));
	check->seen = calloc(check->meta.regions, sizeof(*check->seen));
	if (!check->generations || !check->seen)
		return bc_fail(error, -ENOMEM, "out of memory");
	/* No stamp is like this: nothing was seen. */
	for (uint32_t r = 0; r < check->meta.regions; r++)
		check->seen[r].stamp = BLKCAST_LSN_DOUBT;
	return 0;
}

void lw_check_free(struct lw_check *check)
{
	for (uint32_t r = 0; check->seen && r < check->meta.regions; r++)
		free(check->seen[r].left);
	lw_meta_free(&check->meta);
	free(check->generations);
	free(check->seen);
}

static uint64_t region_sectors(const struct lw_check *check, uint32_t region)
{
	uint64_t left = check->disk->volume -
			(uint64_t)region * check->disk->region_sectors;

	return left < check->disk->region_sectors ? left :
						    check->disk->region_sectors;
}

static const uint64_t *region_values(const struct lw_check *check, uint32_t region)
{
	return check->disk->values + (uint64_t)region * check->disk->region_sectors;
}

/* Remember what is left of a region that is as if never written from now on. */
static void region_note(struct lw_check *check, uint32_t region)
{
	struct lw_seen *seen = &check->seen[region];
	size_t bytes = region_sectors(check, region) * sizeof(*seen->left);
	bool active, touched;

	touched = lw_meta_stamp(&check->meta, region, &active) != BLKCAST_LSN_NEVER;
	if (seen->held && !touched) {
		seen->left = seen->left ?: malloc(bytes);
		if (!seen->left)
			abort();
		memcpy(seen->left, region_values(check, region), bytes);
	}
	seen->held = touched;
}

void lw_check_durable(struct lw_check *check)
{
	lw_meta_read(&check->meta);
	check->super_generation = check->meta.super ?
				  le64toh(check->meta.super->generation) : 0;
	for (uint32_t g = 0; g < check->meta.map_blocks; g++)
		check->generations[g] = lw_group_generation(&check->meta, g);
	for (uint32_t r = 0; r < check->meta.regions; r++)
		region_note(check, r);
}

/* ---- 1, 2: something valid that is not too old ---- */

/* FUA writes before the cut are durable as well. */
static uint64_t super_floor(const struct lw_check *check, const struct lw_cut *cut)
{
	uint64_t floor = check->super_generation;

	for (uint32_t i = cut->from; i < cut->end; i++) {
		const struct lw_entry *e = &check->log->entries[i];
		struct blkcast_super super;

		if (!(e->flags & LW_FUA) || e->sectors * LW_SECTOR != sizeof(super) ||
		    (e->sector != lw_super_sector(check->disk, 0) &&
		     e->sector != lw_super_sector(check->disk, 1)))
			continue;
		memcpy(&super, e->data, sizeof(super));
		if (lw_super_valid(&super) && le64toh(super.generation) > floor)
			floor = le64toh(super.generation);
	}
	return floor;
}

static bool super_holds(const struct lw_check *check, const struct lw_cut *cut)
{
	const struct blkcast_super *super = check->meta.super;
	uint64_t floor = super_floor(check, cut);

	if (!super)
		return complain(check, cut, "both superblocks are bad");
	if (le64toh(super->generation) < floor)
		return complain(check, cut,
				"superblock of generation %" PRIu64 ", %" PRIu64 " was durable",
				(uint64_t)le64toh(super->generation), floor);
	return true;
}

static bool groups_hold(const struct lw_check *check, const struct lw_cut *cut)
{
	for (uint32_t g = 0; g < check->meta.map_blocks; g++) {
		uint64_t generation = lw_group_generation(&check->meta, g);

		if (!check->meta.groups[g].block)
			return complain(check, cut, "both slots of map block %u are bad", g);
		if (generation < check->generations[g])
			return complain(check, cut,
					"map block %u of generation %" PRIu64 ", %" PRIu64 " was durable",
					g, generation, check->generations[g]);
	}
	return true;
}

/* ---- 3, 4: the claims ---- */

static uint64_t claimed_sum(struct lw_check *check, uint32_t region, uint64_t stamp)
{
	struct lw_seen *seen = &check->seen[region];

	if (seen->stamp != stamp) {
		seen->stamp = stamp;
		seen->sum = lw_history_sum(check->history, region, stamp);
		check->distinct++;
	}
	return seen->sum;
}

/* Name a sector that is not as the history has it. */
static bool complain_content(const struct lw_check *check, const struct lw_cut *cut,
			     uint32_t region, uint64_t stamp)
{
	uint64_t s = (uint64_t)region * check->disk->region_sectors;

	while (check->disk->values[s] == lw_history_value(check->history, s, stamp))
		s++;
	return complain(check, cut,
			"region %u is said to be at " LSN_FORMAT " but sector %" PRIu64 " is not",
			region, LSN_ARGS(stamp), s);
}

static uint64_t block_stamp(const struct lw_check *check, uint32_t region)
{
	const struct blkcast_map_block *block =
		check->meta.groups[region / BLKCAST_MAP_STAMPS].block;

	return le64toh(block->stamps[region % BLKCAST_MAP_STAMPS]);
}

/*
 * Nothing but garbage and zeros, or what was left when its mark went, and zeros.
 * When that happens, in this very segment, what it holds does not matter.
 */
static bool nothing_written(const struct lw_check *check, uint32_t region)
{
	const struct lw_seen *seen = &check->seen[region];
	const uint64_t *values = region_values(check, region);

	if (!check->disk->regions[region].written || seen->held)
		return true;
	for (uint64_t s = 0; seen->left && s < region_sectors(check, region); s++)
		if (values[s] != seen->left[s] &&
		    values[s] != lw_value_zero(values - check->disk->values + s))
			return false;
	return seen->left;
}

static bool untouched_holds(const struct lw_check *check, const struct lw_cut *cut,
			    uint32_t region, bool active)
{
	if (!nothing_written(check, region))
		return complain(check, cut,
				"region %u is said to be never written but holds data",
				region);
	if (!active && block_stamp(check, region) != BLKCAST_LSN_NEVER)
		return complain(check, cut, "region %u was never written but has a stamp",
				region);
	return true;
}

static bool region_holds(struct lw_check *check, const struct lw_cut *cut,
			 uint32_t region)
{
	bool active;
	uint64_t stamp = lw_meta_stamp(&check->meta, region, &active);

	if (stamp == BLKCAST_LSN_NEVER)
		return untouched_holds(check, cut, region, active);
	if (active) {
		check->doubts++;
		return true;
	}
	if (stamp == BLKCAST_LSN_DOUBT)
		return complain(check, cut, "region %u is in doubt in an inactive group",
				region);
	check->claims++;
	return check->disk->regions[region].sum == claimed_sum(check, region, stamp) ||
	       complain_content(check, cut, region, stamp);
}

static bool regions_hold(struct lw_check *check, const struct lw_cut *cut)
{
	bool hold = true;

	for (uint32_t r = 0; r < check->meta.regions && hold; r++)
		hold = region_holds(check, cut, r);
	return hold;
}

/* ---- 5, 6, 7: the copy as a whole ---- */

/* 5.  What was never written reads as zeros, whatever the device holds. */
static bool region_span(struct lw_check *check, const struct lw_cut *cut, uint32_t r)
{
	const uint64_t sum = check->disk->regions[r].sum;
	struct lw_seen *seen = &check->seen[r];
	uint64_t sector;
	bool active, touched;

	touched = lw_meta_stamp(&check->meta, r, &active) != BLKCAST_LSN_NEVER;
	if (seen->known && seen->touched == touched && (!touched || seen->of == sum))
		return true;
	seen->touched = touched;
	seen->of = sum;
	seen->known = lw_history_span(check->history, r,
				      touched ? check->disk->values : NULL,
				      &seen->span, &sector);
	return seen->known ||
	       complain(check, cut, "sector %" PRIu64 " holds what was never written there",
			sector);
}

/* The newest write that is there, and the oldest that is not. */
static bool copy_span(struct lw_check *check, const struct lw_cut *cut,
		      struct lw_span *span, uint32_t *region)
{
	*span = (struct lw_span){ .oldest = 0, .missing = UINT64_MAX };
	for (uint32_t r = 0; r < check->meta.regions; r++) {
		if (!region_span(check, cut, r))
			return false;
		if (check->seen[r].span.oldest > span->oldest)
			span->oldest = check->seen[r].span.oldest;
		if (check->seen[r].span.missing < span->missing) {
			span->missing = check->seen[r].span.missing;
			*region = r;
		}
	}
	return true;
}

bool lw_check_consistent(const struct lw_check *check)
{
	return check->meta.super && !(le32toh(check->meta.super->flags) &
				      BLKCAST_SUPER_INCONSISTENT);
}

/* 6, 7: of a replica that says that it is consistent. */
static bool replica_holds(struct lw_check *check, const struct lw_cut *cut,
			  const struct lw_span *span, uint32_t region)
{
	uint64_t position = le64toh(check->meta.super->position);
	uint64_t flush = lw_trace_flush_before(check->trace, span->oldest);

	check->consistent++;
	check->positions += !!position;
	if (span->missing < flush)
		return complain(check, cut,
				"region %u lacks " LSN_FORMAT ", but there is " LSN_FORMAT " from behind the flush " LSN_FORMAT,
				region, LSN_ARGS(span->missing),
				LSN_ARGS(span->oldest), LSN_ARGS(flush));
	if (span->missing <= position)
		return complain(check, cut, "region %u lacks " LSN_FORMAT ", its position is " LSN_FORMAT,
				region, LSN_ARGS(span->missing), LSN_ARGS(position));
	return true;
}

static bool copy_holds(struct lw_check *check, const struct lw_cut *cut)
{
	struct lw_span span;
	uint32_t region = 0;

	if (!copy_span(check, cut, &span, &region))
		return false;
	return !check->replica || !lw_check_consistent(check) ||
	       replica_holds(check, cut, &span, region);
}

bool lw_check_cut(struct lw_check *check, const struct lw_cut *cut)
{
	bool holds;

	lw_meta_read(&check->meta);
	holds = super_holds(check, cut) && groups_hold(check, cut) &&
		regions_hold(check, cut) && copy_holds(check, cut);
	check->failures += !holds;
	return holds;
}
