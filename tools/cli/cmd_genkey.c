// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast genkey: 32 random bytes in hex, for all hosts that belong together; and the
 * change to another key, in three steps, each of which is done on all hosts before the
 * next: a file may be of this step or of the one before, so any two hosts have a key in
 * common that the one proves itself by and the other takes.
 *
 *	old		before
 *	old, next	--next		the next one is taken, too
 *	next, old	--use-next	hosts prove themselves by it
 *	next		--drop-old
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../daemon/key.h"
#include "cli.h"
#include "util.h"

#define KEY_BYTES 32

static bool force, add_next, use_next, drop_old;

static const struct cli_option options[] = {
	{ "force", CLI_FLAG, &force, NULL, "replace a key that exists" },
	{ "next", CLI_FLAG, &add_next, NULL, "add a new key, which is taken too" },
	{ "use-next", CLI_FLAG, &use_next, NULL, "prove itself by the new one, take both" },
	{ "drop-old", CLI_FLAG, &drop_old, NULL, "have the new one only" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"[FILE] [--force | --next | --use-next | --drop-old]",
	"Make a new key, readable by root alone, in FILE or where the configuration\n"
	"says (/etc/blkcast/key). Copy it to all hosts; whoever has it may read and\n"
	"replace all volumes.\n\n"
	"To change the key while links are up: --next, --use-next, --drop-old, one after\n"
	"the other. After each step copy the file to all hosts and have their daemons read\n"
	"it (systemctl reload blkcastd); before --drop-old, 'blkcast reconnect --all' on the\n"
	"primaries.",
	options, 0, 1
};

static void new_key(struct key *key)
{
	uint8_t bytes[KEY_BYTES];

	bc_random(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		sprintf((char *)key->bytes + 2 * i, "%02x", bytes[i]);
	key->len = 2 * sizeof(bytes);
	explicit_bzero(bytes, sizeof(bytes));
}

static int write_keys(int fd, const struct keyring *ring)
{
	int ret = 0;

	for (unsigned int i = 0; i < ring->count && !ret; i++) {
		ret = bc_write_full(fd, ring->key[i].bytes, ring->key[i].len);
		if (!ret)
			ret = bc_write_full(fd, "\n", 1);
	}
	if (!ret && fsync(fd))
		ret = -errno;
	return ret;
}

static int replace_file(const char *path, const struct keyring *ring, struct bc_error *error)
{
	char temporary[BC_PATH_MAX];
	int fd, ret;

	mkdir(bc_config_dir(), 0755);
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return bc_fail_errno(error, -errno, "cannot make %s", temporary);
	ret = write_keys(fd, ring);
	close(fd);
	if (!ret && rename(temporary, path))
		ret = -errno;
	if (ret) {
		bc_fail_errno(error, ret, "cannot make %s", path);
		unlink(temporary);
	}
	return ret;
}

static int change(struct keyring *ring, const char *path, struct bc_error *error)
{
	struct key old;

	if (add_next && ring->count > 1)
		return bc_fail(error, -EEXIST,
			       "%s holds a next key already: --use-next, or --drop-old to have the first one only",
			       path);
	if (!add_next && ring->count < 2)
		return bc_fail(error, -ENOENT, "%s holds one key: --next adds another", path);
	if (add_next) {
		new_key(&ring->key[ring->count++]);
	} else if (use_next) {
		old = ring->key[0];
		ring->key[0] = ring->key[1];
		ring->key[1] = old;
		explicit_bzero(&old, sizeof(old));
	} else {
		ring->count = 1;
	}
	return 0;
}

static int make_key(const char *path, struct bc_error *error)
{
	bool changes = add_next || use_next || drop_old;
	struct keyring ring = { 0 };
	int ret = 0;

	if (!changes && !force && !access(path, F_OK))
		return bc_fail(error, -EEXIST,
			       "%s exists; --next begins a change to another, --force replaces it",
			       path);
	if (changes)
		ret = keyring_load(&ring, path, error);
	else
		new_key(&ring.key[ring.count++]);
	if (!ret && changes)
		ret = change(&ring, path, error);
	if (!ret)
		ret = replace_file(path, &ring, error);
	explicit_bzero(&ring, sizeof(ring));
	return ret;
}

int cmd_genkey(int argc, char **argv)
{
	struct bc_daemon_config config;
	struct bc_error error;
	int exit_code;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (force + add_next + use_next + drop_old > 1) {
		cli_failf("only one of --force, --next, --use-next and --drop-old");
		return CLI_USAGE;
	}
	if (!rest[0] && bc_daemon_config_load(&config, &error))
		return cli_failed(&error);
	if (make_key(rest[0] ? rest[0] : config.key, &error))
		return cli_failed(&error);
	return CLI_DONE;
}
