// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writing a volume's configuration: text in memory, then a temporary file in
 * the same folder, fsync, rename, fsync of the folder.  What stood there before
 * or what shall stand there now, never half of it.
 *
 * inih ends a value at " ;": paths that hold one, or blanks at an end, are
 * refused.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "kernel.h"
#include "util.h"

#define VALUE_MAX_CHARS 180	/* a line must stay below what config.c takes */

static bool path_readable(const char *path)
{
	for (; *path; path++) {
		if (*path == ';' || iscntrl(*path))
			return false;
	}
	return true;
}

static int check_path(const char *path, struct bc_error *error)
{
	size_t len = strlen(path);

	if (!len)
		return 0;
	if (path[0] != '/' || !path_readable(path) || path[len - 1] == ' ' ||
	    len > VALUE_MAX_CHARS)
		return bc_fail(error, -EINVAL,
			       "'%s' cannot stand in the configuration: an absolute path of at most %d characters without ';' and control characters is needed",
			       path, VALUE_MAX_CHARS);
	return 0;
}

static int check_link(const struct bc_link_config *link, struct bc_error *error)
{
	char address[BC_HOST_MAX + 16];

	if (!bc_name_valid(link->peer) || strlen(link->peer) > BC_PEER_MAX)
		return bc_fail(error, -EINVAL, "'%s' is no name of a peer: 1..%d of a-z A-Z 0-9 . _ -",
			       link->peer, BC_PEER_MAX);
	bc_address_format(&link->address, address, sizeof(address));
	if (strlen(address) > VALUE_MAX_CHARS)
		return bc_fail(error, -EINVAL,
			       "the address of %s is longer than %d characters: too long for the configuration",
			       link->peer, VALUE_MAX_CHARS);
	return 0;
}

static void print_link(FILE *out, const struct bc_link_config *link)
{
	char address[BC_HOST_MAX + 16];

	fprintf(out, "\n[link %s]\n", link->peer);
	if (link->address.host[0]) {
		bc_address_format(&link->address, address, sizeof(address));
		fprintf(out, "address = %s\n", address);
	}
	/* A section without a key is not seen when it is read. */
	if (link->async || !link->address.host[0])
		fprintf(out, "async = %s\n", link->async ? "yes" : "no");
	if (link->plain)
		fprintf(out, "plain = yes\n");
	if (link->timeout_ms)
		fprintf(out, "timeout = %u\n", link->timeout_ms);
	if (link->read_capacity)
		fprintf(out, "read-capacity = %u\n", link->read_capacity);
}

static void print_volume(FILE *out, const struct bc_volume_config *config)
{
	static const uint8_t unknown[sizeof(config->uuid)];
	char uuid[BC_UUID_TEXT];

	fprintf(out, "# Volume %s, see blkcast.conf(5).\n", config->name);
	fprintf(out, "[volume]\n");
	if (memcmp(config->uuid, unknown, sizeof(unknown)))
		fprintf(out, "uuid = %s\n", bc_uuid_format(config->uuid, uuid));
	fprintf(out, "backing = %s\n", config->backing);
	if (config->meta[0])
		fprintf(out, "meta = %s\n", config->meta);
	if (config->backlog)
		fprintf(out, "backlog = %" PRIu64 "\n", config->backlog);
	fprintf(out, "ack = %s\n", bc_ack_name(config->ack));
	if (config->resync_rate)
		fprintf(out, "resync-rate = %" PRIu64 "\n", config->resync_rate);
	if (config->active_max)
		fprintf(out, "active-max = %" PRIu64 "\n", config->active_max);
	if (config->min_isr)
		fprintf(out, "min-isr = %u\n", config->min_isr);
	if (config->on_loss != BLKCAST_ON_LOSS_SUSPEND)
		fprintf(out, "on-loss = %s\n", bc_on_loss_name(config->on_loss));
	if (config->on_io_error != BLKCAST_ON_IO_ERROR_PASS)
		fprintf(out, "on-io-error = %s\n", bc_on_io_error_name(config->on_io_error));
	if (config->max_lag_ms)
		fprintf(out, "max-lag = %ums\n", config->max_lag_ms);
	if (config->fallback[0])
		fprintf(out, "fallback = %s\n", config->fallback);
	if (config->membership)
		fprintf(out, "membership = %s\n",
			bc_membership_name(config->membership - 1));
	if (config->allow[0])
		fprintf(out, "allow = %s\n", config->allow);
	for (size_t i = 0; i < config->links; i++)
		print_link(out, &config->link[i]);
}

static int sync_folder(const char *path, struct bc_error *error)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret = 0;

	if (fd < 0 || fsync(fd))
		ret = bc_fail_errno(error, -errno, "%s: cannot sync", path);
	if (fd >= 0)
		close(fd);
	return ret;
}

static int make_folder(const char *path, struct bc_error *error)
{
	if (mkdir(path, 0755) && errno != EEXIST)
		return bc_fail_errno(error, -errno, "cannot make %s", path);
	return 0;
}

static int write_temporary(const char *path, const char *text, size_t len,
			   struct bc_error *error)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), ret;

	if (fd < 0)
		return bc_fail_errno(error, -errno, "cannot write %s", path);
	ret = bc_write_full(fd, text, len);
	if (!ret && fsync(fd))
		ret = -errno;
	close(fd);
	if (ret) {
		bc_fail_errno(error, ret, "cannot write %s", path);
		unlink(path);
	}
	return ret;
}

static int replace_file(const char *folder, const char *name, const char *ending,
			const char *text, size_t len, struct bc_error *error)
{
	char path[BC_PATH_MAX], temporary[BC_PATH_MAX];
	int ret;

	snprintf(path, sizeof(path), "%s/%s.%s", folder, name, ending);
	/* The command and the daemon may do this at the same time. */
	snprintf(temporary, sizeof(temporary), "%s/.%s.%s.%d.new", folder, name, ending,
		 (int)getpid());
	ret = write_temporary(temporary, text, len, error);
	if (ret)
		return ret;
	if (rename(temporary, path)) {
		ret = bc_fail_errno(error, -errno, "cannot replace %s", path);
		unlink(temporary);
		return ret;
	}
	return sync_folder(folder, error);
}

static int check_config(const struct bc_volume_config *config,
			struct bc_error *error)
{
	int ret = 0;

	if (!bc_name_valid(config->name))
		return bc_fail(error, -EINVAL, "'%s' is no name of a volume",
			       config->name);
	ret = check_path(config->backing, error);
	if (!ret)
		ret = check_path(config->meta, error);
	if (!ret)
		ret = check_path(config->fallback, error);
	for (size_t i = 0; i < config->links && !ret; i++)
		ret = check_link(&config->link[i], error);
	return ret;
}

int bc_volume_config_save(const struct bc_volume_config *config,
			  struct bc_error *error)
{
	char folder[BC_PATH_MAX], *text = NULL;
	size_t len;
	FILE *out;
	int ret;

	ret = check_config(config, error);
	if (ret)
		return ret;
	out = open_memstream(&text, &len);
	if (!out)
		return bc_fail(error, -ENOMEM, "out of memory");
	print_volume(out, config);
	if (fclose(out)) {
		ret = bc_fail(error, -ENOMEM, "out of memory");
		goto cleanup;
	}
	snprintf(folder, sizeof(folder), "%s/volumes.d", bc_config_dir());
	ret = make_folder(bc_config_dir(), error);
	if (!ret)
		ret = make_folder(folder, error);
	if (!ret)
		ret = replace_file(folder, config->name, "conf", text, len, error);
cleanup:
	free(text);
	return ret;
}

int bc_volume_end_save(const char *name, uint64_t end, struct bc_error *error)
{
	char folder[BC_PATH_MAX], text[32];
	int len = snprintf(text, sizeof(text), "%" PRIu64 "\n", end);

	snprintf(folder, sizeof(folder), "%s/volumes.d", bc_config_dir());
	return replace_file(folder, name, "end", text, len, error);
}

int bc_volume_detached_save(const char *name, const uint8_t node[16],
			    struct bc_error *error)
{
	char folder[BC_PATH_MAX], text[BC_UUID_TEXT + 1];
	int len;

	bc_uuid_format(node, text);
	len = strlen(text);
	text[len++] = '\n';
	snprintf(folder, sizeof(folder), "%s/volumes.d", bc_config_dir());
	return replace_file(folder, name, "detached", text, len, error);
}

int bc_volume_detached_load(const char *name, uint8_t node[16], struct bc_error *error)
{
	char path[BC_PATH_MAX], line[BC_UUID_TEXT + 1] = "";
	FILE *file;

	snprintf(path, sizeof(path), "%s/volumes.d/%s.detached", bc_config_dir(), name);
	file = fopen(path, "re");
	if (!file)
		return bc_fail_errno(error, -errno, "%s", path);
	if (!fgets(line, sizeof(line), file))
		line[0] = 0;
	fclose(file);
	line[strcspn(line, "\n")] = 0;
	if (bc_uuid_parse(line, node))
		return bc_fail(error, -EINVAL,
			       "%s: no id of a copy; 'blkcast replace' makes a new one", path);
	return 0;
}

int bc_volume_detached_remove(const char *name, struct bc_error *error)
{
	char folder[BC_PATH_MAX], path[BC_PATH_MAX];

	snprintf(folder, sizeof(folder), "%s/volumes.d", bc_config_dir());
	snprintf(path, sizeof(path), "%s/%s.detached", folder, name);
	if (unlink(path) && errno != ENOENT)
		return bc_fail_errno(error, -errno, "cannot remove %s", path);
	return sync_folder(folder, error);
}

int bc_volume_config_remove(const char *name, struct bc_error *error)
{
	char folder[BC_PATH_MAX], path[BC_PATH_MAX];
	int ret = bc_volume_detached_remove(name, error);

	if (ret)
		return ret;
	snprintf(folder, sizeof(folder), "%s/volumes.d", bc_config_dir());
	snprintf(path, sizeof(path), "%s/%s.end", folder, name);
	if (unlink(path) && errno != ENOENT)
		return bc_fail_errno(error, -errno, "cannot remove %s", path);
	snprintf(path, sizeof(path), "%s/%s.conf", folder, name);
	if (unlink(path))
		return bc_fail_errno(error, -errno, "cannot remove %s", path);
	return sync_folder(folder, error);
}
