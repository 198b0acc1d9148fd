// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The history of each sector.
 *
 * Built in two passes: the traces say how many versions each sector has and
 * which LSNs, the logs fill in what they were.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "history.h"

/* Call @fn for each version of a chapter, in the order of their LSNs. */
static void chapter_walk(struct lw_history *history, const struct lw_chapter *c,
			 void (*fn)(struct lw_history *, uint64_t sector,
				    uint64_t lsn))
{
	for (uint64_t s = 0; c->base && s < history->sectors; s++)
		fn(history, s, c->base_lsn);
	for (uint32_t i = 0; i < c->trace->count; i++) {
		const struct lw_write *w = &c->trace->writes[i];

		for (uint32_t s = 0; s < w->sectors; s++)
			fn(history, w->sector + s, w->lsn);
	}
}

static bool trace_fits(const struct lw_history *history, const struct lw_trace *trace)
{
	for (uint32_t i = 0; i < trace->count; i++) {
		const struct lw_write *w = &trace->writes[i];

		if (w->sector >= history->sectors ||
		    w->sectors > history->sectors - w->sector)
			return false;
	}
	return true;
}

/* Counts stand two places on; then starts one place on; then where they belong. */
static void version_count(struct lw_history *history, uint64_t sector, uint64_t lsn)
{
	(void)lsn;
	history->first[sector + 2]++;
}

static void version_add(struct lw_history *history, uint64_t sector, uint64_t lsn)
{
	history->versions[history->first[sector + 1]++].lsn = lsn;
}

static int lists_make(struct lw_history *history, const struct lw_chapter *chapters,
		      uint32_t count, struct bc_error *error)
{
	uint64_t s;

	history->first = calloc(history->sectors + 2, sizeof(*history->first));
	if (!history->first)
		return bc_fail(error, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < count; i++) {
		if (!trace_fits(history, chapters[i].trace))
			return bc_fail(error, -EINVAL, "a trace has a write behind the volume's end");
		chapter_walk(history, &chapters[i], version_count);
	}
	for (s = 0; s < history->sectors; s++)
		history->first[s + 2] += history->first[s + 1];
	history->versions = calloc(history->first[s + 1] + 1,
				   sizeof(*history->versions));
	if (!history->versions)
		return bc_fail(error, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < count; i++)
		chapter_walk(history, &chapters[i], version_add);
	return 0;
}

/* How often each sector was written in a chapter's log. */
static void log_count(const struct lw_chapter *c, const struct lw_disk *disk,
		      uint32_t *written)
{
	for (uint32_t i = c->from; i < c->log->count; i++) {
		const struct lw_entry *e = &c->log->entries[i];

		for (uint64_t s = 0; s < e->sectors; s++)
			if (e->sector + s - disk->first < disk->volume)
				written[e->sector + s - disk->first]++;
	}
}

/*
 * What the trace does not know of is the zeroing, once and of a whole region.
 * Turns counts into how many writes to pass over.
 */
static int zeroings_find(const struct lw_history *history,
			 const struct lw_chapter *c, uint32_t *written,
			 struct bc_error *error)
{
	for (uint32_t i = 0; i < c->trace->count; i++)
		for (uint32_t s = 0; s < c->trace->writes[i].sectors; s++)
			written[c->trace->writes[i].sector + s]--;
	for (uint64_t s = 0; s < history->sectors; s++)
		if (written[s] > 1 || (s % history->region_sectors &&
				       written[s] != written[s - 1]))
			return bc_fail(error, -EINVAL,
				       "sector %" PRIu64 " has %d writes more in the log than in the trace",
				       s, (int)written[s]);
	return 0;
}

/* Take the values of a chapter; @next: of each sector the version to be filled. */
static int log_fill(struct lw_history *history, const struct lw_chapter *c,
		    const struct lw_disk *disk, uint32_t *pass, uint32_t *next,
		    struct bc_error *error)
{
	for (uint64_t s = 0; c->base && s < history->sectors; s++)
		history->versions[next[s]++].value = c->base[s];
	for (uint32_t i = c->from; i < c->log->count; i++) {
		const struct lw_entry *e = &c->log->entries[i];

		for (uint64_t k = 0; k < e->sectors; k++) {
			uint64_t s = e->sector + k - disk->first;
			uint64_t value;

			if (s >= disk->volume)
				continue;
			value = lw_value(s, e->data + k * LW_SECTOR);
			if (!pass[s])
				history->versions[next[s]++].value = value;
			else if (value != lw_value_zero(s))
				return bc_fail(error, -EINVAL,
					       "sector %" PRIu64 " was written before its region was zeroed",
					       s);
			pass[s] = 0;
		}
	}
	return 0;
}

int lw_history_make(struct lw_history *history, const struct lw_chapter *chapters,
		    uint32_t count, const struct lw_disk *disk,
		    struct bc_error *error)
{
	uint32_t *written, *next;
	int ret;

	memset(history, 0, sizeof(*history));
	history->sectors = disk->volume;
	history->region_sectors = disk->region_sectors;
	ret = lists_make(history, chapters, count, error);
	if (ret)
		return ret;
	written = calloc(history->sectors, sizeof(*written));
	next = malloc(history->sectors * sizeof(*next));
	if (!written || !next)
		ret = bc_fail(error, -ENOMEM, "out of memory");
	else
		memcpy(next, history->first, history->sectors * sizeof(*next));
	for (uint32_t i = 0; i < count && !ret; i++) {
		memset(written, 0, history->sectors * sizeof(*written));
		log_count(&chapters[i], disk, written);
		ret = zeroings_find(history, &chapters[i], written, error);
		if (!ret)
			ret = log_fill(history, &chapters[i], disk, written, next,
				       error);
	}
	free(next);
	free(written);
	return ret;
}

void lw_history_free(struct lw_history *history)
{
	free(history->first);
	free(history->versions);
}

uint64_t lw_history_value(const struct lw_history *history, uint64_t sector,
			  uint64_t lsn)
{
	uint32_t first = history->first[sector], i = history->first[sector + 1];

	while (i > first)
		if (history->versions[--i].lsn <= lsn)
			return history->versions[i].value;
	return lw_value_zero(sector);
}

static uint64_t region_end(const struct lw_history *history, uint32_t region)
{
	uint64_t end = (region + 1ULL) * history->region_sectors;

	return end < history->sectors ? end : history->sectors;
}

uint64_t lw_history_sum(const struct lw_history *history, uint32_t region,
			uint64_t lsn)
{
	uint64_t s = (uint64_t)region * history->region_sectors, sum = 0;

	for (; s < region_end(history, region); s++)
		sum += lw_history_value(history, s, lsn);
	return sum;
}

/* At first, before any version, a sector reads as zeros. */
static bool sector_span(const struct lw_history *history, uint64_t sector,
			uint64_t value, struct lw_span *span)
{
	uint32_t first = history->first[sector], end = history->first[sector + 1];
	bool found = value == lw_value_zero(sector);
	uint64_t oldest = 0;
	uint32_t after = first;

	for (uint32_t i = first; i < end; i++) {
		if (history->versions[i].value != value)
			continue;
		if (!found)
			oldest = history->versions[i].lsn;
		found = true;
		after = i + 1;
	}
	if (oldest > span->oldest)
		span->oldest = oldest;
	if (after < end && history->versions[after].lsn < span->missing)
		span->missing = history->versions[after].lsn;
	return found;
}

bool lw_history_span(const struct lw_history *history, uint32_t region,
		     const uint64_t *values, struct lw_span *span,
		     uint64_t *sector)
{
	*span = (struct lw_span){ .oldest = 0, .missing = UINT64_MAX };
	*sector = (uint64_t)region * history->region_sectors;
	for (; *sector < region_end(history, region); ++*sector)
		if (!sector_span(history, *sector, values ? values[*sector] :
				 lw_value_zero(*sector), span))
			return false;
	return true;
}
