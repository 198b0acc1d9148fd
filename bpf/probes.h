/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The probes: loading and attaching lag.bpf.c, reading its histograms; what else
 * there is in it is read by causes_reader.h.
 *
 * Reading keeps two histograms for each (volume, link, stage): of the time
 * since the reading before, and of all the time since the probes were
 * attached.  Whatever happens to this process, the kernel detaches the probes
 * with its last file descriptor.
 *
 * While they are attached the module cannot be unloaded (EBUSY).
 */
#ifndef _BLKCAST_PROBES_H
#define _BLKCAST_PROBES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"

struct lag_bpf;
struct probes;

/**
 * struct probes_want - what to look for
 * @minor: of the only volume to look at, or LAG_MINOR_ANY
 * @links: links that exist, a hint for the room to make
 * @slow_ns: a write is slow from here on; 0: none is recorded
 * @top: sums by region and process
 */
struct probes_want {
	uint32_t minor;
	unsigned int links;
	uint64_t slow_ns;
	bool top;
};

/**
 * struct probes_series - the latencies of one stage
 * @key: volume, link and stage
 * @fresh: the counts while they are read
 * @reading: the counts as last read
 * @interval: what came between the last two readings
 * @total: what came since the probes were attached
 * @missing: readings in a row whose owner said that the link is gone
 */
struct probes_series {
	struct lag_key key;
	struct histogram fresh;
	struct histogram reading;
	struct histogram interval;
	struct histogram total;
	unsigned int missing;
};

/**
 * probes_open() - load and attach
 * @result: the probes; NULL on failure
 * @want: what to look for
 * @why: on failure, a text for people: what failed and what to do
 * @size: bytes of @why
 *
 * Return: 0 or a negative errno
 */
int probes_open(struct probes **result, const struct probes_want *want, char *why,
		size_t size);

/* The programs, for who reads more of them; the probes' own. */
struct lag_bpf *probes_bpf(struct probes *probes);

/* Detach and free; NULL is fine. */
void probes_close(struct probes *probes);

/* Read all histograms.  Returns 0 or a negative errno. */
int probes_read(struct probes *probes);

/* The series of a stage, NULL when nothing has come by yet. */
const struct probes_series *probes_find(const struct probes *probes, uint32_t minor,
					uint32_t link, uint32_t stage);

/**
 * probes_sweep() - forget what belongs to links that are gone
 * @probes: the probes
 * @alive: says whether a link or (LAG_LINK_NONE) a volume still exists
 * @arg: passed to @alive
 *
 * Every connection has a new link id, so the slots would fill up in time.  A
 * series goes when its link was missing twice in a row, so that a link younger
 * than the answer that @alive knows is not lost.
 */
void probes_sweep(struct probes *probes, bool (*alive)(uint32_t minor, uint32_t link,
						       void *arg), void *arg);

/*
 * Latencies that were not counted since the probes were attached: no slot was
 * free, or a program was interrupted by itself.
 */
uint64_t probes_lost(const struct probes *probes);

#endif /* _BLKCAST_PROBES_H */
