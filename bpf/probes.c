// SPDX-License-Identifier: GPL-2.0-or-later
/* Loading and attaching lag.bpf.c, reading its histograms; see probes.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "causes.h"
#include "lag.skel.h"
#include "probes.h"

/* Slots for this many times the links that exist. */
#define LINKS_HEADROOM 4
#define SLOTS_MIN 32
/* Writes under way on all links: without records of slow ones they matter less. */
#define MOMENTS_FEW 8192
#define MISSING_MAX 2

struct probes {
	struct lag_bpf *bpf;
	struct probes_series *series;
	unsigned int count;
	unsigned int cpus;
	struct lag_set *sets;	/* one slot's, by CPU */
};

static int log_print(enum libbpf_print_level level, const char *format, va_list args)
{
	/* What went wrong is reported by failed(); this is for developers. */
	if (level == LIBBPF_DEBUG || !getenv("BLKCAST_LAG_DEBUG"))
		return 0;
	return vfprintf(stderr, format, args);
}

static void quiet(void)
{
	libbpf_set_print(log_print);
}

static void failed(int error, const char *step, char *why, size_t size)
{
	switch (-error) {
	case EPERM:
		snprintf(why, size, "%s: not permitted; needs root, or CAP_BPF and CAP_PERFMON",
			 step);
		break;
	case ENOENT:
	case EINVAL:
		snprintf(why, size,
			 "%s: the running blkcast module lacks one, or some of it; module and tools must be of one version",
			 step);
		break;
	case EACCES:
		snprintf(why, size,
			 "%s: refused by this kernel's verifier; BLKCAST_LAG_DEBUG=1 shows its log",
			 step);
		break;
	case ENOSYS:
		snprintf(why, size, "%s: this kernel is built without BPF", step);
		break;
	default:
		snprintf(why, size, "%s: %s", step, strerror(-error));
	}
}

static int sets_alloc(struct probes *probes)
{
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 0)
		return cpus;
	probes->cpus = (unsigned int)cpus;
	probes->sets = calloc(probes->cpus, sizeof(*probes->sets));
	return probes->sets ? 0 : -ENOMEM;
}

static uint32_t slots_for(unsigned int links)
{
	uint32_t slots = SLOTS_MIN;

	while (slots < links * LINKS_HEADROOM && slots < LAG_SLOTS_MAX)
		slots *= 2;
	return slots;
}

/* What is not looked for takes neither time nor memory. */
static int bpf_setup(struct lag_bpf *bpf, const struct probes_want *want)
{
	uint32_t slots = slots_for(want->links);
	uint32_t moments = want->slow_ns ? CAUSES_MOMENTS : MOMENTS_FEW;

	bpf->rodata->lag_filter_minor = want->minor;
	bpf->rodata->lag_slots = slots;
	bpf->rodata->lag_moments_count = moments;
	bpf->rodata->causes_slow_ns = want->slow_ns;
	bpf->rodata->causes_top = want->top;
	bpf_program__set_autoload(bpf->progs.lag_write_start, want->slow_ns);
	bpf_program__set_autoload(bpf->progs.lag_write_submit, want->slow_ns || want->top);
	return bpf_map__set_max_entries(bpf->maps.lag_sets, slots) ?:
	       bpf_map__set_max_entries(bpf->maps.lag_moments, moments) ?:
	       bpf_map__set_max_entries(bpf->maps.causes_sums, want->top ? CAUSES_SUMS : 1);
}

int probes_open(struct probes **result, const struct probes_want *want, char *why,
		size_t size)
{
	struct probes *probes = calloc(1, sizeof(*probes));
	const char *step = "allocating memory";
	int error = -ENOMEM;

	*result = NULL;
	if (!probes)
		goto cleanup;
	quiet();
	error = sets_alloc(probes);
	if (error)
		goto cleanup;
	step = "opening the BPF programs";
	probes->bpf = lag_bpf__open();
	error = probes->bpf ? bpf_setup(probes->bpf, want) : -errno;
	if (error)
		goto cleanup;
	step = "loading the BPF programs";
	error = lag_bpf__load(probes->bpf);
	if (error)
		goto cleanup;
	step = "attaching to the tracepoints";
	error = lag_bpf__attach(probes->bpf);
	if (error)
		goto cleanup;
	*result = probes;
cleanup:
	if (error) {
		failed(error, step, why, size);
		probes_close(probes);
	}
	return error;
}

struct lag_bpf *probes_bpf(struct probes *probes)
{
	return probes->bpf;
}

void probes_close(struct probes *probes)
{
	if (!probes)
		return;
	lag_bpf__destroy(probes->bpf);
	free(probes->sets);
	free(probes->series);
	free(probes);
}

static struct probes_series *series_find(const struct probes *probes, const struct lag_key *key)
{
	for (unsigned int i = 0; i < probes->count; i++)
		if (!memcmp(&probes->series[i].key, key, sizeof(*key)))
			return &probes->series[i];
	return NULL;
}

static struct probes_series *series_get(struct probes *probes, const struct lag_key *key)
{
	struct probes_series *series = series_find(probes, key);

	if (series)
		return series;
	series = reallocarray(probes->series, probes->count + 1, sizeof(*series));
	if (!series)
		return NULL;
	probes->series = series;
	series += probes->count++;
	memset(series, 0, sizeof(*series));
	series->key = *key;
	return series;
}

/*
 * The stages of a set.  That two slots have one owner is hard to bring about, not
 * impossible: one was freed while two CPUs looked for it.
 */
static int set_read(struct probes *probes, uint64_t owner, uint32_t slot, uint64_t epoch)
{
	struct lag_key key = lag_owner_key(owner);
	struct probes_series *series;
	struct histogram h;

	if (bpf_map_lookup_elem(bpf_map__fd(probes->bpf->maps.lag_sets), &slot, probes->sets))
		return -errno;
	for (unsigned int i = 0; i < LAG_SET; i++, key.stage++) {
		histogram_merge(&h, &probes->sets->cell[i], sizeof(*probes->sets), probes->cpus,
				epoch);
		if (!h.count)
			continue;
		series = series_get(probes, &key);
		if (!series)
			return -ENOMEM;
		histogram_add(&series->fresh, &h);
	}
	return 0;
}

static void series_update(struct probes_series *series)
{
	histogram_difference(&series->interval, &series->fresh, &series->reading);
	histogram_add(&series->total, &series->interval);
	series->reading = series->fresh;
	memset(&series->fresh, 0, sizeof(series->fresh));
}

int probes_read(struct probes *probes)
{
	uint64_t epoch = probes->bpf->data->lag_epoch++;
	int error = 0;

	for (uint32_t slot = 0; slot < probes->bpf->rodata->lag_slots && !error; slot++) {
		uint64_t owner = probes->bpf->bss->lag_owners[slot];

		if (owner)
			error = set_read(probes, owner, slot, epoch);
	}
	for (unsigned int i = 0; i < probes->count; i++)
		series_update(&probes->series[i]);
	return error;
}

const struct probes_series *probes_find(const struct probes *probes, uint32_t minor,
					uint32_t link, uint32_t stage)
{
	struct lag_key key = { .minor = minor, .link = link, .stage = stage };

	return series_find(probes, &key);
}

/* Nothing more comes for it: emptied first, then it may be another's. */
static void set_free(struct probes *probes, const struct lag_key *key)
{
	uint64_t owner = lag_owner(key->minor, key->link, key->stage);

	for (uint32_t slot = 0; slot < probes->bpf->rodata->lag_slots; slot++) {
		if (probes->bpf->bss->lag_owners[slot] != owner)
			continue;
		memset(probes->sets, 0, probes->cpus * sizeof(*probes->sets));
		if (!bpf_map_update_elem(bpf_map__fd(probes->bpf->maps.lag_sets), &slot,
					 probes->sets, BPF_ANY))
			__atomic_store_n(&probes->bpf->bss->lag_owners[slot], 0,
					 __ATOMIC_RELEASE);
	}
}

static void series_forget(struct probes *probes, unsigned int index)
{
	struct probes_series *series = &probes->series[index];

	set_free(probes, &series->key);
	*series = probes->series[--probes->count];
}

void probes_sweep(struct probes *probes, bool (*alive)(uint32_t minor, uint32_t link,
						       void *arg), void *arg)
{
	unsigned int i = 0;

	while (i < probes->count) {
		struct probes_series *series = &probes->series[i];

		if (alive(series->key.minor, series->key.link, arg))
			series->missing = 0;
		else if (++series->missing >= MISSING_MAX) {
			series_forget(probes, i);
			continue;
		}
		i++;
	}
}

/* How often the kernel did not run a program because it was running already. */
static uint64_t program_misses(const struct bpf_program *program)
{
	struct bpf_prog_info info = { 0 };
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size))
		return 0;
	return info.recursion_misses;
}

uint64_t probes_lost(const struct probes *probes)
{
	uint64_t lost = probes->bpf->bss->lag_lost;
	struct bpf_program *program;

	bpf_object__for_each_program(program, probes->bpf->obj)
		lost += program_misses(program);
	return lost;
}
