// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "key.h"

#define ID_LABEL "blkcast key id 1"	/* its final 0 is part of it */

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

/* --- keys -------------------------------------------------------------------- */

static int check_key(const char *text, size_t len, const char *path, struct bc_error *error)
{
	if (len < KEY_MIN)
		return bc_fail(error, -EINVAL,
			       "the key in %s has %zu characters, at least %d are needed: blkcast genkey --force",
			       path, len, KEY_MIN);
	if (len >= KEY_MAX)
		return bc_fail(error, -EINVAL, "the key in %s is longer than %d characters",
			       path, KEY_MAX - 1);
	for (size_t i = 0; i < len; i++) {
		if (!isgraph(text[i]))
			return bc_fail(error, -EINVAL,
				       "the key in %s is not one word of printable characters",
				       path);
	}
	return 0;
}

static int take_line(struct keyring *ring, const char *line, size_t len, const char *path,
		     struct bc_error *error)
{
	struct key *key = &ring->key[ring->count];
	int ret;

	while (len && isspace(line[len - 1]))
		len--;
	if (!len && ring->count)
		return 0;
	if (ring->count == KEYS_MAX)
		return bc_fail(error, -EINVAL, "%s holds more than %d keys", path, KEYS_MAX);
	ret = check_key(line, len, path, error);
	if (ret)
		return ret;
	memcpy(key->bytes, line, len);
	key->len = len;
	ring->count++;
	return 0;
}

static int take_lines(struct keyring *ring, const char *text, size_t len, const char *path,
		      struct bc_error *error)
{
	const char *end = text + len, *next;
	int ret;

	do {
		next = memchr(text, '\n', end - text);
		ret = take_line(ring, text, (next ? next : end) - text, path, error);
		text = next ? next + 1 : end;
	} while (!ret && text < end);
	return ret;
}

int keyring_load(struct keyring *ring, const char *path, struct bc_error *error)
{
	char text[KEYS_MAX * KEY_MAX + 1];
	int fd, ret = 0;
	ssize_t len;

	memset(ring, 0, sizeof(*ring));
	fd = key_open(path, 077, "the key file",
		      "chmod 600 it, and make a new key if somebody may have read it", error);
	if (fd == -ENOENT)
		return bc_fail(error, -ENOENT,
			       "no key at %s: blkcast genkey makes one, all hosts need the same",
			       path);
	if (fd < 0)
		return fd;
	len = read(fd, text, sizeof(text));
	if (len < 0)
		ret = bc_fail_errno(error, -errno, "cannot read %s", path);
	else if (len == sizeof(text))
		ret = bc_fail(error, -EINVAL, "%s is longer than %d keys may be", path, KEYS_MAX);
	else
		ret = take_lines(ring, text, len, path, error);
	close(fd);
	explicit_bzero(text, sizeof(text));
	if (ret)
		explicit_bzero(ring, sizeof(*ring));
	return ret;
}

const char *key_id(const struct key *key, char id[KEY_ID])
{
	uint8_t digest[32];
	gnutls_hash_hd_t hash;

	id[0] = 0;
	if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256))
		return id;
	gnutls_hash(hash, ID_LABEL, sizeof(ID_LABEL));
	gnutls_hash(hash, key->bytes, key->len);
	gnutls_hash_deinit(hash, digest);
	for (size_t i = 0; i < (KEY_ID - 1) / 2; i++)
		sprintf(id + 2 * i, "%02x", digest[i]);
	return id;
}

const struct key *keyring_find(const struct keyring *ring, const char *id)
{
	char own[KEY_ID];

	for (unsigned int i = 0; i < ring->count && id[0]; i++) {
		if (!strcmp(key_id(&ring->key[i], own), id))
			return &ring->key[i];
	}
	return NULL;
}
