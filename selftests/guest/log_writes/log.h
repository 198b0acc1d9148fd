/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A log of dm-log-writes: all that was written to a device, in an order in which
 * a power cut can be put anywhere.
 *
 * The format is drivers/md/dm-log-writes.c's: a superblock in the first sector,
 * then for each entry a sector with its header and the data.  A write that is
 * complete when a flush is submitted stands before that flush, a FUA write where
 * it completed, all others behind the flush: at any entry, what stands before the
 * last flush, and each FUA write, is on stable storage; of the rest anything may
 * be missing.
 */
#ifndef LOG_WRITES_LOG_H
#define LOG_WRITES_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define LW_SECTOR	512

#define LW_FLUSH	(1U << 0)
#define LW_FUA		(1U << 1)
#define LW_DISCARD	(1U << 2)
#define LW_MARK		(1U << 3)
#define LW_META		(1U << 4)

/* The log's own last mark: without it, entries are missing. */
#define LW_END_MARK	"dm-log-writes-end"

/**
 * struct lw_entry - what one bio, or one mark, left in the log
 * @sector: first sector, of LW_SECTOR bytes
 * @sectors: 0: a flush or a mark
 * @flags: LW_*
 * @data: @sectors of it, or the mark's text
 * @length: of the mark's text, which has no terminator
 */
struct lw_entry {
	uint64_t sector, sectors;
	uint32_t flags, length;
	const uint8_t *data;
};

struct lw_log {
	struct lw_entry *entries;
	uint32_t count;
	void *bytes;		/* of the whole log, mapped */
	size_t size;
};

/*
 * Read a log device or its image; the log must be complete.  0 or a negative
 * errno; the caller closes it then as well.
 */
int lw_log_open(struct lw_log *log, const char *path, struct bc_error *error);
void lw_log_close(struct lw_log *log);

bool lw_mark_is(const struct lw_entry *entry, const char *text);
/* The entry that is this mark; -ENOENT: there is none. */
int lw_log_find(const struct lw_log *log, const char *mark, uint32_t *index,
		struct bc_error *error);

#endif /* LOG_WRITES_LOG_H */
