/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A volume's copy on this host while the volume is down: its devices held
 * exclusively and its metadata read.
 */
#ifndef BC_COPY_H
#define BC_COPY_H

#include "blockdev.h"
#include "config.h"
#include "meta.h"

/**
 * struct bc_copy - an open copy
 * @backing: the backing device; the volume begins at meta.super.data_start
 * @external: the metadata device or file, closed (fd -1) when internal
 * @meta: its metadata
 */
struct bc_copy {
	struct bc_blockdev backing, external;
	struct bc_meta meta;
};

/*
 * Open the devices of @config, read-write, exclusive, O_DIRECT where possible,
 * without looking at the metadata: for bc_meta_format().
 */
int bc_copy_open_devices(struct bc_copy *copy,
			 const struct bc_volume_config *config,
			 struct bc_error *error);

/*
 * Open them for reading alone; regular files will do for all of them.  The
 * exclusive open still tells that nobody writes to them.
 */
int bc_copy_open_devices_readonly(struct bc_copy *copy,
				  const struct bc_volume_config *config,
				  struct bc_error *error);

/*
 * bc_copy_open_devices(), and read the metadata.  -EBUSY: the volume is up, or something
 * else uses a device.  @config must outlive @copy.
 */
int bc_copy_open(struct bc_copy *copy, const struct bc_volume_config *config,
		 struct bc_error *error);
void bc_copy_close(struct bc_copy *copy);

/* The device the metadata are on. */
struct bc_blockdev *bc_copy_meta_device(struct bc_copy *copy);
const char *bc_copy_meta_path(const struct bc_volume_config *config);

#endif /* BC_COPY_H */
