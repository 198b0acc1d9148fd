// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast holds DEV: is DEV what a volume's copy is kept on?  For the udev rule,
 * which asks for each device, so nothing but what is needed is looked at: the
 * configuration, the volumes that are up, the superblock.
 *
 * What it prints takes the place of what blkid(8) would say of the content, which is
 * the volume's: whoever mounted it here would change one copy beneath all others.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "blockdev.h"
#include "cli.h"
#include "meta.h"

static const struct cli_option options[] = {
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"DEV",
	"Print the udev properties of a device that holds a volume's data or metadata.\n"
	"Exit codes: 0 it does, 1 it does not, 2 wrong usage.",
	options, 1, 1
};

static bool is_device(const char *path, dev_t dev)
{
	struct stat st;

	return *path && !stat(path, &st) && S_ISBLK(st.st_mode) && st.st_rdev == dev;
}

static bool configured(dev_t dev)
{
	struct bc_volume_config *configs;
	struct bc_error ignored;
	bool found = false;
	size_t count;

	bc_volume_configs_load(&configs, &count, &ignored);
	for (size_t i = 0; i < count; i++)
		found |= is_device(configs[i].backing, dev) ||
			 is_device(configs[i].meta, dev);
	bc_volume_configs_free(configs, count);
	return found;
}

static bool up(dev_t dev)
{
	uint32_t wanted = BLKCAST_DEV(major(dev), minor(dev));
	struct bc_volume *volumes;
	struct bc_kernel *kernel;
	struct bc_error ignored;
	bool found = false;
	size_t count;

	if (bc_kernel_open(&kernel, &ignored))
		return false;
	if (!bc_kernel_get_all(kernel, &volumes, &count, &ignored)) {
		for (size_t i = 0; i < count; i++)
			found |= volumes[i].backing == wanted ||
				 volumes[i].meta == wanted;
		bc_volumes_free(volumes, count);
	}
	bc_kernel_close(kernel);
	return found;
}

static int find_block(const struct bc_map_block *block, void *found)
{
	*(bool *)found = block->current >= 0;
	return 0;
}

/*
 * A device below the backing device, a half of a RAID-1 say, may end in the same
 * superblock; but its map is elsewhere then.
 */
static bool map_is_here(struct bc_meta *meta)
{
	uint64_t map = bc_layout_meta_bytes(meta->super.sectors << 9,
					    meta->super.region_shift);
	struct bc_error ignored;
	bool found = false;

	if (meta->super.map_offset + map == meta->size)
		return true;
	return !bc_meta_map_walk(meta, 0, 1, find_block, &found, &ignored) && found;
}

static bool has_superblock(const char *path)
{
	struct bc_blockdev device;
	struct bc_error ignored;
	struct bc_meta meta;
	bool here;

	if (bc_blockdev_open(&device, path, BC_BLOCKDEV_DIRECT, &ignored))
		return false;
	here = !bc_meta_open(&meta, device.fd, device.bytes, path, &ignored) &&
	       map_is_here(&meta);
	bc_blockdev_close(&device);
	return here;
}

int cmd_holds(int argc, char **argv)
{
	struct stat st;
	int exit_code;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (stat(rest[0], &st))
		return cli_failf("%s: %s", rest[0], strerror(errno));
	if (!S_ISBLK(st.st_mode))
		return cli_failf("%s is no block device", rest[0]);
	if (!configured(st.st_rdev) && !up(st.st_rdev) && !has_superblock(rest[0]))
		return CLI_FAILED;
	printf("BLKCAST_MEMBER=1\nID_FS_TYPE=blkcast_member\nID_FS_USAGE=raid\n");
	return CLI_DONE;
}
