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
 * struct reader_chunk - a chunk, as announced
 * @number: its number
 * @position: byte of the file where its frame begins, for messages
 * @offset: where its @bytes belong in the image
 * @never: all zeros, nothing of it was ever written
 */
struct reader_chunk {
	uint64_t number, position, offset, digest;
	uint32_t stored, bytes;
	bool never;
};

/**
 * struct reader - a snapshot being read
 * @super: with its history
 * @trailer: valid if @trailer_known: at the end, or from the start if the
 *	input is a regular file
 * @stamps: host order, complete at READER_END if SUPER promises them
 */
struct reader {
	struct input input;
	struct snap_super *super;
	struct snap_trailer trailer;
	bool trailer_known;
	uint64_t *stamps;
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
	/* A byte a chunk: said to be never written. */
	uint8_t *never;
};

int reader_open(struct reader *reader, const char *path, struct bc_error *error);
void reader_close(struct reader *reader);

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

static inline uint64_t reader_bytes(const struct reader *reader)
{
	return le64toh(reader->super->bytes);
}

#endif /* SNAPSHOT_READER_H */
