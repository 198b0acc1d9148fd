// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * view_rounds [-l] [-s FOLDER] WRITTEN VIEWED ROUNDS SEED STORE: views taken at random
 * moments while many write, each compared with a model kept here.
 *
 * Streams write, each one write after the other, each to sectors of its own, and
 * number their writes; every sector says which write it is of.  So what a view
 * shows of a stream must be what its first k writes leave, for some k from those
 * acknowledged before the view was asked for to those issued when it was there.
 * And it is one moment for all streams: no write that was acknowledged before
 * another one began may be missing where that one is there.
 *
 * WRITTEN is the volume written to, VIEWED the one whose views are taken: the same,
 * or a replica of it.  -l: a replica that may trail, and that is made equal by copies
 * of regions when it does too far: it refuses views meanwhile, and those that it has
 * must not change.
 *
 * -s: of each view a snapshot is made in FOLDER, every eleventh full, the others deltas to
 * the one before; the chain is restored to a file there, on what the last one left every
 * other time, which must then hold what the view showed.
 *
 * Sectors of the first MiB belong to four streams in turn: single sectors of one
 * block.  Two more have areas of their own, and write up to 64 KiB, or zeros; the
 * last one's grows, so that regions are written to for the first time.
 *
 * No write here is several writes to the volume: none crosses a region, and no discard
 * begins off a block and goes beyond it (the block layer would cut it there).
 *
 * Views keep their content in memory, in a file, and on the device STORE in turn.
 * Two older ones stay and are read again before they go: they must not change.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "kernel.h"
#include "util.h"

#define SECTOR		512
#define WORDS		(SECTOR / 8)
#define MIB		(1048576 / SECTOR)
#define STREAMS		6
#define SHARED		4		/* streams that share blocks */
#define SECTORS_MAX	128
#define REGION		128		/* sectors */
#define BLOCK		8		/* that discards are cut at */
#define LOG		(1U << 15)	/* writes of a stream not yet looked at */
#define ALIVE		3		/* views at a time */
#define FOREIGN		UINT64_MAX
#define STORE		(8ULL << 20)
#define CHAIN		10		/* deltas to a full snapshot */
#define RESYNC_MS	120000		/* at most */
#define GOLDEN		0x9e3779b97f4a7c15ULL

struct write {
	uint64_t sector;
	uint32_t sectors;
	bool zeroes;
	uint64_t issued;	/* ticks */
	_Atomic uint64_t acked;
};

/* @log: write k is at k % LOG; @model: of its writes up to @looked, by sector */
struct stream {
	unsigned int number;
	uint64_t random, first, sectors;
	_Atomic uint64_t issued, acked, looked;
	struct write *log;
};

struct view {
	char name[16];
	uint64_t *content;
	int fd;
};

static struct stream streams[STREAMS];
static _Atomic uint64_t tick = 1;
static atomic_bool stop, paused;
static uint64_t *model;		/* number of the write that each sector is of */
static uint64_t device_sectors;
static int device;
static struct bc_kernel *kernel;
static uint32_t store_dev;
static bool trails;
static const char *folder;	/* of snapshots; NULL: there are none */
static unsigned int refused;	/* views of a copy under resync */

__attribute__((format(printf, 1, 2), noreturn))
static void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputs("\n", stderr);
	exit(1);
}

static uint64_t draw(uint64_t *state, uint64_t below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state % below;
}

static void nap_ms(unsigned int ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000,
				      .tv_nsec = ms % 1000 * 1000000L }, NULL);
}

/* ---- what a sector holds ---- */

static uint64_t sector_id(unsigned int stream, uint64_t number)
{
	return (uint64_t)(stream + 1) << 48 | number;
}

static void sector_fill(uint64_t *to, uint64_t id, uint64_t sector)
{
	to[0] = id;
	for (int i = 1; i < WORDS; i++)
		to[i] = (id + sector * 131 + i) * GOLDEN;
}

/* Its id, 0 for zeros, FOREIGN for anything else. */
static uint64_t sector_read(const uint64_t *from, uint64_t sector)
{
	uint64_t differ = 0, id = from[0];

	for (int i = 1; i < WORDS; i++)
		differ |= id ? from[i] ^ (id + sector * 131 + i) * GOLDEN : from[i];
	return differ ? FOREIGN : id;
}

/* ---- writing ---- */

/* Zeros are written, or discarded. */
static bool discards(const struct write *w, uint64_t number)
{
	return w->zeroes && !(number & 1);
}

static void keep_within(struct write *w, uint64_t boundary)
{
	uint64_t room = boundary - w->sector % boundary;

	if (w->sectors > room)
		w->sectors = room;
}

static void choose(struct stream *s, struct write *w, uint64_t number)
{
	uint64_t room = s->sectors;

	memset(w, 0, sizeof(*w));
	w->sectors = 1;
	if (s->number < SHARED) {
		w->sector = draw(&s->random, room / SHARED) * SHARED + s->number;
		return;
	}
	if (s->number == STREAMS - 1 && SECTORS_MAX + number * 8 < room)
		room = SECTORS_MAX + number * 8;
	w->sectors = 1 + draw(&s->random, SECTORS_MAX >> draw(&s->random, 8));
	w->sector = s->first + draw(&s->random, room - w->sectors);
	w->zeroes = !draw(&s->random, 6);
	keep_within(w, REGION);
	if (discards(w, number) && w->sector % BLOCK)
		keep_within(w, BLOCK);
}

static int perform(const struct stream *s, const struct write *w, uint64_t number,
		   char *buffer)
{
	uint64_t range[2] = { w->sector * SECTOR, (uint64_t)w->sectors * SECTOR };

	if (w->zeroes)
		return ioctl(device, discards(w, number) ? BLKDISCARD : BLKZEROOUT, range);
	for (uint32_t i = 0; i < w->sectors; i++)
		sector_fill((uint64_t *)(buffer + i * SECTOR), sector_id(s->number, number),
			    w->sector + i);
	return bc_pwrite_full(device, buffer, range[1], range[0]);
}

static void *stream_run(void *arg)
{
	struct stream *s = arg;
	char *buffer = aligned_alloc(4096, SECTORS_MAX * SECTOR);

	for (uint64_t number = s->issued + 1; !stop; number++) {
		struct write *w = &s->log[number % LOG];

		while ((paused || number - s->looked >= LOG) && !stop)
			nap_ms(1);
		choose(s, w, number);
		w->issued = tick++;
		s->issued = number;
		if (perform(s, w, number, buffer))
			die("stream %u: write %" PRIu64 " failed: %m", s->number, number);
		w->acked = tick++;
		s->acked = number;
	}
	free(buffer);
	return NULL;
}

/* ---- looking ---- */

/* All of a view, in pieces of several sizes, the last one first in each MiB. */
static void view_read(const struct view *view, uint64_t *content, uint64_t *random)
{
	static uint64_t buffer[MIB * WORDS] __attribute__((aligned(4096)));

	for (uint64_t at = 0; at < device_sectors; at += MIB) {
		uint64_t n = device_sectors - at < MIB ? device_sectors - at : MIB, end = n;

		while (end) {
			uint64_t piece = draw(random, 8) ? 1 + draw(random, 512) : 1;

			piece = piece < end ? piece : end;
			end -= piece;
			if (bc_pread_full(view->fd, &buffer[end * WORDS], piece * SECTOR,
					  (at + end) * SECTOR))
				die("view %s: cannot be read at sector %" PRIu64, view->name,
				    at + end);
		}
		for (uint64_t i = 0; i < n; i++)
			content[at + i] = sector_read(&buffer[i * WORDS], at + i);
	}
}

static bool owns(const struct stream *s, uint64_t sector)
{
	return sector >= s->first && sector < s->first + s->sectors &&
	       (s->number >= SHARED || sector % SHARED == s->number);
}

/* Let the model take a write; how many sectors more differ from @content. */
static int64_t model_apply(struct stream *s, uint64_t number, const uint64_t *content)
{
	const struct write *w = &s->log[number % LOG];
	int64_t more = 0;

	for (uint64_t i = w->sector; i < w->sector + w->sectors; i++) {
		more -= content[i] != model[i];
		model[i] = w->zeroes ? 0 : sector_id(s->number, number);
		more += content[i] != model[i];
	}
	return more;
}

static void show_differences(const struct stream *s, const uint64_t *content)
{
	int shown = 0;

	for (uint64_t i = 0; i < device_sectors && shown < 10; i++) {
		if (!owns(s, i) || content[i] == model[i])
			continue;
		fprintf(stderr, "  sector %" PRIu64 ": %#" PRIx64 ", not %#" PRIx64 "\n", i,
			content[i], model[i]);
		shown++;
	}
}

/*
 * The first and the last k between @low and @high of which @content is.  The model
 * stays at the first.
 */
static uint64_t stream_find(struct stream *s, const uint64_t *content, uint64_t low,
			    uint64_t high, uint64_t *last)
{
	int64_t differ = 0;
	uint64_t k = s->looked, first;

	for (uint64_t i = 0; i < device_sectors; i++)
		differ += owns(s, i) && content[i] != model[i];
	while (k < high && (k < low || differ))
		differ += model_apply(s, ++k, content);
	if (differ) {
		fprintf(stderr, "stream %u: not what writes 1..k leave, k from %" PRIu64 " to %"
			PRIu64 "\n", s->number, low, high);
		show_differences(s, content);
		exit(1);
	}
	first = k;
	s->looked = first;
	/* Zeros over zeros change nothing. */
	while (k < high) {
		const struct write *w = &s->log[(k + 1) % LOG];
		bool same = w->zeroes;

		for (uint64_t i = w->sector; same && i < w->sector + w->sectors; i++)
			same = !model[i];
		if (!same)
			break;
		k++;
	}
	*last = k;
	return first;
}

/* What is there began before anything that is not was done. */
static void cut_check(const uint64_t *first, const uint64_t *last)
{
	uint64_t newest = 0, missing = UINT64_MAX;

	for (int i = 0; i < STREAMS; i++) {
		struct stream *s = &streams[i];
		struct write *w = &s->log[(last[i] + 1) % LOG];

		if (first[i] && s->log[first[i] % LOG].issued > newest)
			newest = s->log[first[i] % LOG].issued;
		if (s->issued > last[i] && w->acked && w->acked < missing)
			missing = w->acked;
	}
	if (newest > missing)
		die("not one moment: a write done at %" PRIu64 " is missing, one begun at %"
		    PRIu64 " is there", missing, newest);
}

static void view_check(const uint64_t *content, const uint64_t *low, const uint64_t *high)
{
	uint64_t first[STREAMS], last[STREAMS];

	for (int i = 0; i < STREAMS; i++)
		first[i] = stream_find(&streams[i], content, low[i], high[i], &last[i]);
	cut_check(first, last);
	for (uint64_t i = 0; i < device_sectors; i++) {
		if (content[i] == FOREIGN)
			die("sector %" PRIu64 " holds what nobody wrote", i);
	}
}

/* ---- snapshots ---- */

__attribute__((format(printf, 1, 2)))
static void run(const char *fmt, ...)
{
	char command[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	if (system(command))
		die("failed: %s", command);
}

/* The image in FOLDER/out holds what the view showed. */
static void image_check(const struct view *view)
{
	uint64_t sector[WORDS], i;
	char path[128];
	FILE *image;

	snprintf(path, sizeof(path), "%s/out", folder);
	image = fopen(path, "r");
	if (!image)
		die("%s: %m", path);
	for (i = 0; i < device_sectors; i++) {
		if (fread(sector, SECTOR, 1, image) != 1)
			die("%s ends at sector %" PRIu64, path, i);
		if (sector_read(sector, i) != view->content[i])
			die("sector %" PRIu64 " of a restored snapshot of %s is of %#" PRIx64
			    ", not %#" PRIx64, i, view->name, sector_read(sector, i),
			    view->content[i]);
	}
	if (fgetc(image) != EOF)
		die("%s is longer than the volume", path);
	fclose(image);
}

static void snapshot_check(const struct view *view, const char *volume, unsigned int round)
{
	unsigned int depth = round % (CHAIN + 1), i;
	char since[160] = "", chain[1024] = "";

	if (depth)
		snprintf(since, sizeof(since), "--since %s/s%u", folder, depth - 1);
	run("blkcast snapshot %s@%s %s/s%u --force --quiet --level 1 %s", volume, view->name,
	    folder, depth, since);
	/* The volume has no part in what follows. */
	paused = true;
	for (i = 0; i <= depth; i++)
		sprintf(chain + strlen(chain), " %s/s%u", folder, i);
	run("blkcast restore --force --quiet %s %s %s/out", round & 1 ? "--update" : "--verify",
	    chain, folder);
	image_check(view);
	paused = false;
}

/* ---- views ---- */

static int store_file(void)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, STORE))
		die("cannot make a file for a store: %m");
	return fd;
}

static void view_make(const struct bc_view_create *create, struct bc_view *made)
{
	struct bc_error error;
	int ret = bc_kernel_view_create(kernel, create, made, &error);

	refused += ret == -EUCLEAN && trails;
	for (unsigned int ms = 0; ret == -EUCLEAN && trails && ms < RESYNC_MS; ms += 10) {
		nap_ms(10);
		ret = bc_kernel_view_create(kernel, create, made, &error);
	}
	if (ret)
		die("%s", error.text);
}

static void view_take(struct view *view, const char *volume, unsigned int round)
{
	struct bc_view_create create = { .name = volume, .view = view->name,
					 .store_bytes = STORE, .store_fd = -1 };
	struct bc_view made;
	char path[32];

	snprintf(view->name, sizeof(view->name), "r%u", round);
	if (round % ALIVE == 1)
		create.store_fd = store_file();
	else if (round % ALIVE == 2)
		create.store_dev = store_dev;
	view_make(&create, &made);
	if (create.store_fd >= 0)
		close(create.store_fd);
	snprintf(path, sizeof(path), "/dev/blkcast%u", made.minor);
	view->fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (view->fd < 0)
		die("%s: %m", path);
}

static void view_drop(struct view *view, const char *volume, uint64_t *random)
{
	uint64_t *again = calloc(device_sectors, sizeof(*again));
	struct bc_error error;

	view_read(view, again, random);
	if (memcmp(again, view->content, device_sectors * sizeof(*again)))
		die("view %s has changed since it was first read", view->name);
	free(again);
	free(view->content);
	close(view->fd);
	if (bc_kernel_view_remove(kernel, volume, view->name, &error))
		die("%s", error.text);
	view->content = NULL;
}

static void rounds(const char *volume, unsigned int count, uint64_t random)
{
	struct view alive[ALIVE] = { 0 };
	uint64_t low[STREAMS], high[STREAMS];

	for (unsigned int round = 0; round < count; round++) {
		struct view *view = &alive[round % ALIVE];

		if (view->content)
			view_drop(view, volume, &random);
		view->content = calloc(device_sectors, sizeof(*view->content));
		nap_ms(draw(&random, 50));
		for (int i = 0; i < STREAMS; i++)
			low[i] = trails || streams[i].acked < streams[i].looked ?
				 streams[i].looked : streams[i].acked;
		view_take(view, volume, round);
		for (int i = 0; i < STREAMS; i++)
			high[i] = streams[i].issued;
		view_read(view, view->content, &random);
		view_check(view->content, low, high);
		if (folder)
			snapshot_check(view, volume, round);
	}
	for (int i = 0; i < ALIVE; i++) {
		if (alive[i].content)
			view_drop(&alive[i], volume, &random);
	}
}

static void open_all(const char *written, const char *store)
{
	struct bc_error error;
	struct stat status;
	char path[128];

	if (stat(store, &status))
		die("%s: %m", store);
	store_dev = BLKCAST_DEV(major(status.st_rdev), minor(status.st_rdev));
	if (bc_kernel_open(&kernel, &error))
		die("%s", error.text);
	snprintf(path, sizeof(path), "/dev/blkcast/%s", written);
	device = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (device < 0 || ioctl(device, BLKGETSIZE64, &device_sectors))
		die("%s: %m", path);
	device_sectors /= SECTOR;
	model = calloc(device_sectors, sizeof(*model));
}

/* Go on from what is there. */
static void model_begin(uint64_t *random)
{
	struct view all = { .name = "start", .fd = device };

	view_read(&all, model, random);
	for (uint64_t i = 0; i < device_sectors; i++) {
		uint64_t stream = (model[i] >> 48) - 1, number = model[i] & 0xffffffffffff;

		if (model[i] == FOREIGN)
			die("sector %" PRIu64 " is of something else", i);
		if (model[i] && streams[stream].issued < number)
			streams[stream].issued = number;
	}
	for (int i = 0; i < STREAMS; i++) {
		streams[i].acked = streams[i].issued;
		streams[i].looked = streams[i].issued;
	}
}

static void layout(uint64_t seed)
{
	for (unsigned int i = 0; i < STREAMS; i++) {
		struct stream *s = &streams[i];

		s->number = i;
		s->random = seed * GOLDEN + i + 1;
		s->log = calloc(LOG, sizeof(*s->log));
		s->sectors = MIB;
		if (i < SHARED)
			continue;
		s->sectors = (device_sectors - MIB) / (STREAMS - SHARED);
		s->first = MIB + (i - SHARED) * s->sectors;
	}
}

int main(int argc, char **argv)
{
	pthread_t threads[STREAMS];
	uint64_t total = 0, seed;
	int option;

	while ((option = getopt(argc, argv, "ls:")) != -1) {
		if (option != 'l' && (option != 's' || strlen(optarg) > 64))
			return 2;
		if (option == 's')
			folder = optarg;
		else
			trails = true;
	}
	if (argc - optind != 5)
		return 2;
	argv += optind - 1;
	seed = strtoull(argv[4], NULL, 10) + 1;
	open_all(argv[1], argv[5]);
	layout(seed);
	model_begin(&seed);
	for (int i = 0; i < STREAMS; i++) {
		if (pthread_create(&threads[i], NULL, stream_run, &streams[i]))
			die("no thread");
	}
	rounds(argv[2], strtoul(argv[3], NULL, 10), seed * GOLDEN);
	stop = true;
	for (int i = 0; i < STREAMS; i++) {
		pthread_join(threads[i], NULL);
		total += streams[i].acked;
	}
	printf("%s rounds, %" PRIu64 " writes, %u times refused under resync\n", argv[3],
	       total, refused);
	return 0;
}
