// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Lag: how far a replica trails, as the primary knows it by its own clock.
 *
 * A write passes, on each link, the stages  queued -> sent -> received -> applied
 * -> durable.  For each of them there is a cursor: the oldest write that has not
 * passed it.  Whoever asks gets its age at that moment, and how many writes and
 * bytes have been logged from it on.  The cursors for sent, received and applied
 * are the link's places in the backlog.
 *
 *  1. Nothing is computed while writes run: the cursors move, the rest is done
 *     when it is asked for.  So an age grows while a stage is stuck, whatever the
 *     others do, and is 0 when there is nothing to pass.
 *  2. What is applied leaves the backlog before it is durable.  Its oldest is
 *     kept as a mark, not as an entry (undurable).  The replica's durable position
 *     moves to where its applied one is at that moment, so the next mark is
 *     always among what the same acknowledgement has applied.
 *  3. Writes that have spilled to the dirty set have no cursor: the age is that of
 *     the oldest of them, behind_since, until the link is in sync again.
 *  4. What a replica lacks does not get younger because its link ends: a link
 *     leaves a record (struct blkcast_away) behind, and the next one of the same
 *     name takes it up.  It lasts as long as the reign.
 *  5. A figure that nobody knows is not given: never 0 instead.
 */
#include <linux/slab.h>

#include "lag.h"

/* A cursor: the oldest write that has not passed a stage. */
struct place {
	u64 start;		/* ktime_get_ns() at its arrival; 0: there is none */
	u64 writes, bytes;	/* vol->logged_* before it */
};

static struct place place_of(const struct blkcast_op *op)
{
	struct place p = {};

	if (op) {
		p.start = op->start;
		p.writes = op->writes_before;
		p.bytes = op->bytes_before;
	}
	return p;
}

static struct place place_undurable(const struct blkcast_link *l)
{
	const struct blkcast_mark *m = &l->undurable;

	if (!m->start)
		return place_of(l->unapplied);
	return (struct place){ m->start, m->writes, m->bytes };
}

static void lag_at(const struct blkcast_volume *v, struct place p, u64 now,
		   struct blkcast_lag *lag)
{
	lag->known = true;
	lag->ns = p.start ? now - p.start : 0;
	lag->writes = p.start ? v->logged_writes - p.writes : 0;
	lag->bytes = p.start ? v->logged_bytes - p.bytes : 0;
}

/* Inv. 3. */
static void lag_spilled(const struct blkcast_link *l, bool spilled, u64 now,
			struct blkcast_lag *lag)
{
	if (spilled && l->behind_since)
		lag->ns = max(lag->ns, now - l->behind_since);
}

/* As the link left it: inv. 4. */
static void lag_away(const struct blkcast_volume *v, const struct blkcast_away *a,
		     u64 now, struct blkcast_lag *lag)
{
	lag_at(v, (struct place){ a->since, a->writes, a->bytes }, now, lag);
	lag->known = a->known;
}

/* The replica has not told yet where it is, or tells no more: inv. 4 and 5. */
static void lag_unheard(const struct blkcast_link *l, u64 now,
			struct blkcast_lag lags[BLKCAST_LAG_STAGES])
{
	int i;

	for (i = 0; i < BLKCAST_LAG_STAGES; i++) {
		lag_away(l->vol, l->away, now, &lags[i]);
		if (l->state == BLKCAST_LINK_COMPARING && !l->away->since)
			lags[i].known = false;
	}
}

/**
 * blkcast_lag_get() - how far a link trails
 * @l: a link of a primary
 * @now: ktime_get_ns()
 * @lags: filled in, one a stage
 *
 * Caller holds vol->lock.
 */
void blkcast_lag_get(const struct blkcast_link *l, u64 now,
		     struct blkcast_lag lags[BLKCAST_LAG_STAGES])
{
	const struct blkcast_volume *v = l->vol;
	bool behind = l->state == BLKCAST_LINK_RESYNC;
	bool dirty = behind && l->dirty_count;

	lockdep_assert_held(&v->lock);
	if (l->state < BLKCAST_LINK_RESYNC) {
		lag_unheard(l, now, lags);
		return;
	}
	lag_at(v, place_of(l->next), now, &lags[BLKCAST_LAG_SENT]);
	lag_at(v, place_of(l->unreceived), now, &lags[BLKCAST_LAG_RECEIVED]);
	lag_at(v, place_of(l->unapplied), now, &lags[BLKCAST_LAG_APPLIED]);
	lag_at(v, place_undurable(l), now, &lags[BLKCAST_LAG_DURABLE]);
	lag_spilled(l, dirty, now, &lags[BLKCAST_LAG_SENT]);
	lag_spilled(l, dirty, now, &lags[BLKCAST_LAG_RECEIVED]);
	lag_spilled(l, behind, now, &lags[BLKCAST_LAG_APPLIED]);
	lag_spilled(l, behind, now, &lags[BLKCAST_LAG_DURABLE]);
}

/* Bytes in dirty regions; the last region may be short. */
u64 blkcast_lag_dirty_bytes(const struct blkcast_link *l)
{
	struct blkcast_volume *v = l->vol;
	u32 last = v->regions - 1, whole = 1U << v->region_shift;
	u64 sectors = (u64)l->dirty_count << v->region_shift;

	lockdep_assert_held(&v->lock);
	if (test_bit(last, l->dirty))
		sectors -= whole - blkcast_region_sectors(v, last);
	return sectors << SECTOR_SHIFT;
}

/* ---- the mark: inv. 2 ---- */

/* The replica's durable position has moved.  Caller holds vol->lock. */
void blkcast_lag_durable(struct blkcast_link *l)
{
	l->undurable.start = 0;
}

/* An entry has been applied there.  Caller holds vol->lock. */
void blkcast_lag_applied(struct blkcast_link *l, const struct blkcast_op *op)
{
	struct blkcast_mark *m = &l->undurable;

	if (m->start || !blkcast_op_writes(op) || op->lsn <= l->durable)
		return;
	m->start = op->start;
	m->writes = op->writes_before;
	m->bytes = op->bytes_before;
}

/* ---- replicas that are away: inv. 4 ---- */

int blkcast_lag_init(struct blkcast_link *l)
{
	l->away = kzalloc(sizeof(*l->away), GFP_KERNEL);
	if (!l->away)
		return -ENOMEM;
	strscpy(l->away->name, l->name, sizeof(l->away->name));
	return 0;
}

void blkcast_lag_free(struct blkcast_link *l)
{
	kfree(l->away);
}

/* The first write from an entry of the backlog on; a flush is none. */
static const struct blkcast_op *write_from(const struct blkcast_op *op)
{
	const struct list_head *log;

	if (!op)
		return NULL;
	/* Not of @op, which is none at the end. */
	log = &op->vol->log;
	list_for_each_entry_from(op, log, log_node)
		if (blkcast_op_writes(op))
			return op;
	return NULL;
}

/* One a name at most: a name has one link at a time. */
static struct blkcast_away *away_find(struct blkcast_volume *v, const char *name)
{
	struct blkcast_away *a;

	list_for_each_entry(a, &v->away, node)
		if (!strcmp(a->name, name))
			return a;
	return NULL;
}

/* A link begins.  Caller holds vol->lock. */
void blkcast_lag_begin(struct blkcast_link *l)
{
	struct blkcast_volume *v = l->vol;
	struct blkcast_away *a = away_find(v, l->name);

	lockdep_assert_held(&v->lock);
	if (!a)
		return;
	*l->away = *a;
	if (a->since)
		l->behind_since = a->since;
	list_del(&a->node);
	kfree(a);
}

/* A link fails, its cursors still stand.  Caller holds vol->lock. */
void blkcast_lag_fail(struct blkcast_link *l)
{
	struct blkcast_volume *v = l->vol;
	struct blkcast_away *a = l->away;
	struct place p = place_of(write_from(l->unapplied));

	lockdep_assert_held(&v->lock);
	if (!l->dirty)
		return;
	list_add(&a->node, &v->away);
	a->heard = l->rx_when;
	/* Nothing new is known of one that never told where it is. */
	if (l->state == BLKCAST_LINK_COMPARING) {
		a->since = a->since ?: p.start;
		return;
	}
	a->applied = l->applied;
	a->known = true;
	a->since = p.start;
	a->writes = p.start ? p.writes : v->logged_writes;
	a->bytes = p.start ? p.bytes : v->logged_bytes;
	a->spilled = l->state == BLKCAST_LINK_RESYNC;
	if (a->spilled)
		a->since = l->behind_since;
}

/* It is gone, its record stays.  Caller holds vol->lock. */
void blkcast_lag_end(struct blkcast_link *l)
{
	lockdep_assert_held(&l->vol->lock);
	if (l->dirty)
		l->away = NULL;
}

/* A write is logged: the first that some replicas lack.  Caller holds vol->lock. */
void blkcast_lag_log(struct blkcast_volume *v, const struct blkcast_op *op)
{
	struct blkcast_away *a;

	lockdep_assert_held(&v->lock);
	if (!blkcast_op_writes(op))
		return;
	list_for_each_entry(a, &v->away, node)
		if (a->known && !a->since)
			a->since = op->start;
}

/* Another reign begins, or none.  No link is left. */
void blkcast_lag_forget(struct blkcast_volume *v)
{
	struct blkcast_away *a, *next;
	LIST_HEAD(gone);

	spin_lock_irq(&v->lock);
	list_splice_init(&v->away, &gone);
	spin_unlock_irq(&v->lock);
	list_for_each_entry_safe(a, next, &gone, node)
		kfree(a);
}

/* How far one that is away trails.  Caller holds vol->lock. */
void blkcast_lag_get_away(const struct blkcast_volume *v,
			  const struct blkcast_away *a, u64 now,
			  struct blkcast_lag *lag)
{
	lockdep_assert_held(&v->lock);
	lag_away(v, a, now, lag);
}
