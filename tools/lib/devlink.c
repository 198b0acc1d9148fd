// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * /dev/blkcast/NAME -> ../blkcastN.  The kernel makes the node (devtmpfs), a
 * udev rule the link; where no udev runs the link is made here, so that 'up'
 * ends with the link in place either way.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "devlink.h"
#include "util.h"

#define FOLDER		"/dev/blkcast"
#define NODE_MS		5000
#define UDEV_MS		3000
#define NAP_MS		10

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = NAP_MS * 1000000 }, NULL);
}

static bool udev_runs(void)
{
	return !access("/run/udev/control", F_OK);
}

static bool link_is(const char *path, const char *target)
{
	char found[64];
	ssize_t len = readlink(path, found, sizeof(found) - 1);

	if (len < 0)
		return false;
	found[len] = 0;
	return !strcmp(found, target);
}

static int make_link(const char *path, const char *target, struct bc_error *error)
{
	char temporary[BC_PATH_MAX];

	if (mkdir(FOLDER, 0755) && errno != EEXIST)
		return bc_fail_errno(error, -errno, "cannot make " FOLDER);
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	unlink(temporary);
	if (symlink(target, temporary) || rename(temporary, path))
		return bc_fail_errno(error, -errno, "cannot make %s", path);
	return 0;
}

/* The node's first event may have come before the volume could be asked for. */
void devlink_poke(uint32_t minor)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/block/blkcast%u/uevent", minor);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	bc_write_full(fd, "change", strlen("change"));
	close(fd);
}

int devlink_settle(const char *name, uint32_t minor, struct bc_error *error)
{
	char node[32], target[32], path[BC_PATH_MAX];
	uint64_t start = bc_now_ns();

	snprintf(node, sizeof(node), "/dev/blkcast%u", minor);
	snprintf(target, sizeof(target), "../blkcast%u", minor);
	snprintf(path, sizeof(path), FOLDER "/%s", name);
	while (access(node, F_OK)) {
		if (bc_now_ns() - start > NODE_MS * 1000000ULL)
			return bc_fail(error, -ENOENT,
				       "volume %s: %s does not appear; is /dev a devtmpfs?",
				       name, node);
		nap();
	}
	if (udev_runs() && !link_is(path, target))
		devlink_poke(minor);
	while (udev_runs() && !link_is(path, target) &&
	       bc_now_ns() - start < UDEV_MS * 1000000ULL)
		nap();
	return link_is(path, target) ? 0 : make_link(path, target, error);
}

bool devlink_retry(int ret, unsigned int *tries)
{
	if (ret != -EBUSY || !udev_runs() || ++*tries > UDEV_MS / NAP_MS)
		return false;
	nap();
	return true;
}

void devlink_remove(const char *name)
{
	char path[BC_PATH_MAX];

	snprintf(path, sizeof(path), FOLDER "/%s", name);
	unlink(path);
}
