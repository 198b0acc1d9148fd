// SPDX-License-Identifier: GPL-2.0-or-later
/* Damage in metadata: each kind is found, named and told from the others. */
/* links: tools/lib/meta.c tools/lib/meta_map.c tools/lib/meta_block.c tools/lib/meta_check.c tools/lib/meta_check_map.c tools/lib/meta_runs.c tools/lib/layout.c tools/lib/crc32c.c tools/lib/util.c tools/lib/error.c */
/* libs: uuid */
/* flags: -lm -pthread -Wno-format-truncation -Wl,--wrap=pread */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crc32c.h"
#include "expect.h"
#include "meta_check.h"
#include "util.h"

#define DEVICE_BYTES	(64ULL << 20)	/* 1008 regions in 3 blocks */
#define TERM		5		/* of the newest reign; the other is 3 */

static struct bc_error error;
static struct bc_meta meta;
static int fd;
static uint64_t device_bytes, backing_bytes;
static uint32_t logical;
static bool internal;

/* --- a device that cannot be read in places ---------------------------------- */

static uint64_t bad_from, bad_to;

ssize_t __real_pread(int fd, void *data, size_t len, off_t offset);
ssize_t __wrap_pread(int fd, void *data, size_t len, off_t offset);

ssize_t __wrap_pread(int fd, void *data, size_t len, off_t offset)
{
	if ((uint64_t)offset < bad_to && offset + len > bad_from) {
		errno = EIO;
		return -1;
	}
	return __real_pread(fd, data, len, offset);
}

/* --- a copy in a file ----------------------------------------------------------- */

static void history_fill(struct bc_super *super)
{
	super->term = TERM;
	super->reigns = 2;
	super->history[0] = (struct blkcast_reign){
		.term = htole32(3), .reign = htole64(33)
	};
	super->history[1] = (struct blkcast_reign){
		.term = htole32(TERM), .reign = htole64(55),
		.inherited = htole64(blkcast_lsn(3, 70)),
	};
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
	super->sectors = layout.bytes / 512;
	super->map_offset = layout.map_offset;
	super->regions = layout.regions;
	super->map_blocks = layout.map_blocks;
	super->region_shift = layout.region_shift;
	super->flags = BLKCAST_SUPER_INTERNAL;
	strcpy(super->name, "data");
	history_fill(super);
}

/* Both slots of each block are in use; every third region was never written. */
static void map_fill(void)
{
	uint64_t *stamps = calloc(meta.super.regions, sizeof(*stamps));

	for (uint32_t i = 0; i < meta.super.regions; i++)
		stamps[i] = i % 3 ? blkcast_lsn(i % 2 ? 3 : TERM, i) : 0;
	for (int i = 0; i < 2; i++) {
		if (bc_meta_map_write(&meta, stamps, &error))
			ksft_exit_fail_msg("%s\n", error.text);
	}
	free(stamps);
}

static void device_new(void)
{
	char path[] = "/tmp/blkcast-check-XXXXXX";

	if (fd > 0)
		close(fd);
	fd = mkstemp(path);
	if (fd < 0 || ftruncate(fd, DEVICE_BYTES))
		ksft_exit_fail_msg("no temporary file\n");
	unlink(path);
	device_bytes = backing_bytes = DEVICE_BYTES;
	logical = 512;
	internal = true;
	bad_from = bad_to = 0;
	memset(&meta, 0, sizeof(meta));
	super_fill(&meta.super);
	if (bc_meta_format(&meta, fd, DEVICE_BYTES, "device", NULL, &error))
		ksft_exit_fail_msg("%s\n", error.text);
	map_fill();
}

/* --- what is found ----------------------------------------------------------------- */

static struct bc_finding findings[16];
static unsigned int found;
static struct bc_map_summary summary;

static void take(const struct bc_finding *finding, void *arg)
{
	(void)arg;
	if (found < BC_ARRAY_SIZE(findings))
		findings[found] = *finding;
	found++;
}

static void check_now(void)
{
	struct bc_super_copy copies[2];
	const struct bc_meta_checked checked = {
		&meta, copies, backing_bytes, logical, internal
	};

	found = 0;
	EXPECT(!bc_meta_copies(&meta, fd, device_bytes, "device", copies, &error));
	EXPECT(!bc_meta_check(&checked, take, NULL, &summary, &error));
}

/* Exactly one finding, of this kind, that says this. */
static void expect_one(int line, enum bc_finding_level level, const char *kind,
		       uint64_t offset, const char *says)
{
	const struct bc_finding *finding = &findings[0];

	check_now();
	if (found == 1 && !strcmp(finding->kind, kind) && finding->level == level &&
	    finding->offset == offset && strstr(finding->text, says))
		return;
	ksft_print_msg("line %d: wanted is one %s at %llu that says '%s'; found are %u:\n",
		       line, kind, (unsigned long long)offset, says, found);
	for (unsigned int i = 0; i < found && i < BC_ARRAY_SIZE(findings); i++)
		ksft_print_msg("  %s (%d) at %llu: %s\n", findings[i].kind,
			       findings[i].level,
			       (unsigned long long)findings[i].offset,
			       findings[i].text);
	expect_failures++;
}

#define EXPECT_ONE(level, kind, offset, says) \
	expect_one(__LINE__, BC_FINDING_##level, kind, offset, says)

/* --- doing damage -------------------------------------------------------------------- */

static uint64_t super_at(int copy)
{
	return DEVICE_BYTES - (copy ? BLKCAST_BLOCK_SIZE : BLKCAST_SUPER_AREA);
}

static uint64_t slot_at(uint32_t block, int slot)
{
	return meta.super.map_offset + (2ULL * block + slot) * BLKCAST_BLOCK_SIZE;
}

static void flip(uint64_t offset)
{
	uint8_t byte;

	EXPECT(pread(fd, &byte, 1, offset) == 1);
	byte ^= 0x10;
	EXPECT(pwrite(fd, &byte, 1, offset) == 1);
}

static void zero(uint64_t offset)
{
	static const uint8_t zeros[BLKCAST_BLOCK_SIZE];

	EXPECT(pwrite(fd, zeros, sizeof(zeros), offset) == sizeof(zeros));
}

static struct blkcast_super super_get(int copy)
{
	struct blkcast_super disk;

	EXPECT(pread(fd, &disk, sizeof(disk), super_at(copy)) == sizeof(disk));
	return disk;
}

static void super_put(int copy, struct blkcast_super disk)
{
	disk.crc = 0;
	disk.crc = htole32(bc_crc32c(&disk, sizeof(disk)));
	EXPECT(pwrite(fd, &disk, sizeof(disk), super_at(copy)) == sizeof(disk));
}

static void super_put_both(struct blkcast_super disk)
{
	super_put(0, disk);
	super_put(1, disk);
}

static struct blkcast_map_block slot_get(uint32_t block, int slot)
{
	struct blkcast_map_block disk;

	EXPECT(pread(fd, &disk, sizeof(disk), slot_at(block, slot)) == sizeof(disk));
	return disk;
}

static void slot_put(uint32_t block, int slot, struct blkcast_map_block disk)
{
	disk.crc = 0;
	disk.crc = htole32(bc_crc32c(&disk, sizeof(disk)));
	EXPECT(pwrite(fd, &disk, sizeof(disk), slot_at(block, slot)) == sizeof(disk));
}

/* Formatted, then written twice: generation 3 stands in slot 0 again. */
#define CURRENT 0

/* A stamp in the current slot of block 1. */
static void stamp_put(uint32_t i, uint64_t stamp, bool touched)
{
	struct blkcast_map_block disk = slot_get(1, CURRENT);

	disk.stamps[i] = htole64(stamp);
	disk.touched[i / 8] &= ~(1 << i % 8);
	disk.touched[i / 8] |= touched << i % 8;
	slot_put(1, CURRENT, disk);
}

static uint64_t stamp_at(uint32_t i)
{
	return slot_at(1, CURRENT) + offsetof(struct blkcast_map_block, stamps) + 8 * i;
}

/* --- clean ------------------------------------------------------------------------------ */

static void clean(void)
{
	device_new();
	check_now();
	EXPECT(!found);
	EXPECT(summary.blocks == 3 && !summary.active && !summary.bad_slots);
	EXPECT(summary.regions[BC_REGION_NEVER] == 336);
	EXPECT(summary.regions[BC_REGION_WRITTEN] == 672 && summary.touched == 672);
	EXPECT(summary.newest == blkcast_lsn(TERM, 1006));
	/* Fresh: one slot of each block is still empty. */
	EXPECT(!bc_meta_format(&meta, fd, DEVICE_BYTES, "device", NULL, &error));
	check_now();
	EXPECT(!found);
}

/* What ordinary life leaves is no damage, and is counted. */
static void ordinary(void)
{
	struct blkcast_map_block disk;

	device_new();
	disk = slot_get(1, CURRENT);
	disk.flags = htole32(BLKCAST_MAP_ACTIVE);
	disk.stamps[3] = htole64(blkcast_lsn(99, 99));	/* means nothing here */
	disk.bad[0] = 1 << 4;
	slot_put(1, CURRENT, disk);
	EXPECT(!bc_meta_set_flags(&meta, BLKCAST_SUPER_INCONSISTENT |
				  BLKCAST_SUPER_PRIMARY, 0, &error));
	check_now();
	EXPECT(!found);
	EXPECT(summary.active == 1);
	EXPECT(summary.regions[BC_REGION_DOUBT] == 319);
	EXPECT(summary.regions[BC_REGION_BAD] == 1);
}

/* --- superblocks -------------------------------------------------------------------------- */

static void super_copies(void)
{
	device_new();
	flip(super_at(0) + 300);
	EXPECT_ONE(WARNING, "super-damaged", super_at(0), "superblock 0 has a wrong checksum");
	device_new();
	zero(super_at(1));
	EXPECT_ONE(WARNING, "super-damaged", super_at(1), "superblock 1 is not there");
	device_new();
	bad_from = super_at(1);
	bad_to = bad_from + 512;
	EXPECT_ONE(WARNING, "super-damaged", super_at(1), "superblock 1 cannot be read");
	device_new();
	flip(super_at(0) + 300);
	flip(super_at(1) + 300);
	EXPECT_ONE(FATAL, "super-unusable", super_at(0), "both copies");
	EXPECT(!summary.blocks);
	zero(super_at(0));
	zero(super_at(1));
	EXPECT_ONE(FATAL, "super-unusable", super_at(0), "no blkcast metadata");
}

static void super_generations(void)
{
	struct blkcast_super disk;

	device_new();
	disk = super_get(0);
	disk.generation = htole64(8);
	super_put(0, disk);
	disk.generation = htole64(7);
	super_put(1, disk);
	EXPECT_ONE(WARNING, "super-older", super_at(1), "generation 7");
	disk.generation = htole64(6);
	super_put(1, disk);
	EXPECT_ONE(ERROR, "super-lost-write", super_at(1), "0 has generation 8");
	disk.generation = htole64(9);
	super_put(1, disk);
	EXPECT_ONE(ERROR, "super-lost-write", super_at(0), "superblock 1 9");
	disk.generation = htole64(8);
	disk.node[0] ^= 1;
	super_put(1, disk);
	EXPECT_ONE(ERROR, "super-differ", super_at(1), "generation 8");
	/* Right below the bound; and at it, where nobody has counted to. */
	disk = super_get(0);
	disk.generation = htole64(BLKCAST_GENERATION_END - 1);
	super_put(0, disk);
	super_put(1, disk);
	check_now();
	EXPECT(!found);
	disk.generation = htole64(BLKCAST_GENERATION_END);
	super_put(0, disk);
	super_put(1, disk);
	EXPECT_ONE(FATAL, "super-unusable", super_at(0),
		   "generation 9223372036854775808, which cannot be");
	disk.generation = htole64(~0ULL);
	super_put(0, disk);
	super_put(1, disk);
	EXPECT_ONE(FATAL, "super-unusable", super_at(0), "which cannot be");
}

static void super_future(void)
{
	struct blkcast_super disk;

	device_new();
	disk = super_get(0);
	disk.version = htole32(BLKCAST_DISK_VERSION + 1);
	super_put_both(disk);
	EXPECT_ONE(FATAL, "super-unusable", super_at(0), "of version");
	disk.version = htole32(BLKCAST_DISK_VERSION);
	disk.flags = htole32(1U << 31);
	super_put_both(disk);
	EXPECT_ONE(FATAL, "super-unusable", super_at(0), "flags unknown");
}

static void super_fields(void)
{
	struct blkcast_super disk, whole;

	device_new();
	whole = super_get(0);
	disk = whole;
	disk.regions = htole32(1007);
	super_put_both(disk);
	EXPECT_ONE(FATAL, "super-unusable", super_at(0), "contradict");
	disk = whole;
	disk.map_offset = htole64(meta.super.map_offset + 4096);
	super_put_both(disk);
	EXPECT_ONE(FATAL, "super-unusable", super_at(0), "does not lie on this device");
	disk = whole;
	disk.sectors = htole64(~0ULL - 100);	/* rounded up, it wraps */
	disk.regions = 0;
	disk.map_blocks = 0;
	super_put_both(disk);
	EXPECT_ONE(FATAL, "super-unusable", super_at(0), "out of range");
	disk = whole;
	disk.reigns = htole32(BLKCAST_HISTORY_MAX + 1);
	super_put_both(disk);
	EXPECT_ONE(FATAL, "super-unusable", super_at(0), "out of range");
}

static void super_devices(void)
{
	struct blkcast_super disk;

	device_new();
	backing_bytes = 60 << 20;
	EXPECT_ONE(FATAL, "backing-small", super_at(0), "62914560");
	backing_bytes = DEVICE_BYTES;
	internal = false;
	EXPECT_ONE(FATAL, "not-external", super_at(0), "internal");
	internal = true;
	disk = super_get(0);
	disk.data_start = htole64(2);
	super_put_both(disk);
	EXPECT_ONE(FATAL, "overlap", super_at(0), "overwrite each other");
	disk.data_start = 0;
	disk.flags = 0;
	super_put_both(disk);
	EXPECT_ONE(FATAL, "not-internal", super_at(0), "elsewhere");
	internal = false;
	check_now();
	EXPECT(!found);
	logical = 1 << 20;
	EXPECT_ONE(FATAL, "alignment", super_at(0), "blocks of 1048576 bytes");
}

/* What user space can read, but the kernel does not take. */
static void super_small_device(void)
{
	struct bc_super small;

	device_new();
	small = meta.super;
	small.sectors = 128;
	small.regions = small.map_blocks = 1;
	device_bytes = BLKCAST_SUPER_AREA + 2 * BLKCAST_BLOCK_SIZE;
	small.map_offset = 0;
	small.flags = 0;
	meta.super = small;
	internal = false;
	EXPECT(!bc_meta_format(&meta, fd, device_bytes, "device", NULL, &error));
	EXPECT_ONE(FATAL, "device-small", device_bytes - BLKCAST_SUPER_AREA, "2097152");
}

static void super_state(void)
{
	device_new();
	meta.super.flags |= BLKCAST_SUPER_INCOMPLETE;
	EXPECT(!bc_meta_super_write(&meta, &error));
	EXPECT_ONE(FATAL, "incomplete", super_at(0), "did not finish");
	device_new();
	meta.super.history[1].reign = 0;
	EXPECT(!bc_meta_super_write(&meta, &error));
	EXPECT_ONE(ERROR, "history", super_at(0), "term 5 has no reign id");
	device_new();
	meta.super.term = 4;
	EXPECT(!bc_meta_super_write(&meta, &error));
	check_now();	/* and the stamps are above it, too */
	EXPECT(found > 1);
	EXPECT_SAYS(findings[0].text, "term 5 is above the highest term seen, 4");
	device_new();
	meta.super.position = blkcast_lsn(6, 1);
	EXPECT(!bc_meta_super_write(&meta, &error));
	EXPECT_ONE(ERROR, "position", super_at(0), "term 6");
	device_new();
	meta.super.history[1].inherited = htole64(blkcast_lsn(5, 1));
	EXPECT(!bc_meta_super_write(&meta, &error));
	EXPECT_ONE(ERROR, "history", super_at(0), "inherits writes of term 5");
	device_new();
	meta.super.history[0].term = htole32(TERM);
	EXPECT(!bc_meta_super_write(&meta, &error));
	check_now();	/* and nobody knows term 3 now */
	EXPECT_SAYS(findings[0].text, "term 5 comes after term 5");
	EXPECT(!bc_meta_format(&meta, fd, DEVICE_BYTES, "device", NULL, &error));
	meta.super.reigns = 0;
	meta.super.flags |= BLKCAST_SUPER_PRIMARY;
	EXPECT(!bc_meta_super_write(&meta, &error));
	EXPECT_ONE(ERROR, "history", super_at(0), "no reign");
}

/* --- map: slots ------------------------------------------------------------------------------ */

static void slot_damage(void)
{
	device_new();
	flip(slot_at(1, !CURRENT) + 700);
	EXPECT_ONE(WARNING, "slot-torn", slot_at(1, !CURRENT),
		   "map block 1, regions 480 to 959: the older slot");
	EXPECT(summary.bad_slots == 1 && !summary.lost && !summary.active);
	device_new();
	flip(slot_at(1, CURRENT) + 700);
	EXPECT_ONE(WARNING, "stamps-lost", slot_at(1, CURRENT), "wrong checksum");
	EXPECT(summary.bad_slots == 1 && !summary.lost && summary.active == 1);
	EXPECT(summary.regions[BC_REGION_DOUBT] == 320);
	device_new();
	bad_from = slot_at(1, 0) + 512;
	bad_to = bad_from + 512;
	EXPECT_ONE(ERROR, "block-lost", slot_at(1, 0), "slot 0 is unreadable");
	device_new();
	flip(slot_at(1, !CURRENT) + 50);
	EXPECT_ONE(ERROR, "block-lost", slot_at(1, 0), "slot 1 is damaged");
	device_new();
	slot_put(1, 0, slot_get(0, 0));
	EXPECT_ONE(ERROR, "block-lost", slot_at(1, 0), "another volume, place or time");
	device_new();
	zero(slot_at(1, 1));
	EXPECT_ONE(ERROR, "block-lost", slot_at(1, 0), "slot 1 is empty");
}

static void slot_lost(void)
{
	device_new();
	flip(slot_at(1, 0) + 700);
	zero(slot_at(1, 1));
	EXPECT_ONE(ERROR, "block-lost", slot_at(1, 0), "slot 1 is empty");
	EXPECT(summary.lost == 1 && summary.active == 1);
	EXPECT(summary.regions[BC_REGION_DOUBT] == 480);
	/* Neighbours are one finding; the last block is short. */
	for (int i = 1; i < 3; i++) {
		zero(slot_at(i, 0));
		zero(slot_at(i, 1));
	}
	EXPECT_ONE(ERROR, "block-lost", slot_at(1, 0), "map blocks 1 to 2, regions 480 to 1007");
	EXPECT(findings[0].first_block == 1 && findings[0].last_block == 2);
	EXPECT(summary.bad_slots == 4 && summary.lost == 2);
}

static void slot_generations(void)
{
	struct blkcast_map_block disk;

	device_new();
	disk = slot_get(1, 1);
	disk.generation = htole64(3);
	disk.flags = htole32(BLKCAST_MAP_ACTIVE);
	slot_put(1, 1, disk);
	EXPECT_ONE(ERROR, "slots-equal", slot_at(1, 0), "same generation");
	EXPECT(!summary.active);	/* as the kernel has it, slot 0 counts */
	disk.generation = htole64(9);
	slot_put(1, 1, disk);
	EXPECT_ONE(ERROR, "slots-apart", slot_at(1, 1), "differ by more than one");
	disk.generation = htole64(BLKCAST_GENERATION_END);
	slot_put(1, 1, disk);
	EXPECT_ONE(ERROR, "block-lost", slot_at(1, 0), "slot 1 is of another volume, place or time");
	EXPECT(summary.lost == 1);
	disk.generation = htole64(~0ULL);
	slot_put(1, 1, disk);
	EXPECT_ONE(ERROR, "block-lost", slot_at(1, 0), "of another volume, place or time");
}

static void block_nonsense(void)
{
	struct blkcast_map_block disk;

	device_new();
	disk = slot_get(1, CURRENT);
	disk.flags = htole32(6);
	slot_put(1, CURRENT, disk);
	EXPECT_ONE(ERROR, "block-flags", slot_at(1, CURRENT), "0x6");
	device_new();
	disk = slot_get(2, CURRENT);	/* it has 48 regions */
	disk.touched[6] = 1;
	slot_put(2, CURRENT, disk);
	EXPECT_ONE(ERROR, "beyond-end", slot_at(2, CURRENT), "beyond the last region, 1007");
}

/* --- map: stamps --------------------------------------------------------------------------------- */

static void stamp_terms(void)
{
	device_new();
	stamp_put(1, blkcast_lsn(6, 1), true);
	stamp_put(2, blkcast_lsn(6, 2), true);
	EXPECT_ONE(ERROR, "stamp-future", stamp_at(1),
		   "regions 481 to 482: stamps of term 6, above the highest term seen, 5");
	stamp_put(1, blkcast_lsn(4, 1), true);
	stamp_put(2, blkcast_lsn(4, 2), true);
	EXPECT_ONE(ERROR, "stamp-unknown", stamp_at(1), "term 4, which the history does not");
	stamp_put(2, blkcast_lsn(1, 2), true);
	check_now();
	EXPECT(found == 2);	/* another term, another finding */
}

/* The oldest reigns fall out of a history that is full, and only of that. */
static void stamp_of_a_forgotten_reign(void)
{
	device_new();
	for (uint32_t i = 0; i < BLKCAST_HISTORY_MAX; i++)
		meta.super.history[i] = (struct blkcast_reign){
			.term = htole32(3 + i), .reign = htole64(1 + i)
		};
	meta.super.reigns = BLKCAST_HISTORY_MAX;
	meta.super.term = 3 + BLKCAST_HISTORY_MAX - 1;
	EXPECT(!bc_meta_super_write(&meta, &error));
	stamp_put(1, blkcast_lsn(2, 1), true);
	check_now();
	EXPECT(!found);
	meta.super.reigns--;
	EXPECT(!bc_meta_super_write(&meta, &error));
	EXPECT_ONE(ERROR, "stamp-unknown", stamp_at(1), "term 2");
}

static void stamp_marks(void)
{
	device_new();
	stamp_put(1, blkcast_lsn(5, 1), false);
	EXPECT_ONE(ERROR, "stamp-untouched", stamp_at(1), "read as zeros");
	EXPECT(summary.regions[BC_REGION_NEVER] == 337);
	device_new();
	stamp_put(1, BLKCAST_LSN_DOUBT, true);
	EXPECT_ONE(ERROR, "doubt-inactive", stamp_at(1), "not active");
	EXPECT(summary.regions[BC_REGION_DOUBT] == 1);
	device_new();
	stamp_put(1, 0, true);	/* zeroed for a write that failed */
	check_now();
	EXPECT(!found);
}

/* --- runs ---------------------------------------------------------------------------------------- */

static struct bc_map_run runs[1024];
static unsigned int run_count;

static void take_run(const struct bc_map_run *run, void *arg)
{
	(void)arg;
	if (run_count < BC_ARRAY_SIZE(runs))
		runs[run_count++] = *run;
}

static void runs_join(void)
{
	struct blkcast_map_block disk;

	device_new();
	EXPECT(!bc_meta_format(&meta, fd, DEVICE_BYTES, "device", NULL, &error));
	stamp_put(0, blkcast_lsn(5, 1), true);
	stamp_put(1, blkcast_lsn(5, 1), true);
	stamp_put(2, blkcast_lsn(5, 2), true);
	run_count = 0;
	EXPECT(!bc_meta_map_runs(&meta, 0, 1007, take_run, NULL, &error));
	EXPECT(run_count == 4);
	EXPECT(runs[0].first == 0 && runs[0].count == 480 &&
	       runs[0].state == BC_REGION_NEVER);
	EXPECT(runs[1].first == 480 && runs[1].count == 2 &&
	       runs[1].stamp == blkcast_lsn(5, 1) && runs[1].state == BC_REGION_WRITTEN);
	EXPECT(runs[3].first == 483 && runs[3].count == 525);
	run_count = 0;
	EXPECT(!bc_meta_map_runs(&meta, 481, 481, take_run, NULL, &error));
	EXPECT(run_count == 1 && runs[0].first == 481 && runs[0].count == 1);
	disk = slot_get(1, CURRENT);
	disk.bad[0] = 1 << 1;
	slot_put(1, CURRENT, disk);
	run_count = 0;
	EXPECT(!bc_meta_map_runs(&meta, 480, 481, take_run, NULL, &error));
	EXPECT(run_count == 2 && runs[1].state == BC_REGION_BAD &&
	       runs[1].stamp == runs[0].stamp);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "a whole copy has no findings", clean },
		{ "neither has one after a crash, under resync, with bad regions", ordinary },
		{ "superblock: a copy that is damaged, missing or unreadable", super_copies },
		{ "superblock: generations that do not fit", super_generations },
		{ "superblock: versions and flags of the future", super_future },
		{ "superblock: fields that contradict each other", super_fields },
		{ "superblock: devices it does not fit", super_devices },
		{ "superblock: a device that the kernel does not take", super_small_device },
		{ "superblock: restores and histories", super_state },
		{ "map: a slot that is damaged, unreadable, foreign or empty", slot_damage },
		{ "map: blocks without a good slot", slot_lost },
		{ "map: generations that do not fit", slot_generations },
		{ "map: what no version writes", block_nonsense },
		{ "stamps: of terms nobody knows", stamp_terms },
		{ "stamps: of reigns that fell out of the history",
		  stamp_of_a_forgotten_reign },
		{ "stamps: touched marks and doubts that contradict them", stamp_marks },
		{ "regions: equal neighbours are one run", runs_join },
	};

	run_tests(tests, BC_ARRAY_SIZE(tests));
}
