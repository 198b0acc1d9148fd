/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Block devices, and files that stand in for one.
 *
 * Opened exclusively (O_EXCL) a device that is mounted, swapped on, held by
 * device mapper or by a volume that is up is refused with -EBUSY and the
 * reason; a file is locked with flock(2).
 */
#ifndef BC_BLOCKDEV_H
#define BC_BLOCKDEV_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

#define BC_BLOCKDEV_WRITE	(1U << 0)
#define BC_BLOCKDEV_EXCL	(1U << 1)	/* nobody else may use it */
#define BC_BLOCKDEV_DIRECT	(1U << 2)	/* O_DIRECT, where it can */
#define BC_BLOCKDEV_FILE	(1U << 3)	/* a regular file will do */
/*
 * In use: look again for a second. What a program had open with writes by io_uring under
 * way the kernel closes some time after the program has been ended.
 */
#define BC_BLOCKDEV_WAIT	(1U << 4)

/**
 * struct bc_blockdev - an open device
 * @fd: -1 when closed
 * @bytes: its size
 * @dev: BLKCAST_DEV() number, 0 for a file
 * @logical: logical block size in bytes
 * @is_file: it is a regular file
 */
struct bc_blockdev {
	int fd;
	uint64_t bytes;
	uint32_t dev, logical;
	bool is_file;
};

int bc_blockdev_open(struct bc_blockdev *blockdev, const char *path,
		     unsigned int flags, struct bc_error *error);
void bc_blockdev_close(struct bc_blockdev *blockdev);

/* Where it is mounted or swapped on, for messages; false: nowhere. */
bool bc_blockdev_mounted(const char *path, char *where, size_t size);

/*
 * Make a loop device over file @path, open read-write.  It goes away by itself
 * when the last user closes it: keep it open until the kernel has taken it.
 */
int bc_blockdev_loop(struct bc_blockdev *blockdev, const char *path,
		     struct bc_error *error);

#endif /* BC_BLOCKDEV_H */
