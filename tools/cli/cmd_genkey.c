// SPDX-License-Identifier: GPL-2.0-or-later
/* blkcast genkey: 32 random bytes in hex, for all hosts that belong together. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "util.h"

#define KEY_BYTES 32

static bool force;

static const struct cli_option options[] = {
	{ "force", CLI_FLAG, &force, NULL, "replace a key that exists" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"[FILE] [--force]",
	"Make a new key, readable by root alone, in FILE or where the configuration\n"
	"says (/etc/blkcast/key). Copy it to all hosts; whoever has it may read and\n"
	"replace all volumes.",
	options, 0, 1
};

static int write_key(int fd)
{
	char text[2 * KEY_BYTES + 2];
	uint8_t key[KEY_BYTES];
	int ret;

	bc_random(key, sizeof(key));
	for (size_t i = 0; i < sizeof(key); i++)
		sprintf(text + 2 * i, "%02x", key[i]);
	strcat(text, "\n");
	ret = bc_write_full(fd, text, strlen(text));
	if (!ret && fsync(fd))
		ret = -errno;
	explicit_bzero(key, sizeof(key));
	explicit_bzero(text, sizeof(text));
	return ret;
}

static int make_key(const char *path, struct bc_error *error)
{
	char temporary[BC_PATH_MAX];
	int fd, ret;

	if (!force && !access(path, F_OK))
		return bc_fail(error, -EEXIST, "%s exists; --force replaces it", path);
	mkdir(bc_config_dir(), 0755);
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return bc_fail_errno(error, -errno, "cannot make %s", temporary);
	ret = write_key(fd);
	close(fd);
	if (!ret && rename(temporary, path))
		ret = -errno;
	if (ret) {
		bc_fail_errno(error, ret, "cannot make %s", path);
		unlink(temporary);
	}
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
	if (!rest[0] && bc_daemon_config_load(&config, &error))
		return cli_failed(&error);
	if (make_key(rest[0] ? rest[0] : config.key, &error))
		return cli_failed(&error);
	return CLI_DONE;
}
