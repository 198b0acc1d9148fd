// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * log_writes_work: keeps a filesystem busy, and says in the logs what is durable.
 *
 *	log_writes_work DIRECTORY SEED FIRST COUNT [DM-DEVICE...]
 *	log_writes_work -c DIRECTORY < MARKS
 *	log_writes_work -r DEVICE SEED MIB COUNT
 *
 * Files come and go, grow, shrink, are overwritten, renamed, punched.  In between
 * COUNT files, numbered from FIRST, are written once, fsynced with their folder,
 * and never touched again; only then each of the dm-log-writes devices gets the
 * mark "file:NAME:BYTES:SEED".  With -c every file so marked must be there, whole.
 * With -r COUNT blocks are written to a device, from MIB on, and never flushed.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/dm-ioctl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDERS		6
#define FILES		24		/* that come and go */
#define STEPS		12		/* of them between two durable files */
#define BYTES_MAX	(96 << 10)

static uint64_t state;

static uint32_t lot(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 16) % below;
}

static void die(const char *what, const char *name)
{
	fprintf(stderr, "log_writes_work: %s %s: %s\n", what, name, strerror(errno));
	exit(1);
}

/* ---- what a durable file holds ---- */

static void content_fill(uint8_t *data, uint32_t bytes, uint64_t seed)
{
	for (uint32_t i = 0; i < bytes; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		data[i] = seed >> 56;
	}
}

/* ---- marks ---- */

static void mark_set(int control, const char *device, const char *text)
{
	struct {
		struct dm_ioctl head;
		struct dm_target_msg message;
		char text[256];
	} request = {
		.head = {
			.version = { DM_VERSION_MAJOR, 0, 0 },
			.data_size = sizeof(request),
			.data_start = sizeof(request.head),
		},
	};

	snprintf(request.head.name, sizeof(request.head.name), "%s", device);
	snprintf(request.message.message, sizeof(request.text), "mark %s", text);
	if (ioctl(control, DM_TARGET_MSG, &request))
		die("mark in the log of", device);
}

/* ---- files that come and go ---- */

static uint8_t buffer[BYTES_MAX];

static char *file_name(char *name, uint32_t file)
{
	sprintf(name, "dir%u/file%u", lot(FOLDERS), file);
	return name;
}

static int file_open(const char *name, int flags)
{
	int fd = open(name, flags | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		die("cannot open", name);
	return fd;
}

static void file_write(const char *name, int flags)
{
	uint32_t bytes = lot(BYTES_MAX) + 1, at = lot(BYTES_MAX);
	int fd = file_open(name, O_RDWR | flags);

	memset(buffer, 'a' + lot(26), bytes);
	if (pwrite(fd, buffer, bytes, at) != (ssize_t)bytes)
		die("cannot write", name);
	if (!lot(3) && fdatasync(fd))
		die("cannot sync", name);
	close(fd);
}

/* In place, past the page cache: the filesystem's log says nothing about it. */
static void file_write_direct(void)
{
	static uint8_t block[4096] __attribute__((aligned(4096)));
	int fd = file_open("direct", O_RDWR | O_DIRECT);

	memset(block, 'A' + lot(26), sizeof(block));
	if (pwrite(fd, block, sizeof(block), lot(64) * sizeof(block)) < 0)
		die("cannot write", "direct");
	close(fd);
}

static void file_punch(const char *name)
{
	int fd = file_open(name, O_RDWR);

	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      lot(BYTES_MAX), lot(BYTES_MAX) + 1))
		die("cannot punch", name);
	close(fd);
}

/* Names by lot: one that is not there is no mistake. */
static void step(void)
{
	char name[64], other[64];

	file_name(name, lot(FILES));
	switch (lot(8)) {
	case 0:
		unlink(name);
		break;
	case 1:
		rename(name, file_name(other, lot(FILES)));
		break;
	case 2:
		truncate(name, lot(BYTES_MAX));
		break;
	case 3:
		file_punch(name);
		break;
	case 4:
		file_write_direct();
		break;
	default:
		file_write(name, lot(2) ? O_TRUNC : 0);
	}
}

/* ---- durable files ---- */

static void durable_write(const char *name, uint32_t bytes, uint64_t seed)
{
	int fd = file_open(name, O_WRONLY | O_EXCL);
	int folder = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	content_fill(buffer, bytes, seed);
	if (write(fd, buffer, bytes) != (ssize_t)bytes || fsync(fd) ||
	    folder < 0 || fsync(folder))
		die("cannot write and sync", name);
	close(folder);
	close(fd);
}

static void work(uint32_t first, uint32_t count, char **devices)
{
	int control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	char name[64], text[160];

	if (control < 0)
		die("cannot open", "/dev/mapper/control");
	for (uint32_t i = first; i < first + count; i++) {
		uint32_t bytes = lot(BYTES_MAX) + 1, seed = lot(1 << 30);

		for (int s = 0; s < STEPS; s++)
			step();
		sprintf(name, "durable%u", i);
		durable_write(name, bytes, seed);
		snprintf(text, sizeof(text), "file:%s:%u:%u", name, bytes, seed);
		for (char **device = devices; *device; device++)
			mark_set(control, *device, text);
	}
	close(control);
}

/* ---- behind the filesystem ---- */

static int raw_write(const char *device, uint64_t from, uint32_t count)
{
	static uint8_t blocks[8 * 4096] __attribute__((aligned(4096)));
	int fd = open(device, O_WRONLY | O_DIRECT | O_CLOEXEC);
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	uint32_t room = (end - (off_t)from) / 4096;

	if (end < (off_t)(from + sizeof(blocks)))
		die("cannot write to the end of", device);
	while (count--) {
		uint64_t at = from + 4096ULL * lot(room - 8);
		size_t bytes = 4096 * (1 + lot(8));

		for (size_t i = 0; i < bytes; i += 4096)
			memset(blocks + i, lot(255) + 1, 4096);
		if (pwrite(fd, blocks, bytes, at) != (ssize_t)bytes)
			die("cannot write to", device);
	}
	close(fd);
	return 0;
}

/* ---- the check ---- */

static bool durable_whole(const char *name, uint32_t bytes, uint64_t seed)
{
	static uint8_t found[BYTES_MAX + 1];
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, found, sizeof(found));

	if (fd >= 0)
		close(fd);
	content_fill(buffer, bytes, seed);
	return n == (ssize_t)bytes && !memcmp(found, buffer, bytes);
}

static int check(void)
{
	unsigned int bytes, seed, bad = 0, count = 0;
	char name[64];

	while (scanf(" file:%63[^:]:%u:%u", name, &bytes, &seed) == 3) {
		count++;
		if (bytes <= BYTES_MAX && durable_whole(name, bytes, seed))
			continue;
		printf("%s, %u bytes, was fsynced and is not whole\n", name, bytes);
		bad++;
	}
	printf("%u files that were fsynced, %u of them bad\n", count, bad);
	return bad || !feof(stdin);
}

static void folders_make(void)
{
	char name[64];

	for (int i = 0; i < FOLDERS; i++) {
		sprintf(name, "dir%d", i);
		if (mkdir(name, 0755) && errno != EEXIST)
			die("cannot make", name);
	}
}

int main(int argc, char **argv)
{
	bool raw = argc == 6 && !strcmp(argv[1], "-r");

	if (argc == 3 && !strcmp(argv[1], "-c")) {
		if (chdir(argv[2]))
			die("cannot enter", argv[2]);
		return check();
	}
	if (argc < 5) {
		fprintf(stderr, "usage: log_writes_work DIRECTORY SEED FIRST COUNT [DM-DEVICE...]\n"
			"       log_writes_work -c DIRECTORY < MARKS\n"
			"       log_writes_work -r DEVICE SEED MIB COUNT\n");
		return 2;
	}
	/* Never 0, and seeds that are near each other far apart. */
	state = strtoull(argv[raw ? 3 : 2], NULL, 0) * 0x9e3779b97f4a7c15ULL | 1;
	if (raw)
		return raw_write(argv[2], strtoull(argv[4], NULL, 10) << 20,
				 atoi(argv[5]));
	if (chdir(argv[1]))
		die("cannot enter", argv[1]);
	folders_make();
	work(atoi(argv[3]), atoi(argv[4]), argv + 5);
	return 0;
}
