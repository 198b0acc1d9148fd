// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Frames of a snapshot, in order (see writer.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zstd.h>

#include "blkcast_lsn.h"
#include "writer.h"

#define FRAME_ROOM (sizeof(struct snap_head) + SNAP_PAYLOAD_MAX)

uint64_t writer_wall_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

int writer_open(struct writer *writer, struct output *output, struct bc_error *error)
{
	memset(writer, 0, sizeof(*writer));
	writer->output = output;
	writer->frame = malloc(FRAME_ROOM);
	writer->root = XXH64_createState();
	if (!writer->frame || !writer->root) {
		writer_close(writer);
		return bc_fail(error, -ENOMEM, "out of memory");
	}
	XXH64_reset(writer->root, 0);
	return 0;
}

void writer_close(struct writer *writer)
{
	seektable_release(&writer->table);
	XXH64_freeState(writer->root);
	free(writer->frame);
	memset(writer, 0, sizeof(*writer));
}

static void *writer_payload(struct writer *writer)
{
	return writer->frame + sizeof(struct snap_head);
}

/* Seal and write the metadata frame whose payload stands in the buffer. */
static int writer_metadata(struct writer *writer, enum snap_type type, size_t length,
			   struct bc_error *error)
{
	size_t total = sizeof(struct snap_head) + length;
	int err;

	snap_head_seal(writer->frame, type, length, writer->output->offset);
	err = seektable_add(&writer->table, total, 0, error);
	return err ? err : output_write(writer->output, writer->frame, total, error);
}

int writer_super(struct writer *writer, const struct snap_super *super,
		 const struct blkcast_reign *history, struct bc_error *error)
{
	size_t length = le32toh(super->reigns) * sizeof(*history);

	memcpy(writer->trailer.id, super->id, sizeof(super->id));
	memcpy(writer_payload(writer), super, sizeof(*super));
	if (length)
		memcpy((char *)writer_payload(writer) + sizeof(*super), history, length);
	return writer_metadata(writer, SNAP_SUPER, sizeof(*super) + length, error);
}

static void add_le64(__le64 *sum, uint64_t n)
{
	*sum = htole64(le64toh(*sum) + n);
}

static void add_le32(__le32 *sum, uint32_t n)
{
	*sum = htole32(le32toh(*sum) + n);
}

static uint32_t count_extents(const struct writer_chunk *chunk, unsigned int chunks)
{
	uint32_t extents = 0;
	unsigned int i;

	for (i = 0; i < chunks; i++)
		extents += chunk[i].extents;
	return extents;
}

static void fill_extents(struct snap_extent *extent, const struct writer_chunk *chunk)
{
	uint32_t i;

	for (i = 0; i < chunk->extents; i++) {
		extent[i] = (struct snap_extent) {
			.offset = htole64(chunk->extent[i].offset),
			.bytes = htole32(chunk->extent[i].bytes),
			.flags = htole32(chunk->extent[i].flags),
		};
	}
}

static size_t segment_fill(struct snap_segment *segment, const struct writer_chunk *chunk,
			   unsigned int chunks)
{
	struct snap_extent *extent = (void *)(segment->chunk + chunks);
	unsigned int i;

	for (i = 0; i < chunks; i++) {
		segment->chunk[i] = (struct snap_chunk) {
			.digest = htole64(chunk[i].digest), .stored = htole32(chunk[i].stored),
			.bytes = htole32(chunk[i].bytes), .extents = htole32(chunk[i].extents),
		};
		fill_extents(extent, &chunk[i]);
		extent += chunk[i].extents;
	}
	return (char *)extent - (char *)segment;
}

static int segment_announce(struct writer *writer, const struct writer_chunk *chunk,
			    unsigned int chunks, struct bc_error *error)
{
	struct snap_segment *segment = writer_payload(writer);

	segment->index = writer->trailer.segments;
	segment->first = writer->trailer.chunks;
	segment->chunks = htole32(chunks);
	segment->extents = htole32(count_extents(chunk, chunks));
	return writer_metadata(writer, SNAP_SEGMENT, segment_fill(segment, chunk, chunks), error);
}

static int segment_chunk(struct writer *writer, const struct writer_chunk *chunk,
			 struct bc_error *error)
{
	const __le64 digest = htole64(chunk->digest);
	int err = seektable_add(&writer->table, chunk->stored, chunk->bytes, error);

	if (err)
		return err;
	XXH64_update(writer->root, &digest, sizeof(digest));
	add_le64(&writer->trailer.chunks, 1);
	add_le64(&writer->trailer.bytes, chunk->bytes);
	return output_write(writer->output, chunk->data, chunk->stored, error);
}

int writer_segment(struct writer *writer, const struct writer_chunk *chunk,
		   unsigned int chunks, struct bc_error *error)
{
	unsigned int i;
	int err = segment_announce(writer, chunk, chunks, error);

	for (i = 0; !err && i < chunks; i++)
		err = segment_chunk(writer, &chunk[i], error);
	add_le64(&writer->trailer.segments, 1);
	return err;
}

/* Little-endian copies of @count stamps, counted and hashed. */
static void stamps_encode(struct writer *writer, __le64 *le, const uint64_t *stamps,
			  uint32_t count, XXH64_state_t *hash)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		le[i] = htole64(stamps[i]);
		add_le32(&writer->trailer.never, stamps[i] == BLKCAST_LSN_NEVER);
		add_le32(&writer->trailer.doubt, stamps[i] == BLKCAST_LSN_DOUBT);
	}
	XXH64_update(hash, le, count * sizeof(*le));
	add_le32(&writer->trailer.regions, count);
}

static int stamps_piece(struct writer *writer, const __le64 *le, uint32_t first,
			uint32_t count, struct bc_error *error)
{
	struct snap_stamps *piece = writer_payload(writer);
	size_t size;

	piece->first = htole32(first);
	piece->count = htole32(count);
	size = ZSTD_compress(piece + 1, SNAP_PAYLOAD_MAX - sizeof(*piece), le,
			     count * sizeof(*le), 3);
	if (ZSTD_isError(size))
		return bc_fail(error, -EIO, "cannot compress stamps: %s", ZSTD_getErrorName(size));
	if (!writer->trailer.stamps_frames)
		writer->trailer.stamps_offset = htole64(writer->output->offset);
	add_le32(&writer->trailer.stamps_frames, 1);
	return writer_metadata(writer, SNAP_STAMPS, sizeof(*piece) + size, error);
}

int writer_stamps(struct writer *writer, const uint64_t *stamps, uint32_t regions,
		  struct bc_error *error)
{
	__le64 *le = malloc(SNAP_STAMPS_PIECE * sizeof(*le));
	XXH64_state_t *hash = XXH64_createState();
	uint32_t first, count;
	int err = 0;

	if (!le || !hash)
		err = bc_fail(error, -ENOMEM, "out of memory");
	else
		XXH64_reset(hash, 0);
	for (first = 0; !err && first < regions; first += count) {
		count = regions - first < SNAP_STAMPS_PIECE ? regions - first : SNAP_STAMPS_PIECE;
		stamps_encode(writer, le, stamps + first, count, hash);
		err = stamps_piece(writer, le, first, count, error);
	}
	if (!err)
		writer->trailer.stamps_root = htole64(XXH64_digest(hash));
	XXH64_freeState(hash);
	free(le);
	return err;
}

int writer_holds(struct writer *writer, const uint8_t *holds, uint32_t regions,
		 struct bc_error *error)
{
	struct snap_holds *piece = writer_payload(writer);
	uint32_t first, count;
	size_t size;
	int err = 0;

	for (first = 0; !err && first < regions; first += count) {
		count = regions - first < SNAP_HOLDS_PIECE ? regions - first : SNAP_HOLDS_PIECE;
		piece->first = htole32(first);
		piece->count = htole32(count);
		size = ZSTD_compress(piece + 1, SNAP_PAYLOAD_MAX - sizeof(*piece),
				     holds + first / 8, snap_holds_bytes(count), 3);
		if (ZSTD_isError(size))
			return bc_fail(error, -EIO, "cannot compress a bitmap: %s",
				       ZSTD_getErrorName(size));
		err = writer_metadata(writer, SNAP_HOLDS, sizeof(*piece) + size, error);
	}
	return err;
}

static int writer_seektable(struct writer *writer, struct bc_error *error)
{
	const struct seektable *table = &writer->table;
	uint8_t head[SNAP_SEEK_HEAD], foot[SNAP_SEEK_FOOT];
	int err;

	seektable_head(table, head);
	seektable_foot(table, foot);
	err = output_write(writer->output, head, sizeof(head), error);
	if (!err)
		err = output_write(writer->output, table->entry,
				   table->count * sizeof(*table->entry), error);
	return err ? err : output_write(writer->output, foot, sizeof(foot), error);
}

int writer_trailer(struct writer *writer, struct bc_error *error)
{
	struct snap_trailer *trailer = &writer->trailer;
	int err;

	trailer->root = htole64(XXH64_digest(writer->root));
	trailer->finished = htole64(writer_wall_clock());
	memcpy(writer_payload(writer), trailer, sizeof(*trailer));
	err = writer_metadata(writer, SNAP_TRAILER, sizeof(*trailer), error);
	return err ? err : writer_seektable(writer, error);
}
