// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A raw image that is restored: whenever it is cut off, between any two writes, within
 * one, with any of what was not flushed, the target is marked incomplete, or whole, or
 * as it was before.  What is read back and is not what was written is found out.  The
 * real program, killed at random moments on a device with other data, is resumed.
 */
/* links: tools/snapshot/create.c tools/snapshot/stamps.c tools/snapshot/writer.c */
/* links: tools/snapshot/output.c tools/snapshot/folder.c tools/snapshot/format.c tools/snapshot/seektable.c */
/* links: tools/snapshot/ring.c tools/snapshot/pool.c tools/lib/progress.c */
/* links: tools/snapshot/extract.c tools/snapshot/reader.c tools/snapshot/input.c */
/* links: tools/snapshot/lowwater.c tools/snapshot/have.c tools/snapshot/head.c tools/snapshot/target.c */
/* links: tools/lib/util.c tools/lib/error.c tools/lib/crc32c.c tools/lib/copy.c tools/lib/blockdev.c */
/* links: tools/lib/config.c tools/lib/config_save.c tools/lib/config_end.c tools/lib/layout.c tools/lib/meta.c */
/* links: tools/lib/meta_block.c tools/lib/meta_map.c tools/lib/meta_runs.c tools/lib/meta_known.c */
/* links: tools/lib/kernel.c tools/lib/kernel_parse.c tools/lib/kernel_names.c */
/* libs: libzstd liburing uuid libmnl inih json-c mount */
/* flags: -lxxhash -pthread -Wno-format-truncation */
/* flags: -Wl,--wrap=bc_pwrite_full,--wrap=fsync,--wrap=ring_write,--wrap=ring_zero */
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "test_volume.h"

#include "tools/snapshot/ring.h"
#include "tools/snapshot/target.h"

#define BYTES	((3 << 20) + 4096 * 3)
#define CHAIN	3
#define KILLS	20

static char folder[] = "/tmp/test_target.XXXXXX", blkcast[PATH_MAX];
static unsigned int snapshots = CHAIN;

static const char *name(unsigned int i)
{
	static char names[4][64];
	char *text = names[i % BC_ARRAY_SIZE(names)];

	snprintf(text, sizeof(names[0]), "%s/s%u", folder, i);
	return text;
}

/* ---- a target that is watched ---- */

/**
 * struct watch - what is known of the target under test
 * @fd: -1: nothing is watched
 * @image: what it is to become, @old: what it was, each @bytes
 * @unflushed: writes since the last flush
 * @marked: the mark stands there, flushed
 * @lying: a zeroing or writing of byte @lie_at does not happen
 * @writes: so far
 * @cuts: states that were looked at
 */
static struct watch {
	int fd;
	uint64_t bytes, lie_at;
	uint8_t *image, *old;
	unsigned int unflushed, marked, writes, cuts;
	bool lying;
} watch = { .fd = -1, .lie_at = ~0ULL };

int __real_bc_pwrite_full(int fd, const void *data, size_t len, uint64_t offset);
int __real_fsync(int fd);
void __real_ring_write(struct ring *ring, int fd, const void *data, uint64_t length,
		       uint64_t offset, void *owner);
void __real_ring_zero(struct ring *ring, int fd, uint64_t length, uint64_t offset, void *owner);
int __wrap_bc_pwrite_full(int fd, const void *data, size_t len, uint64_t offset);
int __wrap_fsync(int fd);
void __wrap_ring_write(struct ring *ring, int fd, const void *data, uint64_t length,
		       uint64_t offset, void *owner);
void __wrap_ring_zero(struct ring *ring, int fd, uint64_t length, uint64_t offset, void *owner);

static bool is_mark(const uint8_t *sector)
{
	return !memcmp(sector, "blkcast: a restore to this place was interrupted", 48);
}

/* The target as it would be found; its size may be another. */
static void check_state(const uint8_t *data, uint64_t bytes)
{
	watch.cuts++;
	if ((bytes >= 512 && is_mark(data)) || watch.lie_at != ~0ULL)
		return;
	EXPECT(!bytes || (bytes == watch.bytes && (!memcmp(data, watch.image, bytes) ||
						   !memcmp(data, watch.old, bytes))));
}

/* Some sectors of a write arrive, those before a place or those behind it. */
static void check_torn(const uint8_t *data, size_t len, uint64_t offset)
{
	struct stat st;
	uint8_t *now;
	unsigned int i;

	MUST(!fstat(watch.fd, &st));
	now = calloc(1, st.st_size + offset + len);
	MUST(now);
	for (i = 0; i < 12; i++) {
		size_t at = (i < 10 ? random_below(len / 512 + 1) : i == 10 ? 1 : len / 512) * 512;
		size_t from = i & 1 ? 0 : at, to = i & 1 ? at : len;
		uint64_t size = st.st_size;

		MUST(!bc_pread_full(watch.fd, now, size, 0));
		memcpy(now + offset + from, data + from, to - from);
		if (from < to && size < offset + to)
			size = offset + to;
		check_state(now, size);
	}
	free(now);
}

int __wrap_bc_pwrite_full(int fd, const void *data, size_t len, uint64_t offset)
{
	if (watch.fd >= 0) {
		/* Each of them behind a flush of what was before. */
		EXPECT(!watch.unflushed++);
		check_torn(data, len, offset);
		/* What is unmarked now is the end: there is no more to come. */
		watch.marked = 0;
		watch.writes++;
		if (watch.lying && watch.lie_at == offset && !is_mark(data))
			return 0;
	}
	return __real_bc_pwrite_full(fd, data, len, offset);
}

int __wrap_fsync(int fd)
{
	uint8_t sector[512];

	if (watch.fd >= 0) {
		watch.unflushed = 0;
		watch.marked = !bc_pread_full(watch.fd, sector, sizeof(sector), 0) &&
			       is_mark(sector);
	}
	return __real_fsync(fd);
}

/* Nothing changes before the mark is there, on stable storage. */
static void see_write(uint64_t offset)
{
	if (watch.fd < 0)
		return;
	watch.unflushed++;
	watch.writes++;
	EXPECT(watch.marked && offset >= 4096);
}

static unsigned int zero_lies;

static bool lies(uint64_t offset, uint64_t length)
{
	return watch.fd >= 0 && watch.lying && watch.lie_at - offset < length;
}

void __wrap_ring_write(struct ring *ring, int fd, const void *data, uint64_t length,
		       uint64_t offset, void *owner)
{
	static char zeros[1 << 20] __attribute__((aligned(4096)));

	see_write(offset);
	__real_ring_write(ring, fd, lies(offset, length) ? zeros : data, length, offset, owner);
}

void __wrap_ring_zero(struct ring *ring, int fd, uint64_t length, uint64_t offset, void *owner)
{
	static int elsewhere = -1;
	bool lie;

	see_write(offset);
	if (elsewhere < 0)
		elsewhere = memfd_create("elsewhere", 0);
	lie = lies(offset, length);
	zero_lies += lie;
	__real_ring_zero(ring, lie ? elsewhere : fd, length, offset, owner);
}

/* ---- restoring, watched ---- */

static uint8_t *visible(const struct volume *volume)
{
	uint8_t *image = calloc(1, volume->bytes);
	uint32_t r;

	MUST(image);
	for (r = 0; r < volume->regions; r++)
		region_content(volume, r, volume->stamp[r],
			       image + ((uint64_t)r << volume->shift));
	return image;
}

static void snapshot_to(struct volume *volume, const char *parent, const char *path)
{
	struct stamps stamps = { .ask = volume_ask, .arg = volume };
	struct have have = { 0 };
	struct bc_error error;

	MUST(!stamps_init(&stamps, volume->bytes, volume->shift, &error));
	MUST(!parent || !have_read(&have, parent, &error));
	MUST(!take_delta(volume->fd, volume->bytes, &stamps, parent ? &have : NULL, path, &error));
	have_release(&have);
	stamps_release(&stamps);
}

/* A full snapshot and deltas that write and discard, at the beginning as well. */
static uint8_t *make_chain(uint64_t bytes)
{
	struct volume volume;
	uint8_t *image;
	unsigned int i, j;

	volume_make(&volume, bytes, 16);
	snapshot_to(&volume, NULL, name(0));
	for (i = 1; i < CHAIN; i++) {
		for (j = 0; j < 5; j++) {
			region_write(&volume, random_below(volume.regions));
			volume.stamp[random_below(volume.regions)] = BLKCAST_LSN_NEVER;
		}
		region_write(&volume, random_below(4) % volume.regions);
		snapshot_to(&volume, name(i - 1), name(i));
	}
	image = visible(&volume);
	close(volume.fd);
	return image;
}

static int restore_chain(const char *path, unsigned int flags, bool *resumed,
			 struct bc_error *error)
{
	struct target target = { .fd = -1, .raw.fd = -1 };
	struct progress progress = { 0 };
	struct reader reader[CHAIN];
	unsigned int i;
	int err = 0;

	for (i = 0; i < snapshots; i++)
		MUST(!reader_open(&reader[i], name(i), error));
	err = target_open(&target, path, &reader[0], flags, error);
	*resumed = target.resumed;
	if (!err)
		err = target_begin(&target, &reader[0], error);
	for (i = 0; !err && i < snapshots; i++) {
		const struct extract_plan plan = {
			.reader = &reader[i], .target = &target, .threads = 2,
			.progress = &progress, .verify = flags & TARGET_VERIFY,
			.update = flags & TARGET_UPDATE || target.resumed,
		};

		watch.lying = i == CHAIN - 1;
		if (i)
			err = target_go_on(&target, &reader[i], error);
		if (!err)
			err = extract_chunks(&plan, error);
	}
	if (!err)
		err = target_finish(&target, &reader[snapshots - 1], false, error);
	target_close(&target);
	for (i = 0; i < snapshots; i++)
		reader_close(&reader[i]);
	return err;
}

/* Restore the chain onto a file with @old in it, watched. */
static int restore_watched(uint8_t *image, uint8_t *old, uint64_t bytes, unsigned int flags,
			   struct bc_error *error)
{
	bool resumed;
	char path[64];
	int err;

	snprintf(path, sizeof(path), "%s/out", folder);
	watch.fd = -1;
	unlink(path);
	watch = (struct watch) {
		.fd = open(path, O_RDWR | O_CREAT, 0600), .bytes = bytes, .lie_at = watch.lie_at,
		.image = image, .old = old, .cuts = watch.cuts,
	};
	MUST(watch.fd >= 0 && !__real_bc_pwrite_full(watch.fd, old, bytes, 0));
	err = restore_chain(path, flags, &resumed, error);
	EXPECT(!resumed);
	return err;
}

static void done_watching(void)
{
	close(watch.fd);
	watch.fd = -1;
	watch.lie_at = ~0ULL;
}

static bool target_is(const uint8_t *image, uint64_t bytes)
{
	uint8_t *data = malloc(bytes + 1);
	bool same = pread(watch.fd, data, bytes + 1, 0) == (ssize_t)bytes &&
		    !memcmp(data, image, bytes);

	free(data);
	return same;
}

static void cut_anywhere_it_is_marked_or_whole(void)
{
	static const uint64_t sizes[] = { BYTES, 1 << 20, 512, 4096, 2560, (1 << 20) + 512 };
	static const unsigned int flags[] = { TARGET_FORCE, TARGET_UPDATE };
	struct bc_error error;
	unsigned int i, j;

	for (i = 0; i < BC_ARRAY_SIZE(sizes); i++) {
		uint64_t bytes = sizes[i];
		uint8_t *image = make_chain(bytes), *old = malloc(bytes);

		MUST(old);
		fill(old, bytes, 77);
		for (j = 0; j < BC_ARRAY_SIZE(flags); j++) {
			EXPECT(!restore_watched(image, old, bytes, flags[j] | TARGET_VERIFY,
						&error));
			EXPECT(target_is(image, bytes));
			done_watching();
		}
		free(image);
		free(old);
	}
	ksft_print_msg("%u states looked at\n", watch.cuts);
	EXPECT(watch.cuts > 500);
}

/* It is there already: not even a mark is written. */
static void equal_target_is_not_written_to(void)
{
	struct volume volume;
	struct bc_error error;
	uint8_t *image;

	volume_make(&volume, BYTES, 16);
	snapshot_to(&volume, NULL, name(0));
	image = visible(&volume);
	close(volume.fd);
	snapshots = 1;
	EXPECT(!restore_watched(image, image, BYTES, TARGET_UPDATE, &error));
	snapshots = CHAIN;
	EXPECT(target_is(image, BYTES) && !watch.writes);
	done_watching();
	free(image);
}

static void lies_are_found_out(void)
{
	uint8_t *image = make_chain(BYTES), *old = malloc(BYTES);
	unsigned int found = 0, r;
	struct bc_error error;
	struct reader reader;

	MUST(old);
	fill(old, BYTES, 78);
	/* A lie about each region that the last delta holds, zeros among them. */
	MUST(!reader_open(&reader, name(CHAIN - 1), &error));
	for (r = 0; r < reader.regions; r++) {
		if (!snap_held(reader.holds, r))
			continue;
		watch.lie_at = r < 16 ? 0 : r << 16;
		EXPECT(restore_watched(image, old, BYTES, TARGET_FORCE | TARGET_VERIFY, &error));
		EXPECT(strstr(error.text, "read back other than they were written"));
		found++;
		done_watching();
	}
	ksft_print_msg("%u lies, %u of them about zeros\n", found, zero_lies);
	EXPECT(found > 2 && zero_lies > 0);
	reader_close(&reader);
	free(image);
	free(old);
}

/* ---- killed ---- */

static struct bc_blockdev disk = { .fd = -1 };

/* Of 32 MiB: a loop device, where there is any, else a file. */
static const char *make_disk(void)
{
	static char path[PATH_MAX];
	struct bc_error error;
	char link[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/disk", folder);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	MUST(fd >= 0 && !ftruncate(fd, 32 << 20));
	close(fd);
	if (bc_blockdev_loop(&disk, path, &error)) {
		ksft_print_msg("a file, for there is no loop device: %s\n", error.text);
		disk.fd = open(path, O_RDWR);
		return path;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", disk.fd);
	n = readlink(link, path, sizeof(path) - 1);
	MUST(n > 0);
	path[n] = 0;
	return path;
}

static int run_restore(const char *path, uint64_t kill_ns)
{
	struct timespec wait = { .tv_nsec = kill_ns };
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(8);
		execl(blkcast, blkcast, "restore", "--quiet", name(0), name(1),
		      name(2), path, NULL);
		_exit(9);
	}
	if (kill_ns) {
		nanosleep(&wait, NULL);
		kill(pid, SIGKILL);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	return status;
}

/* Of one that was killed the kernel may hold the disk for a moment. */
static void wait_unused(const char *path)
{
	struct bc_blockdev probe;
	struct bc_error error;

	while (bc_blockdev_open(&probe, path, BC_BLOCKDEV_WRITE | BC_BLOCKDEV_EXCL |
				BC_BLOCKDEV_FILE, &error))
		usleep(1000);
	bc_blockdev_close(&probe);
}

static uint8_t *read_disk(uint64_t bytes)
{
	uint8_t *data = malloc(bytes);

	MUST(data && !bc_pread_full(disk.fd, data, bytes, 0));
	return data;
}

static void killed_and_resumed_on_a_device(void)
{
	const uint64_t bytes = 24 << 20;
	uint8_t *image = make_chain(bytes), *old = malloc(bytes), *now;
	unsigned int i, seen[3] = { 0 }, resumed = 0;
	bool whole = true, half = false;
	const char *path = make_disk();
	uint64_t begun, took;

	MUST(old && disk.fd >= 0);
	fill(old, bytes, 99);
	for (i = 0, took = ~0ULL; i < 3; i++) {
		begun = bc_now_ns();
		MUST(!run_restore(path, 0));
		if (took > bc_now_ns() - begun)
			took = bc_now_ns() - begun;
	}
	for (i = 0; i < 2 * KILLS; i++) {
		/* Other data; or what the last one left, at first once, then until it is whole. */
		if (i < KILLS ? i % 2 == 0 : whole)
			MUST(!bc_pwrite_full(disk.fd, old, bytes, 0) && !fsync(disk.fd));
		else
			resumed += half;
		run_restore(path, 1 + random_below(took));
		wait_unused(path);
		now = read_disk(bytes);
		half = is_mark(now);
		whole = !half && !memcmp(now, image, bytes);
		seen[half ? 0 : whole ? 1 : 2]++;
		/* Never half of it and unmarked. */
		EXPECT(is_mark(now) || !memcmp(now, image, bytes) || !memcmp(now, old, bytes));
		free(now);
	}
	ksft_print_msg("found incomplete %u times, whole %u, untouched %u; resumed %u times\n",
		       seen[0], seen[1], seen[2], resumed);
	EXPECT(seen[0] > 0 && resumed > 0);
	EXPECT(!run_restore(path, 0));
	now = read_disk(bytes);
	EXPECT(!memcmp(now, image, bytes));
	free(now);
	free(image);
	free(old);
	bc_blockdev_close(&disk);
}

int main(void)
{
	ssize_t n = readlink("/proc/self/exe", blkcast, sizeof(blkcast) - 32);
	char clean[64];

	MUST(n > 0);
	blkcast[n] = 0;
	strcat(dirname(dirname(dirname(blkcast))), "/tools/blkcast");
	if (access(blkcast, X_OK))
		ksft_exit_skip("%s is not built\n", blkcast);
	MUST(mkdtemp(folder));
	ksft_print_header();
	ksft_set_plan(4);
	REPORT(cut_anywhere_it_is_marked_or_whole);
	REPORT(equal_target_is_not_written_to);
	REPORT(lies_are_found_out);
	REPORT(killed_and_resumed_on_a_device);
	snprintf(clean, sizeof(clean), "rm -r %s", folder);
	MUST(!system(clean));
	ksft_finished();
}
