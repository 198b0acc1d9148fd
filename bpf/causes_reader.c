// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading what causes.bpf.h records; see causes_reader.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "causes_reader.h"
#include "lag.skel.h"
#include "probes.h"

#define KINDS (CAUSES_PROCESS + 1)

struct origins {
	struct causes_origin *origin;
	size_t count;
};

struct causes {
	struct lag_bpf *bpf;
	struct ring_buffer *ring;
	const struct causes_sum *sums;	/* CAUSES_SUMS of them, the kernel's own; NULL: none */
	struct causes_slow slow[CAUSES_SLOW_MAX];
	size_t slow_count;
	uint64_t slow_seen;
	struct origins origins[KINDS];
};

static int slower_first(const void *a, const void *b)
{
	const struct causes_slow *x = a, *y = b;

	return x->total < y->total ? 1 : x->total > y->total ? -1 : 0;
}

static int costlier_first(const void *a, const void *b)
{
	const struct causes_origin *x = a, *y = b;

	return x->sum.ns < y->sum.ns ? 1 : x->sum.ns > y->sum.ns ? -1 : 0;
}

/* The quickest of those that are kept makes room. */
static void slow_keep(struct causes *causes, const struct causes_slow *slow)
{
	size_t quickest = 0;

	if (causes->slow_count < CAUSES_SLOW_MAX) {
		causes->slow[causes->slow_count++] = *slow;
		return;
	}
	for (size_t i = 1; i < CAUSES_SLOW_MAX; i++)
		if (causes->slow[i].total < causes->slow[quickest].total)
			quickest = i;
	if (causes->slow[quickest].total < slow->total)
		causes->slow[quickest] = *slow;
}

static int slow_take(void *arg, void *data, size_t size)
{
	struct causes *causes = arg;

	if (size < sizeof(struct causes_slow))
		return -EBADMSG;
	causes->slow_seen++;
	slow_keep(causes, data);
	return 0;
}

static int sums_map(struct causes *causes)
{
	void *sums = mmap(NULL, CAUSES_SUMS * sizeof(struct causes_sum), PROT_READ, MAP_SHARED,
			  bpf_map__fd(causes->bpf->maps.causes_sums), 0);

	if (sums == MAP_FAILED)
		return -errno;
	causes->sums = sums;
	return 0;
}

int causes_open(struct causes **result, struct probes *probes, char *why, size_t size)
{
	struct causes *causes = calloc(1, sizeof(*causes));
	int error = -ENOMEM;

	*result = NULL;
	if (!causes)
		goto cleanup;
	causes->bpf = probes_bpf(probes);
	causes->ring = ring_buffer__new(bpf_map__fd(causes->bpf->maps.causes_ring),
					slow_take, causes, NULL);
	error = causes->ring ? 0 : -errno;
	if (!error && causes->bpf->rodata->causes_top)
		error = sums_map(causes);
	if (error)
		goto cleanup;
	*result = causes;
cleanup:
	if (error) {
		snprintf(why, size, "reading slow writes: %s", strerror(-error));
		causes_close(causes);
	}
	return error;
}

static void origins_free(struct origins *origins)
{
	free(origins->origin);
	memset(origins, 0, sizeof(*origins));
}

void causes_close(struct causes *causes)
{
	if (!causes)
		return;
	ring_buffer__free(causes->ring);
	if (causes->sums)
		munmap((void *)causes->sums, CAUSES_SUMS * sizeof(*causes->sums));
	for (unsigned int i = 0; i < KINDS; i++)
		origins_free(&causes->origins[i]);
	free(causes);
}

static int origin_add(struct origins *origins, const struct causes_key *key,
		      const struct causes_sum *sum)
{
	struct causes_origin *origin = reallocarray(origins->origin, origins->count + 1,
						    sizeof(*origin));

	if (!origin)
		return -ENOMEM;
	origins->origin = origin;
	origin[origins->count].key = *key;
	origin[origins->count++].sum = *sum;
	return 0;
}

static int sums_read(struct causes *causes)
{
	int error = 0;

	for (unsigned int i = 0; i < KINDS; i++)
		causes->origins[i].count = 0;
	for (unsigned int i = 0; i < CAUSES_SUMS && !error; i++) {
		struct causes_sum sum = causes->sums[i];
		struct causes_key key = causes_unpack(sum.origin);

		if (sum.writes)
			error = origin_add(&causes->origins[key.kind], &key, &sum);
	}
	for (unsigned int i = 0; i < KINDS; i++)
		if (causes->origins[i].count)
			qsort(causes->origins[i].origin, causes->origins[i].count,
			      sizeof(struct causes_origin), costlier_first);
	return error;
}

int causes_read(struct causes *causes)
{
	int taken;

	causes->slow_count = 0;
	causes->slow_seen = 0;
	taken = ring_buffer__consume(causes->ring);
	if (taken < 0)
		return taken;
	qsort(causes->slow, causes->slow_count, sizeof(causes->slow[0]), slower_first);
	return causes->sums ? sums_read(causes) : 0;
}

const struct causes_slow *causes_slow(const struct causes *causes, size_t *count,
				      uint64_t *seen)
{
	*count = causes->slow_count;
	*seen = causes->slow_seen;
	return causes->slow;
}

const struct causes_origin *causes_top(const struct causes *causes, enum causes_kind kind,
				       size_t *count)
{
	*count = causes->origins[kind].count;
	return causes->origins[kind].origin;
}

uint64_t causes_lost(const struct causes *causes)
{
	return causes->bpf->bss->causes_lost;
}

uint64_t causes_partial(const struct causes *causes)
{
	return causes->bpf->bss->causes_partial;
}
