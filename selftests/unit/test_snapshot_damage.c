// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A damaged snapshot is refused: cut anywhere, any bit that changes the content
 * flipped, any metadata made to lie under a right checksum, frames taken out.
 * A restore of one leaves its target as it was, or marked incomplete.
 * And an independent walk finds the frames where the seek table says they are.
 *
 * ROUNDS is how many flips are restored (200); 10,000 of them are checked in any case.
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
#include <pthread.h>
#include <signal.h>
#include <zstd.h>

#include "test_snapshot.h"

#include "blkcast_lsn.h"
#include "tools/snapshot/target.h"

#define IMAGE_BYTES	((2 << 20) + 4096 * 5)
#define FRAMES_MAX	64
#define FLIPS		10000
#define NEVER_CHUNK	1	/* nothing in it was ever written */

static char folder[] = "/tmp/test_snapshot.XXXXXX", path[64], damaged[64];
static char target_path[64];
static int damaged_fd, target_fd;
static uint8_t image[IMAGE_BYTES], old[IMAGE_BYTES / 2];
static uint8_t *whole;
static size_t whole_size;

/* Where the frames of the file begin; [frames] is its end. */
static size_t frame_at[FRAMES_MAX + 1];
static unsigned int frames;

static int ask_fixed(void *arg, uint32_t first, uint32_t count, uint64_t *stamps,
		     struct bc_error *error)
{
	uint32_t i;

	(void)arg;
	(void)error;
	for (i = 0; i < count; i++) {
		stamps[i] = blkcast_lsn(3, first + i + 1);
		if (first + i == 7)
			stamps[i] = BLKCAST_LSN_DOUBT;
		if ((first + i) >> 4 == NEVER_CHUNK)
			stamps[i] = BLKCAST_LSN_NEVER;
	}
	return 0;
}

/* Little content in a large image: half of the file is metadata. */
static void make_image(void)
{
	size_t at;

	for (at = 0; at < sizeof(image); at += 1 << 18) {
		if (at >> 20 != NEVER_CHUNK)
			fill(image + at, 1024, at);
	}
}

static uint8_t *read_file(const char *name, size_t *size)
{
	int fd = open(name, O_RDONLY);
	struct stat st;
	uint8_t *data;

	MUST(fd >= 0 && !fstat(fd, &st));
	data = malloc(st.st_size + 1);
	MUST(data && !bc_pread_full(fd, data, st.st_size, 0));
	close(fd);
	*size = st.st_size;
	return data;
}

static uint32_t le32_at(const uint8_t *data)
{
	__le32 value;

	memcpy(&value, data, sizeof(value));
	return le32toh(value);
}

static void walk_frames(void)
{
	size_t at = 0;

	while (at < whole_size && frames < FRAMES_MAX) {
		size_t size = ZSTD_findFrameCompressedSize(whole + at, whole_size - at);

		MUST(!ZSTD_isError(size));
		frame_at[frames++] = at;
		at += size;
	}
	frame_at[frames] = at;
	MUST(at == whole_size);
}

static void make_snapshot(void)
{
	struct stamps stamps = { .ask = ask_fixed };
	int fd = memory_file(image, sizeof(image));
	struct bc_error error;

	MUST(!stamps_init(&stamps, sizeof(image), 16, &error));
	MUST(!take_snapshot(fd, sizeof(image), &stamps, path, &error));
	stamps_release(&stamps);
	close(fd);
	whole = read_file(path, &whole_size);
	walk_frames();
}

static int check_bytes(const uint8_t *data, size_t size, struct bc_error *error)
{
	MUST(!ftruncate(damaged_fd, 0) && !bc_pwrite_full(damaged_fd, data, size, 0));
	return check_snapshot(damaged, 1, error);
}

struct pipe_feed {
	const uint8_t *data;
	size_t size;
	int fd;
};

static void *pipe_write(void *arg)
{
	struct pipe_feed *feed = arg;

	bc_write_full(feed->fd, feed->data, feed->size);
	close(feed->fd);
	return NULL;
}

/* The same from a pipe, whose end cannot be looked at first. */
static int check_pipe(const uint8_t *data, size_t size, struct bc_error *error)
{
	struct pipe_feed feed = { data, size, -1 };
	pthread_t thread;
	int fd[2], err;
	char name[32];

	MUST(!pipe(fd));
	feed.fd = fd[1];
	MUST(!pthread_create(&thread, NULL, pipe_write, &feed));
	snprintf(name, sizeof(name), "/dev/fd/%d", fd[0]);
	err = check_snapshot(name, 1, error);
	close(fd[0]);
	pthread_join(thread, NULL);
	return err;
}

/* What plain zstd makes of it is the image. */
static bool unpacks_to_image(const uint8_t *data, size_t size)
{
	uint8_t *out = malloc(sizeof(image) + 1);
	size_t n;
	bool same;

	MUST(out);
	n = ZSTD_decompress(out, sizeof(image) + 1, data, size);
	same = n == sizeof(image) && !memcmp(out, image, sizeof(image));
	free(out);
	return same;
}

static void undamaged_is_accepted(void)
{
	struct bc_error error;

	EXPECT(!check_snapshot(path, 1, &error));
	EXPECT(!check_pipe(whole, whole_size, &error));
	EXPECT(unpacks_to_image(whole, whole_size));
}

/* The last frame is the table; its entries are the frames before it. */
static void seek_table_is_true(void)
{
	const uint8_t *table = whole + frame_at[frames - 1], *end = whole + whole_size;
	unsigned int i;

	EXPECT(le32_at(table) == 0x184D2A5E);
	EXPECT(le32_at(table + 4) == end - table - 8);
	EXPECT(le32_at(end - 4) == 0x8F92EAB1);
	EXPECT(end[-5] == 0);
	EXPECT(le32_at(end - 9) == frames - 1);
	for (i = 0; i < frames - 1; i++) {
		const uint8_t *entry = table + 8 + 8 * i, *frame = whole + frame_at[i];
		bool data = le32_at(frame) == 0xFD2FB528;

		EXPECT(le32_at(entry) == frame_at[i + 1] - frame_at[i]);
		EXPECT(le32_at(entry + 4) == (data ? ZSTD_getFrameContentSize(frame, end - frame) : 0));
	}
}

static void expect_refused(const uint8_t *data, size_t size)
{
	struct bc_error error = { "" };

	EXPECT(check_bytes(data, size, &error));
	EXPECT(strstr(error.text, damaged));
	EXPECT(strstr(error.text, "byte"));
}

static void cut_at_frames_is_refused(void)
{
	struct bc_error error;
	unsigned int i;

	for (i = 1; i < frames; i++) {
		expect_refused(whole, frame_at[i]);
		EXPECT(check_pipe(whole, frame_at[i], &error));
		EXPECT(strstr(error.text, "truncated"));
	}
	EXPECT(check_bytes(whole, 0, &error));
}

static void cut_anywhere_is_refused(void)
{
	struct bc_error error;
	unsigned int i;

	for (i = 0; i < 1000; i++) {
		size_t size = random_below(whole_size);

		if (!(i & 7))
			EXPECT(check_pipe(whole, size, &error));
		else
			expect_refused(whole, size);
	}
	for (i = 1; i < 20; i++)
		expect_refused(whole, whole_size - i);
}

static void something_behind_the_end_is_refused(void)
{
	uint8_t *data = malloc(2 * whole_size);
	struct bc_error error;

	MUST(data);
	memcpy(data, whole, whole_size);
	memcpy(data + whole_size, whole, whole_size);
	EXPECT(check_pipe(data, whole_size + 1, &error));
	EXPECT(check_bytes(data, whole_size + 1, &error));
	EXPECT(check_bytes(data, 2 * whole_size, &error));
	free(data);
}

static void flipped_bit_is_refused(void)
{
	unsigned int i, accepted = 0;
	struct bc_error error;
	uint8_t *data = malloc(whole_size);

	MUST(data);
	memcpy(data, whole, whole_size);
	for (i = 0; i < FLIPS; i++) {
		uint64_t bit = random_below(whole_size * 8);

		data[bit / 8] ^= 1 << bit % 8;
		if (!(i & 63 ? check_bytes(data, whole_size, &error) :
			       check_pipe(data, whole_size, &error))) {
			EXPECT(unpacks_to_image(data, whole_size));
			accepted++;
		} else {
			EXPECT(strstr(error.text, "byte "));
		}
		data[bit / 8] ^= 1 << bit % 8;
	}
	ksft_print_msg("of %d flips %u changed nothing\n", FLIPS, accepted);
	EXPECT(accepted < FLIPS / 80);
	free(data);
}

/* ---- restored ---- */

static int restore_to(struct target *target, struct reader *reader, struct bc_error *error)
{
	struct progress progress = { 0 };
	const struct extract_plan plan = {
		.reader = reader, .target = target, .threads = 1, .progress = &progress,
	};
	int err = target_open(target, target_path, reader, TARGET_FORCE, error);

	if (!err)
		err = target_begin(target, reader, error);
	if (!err)
		err = extract_chunks(&plan, error);
	return err ? err : target_finish(target, reader, false, error);
}

static int restore_file(const char *name, struct bc_error *error)
{
	struct target target = { .fd = -1, .raw.fd = -1 };
	struct reader reader;
	int err = reader_open(&reader, name, error);

	if (err)
		return err;
	err = restore_to(&target, &reader, error);
	target_close(&target);
	reader_close(&reader);
	return err;
}

static bool target_holds(const uint8_t *data, size_t size)
{
	size_t found;
	uint8_t *now = read_file(target_path, &found);
	bool same = found == size && !memcmp(now, data, size);

	free(now);
	return same;
}

/* The whole, or what was there before, or nothing that is taken for either. */
static int expect_restore(const uint8_t *data, size_t size)
{
	static const char mark[] = "blkcast: a restore to this place was interrupted";
	struct bc_error error = { "" };
	char begin[sizeof(mark) - 1];
	int err;

	MUST(!ftruncate(target_fd, 0) && !bc_pwrite_full(target_fd, old, sizeof(old), 0));
	MUST(!ftruncate(damaged_fd, 0) && !bc_pwrite_full(damaged_fd, data, size, 0));
	err = restore_file(damaged, &error);
	if (!err) {
		EXPECT(target_holds(image, sizeof(image)));
		return 0;
	}
	EXPECT(strstr(error.text, "byte"));
	EXPECT(target_holds(old, sizeof(old)) ||
	       (!bc_pread_full(target_fd, begin, sizeof(begin), 0) &&
		!memcmp(begin, mark, sizeof(begin))));
	return err;
}

static void damaged_is_not_restored(void)
{
	unsigned int flips = getenv("ROUNDS") ? atoi(getenv("ROUNDS")) : 200, i, changed = 0;

	fill(old, sizeof(old), 4711);
	EXPECT(!expect_restore(whole, whole_size));
	for (i = 1; i < frames; i++)
		EXPECT(expect_restore(whole, frame_at[i]));
	for (i = 0; i < flips / 10; i++)
		EXPECT(expect_restore(whole, random_below(whole_size)));
	for (i = 0; i < flips; i++) {
		uint64_t bit = random_below(whole_size * 8);

		whole[bit / 8] ^= 1 << bit % 8;
		changed += expect_restore(whole, whole_size) != 0;
		whole[bit / 8] ^= 1 << bit % 8;
	}
	ksft_print_msg("%u frames, %u cuts, %u flips restored: %u flips refused\n", frames - 1,
		       flips / 10, flips, changed);
	EXPECT(changed > flips - flips / 20);
}

/* ---- made to lie ---- */

/* Overwrite @size bytes of a metadata frame's payload and seal it again. */
static void frame_lie(uint8_t *data, size_t frame, size_t size, uint64_t value)
{
	uint32_t total = le32_at(data + frame + 4) + 8;
	struct snap_head *head = malloc(total);
	uint32_t length;

	MUST(head);
	memcpy(head, data + frame, total);
	length = le32toh(head->length);
	memcpy((uint8_t *)(head + 1) + random_below(length / size) * size, &value, size);
	snap_head_seal(head, le16toh(head->type), length, frame);
	memcpy(data + frame, head, total);
	free(head);
}

/* Whatever metadata say, under a right checksum: refused, or true. */
static void lies_do_no_harm(void)
{
	static const uint64_t values[] = { 0, 1, 2, 0x7f, 0xff, 0xffff, 1 << 20, 1u << 31,
					   ~0u, ~0ull, 1ull << 40, ~0ull >> 1 };
	uint8_t *data = malloc(whole_size);
	unsigned int i;

	MUST(data);
	for (i = 0; i < 700; i++) {
		struct bc_error error;
		size_t frame;

		memcpy(data, whole, whole_size);
		do {
			frame = frame_at[random_below(frames - 1)];
		} while (le32_at(data + frame) != SNAP_SKIP_MAGIC);
		frame_lie(data, frame, 1 << random_below(4),
			  values[random_below(BC_ARRAY_SIZE(values))]);
		if (!check_bytes(data, whole_size, &error))
			EXPECT(unpacks_to_image(data, whole_size));
	}
	free(data);
}

static void missing_frame_is_refused(void)
{
	uint8_t *data = malloc(whole_size);
	unsigned int i;

	MUST(data);
	for (i = 0; i < frames; i++) {
		size_t size = frame_at[i + 1] - frame_at[i];
		struct bc_error error;

		memcpy(data, whole, frame_at[i]);
		memcpy(data + frame_at[i], whole + frame_at[i + 1], whole_size - frame_at[i + 1]);
		EXPECT(check_bytes(data, whole_size - size, &error));
	}
	free(data);
}

int main(void)
{
	MUST(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/whole", folder);
	damaged_fd = memory_file("", 0);
	snprintf(damaged, sizeof(damaged), "/dev/fd/%d", damaged_fd);
	target_fd = memory_file("", 0);
	snprintf(target_path, sizeof(target_path), "/dev/fd/%d", target_fd);
	signal(SIGPIPE, SIG_IGN);
	make_image();
	make_snapshot();
	ksft_print_header();
	ksft_set_plan(9);
	REPORT(undamaged_is_accepted);
	REPORT(seek_table_is_true);
	REPORT(cut_at_frames_is_refused);
	REPORT(cut_anywhere_is_refused);
	REPORT(something_behind_the_end_is_refused);
	REPORT(flipped_bit_is_refused);
	REPORT(damaged_is_not_restored);
	REPORT(lies_do_no_harm);
	REPORT(missing_frame_is_refused);
	unlink(path);
	close(damaged_fd);
	rmdir(folder);
	free(whole);
	ksft_finished();
}
