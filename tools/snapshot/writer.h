/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes the frames of a snapshot in their order, in one forward pass, and
 * keeps what TRAILER and SEEKTABLE will need: sizes, counts, the root hash.
 *
 * Calls: writer_super(), writer_segment() for all chunks, writer_stamps() if
 * SUPER promised them, writer_trailer(), which writes the seek table as well.
 * In a delta writer_stamps() and writer_holds() come before the chunks.
 */
#ifndef SNAPSHOT_WRITER_H
#define SNAPSHOT_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <xxhash.h>

#include "../lib/error.h"
#include "format.h"
#include "output.h"
#include "seektable.h"

/**
 * struct writer - a snapshot being written
 * @trailer: filled in as frames pass; the caller adds @lsn and @flags
 */
struct writer {
	struct output *output;
	struct seektable table;
	XXH64_state_t *root;
	struct snap_trailer trailer;
	char *frame;	/* room for one metadata frame */
};

/**
 * struct writer_extent - where bytes of a chunk belong
 * @flags: SNAP_EXTENT_*
 */
struct writer_extent {
	uint64_t offset;
	uint32_t bytes, flags;
};

/**
 * struct writer_chunk - a packed chunk
 * @data: its zstd frame, @stored bytes
 * @bytes: unpacked
 * @extent: where they belong, @extents of them
 */
struct writer_chunk {
	uint64_t digest;
	uint32_t stored, bytes, extents;
	const void *data;
	const struct writer_extent *extent;
};

int writer_open(struct writer *writer, struct output *output, struct bc_error *error);
void writer_close(struct writer *writer);

int writer_super(struct writer *writer, const struct snap_super *super,
		 const struct blkcast_reign *history, struct bc_error *error);
/* Up to SNAP_SEGMENT_CHUNKS chunks, in order. */
int writer_segment(struct writer *writer, const struct writer_chunk *chunk,
		   unsigned int chunks, struct bc_error *error);
/* The whole map, stamps in host order. */
int writer_stamps(struct writer *writer, const uint64_t *stamps, uint32_t regions,
		  struct bc_error *error);
/* Which of @regions regions the delta holds: a bit a region. */
int writer_holds(struct writer *writer, const uint8_t *holds, uint32_t regions,
		 struct bc_error *error);
int writer_trailer(struct writer *writer, struct bc_error *error);

/* Wall clock, ns since 1970. */
uint64_t writer_wall_clock(void);

#endif /* SNAPSHOT_WRITER_H */
