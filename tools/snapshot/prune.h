/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which of a folder's snapshots may go.
 *
 * A policy is a number for each rule: the N newest; the newest of each of the N
 * newest hours, days, weeks (ISO 8601), months, years that have one.  A snapshot's
 * time is that at which its reading began, as it says itself, in the local time zone;
 * the clock is not asked, so however long no snapshot was made, none goes for its age.
 *
 * Invariants:
 *  1. Whatever stays has all that it builds on: a parent of what stays, stays.  That
 *     goes for damaged snapshots, too: nothing is taken from them.
 *  2. Only what can be restored counts for a rule: a damaged snapshot, or one whose
 *     chain has a gap, never takes the place of another.
 *  3. What stays for no rule and is not known to be whole and of this volume is left
 *     alone.
 *  4. Deleted in the order of prune_order(), generation by generation, what is left
 *     keeps inv. 1 at every moment.
 */
#ifndef SNAPSHOT_PRUNE_H
#define SNAPSHOT_PRUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/error.h"

enum prune_rule {
	PRUNE_LAST, PRUNE_HOURLY, PRUNE_DAILY, PRUNE_WEEKLY, PRUNE_MONTHLY, PRUNE_YEARLY,
	PRUNE_RULES
};

/* "last", "hourly", ... */
extern const char *const prune_rule_name[PRUNE_RULES];

enum prune_state {
	PRUNE_FOREIGN,	/* another volume's, or no snapshot at all */
	PRUNE_DAMAGED,	/* its begin is good: what it builds on is known */
	PRUNE_WHOLE,	/* begin and end are good */
};

enum prune_verdict { PRUNE_KEEP, PRUNE_DELETE, PRUNE_LEAVE };

/**
 * struct prune_snapshot - one file
 * @name: in the folder; owned
 * @why: what is wrong with it; owned, or NULL
 * @inode, @bytes: of the file, to see that it is still the same
 * @volume, @volume_name, @id, @root, @parent, @parent_root, @delta, @created: as in
 *	SUPER and TRAILER (format.h), in host order
 *
 * Set by prune_decide():
 * @base: the snapshot that it builds on; NULL: none, or it is not here
 * @depth: how many it builds on
 * @period: of a rule: which hour, day... it is of
 * @rules: a bit for each rule by which it is kept
 * @needed_by: it is kept for this one, or NULL
 */
struct prune_snapshot {
	char *name, *why;
	uint64_t inode, bytes;
	enum prune_state state;
	uint8_t volume[16], id[16], parent[16];
	char volume_name[64];
	uint64_t root, parent_root, created;
	bool delta;

	struct prune_snapshot *base;
	unsigned int depth, rules;
	int64_t period[PRUNE_RULES];
	enum prune_verdict verdict;
	const struct prune_snapshot *needed_by;
};

/**
 * struct prune_set - a folder's snapshots
 * @snapshot: @count of them; after prune_decide() by time, newest first
 */
struct prune_set {
	struct prune_snapshot *snapshot;
	size_t count;
};

/* One more, all zeros, to be filled; NULL: no memory. */
struct prune_snapshot *prune_add(struct prune_set *set);
void prune_release(struct prune_set *set);

/*
 * Of which volume are they?  @wanted: NULL, its uuid, or its name as the snapshots
 * have it.  All others become PRUNE_FOREIGN, those of plain images, too.  Without
 * @wanted there may be none: @volume is zeros then, and everything PRUNE_FOREIGN.
 * -ENOENT: there is none of @wanted; -EINVAL: it may be several.
 */
int prune_volume(struct prune_set *set, const char *wanted, uint8_t volume[16],
		 struct bc_error *error);

/* @keep: the number for each rule.  -EINVAL: two files are the same snapshot. */
int prune_decide(struct prune_set *set, const uint32_t keep[PRUNE_RULES],
		 struct bc_error *error);

/*
 * Those to be deleted, children before parents; the array is to be freed.  A
 * generation (@depth) has to be gone for good before the next begins.  NULL: no
 * memory.
 */
struct prune_snapshot **prune_order(const struct prune_set *set, size_t *count);

#endif /* SNAPSHOT_PRUNE_H */
