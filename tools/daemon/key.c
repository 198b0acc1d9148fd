// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "key.h"

static int check_file(int fd, const char *path, mode_t forbidden, const char *what,
		      const char *advice, struct bc_error *error)
{
	struct stat st;

	if (fstat(fd, &st))
		return bc_fail_errno(error, -errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return bc_fail(error, -EINVAL, "%s is no file", path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return bc_fail(error, -EPERM, "%s %s belongs to another user (uid %u): chown root it",
			       what, path, st.st_uid);
	if (st.st_mode & forbidden)
		return bc_fail(error, -EPERM, "%s %s is accessible to others (mode %03o): %s",
			       what, path, st.st_mode & 0777, advice);
	return 0;
}

int key_open(const char *path, mode_t forbidden, const char *what, const char *advice,
	     struct bc_error *error)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), ret;

	if (fd < 0)
		return bc_fail_errno(error, -errno, "cannot open %s %s", what, path);
	ret = check_file(fd, path, forbidden, what, advice, error);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

static int check_key(struct key *key, const char *path, struct bc_error *error)
{
	while (key->len && isspace(key->bytes[key->len - 1]))
		key->len--;
	if (key->len < KEY_MIN)
		return bc_fail(error, -EINVAL,
			       "the key in %s has %zu characters, at least %d are needed: blkcast genkey --force",
			       path, key->len, KEY_MIN);
	for (size_t i = 0; i < key->len; i++) {
		if (!isgraph(key->bytes[i]))
			return bc_fail(error, -EINVAL,
				       "the key in %s is not one word of printable characters",
				       path);
	}
	return 0;
}

int key_load(struct key *key, const char *path, struct bc_error *error)
{
	int fd, ret = 0;
	ssize_t len;

	memset(key, 0, sizeof(*key));
	fd = key_open(path, 077, "the key file",
		      "chmod 600 it, and make a new key if somebody may have read it", error);
	if (fd == -ENOENT)
		return bc_fail(error, -ENOENT,
			       "no key at %s: blkcast genkey makes one, all hosts need the same",
			       path);
	if (fd < 0)
		return fd;
	len = read(fd, key->bytes, sizeof(key->bytes));
	if (len < 0)
		ret = bc_fail_errno(error, -errno, "cannot read %s", path);
	else if (len == sizeof(key->bytes))
		ret = bc_fail(error, -EINVAL, "the key in %s is longer than %d characters",
			      path, KEY_MAX - 1);
	key->len = len < 0 ? 0 : len;
	if (!ret)
		ret = check_key(key, path, error);
	close(fd);
	if (ret)
		explicit_bzero(key, sizeof(*key));
	return ret;
}
