/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What each sector of a volume held after which LSN: made of the primary's logs,
 * which have the content of the writes, and its traces, which have their LSNs.
 *
 * Writes that overlap follow each other on the disk in the order of their LSNs,
 * so the n-th write of a sector in a log is the n-th in its trace.  Only the
 * zeroing of a region before its first write is in the log alone.
 */
#ifndef LOG_WRITES_HISTORY_H
#define LOG_WRITES_HISTORY_H

#include "disk.h"
#include "log.h"
#include "trace.h"

/* A sector has the value from the write with this LSN on. */
struct lw_version {
	uint64_t lsn, value;
};

/**
 * struct lw_history - the versions of all sectors of a volume
 * @first: of each sector, its first one in @versions; @sectors + 1 entries
 */
struct lw_history {
	uint64_t sectors;
	uint32_t region_sectors;
	uint32_t *first;
	struct lw_version *versions;
};

/**
 * struct lw_chapter - a recording of the primary
 * @log, @from: its log, from that entry on
 * @trace: of the same time
 * @base: what its sectors read as when it began, after a power cut; NULL: nothing
 *	was written before
 * @base_lsn: the LSN from which on they do: the stamp of what was in doubt
 */
struct lw_chapter {
	const struct lw_log *log;
	uint32_t from;
	const struct lw_trace *trace;
	const uint64_t *base;
	uint64_t base_lsn;
};

/*
 * @chapters: oldest first; @disk: where the volume lies on it.  Fails if a log and
 * its trace are not of the same writes.
 */
int lw_history_make(struct lw_history *history, const struct lw_chapter *chapters,
		    uint32_t count, const struct lw_disk *disk,
		    struct bc_error *error);
void lw_history_free(struct lw_history *history);

/* The value of a sector after the write with that LSN. */
uint64_t lw_history_value(const struct lw_history *history, uint64_t sector,
			  uint64_t lsn);
/* struct lw_region.sum of a region after the write with that LSN. */
uint64_t lw_history_sum(const struct lw_history *history, uint32_t region,
			uint64_t lsn);

/**
 * struct lw_span - to which part of the history a content may belong
 * @oldest: its writes are there at least up to this LSN
 * @missing: the first write that is not there, UINT64_MAX: all are
 */
struct lw_span {
	uint64_t oldest, missing;
};

/*
 * The span of a region; @values: of all sectors of the volume, NULL: it reads as
 * zeros.  false: @sector, one of the region's, was never so.
 */
bool lw_history_span(const struct lw_history *history, uint32_t region,
		     const uint64_t *values, struct lw_span *span,
		     uint64_t *sector);

#endif /* LOG_WRITES_HISTORY_H */
