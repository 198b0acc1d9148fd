// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Segments of a log and the cuts in them.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cut.h"

#define PIECE	8	/* sectors that a disk writes whole */

/* splitmix64 */
static uint64_t lot(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static bool coin(uint64_t *state)
{
	return lot(state) >> 63;
}

static bool is_fua(const struct lw_entry *entry)
{
	return entry->sectors && entry->flags & LW_FUA;
}

/* The volume's, not a filesystem's on it, whose writes have LW_META as well. */
static bool is_meta(const struct lw_entry *entry, const struct lw_disk *disk)
{
	return entry->sector / PIECE >= disk->meta_first;
}

uint32_t lw_segment_end(const struct lw_log *log, uint32_t from)
{
	uint32_t i = from;

	while (i < log->count && !(log->entries[i].flags & LW_FLUSH))
		i++;
	return i;
}

/* An entry by lot among those that may be missing, a metadata block if @meta. */
static uint32_t pick_one(struct lw_cut *cut, const struct lw_log *log,
			 const struct lw_disk *disk, bool meta)
{
	uint32_t picked = cut->end, seen = 0;

	for (uint32_t i = cut->from; i < cut->end; i++) {
		const struct lw_entry *e = &log->entries[i];

		if (!e->sectors || is_fua(e) || (meta && !is_meta(e, disk)))
			continue;
		if (lot(&cut->lots) % ++seen == 0)
			picked = i;
	}
	return picked;
}

void lw_cut_make(struct lw_cut *cut, const struct lw_log *log,
		 const struct lw_disk *disk, uint32_t from, uint32_t number,
		 uint64_t seed)
{
	uint32_t end = lw_segment_end(log, from);

	memset(cut, 0, sizeof(*cut));
	cut->from = from;
	cut->number = number;
	cut->choice = number % LW_CHOICES;
	cut->lots = (seed << 32 | from) ^ (uint64_t)number << 56;
	lot(&cut->lots);
	cut->end = end;
	if (cut->choice == LW_NOTHING) {
		cut->end = from;
		return;
	}
	/* The whole segment, or less of it. */
	if (coin(&cut->lots) && end > from)
		cut->end = from + lot(&cut->lots) % (end - from + 1);
	cut->in_flight = cut->end < end && is_fua(&log->entries[cut->end]);
	if (cut->choice == LW_ONE_ALONE || cut->choice == LW_ALL_BUT_ONE)
		cut->the_one = pick_one(cut, log, disk, coin(&cut->lots));
}

/* Is this piece, or this sector, of entry @i there?  @meta: it is metadata. */
static bool is_there(struct lw_cut *cut, uint32_t i, bool meta)
{
	switch (cut->choice) {
	case LW_PREFIX:
		return true;
	case LW_META_ALONE:
		return meta;
	case LW_DATA_ALONE:
		return !meta;
	case LW_ONE_ALONE:
		return i == cut->the_one;
	case LW_ALL_BUT_ONE:
		return i != cut->the_one;
	case LW_META_TORN:
		return meta && coin(&cut->lots);
	case LW_BY_LOT:
	case LW_TORN:
		return coin(&cut->lots);
	default:
		return false;
	}
}

/* Up to the next border of a piece: in sectors if it may be torn. */
static uint64_t piece_sectors(const struct lw_entry *entry, uint64_t at, bool torn)
{
	uint64_t n = torn ? 1 : PIECE - (entry->sector + at) % PIECE;

	return n < entry->sectors - at ? n : entry->sectors - at;
}

static void entry_apply(struct lw_cut *cut, uint32_t i, const struct lw_entry *entry,
			struct lw_disk *disk)
{
	bool meta = is_meta(entry, disk);
	bool torn = meta && (cut->choice == LW_TORN || cut->choice == LW_META_TORN);
	uint64_t at, n;

	for (at = 0; at < entry->sectors; at += n) {
		n = piece_sectors(entry, at, torn);
		if (is_there(cut, i, meta))
			lw_disk_write(disk, entry, at, n);
	}
}

static void in_flight_apply(struct lw_cut *cut, const struct lw_entry *entry,
			    struct lw_disk *disk)
{
	uint64_t at, n;

	for (at = 0; at < entry->sectors; at += n) {
		n = piece_sectors(entry, at, is_meta(entry, disk));
		if (coin(&cut->lots))
			lw_disk_write(disk, entry, at, n);
	}
}

void lw_cut_apply(struct lw_cut *cut, const struct lw_log *log,
		  struct lw_disk *disk)
{
	for (uint32_t i = cut->from; i < cut->end; i++) {
		const struct lw_entry *e = &log->entries[i];

		if (is_fua(e))
			lw_disk_write(disk, e, 0, e->sectors);
		else
			entry_apply(cut, i, e, disk);
	}
	if (cut->in_flight)
		in_flight_apply(cut, &log->entries[cut->end], disk);
}

void lw_segment_apply(const struct lw_log *log, uint32_t from, uint32_t end,
		      struct lw_disk *disk)
{
	for (uint32_t i = from; i < end; i++)
		lw_disk_write(disk, &log->entries[i], 0, log->entries[i].sectors);
}

/* ---- what cannot be cut ---- */

static bool overlap(const struct lw_entry *a, const struct lw_entry *b)
{
	return a->sector < b->sector + b->sectors &&
	       b->sector < a->sector + a->sectors;
}

/* A write behind a FUA write of the same segment that it overlaps. */
static bool is_ambiguous(const struct lw_log *log, uint32_t from, uint32_t end)
{
	for (uint32_t f = from; f < end; f++)
		for (uint32_t i = f + 1; is_fua(&log->entries[f]) && i < end; i++)
			if (!is_fua(&log->entries[i]) &&
			    overlap(&log->entries[f], &log->entries[i]))
				return true;
	return false;
}

int lw_log_check(const struct lw_log *log, const struct lw_disk *disk,
		 struct bc_error *error)
{
	uint32_t from, end;

	for (uint32_t i = 0; i < log->count; i++) {
		const struct lw_entry *e = &log->entries[i];

		if (e->flags & LW_DISCARD)
			return bc_fail(error, -EINVAL, "entry %u is a discard, which nobody sends", i);
		if (e->flags & LW_FLUSH && e->sectors)
			return bc_fail(error, -EINVAL, "entry %u is a flush with data", i);
		if (e->sector > disk->sectors || e->sectors > disk->sectors - e->sector)
			return bc_fail(error, -EINVAL, "entry %u lies behind the disk's end", i);
	}
	for (from = 0; from < log->count; from = end + 1) {
		end = lw_segment_end(log, from);
		if (is_ambiguous(log, from, end))
			return bc_fail(error, -EINVAL,
				       "segment %u: the order of a FUA write and one behind it is not known",
				       from);
	}
	return 0;
}
