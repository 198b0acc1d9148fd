/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last minutes of one link's lag, and their sparkline.
 *
 * Samples come at a fixed interval.  A character of the sparkline stands for
 * the same number of consecutive samples and shows the largest of them; which
 * samples share a character does not change as the line moves on.
 */
#ifndef _BLKCAST_HISTORY_H
#define _BLKCAST_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTORY_SAMPLES 1024
#define HISTORY_UNKNOWN UINT64_MAX
/* Bytes that hold a sparkline of @width characters. */
#define HISTORY_LINE_BYTES(width) (3 * (width) + 1)

struct history {
	uint64_t samples[HISTORY_SAMPLES];	/* ns; a ring */
	uint64_t taken;
};

void history_add(struct history *h, uint64_t ns);

/* The largest known sample of the last @count; HISTORY_UNKNOWN without one. */
uint64_t history_peak(const struct history *h, unsigned int count);

/**
 * history_sparkline() - draw the newest samples
 * @h: the samples
 * @line: result, HISTORY_LINE_BYTES(@width) bytes
 * @width: characters; exactly as many are written
 * @samples: samples a character, @width * @samples at most HISTORY_SAMPLES
 * @floor: ns that fill the height at least, so that noise stays small
 * @utf8: block elements, else ASCII
 *
 * '?' stands for unknown; the lowest mark is kept for 0.
 */
void history_sparkline(const struct history *h, char *line, unsigned int width,
		       unsigned int samples, uint64_t floor, bool utf8);

#endif /* _BLKCAST_HISTORY_H */
