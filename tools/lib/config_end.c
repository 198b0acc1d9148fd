// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where the metadata of a volume that is up end, remembered for the next time.
 */
#include "config.h"
#include "kernel.h"

int bc_volume_end_refresh(struct bc_kernel *kernel, const char *name,
			  uint64_t known, struct bc_error *error)
{
	struct bc_volume volume;
	int ret = bc_kernel_get(kernel, name, &volume, error);

	if (ret)
		return ret;
	if (volume.meta_end != known)
		ret = bc_volume_end_save(name, volume.meta_end, error);
	bc_volume_release(&volume);
	return ret;
}
