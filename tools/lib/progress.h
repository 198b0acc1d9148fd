/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A progress bar on standard error, if that is a terminal; else nothing.
 */
#ifndef BC_PROGRESS_H
#define BC_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct progress - one bar
 * @what: "snapshot", "restore", "verify"...
 * @total: bytes to do, 0 if that is not known
 */
struct progress {
	const char *what;
	uint64_t total, started, shown;
	bool visible;
};

void progress_start(struct progress *progress, const char *what, uint64_t total, bool quiet);
/* Show how far it is; cheap when called often. */
void progress_show(struct progress *progress, uint64_t done);
/* Take the bar away. */
void progress_end(struct progress *progress);
/* Seconds since the start. */
double progress_seconds(const struct progress *progress);

#endif /* BC_PROGRESS_H */
