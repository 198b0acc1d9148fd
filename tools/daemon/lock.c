// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "lock.h"
#include "util.h"

static int refused(int fd, const char *path, struct bc_error *error)
{
	char pid[32] = "";
	ssize_t len = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[len < 0 ? 0 : len] = 0;
	pid[strcspn(pid, "\n")] = 0;
	return bc_fail(error, -EBUSY, "another blkcastd runs already (pid %s, %s)",
		       pid[0] ? pid : "unknown", path);
}

static int write_pid(int fd, const char *path, struct bc_error *error)
{
	char pid[32];
	int len = snprintf(pid, sizeof(pid), "%d\n", getpid());

	if (ftruncate(fd, 0) || bc_pwrite_full(fd, pid, len, 0))
		return bc_fail(error, -EIO, "cannot write %s", path);
	return 0;
}

int lock_take(struct bc_error *error)
{
	char path[BC_PATH_MAX];
	int fd, ret;

	if (mkdir(bc_run_dir(), 0755) && errno != EEXIST)
		return bc_fail_errno(error, -errno, "cannot make %s", bc_run_dir());
	snprintf(path, sizeof(path), "%s/blkcastd.pid", bc_run_dir());
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return bc_fail_errno(error, -errno, "cannot open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB))
		ret = refused(fd, path, error);
	else
		ret = write_pid(fd, path, error);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}
