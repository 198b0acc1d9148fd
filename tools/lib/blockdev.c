// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "blkcast_netlink.h"
#include "blockdev.h"
#include "util.h"

#define BUSY_TRIES 100
#define BUSY_PAUSE 10000	/* microseconds */
#define LOOP_TRIES 16	/* others may take the free one before us */

static bool find_in(struct libmnt_table *table, dev_t dev, char *where,
		    size_t size)
{
	struct libmnt_fs *fs = mnt_table_find_devno(table, dev, MNT_ITER_FORWARD);
	const char *target = fs ? mnt_fs_get_target(fs) : NULL;

	if (target)
		snprintf(where, size, "mounted on %s", target);
	return target;
}

static bool find_swap(struct libmnt_table *table, const char *path, char *where,
		      size_t size)
{
	if (!mnt_table_find_srcpath(table, path, MNT_ITER_FORWARD))
		return false;
	snprintf(where, size, "in use as swap");
	return true;
}

bool bc_blockdev_mounted(const char *path, char *where, size_t size)
{
	struct libmnt_table *mounts, *swaps;
	struct stat st;
	bool found = false;

	if (stat(path, &st) || !S_ISBLK(st.st_mode))
		return false;
	mounts = mnt_new_table_from_file("/proc/self/mountinfo");
	if (mounts) {
		found = find_in(mounts, st.st_rdev, where, size);
		mnt_unref_table(mounts);
	}
	swaps = found ? NULL : mnt_new_table();
	if (swaps) {
		if (!mnt_table_parse_swaps(swaps, NULL))
			found = find_swap(swaps, path, where, size);
		mnt_unref_table(swaps);
	}
	return found;
}

static int in_use(const char *path, struct bc_error *error)
{
	char where[256];

	if (bc_blockdev_mounted(path, where, sizeof(where)))
		return bc_fail(error, -EBUSY, "%s is %s", path, where);
	return bc_fail(error, -EBUSY,
		       "%s is in use (by a volume that is up, device mapper, RAID or another program)",
		       path);
}

/* O_DIRECT is asked for second: some filesystems refuse it for files. */
static int open_fd(const char *path, unsigned int flags)
{
	int mode = (flags & BC_BLOCKDEV_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC;
	struct stat st;
	int fd;

	if (stat(path, &st))
		return -errno;
	if (flags & BC_BLOCKDEV_EXCL && S_ISBLK(st.st_mode))
		mode |= O_EXCL;
	if (flags & BC_BLOCKDEV_DIRECT) {
		fd = open(path, mode | O_DIRECT);
		if (fd >= 0 || errno != EINVAL)
			return fd < 0 ? -errno : fd;
	}
	fd = open(path, mode);
	return fd < 0 ? -errno : fd;
}

static int fill_device(struct bc_blockdev *blockdev, const struct stat *st)
{
	int logical;

	if (ioctl(blockdev->fd, BLKGETSIZE64, &blockdev->bytes) ||
	    ioctl(blockdev->fd, BLKSSZGET, &logical))
		return -errno;
	blockdev->logical = logical;
	blockdev->dev = BLKCAST_DEV(major(st->st_rdev), minor(st->st_rdev));
	return 0;
}

static int fill_file(struct bc_blockdev *blockdev, const struct stat *st,
		     unsigned int flags)
{
	blockdev->is_file = true;
	blockdev->bytes = st->st_size;
	blockdev->logical = 512;
	if (flags & BC_BLOCKDEV_EXCL && flock(blockdev->fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return 0;
}

static int fill(struct bc_blockdev *blockdev, const char *path,
		unsigned int flags, struct bc_error *error)
{
	struct stat st;
	int ret;

	if (fstat(blockdev->fd, &st))
		return bc_fail_errno(error, -errno, "%s", path);
	if (S_ISBLK(st.st_mode))
		ret = fill_device(blockdev, &st);
	else if (S_ISREG(st.st_mode) && flags & BC_BLOCKDEV_FILE)
		ret = fill_file(blockdev, &st, flags);
	else
		return bc_fail(error, -ENOTBLK, "%s is no block device", path);
	if (ret == -EBUSY)
		return in_use(path, error);
	return ret ? bc_fail_errno(error, ret, "%s", path) : 0;
}

static int open_once(struct bc_blockdev *blockdev, const char *path,
		     unsigned int flags, struct bc_error *error)
{
	int ret;

	memset(blockdev, 0, sizeof(*blockdev));
	blockdev->fd = open_fd(path, flags);
	if (blockdev->fd == -EBUSY)
		return in_use(path, error);
	if (blockdev->fd < 0)
		return bc_fail_errno(error, blockdev->fd, "cannot open %s", path);
	ret = fill(blockdev, path, flags, error);
	if (ret)
		bc_blockdev_close(blockdev);
	return ret;
}

int bc_blockdev_open(struct bc_blockdev *blockdev, const char *path,
		     unsigned int flags, struct bc_error *error)
{
	int tries = flags & BC_BLOCKDEV_WAIT ? BUSY_TRIES : 0, ret;

	while ((ret = open_once(blockdev, path, flags, error)) == -EBUSY && tries--)
		usleep(BUSY_PAUSE);
	return ret;
}

void bc_blockdev_close(struct bc_blockdev *blockdev)
{
	if (blockdev->fd >= 0)
		close(blockdev->fd);
	blockdev->fd = -1;
}

/* --- loop devices ----------------------------------------------------- */

static int loop_free_number(struct bc_error *error)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), number;

	if (control < 0)
		return bc_fail_errno(error, -errno,
				     "cannot open /dev/loop-control (modprobe loop?)");
	number = ioctl(control, LOOP_CTL_GET_FREE);
	if (number < 0)
		bc_fail_errno(error, -errno, "no free loop device");
	close(control);
	return number < 0 ? -EBUSY : number;
}

/* Bind file @fd to loop device @number; -EBUSY: somebody was faster. */
static int loop_bind(struct bc_blockdev *loop, int number, int fd,
		     const char *file, struct bc_error *error)
{
	struct loop_config config = {
		.fd = fd,
		.block_size = 512,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};
	char path[32];
	int ret;

	snprintf(path, sizeof(path), "/dev/loop%d", number);
	ret = bc_blockdev_open(loop, path, BC_BLOCKDEV_WRITE, error);
	if (ret)
		return ret;
	snprintf((char *)config.info.lo_file_name, LO_NAME_SIZE, "%s", file);
	if (ioctl(loop->fd, LOOP_CONFIGURE, &config)) {
		ret = -errno;
		bc_fail_errno(error, ret, "cannot bind %s to %s", file, path);
		bc_blockdev_close(loop);
		return ret;
	}
	return ioctl(loop->fd, BLKGETSIZE64, &loop->bytes) ? -errno : 0;
}

int bc_blockdev_loop(struct bc_blockdev *loop, const char *path,
		     struct bc_error *error)
{
	struct bc_blockdev file;
	int ret, number;

	loop->fd = -1;
	ret = bc_blockdev_open(&file, path, BC_BLOCKDEV_WRITE | BC_BLOCKDEV_FILE |
			       BC_BLOCKDEV_EXCL, error);
	if (ret)
		return ret;
	ret = -EBUSY;
	for (int i = 0; i < LOOP_TRIES && ret == -EBUSY; i++) {
		number = loop_free_number(error);
		if (number < 0) {
			ret = number;
			break;
		}
		ret = loop_bind(loop, number, file.fd, path, error);
	}
	bc_blockdev_close(&file);
	return ret;
}
