// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See newcopy.h.
 *
 * A new copy starts with all regions never written: they read as zeros here and
 * everywhere, so nothing needs to be synced.  With @keep_data all regions are
 * stamped with the one write of a reign of its own (RULES 1 and 3): the content
 * counts as written here, and every replica gets it in full.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../snapshot/head.h"
#include "kernel.h"
#include "newcopy.h"
#include "probe.h"
#include "util.h"

#define KEPT_TERM 1

static int compute(const struct newcopy *new, struct bc_layout *layout,
		   uint64_t backing, uint64_t meta, struct bc_error *error)
{
	const struct bc_layout_want want = {
		.backing_bytes = backing, .meta_bytes = meta,
		.volume_bytes = new->size, .max_bytes = new->max_size,
		.region_shift = new->region_shift,
	};

	return bc_layout_compute(layout, &want, error);
}

/* --- the metadata file ------------------------------------------------- */

/* Make a missing metadata file of the size needed. */
static int make_meta_file(struct newcopy *new, struct bc_error *error)
{
	const struct bc_volume_config *config = new->config;
	struct bc_blockdev backing;
	struct bc_layout layout;
	int ret, fd;

	if (!config->meta[0] || !access(config->meta, F_OK))
		return 0;
	ret = bc_blockdev_open(&backing, config->backing, 0, error);
	if (ret)
		return ret;
	ret = compute(new, &layout, backing.bytes, UINT64_MAX, error);
	bc_blockdev_close(&backing);
	if (ret)
		return ret;
	fd = open(config->meta, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return bc_fail_errno(error, -errno, "cannot make %s", config->meta);
	new->made_meta = true;
	ret = -posix_fallocate(fd, 0, layout.meta_bytes > BLKCAST_META_DEVICE_MIN ?
			       layout.meta_bytes : BLKCAST_META_DEVICE_MIN);
	if (!ret && fsync(fd))
		ret = -errno;
	close(fd);
	return ret ? bc_fail_errno(error, ret, "cannot make %s", config->meta) : 0;
}

/* --- what the devices hold --------------------------------------------- */

static int check_old_volume(struct newcopy *new, struct bc_error *error)
{
	struct bc_blockdev *on = bc_copy_meta_device(&new->copy);
	const char *path = bc_copy_meta_path(new->config);
	struct bc_error none;
	struct bc_meta meta;
	int ret;

	if (new->force)
		return 0;
	ret = bc_meta_open(&meta, on->fd, on->bytes, path, &none);
	if (ret == -ENODATA)
		return 0;
	if (ret)
		return bc_fail(error, -EEXIST, "%s; --force overwrites them", none.text);
	if (new->replaces && new->copy.external.fd >= 0 &&
	    !memcmp(meta.super.volume, new->config->uuid, sizeof(meta.super.volume)))
		return 0;
	return bc_fail(error, -EEXIST,
		       "%s holds a copy of volume %s already; --force overwrites it",
		       path, meta.super.name);
}

static int check_kept(const struct probe *probe, const char *path, uint64_t bytes,
		      struct bc_error *error)
{
	char end[BC_SIZE_TEXT], room[BC_SIZE_TEXT];

	if (!probe->type[0])
		return bc_fail(error, -EINVAL,
			       "%s holds no filesystem that libblkid knows, so nobody can tell whether its end is free for the metadata; use --meta, or --force if you know it is",
			       path);
	if (!probe->end)
		return bc_fail(error, -EINVAL,
			       "%s holds %s, whose end is not known here; use --meta, or --force if you know that the end is free",
			       path, probe->type);
	if (probe->end > bytes)
		return bc_fail(error, -ENOSPC,
			       "%s: the %s reaches to byte %" PRIu64 " (%s), the volume would end at %" PRIu64 " (%s); shrink the filesystem first or use --meta",
			       path, probe->type, probe->end,
			       bc_size_format(probe->end, end), bytes,
			       bc_size_format(bytes, room));
	return 0;
}

static int check_content(struct newcopy *new, struct bc_error *error)
{
	const struct bc_volume_config *config = new->config;
	uint64_t bytes = new->copy.backing.bytes;
	bool whole = config->meta[0] &&
		     new->layout.bytes == bytes - bytes % BLKCAST_BLOCK_SIZE;
	struct probe probe;
	int ret;

	ret = probe_device(&probe, new->copy.backing.fd, config->backing, error);
	if (!ret && new->keep_data)
		ret = head_refuse(new->copy.backing.fd, config->backing, error);
	if (ret)
		return ret;
	if (new->keep_data && whole)
		return 0;
	if (new->keep_data && new->force && !probe.end)
		return 0;
	if (new->keep_data)
		return check_kept(&probe, config->backing, new->layout.bytes, error);
	if (probe.type[0] && !new->force)
		return bc_fail(error, -EEXIST, "%s holds %s; %s--force overwrites it",
			       config->backing, probe.type, new->further ? "" :
			       "--keep-data makes it the volume's content, ");
	return 0;
}

static int check_meta_content(struct newcopy *new, struct bc_error *error)
{
	const char *path = new->config->meta;
	struct probe probe;
	int ret;

	if (new->copy.external.fd < 0 || new->force)
		return 0;
	ret = probe_device(&probe, new->copy.external.fd, path, error);
	if (!ret && probe.type[0])
		ret = bc_fail(error, -EEXIST, "%s holds %s; --force overwrites it",
			      path, probe.type);
	return ret;
}

/* --- metadata ----------------------------------------------------------- */

static void fill_super(struct bc_super *super, const struct newcopy *new)
{
	const struct bc_layout *layout = &new->layout;
	struct blkcast_reign kept = { .term = htole32(KEPT_TERM) };

	memset(super, 0, sizeof(*super));
	bc_uuid_generate(super->node);
	memcpy(super->volume, new->config->uuid, sizeof(super->volume));
	super->sectors = layout->bytes / 512;
	super->map_offset = layout->map_offset;
	super->regions = layout->regions;
	super->map_blocks = layout->map_blocks;
	super->region_shift = layout->region_shift;
	super->flags = new->flags | (new->config->meta[0] ? 0 : BLKCAST_SUPER_INTERNAL);
	if (new->config->membership == BLKCAST_MEMBERSHIP_MANAGED + 1)
		super->flags |= BLKCAST_SUPER_MANAGED;
	super->term = new->term;
	snprintf(super->name, sizeof(super->name), "%s", new->config->name);
	/* The first copy begins the first reign. */
	if (!new->further)
		memcpy(super->heir, super->node, sizeof(super->heir));
	if (new->keep_data) {
		bc_random(&kept.reign, sizeof(kept.reign));
		super->term = KEPT_TERM;
		super->reigns = 1;
		memcpy(kept.copy, super->node, sizeof(kept.copy));
		super->history[0] = kept;
		/* Nobody's primary overwrites it unasked. */
		super->flags |= BLKCAST_SUPER_OWN;
	}
}

/* All regions as written once, or NULL for never. */
static int make_stamps(uint64_t **stamps, const struct newcopy *new,
		       struct bc_error *error)
{
	*stamps = NULL;
	if (!new->keep_data)
		return 0;
	*stamps = malloc(new->layout.regions * sizeof(**stamps));
	if (!*stamps)
		return bc_fail(error, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < new->layout.regions; i++)
		(*stamps)[i] = blkcast_lsn(KEPT_TERM, 1);
	return 0;
}

/* --- the steps ----------------------------------------------------------- */

static int look(struct newcopy *new, struct bc_error *error)
{
	const struct bc_copy *copy = &new->copy;
	int ret;

	ret = compute(new, &new->layout, copy->backing.bytes,
		      copy->external.fd >= 0 ? copy->external.bytes : 0, error);
	if (ret) {
		bc_error_prefix(error, "volume %s on %s", new->config->name,
				new->config->backing);
		return ret;
	}
	ret = check_old_volume(new, error);
	if (!ret)
		ret = check_meta_content(new, error);
	return ret ? ret : check_content(new, error);
}

int newcopy_open(struct newcopy *new, struct bc_error *error)
{
	int ret;

	new->copy.backing.fd = new->copy.external.fd = -1;
	ret = make_meta_file(new, error);
	if (!ret)
		ret = bc_copy_open_devices(&new->copy, new->config, error);
	if (!ret)
		ret = look(new, error);
	if (ret)
		newcopy_close(new, true);
	return ret;
}

int newcopy_write(struct newcopy *new, struct bc_error *error)
{
	struct bc_blockdev *on = bc_copy_meta_device(&new->copy);
	uint64_t *stamps;
	int ret;

	fill_super(&new->copy.meta.super, new);
	ret = make_stamps(&stamps, new, error);
	if (!ret && !new->keep_data)
		ret = probe_wipe(new->config->backing, error);
	if (!ret)
		ret = bc_meta_format(&new->copy.meta, on->fd, on->bytes,
				     bc_copy_meta_path(new->config), stamps, error);
	free(stamps);
	return ret;
}

void newcopy_close(struct newcopy *new, bool failed)
{
	bc_copy_close(&new->copy);
	if (failed && new->made_meta)
		unlink(new->config->meta);
	new->made_meta = false;
}
