// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files for the power campaign.
 *
 *	torture_files write DIR SESSION
 *		makes file after file in DIR/SESSION: written, fsynced, renamed into
 *		place, the folder fsynced; then its number is printed and the file
 *		KEEP before it removed.  Until standard input ends
 *	torture_files check DIR SESSION LAST
 *		the last files up to number LAST, of which the host has heard that
 *		they are safe, are there and hold what they must
 *
 * What a file holds is a function of session and number.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEP		24
#define WORDS_MAX	4096
#define GOLDEN		0x9e3779b97f4a7c15
#define PAUSE_US	50000

static uint64_t words[WORDS_MAX];

static void need(bool good, const char *what, const char *path)
{
	if (good)
		return;
	fprintf(stderr, "torture_files: %s: %s: %s\n", path, what, strerror(errno));
	exit(1);
}

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* Fill @words; returns the file's size in bytes. */
static size_t content(long session, long n)
{
	uint64_t key = mix(session * GOLDEN + n);
	size_t count = 1 + key % WORDS_MAX;

	for (size_t i = 0; i < count; i++)
		words[i] = key + i * GOLDEN;
	return count * sizeof(*words);
}

static void file_make(long session, long n)
{
	size_t size = content(session, n);
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "%ld", n);
	fd = open("new", O_CREAT | O_TRUNC | O_WRONLY, 0644);
	need(fd >= 0, "create", name);
	need(write(fd, words, size) == (ssize_t)size, "write", name);
	need(!fsync(fd), "fsync", name);
	close(fd);
	need(!rename("new", name), "rename", name);
}

static void folder_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY);

	need(fd >= 0 && !fsync(fd), "fsync", path);
	close(fd);
}

static void file_remove(long n)
{
	char name[32];

	snprintf(name, sizeof(name), "%ld", n);
	need(!unlink(name), "remove", name);
}

static bool told_to_end(void)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };

	return poll(&input, 1, 0) == 1;
}

static void write_files(const char *folder, long session)
{
	need(!mkdir(folder, 0755), "mkdir", folder);
	folder_sync(".");
	need(!chdir(folder), "chdir", folder);
	for (long n = 0; !told_to_end(); n++) {
		file_make(session, n);
		folder_sync(".");
		printf("%ld\n", n);
		fflush(stdout);
		if (n >= KEEP)
			file_remove(n - KEEP);
		usleep(PAUSE_US);
	}
}

static void file_check(long session, long n)
{
	static char found[sizeof(words) + 1];
	size_t size = content(session, n);
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "%ld", n);
	fd = open(name, O_RDONLY);
	need(fd >= 0, "was safe, and is gone", name);
	errno = 0;
	need(read(fd, found, sizeof(found)) == (ssize_t)size &&
	     !memcmp(found, words, size), "was safe, and is another", name);
	close(fd);
}

static void check_files(const char *folder, long session, long last)
{
	if (last < 0)
		return;
	need(!chdir(folder), "chdir", folder);
	/* Those before may have been removed by some that were not heard of. */
	for (long n = last; n >= 0 && n > last - KEEP / 2; n--)
		file_check(session, n);
}

int main(int argc, char **argv)
{
	bool write_mode = argc == 4 && !strcmp(argv[1], "write");
	bool check_mode = argc == 5 && !strcmp(argv[1], "check");

	if (!write_mode && !check_mode) {
		fprintf(stderr, "Usage: torture_files write DIR SESSION\n"
				"       torture_files check DIR SESSION LAST\n");
		return 2;
	}
	need(!chdir(argv[2]), "chdir", argv[2]);
	if (write_mode)
		write_files(argv[3], atol(argv[3]));
	else
		check_files(argv[3], atol(argv[3]), atol(argv[4]));
	return 0;
}
