/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads the frames of a snapshot in their order and takes nothing on trust: see
 * format.h for what must hold.  Every refusal names the file and the byte.
 *
 * Use: reader_open() reads SUPER (and, of a regular file, looks at its end, so
 * that one that was cut short is refused at once); then reader_next() until it
 * says READER_END, which it does only if all that the file says about itself
 * was found to be so.  The content of chunks is the caller's to unpack and to
 * hold against their digest.
 *
 * Of a delta reader_open() also reads what a base is checked against: stamps, and
 * which regions it holds.  Memory grows with what has been read, not with what
 * the file says of itself.
 */
#ifndef SNAPSHOT_READER_H
#define SNAPSHOT_READER_H

#include <stdbool.h>
#include <stdint.h>
#include <xxhash.h>

#include "../lib/error.h"
#include "format.h"
#include "input.h"
#include "seektable.h"

enum reader_item {
	READER_CHUNK,	/* next: reader_packed() */
	READER_END,
};

/**
 * struct reader_extent - where bytes of a chunk belong
 * @flags: SNAP_EXTENT_*; with SNAP_EXTENT_ZERO there are none in the chunk
 */
struct reader_extent {
	uint64_t offset;
	uint32_t bytes, flags;
};

/**
 * struct reader_chunk - a chunk, as announced
 * @number: its number
 * @position: byte of the file where its frame begins, for messages
 * @bytes: unpacked
 * @never: all zeros, nothing of it was ever written
 * @extent: where its bytes belong in the image, @extents of them
 */
struct reader_chunk {
	uint64_t number, position, digest;
	uint32_t stored, bytes;
	bool never;
	uint32_t extents;
	struct reader_extent extent[SNAP_CHUNK_EXTENTS];
};

/**
 * struct reader - a snapshot being read
 * @super: with its history
 * @trailer: valid if @trailer_known: at the end, or from the start if the
 *	input is a regular file
 * @stamps: host order, complete at READER_END if SUPER promises them, of a delta
 *	from the start; those of regions that its extents say are in doubt are
 *	settled at READER_END
 * @holds: of a delta, a bit a region
 */
struct reader {
	struct input input;
	struct snap_super *super;
	struct snap_trailer trailer;
	bool trailer_known;
	uint64_t *stamps;
	uint8_t *holds;
	uint64_t regions;

	struct snap_trailer seen;	/* what went by, to hold against TRAILER */
	struct seektable table;
	XXH64_state_t *root, *stamps_root;
	uint64_t chunks, frame_offset;
	char *frame;
	__le64 *piece;
	/* The segment under way. */
	uint32_t segment_chunks, segment_at;
	struct snap_chunk *segment;
	struct snap_extent *extent;
	const struct snap_extent *next_extent;
	/* Full: a byte a chunk: said to be never written. */
	uint8_t *never;
	size_t never_room, stamps_room;
	/* Delta: regions of HOLDS seen, bytes they have, and those that extents had. */
	uint64_t held_regions, held_bytes, extent_bytes, extent_end;
};

int reader_open(struct reader *reader, const char *path, struct bc_error *error);
/* The same of something open, which stays the caller's. */
int reader_open_fd(struct reader *reader, int fd, const char *name, struct bc_error *error);
void reader_close(struct reader *reader);

/*
 * SUPER and TRAILER alone, of a regular file; nothing else can be read of it.  Where
 * the file is damaged behind SUPER, @trailer_known is false and @error says why.
 */
int reader_open_ends(struct reader *reader, const char *path, struct bc_error *error);

/*
 * SUPER and STAMPS alone, of what has nothing else: the copy that a delta is
 * asked for (see have.h).
 */
int reader_open_stamps(struct reader *reader, int fd, const char *name,
		       struct bc_error *error);

/*
 * The stamps of a regular file, without its chunks; nothing else can be read of
 * it afterwards.
 */
int reader_skip_to_stamps(struct reader *reader, struct bc_error *error);

/* Go on to the next chunk: its description; or to the end. */
int reader_next(struct reader *reader, struct reader_chunk *chunk, enum reader_item *item,
		struct bc_error *error);

/* The frame of the chunk just announced, chunk->stored bytes. */
int reader_packed(struct reader *reader, const struct reader_chunk *chunk, void *packed,
		  struct bc_error *error);

static inline bool reader_fuzzy(const struct reader *reader)
{
	return le32toh(reader->trailer.flags) & SNAP_TRAILER_FUZZY;
}

static inline bool reader_has_stamps(const struct reader *reader)
{
	return le32toh(reader->super->flags) & SNAP_SUPER_STAMPS;
}

static inline bool reader_delta(const struct reader *reader)
{
	return le32toh(reader->super->flags) & SNAP_SUPER_DELTA;
}

/* Bytes of the image that the chunks cover, as far as that is known beforehand. */
static inline uint64_t reader_covers(const struct reader *reader)
{
	return reader_delta(reader) ? reader->held_bytes : le64toh(reader->super->bytes);
}

static inline uint64_t reader_bytes(const struct reader *reader)
{
	return le64toh(reader->super->bytes);
}

#endif /* SNAPSHOT_READER_H */
