/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Chunks are done in any order; up to which byte of the image are all of them?
 * Chunks ascend in the image.  8 bytes of memory a chunk.
 */
#ifndef SNAPSHOT_LOWWATER_H
#define SNAPSHOT_LOWWATER_H

#include <stddef.h>
#include <stdint.h>

/**
 * struct lowwater - zeroed at first
 * @bytes: all chunks that begin before this byte are done
 * @end: for each chunk, where it ends; 0: not done
 */
struct lowwater {
	uint64_t bytes, *end;
	size_t room, next;
};

/* Chunk @number, which ends at byte @end, is done; -ENOMEM. */
int lowwater_done(struct lowwater *lowwater, uint64_t number, uint64_t end);
void lowwater_release(struct lowwater *lowwater);

#endif /* SNAPSHOT_LOWWATER_H */
