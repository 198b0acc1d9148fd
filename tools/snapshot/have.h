/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What somebody has of a volume: the stamps of a snapshot or of a copy, and the
 * history that they belong to.  And whether a delta is what he lacks.
 *
 * Two stamps mean the same content if they are equal, none is in doubt, and their
 * term is one that both histories share under one reign id (rules 22 and 25).
 */
#ifndef SNAPSHOT_HAVE_H
#define SNAPSHOT_HAVE_H

#include <stdint.h>

#include "../lib/error.h"
#include "format.h"

/**
 * struct have - zeroed when empty
 * @name: for messages; borrowed
 * @id, @root: of the snapshot; zeros: a copy
 * @stamp: @regions of them, in host order
 * @history: @reigns entries, oldest first
 */
struct have {
	const char *name;
	uint8_t id[16], volume[16];
	uint64_t root, bytes;
	uint32_t region_shift, regions, reigns;
	uint64_t *stamp;
	struct blkcast_reign history[BLKCAST_HISTORY_MAX];
};

/* The snapshot in regular file @path; its chunks are not read. */
int have_read(struct have *have, const char *path, struct bc_error *error);

/* A copy's, as somebody sends them to ask for the rest (have_send()). */
int have_receive(struct have *have, int fd, const char *name, struct bc_error *error);
struct output;
int have_send(const struct have *have, struct output *output, struct bc_error *error);
void have_release(struct have *have);

/*
 * Which regions of a volume with these stamps and this history one who has @have
 * lacks: a bit a region, to be freed.  NULL: no memory.
 */
uint8_t *have_lacks(const struct have *have, const uint64_t *stamps,
		    const struct blkcast_reign *history, uint32_t reigns);

/* Is a volume of this shape the same volume? */
int have_check(const struct have *have, const uint8_t volume[16], uint64_t bytes,
	       uint32_t region_shift, struct bc_error *error);

struct reader;

/*
 * Does the delta fit: is it of the same volume, and does it hold every region that
 * @have lacks of it?
 */
int have_fits(const struct have *have, const struct reader *delta, struct bc_error *error);

#endif /* SNAPSHOT_HAVE_H */
