/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cuts: where the power goes, and what of the unflushed writes is there all the
 * same.
 *
 * A segment is what stands in the log between two flushes: @from is its first
 * entry, everything before it is on stable storage.  A cut of it is a moment,
 * @end, the first entry that has not completed, and a choice of what is there of
 * the entries before: all FUA writes, and any part of the others in pieces of
 * 4 KiB; of metadata, if it is a torn cut, in sectors.  The entry at @end, if that
 * is a FUA write, may have got there in part as well.
 *
 * A cut is named FROM.NUMBER; the name and the seed say all about it.
 */
#ifndef LOG_WRITES_CUT_H
#define LOG_WRITES_CUT_H

#include "disk.h"
#include "log.h"

/* What of the entries before the cut is there. */
enum lw_choice {
	LW_NOTHING,		/* the moment at which the flush was done */
	LW_PREFIX,		/* all of them */
	LW_META_ALONE,		/* metadata without the data */
	LW_DATA_ALONE,
	LW_BY_LOT,		/* each piece or not */
	LW_ONE_ALONE,		/* one entry */
	LW_ALL_BUT_ONE,
	LW_TORN,		/* by lot, metadata in sectors */
	LW_META_TORN,		/* metadata in sectors, without the data */
	LW_CHOICES
};

struct lw_cut {
	uint32_t from, number, end;
	enum lw_choice choice;
	bool in_flight;		/* parts of the FUA write at @end */
	uint32_t the_one;	/* LW_ONE_ALONE, LW_ALL_BUT_ONE */
	uint64_t lots;		/* state of the lots */
};

/* The entry behind the segment that begins with @from: its flush, or the end. */
uint32_t lw_segment_end(const struct lw_log *log, uint32_t from);

/*
 * @disk is watched.  Numbers from LW_CHOICES on make the same choices with other
 * lots.
 */
void lw_cut_make(struct lw_cut *cut, const struct lw_log *log,
		 const struct lw_disk *disk, uint32_t from, uint32_t number,
		 uint64_t seed);

/* Bring the disk, on which all before the segment is, to the cut. */
void lw_cut_apply(struct lw_cut *cut, const struct lw_log *log,
		  struct lw_disk *disk);

/* Write all of the segment. */
void lw_segment_apply(const struct lw_log *log, uint32_t from, uint32_t end,
		      struct lw_disk *disk);

/*
 * Can the log be cut at all?  Every write must lie on the disk, none may be a
 * discard, and none may overlap a FUA write that stands before it in the same
 * segment: which came first on the disk is not known then.
 */
int lw_log_check(const struct lw_log *log, const struct lw_disk *disk,
		 struct bc_error *error);

#endif /* LOG_WRITES_CUT_H */
