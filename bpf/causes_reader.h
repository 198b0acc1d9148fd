/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which writes are slow, and who and what keeps the replicas behind: loading,
 * attaching and reading causes.bpf.c.
 *
 * Whatever happens to this process, the kernel detaches the probes with its last
 * file descriptor.
 */
#ifndef _BLKCAST_CAUSES_READER_H
#define _BLKCAST_CAUSES_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "causes.h"

/* Records kept of one interval; the slowest if there are more. */
#define CAUSES_SLOW_MAX	1000

struct causes;

/**
 * struct causes_want - what to look for
 * @minor: of the only volume, or LAG_MINOR_ANY
 * @slow_ns: a write is slow from here on; 0: no records
 * @top: sums by region and process
 */
struct causes_want {
	uint32_t minor;
	uint64_t slow_ns;
	bool top;
};

/* As probes_open(). */
int causes_open(struct causes **result, const struct causes_want *want, char *why,
		size_t size);

/* Detach and free; NULL is fine. */
void causes_close(struct causes *causes);

/* Take the records that have come since, and the sums.  0 or a negative errno. */
int causes_read(struct causes *causes);

/* The records of the last interval, the slowest first, and how many there were. */
const struct causes_slow *causes_slow(const struct causes *causes, size_t *count,
				      uint64_t *seen);

/**
 * struct causes_origin - an origin and what it has cost since the start
 * @key: volume, and region or process
 */
struct causes_origin {
	struct causes_key key;
	struct causes_sum sum;
};

/* The origins of a kind, the costliest first. */
const struct causes_origin *causes_top(const struct causes *causes, enum causes_kind kind,
				       size_t *count);

/* Slow writes and sums that found no room. */
uint64_t causes_lost(const struct causes *causes);

/* Slow writes whose beginning nobody saw: no record, for it would not add up. */
uint64_t causes_partial(const struct causes *causes);

#endif /* _BLKCAST_CAUSES_READER_H */
