/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a device holds, with libblkid, and where a filesystem on it ends.
 */
#ifndef BC_PROBE_H
#define BC_PROBE_H

#include <stdint.h>

#include "error.h"

/**
 * struct probe - what was found
 * @type: "ext4", "xfs", "LVM2_member", "gpt" ...; empty: nothing
 * @end: bytes up to the end of the filesystem, 0: not known for this type
 */
struct probe {
	char type[64];
	uint64_t end;
};

int probe_device(struct probe *probe, int fd, const char *path,
		 struct bc_error *error);

/* Remove all signatures, so that nobody takes the device for what it was. */
int probe_wipe(const char *path, struct bc_error *error);

#endif /* BC_PROBE_H */
