// SPDX-License-Identifier: GPL-2.0-or-later
/* The snapshot format: frames sealed and opened, limits, sizes. */
/* links: tools/snapshot/format.c tools/snapshot/seektable.c */
/* links: tools/lib/error.c tools/lib/crc32c.c */
/* flags: -Wno-format-truncation */
#include <stdlib.h>
#include <string.h>

#include "expect.h"

#include "tools/snapshot/seektable.h"

struct frame {
	struct snap_head head;
	uint8_t payload[64];
};

static void sealed_frame_opens(void)
{
	struct frame frame = { .payload = "payload" };

	snap_head_seal(&frame, SNAP_STAMPS, sizeof(frame.payload), 12345);
	EXPECT(!snap_head_check(&frame.head, 12345));
	EXPECT(!snap_frame_check(&frame));
	EXPECT(snap_head_check(&frame.head, 12346));
	EXPECT(le32toh(frame.head.skip_length) + 8 == sizeof(frame));
}

static void every_flipped_bit_shows(void)
{
	struct frame frame = { .payload = "payload" };
	unsigned int bit;

	snap_head_seal(&frame, SNAP_STAMPS, sizeof(frame.payload), 1);
	for (bit = 0; bit < sizeof(frame) * 8; bit++) {
		((uint8_t *)&frame)[bit / 8] ^= 1 << bit % 8;
		EXPECT(snap_head_check(&frame.head, 1) || snap_frame_check(&frame));
		((uint8_t *)&frame)[bit / 8] ^= 1 << bit % 8;
	}
}

static struct snap_super good_super(void)
{
	return (struct snap_super) {
		.bytes = htole64(1 << 30), .chunk_size = htole32(SNAP_CHUNK_SIZE),
		.flags = htole32(SNAP_SUPER_STAMPS), .region_shift = htole32(16),
	};
}

#define SUPER_REFUSED(field, value) do {				\
	struct snap_super super = good_super();				\
									\
	super.field = value;						\
	EXPECT(snap_super_check(&super, sizeof(super)));		\
} while (0)

static void super_keeps_its_limits(void)
{
	struct snap_super super = good_super();

	EXPECT(!snap_super_check(&super, sizeof(super)));
	EXPECT(snap_super_check(&super, sizeof(super) - 1));
	EXPECT(snap_super_check(&super, sizeof(super) + 1));
	SUPER_REFUSED(flags, htole32(1U << 31));
	SUPER_REFUSED(flags, htole32(SNAP_SUPER_DELTA));
	SUPER_REFUSED(parent[3], 1);
	SUPER_REFUSED(reigns, htole32(1));
	SUPER_REFUSED(reigns, htole32(~0U));
	SUPER_REFUSED(chunk_size, 0);
	SUPER_REFUSED(chunk_size, htole32(SNAP_CHUNK_MAX * 2));
	SUPER_REFUSED(chunk_size, htole32(SNAP_CHUNK_SIZE + 1));
	SUPER_REFUSED(region_shift, htole32(15));
	SUPER_REFUSED(region_shift, htole32(64));
	SUPER_REFUSED(bytes, htole64(1000));
	SUPER_REFUSED(bytes, htole64(SNAP_BYTES_MAX));
	SUPER_REFUSED(bytes, ~0ULL);
	SUPER_REFUSED(name[BLKCAST_NAME_MAX - 1], 'x');
}

/* A segment of two chunks, the second of two extents. */
struct segment {
	struct snap_segment head;
	struct snap_chunk chunk[2];
	struct snap_extent extent[3];
};

static struct segment good_segment(void)
{
	return (struct segment) {
		.head = { .chunks = htole32(2), .extents = htole32(3) },
		.chunk = {
			{ .stored = htole32(10), .bytes = htole32(SNAP_CHUNK_SIZE), .extents = htole32(1) },
			{ .stored = htole32(10), .bytes = htole32(4096), .extents = htole32(2) },
		},
		.extent = {
			{ .bytes = htole32(SNAP_CHUNK_SIZE) },
			{ .bytes = htole32(4096) },
			{ .bytes = htole32(65536), .flags = htole32(SNAP_EXTENT_ZERO) },
		},
	};
}

#define SEGMENT_REFUSED(field, value) do {				\
	struct segment segment = good_segment();			\
									\
	segment.field = value;						\
	EXPECT(snap_segment_check(&segment.head, sizeof(segment), SNAP_CHUNK_SIZE)); \
} while (0)

static void segment_keeps_its_limits(void)
{
	struct segment segment = good_segment();

	EXPECT(!snap_segment_check(&segment.head, sizeof(segment), SNAP_CHUNK_SIZE));
	EXPECT(snap_segment_check(&segment.head, sizeof(segment), SNAP_CHUNK_SIZE / 2));
	EXPECT(snap_segment_check(&segment.head, sizeof(segment) - 1, SNAP_CHUNK_SIZE));
	EXPECT(snap_segment_check(&segment.head, 10, SNAP_CHUNK_SIZE));
	SEGMENT_REFUSED(head.chunks, 0);
	SEGMENT_REFUSED(head.chunks, htole32(3));
	SEGMENT_REFUSED(head.chunks, ~0U);
	SEGMENT_REFUSED(head.extents, htole32(2));
	SEGMENT_REFUSED(head.extents, ~0U);
	SEGMENT_REFUSED(chunk[0].extents, 0);
	SEGMENT_REFUSED(chunk[0].extents, htole32(2));
	SEGMENT_REFUSED(chunk[1].extents, htole32(1));
	SEGMENT_REFUSED(chunk[1].extents, ~0U);
	SEGMENT_REFUSED(chunk[0].flags, htole32(1));
	SEGMENT_REFUSED(chunk[0].bytes, htole32(SNAP_CHUNK_SIZE - 1));
	SEGMENT_REFUSED(extent[1].bytes, 0);
	SEGMENT_REFUSED(extent[1].flags, htole32(8));
	SEGMENT_REFUSED(extent[2].bytes, htole32(SNAP_CHUNK_SIZE + 1));
	SEGMENT_REFUSED(extent[2].flags, 0);
}

static void sizes_add_up(void)
{
	struct snap_super super = good_super();

	EXPECT(snap_chunk_bytes(5000, 4096, 0) == 4096);
	EXPECT(snap_chunk_bytes(5000, 4096, 1) == 904);
	EXPECT(snap_chunk_bytes(8192, 4096, 1) == 4096);
	EXPECT(snap_regions(&super) == 1 << 14);
	super.bytes = htole64((1 << 30) + 512);
	EXPECT(snap_regions(&super) == (1 << 14) + 1);
}

static void seek_table_has_its_form(void)
{
	static const uint8_t head_want[] = { 0x5e, 0x2a, 0x4d, 0x18, 25, 0, 0, 0 };
	static const uint8_t foot_want[] = { 2, 0, 0, 0, 0, 0xb1, 0xea, 0x92, 0x8f };
	uint8_t head[SNAP_SEEK_HEAD], foot[SNAP_SEEK_FOOT];
	struct seektable table = { 0 };
	struct bc_error error;

	EXPECT(!seektable_add(&table, 100, 0, &error));
	EXPECT(!seektable_add(&table, 50, 1 << 20, &error));
	EXPECT(seektable_bytes(&table) == 8 + 16 + 9);
	seektable_head(&table, head);
	seektable_foot(&table, foot);
	EXPECT(!memcmp(head, head_want, sizeof(head)));
	EXPECT(!memcmp(foot, foot_want, sizeof(foot)));
	seektable_release(&table);
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(6);
	REPORT(sealed_frame_opens);
	REPORT(every_flipped_bit_shows);
	REPORT(super_keeps_its_limits);
	REPORT(segment_keeps_its_limits);
	REPORT(sizes_add_up);
	REPORT(seek_table_has_its_form);
	ksft_finished();
}
