// SPDX-License-Identifier: GPL-2.0-or-later
/* The probes: loading, attaching and reading lag.bpf.c; see probes.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "lag.skel.h"
#include "probes.h"

/* Room in the map for this many times the links that exist. */
#define LINKS_HEADROOM 4
#define LINKS_MIN 32
#define MISSING_MAX 2

struct probes {
	struct lag_bpf *bpf;
	struct probes_series *series;
	unsigned int count;
	unsigned int cpus;
	unsigned int stride;	/* bytes from one CPU's cell to the next */
	void *cells;		/* @cpus cells */
};

static int log_print(enum libbpf_print_level level, const char *format, va_list args)
{
	/* What went wrong is reported by probes_failed(); this is for developers. */
	if (level == LIBBPF_DEBUG || !getenv("BLKCAST_LAG_DEBUG"))
		return 0;
	return vfprintf(stderr, format, args);
}

void probes_quiet(void)
{
	libbpf_set_print(log_print);
}

void probes_failed(int error, const char *step, char *why, size_t size)
{
	switch (-error) {
	case EPERM:
		snprintf(why, size, "%s: not permitted; needs root, or CAP_BPF and CAP_PERFMON",
			 step);
		break;
	case ENOENT:
		snprintf(why, size,
			 "%s: the running blkcast module lacks one; module and tools must be of one version",
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

static int cells_alloc(struct probes *probes)
{
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 0)
		return cpus;
	probes->cpus = (unsigned int)cpus;
	/* The kernel rounds each CPU's value up to 8 bytes. */
	probes->stride = (sizeof(struct lag_cell) + 7) / 8 * 8;
	probes->cells = calloc(probes->cpus, probes->stride);
	return probes->cells ? 0 : -ENOMEM;
}

static int bpf_setup(struct probes *probes, uint32_t minor, unsigned int links)
{
	if (links * LINKS_HEADROOM < LINKS_MIN)
		links = LINKS_MIN / LINKS_HEADROOM;
	probes->bpf->rodata->lag_filter_minor = minor;
	return bpf_map__set_max_entries(probes->bpf->maps.lag_cells,
					links * LINKS_HEADROOM * LAG_STAGES);
}

int probes_open(struct probes **result, uint32_t minor, unsigned int links,
		char *why, size_t size)
{
	struct probes *probes = calloc(1, sizeof(*probes));
	const char *step = "allocating memory";
	int error = -ENOMEM;

	*result = NULL;
	if (!probes)
		goto cleanup;
	probes_quiet();
	error = cells_alloc(probes);
	if (error)
		goto cleanup;
	step = "opening the BPF programs";
	probes->bpf = lag_bpf__open();
	error = probes->bpf ? bpf_setup(probes, minor, links) : -errno;
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
		probes_failed(error, step, why, size);
		probes_close(probes);
	}
	return error;
}

void probes_close(struct probes *probes)
{
	if (!probes)
		return;
	lag_bpf__destroy(probes->bpf);
	free(probes->cells);
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

static void series_update(struct probes *probes, struct probes_series *series, uint64_t epoch)
{
	struct histogram now;

	histogram_merge(&now, probes->cells, probes->stride, probes->cpus, epoch);
	histogram_difference(&series->interval, &now, &series->reading);
	histogram_add(&series->total, &series->interval);
	series->reading = now;
}

int probes_read(struct probes *probes)
{
	int map = bpf_map__fd(probes->bpf->maps.lag_cells);
	struct lag_key key, *previous = NULL;
	uint64_t epoch = probes->bpf->data->lag_epoch++;
	struct probes_series *series;

	while (!bpf_map_get_next_key(map, previous, &key)) {
		previous = &key;
		if (bpf_map_lookup_elem(map, &key, probes->cells))
			return -errno;
		series = series_get(probes, &key);
		if (!series)
			return -ENOMEM;
		series_update(probes, series, epoch);
	}
	return errno == ENOENT ? 0 : -errno;
}

const struct probes_series *probes_find(const struct probes *probes, uint32_t minor,
					uint32_t link, uint32_t stage)
{
	struct lag_key key = { .minor = minor, .link = link, .stage = stage };

	return series_find(probes, &key);
}

static void series_forget(struct probes *probes, unsigned int index)
{
	struct probes_series *series = &probes->series[index];

	bpf_map_delete_elem(bpf_map__fd(probes->bpf->maps.lag_cells), &series->key);
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
