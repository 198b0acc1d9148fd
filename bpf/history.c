// SPDX-License-Identifier: GPL-2.0-or-later
/* The last minutes of one link's lag; see history.h. */
#include <string.h>

#include "history.h"

#define LEVELS 8

static const char *const marks_utf8[LEVELS] = {
	"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█",
};

static const char *const marks_ascii[LEVELS] = {
	"_", ".", ":", "-", "=", "+", "*", "#",
};

void history_add(struct history *h, uint64_t ns)
{
	h->samples[h->taken++ % HISTORY_SAMPLES] = ns;
}

/* The largest known sample of [first, end) that is still there. */
static uint64_t peak_between(const struct history *h, uint64_t first, uint64_t end)
{
	uint64_t peak = HISTORY_UNKNOWN;

	if (end > h->taken)
		end = h->taken;
	if (end > HISTORY_SAMPLES && first < end - HISTORY_SAMPLES)
		first = end - HISTORY_SAMPLES;
	for (uint64_t i = first; i < end; i++) {
		uint64_t ns = h->samples[i % HISTORY_SAMPLES];

		if (ns != HISTORY_UNKNOWN && (peak == HISTORY_UNKNOWN || ns > peak))
			peak = ns;
	}
	return peak;
}

uint64_t history_peak(const struct history *h, unsigned int count)
{
	return peak_between(h, h->taken > count ? h->taken - count : 0, h->taken);
}

/* 0 for nothing, else 1..LEVELS - 1 in proportion. */
static unsigned int level_of(uint64_t ns, uint64_t top)
{
	unsigned int level;

	if (!ns)
		return 0;
	level = 1 + (unsigned int)((double)ns / (double)top * (LEVELS - 1));
	return level < LEVELS ? level : LEVELS - 1;
}

void history_sparkline(const struct history *h, char *line, unsigned int width,
		       unsigned int samples, uint64_t floor, bool utf8)
{
	const char *const *marks = utf8 ? marks_utf8 : marks_ascii;
	/* Groups are counted from the first sample ever; the last may be short. */
	uint64_t groups = (h->taken + samples - 1) / samples;
	uint64_t peak = history_peak(h, width * samples);
	uint64_t top = peak == HISTORY_UNKNOWN || peak < floor ? floor : peak;

	*line = '\0';
	for (unsigned int i = 0; i < width; i++) {
		uint64_t ns;
		const char *mark = " ";

		if (groups + i >= width) {
			uint64_t group = groups + i - width;

			ns = peak_between(h, group * samples, (group + 1) * samples);
			mark = ns == HISTORY_UNKNOWN ? "?" : marks[level_of(ns, top)];
		}
		line = stpcpy(line, mark);
	}
}
