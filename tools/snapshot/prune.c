// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which of a folder's snapshots may go (see prune.h).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../lib/util.h"
#include "prune.h"

const char *const prune_rule_name[PRUNE_RULES] = {
	"last", "hourly", "daily", "weekly", "monthly", "yearly"
};

struct prune_snapshot *prune_add(struct prune_set *set)
{
	struct prune_snapshot *grown = set->snapshot;

	/* Powers of two. */
	if (!(set->count & (set->count - 1)))
		grown = realloc(grown, (set->count ? 2 * set->count : 1) * sizeof(*grown));
	if (!grown)
		return NULL;
	set->snapshot = grown;
	return memset(&grown[set->count++], 0, sizeof(*grown));
}

void prune_release(struct prune_set *set)
{
	size_t i;

	for (i = 0; i < set->count; i++) {
		free(set->snapshot[i].name);
		free(set->snapshot[i].why);
	}
	free(set->snapshot);
	*set = (struct prune_set) { 0 };
}

/* ---- the volume ---- */

static bool is_wanted(const struct prune_snapshot *snapshot, const char *wanted)
{
	uint8_t uuid[16];

	if (snapshot->state != PRUNE_WHOLE || bc_uuid_is_null(snapshot->volume))
		return false;
	if (!wanted)
		return true;
	if (!bc_uuid_parse(wanted, uuid))
		return !memcmp(uuid, snapshot->volume, sizeof(uuid));
	return !strcmp(wanted, snapshot->volume_name);
}

static int find_volume(const struct prune_set *set, const char *wanted, uint8_t volume[16],
		       struct bc_error *error)
{
	const struct prune_snapshot *found = NULL;
	char one[BC_UUID_TEXT], other[BC_UUID_TEXT];
	size_t i;

	for (i = 0; i < set->count; i++) {
		const struct prune_snapshot *snapshot = &set->snapshot[i];

		if (!is_wanted(snapshot, wanted))
			continue;
		if (found && memcmp(found->volume, snapshot->volume, sizeof(found->volume)))
			return bc_fail(error, -EINVAL,
				       "%s is of volume %s (%s), %s of volume %s (%s): say which is meant, with --volume UUID",
				       found->name, found->volume_name,
				       bc_uuid_format(found->volume, one), snapshot->name,
				       snapshot->volume_name,
				       bc_uuid_format(snapshot->volume, other));
		found = snapshot;
	}
	if (!found && wanted)
		return bc_fail(error, -ENOENT, "there is no whole snapshot of volume %s", wanted);
	memset(volume, 0, sizeof(found->volume));
	if (found)
		memcpy(volume, found->volume, sizeof(found->volume));
	return 0;
}

static bool is_of(const struct prune_snapshot *snapshot, const uint8_t volume[16])
{
	return !bc_uuid_is_null(volume) &&
	       !memcmp(snapshot->volume, volume, sizeof(snapshot->volume));
}

static int tell_foreign(struct prune_snapshot *snapshot, struct bc_error *error)
{
	char uuid[BC_UUID_TEXT], *why;

	if (asprintf(&why, "of another volume, %s (uuid %s)", snapshot->volume_name,
		     bc_uuid_format(snapshot->volume, uuid)) < 0)
		return bc_fail(error, -ENOMEM, "out of memory");
	snapshot->state = PRUNE_FOREIGN;
	free(snapshot->why);
	snapshot->why = why;
	return 0;
}

int prune_volume(struct prune_set *set, const char *wanted, uint8_t volume[16],
		 struct bc_error *error)
{
	int err = find_volume(set, wanted, volume, error);
	size_t i;

	for (i = 0; !err && i < set->count; i++) {
		struct prune_snapshot *snapshot = &set->snapshot[i];

		if (snapshot->state != PRUNE_FOREIGN && !is_of(snapshot, volume))
			err = tell_foreign(snapshot, error);
	}
	return err;
}

/* ---- chains ---- */

static int by_time(const void *a, const void *b)
{
	const struct prune_snapshot *x = a, *y = b;

	if (x->created != y->created)
		return x->created < y->created ? 1 : -1;
	/* The same order whatever order the folder has. */
	return strcmp(x->name, y->name);
}

static struct prune_snapshot *find(const struct prune_set *set, const uint8_t id[16])
{
	size_t i;

	for (i = 0; i < set->count; i++) {
		struct prune_snapshot *snapshot = &set->snapshot[i];

		if (snapshot->state != PRUNE_FOREIGN && !memcmp(snapshot->id, id, 16))
			return snapshot;
	}
	return NULL;
}

static int link_chains(struct prune_set *set, struct bc_error *error)
{
	size_t i;

	for (i = 0; i < set->count; i++) {
		struct prune_snapshot *snapshot = &set->snapshot[i], *first;

		if (snapshot->state == PRUNE_FOREIGN)
			continue;
		first = find(set, snapshot->id);
		if (first != snapshot)
			return bc_fail(error, -EINVAL,
				       "%s and %s are the same snapshot: move one of them away",
				       first->name, snapshot->name);
		snapshot->base = snapshot->delta ? find(set, snapshot->parent) : NULL;
	}
	return 0;
}

static const char *chain_gap(const struct prune_snapshot *snapshot)
{
	const struct prune_snapshot *base = snapshot->base;

	if (!snapshot->delta)
		return NULL;
	if (!base)
		return "what it builds on is not here";
	if (base->state != PRUNE_WHOLE)
		return "it builds on a damaged one";
	return base->root != snapshot->parent_root ?
		"what it builds on has another content here" : NULL;
}

/* Follow each chain to its full snapshot; where there is a gap, it counts for nothing. */
static int check_chain(const struct prune_set *set, struct prune_snapshot *snapshot,
		       struct bc_error *error)
{
	const struct prune_snapshot *at = snapshot;
	const char *gap = NULL;

	for (snapshot->depth = 0; at && !gap; at = at->base) {
		gap = chain_gap(at);
		if (!gap && at->base && ++snapshot->depth > set->count)
			gap = "it builds on itself";
	}
	if (!gap)
		return 0;
	snapshot->why = strdup(gap);
	return snapshot->why ? 0 : bc_fail(error, -ENOMEM, "out of memory");
}

static int check_chains(struct prune_set *set, struct bc_error *error)
{
	int err = 0;
	size_t i;

	for (i = 0; !err && i < set->count; i++) {
		if (set->snapshot[i].state == PRUNE_WHOLE)
			err = check_chain(set, &set->snapshot[i], error);
	}
	return err;
}

/* ---- rules ---- */

/* The hour, day... that each is of: a number that is the same for all of it. */
static void find_periods(struct prune_snapshot *snapshot)
{
	time_t seconds = snapshot->created / 1000000000;
	int64_t *period = snapshot->period;
	char week[16];
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(week, sizeof(week), "%G%V", &tm);
	/* The hour that comes twice when a clock is put back is two. */
	period[PRUNE_HOURLY] = (seconds + tm.tm_gmtoff) / 3600 * 100000 + tm.tm_gmtoff / 60;
	period[PRUNE_DAILY] = tm.tm_year * 1000LL + tm.tm_yday;
	period[PRUNE_WEEKLY] = strtoll(week, NULL, 10);
	period[PRUNE_MONTHLY] = tm.tm_year * 100LL + tm.tm_mon;
	period[PRUNE_YEARLY] = tm.tm_year;
}

/* @at is the newest of its period. */
static bool is_newest(const struct prune_set *set, size_t at, enum prune_rule rule)
{
	const struct prune_snapshot *snapshot = set->snapshot;
	size_t i;

	for (i = 0; rule != PRUNE_LAST && i < at; i++) {
		if (snapshot[i].verdict != PRUNE_LEAVE &&
		    snapshot[i].period[rule] == snapshot[at].period[rule])
			return false;
	}
	return true;
}

static void apply_rule(struct prune_set *set, enum prune_rule rule, uint32_t keep)
{
	size_t i;

	for (i = 0; keep && i < set->count; i++) {
		struct prune_snapshot *snapshot = &set->snapshot[i];

		if (snapshot->verdict == PRUNE_LEAVE || !is_newest(set, i, rule))
			continue;
		snapshot->rules |= 1U << rule;
		snapshot->verdict = PRUNE_KEEP;
		keep--;
	}
}

/* Inv. 1 */
static void keep_bases(struct prune_set *set)
{
	size_t i, steps;

	for (i = 0; i < set->count; i++) {
		const struct prune_snapshot *child = &set->snapshot[i];
		struct prune_snapshot *base = child->base;

		if (child->verdict == PRUNE_DELETE)
			continue;
		for (steps = 0; base && steps < set->count; base = base->base, steps++) {
			if (base->verdict == PRUNE_DELETE)
				base->verdict = PRUNE_KEEP;
			if (!base->needed_by)
				base->needed_by = child;
		}
	}
}

int prune_decide(struct prune_set *set, const uint32_t keep[PRUNE_RULES],
		 struct bc_error *error)
{
	unsigned int rule;
	size_t i;
	int err;

	if (set->count)
		qsort(set->snapshot, set->count, sizeof(*set->snapshot), by_time);
	err = link_chains(set, error);
	if (!err)
		err = check_chains(set, error);
	if (err)
		return err;
	for (i = 0; i < set->count; i++) {
		struct prune_snapshot *snapshot = &set->snapshot[i];

		snapshot->verdict = snapshot->state == PRUNE_WHOLE && !snapshot->why ?
				    PRUNE_DELETE : PRUNE_LEAVE;
		find_periods(snapshot);
	}
	for (rule = 0; rule < PRUNE_RULES; rule++)
		apply_rule(set, rule, keep[rule]);
	keep_bases(set);
	return 0;
}

/* ---- order ---- */

static int by_depth(const void *a, const void *b)
{
	const struct prune_snapshot *x = *(struct prune_snapshot *const *)a;
	const struct prune_snapshot *y = *(struct prune_snapshot *const *)b;

	if (x->depth != y->depth)
		return x->depth < y->depth ? 1 : -1;
	return by_time(y, x);
}

struct prune_snapshot **prune_order(const struct prune_set *set, size_t *count)
{
	struct prune_snapshot **order = calloc(set->count + 1, sizeof(*order));
	size_t i;

	*count = 0;
	if (!order)
		return NULL;
	for (i = 0; i < set->count; i++) {
		if (set->snapshot[i].verdict == PRUNE_DELETE)
			order[(*count)++] = &set->snapshot[i];
	}
	qsort(order, *count, sizeof(*order), by_depth);
	return order;
}
