// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Frames of a snapshot, checked (see reader.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "blkcast_lsn.h"
#include "reader.h"

#define FRAME_ROOM (sizeof(struct snap_head) + SNAP_PAYLOAD_MAX)

/* Refuse what stands at the frame under way. */
static int reader_refuse(struct reader *reader, const char *wrong, struct bc_error *error)
{
	return bc_fail(error, -EBADMSG, "%s: byte %llu: %s; the file is damaged",
		       reader->input.name, (unsigned long long)reader->frame_offset, wrong);
}

static struct snap_head *reader_head(struct reader *reader)
{
	return (struct snap_head *)reader->frame;
}

static void *reader_payload(struct reader *reader)
{
	return reader->frame + sizeof(struct snap_head);
}

static size_t reader_length(struct reader *reader)
{
	return le32toh(reader_head(reader)->length);
}

/* Read a metadata frame whose skippable magic has been read. */
static int reader_metadata(struct reader *reader, struct bc_error *error)
{
	struct snap_head *head = reader_head(reader);
	const char *wrong;
	int err;

	err = input_read(&reader->input, (char *)head + 4, sizeof(*head) - 4, error);
	if (err)
		return err;
	wrong = snap_head_check(head, reader->frame_offset);
	if (wrong)
		return reader_refuse(reader, wrong, error);
	err = input_read(&reader->input, reader_payload(reader), reader_length(reader), error);
	if (err)
		return err;
	wrong = snap_frame_check(head);
	if (wrong)
		return reader_refuse(reader, wrong, error);
	return seektable_add(&reader->table, sizeof(*head) + reader_length(reader), 0, error);
}

/* Begin a frame: its magic. */
static int reader_magic(struct reader *reader, uint32_t *magic, struct bc_error *error)
{
	int err;

	reader->frame_offset = reader->input.offset;
	err = input_read(&reader->input, reader->frame, sizeof(*magic), error);
	*magic = le32toh(reader_head(reader)->skip_magic);
	return err;
}

/* ---- SUPER, and the end of the file beforehand ---- */

static int reader_super(struct reader *reader, struct bc_error *error)
{
	const char *wrong;
	uint32_t magic;
	int err = reader_magic(reader, &magic, error);

	if (err)
		return err;
	if (magic != SNAP_SKIP_MAGIC)
		return bc_fail(error, -EINVAL, "%s: byte 0: not a blkcast snapshot", reader->input.name);
	err = reader_metadata(reader, error);
	if (err)
		return err;
	if (le16toh(reader_head(reader)->type) != SNAP_SUPER)
		return reader_refuse(reader, "the first frame is not SUPER", error);
	wrong = snap_super_check(reader_payload(reader), reader_length(reader));
	if (wrong)
		return reader_refuse(reader, wrong, error);
	reader->super = malloc(reader_length(reader));
	if (!reader->super)
		return bc_fail(error, -ENOMEM, "out of memory");
	memcpy(reader->super, reader_payload(reader), reader_length(reader));
	return 0;
}

static int reader_prepare(struct reader *reader, struct bc_error *error)
{
	const struct snap_super *super = reader->super;
	uint32_t chunk_size = le32toh(super->chunk_size);

	if (!reader_delta(reader))
		reader->chunks = (reader_bytes(reader) + chunk_size - 1) / chunk_size;
	if (!reader_has_stamps(reader))
		return 0;
	reader->regions = snap_regions(super);
	reader->piece = malloc(SNAP_STAMPS_PIECE * sizeof(*reader->piece));
	return reader->piece ? 0 : bc_fail(error, -ENOMEM, "out of memory");
}

/* Room for @need elements, at least doubled; NULL: no memory, and nothing lost. */
static void *grow(void *array, size_t *room, size_t need, size_t size)
{
	size_t wanted = need > 2 * *room ? need : 2 * *room;

	if (need <= *room)
		return array;
	array = realloc(array, wanted * size);
	if (array)
		*room = wanted;
	return array;
}

struct trailer_frame {
	struct snap_head head;
	struct snap_trailer trailer;
};

static bool trailer_frame_good(const struct trailer_frame *frame, uint64_t offset)
{
	return !snap_head_check(&frame->head, offset) &&
	       le32toh(frame->head.length) == sizeof(frame->trailer) &&
	       !snap_frame_check(frame) && le16toh(frame->head.type) == SNAP_TRAILER &&
	       !snap_trailer_check(&frame->trailer, sizeof(frame->trailer));
}

/* Read the frame before the seek table, if there is room for both. */
static int trailer_frame_read(const struct input *input, struct trailer_frame *frame,
			      uint64_t *offset, struct bc_error *error)
{
	uint8_t foot[SNAP_SEEK_FOOT];
	uint64_t behind;
	__le32 frames;
	int err;

	memset(frame, 0, sizeof(*frame));
	if (input->size < sizeof(foot))
		return 0;
	err = input_peek(input, foot, sizeof(foot), input->size - sizeof(foot), error);
	if (err)
		return err;
	memcpy(&frames, foot, sizeof(frames));
	behind = sizeof(*frame) + SNAP_SEEK_HEAD + SNAP_SEEK_FOOT +
		 (uint64_t)le32toh(frames) * sizeof(struct snap_seek_entry);
	if (behind > input->size)
		return 0;
	*offset = input->size - behind;
	return input_peek(input, frame, sizeof(*frame), *offset, error);
}

/* A regular file: find TRAILER from behind.  Everything is checked again later. */
static int reader_look_at_end(struct reader *reader, struct bc_error *error)
{
	const struct input *input = &reader->input;
	struct trailer_frame frame;
	uint64_t offset = 0;
	int err = trailer_frame_read(input, &frame, &offset, error);

	if (err)
		return err;
	if (!trailer_frame_good(&frame, offset))
		return bc_fail(error, -ENODATA,
			       "%s is truncated: there is no TRAILER before its end at byte %llu (or its end is damaged)",
			       input->name, (unsigned long long)input->size);
	reader->trailer = frame.trailer;
	reader->trailer_known = true;
	return 0;
}

static int reader_alloc(struct reader *reader, struct bc_error *error)
{
	reader->frame = calloc(1, FRAME_ROOM);
	reader->segment = calloc(SNAP_SEGMENT_CHUNKS, sizeof(*reader->segment));
	reader->extent = calloc(SNAP_SEGMENT_EXTENTS, sizeof(*reader->extent));
	reader->root = XXH64_createState();
	reader->stamps_root = XXH64_createState();
	if (!reader->frame || !reader->segment || !reader->extent ||
	    !reader->root || !reader->stamps_root)
		return bc_fail(error, -ENOMEM, "out of memory");
	XXH64_reset(reader->root, 0);
	XXH64_reset(reader->stamps_root, 0);
	return 0;
}

/* The input is open: read SUPER. */
static int reader_begin(struct reader *reader, struct bc_error *error)
{
	int err = reader_alloc(reader, error);

	if (!err)
		err = reader_super(reader, error);
	return err ? err : reader_prepare(reader, error);
}

void reader_close(struct reader *reader)
{
	input_close(&reader->input);
	seektable_release(&reader->table);
	XXH64_freeState(reader->root);
	XXH64_freeState(reader->stamps_root);
	free(reader->super);
	free(reader->stamps);
	free(reader->piece);
	free(reader->frame);
	free(reader->segment);
	free(reader->extent);
	free(reader->never);
	free(reader->holds);
	memset(reader, 0, sizeof(*reader));
	reader->input.fd = -1;
}

/* ---- SEGMENT ---- */

/* A full snapshot: the chunks cover the image without a gap. */
static const char *full_check_places(const struct reader *reader,
				     const struct snap_segment *segment)
{
	const struct snap_extent *extent = snap_segment_extents(segment);
	uint64_t first = le64toh(segment->first);
	uint32_t i, chunk_size = le32toh(reader->super->chunk_size);

	if (first + le32toh(segment->chunks) > reader->chunks)
		return "SEGMENT beyond the end of the image";
	for (i = 0; i < le32toh(segment->chunks); i++) {
		const struct snap_chunk *chunk = &segment->chunk[i];

		if (le32toh(chunk->extents) != 1 ||
		    le32toh(extent[i].flags) & ~SNAP_EXTENT_NEVER ||
		    le64toh(extent[i].offset) != (first + i) * chunk_size ||
		    le32toh(chunk->bytes) != snap_chunk_bytes(reader_bytes(reader), chunk_size,
							      first + i))
			return "SEGMENT with a chunk in the wrong place";
	}
	return NULL;
}

/* All of the regions in these bytes are held. */
static bool extent_held(const struct reader *reader, uint64_t offset, uint64_t end)
{
	uint32_t shift = le32toh(reader->super->region_shift);
	uint64_t r;

	for (r = offset >> shift; r <= (end - 1) >> shift; r++) {
		if (!snap_held(reader->holds, r))
			return false;
	}
	return true;
}

/* A delta: the extents ascend, in regions that it holds. */
static const char *delta_check_places(struct reader *reader, const struct snap_segment *segment)
{
	const struct snap_extent *extent = snap_segment_extents(segment);
	uint64_t image = reader_bytes(reader);
	uint32_t i;

	if (reader->held_regions != reader->regions)
		return "SEGMENT before STAMPS and HOLDS";
	for (i = 0; i < le32toh(segment->extents); i++, extent++) {
		uint64_t offset = le64toh(extent->offset), end = offset + le32toh(extent->bytes);

		if (le32toh(extent->flags) & SNAP_EXTENT_NEVER || offset < reader->extent_end ||
		    offset > image || end > image || offset % SNAP_EXTENT_ALIGN ||
		    (end % SNAP_EXTENT_ALIGN && end != image) ||
		    !extent_held(reader, offset, end))
			return "SEGMENT with an extent in the wrong place";
		reader->extent_end = end;
		reader->extent_bytes += end - offset;
	}
	return NULL;
}

static const char *segment_check_places(struct reader *reader,
					const struct snap_segment *segment)
{
	uint32_t chunk_size = le32toh(reader->super->chunk_size), i;

	if (le64toh(segment->index) != le64toh(reader->seen.segments) ||
	    le64toh(segment->first) != le64toh(reader->seen.chunks))
		return "SEGMENT out of order: something before it is missing";
	for (i = 0; i < le32toh(segment->chunks); i++) {
		uint32_t stored = le32toh(segment->chunk[i].stored);

		if (!stored || stored > ZSTD_compressBound(chunk_size))
			return "SEGMENT with a chunk of an impossible size";
	}
	return reader_delta(reader) ? delta_check_places(reader, segment) :
				      full_check_places(reader, segment);
}

static void add_le64(__le64 *sum, uint64_t n)
{
	*sum = htole64(le64toh(*sum) + n);
}

static void add_le32(__le32 *sum, uint32_t n)
{
	*sum = htole32(le32toh(*sum) + n);
}

static int reader_segment(struct reader *reader, struct bc_error *error)
{
	const struct snap_segment *segment = reader_payload(reader);
	const char *wrong;

	if (reader->seen.stamps_frames && le32toh(reader->seen.regions) != reader->regions)
		return reader_refuse(reader, "SEGMENT between STAMPS", error);
	wrong = snap_segment_check(segment, reader_length(reader),
				   le32toh(reader->super->chunk_size));
	if (!wrong)
		wrong = segment_check_places(reader, segment);
	if (wrong)
		return reader_refuse(reader, wrong, error);
	reader->segment_chunks = le32toh(segment->chunks);
	reader->segment_at = 0;
	reader->next_extent = reader->extent;
	memcpy(reader->segment, segment->chunk, reader->segment_chunks * sizeof(*reader->segment));
	memcpy(reader->extent, snap_segment_extents(segment),
	       le32toh(segment->extents) * sizeof(*reader->extent));
	add_le64(&reader->seen.segments, 1);
	return 0;
}

static void announce_extents(struct reader *reader, struct reader_chunk *chunk)
{
	uint32_t i;

	for (i = 0; i < chunk->extents; i++, reader->next_extent++) {
		chunk->extent[i] = (struct reader_extent) {
			.offset = le64toh(reader->next_extent->offset),
			.bytes = le32toh(reader->next_extent->bytes),
			.flags = le32toh(reader->next_extent->flags),
		};
	}
}

/* What these extents say of their regions. */
static int announce_stamps(struct reader *reader, const struct reader_chunk *chunk,
			   struct bc_error *error)
{
	uint32_t shift = le32toh(reader->super->region_shift), i;
	uint64_t r;

	if (!reader_delta(reader)) {
		uint8_t *never = grow(reader->never, &reader->never_room, chunk->number + 1, 1);

		if (!never)
			return bc_fail(error, -ENOMEM, "out of memory");
		reader->never = never;
		never[chunk->number] = chunk->never;
		return 0;
	}
	for (i = 0; i < chunk->extents; i++) {
		const struct reader_extent *extent = &chunk->extent[i];

		if (!(extent->flags & SNAP_EXTENT_DOUBT))
			continue;
		for (r = extent->offset >> shift;
		     r <= (extent->offset + extent->bytes - 1) >> shift; r++)
			reader->stamps[r] = BLKCAST_LSN_DOUBT;
	}
	return 0;
}

/* The next chunk of the segment under way. */
static int reader_announce(struct reader *reader, struct reader_chunk *chunk,
			   struct bc_error *error)
{
	const struct snap_chunk *from = &reader->segment[reader->segment_at++];
	int err;

	chunk->number = le64toh(reader->seen.chunks);
	chunk->position = reader->input.offset;
	chunk->digest = le64toh(from->digest);
	chunk->stored = le32toh(from->stored);
	chunk->bytes = le32toh(from->bytes);
	chunk->extents = le32toh(from->extents);
	chunk->never = le32toh(reader->next_extent->flags) & SNAP_EXTENT_NEVER;
	announce_extents(reader, chunk);
	err = announce_stamps(reader, chunk, error);
	if (err)
		return err;
	XXH64_update(reader->root, &from->digest, sizeof(from->digest));
	add_le64(&reader->seen.chunks, 1);
	add_le64(&reader->seen.bytes, chunk->bytes);
	return seektable_add(&reader->table, chunk->stored, chunk->bytes, error);
}

int reader_packed(struct reader *reader, const struct reader_chunk *chunk, void *packed,
		  struct bc_error *error)
{
	return input_read(&reader->input, packed, chunk->stored, error);
}

/* ---- STAMPS ---- */

/* One zstd frame that fills @bytes exactly. */
static bool unpack_exactly(void *to, size_t bytes, const void *from, size_t stored)
{
	return ZSTD_getFrameContentSize(from, stored) == bytes &&
	       ZSTD_findFrameCompressedSize(from, stored) == stored &&
	       ZSTD_decompress(to, bytes, from, stored) == bytes;
}

static void stamps_take(struct reader *reader, uint32_t first, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		uint64_t stamp = le64toh(reader->piece[i]);

		reader->stamps[first + i] = stamp;
		add_le32(&reader->seen.never, stamp == BLKCAST_LSN_NEVER);
		add_le32(&reader->seen.doubt, stamp == BLKCAST_LSN_DOUBT);
	}
	XXH64_update(reader->stamps_root, reader->piece, count * sizeof(*reader->piece));
	add_le32(&reader->seen.regions, count);
}

static int reader_stamps(struct reader *reader, struct bc_error *error)
{
	const struct snap_stamps *stamps = reader_payload(reader);
	const char *wrong = snap_stamps_check(stamps, reader_length(reader));
	uint32_t first, count;
	uint64_t *room;

	if (wrong)
		return reader_refuse(reader, wrong, error);
	first = le32toh(stamps->first);
	count = le32toh(stamps->count);
	if (first != le32toh(reader->seen.regions) || first + count > reader->regions)
		return reader_refuse(reader, "STAMPS out of order", error);
	if (!unpack_exactly(reader->piece, count * sizeof(*reader->piece), stamps + 1,
			    reader_length(reader) - sizeof(*stamps)))
		return reader_refuse(reader, "STAMPS that cannot be unpacked", error);
	room = grow(reader->stamps, &reader->stamps_room, first + count, sizeof(*room));
	if (!room)
		return bc_fail(error, -ENOMEM, "out of memory for %u stamps", first + count);
	reader->stamps = room;
	if (!reader->seen.stamps_frames)
		reader->seen.stamps_offset = htole64(reader->frame_offset);
	add_le32(&reader->seen.stamps_frames, 1);
	stamps_take(reader, first, count);
	return 0;
}

/* ---- HOLDS ---- */

static void holds_take(struct reader *reader, uint32_t first, uint32_t count)
{
	uint32_t r;

	for (r = first; r < first + count; r++) {
		if (snap_held(reader->holds, r))
			reader->held_bytes += snap_region_bytes(reader->super, r);
	}
	reader->held_regions += count;
}

static const char *holds_check_place(const struct reader *reader, const struct snap_holds *holds)
{
	uint32_t first = le32toh(holds->first);

	if (!reader_delta(reader))
		return "HOLDS in a full snapshot";
	if (le32toh(reader->seen.regions) != reader->regions)
		return "HOLDS before STAMPS";
	if (first != reader->held_regions || first + le32toh(holds->count) > reader->regions)
		return "HOLDS out of order";
	return NULL;
}

static int reader_holds(struct reader *reader, struct bc_error *error)
{
	const struct snap_holds *holds = reader_payload(reader);
	const char *wrong = snap_holds_check(holds, reader_length(reader));
	uint32_t first, count;

	if (!wrong)
		wrong = holds_check_place(reader, holds);
	if (wrong)
		return reader_refuse(reader, wrong, error);
	first = le32toh(holds->first);
	count = le32toh(holds->count);
	if (!reader->holds)
		reader->holds = calloc(1, snap_holds_bytes(reader->regions));
	if (!reader->holds)
		return bc_fail(error, -ENOMEM, "out of memory");
	if (!unpack_exactly(reader->holds + first / 8, snap_holds_bytes(count), holds + 1,
			    reader_length(reader) - sizeof(*holds)))
		return reader_refuse(reader, "HOLDS that cannot be unpacked", error);
	holds_take(reader, first, count);
	return 0;
}

/* ---- TRAILER and SEEKTABLE ---- */

/* What TRAILER says is what went by. */
static const char *trailer_check_totals(const struct reader *reader,
					const struct snap_trailer *said)
{
	const struct snap_trailer *seen = &reader->seen;

	if (memcmp(said->id, reader->super->id, sizeof(said->id)))
		return "TRAILER of another snapshot";
	if (said->chunks != seen->chunks || said->segments != seen->segments ||
	    said->bytes != seen->bytes ||
	    (!reader_delta(reader) && le64toh(seen->chunks) != reader->chunks) ||
	    reader->extent_bytes != reader->held_bytes ||
	    (reader_delta(reader) && reader->held_regions != reader->regions))
		return "TRAILER comes too early: chunks are missing";
	if (said->regions != seen->regions || said->stamps_frames != seen->stamps_frames ||
	    said->stamps_offset != seen->stamps_offset || said->never != seen->never ||
	    said->doubt != seen->doubt || le32toh(seen->regions) != reader->regions)
		return "TRAILER comes too early: stamps are missing";
	if (le64toh(said->root) != XXH64_digest(reader->root))
		return "the root hash does not match the chunks";
	if (reader->regions && le64toh(said->stamps_root) != XXH64_digest(reader->stamps_root))
		return "the root hash of the stamps does not match";
	return NULL;
}

/* Every region of chunk @i is never written, or in doubt. */
static bool chunk_is_never(const struct reader *reader, uint64_t i)
{
	uint32_t chunk_size = le32toh(reader->super->chunk_size);
	uint32_t shift = le32toh(reader->super->region_shift);
	uint64_t start = i * chunk_size, r;
	uint64_t end = start + snap_chunk_bytes(reader_bytes(reader), chunk_size, i);

	for (r = start >> shift; r <= (end - 1) >> shift; r++) {
		if (reader->stamps[r] != BLKCAST_LSN_NEVER && reader->stamps[r] != BLKCAST_LSN_DOUBT)
			return false;
	}
	return true;
}

static const char *trailer_check_never(const struct reader *reader)
{
	uint64_t i;

	for (i = 0; i < reader->chunks; i++) {
		if (reader->never[i] && !(reader_has_stamps(reader) && chunk_is_never(reader, i)))
			return "a chunk was said to be never written, the stamps say otherwise";
	}
	return NULL;
}

static int reader_trailer(struct reader *reader, struct bc_error *error)
{
	const struct snap_trailer *trailer = reader_payload(reader);
	const char *wrong = snap_trailer_check(trailer, reader_length(reader));

	if (!wrong)
		wrong = trailer_check_totals(reader, trailer);
	if (!wrong)
		wrong = trailer_check_never(reader);
	if (wrong)
		return reader_refuse(reader, wrong, error);
	if (reader->trailer_known && memcmp(&reader->trailer, trailer, sizeof(*trailer)))
		return reader_refuse(reader, "TRAILER changed while the file was read", error);
	reader->trailer = *trailer;
	reader->trailer_known = true;
	return 0;
}

/* The next bytes of the file are these. */
static int reader_expect(struct reader *reader, const void *expected, size_t length,
			 struct bc_error *error)
{
	const char *want = expected;
	size_t n;
	int err;

	while (length) {
		n = length < SNAP_PAYLOAD_MAX ? length : SNAP_PAYLOAD_MAX;
		err = input_read(&reader->input, reader->frame, n, error);
		if (err)
			return err;
		if (memcmp(reader->frame, want, n))
			return reader_refuse(reader, "the seek table does not match the frames",
					     error);
		want += n;
		length -= n;
	}
	return 0;
}

static int reader_seektable(struct reader *reader, struct bc_error *error)
{
	const struct seektable *table = &reader->table;
	uint8_t head[SNAP_SEEK_HEAD], foot[SNAP_SEEK_FOOT];
	int err;

	reader->frame_offset = reader->input.offset;
	seektable_head(table, head);
	seektable_foot(table, foot);
	err = reader_expect(reader, head, sizeof(head), error);
	if (!err)
		err = reader_expect(reader, table->entry, table->count * sizeof(*table->entry),
				    error);
	if (!err)
		err = reader_expect(reader, foot, sizeof(foot), error);
	return err ? err : input_expect_end(&reader->input, error);
}

/* ---- the walk ---- */

/* One metadata frame; 1: it was TRAILER, and all is done. */
static int reader_step(struct reader *reader, struct bc_error *error)
{
	uint32_t magic;
	int err = reader_magic(reader, &magic, error);

	if (err)
		return err;
	if (magic == SNAP_SEEK_MAGIC)
		return reader_refuse(reader, "the seek table comes before TRAILER", error);
	if (magic != SNAP_SKIP_MAGIC)
		return reader_refuse(reader, "unknown kind of frame", error);
	err = reader_metadata(reader, error);
	if (err)
		return err;
	switch (le16toh(reader_head(reader)->type)) {
	case SNAP_SEGMENT:
		return reader_segment(reader, error);
	case SNAP_STAMPS:
		return reader_stamps(reader, error);
	case SNAP_HOLDS:
		return reader_holds(reader, error);
	case SNAP_TRAILER:
		err = reader_trailer(reader, error);
		if (!err)
			err = reader_seektable(reader, error);
		return err ? err : 1;
	default:
		return reader_refuse(reader, "metadata frame of an unknown type", error);
	}
}

int reader_next(struct reader *reader, struct reader_chunk *chunk, enum reader_item *item,
		struct bc_error *error)
{
	int err = 0;

	while (!err && reader->segment_at == reader->segment_chunks)
		err = reader_step(reader, error);
	if (err < 0)
		return err;
	*item = err ? READER_END : READER_CHUNK;
	return err ? 0 : reader_announce(reader, chunk, error);
}

/* ---- opening ---- */

/* Of a delta: what stands before the chunks. */
static int reader_base(struct reader *reader, struct bc_error *error)
{
	int err = 0;

	while (!err && reader_delta(reader) && reader->held_regions != reader->regions)
		err = reader_step(reader, error);
	return err < 0 ? err : 0;
}

static int reader_start_fd(struct reader *reader, int fd, const char *name,
			   struct bc_error *error)
{
	int err;

	memset(reader, 0, sizeof(*reader));
	err = input_open_fd(&reader->input, fd, name, error);
	return err ? err : reader_begin(reader, error);
}

int reader_open_fd(struct reader *reader, int fd, const char *name, struct bc_error *error)
{
	int err = reader_start_fd(reader, fd, name, error);

	if (!err)
		err = reader_base(reader, error);
	if (err)
		reader_close(reader);
	return err;
}

int reader_open(struct reader *reader, const char *path, struct bc_error *error)
{
	int err;

	memset(reader, 0, sizeof(*reader));
	err = input_open(&reader->input, path, error);
	if (!err)
		err = reader_begin(reader, error);
	if (!err && reader->input.regular)
		err = reader_look_at_end(reader, error);
	if (!err)
		err = reader_base(reader, error);
	if (err)
		reader_close(reader);
	return err;
}

int reader_open_ends(struct reader *reader, const char *path, struct bc_error *error)
{
	int err;

	memset(reader, 0, sizeof(*reader));
	err = input_open(&reader->input, path, error);
	if (!err && !reader->input.regular)
		err = bc_fail(error, -ESPIPE, "%s is not a regular file", path);
	if (!err)
		err = reader_begin(reader, error);
	if (!err)
		err = reader_look_at_end(reader, error);
	if (!err && memcmp(reader->trailer.id, reader->super->id, sizeof(reader->trailer.id))) {
		reader->trailer_known = false;
		bc_fail(error, -EBADMSG, "%s: its begin and its end are of different snapshots",
			path);
	}
	if (err == -ENODATA && reader->super)
		err = 0;
	if (err)
		reader_close(reader);
	return err;
}

/* On until all stamps are here. */
static int reader_all_stamps(struct reader *reader, struct bc_error *error)
{
	int err = 0;

	while (!err && le32toh(reader->seen.regions) != reader->regions) {
		err = reader_step(reader, error);
		if (!err && reader->segment_chunks)
			err = reader_refuse(reader, "STAMPS are missing", error);
	}
	return err < 0 ? err : 0;
}

int reader_open_stamps(struct reader *reader, int fd, const char *name,
		       struct bc_error *error)
{
	int err = reader_start_fd(reader, fd, name, error);

	if (!err && !reader_has_stamps(reader))
		err = bc_fail(error, -EINVAL, "%s: stamps were expected", reader->input.name);
	if (!err)
		err = reader_all_stamps(reader, error);
	if (err)
		reader_close(reader);
	return err;
}

/* A delta's stamps are settled when all its extents have been seen. */
static int reader_skip_chunks(struct reader *reader, struct bc_error *error)
{
	enum reader_item item = READER_CHUNK;
	struct reader_chunk chunk;
	int err = 0;

	while (!err && item == READER_CHUNK) {
		err = reader_next(reader, &chunk, &item, error);
		if (!err && item == READER_CHUNK)
			err = input_seek(&reader->input, reader->input.offset + chunk.stored,
					 error);
	}
	return err;
}

int reader_skip_to_stamps(struct reader *reader, struct bc_error *error)
{
	int err;

	if (!reader_has_stamps(reader))
		return bc_fail(error, -EINVAL,
			       "%s: it is of a plain device and carries no stamps",
			       reader->input.name);
	if (!reader->input.regular)
		return bc_fail(error, -ESPIPE, "%s is not a regular file", reader->input.name);
	if (reader_delta(reader))
		return reader_skip_chunks(reader, error);
	err = input_seek(&reader->input, le64toh(reader->trailer.stamps_offset), error);
	if (!err)
		err = reader_all_stamps(reader, error);
	if (err)
		return err;
	if (le64toh(reader->trailer.stamps_root) != XXH64_digest(reader->stamps_root))
		return bc_fail(error, -EBADMSG,
			       "%s: byte %llu: the root hash of the stamps does not match; the file is damaged",
			       reader->input.name,
			       (unsigned long long)le64toh(reader->trailer.stamps_offset));
	return 0;
}
