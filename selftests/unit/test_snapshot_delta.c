// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Deltas: of a volume that is written to, discarded from and read under writes,
 * chained ten deep, restored by the real program to any of the states; what does
 * not fit together is refused before the target changes; a damaged one is refused.
 *
 * ROUNDS is how many states of chains are restored, at least (44).
 */
/* links: tools/snapshot/create.c tools/snapshot/stamps.c tools/snapshot/writer.c */
/* links: tools/snapshot/output.c tools/snapshot/folder.c tools/snapshot/format.c tools/snapshot/seektable.c */
/* links: tools/snapshot/ring.c tools/snapshot/pool.c tools/lib/progress.c */
/* links: tools/snapshot/extract.c tools/snapshot/reader.c tools/snapshot/input.c */
/* links: tools/snapshot/lowwater.c tools/snapshot/have.c tools/snapshot/head.c */
/* links: tools/lib/util.c tools/lib/error.c tools/lib/crc32c.c */
/* libs: libzstd liburing uuid */
/* flags: -lxxhash -pthread -Wno-format-truncation */
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "test_volume.h"

#define DEPTH	10
#define FLIPS	1500

static char folder[] = "/tmp/test_snapshot.XXXXXX", blkcast[PATH_MAX];

static const char *name(const char *what, unsigned int i)
{
	static char names[8][128];
	static unsigned int at;
	char *text = names[at++ % BC_ARRAY_SIZE(names)];

	snprintf(text, sizeof(names[0]), "%s/%s%u", folder, what, i);
	return text;
}

/* Run blkcast with words; its messages go to folder/words. */
static int run(const char *words)
{
	char command[PATH_MAX + 2048];

	snprintf(command, sizeof(command), "cd %s && %s %s > words 2>&1", folder, blkcast, words);
	return system(command);
}

static uint8_t *read_file(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	uint8_t *data;

	if (fd < 0)
		return NULL;
	MUST(!fstat(fd, &st));
	data = malloc(st.st_size + 1);
	MUST(data && !bc_pread_full(fd, data, st.st_size, 0));
	close(fd);
	*size = st.st_size;
	return data;
}

/* What it said; to be freed. */
static char *said(void)
{
	char path[sizeof(folder) + 8];
	size_t size;
	char *words;

	snprintf(path, sizeof(path), "%s/words", folder);
	words = (char *)read_file(path, &size);
	MUST(words);
	words[size] = 0;
	return words;
}

static bool words_say(const char *text)
{
	char *words = said();
	bool found = strstr(words, text);

	if (!found)
		ksft_print_msg("said: %s\n", words);
	free(words);
	return found;
}

/* What readers see: zeros where nothing was ever written. */
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

static bool restored_is(const uint8_t *image, uint64_t bytes)
{
	size_t size = 0;
	uint8_t *data = read_file(name("out", 0), &size);
	bool same = data && size == bytes && !memcmp(data, image, size);

	free(data);
	return same;
}

/* Write, and discard whole regions, here and there. */
static void change(struct volume *volume)
{
	unsigned int i;

	for (i = random_below(12); i; i--)
		region_write(volume, random_below(volume->regions));
	for (i = random_below(4); i; i--)
		volume->stamp[random_below(volume->regions)] = BLKCAST_LSN_NEVER;
}

static void snapshot_to(struct volume *volume, const struct have *have, const char *path)
{
	struct stamps stamps = { .ask = volume_ask, .arg = volume };
	struct bc_error error;

	MUST(!stamps_init(&stamps, volume->bytes, volume->shift, &error));
	MUST(!take_delta(volume->fd, volume->bytes, &stamps, have, path, &error));
	stamps_release(&stamps);
}

static void delta_to(struct volume *volume, const char *parent, const char *path)
{
	struct have have;
	struct bc_error error;

	MUST(!have_read(&have, parent, &error));
	snapshot_to(volume, &have, path);
	have_release(&have);
}

/* "s0 s1 .. sN" */
static const char *chain(unsigned int depth)
{
	static char words[DEPTH * 8];
	unsigned int i;

	words[0] = 0;
	for (i = 0; i <= depth; i++)
		sprintf(words + strlen(words), "s%u ", i);
	return words;
}

static int restore_chain(unsigned int depth, const char *options)
{
	char words[256];

	snprintf(words, sizeof(words), "restore %s %s ./out0", options, chain(depth));
	return run(words);
}

/* A volume and ten deltas; every state is restored. */
static void chain_of(uint64_t bytes, uint32_t shift)
{
	uint8_t *image[DEPTH + 1];
	struct volume volume;
	unsigned int i;

	volume_make(&volume, bytes, shift);
	for (i = 0; i <= DEPTH; i++) {
		if (i) {
			change(&volume);
			delta_to(&volume, name("s", i - 1), name("s", i));
		} else {
			snapshot_to(&volume, NULL, name("s", 0));
		}
		image[i] = visible(&volume);
	}
	for (i = 0; i <= DEPTH; i++) {
		EXPECT(!restore_chain(i, "--force --verify"));
		EXPECT(restored_is(image[i], volume.bytes));
	}
	for (i = 0; i <= DEPTH; i++)
		free(image[i]);
	close(volume.fd);
}

static void chains_restore_every_state(void)
{
	static const uint32_t shifts[] = { 16, 18, 20, 22 };
	unsigned int states = getenv("ROUNDS") ? atoi(getenv("ROUNDS")) : 44, i;

	for (i = 0; i * (DEPTH + 1) < states; i++)
		chain_of((9 << 20) + random_below(512) * 512, shifts[i % BC_ARRAY_SIZE(shifts)]);
	ksft_print_msg("%u states restored\n", i * (DEPTH + 1));
}

/* What did not change is not in the file. */
static void delta_holds_what_changed(void)
{
	struct volume volume;
	struct bc_error error;
	struct reader reader;
	unsigned int r, held = 0;

	volume_make(&volume, 16 << 20, 16);
	snapshot_to(&volume, NULL, name("s", 0));
	region_write(&volume, 3);
	region_write(&volume, 77);
	region_write(&volume, 78);
	delta_to(&volume, name("s", 0), name("s", 1));
	MUST(!reader_open(&reader, name("s", 1), &error));
	for (r = 0; r < volume.regions; r++)
		held += snap_held(reader.holds, r);
	EXPECT(held == 3);
	EXPECT(snap_held(reader.holds, 3) && snap_held(reader.holds, 77) &&
	       snap_held(reader.holds, 78));
	EXPECT(reader_covers(&reader) == 3 << 16);
	reader_close(&reader);
	delta_to(&volume, name("s", 1), name("s", 2));
	EXPECT(!run("diff s0 s2 --json") && words_say("\"differ\":196608"));
	EXPECT(words_say("\"offset\":5046272"));
	EXPECT(!run("diff s1 s2 --json") && words_say("\"differ\":0"));
	EXPECT(!restore_chain(2, "--force"));
	close(volume.fd);
}

/* Each region not in doubt is what its stamp says. */
static unsigned int count_doubt(const struct volume *volume, const char *path)
{
	uint8_t *want = malloc(1U << volume->shift), *got;
	struct bc_error error;
	unsigned int doubt = 0;
	struct have have;
	size_t size = 0;
	uint32_t r;

	MUST(want && !have_read(&have, path, &error));
	got = read_file(name("out", 0), &size);
	EXPECT(got && size == volume->bytes);
	for (r = 0; got && r < volume->regions; r++) {
		if (have.stamp[r] == BLKCAST_LSN_DOUBT) {
			doubt++;
			continue;
		}
		region_content(volume, r, have.stamp[r], want);
		EXPECT(!memcmp(got + ((uint64_t)r << volume->shift), want,
			       region_bytes(volume, r)));
	}
	have_release(&have);
	free(want);
	free(got);
	return doubt;
}

static void busy_volume_has_true_stamps(void)
{
	unsigned int i, depth, doubt = 0;

	for (i = 0; i < 4; i++) {
		struct volume volume;

		volume_make(&volume, (6 << 20) + 4096, i & 1 ? 16 : 21);
		volume.write_rate = 4 + random_below(30);
		volume.busy_rate = random_below(8);
		snapshot_to(&volume, NULL, name("s", 0));
		for (depth = 1; depth < 4; depth++)
			delta_to(&volume, name("s", depth - 1), name("s", depth));
		EXPECT(!restore_chain(3, "--force"));
		doubt += count_doubt(&volume, name("s", 3));
		close(volume.fd);
	}
	EXPECT(doubt > 0);
}

/*
 * A view of @volume: the volume as it @was; what is behind the end of its file cannot be
 * read.  Then it is broken, and the volume itself is read and asked for its stamps.
 */
struct frail_view {
	struct volume was, *volume;
	bool broken;
};

static int view_ask(void *arg, uint32_t first, uint32_t count, uint64_t *stamps,
		    struct bc_error *error)
{
	struct frail_view *view = arg;

	return volume_ask(view->broken ? view->volume : &view->was, first, count, stamps, error);
}

static int view_break(void *arg)
{
	struct frail_view *view = arg;

	view->broken = true;
	return view->volume->fd;
}

static void view_make(struct frail_view *view, struct volume *volume, uint64_t readable)
{
	uint8_t *data = malloc(volume->bytes);

	MUST(data && !bc_pread_full(volume->fd, data, volume->bytes, 0));
	*view = (struct frail_view) { .was = *volume, .volume = volume };
	view->was.fd = memory_file(data, readable);
	free(data);
}

static int view_delta(struct frail_view *view, bool elsewhere, struct bc_error *error)
{
	struct stamps stamps = { .ask = view_ask, .arg = view };
	struct have have;
	int err;

	MUST(!have_read(&have, name("s", 0), error));
	MUST(!stamps_init(&stamps, view->was.bytes, view->was.shift, error));
	test_fall_back = elsewhere ? view_break : NULL;
	test_fall_back_arg = view;
	err = take_delta(view->was.fd, view->was.bytes, &stamps, &have, name("s", 1), error);
	test_fall_back = NULL;
	stamps_release(&stamps);
	have_release(&have);
	return err;
}

/* What is not in doubt is as it was; only what has changed since is in doubt. */
static unsigned int view_doubt(const struct frail_view *view)
{
	struct bc_error error;
	unsigned int doubt = 0;
	struct have have;
	uint32_t r;

	EXPECT(!restore_chain(1, "--force"));
	MUST(!have_read(&have, name("s", 1), &error));
	for (r = 0; r < have.regions; r++) {
		if (have.stamp[r] == BLKCAST_LSN_DOUBT) {
			EXPECT(view->volume->stamp[r] != view->was.stamp[r]);
			doubt++;
		} else {
			EXPECT(have.stamp[r] == view->was.stamp[r]);
		}
	}
	have_release(&have);
	EXPECT(count_doubt(&view->was, name("s", 1)) == doubt);
	return doubt;
}

static void broken_view_is_gone_on_without(void)
{
	unsigned int i, doubt = 0, broken = 0;

	for (i = 0; i < 16; i++) {
		struct volume volume;
		struct frail_view view;
		struct bc_error error;
		uint32_t r;

		volume_make(&volume, (6 << 20) + 4096, i & 1 ? 16 : 18);
		snapshot_to(&volume, NULL, name("s", 0));
		for (r = 0; r < volume.regions; r += 1 + random_below(3))
			region_write(&volume, r);
		region_write(&volume, volume.regions - 1);
		view_make(&view, &volume, random_below(1536) * 4096);
		EXPECT(view_delta(&view, false, &error) && strstr(error.text, "cannot read at"));
		if (i >= 4) {
			for (r = 0; r < 4; r++)
				region_write(&volume, random_below(volume.regions));
			volume.write_rate = random_below(20);
		}
		EXPECT(!view_delta(&view, true, &error));
		broken += view.broken;
		r = view_doubt(&view);
		EXPECT(i >= 4 || !r);
		doubt += r;
		close(view.was.fd);
		close(volume.fd);
	}
	ksft_print_msg("%u views broke, %u regions were lost to doubt\n", broken, doubt);
	EXPECT(broken == 16 && doubt > 0);
}

static void what_does_not_fit_is_refused(void)
{
	struct volume volume;

	unlink(name("out", 0));
	volume_make(&volume, 4 << 20, 16);
	snapshot_to(&volume, NULL, name("s", 0));
	change(&volume);
	region_write(&volume, 1);
	delta_to(&volume, name("s", 0), name("s", 1));
	region_write(&volume, 2);
	delta_to(&volume, name("s", 1), name("s", 2));
	snapshot_to(&volume, NULL, name("s", 3));
	EXPECT(run("restore s1 ./out0") && words_say("name the snapshots that it builds on"));
	EXPECT(run("restore s0 s2 ./out0") && words_say("s2 does not build on s0"));
	EXPECT(run("restore s0 s2 s1 ./out0") && words_say("s2 does not build on s0"));
	EXPECT(run("restore s3 s2 ./out0") && words_say("s2 does not build on s3"));
	EXPECT(run("restore s0 s1 s0 ./out0") && words_say("s0 does not build on s1"));
	EXPECT(access(name("out", 0), F_OK));
	EXPECT(!run("restore s0 s1 s2 ./out0"));
	close(volume.fd);
}

/* Held to the volume's other regions, a delta of another state is found out. */
static void other_state_is_refused(void)
{
	struct volume volume;
	struct bc_error error;
	struct reader reader;
	struct have have;

	volume_make(&volume, 4 << 20, 16);
	snapshot_to(&volume, NULL, name("s", 0));
	region_write(&volume, 9);
	delta_to(&volume, name("s", 0), name("s", 1));
	MUST(!reader_open(&reader, name("s", 1), &error));
	MUST(!have_read(&have, name("s", 0), &error));
	EXPECT(!have_fits(&have, &reader, &error));
	have.stamp[9] = 12345;
	EXPECT(!have_fits(&have, &reader, &error));
	have.stamp[20] = 12345;
	EXPECT(have_fits(&have, &reader, &error) && strstr(error.text, "region 20"));
	have.stamp[20] = volume.stamp[20];
	have.history[0].reign = htole64(12);
	EXPECT(have_fits(&have, &reader, &error));
	have_release(&have);
	reader_close(&reader);
	close(volume.fd);
}

static uint64_t written(void)
{
	char *words = said(), *at = strstr(words, "\"written\":");
	uint64_t n = at ? strtoull(at + 10, NULL, 10) : ~0ULL;

	free(words);
	return n;
}

/* Kill it at some moment; true: it was still at work. */
static bool kill_restore(unsigned int us)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		char out[128], snap[128];

		snprintf(out, sizeof(out), "%s/out0", folder);
		snprintf(snap, sizeof(snap), "%s/s0", folder);
		execl(blkcast, blkcast, "restore", "--quiet", "--update", snap, out, NULL);
		_exit(9);
	}
	usleep(us);
	kill(pid, SIGKILL);
	MUST(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status);
}

/* Of one that was killed the kernel may hold the file open for a moment. */
static void wait_unused(int fd)
{
	MUST(!flock(fd, LOCK_EX) && !flock(fd, LOCK_UN));
}

/* Killed at twenty moments, and each time resumed. */
static void killed_restore_is_resumed(void)
{
	unsigned int i, killed = 0;
	struct volume volume;
	uint8_t *image, *other = malloc(24 << 20);
	int fd;

	MUST(other);
	volume_make(&volume, 24 << 20, 16);
	snapshot_to(&volume, NULL, name("s", 0));
	image = visible(&volume);
	fill(other, 24 << 20, 99);
	unlink(name("out", 0));
	fd = open(name("out", 0), O_RDWR | O_CREAT, 0600);
	MUST(fd >= 0 && !bc_pwrite_full(fd, other, 24 << 20, 0));
	for (i = 0; i < 20; i++) {
		killed += kill_restore(random_below(150000));
		wait_unused(fd);
		/* Somebody writes into it. */
		MUST(!bc_pwrite_full(fd, other, 65536, random_below(360) << 16));
	}
	EXPECT(!run("restore --json --update s0 ./out0"));
	EXPECT(restored_is(image, volume.bytes));
	EXPECT(!run("restore --json --update s0 ./out0"));
	EXPECT(written() == 0);
	ksft_print_msg("killed at work %u times of 20\n", killed);
	EXPECT(killed > 0);
	close(fd);
	free(image);
	free(other);
	close(volume.fd);
}

static void damaged_delta_is_refused(void)
{
	struct volume volume;
	struct bc_error error;
	unsigned int i, accepted = 0;
	size_t size;
	uint8_t *whole;
	int fd = memory_file("", 0);
	char damaged[32];

	snprintf(damaged, sizeof(damaged), "/dev/fd/%d", fd);
	volume_make(&volume, 2 << 20, 18);
	snapshot_to(&volume, NULL, name("s", 0));
	region_write(&volume, 2);
	volume.stamp[5] = BLKCAST_LSN_NEVER;
	delta_to(&volume, name("s", 0), name("s", 1));
	whole = read_file(name("s", 1), &size);
	MUST(whole && !check_snapshot(name("s", 1), 1, &error));
	for (i = 0; i < FLIPS; i++) {
		uint64_t bit = random_below(size * 8);

		whole[bit / 8] ^= 1 << bit % 8;
		MUST(!ftruncate(fd, 0) && !bc_pwrite_full(fd, whole, size, 0));
		accepted += !check_snapshot(damaged, 1, &error);
		whole[bit / 8] ^= 1 << bit % 8;
		MUST(!ftruncate(fd, 0) && !bc_pwrite_full(fd, whole, random_below(size), 0));
		EXPECT(check_snapshot(damaged, 1, &error));
	}
	ksft_print_msg("of %d flips %u were accepted\n", FLIPS, accepted);
	/* Bits that a zstd frame does not use. */
	EXPECT(accepted < FLIPS / 80);
	free(whole);
	close(fd);
	close(volume.fd);
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
	ksft_set_plan(8);
	REPORT(delta_holds_what_changed);
	REPORT(chains_restore_every_state);
	REPORT(busy_volume_has_true_stamps);
	REPORT(broken_view_is_gone_on_without);
	REPORT(what_does_not_fit_is_refused);
	REPORT(other_state_is_refused);
	REPORT(killed_restore_is_resumed);
	REPORT(damaged_delta_is_refused);
	snprintf(clean, sizeof(clean), "rm -r %s", folder);
	MUST(!system(clean));
	ksft_finished();
}
