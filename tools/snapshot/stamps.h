/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which stamp belongs to the content that was read.
 *
 * A volume goes on being written to while it is read.  The stamps of some
 * regions are asked for before they are read and again behind it: a region
 * whose stamp is the same both times, and not in doubt, did not change in
 * between, so its content is that stamp's (rule 24).  Any other region is in
 * doubt in the snapshot, and so is one whose chunks were read at different
 * stamps.  The rest of the map is BLKCAST_LSN_NEVER only by such proof.
 *
 * For a delta the whole map is asked for at the beginning (stamps_fix()), for it
 * stands first in the file: then a region is proven only if it still has the
 * stamp it had there, and whoever writes the file says which are not.
 *
 * Without a volume (@ask NULL) there are no stamps and nothing is asked.
 */
#ifndef SNAPSHOT_STAMPS_H
#define SNAPSHOT_STAMPS_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/error.h"
#include "format.h"

/* The largest number of regions that one chunk can touch. */
#define STAMPS_CHUNK_REGIONS (SNAP_CHUNK_SIZE >> BLKCAST_REGION_SHIFT_MIN)

/**
 * struct stamps - the map of a snapshot in the making
 * @ask: stamps of regions @first.. @first + @count - 1 as they are now
 * @arg: its first argument
 * @stamp: what is known so far
 * @known: a byte a region: @stamp means something
 * @changed: some region changed while it was being read
 * @fixed: the map is that of the beginning
 */
struct stamps {
	int (*ask)(void *arg, uint32_t first, uint32_t count, uint64_t *stamps,
		   struct bc_error *error);
	void *arg;
	uint32_t regions, shift;
	uint64_t *stamp;
	uint8_t *known;
	bool changed, fixed;
};

/**
 * struct stamps_window - the regions of one chunk, while it is read
 * @first: first region
 * @count: regions
 * @before: their stamps before the read
 * @proven: a bit a region: what was read belongs to @before
 */
struct stamps_window {
	uint32_t first, count;
	uint64_t before[STAMPS_CHUNK_REGIONS];
	uint32_t proven;
};

_Static_assert(STAMPS_CHUNK_REGIONS <= 32, "proven is a u32");

int stamps_init(struct stamps *stamps, uint64_t bytes, uint32_t shift,
		struct bc_error *error);
void stamps_release(struct stamps *stamps);

/* Take the whole map as it is now, and keep it. */
int stamps_fix(struct stamps *stamps, struct bc_error *error);

/* Ask before bytes @offset .. @offset + @bytes - 1 are read. */
int stamps_begin(struct stamps *stamps, struct stamps_window *window, uint64_t offset,
		 uint32_t bytes, struct bc_error *error);

/*
 * Ask again behind the read.  Returns the number of regions not proven (their
 * @before is now what was just found, so that they can be read again; in a fixed
 * map that does not help, and 0 is returned), or a negative errno.
 */
int stamps_check(struct stamps *stamps, struct stamps_window *window,
		 struct bc_error *error);

/*
 * Enter the window into the map: proven regions with their stamp, else doubt.
 * True: none of them was ever written.
 */
bool stamps_enter(struct stamps *stamps, const struct stamps_window *window);

/* What was read of the last region is not all that its stamp stands for. */
void stamps_doubt_last(struct stamps *stamps);

/* Regions that nobody read are in doubt; returns the number in doubt. */
uint32_t stamps_finish(struct stamps *stamps);

#endif /* SNAPSHOT_STAMPS_H */
