// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "copy.h"

#define SHARED_FLAGS (BC_BLOCKDEV_EXCL | BC_BLOCKDEV_DIRECT | BC_BLOCKDEV_WAIT)

struct bc_blockdev *bc_copy_meta_device(struct bc_copy *copy)
{
	return copy->external.fd >= 0 ? &copy->external : &copy->backing;
}

const char *bc_copy_meta_path(const struct bc_volume_config *config)
{
	return config->meta[0] ? config->meta : config->backing;
}

static int open_devices(struct bc_copy *copy, const struct bc_volume_config *config,
			unsigned int backing_flags, unsigned int meta_flags,
			struct bc_error *error)
{
	int ret;

	memset(copy, 0, sizeof(*copy));
	copy->external.fd = -1;
	ret = bc_blockdev_open(&copy->backing, config->backing, backing_flags, error);
	if (!ret && config->meta[0])
		ret = bc_blockdev_open(&copy->external, config->meta, meta_flags, error);
	if (ret)
		bc_copy_close(copy);
	if (ret && config->name[0])
		bc_error_prefix(error, "volume %s", config->name);
	return ret;
}

int bc_copy_open_devices(struct bc_copy *copy,
			 const struct bc_volume_config *config,
			 struct bc_error *error)
{
	const unsigned int flags = SHARED_FLAGS | BC_BLOCKDEV_WRITE;

	return open_devices(copy, config, flags, flags | BC_BLOCKDEV_FILE, error);
}

int bc_copy_open_devices_readonly(struct bc_copy *copy,
				  const struct bc_volume_config *config,
				  struct bc_error *error)
{
	const unsigned int flags = SHARED_FLAGS | BC_BLOCKDEV_FILE;

	return open_devices(copy, config, flags, flags, error);
}

int bc_copy_open(struct bc_copy *copy, const struct bc_volume_config *config,
		 struct bc_error *error)
{
	struct bc_blockdev *device;
	int ret;

	ret = bc_copy_open_devices(copy, config, error);
	if (ret)
		return ret;
	device = bc_copy_meta_device(copy);
	ret = bc_meta_open_known(&copy->meta, device->fd, device->bytes,
				 config->meta_end, bc_copy_meta_path(config), error);
	if (ret) {
		bc_error_prefix(error, "volume %s", config->name);
		bc_copy_close(copy);
	}
	return ret;
}

void bc_copy_close(struct bc_copy *copy)
{
	bc_blockdev_close(&copy->backing);
	bc_blockdev_close(&copy->external);
}
