// SPDX-License-Identifier: GPL-2.0-or-later
/* Where a view's old content is kept (see viewstore.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blockdev.h"
#include "config.h"
#include "util.h"
#include "viewstore.h"

#define MEMORY "memory"

/* Cut ":SIZE" off @path; -ENODATA: it has none. */
static int size_take(char *path, uint64_t *bytes)
{
	char *colon = strrchr(path, ':');

	if (!colon || bc_size_parse(colon + 1, bytes) || !*bytes)
		return -ENODATA;
	*colon = 0;
	return 0;
}

static int device_open(struct bc_view_create *create, const char *path,
		       struct bc_error *error)
{
	struct bc_blockdev blockdev;
	int ret = bc_blockdev_open(&blockdev, path, BC_BLOCKDEV_WRITE | BC_BLOCKDEV_EXCL,
				   error);

	if (ret)
		return ret;
	create->store_dev = blockdev.dev;
	if (!create->store_bytes)
		create->store_bytes = blockdev.bytes;
	bc_blockdev_close(&blockdev);
	return 0;
}

static int file_open(struct bc_view_create *create, const char *path,
		     struct bc_error *error)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), ret;

	if (fd < 0)
		return bc_fail_errno(error, -errno, "--store %s: cannot be made", path);
	ret = -posix_fallocate(fd, 0, create->store_bytes);
	unlink(path);
	if (ret) {
		close(fd);
		return bc_fail_errno(error, ret, "--store %s", path);
	}
	create->store_fd = fd;
	return 0;
}

int viewstore_open(struct bc_view_create *create, const char *text,
		   struct bc_error *error)
{
	char path[BC_PATH_MAX];
	bool sized, device;
	struct stat stat_;

	create->store_fd = -1;
	create->store_dev = 0;
	create->store_bytes = 0;
	if (snprintf(path, sizeof(path), "%s", text) >= (int)sizeof(path))
		return bc_fail(error, -EINVAL, "--store: too long");
	sized = !size_take(path, &create->store_bytes);
	device = !stat(path, &stat_) && S_ISBLK(stat_.st_mode);
	if (!sized && !device)
		return bc_fail(error, -EINVAL,
			       "--store %s: it is memory:SIZE, FILE:SIZE or DEVICE (such as memory:64M)",
			       text);
	if (!strcmp(path, MEMORY))
		return 0;
	return device ? device_open(create, path, error) : file_open(create, path, error);
}

void viewstore_close(struct bc_view_create *create)
{
	if (create->store_fd >= 0)
		close(create->store_fd);
	create->store_fd = -1;
}
