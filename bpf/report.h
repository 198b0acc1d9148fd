/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ways to print the figures: a table, text bars, JSON.  Each writes one
 * block to @out and keeps nothing.
 */
#ifndef _BLKCAST_REPORT_H
#define _BLKCAST_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "figures.h"
#include "screen.h"

/**
 * struct report_style - how to print
 * @screen: width, colours, characters
 * @interval: seconds from one block to the next
 * @buckets: JSON: the buckets of each histogram too
 */
struct report_style {
	const struct screen *screen;
	double interval;
	bool buckets;
};

/* A table of the volumes and a table of the links. */
void report_table(const struct figures *figures, const struct report_style *style, FILE *out);

/* The distributions as text bars. */
void report_histogram(const struct figures *figures, const struct report_style *style, FILE *out);

/* One JSON object on one line.  Returns 0 or -ENOMEM. */
int report_json(const struct figures *figures, const struct report_style *style, FILE *out);

/* Slow writes, and who and what causes lag, if that was asked for. */
void report_causes(const struct figures *figures, const struct report_style *style, FILE *out);

/* Names of a record's parts. */
const char *const *report_parts(const struct causes_slow *slow);

/* What has to be said about the figures: lost events, missing probes. */
void report_notes(const struct figures *figures, const struct report_style *style, FILE *out);

/* "12:00:01, every 1s" or "since the start, 12.3s", for the top of a block. */
void report_heading(const struct figures *figures, const struct report_style *style, FILE *out);

#endif /* _BLKCAST_REPORT_H */
