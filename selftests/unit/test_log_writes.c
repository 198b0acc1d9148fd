// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * guest/log_writes: reading logs and traces, cutting, and that the check sees what
 * it is there for: a short story of a volume, told right and with one mistake.
 */
/* links: selftests/guest/log_writes/log.c selftests/guest/log_writes/trace.c selftests/guest/log_writes/disk.c selftests/guest/log_writes/ondisk.c selftests/guest/log_writes/history.c selftests/guest/log_writes/cut.c selftests/guest/log_writes/check.c tools/lib/crc32c.c tools/lib/util.c tools/lib/error.c */
/* libs: uuid libxxhash */
/* flags: -lm -pthread -Wno-format-truncation */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "crc32c.h"
#include "expect.h"
#include "selftests/guest/log_writes/check.h"
#include "util.h"

#define DISK_BYTES	(8ULL << 20)
#define SUPER0		((DISK_BYTES - BLKCAST_SUPER_AREA) / LW_SECTOR)
#define SUPER1		((DISK_BYTES - BLKCAST_BLOCK_SIZE) / LW_SECTOR)
#define MAP		(SUPER0 - 16)
#define REGIONS		64
#define REGION		128	/* sectors */
#define PIECE		8
#define TOUCHED		40	/* its stamp is in another sector than the block's head */

static struct bc_error error;

/* ---- a log as the kernel writes it ---- */

struct story {
	uint8_t log[4 << 20];
	size_t used;
	uint64_t entries;
	char trace[4096];
	uint8_t slots[2][BLKCAST_BLOCK_SIZE];
	uint64_t generation;
	uint64_t super_generation;
};

static void put64(uint8_t *at, uint64_t value)
{
	value = htole64(value);
	memcpy(at, &value, sizeof(value));
}

static void entry(struct story *s, uint64_t sector, uint64_t sectors,
		  uint64_t flags, const void *data, size_t length)
{
	uint8_t *at = s->log + s->used;

	put64(at, sector);
	put64(at + 8, sectors);
	put64(at + 16, flags);
	put64(at + 24, flags & LW_MARK ? length : 0);
	s->used += LW_SECTOR;
	if (flags & LW_MARK)
		memcpy(at + 32, data, length);
	else
		memcpy(s->log + s->used, data, length);
	s->used += sectors * LW_SECTOR;
	s->entries++;
}

static void story_begin(struct story *s)
{
	memset(s, 0, sizeof(*s));
	s->used = LW_SECTOR;
}

static void mark(struct story *s, const char *text)
{
	entry(s, 0, 0, LW_MARK, text, strlen(text));
}

static void flush(struct story *s)
{
	entry(s, 0, 0, LW_FLUSH, "", 0);
}

static void data(struct story *s, uint64_t sector, int byte, uint64_t sectors)
{
	static uint8_t bytes[REGION * LW_SECTOR];

	memset(bytes, byte, sizeof(bytes));
	entry(s, sector, sectors, 0, bytes, sectors * LW_SECTOR);
}

static int file_of(const void *bytes, size_t size, char path[64])
{
	int fd = memfd_create("story", MFD_CLOEXEC);

	if (fd < 0 || bc_pwrite_full(fd, bytes, size, 0))
		ksft_exit_fail_msg("no file in memory\n");
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

/* Open the log as it is so far. */
static int story_open(struct story *s, struct lw_log *log)
{
	char path[64];
	int fd, ret;

	put64(s->log, 0x6a736677736872ULL);
	put64(s->log + 8, 1);
	put64(s->log + 16, s->entries);
	put64(s->log + 24, LW_SECTOR);
	fd = file_of(s->log, s->used, path);
	ret = lw_log_open(log, path, &error);
	close(fd);
	return ret;
}

static int trace_open(const char *text, struct lw_trace *trace, uint32_t minor)
{
	char path[64];
	int fd = file_of(text, strlen(text), path);
	int ret = lw_trace_read(trace, path, minor, &error);

	close(fd);
	return ret;
}

/* ---- metadata ---- */

static uint32_t crc(const void *block, size_t at)
{
	uint8_t copy[BLKCAST_BLOCK_SIZE];

	memcpy(copy, block, sizeof(copy));
	memset(copy + at, 0, 4);
	return bc_crc32c(copy, sizeof(copy));
}

static uint32_t head_crc(const struct blkcast_map_block *block)
{
	size_t from = offsetof(struct blkcast_map_block, generation);

	return bc_crc32c((const uint8_t *)block + from, BLKCAST_MAP_HEAD - from);
}

static void super_write(struct story *s, int copy, uint64_t flags)
{
	struct blkcast_super super = {
		.magic = BLKCAST_SUPER_MAGIC,
		.version = htole32(BLKCAST_DISK_VERSION),
		.generation = htole64(s->super_generation),
		.volume = "volume",
		.sectors = htole64(REGIONS * REGION),
		.map_offset = htole64(MAP * LW_SECTOR),
		.regions = htole32(REGIONS),
		.map_blocks = htole32(1),
		.region_shift = htole32(16),
		.flags = htole32(BLKCAST_SUPER_INTERNAL),
		/* In another sector than the generation. */
		.reserved = { [300] = s->super_generation },
	};

	super.crc = htole32(crc(&super, offsetof(struct blkcast_super, crc)));
	entry(s, copy ? SUPER1 : SUPER0, PIECE, flags | LW_META, &super, sizeof(super));
}

/* The region is touched if @stamp is not 0; @slot: where it goes. */
static void map_write(struct story *s, int slot, bool active, uint64_t stamp)
{
	struct blkcast_map_block block = {
		.magic = htole32(BLKCAST_MAP_MAGIC),
		.generation = htole64(++s->generation),
		.volume = "volume",
		.flags = htole32(active ? BLKCAST_MAP_ACTIVE : 0),
		.touched = { [TOUCHED / 8] = stamp ? 1 << TOUCHED % 8 : 0 },
		.stamps = { [TOUCHED] = htole64(stamp) },
	};

	block.head_crc = htole32(head_crc(&block));
	block.crc = htole32(crc(&block, offsetof(struct blkcast_map_block, crc)));
	entry(s, MAP + PIECE * slot, PIECE, LW_META, &block, sizeof(block));
}

static void super_update(struct story *s, bool flushed)
{
	s->super_generation++;
	flush(s);
	super_write(s, 0, flushed ? LW_FUA : 0);
	if (flushed)
		flush(s);
	super_write(s, 1, flushed ? LW_FUA : 0);
	flush(s);
}

/* ---- the story ---- */

enum mistake {
	NONE,
	NO_FLUSH_BEFORE_CLEANING,
	DATA_BEFORE_ACTIVE_BIT,
	DATA_BEFORE_TOUCHED,
	NOT_ZEROED,
	SUPERS_TOGETHER,
	OLD_STAMP,
	NEW_STAMP,
	DATA_AFTER_FORGETTING,
	NO_BARRIER,
	CURRENT_SLOT,
};

#define LSN(seq) blkcast_lsn(1, seq)
#define AT(sector) (TOUCHED * REGION + (sector))

static void story_created(struct story *s)
{
	story_begin(s);
	s->super_generation = 1;
	map_write(s, 0, false, 0);
	super_write(s, 0, 0);
	super_write(s, 1, 0);
	flush(s);
	mark(s, "created");
}

/* A write, a flush, a write, cleaned; two writes, cleaned; then all is forgotten. */
static void story_tell(struct story *s, enum mistake mistake)
{
	story_created(s);
	super_update(s, mistake != SUPERS_TOGETHER);
	if (mistake != NOT_ZEROED)
		data(s, AT(0), 0, REGION);
	flush(s);
	if (mistake == DATA_BEFORE_TOUCHED)
		data(s, AT(8), 'a', PIECE);
	map_write(s, 1, true, LSN(1));
	flush(s);
	if (mistake != DATA_BEFORE_TOUCHED)
		data(s, AT(8), 'a', PIECE);
	if (mistake != NO_BARRIER)
		flush(s);
	data(s, AT(16), 'b', PIECE);
	flush(s);
	map_write(s, 0, false, LSN(4));
	flush(s);
	if (mistake == DATA_BEFORE_ACTIVE_BIT)
		data(s, AT(8), 'c', PIECE);
	map_write(s, mistake == CURRENT_SLOT ? 0 : 1, true, LSN(4));
	flush(s);
	if (mistake != DATA_BEFORE_ACTIVE_BIT)
		data(s, AT(8), 'c', PIECE);
	data(s, AT(64), 'd', 2 * PIECE);
	if (mistake != NO_FLUSH_BEFORE_CLEANING)
		flush(s);
	map_write(s, 0, false, mistake == OLD_STAMP ? LSN(5) :
		  mistake == NEW_STAMP ? LSN(2) : LSN(6));
	flush(s);
	map_write(s, 1, false, 0);
	flush(s);
	if (mistake == DATA_AFTER_FORGETTING)
		data(s, AT(8), 'e', PIECE);
	flush(s);
	mark(s, LW_END_MARK);
	strcpy(s->trace,
	       "w-1 [000] ..... 1.0: blkcast_write_start: minor=7 lsn=1099511627778 sector=5128 bytes=4096 start=1\n"
	       "w-1 [000] ..... 1.0: blkcast_write_done: minor=7 lsn=1099511627779 bytes=0 start=1 error=0\n"
	       "w-1 [000] ..... 1.0: blkcast_write_start: minor=7 lsn=1099511627780 sector=5136 bytes=4096 start=1\n"
	       "w-1 [000] ..... 1.0: blkcast_write_start: minor=7 lsn=1099511627781 sector=5128 bytes=4096 start=1\n"
	       "w-1 [000] ..... 1.0: blkcast_write_start: minor=7 lsn=1099511627782 sector=5184 bytes=8192 start=1\n");
}

static struct story told, right;

/* How many cuts of the story are bad; -1: it could not be cut at all. */
static int64_t story_cut(enum mistake mistake, bool replica, uint32_t rounds)
{
	struct lw_check check = { .replica = replica };
	struct lw_chapter chapter = {};
	struct lw_log log, primary;
	struct lw_history history;
	struct lw_trace trace;
	struct lw_disk disk;
	uint32_t created, end;
	int ret;

	story_tell(&right, NONE);
	story_tell(&told, mistake);
	ret = story_open(&right, &primary) ?: story_open(&told, &log) ?:
	      trace_open(told.trace, &trace, 7) ?:
	      lw_disk_init(&disk, DISK_BYTES, NULL, &error) ?:
	      lw_log_check(&log, &disk, &error) ?:
	      lw_log_find(&log, "created", &created, &error);
	if (ret)
		ksft_exit_fail_msg("%s\n", error.text);
	chapter.log = &primary;
	chapter.from = created;
	chapter.trace = &trace;
	check.log = &log;
	check.history = &history;
	check.trace = &trace;
	check.disk = &disk;
	lw_segment_apply(&log, 0, created, &disk);
	ret = lw_check_init(&check, &error) ?:
	      lw_history_make(&history, &chapter, 1, &disk, &error);
	if (ret)
		ksft_exit_fail_msg("%s\n", error.text);
	for (uint32_t from = created; from <= log.count; from = end + 1) {
		end = lw_segment_end(&log, from);
		lw_check_durable(&check);
		for (uint32_t i = 0; i < rounds * LW_CHOICES; i++) {
			struct lw_cut cut;

			lw_cut_make(&cut, &log, &disk, from, i, 1);
			lw_disk_cut(&disk);
			lw_cut_apply(&cut, &log, &disk);
			lw_check_cut(&check, &cut);
			lw_disk_uncut(&disk);
		}
		lw_segment_apply(&log, from, end, &disk);
	}
	EXPECT(check.distinct == 2 || mistake);
	EXPECT(!replica || check.consistent);
	ret = check.failures;
	lw_check_free(&check);
	lw_history_free(&history);
	lw_trace_free(&trace);
	lw_disk_free(&disk);
	lw_log_close(&log);
	lw_log_close(&primary);
	return ret;
}

static void test_right(void)
{
	EXPECT(story_cut(NONE, false, 20) == 0);
	EXPECT(story_cut(NONE, true, 20) == 0);
	/* A primary may take a write before an earlier flush is done. */
	EXPECT(story_cut(NO_BARRIER, false, 20) == 0);
	/* Torn where the only whole block stood: its head is whole, so doubt is all. */
	EXPECT(story_cut(CURRENT_SLOT, false, 20) == 0);
}

/* A second recording, after a power cut that has lost the newest writes. */
static void test_history(void)
{
	static const char second[] =
		"w-1 [0] 1.0: blkcast_write_start: minor=7 lsn=2199023255555 sector=5128 bytes=512 start=1\n";
	uint8_t old[LW_SECTOR], kept[LW_SECTOR], fresh[LW_SECTOR];
	struct lw_history history;
	uint64_t *base = calloc(REGIONS * REGION, sizeof(*base));
	struct lw_trace traces[2];
	struct lw_log logs[2];
	struct lw_chapter chapters[2] = {
		{ .log = &logs[0], .trace = &traces[0] },
		{ .log = &logs[1], .trace = &traces[1], .base = base,
		  .base_lsn = blkcast_lsn(2, 1) },
	};
	struct lw_disk disk;

	memset(old, 'c', sizeof(old));
	memset(kept, 'a', sizeof(kept));
	memset(fresh, 'z', sizeof(fresh));
	story_tell(&right, NONE);
	story_begin(&told);
	data(&told, AT(8), 'z', 1);
	mark(&told, LW_END_MARK);
	for (uint64_t i = 0; i < REGIONS * REGION; i++)
		base[i] = lw_value_zero(i);
	base[AT(8)] = lw_value(AT(8), kept);
	if (story_open(&right, &logs[0]) || story_open(&told, &logs[1]) ||
	    trace_open(right.trace, &traces[0], 7) || trace_open(second, &traces[1], 7) ||
	    lw_log_find(&logs[0], "created", &chapters[0].from, &error) ||
	    lw_disk_init(&disk, DISK_BYTES, NULL, &error) ||
	    lw_disk_watch(&disk, 0, REGIONS * REGION, REGION, MAP * LW_SECTOR, &error))
		ksft_exit_fail_msg("%s\n", error.text);
	EXPECT(!lw_history_make(&history, chapters, 2, &disk, &error));
	EXPECT(lw_history_value(&history, AT(8), LSN(1)) == lw_value_zero(AT(8)));
	EXPECT(lw_history_value(&history, AT(8), LSN(6)) == lw_value(AT(8), old));
	EXPECT(lw_history_value(&history, AT(8), blkcast_lsn(2, 2)) == base[AT(8)]);
	EXPECT(lw_history_value(&history, AT(8), blkcast_lsn(2, 3)) ==
	       lw_value(AT(8), fresh));
	EXPECT(lw_history_value(&history, AT(64), blkcast_lsn(2, 1)) ==
	       lw_value_zero(AT(64)));
	lw_history_free(&history);
	/* A write that the trace does not know of. */
	traces[1].count = 0;
	EXPECT(lw_history_make(&history, chapters, 2, &disk, &error) == -EINVAL);
	EXPECT_SAYS(error.text, "more in the log");
	lw_history_free(&history);
	for (int i = 0; i < 2; i++) {
		lw_trace_free(&traces[i]);
		lw_log_close(&logs[i]);
	}
	lw_disk_free(&disk);
	free(base);
}

static void test_mistakes(void)
{
	for (enum mistake m = NO_FLUSH_BEFORE_CLEANING; m < NO_BARRIER; m++) {
		int64_t found = story_cut(m, false, 20);

		ksft_print_msg("mistake %d: %lld cuts\n", m, (long long)found);
		EXPECT(found > 0);
	}
	EXPECT(story_cut(NO_BARRIER, true, 20) > 0);
}

/* ---- the parts ---- */

static void test_log(void)
{
	struct lw_log log;

	story_begin(&told);
	data(&told, 40, 'x', 3);
	flush(&told);
	mark(&told, "here");
	EXPECT(story_open(&told, &log) == -EINVAL);
	EXPECT_SAYS(error.text, "no end");
	lw_log_close(&log);
	mark(&told, LW_END_MARK);
	EXPECT(story_open(&told, &log) == 0 && log.count == 4);
	EXPECT(log.entries[0].sector == 40 && log.entries[0].sectors == 3 &&
	       log.entries[0].data[2 * LW_SECTOR] == 'x');
	EXPECT(log.entries[1].flags == LW_FLUSH && !log.entries[1].sectors);
	EXPECT(lw_mark_is(&log.entries[2], "here") && !lw_mark_is(&log.entries[2], "her"));
	lw_log_close(&log);
	/* More entries than there are, and one that is longer than the log. */
	told.entries++;
	EXPECT(story_open(&told, &log) == -EINVAL);
	EXPECT_SAYS(error.text, "makes no sense");
	lw_log_close(&log);
	told.entries--;
	put64(told.log + LW_SECTOR + 8, 1 << 20);
	EXPECT(story_open(&told, &log) == -EINVAL);
	lw_log_close(&log);
	put64(told.log + LW_SECTOR + 16, 1 << 9);
	EXPECT(story_open(&told, &log) == -EINVAL);
	lw_log_close(&log);
}

static void test_log_check(void)
{
	struct lw_disk disk;
	struct lw_log log;

	if (lw_disk_init(&disk, DISK_BYTES, NULL, &error))
		ksft_exit_fail_msg("%s\n", error.text);
	story_begin(&told);
	data(&told, DISK_BYTES / LW_SECTOR - 1, 'x', 2);
	mark(&told, LW_END_MARK);
	EXPECT(!story_open(&told, &log) && lw_log_check(&log, &disk, &error) == -EINVAL);
	EXPECT_SAYS(error.text, "behind the disk's end");
	lw_log_close(&log);
	story_begin(&told);
	entry(&told, 10, PIECE, LW_FUA, right.log, PIECE * LW_SECTOR);
	data(&told, 12, 'x', 1);
	mark(&told, LW_END_MARK);
	EXPECT(!story_open(&told, &log) && lw_log_check(&log, &disk, &error) == -EINVAL);
	EXPECT_SAYS(error.text, "not known");
	lw_log_close(&log);
	lw_disk_free(&disk);
}

static void test_trace(void)
{
	struct lw_trace trace;

	EXPECT(trace_open("# tracer: nop\n"
		"a-1 [0] 1: blkcast_write_start: minor=1 lsn=9 sector=8 bytes=512 start=1\n"
		"a-1 [0] 1: blkcast_write_start: minor=1 lsn=5 sector=0 bytes=1024 start=1\n"
		"a-1 [0] 1: blkcast_write_start: minor=1 lsn=7 sector=0 bytes=0 start=1\n"
		"a-1 [0] 1: blkcast_write_done: minor=1 lsn=9 bytes=512 start=1 error=0\n"
		"a-1 [0] 1: blkcast_write_done: minor=1 lsn=0 bytes=0 start=1 error=0\n"
		"a-1 [0] 1: blkcast_write_start: minor=2 lsn=6 sector=0 bytes=512 start=1\n",
		&trace, 1) == 0);
	EXPECT(trace.count == 2 && trace.writes[0].lsn == 5 &&
	       trace.writes[0].sectors == 2 && trace.writes[1].sector == 8);
	EXPECT(trace.flush_count == 1 && lw_trace_flush_before(&trace, 7) == 0 &&
	       lw_trace_flush_before(&trace, 8) == 7);
	lw_trace_free(&trace);
	EXPECT(trace_open("a: blkcast_write_start: minor=1 lsn=9 sector=8\n",
			  &trace, 1) == -EINVAL);
	lw_trace_free(&trace);
	EXPECT(trace_open("nothing\n", &trace, 1) == -ENODATA);
	lw_trace_free(&trace);
}

/* Which of the segment's sectors are on the disk, one bit each. */
static uint64_t cut_shows(const struct lw_log *log, uint32_t number, uint64_t seed)
{
	uint64_t shows = 0;
	struct lw_disk disk;
	struct lw_cut cut;

	if (lw_disk_init(&disk, DISK_BYTES, NULL, &error) ||
	    lw_disk_watch(&disk, 0, 24, 24, 24 * LW_SECTOR, &error))
		ksft_exit_fail_msg("%s\n", error.text);
	lw_cut_make(&cut, log, &disk, 1, number, seed);
	lw_cut_apply(&cut, log, &disk);
	for (int i = 0; i < 64; i++)
		shows |= (uint64_t)(disk.data[i * LW_SECTOR] == 'x') << i;
	lw_disk_free(&disk);
	return shows;
}

static void test_cut(void)
{
	static uint8_t x[4 * PIECE * LW_SECTOR];
	bool other = false, torn = false, whole = true;
	struct lw_log log;

	memset(x, 'x', sizeof(x));
	story_begin(&told);
	flush(&told);
	entry(&told, 0, 2 * PIECE, 0, x, 2 * PIECE * LW_SECTOR);
	entry(&told, 16, PIECE, LW_FUA, x, PIECE * LW_SECTOR);
	entry(&told, 24, PIECE, 0, x, PIECE * LW_SECTOR);
	flush(&told);
	mark(&told, LW_END_MARK);
	EXPECT(!story_open(&told, &log));
	EXPECT(lw_segment_end(&log, 1) == 4);
	EXPECT(cut_shows(&log, LW_NOTHING, 1) == 0);
	for (uint32_t i = 0; i < 200; i++) {
		uint64_t shows = cut_shows(&log, i, 1);

		EXPECT(shows == cut_shows(&log, i, 1));
		other |= shows != cut_shows(&log, i, 2);
		torn |= shows >> 24 && shows >> 24 != 0xff;
		/* Data are torn between blocks alone; FUA was done before the metadata. */
		for (int block = 0; block < 2; block++)
			whole &= !(shows >> 8 * block & 0xff) ||
				 (shows >> 8 * block & 0xff) == 0xff;
		whole &= !(shows >> 24) || (shows >> 16 & 0xff) == 0xff;
	}
	EXPECT(other && torn && whole);
	lw_log_close(&log);
}

static void test_disk(void)
{
	uint8_t before[LW_SECTOR], bytes[LW_SECTOR];
	struct lw_entry e = { .sector = 37, .sectors = 1, .data = bytes };
	struct lw_region region;
	struct lw_disk disk;

	memset(bytes, 'y', sizeof(bytes));
	if (lw_disk_init(&disk, DISK_BYTES, NULL, &error) ||
	    lw_disk_watch(&disk, 0, REGIONS * REGION, REGION, MAP * LW_SECTOR, &error))
		ksft_exit_fail_msg("%s\n", error.text);
	/* A sector of garbage, which counts as nothing. */
	memcpy(before, disk.data + 37 * LW_SECTOR, LW_SECTOR);
	EXPECT(before[LW_SECTOR - 1] && !disk.regions[0].written);
	region = disk.regions[0];
	lw_disk_cut(&disk);
	lw_disk_write(&disk, &e, 0, 1);
	EXPECT(disk.regions[0].written == 1 && disk.regions[0].sum != region.sum);
	memset(bytes, 0, sizeof(bytes));
	lw_disk_write(&disk, &e, 0, 1);
	EXPECT(disk.regions[0].written == 0 && disk.regions[0].sum != region.sum);
	lw_disk_uncut(&disk);
	EXPECT(!memcmp(&region, &disk.regions[0], sizeof(region)) &&
	       !memcmp(before, disk.data + 37 * LW_SECTOR, LW_SECTOR));
	lw_disk_free(&disk);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "a log is read, or refused", test_log },
		{ "what cannot be cut is refused", test_log_check },
		{ "a trace is read, or refused", test_trace },
		{ "cuts come from their seed and keep what is durable", test_cut },
		{ "what a cut has written is undone", test_disk },
		{ "what a sector held, before and after a power cut", test_history },
		{ "a story told right has no bad cut", test_right },
		{ "each mistake is found", test_mistakes },
	};

	return run_tests(tests, sizeof(tests) / sizeof(tests[0]));
}
