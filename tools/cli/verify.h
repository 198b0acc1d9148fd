/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What 'verify' knows of the copies it compares, and how it reports them.
 */
#ifndef BC_VERIFY_H
#define BC_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel.h"

enum verify_outcome {
	VERIFY_EQUAL,
	VERIFY_REPAIRED,
	VERIFY_DIFFERS,
	VERIFY_UNREADABLE,	/* parts were not compared: this host cannot read them */
	VERIFY_STOPPED,
	VERIFY_LOST,		/* the link; or there never was one */
};

/**
 * struct verify_copy - a replica's copy that is compared
 * @link: as it was at the last look
 * @lost: that is no more
 * @ranges: once it is over
 */
struct verify_copy {
	char peer[BLKCAST_NAME_MAX];
	struct bc_link link;
	bool lost;
	struct bc_range *ranges;
	size_t range_count;
};

struct verify {
	struct bc_kernel *kernel;
	const char *name;
	uint64_t bytes, region;		/* of the volume */
	struct verify_copy *copies;
	size_t count;
};

enum verify_outcome verify_outcome(const struct verify_copy *copy);

/* Results to standard output, what to do next to standard error. */
void verify_print_text(const struct verify *verify);
void verify_print_json(const struct verify *verify);

#endif /* BC_VERIFY_H */
