/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The figures as metrics for Prometheus, in one of its two text formats.
 *
 * 1. Names and units follow its conventions: seconds and bytes, counters end in
 *    _total, what a thing is comes as _info, a state as one sample for each state
 *    there is, 1 for the one that holds.
 * 2. What is not known is left out: never 0 instead.  blkcast_link_lag_known tells
 *    so, for a rule cannot well ask for what is not there.
 * 3. Histograms are cumulative, over all the time since the start; their buckets
 *    are octaves.  A peer's begin anew with each of its links, as counters may.
 */
#ifndef _BLKCAST_METRICS_H
#define _BLKCAST_METRICS_H

#include <stdbool.h>
#include <stdio.h>

#include "expiry.h"
#include "figures.h"

/* For the header Content-Type. */
#define METRICS_OPEN_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define METRICS_TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/**
 * metrics_write() - all metrics
 * @figures: what there is; NULL: the kernel module does not answer
 * @expiry: of certificates
 * @open: OpenMetrics, else the older text format
 * @out: where to
 */
void metrics_write(const struct figures *figures, const struct bc_expiry *expiry, bool open,
		   FILE *out);

#endif /* _BLKCAST_METRICS_H */
