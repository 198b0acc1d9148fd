// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Metadata on a device that may have been enlarged: they stand before the end
 * that the device had, until 'blkcast grow' moves them.  As the kernel does when
 * it brings the volume up (kmod/super.c), whose choice this has to be.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "meta.h"

/* What stands at the end may be left from an older life of the device. */
static bool newer(const struct bc_super *a, const struct bc_super *b)
{
	return !memcmp(a->volume, b->volume, sizeof(a->volume)) &&
	       !memcmp(a->node, b->node, sizeof(a->node)) &&
	       a->generation > b->generation;
}

uint64_t bc_meta_end(int fd, uint64_t size, uint64_t known, const char *path)
{
	struct bc_meta at_known, at_end;
	int ret_known, ret_end;
	struct bc_error none;

	size -= size % BLKCAST_BLOCK_SIZE;
	if (!known || known >= size)
		return size;
	ret_known = bc_meta_open(&at_known, fd, known, path, &none);
	ret_end = bc_meta_open(&at_end, fd, size, path, &none);
	if (!ret_known && !ret_end)
		return newer(&at_end.super, &at_known.super) ? size : known;
	/* Metadata there; or such that cannot be read; or damaged ones, and none at the end. */
	if (!ret_known || ret_known == -EIO || (ret_known != -ENODATA && ret_end == -ENODATA))
		return known;
	return size;
}

int bc_meta_open_known(struct bc_meta *meta, int fd, uint64_t size,
		       uint64_t known, const char *path, struct bc_error *error)
{
	uint64_t end = bc_meta_end(fd, size, known, path);
	int ret = bc_meta_open(meta, fd, end, path, error);

	if (ret == -ENODATA && known && known < end)
		bc_fail(error, ret,
			"%s: no blkcast metadata at its end, nor at byte %" PRIu64 ", where they ended when last seen",
			path, known);
	return ret;
}
