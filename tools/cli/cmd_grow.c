// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast grow: make a volume larger while it is written to.
 *
 * The devices below have been enlarged before, on every host.  The primary's
 * kernel does the rest: it asks each connected replica how much room it has, and
 * tells it the new size.  What is to be said when something is too small is said
 * here, where the names and paths are known.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "blockdev.h"
#include "cli.h"
#include "copy.h"
#include "util.h"

static uint64_t size;

static const struct cli_option options[] = {
	{ "size", CLI_SIZE, &size, "SIZE",
	  "of the volume from now on; default: all its devices here have room for" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME [--size SIZE]",
	"Make a volume and all its copies larger, while it is written to. Enlarge the\n"
	"devices below it on all hosts first, then run this on the primary.",
	options, 1, 1
};

/* --- too small: where, and what to do ----------------------------------- */

/* Bytes by which the metadata's device has been enlarged and nothing come of it. */
static int enlarged_by(const struct bc_volume_config *config,
		       const struct bc_volume *volume, uint64_t *bytes,
		       struct bc_error *error)
{
	struct bc_blockdev device;
	int ret;

	ret = bc_blockdev_open(&device, bc_copy_meta_path(config), BC_BLOCKDEV_FILE,
			       error);
	if (ret)
		return ret;
	*bytes = device.bytes > volume->meta_end ? device.bytes - volume->meta_end : 0;
	bc_blockdev_close(&device);
	return 0;
}

static int no_room(const struct bc_volume_config *config,
		   const struct bc_volume *volume, struct bc_error *error)
{
	uint64_t by, need = bc_layout_meta_bytes(volume->sectors * 512 * 2,
						 volume->region_shift);
	char text[BC_SIZE_TEXT], have[BC_SIZE_TEXT];
	int ret;

	ret = enlarged_by(config, volume, &by, error);
	if (ret)
		return ret;
	if (!config->meta[0] && by)
		return bc_fail(error, -ENOSPC,
			       "volume %s: %s has been enlarged by %s, but the metadata, which move to its new end, may need %s: enlarge it by more than that",
			       config->name, config->backing, bc_size_format(by, have),
			       bc_size_format(need, text));
	return bc_fail(error, -ENOSPC,
		       "volume %s: fills %s%s%s already: enlarge %s first",
		       config->name, config->backing, config->meta[0] ? " or " : "",
		       config->meta, config->meta[0] ? "them" : "it");
}

static int check_size(const struct bc_volume_config *config,
		      const struct bc_volume *volume, uint64_t wanted,
		      struct bc_error *error)
{
	uint64_t bytes = volume->sectors * 512, room = volume->room * 512;
	char is[BC_SIZE_TEXT], want[BC_SIZE_TEXT];

	if (wanted < bytes)
		return bc_fail(error, -EINVAL,
			       "volume %s: has %s, %s is less: volumes do not shrink",
			       config->name, bc_size_format(bytes, is),
			       bc_size_format(wanted, want));
	if (wanted == bytes)
		return bc_fail(error, -EINVAL, "volume %s: has %s already",
			       config->name, bc_size_format(bytes, is));
	if (wanted % BLKCAST_BLOCK_SIZE)
		return bc_fail(error, -EINVAL,
			       "volume %s: the size %" PRIu64 " is no multiple of 4096",
			       config->name, wanted);
	if (wanted > room)
		return bc_fail(error, -ENOSPC,
			       "volume %s: the devices here have room for %" PRIu64 " bytes, wanted are %" PRIu64 ": enlarge them first",
			       config->name, room, wanted);
	return 0;
}

/* The kernel has asked them just now. */
static void name_the_small(struct bc_kernel *kernel, const char *name,
			   uint64_t wanted, struct bc_error *error)
{
	struct bc_volume volume;
	struct bc_error ignored;

	if (bc_kernel_get(kernel, name, &volume, &ignored))
		return;
	for (uint32_t i = 0; i < volume.links; i++) {
		const struct bc_link *link = &volume.link[i];

		if (!bc_known(link, BLKCAST_L_ROOM) || link->room * 512 >= wanted)
			continue;
		bc_fail(error, -ENOSPC,
			"volume %s: the devices on %s have room for %" PRIu64 " bytes, wanted are %" PRIu64 ": enlarge them first, or grow by less (--size)",
			name, link->name, link->room * 512, wanted);
		break;
	}
	bc_volume_release(&volume);
}

/* --- the command ---------------------------------------------------------- */

static const struct bc_link *connected(const struct bc_volume *volume,
				       const char *peer)
{
	for (uint32_t i = 0; i < volume->links; i++) {
		if (!strcmp(volume->link[i].name, peer))
			return &volume->link[i];
	}
	return NULL;
}

static void print_done(const struct bc_volume_config *config,
		       const struct bc_volume *before, uint64_t bytes)
{
	char was[BC_SIZE_TEXT], now[BC_SIZE_TEXT];

	printf("Volume %s: %s, was %s. A filesystem on it has to be told (resize2fs, xfs_growfs).\n",
	       config->name, bc_size_format(bytes, now),
	       bc_size_format(before->sectors * 512, was));
	for (size_t i = 0; i < config->links; i++) {
		if (!connected(before, config->link[i].peer))
			printf("%s is not connected: enlarge its devices before it comes back.\n",
			       config->link[i].peer);
	}
}

static int grow(struct bc_kernel *kernel, const struct bc_volume_config *config,
		const struct bc_volume *volume, struct bc_error *error)
{
	uint64_t wanted = size ? size : volume->room * 512;
	struct bc_error ignored;
	int ret = 0, refreshed;

	if (volume->role != BLKCAST_ROLE_PRIMARY)
		return bc_fail(error, -EROFS,
			       "volume %s: is a replica here and grows with its primary: enlarge its devices, then 'blkcast grow %s' there",
			       config->name, config->name);
	if (!size && volume->room <= volume->sectors)
		ret = no_room(config, volume, error);
	if (!ret)
		ret = check_size(config, volume, wanted, error);
	if (ret)
		return ret;
	ret = bc_kernel_grow(kernel, config->name, wanted / 512, error);
	if (ret == -ENOBUFS)
		name_the_small(kernel, config->name, wanted, error);
	/* The metadata may have moved, whatever came then. */
	refreshed = bc_volume_end_refresh(kernel, config->name, config->meta_end,
					  ret ? &ignored : error);
	if (!ret)
		ret = refreshed;
	if (!ret)
		print_done(config, volume, wanted);
	return ret;
}

static int grow_named(struct bc_kernel *kernel, const char *name,
		      struct bc_error *error)
{
	struct bc_volume_config config;
	struct bc_volume volume;
	int ret;

	ret = bc_volume_config_load(&config, name, error);
	if (ret)
		return ret;
	ret = bc_kernel_get(kernel, name, &volume, error);
	if (!ret) {
		ret = grow(kernel, &config, &volume, error);
		bc_volume_release(&volume);
	}
	bc_volume_config_release(&config);
	return ret;
}

int cmd_grow(int argc, char **argv)
{
	struct bc_kernel *kernel;
	struct bc_error error;
	int exit_code, ret;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (bc_kernel_open(&kernel, &error))
		return cli_failed(&error);
	ret = grow_named(kernel, rest[0], &error);
	bc_kernel_close(kernel);
	return ret ? cli_failed(&error) : CLI_DONE;
}
