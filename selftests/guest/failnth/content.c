// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Content: some blocks of a volume, all with the number of the write that came last.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "actions.h"

#define PLACES 12
#define STEP (20 << 10)		/* bytes: several regions, some with more places than one */
#define BLOCK 4096

/* What a place may hold: the write that was acknowledged last, up to the last there was. */
struct range {
	uint64_t from, to;
};

static struct range frozen;
static uint64_t block[BLOCK / sizeof(uint64_t)] __attribute__((aligned(BLOCK)));

/* From one run to the next. */
static struct range *now(void)
{
	static struct range *shared;
	int fd;

	if (shared)
		return shared;
	fd = open("/tmp/content", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*shared)))
		stop("/tmp/content: %s", strerror(errno));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED)
		stop("/tmp/content: %s", strerror(errno));
	close(fd);
	return shared;
}

static int fail(const char *path, int err, struct bc_error *error)
{
	return bc_fail_errno(error, err, "%s", path);
}

static int places_write(int fd)
{
	int place;
	size_t i;

	for (place = 0; place < PLACES; place++) {
		for (i = 0; i < BLOCK / sizeof(*block); i++)
			block[i] = now()->to << 8 | place;
		if (pwrite(fd, block, BLOCK, (off_t)place * STEP) != BLOCK)
			return -errno;
	}
	return fsync(fd) ? -errno : 0;
}

int content_write(const char *name, struct bc_error *error)
{
	char path[64];
	int fd, ret;

	snprintf(path, sizeof(path), "/dev/blkcast/%s", name);
	fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		return fail(path, -errno, error);
	now()->to++;
	ret = places_write(fd);
	close(fd);
	if (ret)
		return fail(path, ret, error);
	now()->from = now()->to;
	return 0;
}

static void place_check(const char *path, int place, const struct range *may)
{
	uint64_t number = block[0] >> 8;
	size_t i;

	for (i = 0; i < BLOCK / sizeof(*block); i++)
		if (block[i] != block[0])
			stop("%s: place %d holds two things", path, place);
	if (number < may->from || number > may->to || (number && (block[0] & 0xff) != (unsigned)place))
		stop("%s: place %d holds %llx, not %llu to %llu", path, place,
		     (unsigned long long)block[0], (unsigned long long)may->from,
		     (unsigned long long)may->to);
}

static int places_read(const char *path, const struct range *may, struct bc_error *error)
{
	int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC), place, ret = 0;

	if (fd < 0)
		return fail(path, -errno, error);
	for (place = 0; place < PLACES && !ret; place++) {
		if (pread(fd, block, BLOCK, (off_t)place * STEP) == BLOCK)
			place_check(path, place, may);
		else
			ret = fail(path, -errno, error);
	}
	close(fd);
	return ret;
}

int content_holds(const char *name, struct bc_error *error)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/blkcast/%s", name);
	return places_read(path, now(), error);
}

/* A view has been made. */
void content_freeze(void)
{
	frozen = *now();
}

int content_frozen(uint32_t minor, struct bc_error *error)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/blkcast%u", minor);
	return places_read(path, &frozen, error);
}
