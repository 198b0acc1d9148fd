// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Metadata frames of a snapshot: seal, open, check the limits.
 *
 * The checks take nothing on trust: every count is held against the bytes that
 * are there before anything is read through it.
 */
#include <string.h>

#include "../lib/crc32c.h"
#include "format.h"

static const uint8_t zero_uuid[16];

/* crc32c of a frame with its crc field as zero. */
static uint32_t frame_crc(const void *frame, size_t total)
{
	struct snap_head head;
	uint32_t crc;

	memcpy(&head, frame, sizeof(head));
	head.crc = 0;
	crc = bc_crc32c_update(~0U, &head, sizeof(head));
	crc = bc_crc32c_update(crc, (const char *)frame + sizeof(head), total - sizeof(head));
	return ~crc;
}

void snap_head_seal(void *frame, enum snap_type type, size_t length, uint64_t offset)
{
	struct snap_head *head = frame;

	memset(head, 0, sizeof(*head));
	head->skip_magic = htole32(SNAP_SKIP_MAGIC);
	head->skip_length = htole32(SNAP_HEAD_SKIPPED + length);
	memcpy(head->magic, SNAP_MAGIC, sizeof(head->magic));
	head->type = htole16(type);
	head->version = htole16(SNAP_VERSION);
	head->length = htole32(length);
	head->offset = htole64(offset);
	head->crc = htole32(frame_crc(frame, sizeof(*head) + length));
}

const char *snap_head_check(const struct snap_head *head, uint64_t offset)
{
	uint32_t length = le32toh(head->length);

	if (le32toh(head->skip_magic) != SNAP_SKIP_MAGIC ||
	    memcmp(head->magic, SNAP_MAGIC, sizeof(head->magic)))
		return "not a frame of a blkcast snapshot";
	if (length > SNAP_PAYLOAD_MAX || le32toh(head->skip_length) != SNAP_HEAD_SKIPPED + length)
		return "metadata frame of an impossible length";
	if (le64toh(head->offset) != offset)
		return "metadata frame that belongs elsewhere in the file";
	return NULL;
}

const char *snap_frame_check(const void *frame)
{
	const struct snap_head *head = frame;

	if (le32toh(head->crc) != frame_crc(frame, sizeof(*head) + le32toh(head->length)))
		return "metadata frame with a bad checksum";
	if (le16toh(head->version) != SNAP_VERSION || head->reserved)
		return "metadata frame of an unknown version (made by a newer blkcast?)";
	return NULL;
}

static int power_of_two(uint32_t n)
{
	return n && !(n & (n - 1));
}

uint64_t snap_regions(const struct snap_super *super)
{
	uint32_t shift = le32toh(super->region_shift);

	return (le64toh(super->bytes) + (1ULL << shift) - 1) >> shift;
}

uint64_t snap_region_bytes(const struct snap_super *super, uint64_t r)
{
	uint32_t shift = le32toh(super->region_shift);
	uint64_t left = le64toh(super->bytes) - (r << shift);

	return left >> shift ? 1ULL << shift : left;
}

uint32_t snap_chunk_bytes(uint64_t bytes, uint32_t chunk_size, uint64_t index)
{
	uint64_t start = index * chunk_size;

	return bytes - start < chunk_size ? bytes - start : chunk_size;
}

static const char *super_check_stamps(const struct snap_super *super)
{
	uint32_t shift = le32toh(super->region_shift);

	if (shift < BLKCAST_REGION_SHIFT_MIN || shift > BLKCAST_REGION_SHIFT_MAX)
		return "SUPER with a region size out of range";
	if (le64toh(super->bytes) % 512 || snap_regions(super) > BLKCAST_REGIONS_MAX)
		return "SUPER with a size no volume can have";
	return NULL;
}

const char *snap_super_check(const struct snap_super *super, size_t length)
{
	uint32_t flags, chunk, reigns;

	if (length < sizeof(*super))
		return "SUPER too short";
	flags = le32toh(super->flags);
	chunk = le32toh(super->chunk_size);
	reigns = le32toh(super->reigns);
	if (flags & ~SNAP_SUPER_FLAGS)
		return "SUPER with flags unknown here (made by a newer blkcast?)";
	if (reigns > BLKCAST_HISTORY_MAX ||
	    length != sizeof(*super) + reigns * sizeof(struct blkcast_reign))
		return "SUPER with a wrong number of reigns";
	if (!power_of_two(chunk) || chunk < SNAP_CHUNK_MIN || chunk > SNAP_CHUNK_MAX)
		return "SUPER with a chunk size out of range";
	if (le64toh(super->bytes) > SNAP_BYTES_MAX)
		return "SUPER with a size out of range";
	if (super->name[sizeof(super->name) - 1])
		return "SUPER with a name that does not end";
	if (!(flags & SNAP_SUPER_DELTA) != !memcmp(super->parent, zero_uuid, 16))
		return "SUPER that names a parent without being a delta, or the reverse";
	if ((flags & SNAP_SUPER_FLAGS) == SNAP_SUPER_DELTA)
		return "SUPER of a delta without stamps";
	return flags & SNAP_SUPER_STAMPS ? super_check_stamps(super) : NULL;
}

/* The extents of one chunk: their bytes add up to the chunk's. */
static const char *chunk_check(const struct snap_chunk *chunk, const struct snap_extent *extent,
			       uint32_t chunk_size)
{
	uint64_t bytes = 0;
	uint32_t i;

	for (i = 0; i < le32toh(chunk->extents); i++, extent++) {
		if (le32toh(extent->flags) & ~SNAP_EXTENT_FLAGS || !extent->bytes ||
		    le32toh(extent->bytes) > chunk_size)
			return "SEGMENT with an extent of an unknown kind";
		if (!(le32toh(extent->flags) & SNAP_EXTENT_ZERO))
			bytes += le32toh(extent->bytes);
	}
	if (bytes != le32toh(chunk->bytes) || bytes > chunk_size)
		return "SEGMENT with a chunk whose extents do not add up";
	return NULL;
}

const char *snap_segment_check(const struct snap_segment *segment, size_t length,
			       uint32_t chunk_size)
{
	const struct snap_extent *extent;
	uint32_t i, chunks, extents, left;
	const char *wrong;

	if (length < sizeof(*segment))
		return "SEGMENT too short";
	chunks = le32toh(segment->chunks);
	extents = le32toh(segment->extents);
	if (!chunks || chunks > SNAP_SEGMENT_CHUNKS || extents > SNAP_SEGMENT_EXTENTS ||
	    length != sizeof(*segment) + chunks * sizeof(struct snap_chunk) +
		      extents * sizeof(struct snap_extent))
		return "SEGMENT whose counts do not fit its length";
	extent = snap_segment_extents(segment);
	for (i = 0, left = extents; i < chunks; i++) {
		const struct snap_chunk *chunk = &segment->chunk[i];
		uint32_t n = le32toh(chunk->extents);

		if (!n || n > left || n > SNAP_CHUNK_EXTENTS || chunk->flags)
			return "SEGMENT with a chunk of an unknown kind";
		wrong = chunk_check(chunk, extent, chunk_size);
		if (wrong)
			return wrong;
		extent += n;
		left -= n;
	}
	return left ? "SEGMENT with extents of no chunk" : NULL;
}

const char *snap_stamps_check(const struct snap_stamps *stamps, size_t length)
{
	uint32_t count;

	if (length <= sizeof(*stamps))
		return "STAMPS too short";
	count = le32toh(stamps->count);
	if (!count || count > SNAP_STAMPS_PIECE || le32toh(stamps->first) > BLKCAST_REGIONS_MAX - count)
		return "STAMPS out of range";
	return NULL;
}

const char *snap_holds_check(const struct snap_holds *holds, size_t length)
{
	uint32_t count, first;

	if (length <= sizeof(*holds))
		return "HOLDS too short";
	count = le32toh(holds->count);
	first = le32toh(holds->first);
	if (!count || count > SNAP_HOLDS_PIECE || first % 8 || first > BLKCAST_REGIONS_MAX - count)
		return "HOLDS out of range";
	return NULL;
}

const char *snap_trailer_check(const struct snap_trailer *trailer, size_t length)
{
	if (length != sizeof(*trailer))
		return "TRAILER of a wrong length";
	if (le32toh(trailer->flags) & ~SNAP_TRAILER_FLAGS)
		return "TRAILER with flags unknown here (made by a newer blkcast?)";
	return NULL;
}
