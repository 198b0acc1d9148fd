// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "copy.h"
#include "detach.h"
#include "util.h"

/* One at a time: the note of one is not another's to remove.  A descriptor, or an errno. */
static int lock(struct bc_error *error)
{
	char path[BC_PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/volumes.d", bc_config_dir());
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX)) {
		bc_fail_errno(error, -errno, "%s", path);
		if (fd >= 0)
			close(fd);
		return -EIO;
	}
	return fd;
}

/* It is no more than it was: what is noted is not so. */
static void forget(struct bc_kernel *kernel, const char *name)
{
	struct bc_volume state;
	struct bc_error ignored;

	if (bc_kernel_get(kernel, name, &state, &ignored))
		return;
	if (state.device != BLKCAST_DEVICE_DETACHED)
		bc_volume_detached_remove(name, &ignored);
	bc_volume_release(&state);
}

static int detach(struct bc_kernel *kernel, const char *name, struct bc_error *error)
{
	struct bc_volume state;
	int ret;

	ret = bc_kernel_get(kernel, name, &state, error);
	if (ret)
		return ret;
	if (state.device == BLKCAST_DEVICE_DETACHED)
		ret = bc_fail(error, -EALREADY, "volume %s: is detached already", name);
	else
		ret = bc_volume_detached_save(name, state.node, error);
	bc_volume_release(&state);
	if (ret)
		return ret;
	ret = bc_kernel_detach(kernel, name, error);
	if (ret)
		forget(kernel, name);
	return ret;
}

int bc_detach(struct bc_kernel *kernel, const char *name, struct bc_error *error)
{
	int fd = lock(error), ret;

	if (fd < 0)
		return fd;
	ret = detach(kernel, name, error);
	close(fd);
	return ret;
}

void bc_detached_forget(struct bc_kernel *kernel, const char *name)
{
	struct bc_error ignored;
	uint8_t node[16];
	int fd;

	if (bc_volume_detached_load(name, node, &ignored) == -ENOENT)
		return;
	fd = lock(&ignored);
	if (fd < 0)
		return;
	forget(kernel, name);
	close(fd);
}

static int settle(const struct bc_volume_config *config, struct bc_meta *meta,
		  const uint8_t node[16], struct bc_error *error)
{
	int ret = 0;

	/* The devices are not those of this volume: who uses them next says so. */
	if (!bc_uuid_is_null(config->uuid) &&
	    memcmp(config->uuid, meta->super.volume, sizeof(config->uuid)))
		return 0;
	/* Another id is another copy, made since. */
	if (!memcmp(node, meta->super.node, sizeof(meta->super.node)))
		ret = bc_meta_set_flags(meta, BLKCAST_SUPER_INCONSISTENT, 0, error);
	return ret ? ret : bc_volume_detached_remove(config->name, error);
}

int bc_detached_settle(const struct bc_volume_config *config, struct bc_error *error)
{
	struct bc_copy copy;
	uint8_t node[16];
	int ret = bc_volume_detached_load(config->name, node, error);

	if (ret)
		return ret == -ENOENT ? 0 : ret;
	ret = bc_copy_open(&copy, config, error);
	if (ret)
		return ret;
	ret = settle(config, &copy.meta, node, error);
	bc_copy_close(&copy);
	return ret;
}
