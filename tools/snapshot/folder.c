// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A folder of snapshots (see folder.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "folder.h"

static int lock_file(const char *path, const char *folder, bool shared, int *lock,
		     struct bc_error *error)
{
	*lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (*lock < 0 && shared && (errno == EROFS || errno == EACCES))
		return 0;
	if (*lock < 0)
		return bc_fail_errno(error, -errno, "cannot open %s", path);
	if (!flock(*lock, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB))
		return 0;
	if (errno == EWOULDBLOCK)
		return bc_fail(error, -EBUSY, shared ?
			       "snapshots are being deleted from %s: try again when that is done" :
			       "a delta is being made to a snapshot in %s, or others are being deleted from it: try again when that is done",
			       folder);
	return bc_fail_errno(error, -errno, "cannot lock %s", path);
}

int folder_lock(const char *folder, bool shared, int *lock, struct bc_error *error)
{
	char *path;
	int err;

	*lock = -1;
	if (asprintf(&path, "%s/" FOLDER_LOCK, folder) < 0)
		return bc_fail(error, -ENOMEM, "out of memory");
	err = lock_file(path, folder, shared, lock, error);
	if (err && *lock >= 0) {
		close(*lock);
		*lock = -1;
	}
	free(path);
	return err;
}

int folder_lock_of(const char *path, int *lock, struct bc_error *error)
{
	char *copy = strdup(path);
	int err;

	*lock = -1;
	if (!copy)
		return bc_fail(error, -ENOMEM, "out of memory");
	err = folder_lock(dirname(copy), true, lock, error);
	free(copy);
	return err;
}

int folder_sync_of(const char *path, struct bc_error *error)
{
	char *copy = strdup(path);
	int fd, err = 0;

	if (!copy)
		return bc_fail(error, -ENOMEM, "out of memory");
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		err = bc_fail_errno(error, -errno, "cannot sync the folder of %s", path);
	if (fd >= 0)
		close(fd);
	free(copy);
	return err;
}
