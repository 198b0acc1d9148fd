/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Latency histograms in user space: merge the CPUs' cells, take the difference
 * of two readings, read percentiles.  Pure functions.
 *
 * Percentiles are bounds: the upper edge of the bucket in which the percentile
 * lies (at most 25% above it, see lag.h), and never above the maximum, which
 * is exact.
 */
#ifndef _BLKCAST_HISTOGRAM_H
#define _BLKCAST_HISTOGRAM_H

#include <stdint.h>

#include "lag.h"

/**
 * struct histogram - a distribution of latencies
 * @count: number of latencies; the sum of @buckets
 * @sum: of the latencies, ns
 * @max: the largest, ns
 * @buckets: number of latencies by lag_bucket()
 */
struct histogram {
	uint64_t count;
	uint64_t sum;
	uint64_t max;
	uint64_t buckets[LAG_BUCKETS];
};

/* Edges of a bucket in ns: lower inclusive, upper exclusive. */
uint64_t histogram_lower(unsigned int bucket);
uint64_t histogram_upper(unsigned int bucket);

/**
 * histogram_merge() - all CPUs' cells of one key
 * @h: result; its maximum is that of @epoch and of what came after it
 * @cells: array of cells
 * @stride: bytes from one cell to the next
 * @cpus: number of cells
 * @epoch: the epoch that ended just before the cells were read
 */
void histogram_merge(struct histogram *h, const void *cells, unsigned int stride,
		     unsigned int cpus, uint64_t epoch);

/**
 * histogram_difference() - what came between two readings
 * @h: result
 * @now: the later reading; its maximum is taken over
 * @before: the earlier one
 *
 * The cells are read while they are written to, so the maximum may be of an
 * event that is not in the buckets or miss one that is: it is brought into the
 * highest bucket that holds anything.
 */
void histogram_difference(struct histogram *h, const struct histogram *now,
			  const struct histogram *before);

/* Add an interval to a total, the maximum included. */
void histogram_add(struct histogram *total, const struct histogram *h);

/* Upper bound of the percentile in ns; 0 when the histogram is empty. */
uint64_t histogram_percentile(const struct histogram *h, unsigned int percent);

/* Mean in ns; 0 when the histogram is empty. */
uint64_t histogram_mean(const struct histogram *h);

#endif /* _BLKCAST_HISTOGRAM_H */
