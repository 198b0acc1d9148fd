// SPDX-License-Identifier: GPL-2.0-or-later
/* Loading, attaching and reading causes.bpf.c; see causes_reader.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "causes.skel.h"
#include "causes_reader.h"
#include "probes.h"

#define KINDS (CAUSES_PROCESS + 1)

struct origins {
	struct causes_origin *origin;
	size_t count;
};

struct causes {
	struct causes_bpf *bpf;
	struct ring_buffer *ring;
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

static int bpf_setup(struct causes *causes, const struct causes_want *want)
{
	struct causes_bpf *bpf = causes->bpf;

	bpf->rodata->causes_filter_minor = want->minor;
	bpf->rodata->causes_slow_ns = want->slow_ns;
	bpf->rodata->causes_top = want->top;
	/* What is not looked for takes no memory. */
	if (!want->slow_ns)
		return bpf_map__set_max_entries(bpf->maps.causes_moments, 1);
	return want->top ? 0 : bpf_map__set_max_entries(bpf->maps.causes_sums, 1);
}

int causes_open(struct causes **result, const struct causes_want *want, char *why,
		size_t size)
{
	struct causes *causes = calloc(1, sizeof(*causes));
	const char *step = "allocating memory";
	int error = -ENOMEM;

	*result = NULL;
	if (!causes)
		goto cleanup;
	probes_quiet();
	step = "opening the BPF programs";
	causes->bpf = causes_bpf__open();
	error = causes->bpf ? bpf_setup(causes, want) : -errno;
	if (error)
		goto cleanup;
	step = "loading the BPF programs";
	error = causes_bpf__load(causes->bpf);
	if (error)
		goto cleanup;
	step = "opening the ring buffer";
	causes->ring = ring_buffer__new(bpf_map__fd(causes->bpf->maps.causes_ring),
					slow_take, causes, NULL);
	error = causes->ring ? 0 : -errno;
	if (error)
		goto cleanup;
	step = "attaching to the tracepoints";
	error = causes_bpf__attach(causes->bpf);
	if (error)
		goto cleanup;
	*result = causes;
cleanup:
	if (error) {
		probes_failed(error, step, why, size);
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
	causes_bpf__destroy(causes->bpf);
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
	int map = bpf_map__fd(causes->bpf->maps.causes_sums), error;
	struct causes_key key, *previous = NULL;
	struct causes_sum sum;

	for (unsigned int i = 0; i < KINDS; i++)
		causes->origins[i].count = 0;
	while (!bpf_map_get_next_key(map, previous, &key)) {
		previous = &key;
		if (bpf_map_lookup_elem(map, &key, &sum))
			return -errno;
		error = key.kind < KINDS ? origin_add(&causes->origins[key.kind], &key, &sum) :
					   -EBADMSG;
		if (error)
			return error;
	}
	if (errno != ENOENT)
		return -errno;
	for (unsigned int i = 0; i < KINDS; i++)
		if (causes->origins[i].count)
			qsort(causes->origins[i].origin, causes->origins[i].count,
			      sizeof(struct causes_origin), costlier_first);
	return 0;
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
	return causes->bpf->rodata->causes_top ? sums_read(causes) : 0;
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
