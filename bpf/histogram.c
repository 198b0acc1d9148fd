// SPDX-License-Identifier: GPL-2.0-or-later
/* Latency histograms in user space; see histogram.h. */
#include <string.h>

#include "histogram.h"

uint64_t histogram_lower(unsigned int bucket)
{
	unsigned int octave, sub;

	if (!bucket)
		return 0;
	octave = (bucket - 1) / LAG_SUB;
	sub = (bucket - 1) % LAG_SUB;
	return (uint64_t)(LAG_SUB + sub) << (LAG_MIN_SHIFT + octave - LAG_SUB_BITS);
}

uint64_t histogram_upper(unsigned int bucket)
{
	return bucket < LAG_BUCKETS - 1 ? histogram_lower(bucket + 1) : UINT64_MAX;
}

static void cell_add(struct histogram *h, const struct lag_cell *cell, uint64_t epoch)
{
	h->sum += cell->sum;
	for (unsigned int slot = 0; slot < 2; slot++)
		if (cell->epoch[slot] >= epoch && cell->max[slot] > h->max)
			h->max = cell->max[slot];
	for (unsigned int i = 0; i < LAG_BUCKETS; i++) {
		h->buckets[i] += cell->buckets[i];
		h->count += cell->buckets[i];
	}
}

void histogram_merge(struct histogram *h, const void *cells, unsigned int stride,
		     unsigned int cpus, uint64_t epoch)
{
	struct lag_cell cell;

	memset(h, 0, sizeof(*h));
	for (unsigned int cpu = 0; cpu < cpus; cpu++) {
		memcpy(&cell, (const char *)cells + (size_t)cpu * stride, sizeof(cell));
		cell_add(h, &cell, epoch);
	}
}

/* The highest bucket that holds anything; the histogram is not empty. */
static unsigned int histogram_top(const struct histogram *h)
{
	unsigned int top = LAG_BUCKETS - 1;

	while (top && !h->buckets[top])
		top--;
	return top;
}

static uint64_t max_within_top(const struct histogram *h, uint64_t max)
{
	unsigned int top = histogram_top(h);

	if (lag_bucket(max) == top)
		return max;
	return top == LAG_BUCKETS - 1 ? histogram_lower(top) : histogram_upper(top) - 1;
}

void histogram_difference(struct histogram *h, const struct histogram *now,
			  const struct histogram *before)
{
	memset(h, 0, sizeof(*h));
	for (unsigned int i = 0; i < LAG_BUCKETS; i++) {
		h->buckets[i] = now->buckets[i] - before->buckets[i];
		h->count += h->buckets[i];
	}
	if (!h->count)
		return;
	h->sum = now->sum - before->sum;
	h->max = max_within_top(h, now->max);
}

void histogram_add(struct histogram *total, const struct histogram *h)
{
	total->count += h->count;
	total->sum += h->sum;
	if (h->max > total->max)
		total->max = h->max;
	for (unsigned int i = 0; i < LAG_BUCKETS; i++)
		total->buckets[i] += h->buckets[i];
}

uint64_t histogram_percentile(const struct histogram *h, unsigned int percent)
{
	uint64_t upper, seen = 0;
	/* ceil(count * percent / 100) without overflow */
	uint64_t rank = h->count / 100 * percent + (h->count % 100 * percent + 99) / 100;

	if (!h->count)
		return 0;
	for (unsigned int i = 0; i < LAG_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen < rank || !seen)
			continue;
		upper = histogram_upper(i);
		return upper < h->max ? upper : h->max;
	}
	return h->max;
}

uint64_t histogram_mean(const struct histogram *h)
{
	return h->count ? h->sum / h->count : 0;
}
