// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libblkid 2.38 names filesystems but does not say where they end (later ones
 * do), so the sizes of ext2/3/4 and XFS are read from their superblocks here.
 */
#include <blkid/blkid.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe.h"
#include "util.h"

#define HEAD_BYTES		4096	/* both superblocks lie in it */

#define EXT_SUPER		1024
#define EXT_BLOCKS_LO		(EXT_SUPER + 0x04)
#define EXT_LOG_BLOCK		(EXT_SUPER + 0x18)
#define EXT_INCOMPAT		(EXT_SUPER + 0x60)
#define EXT_BLOCKS_HI		(EXT_SUPER + 0x150)
#define EXT_INCOMPAT_64BIT	0x80

#define XFS_BLOCK_SIZE		4
#define XFS_BLOCKS		8

static uint32_t get32(const uint8_t *head, size_t at)
{
	uint32_t value;

	memcpy(&value, head + at, sizeof(value));
	return value;
}

static uint64_t ext_end(const uint8_t *head)
{
	uint64_t blocks = le32toh(get32(head, EXT_BLOCKS_LO));
	uint32_t shift = le32toh(get32(head, EXT_LOG_BLOCK));

	if (le32toh(get32(head, EXT_INCOMPAT)) & EXT_INCOMPAT_64BIT)
		blocks |= (uint64_t)le32toh(get32(head, EXT_BLOCKS_HI)) << 32;
	return shift > 6 ? 0 : blocks << (10 + shift);
}

static uint64_t xfs_end(const uint8_t *head)
{
	uint64_t blocks;

	memcpy(&blocks, head + XFS_BLOCKS, sizeof(blocks));
	return be64toh(blocks) * be32toh(get32(head, XFS_BLOCK_SIZE));
}

static int find_end(struct probe *probe, int fd)
{
	uint8_t *head;
	int ret;

	if (strncmp(probe->type, "ext", 3) && strcmp(probe->type, "xfs"))
		return 0;
	if (posix_memalign((void **)&head, HEAD_BYTES, HEAD_BYTES))
		return -ENOMEM;
	ret = bc_pread_full(fd, head, HEAD_BYTES, 0);
	if (!ret)
		probe->end = *probe->type == 'e' ? ext_end(head) : xfs_end(head);
	free(head);
	return ret;
}

static void take_type(struct probe *probe, blkid_probe blkid)
{
	const char *type;

	if (!blkid_probe_lookup_value(blkid, "TYPE", &type, NULL) ||
	    !blkid_probe_lookup_value(blkid, "PTTYPE", &type, NULL))
		snprintf(probe->type, sizeof(probe->type), "%s", type);
}

int probe_device(struct probe *probe, int fd, const char *path,
		 struct bc_error *error)
{
	blkid_probe blkid = blkid_new_probe_from_filename(path);
	int ret;

	memset(probe, 0, sizeof(*probe));
	if (!blkid)
		return bc_fail_errno(error, -errno, "cannot look at %s", path);
	blkid_probe_enable_partitions(blkid, 1);
	blkid_probe_set_superblocks_flags(blkid, BLKID_SUBLKS_TYPE);
	ret = blkid_do_safeprobe(blkid);
	if (ret == 0)
		take_type(probe, blkid);
	blkid_free_probe(blkid);
	if (ret == -2)	/* several */
		strcpy(probe->type, "several filesystems at once");
	else if (ret < 0)
		return bc_fail(error, -EIO, "cannot look at what %s holds", path);
	ret = find_end(probe, fd);
	return ret ? bc_fail_errno(error, ret, "cannot read %s", path) : 0;
}

int probe_wipe(const char *path, struct bc_error *error)
{
	int fd = open(path, O_RDWR | O_CLOEXEC), ret = 0;
	blkid_probe blkid;

	if (fd < 0)
		return bc_fail_errno(error, -errno, "cannot open %s", path);
	blkid = blkid_new_probe();
	if (!blkid || blkid_probe_set_device(blkid, fd, 0, 0)) {
		ret = bc_fail(error, -EIO, "cannot look at what %s holds", path);
		goto cleanup;
	}
	blkid_probe_enable_partitions(blkid, 1);
	blkid_probe_set_superblocks_flags(blkid, BLKID_SUBLKS_MAGIC);
	blkid_probe_set_partitions_flags(blkid, BLKID_PARTS_MAGIC);
	while (!ret && blkid_do_probe(blkid) == 0) {
		if (blkid_do_wipe(blkid, 0))
			ret = bc_fail(error, -EIO, "cannot wipe the signatures on %s",
				      path);
	}
	if (!ret && fsync(fd))
		ret = bc_fail_errno(error, -errno, "%s", path);
cleanup:
	if (blkid)
		blkid_free_probe(blkid);
	close(fd);
	return ret;
}
