/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What must hold at every cut:
 *
 *  1. One copy of the superblock is valid, and not older than what is durable.
 *  2. One slot of each map block is valid, and not older than what is durable.
 *  3. Two copies of a region are the same exactly when their stamps are equal:
 *     a region that is neither active nor in doubt holds what it held after the
 *     write that its stamp names.                           RULES 5, 6
 *  4. Into an untouched region nothing was ever written, and it has no stamp.
 *                                                           RULE 3
 *  5. In a touched region stands what was written there at some time, or zeros:
 *     nothing of what the disk held before.                 RULE 3
 *  6. A replica that is not marked inconsistent holds everything up to the last
 *     flush before the newest write it holds.               RULES 12, 15, 17
 *  7. A replica with a position holds all that was written up to there. RULE 18
 */
#ifndef LOG_WRITES_CHECK_H
#define LOG_WRITES_CHECK_H

#include "cut.h"
#include "history.h"
#include "ondisk.h"

struct lw_seen;

/**
 * struct lw_check - one log under check
 * @complaints: how many bad cuts are told of, on standard output
 * @replica: it is a replica's: 6 and 7 hold
 * @failures: cuts at which something did not hold
 * @claims: 3, how often checked
 * @distinct: 3, different claims: region and stamp
 * @consistent: cuts at which 6 was checked
 * @positions: cuts at which 7 was checked
 * @doubts: regions in doubt in all cuts, for which nothing is claimed
 */
struct lw_check {
	const struct lw_log *log;
	const struct lw_history *history;
	const struct lw_trace *trace;
	struct lw_disk *disk;
	struct lw_meta meta;
	uint64_t complaints;
	bool replica;
	uint64_t super_generation;
	uint64_t *generations;		/* of the map blocks, as durable */
	struct lw_seen *seen;		/* of each region */
	uint64_t failures, claims, distinct, consistent, positions, doubts;
};

/* The disk stands where the volume has just been created. */
int lw_check_init(struct lw_check *check, struct bc_error *error);
void lw_check_free(struct lw_check *check);

/* The disk stands at the beginning of a segment. */
void lw_check_durable(struct lw_check *check);

/* The disk stands at the cut.  false: something does not hold. */
bool lw_check_cut(struct lw_check *check, const struct lw_cut *cut);

/* Is the copy at this cut one that may be used: no resync has begun on it? */
bool lw_check_consistent(const struct lw_check *check);

#endif /* LOG_WRITES_CHECK_H */
