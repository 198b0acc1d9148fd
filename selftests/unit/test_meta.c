// SPDX-License-Identifier: GPL-2.0-or-later
/* Metadata of a volume that is down: layout, both superblocks, the stamp map. */
/* links: tools/lib/meta.c tools/lib/meta_map.c tools/lib/meta_block.c tools/lib/meta_known.c tools/lib/layout.c tools/lib/crc32c.c tools/lib/util.c tools/lib/error.c */
/* libs: uuid */
/* flags: -lm -pthread -Wno-format-truncation */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crc32c.h"
#include "expect.h"
#include "meta.h"
#include "util.h"

#define DEVICE_BYTES	(64ULL << 20)
#define SUPER0		(DEVICE_BYTES - BLKCAST_SUPER_AREA)
#define SUPER1		(DEVICE_BYTES - BLKCAST_BLOCK_SIZE)

static struct bc_error error;

/* --- a device in a file ---------------------------------------------------- */

static int device_new(void)
{
	char path[] = "/tmp/blkcast-meta-XXXXXX";
	int fd = mkstemp(path);

	if (fd < 0 || ftruncate(fd, DEVICE_BYTES))
		ksft_exit_fail_msg("no temporary file\n");
	unlink(path);
	return fd;
}

static int layout_of(struct bc_layout *layout, uint64_t backing, uint64_t meta,
		     uint64_t bytes, uint32_t shift)
{
	const struct bc_layout_want want = {
		.backing_bytes = backing, .meta_bytes = meta,
		.volume_bytes = bytes, .region_shift = shift,
	};

	return bc_layout_compute(layout, &want, &error);
}

static void super_fill(struct bc_super *super)
{
	struct bc_layout layout;

	if (layout_of(&layout, DEVICE_BYTES, 0, 0, 0))
		ksft_exit_fail_msg("%s\n", error.text);
	memset(super, 0, sizeof(*super));
	memset(super->volume, 0x11, sizeof(super->volume));
	memset(super->node, 0x22, sizeof(super->node));
	super->sectors = layout.bytes / 512;
	super->map_offset = layout.map_offset;
	super->regions = layout.regions;
	super->map_blocks = layout.map_blocks;
	super->region_shift = layout.region_shift;
	super->flags = BLKCAST_SUPER_INTERNAL;
	strcpy(super->name, "data");
}

static int formatted(struct bc_meta *meta, const uint64_t *stamps)
{
	int fd = device_new();

	memset(meta, 0, sizeof(*meta));
	super_fill(&meta->super);
	if (bc_meta_format(meta, fd, DEVICE_BYTES, "device", stamps, &error))
		ksft_exit_fail_msg("%s\n", error.text);
	return fd;
}

static int reopen(struct bc_meta *meta, int fd)
{
	return bc_meta_open(meta, fd, DEVICE_BYTES, "device", &error);
}

static void flip(int fd, uint64_t offset)
{
	uint8_t byte;

	EXPECT(pread(fd, &byte, 1, offset) == 1);
	byte ^= 0x10;
	EXPECT(pwrite(fd, &byte, 1, offset) == 1);
}

/* Change a field of both superblocks and make the checksums right again. */
static void super_forge(int fd, size_t field, uint32_t value)
{
	static const uint64_t places[] = { SUPER0, SUPER1 };
	struct blkcast_super disk;

	for (int i = 0; i < 2; i++) {
		EXPECT(pread(fd, &disk, sizeof(disk), places[i]) == sizeof(disk));
		memcpy((uint8_t *)&disk + field, &value, sizeof(value));
		disk.crc = 0;
		disk.crc = htole32(bc_crc32c(&disk, sizeof(disk)));
		EXPECT(pwrite(fd, &disk, sizeof(disk), places[i]) == sizeof(disk));
	}
}

/* --- checksums ------------------------------------------------------------------ */

/* RFC 3720, appendix B.4 */
static void crc_vectors(void)
{
	uint8_t data[32];

	memset(data, 0, sizeof(data));
	EXPECT(bc_crc32c(data, sizeof(data)) == 0x8a9136aa);
	memset(data, 0xff, sizeof(data));
	EXPECT(bc_crc32c(data, sizeof(data)) == 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		data[i] = i;
	EXPECT(bc_crc32c(data, sizeof(data)) == 0x46dd794e);
	EXPECT(bc_crc32c("123456789", 9) == 0xe3069283);
	EXPECT(~bc_crc32c_update(bc_crc32c_update(~0U, "1234", 4), "56789", 5) ==
	       0xe3069283);
}

/* --- layout ----------------------------------------------------------------------- */

static void layout_fits(void)
{
	static const uint64_t sizes[] = {
		3 << 20, (3 << 20) + 512, 63ULL << 20, (1ULL << 40) + 12345 * 512,
		20ULL << 40, 64ULL << 40
	};

	for (size_t i = 0; i < BC_ARRAY_SIZE(sizes); i++) {
		struct bc_layout layout;
		uint64_t end = sizes[i] - sizes[i] % 4096;

		EXPECT(!layout_of(&layout, sizes[i], 0, 0, 0));
		EXPECT(layout.bytes % 4096 == 0 && layout.bytes > 0);
		EXPECT(layout.map_offset >= layout.bytes);
		EXPECT(layout.map_offset + 8192ULL * layout.map_blocks +
		       BLKCAST_SUPER_AREA == end);
		EXPECT(layout.regions <= BLKCAST_REGIONS_MAX);
		EXPECT((uint64_t)layout.regions << layout.region_shift >= layout.bytes);
		EXPECT((uint64_t)(layout.regions - 1) << layout.region_shift <
		       layout.bytes);
	}
}

static void layout_grows_regions(void)
{
	struct bc_layout layout;

	EXPECT(!layout_of(&layout, 1ULL << 38, 0, 0, 0));
	EXPECT(layout.region_shift == 16);
	EXPECT(!layout_of(&layout, 1ULL << 39, 0, 0, 0));
	EXPECT(layout.region_shift == 17);
	EXPECT(!layout_of(&layout, 1ULL << 46, 0, 0, 0));
	EXPECT(layout.region_shift == 22);
	EXPECT(layout_of(&layout, 2ULL << 40, 0, 0, 16) == -EINVAL);
	EXPECT(layout_of(&layout, 65ULL << 40, 0, 0, 0) == -EFBIG);
}

static void layout_leaves_room(void)
{
	struct bc_layout_want want = {
		.backing_bytes = 1ULL << 30, .meta_bytes = 280 << 20,
		.max_bytes = 1ULL << 39
	};
	struct bc_layout layout;

	EXPECT(!bc_layout_compute(&layout, &want, &error));
	EXPECT(layout.region_shift == 16 && layout.regions == 1 << 14);
	EXPECT(layout.meta_bytes == bc_layout_meta_bytes(1ULL << 39, 16));
	EXPECT(layout.map_offset + layout.meta_bytes == 280 << 20);
	want.max_bytes = 4ULL << 40;
	EXPECT(!bc_layout_compute(&layout, &want, &error) && layout.region_shift == 18);
	want.meta_bytes = 270 << 20;
	want.max_bytes = 1ULL << 40;	/* a map of 273 MiB */
	want.region_shift = 16;
	EXPECT(bc_layout_compute(&layout, &want, &error) == -ENOSPC);
	want.max_bytes = 2ULL << 40;
	EXPECT(bc_layout_compute(&layout, &want, &error) == -EINVAL);
	want.max_bytes = 1ULL << 29;
	EXPECT(bc_layout_compute(&layout, &want, &error) == -EINVAL);
	EXPECT_SAYS(error.text, "grow to 512 MiB only");
	/* By itself as much as there is. */
	want.max_bytes = 0;
	want.meta_bytes = 2 << 20;
	want.backing_bytes = 3ULL << 30;
	EXPECT(!bc_layout_compute(&layout, &want, &error));
	EXPECT(layout.map_offset < BLKCAST_BLOCK_SIZE);
	want.meta_bytes = 0;
	want.max_bytes = 1ULL << 39;
	EXPECT(!bc_layout_compute(&layout, &want, &error));
	EXPECT(layout.meta_bytes == bc_layout_meta_bytes(layout.bytes, 16));
}

static void layout_refuses(void)
{
	struct bc_layout layout;

	EXPECT(layout_of(&layout, 1 << 20, 0, 0, 0) == -ENOSPC);
	EXPECT(layout_of(&layout, 4 << 20, 0, 4 << 20, 0) == -ENOSPC);
	EXPECT(layout_of(&layout, 4 << 20, 0, 12345, 0) == -EINVAL);
	EXPECT(layout_of(&layout, 4 << 20, 0, 0, 15) == -EINVAL);
	EXPECT(layout_of(&layout, 4 << 20, 1 << 20, 0, 0) == -ENOSPC);
	EXPECT(!layout_of(&layout, 4 << 20, 2 << 20, 0, 0));
	EXPECT(layout.bytes == 4 << 20);
}

/* --- superblock --------------------------------------------------------------------- */

static void super_round_trip(void)
{
	struct bc_meta meta, again;
	int fd = formatted(&meta, NULL);

	meta.super.reigns = 2;
	meta.super.term = 9;
	meta.super.history[1] = (struct blkcast_reign){
		.term = htole32(9), .reign = htole64(77), .inherited = htole64(5)
	};
	EXPECT(!bc_meta_set_flags(&meta, BLKCAST_SUPER_INCOMPLETE, 0, &error));
	EXPECT(!reopen(&again, fd));
	EXPECT(again.bad_copies == 0);
	EXPECT(!memcmp(&again.super, &meta.super, sizeof(meta.super)));
	EXPECT(again.super.flags == (BLKCAST_SUPER_INTERNAL | BLKCAST_SUPER_INCOMPLETE));
	EXPECT(bc_super_reign(&again.super)->reign == htole64(77));
	close(fd);
}

static void super_survives_one_bad_copy(void)
{
	struct bc_meta meta, again;
	int fd = formatted(&meta, NULL);

	flip(fd, SUPER0 + 300);
	EXPECT(!reopen(&again, fd));
	EXPECT(again.bad_copies == 1);
	EXPECT(!memcmp(&again.super, &meta.super, sizeof(meta.super)));
	EXPECT(!bc_meta_super_write(&again, &error));
	EXPECT(!reopen(&meta, fd));
	EXPECT(meta.bad_copies == 0);
	flip(fd, SUPER1);	/* its magic */
	EXPECT(!reopen(&again, fd));
	EXPECT(again.bad_copies == 1);
	close(fd);
}

static void super_takes_the_newer(void)
{
	uint8_t old[BLKCAST_BLOCK_SIZE];
	struct bc_meta meta, again;
	int fd = formatted(&meta, NULL);

	EXPECT(pread(fd, old, sizeof(old), SUPER1) == sizeof(old));
	meta.super.term = 3;
	EXPECT(!bc_meta_super_write(&meta, &error));
	/* As if power had failed between the two writes. */
	EXPECT(pwrite(fd, old, sizeof(old), SUPER1) == sizeof(old));
	EXPECT(!reopen(&again, fd));
	EXPECT(again.super.term == 3);
	close(fd);
}

static void super_refuses(void)
{
	struct bc_meta meta, again;
	int fd = formatted(&meta, NULL);

	super_forge(fd, offsetof(struct blkcast_super, version), htole32(BLKCAST_DISK_VERSION + 1));
	EXPECT(reopen(&again, fd) == -EPROTONOSUPPORT);
	EXPECT_SAYS(error.text, "of version");
	super_forge(fd, offsetof(struct blkcast_super, version), htole32(BLKCAST_DISK_VERSION));
	super_forge(fd, offsetof(struct blkcast_super, flags), htole32(1U << 30));
	EXPECT(reopen(&again, fd) == -EPROTONOSUPPORT);
	super_forge(fd, offsetof(struct blkcast_super, flags), 0);
	super_forge(fd, offsetof(struct blkcast_super, regions), htole32(7));
	EXPECT(reopen(&again, fd) == -EINVAL);
	super_forge(fd, offsetof(struct blkcast_super, reigns), htole32(BLKCAST_HISTORY_MAX + 1));
	EXPECT(reopen(&again, fd) == -EINVAL);
	flip(fd, SUPER0 + 200);
	flip(fd, SUPER1 + 200);
	EXPECT(reopen(&again, fd) == -EUCLEAN);
	EXPECT_SAYS(error.text, "both copies");
	close(fd);
	fd = device_new();
	EXPECT(reopen(&again, fd) == -ENODATA);
	EXPECT_SAYS(error.text, "blkcast create");
	close(fd);
}

static void wiped_is_gone(void)
{
	struct bc_meta meta, again;
	int fd = formatted(&meta, NULL);

	EXPECT(!bc_meta_wipe(&meta, &error));
	EXPECT(reopen(&again, fd) == -ENODATA);
	close(fd);
}

/* --- map --------------------------------------------------------------------------------- */

static uint64_t *stamps_new(const struct bc_meta *meta)
{
	return calloc(meta->super.regions, sizeof(uint64_t));
}

static int take_stamps(const struct bc_map_block *block, void *arg)
{
	uint64_t *stamps = arg;

	memcpy(stamps + block->first, block->stamps,
	       block->count * sizeof(*stamps));
	return 0;
}

static int map_read(struct bc_meta *meta, uint64_t *stamps)
{
	return bc_meta_map_walk(meta, 0, meta->super.map_blocks, take_stamps, stamps,
				&error);
}

static void map_round_trip(void)
{
	struct bc_meta meta;
	int fd = formatted(&meta, NULL);
	uint64_t *written = stamps_new(&meta), *read = stamps_new(&meta);

	EXPECT(!map_read(&meta, read));
	for (uint32_t i = 0; i < meta.super.regions; i++)
		EXPECT(read[i] == BLKCAST_LSN_NEVER);
	/* More than two generations, so both slots are used in turn. */
	for (int turn = 0; turn < 5; turn++) {
		for (uint32_t i = 0; i < meta.super.regions; i++)
			written[i] = i % 3 ? blkcast_lsn(turn + 1, i) : 0;
		EXPECT(!bc_meta_map_write(&meta, written, &error));
		EXPECT(!map_read(&meta, read));
		EXPECT(!memcmp(written, read,
			       meta.super.regions * sizeof(*read)));
	}
	free(written);
	free(read);
	close(fd);
}

/* In a block with one doubt all that was touched is in doubt. */
static void map_doubt(void)
{
	struct bc_meta meta;
	int fd = formatted(&meta, NULL);
	uint64_t *stamps = stamps_new(&meta);

	stamps[0] = blkcast_lsn(1, 1);
	stamps[1] = BLKCAST_LSN_DOUBT;
	stamps[BLKCAST_MAP_STAMPS] = blkcast_lsn(1, 2);
	EXPECT(!bc_meta_map_write(&meta, stamps, &error));
	EXPECT(!map_read(&meta, stamps));
	EXPECT(stamps[0] == BLKCAST_LSN_DOUBT);
	EXPECT(stamps[1] == BLKCAST_LSN_DOUBT);
	EXPECT(stamps[2] == BLKCAST_LSN_NEVER);
	EXPECT(stamps[BLKCAST_MAP_STAMPS] == blkcast_lsn(1, 2));
	free(stamps);
	close(fd);
}

static void map_torn_write(void)
{
	struct bc_meta meta;
	int fd = formatted(&meta, NULL);
	uint64_t *stamps = stamps_new(&meta);
	uint64_t second = meta.super.map_offset + 8192;

	stamps[BLKCAST_MAP_STAMPS] = blkcast_lsn(1, 1);
	EXPECT(!bc_meta_map_write(&meta, stamps, &error));
	stamps[BLKCAST_MAP_STAMPS] = blkcast_lsn(1, 2);
	EXPECT(!bc_meta_map_write(&meta, stamps, &error));
	flip(fd, second + 4096 + 512);	/* the older one: the newest, in slot 0, counts */
	EXPECT(!map_read(&meta, stamps));
	EXPECT(stamps[BLKCAST_MAP_STAMPS] == blkcast_lsn(1, 2));
	flip(fd, second + 512);	/* what was touched is known */
	EXPECT(!map_read(&meta, stamps));
	EXPECT(stamps[BLKCAST_MAP_STAMPS] == BLKCAST_LSN_DOUBT);
	EXPECT(stamps[BLKCAST_MAP_STAMPS + 1] == BLKCAST_LSN_NEVER);
	flip(fd, second + 4096 + 50);	/* a lost head: all is in doubt */
	EXPECT(!map_read(&meta, stamps));
	EXPECT(stamps[BLKCAST_MAP_STAMPS - 1] == BLKCAST_LSN_NEVER);
	for (uint32_t i = BLKCAST_MAP_STAMPS;
	     i < 2 * BLKCAST_MAP_STAMPS && i < meta.super.regions; i++)
		EXPECT(stamps[i] == BLKCAST_LSN_DOUBT);
	free(stamps);
	close(fd);
}

/* A device that was a copy of the same volume before is not believed. */
static void format_forgets(void)
{
	struct bc_meta meta;
	int fd = formatted(&meta, NULL);
	uint64_t *stamps = stamps_new(&meta);

	stamps[5] = blkcast_lsn(4, 4);
	for (int i = 0; i < 4; i++)
		EXPECT(!bc_meta_map_write(&meta, stamps, &error));
	EXPECT(!bc_meta_format(&meta, fd, DEVICE_BYTES, "device", NULL, &error));
	EXPECT(!map_read(&meta, stamps));
	EXPECT(stamps[5] == BLKCAST_LSN_NEVER);
	free(stamps);
	close(fd);
}

/* The device is enlarged: the metadata are where its end was, until they move. */
static void enlarged(void)
{
	struct bc_meta meta, moved;
	int fd = formatted(&meta, NULL);

	EXPECT(!ftruncate(fd, 2 * DEVICE_BYTES));
	EXPECT(bc_meta_open_known(&meta, fd, 2 * DEVICE_BYTES, 0, "device", &error) ==
	       -ENODATA);
	EXPECT(bc_meta_open_known(&meta, fd, 2 * DEVICE_BYTES, DEVICE_BYTES / 2,
				  "device", &error) == -ENODATA);
	EXPECT_SAYS(error.text, "nor at byte");
	EXPECT(!bc_meta_open_known(&meta, fd, 2 * DEVICE_BYTES, DEVICE_BYTES, "device",
				   &error));
	EXPECT(meta.size == DEVICE_BYTES);
	EXPECT(!bc_meta_set_flags(&meta, BLKCAST_SUPER_PRIMARY, 0, &error));

	/* An older life of another copy at the new end is not believed ... */
	super_fill(&moved.super);
	moved.super.node[0]++;
	moved.super.generation = 99;
	EXPECT(!bc_meta_format(&moved, fd, 2 * DEVICE_BYTES, "device", NULL, &error));
	for (int i = 0; i < 5; i++)
		EXPECT(!bc_meta_super_write(&moved, &error));
	EXPECT(!bc_meta_open_known(&meta, fd, 2 * DEVICE_BYTES, DEVICE_BYTES, "device",
				   &error));
	EXPECT(meta.size == DEVICE_BYTES && meta.super.flags & BLKCAST_SUPER_PRIMARY);

	/* ... nor one of this copy, but what is newer there is. */
	moved.super = meta.super;
	moved.super.generation -= 2;
	EXPECT(!bc_meta_super_write(&moved, &error));
	EXPECT(!bc_meta_open_known(&meta, fd, 2 * DEVICE_BYTES, DEVICE_BYTES, "device",
				   &error));
	EXPECT(meta.size == DEVICE_BYTES);
	moved.super.generation++;
	EXPECT(!bc_meta_super_write(&moved, &error));
	EXPECT(!bc_meta_open_known(&meta, fd, 2 * DEVICE_BYTES, DEVICE_BYTES, "device",
				   &error));
	EXPECT(meta.size == 2 * DEVICE_BYTES);

	/* What cannot be is refused, and not written. */
	moved.super.generation = BLKCAST_GENERATION_END - 1;
	EXPECT(!bc_meta_super_write(&moved, &error));
	EXPECT(bc_meta_open(&meta, fd, 2 * DEVICE_BYTES, "device", &error) == -EINVAL);
	EXPECT_SAYS(error.text, "generation 9223372036854775808, which cannot be");
	EXPECT(bc_meta_super_write(&moved, &error) == -EINVAL);
	close(fd);
}

static void sizes_and_names(void)
{
	char text[BC_SIZE_TEXT];
	uint64_t bytes;

	EXPECT(!bc_size_parse("64K", &bytes) && bytes == 65536);
	EXPECT(!bc_size_parse("1.5GiB", &bytes) && bytes == 3ULL << 29);
	EXPECT(!bc_size_parse("4096", &bytes) && bytes == 4096);
	EXPECT(bc_size_parse("", &bytes) && bc_size_parse("-1", &bytes));
	EXPECT(bc_size_parse("1X", &bytes) && bc_size_parse("1KK", &bytes));
	EXPECT(bc_size_parse("0.3", &bytes) && bc_size_parse("99999999999T", &bytes));
	EXPECT(!strcmp(bc_size_format(65536, text), "64 KiB"));
	EXPECT(!strcmp(bc_size_format(1000, text), "1000 B"));
	EXPECT(bc_name_valid("a.b_c-9") && !bc_name_valid("") && !bc_name_valid(".a") &&
	       !bc_name_valid("-a") && !bc_name_valid("a/b"));
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "crc32c: vectors of RFC 3720", crc_vectors },
		{ "layout: everything lies on the device", layout_fits },
		{ "layout: regions grow with the device", layout_grows_regions },
		{ "layout: a map has room to grow", layout_leaves_room },
		{ "layout: what does not fit is refused", layout_refuses },
		{ "superblock: written and read", super_round_trip },
		{ "superblock: one damaged copy is survived", super_survives_one_bad_copy },
		{ "superblock: the newer copy counts", super_takes_the_newer },
		{ "superblock: damage and the future are refused", super_refuses },
		{ "superblock: wiped is gone", wiped_is_gone },
		{ "map: written and read", map_round_trip },
		{ "map: doubt spreads over its block", map_doubt },
		{ "map: a torn write loses nothing, lost stamps and a lost head are doubt",
		  map_torn_write },
		{ "map: formatting forgets an older life", format_forgets },
		{ "an enlarged device: found where the end was", enlarged },
		{ "sizes and names", sizes_and_names },
	};

	run_tests(tests, BC_ARRAY_SIZE(tests));
}
