/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One look at the state of things: the volumes and links as the kernel shows
 * them (netlink), the latencies as the probes count them, and what has to be
 * remembered from one look to the next.  The reports print nothing else.
 *
 * 1. The lag itself is the kernel's, computed when it is asked; the probes add
 *    distributions and may be absent.
 * 2. What is not known is told apart from 0 everywhere.
 * 3. A peer that the configuration names and that has no link is shown, as
 *    disconnected, with what the kernel knows that it lacks, if it knows.
 */
#ifndef _BLKCAST_FIGURES_H
#define _BLKCAST_FIGURES_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "breakdown.h"
#include "causes_reader.h"
#include "history.h"
#include "kernel.h"
#include "probes.h"

#define FIGURES_NOTE BC_ERROR_MAX

/**
 * struct track - what is remembered of a volume or of one peer of it
 * @volume: name
 * @peer: name; empty for the volume itself
 * @lag: of a peer: samples of its lag
 * @seen: of a volume: it was there at an earlier look
 * @first_writes: of a volume: writes at the first look
 * @first_bytes: of a volume: bytes written at the first look
 * @writes: of a volume: writes at the last look
 * @bytes: of a volume: bytes written at the last look
 */
struct track {
	struct track *next;
	char volume[BLKCAST_NAME_MAX];
	char peer[BLKCAST_NAME_MAX];
	struct history lag;
	bool seen;
	uint64_t first_writes;
	uint64_t first_bytes;
	uint64_t writes;
	uint64_t bytes;
};

/**
 * struct figures_volume - a volume of the newest look
 * @volume: state; owned by the figures
 * @rates: @writes and @bytes are known
 * @writes: since the look before, or in total, as the latencies
 * @bytes: the same
 */
struct figures_volume {
	const struct bc_volume *volume;
	bool rates;
	uint64_t writes;
	uint64_t bytes;
};

/**
 * struct figures_link - a link, or a peer that should have one
 * @volume: its volume
 * @link: state; NULL: disconnected
 * @lag: what is known of how far it trails: of the link, or from when it had one;
 *	never NULL
 * @peer: name
 * @track: its history
 */
struct figures_link {
	const struct bc_volume *volume;
	const struct bc_link *link;
	const struct bc_link *lag;
	char peer[BLKCAST_NAME_MAX];
	struct track *track;
};

/**
 * struct figures_want - what to look for
 * @probes: attach them; that they cannot be is no error but a note
 * @slow_ns: record writes that take so long; 0: none
 * @top: regions and processes by the lag they cause
 */
struct figures_want {
	bool probes;
	uint64_t slow_ns;
	bool top;
};

/**
 * struct figures - everything there is to show
 * @name: the only volume to look at; NULL: all
 * @note: why there are no probes; empty: there are, or nobody wanted them
 * @config_note: why the configuration was not read; empty: it was
 * @want: as figures_open() was told
 * @probes: NULL: none
 * @causes: NULL: none
 * @total: reports show the time since the start, not the last interval
 * @started: of the first look, ns of CLOCK_MONOTONIC
 * @taken: of the newest look, the same clock
 * @elapsed: ns between the last two looks, 0 at the first
 * @wall: time of day of the newest look
 */
struct figures {
	const char *name;
	char note[FIGURES_NOTE];
	char config_note[FIGURES_NOTE];
	bool total;
	uint64_t started;
	uint64_t taken;
	uint64_t elapsed;
	struct timespec wall;

	unsigned int volumes;
	struct figures_volume *volume;
	unsigned int links;
	struct figures_link *link;

	struct figures_want want;
	struct probes *probes;
	struct causes *causes;
	uint32_t probes_minor;

	/* private */
	struct bc_kernel *kernel;
	struct bc_volume *raw;
	size_t raw_count;
	struct track *tracks;
};

/**
 * figures_open() - connect to the kernel, attach the probes
 * @figures: filled
 * @name: the only volume to look at, NULL: all
 * @want: what to look for
 * @error: on failure, the reason
 *
 * Return: 0, -ENODEV: @name is not up, or another negative errno
 */
int figures_open(struct figures *figures, const char *name,
		 const struct figures_want *want, struct bc_error *error);
void figures_close(struct figures *figures);

/* Look anew.  Returns 0 or a negative errno. */
int figures_update(struct figures *figures, struct bc_error *error);

/*
 * The latencies of a stage, of the last interval or in total; NULL: nobody
 * knows, there are no probes.
 */
const struct histogram *figures_latency(const struct figures *figures, uint32_t minor,
					uint32_t link, enum lag_stage stage);

/* The time that latencies and writes are of: the last interval, or the whole run. */
uint64_t figures_span(const struct figures *figures);

/* A link's lag in ns; HISTORY_UNKNOWN. */
uint64_t figures_lag(const struct figures_link *link);

/* Where the time of the link's writes goes; by the kernel alone without probes. */
void figures_breakdown(const struct figures *figures, const struct figures_link *link,
		       struct breakdown *b);

/* Names behind the numbers of the probes; NULL: gone. */
const char *figures_volume_name(const struct figures *figures, uint32_t minor);
const char *figures_peer_name(const struct figures *figures, uint32_t minor, uint32_t link);

/* What was not counted since the probes were attached. */
uint64_t figures_lost(const struct figures *figures);

/* Its state in a word. */
const char *figures_state(const struct figures_link *link);

#endif /* _BLKCAST_FIGURES_H */
