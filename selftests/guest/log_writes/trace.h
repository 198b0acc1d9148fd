/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which LSN was which write: the primary's tracepoints blkcast_write_start and
 * blkcast_write_done, as /sys/kernel/tracing/trace shows them.
 */
#ifndef LOG_WRITES_TRACE_H
#define LOG_WRITES_TRACE_H

#include <stdint.h>

#include "error.h"

struct lw_write {
	uint64_t lsn, sector;	/* of the volume */
	uint32_t sectors;
};

/**
 * struct lw_trace - the stream of one volume
 * @writes: by LSN
 * @flushes: their LSNs, in order
 */
struct lw_trace {
	struct lw_write *writes;
	uint64_t *flushes;
	uint32_t count, flush_count;
};

/* 0 or a negative errno; the caller frees it then as well. */
int lw_trace_read(struct lw_trace *trace, const char *path, uint32_t minor,
		  struct bc_error *error);
void lw_trace_free(struct lw_trace *trace);

/* Put the flushes of an earlier trace of the volume, up to the cut, before its own. */
int lw_trace_join_flushes(struct lw_trace *trace, const struct lw_trace *before,
			  struct bc_error *error);

/* The newest flush before @lsn, 0: none. */
uint64_t lw_trace_flush_before(const struct lw_trace *trace, uint64_t lsn);

#endif /* LOG_WRITES_TRACE_H */
