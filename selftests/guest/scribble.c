// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * scribble: writers that do not leave their data alone.
 *
 *	scribble DEVICE SECONDS SEED
 *
 * Some threads write to the same megabyte of the device, past the page cache, at
 * random offsets and lengths, so that their writes overlap; all take their data from
 * one buffer, in which another thread changes what it can meanwhile.  What ends up on
 * the device is anybody's guess; that every copy holds the same is not.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WRITERS		6
#define BUFFER		(64U << 10)
#define AREA		(1U << 20)
#define SECTOR		512U

static unsigned char *buffer;
static atomic_bool over;
static atomic_ulong writes;
static int device;

struct writer {
	pthread_t thread;
	unsigned int seed;
	int failed;
};

static void *write_over(void *arg)
{
	struct writer *writer = arg;

	while (!over && !writer->failed) {
		size_t length = (1 + rand_r(&writer->seed) % (BUFFER / SECTOR)) * SECTOR;
		off_t at = rand_r(&writer->seed) % ((AREA - length) / SECTOR) * SECTOR;

		if (pwrite(device, buffer, length, at) != (ssize_t)length)
			writer->failed = 1;
		writes++;
	}
	return NULL;
}

/* As fast as it goes: every word of the buffer counts. */
static void *change(void *arg)
{
	volatile unsigned long *word = arg;

	while (!over) {
		for (size_t i = 0; i < BUFFER / sizeof(*word); i++)
			word[i] += i | 1;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct writer writers[WRITERS] = { 0 };
	pthread_t changer;
	int failed = 0;

	if (argc != 4)
		return 2;
	device = open(argv[1], O_RDWR | O_DIRECT);
	if (device < 0 || posix_memalign((void **)&buffer, 4096, BUFFER)) {
		perror(argv[1]);
		return 1;
	}
	memset(buffer, 0, BUFFER);
	pthread_create(&changer, NULL, change, buffer);
	for (int i = 0; i < WRITERS; i++) {
		writers[i].seed = strtoul(argv[3], NULL, 0) + i;
		pthread_create(&writers[i].thread, NULL, write_over, &writers[i]);
	}
	sleep(strtoul(argv[2], NULL, 0));
	over = true;
	for (int i = 0; i < WRITERS; i++) {
		pthread_join(writers[i].thread, NULL);
		failed |= writers[i].failed;
	}
	pthread_join(changer, NULL);
	printf("%lu writes\n", (unsigned long)writes);
	return failed || fsync(device);
}
