/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which writes are slow, and who and what keeps the replicas behind: reading what
 * causes.bpf.h records.  The probes that do so are the caller's (probes.h).
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
struct probes;

/**
 * causes_open() - begin to read
 * @result: NULL on failure
 * @probes: attached; they stay longer than this
 * @why: on failure, a text for people
 * @size: bytes of @why
 *
 * Return: 0 or a negative errno
 */
int causes_open(struct causes **result, struct probes *probes, char *why, size_t size);

/* NULL is fine. */
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
