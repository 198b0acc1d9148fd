// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast create: metadata and configuration of a new volume, or of one more
 * copy of a volume that exists (--uuid and --size of the first).
 *
 * Flow: look at everything, refuse or go on; write the configuration; wipe what
 * is to be overwritten; write the metadata.  The configuration comes first
 * because it is what can fail without the device being touched, and it is taken
 * away again if the device fails.
 *
 * A new copy starts with all regions never written: they read as zeros here and
 * everywhere, so nothing needs to be synced.  --keep-data instead stamps all
 * regions with the one write of a reign of its own (RULES 1 and 3): the content
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

#include "cli.h"
#include "copy.h"
#include "probe.h"
#include "util.h"

#define KEPT_TERM 1

static const char *device, *meta_path, *uuid_text, *ack_text;
static uint64_t size, region_size, backlog;
static bool keep_data, force;

static const struct cli_option options[] = {
	{ "device", CLI_TEXT, &device, "DEV", "backing block device" },
	{ "meta", CLI_TEXT, &meta_path, "DEV|FILE",
	  "metadata elsewhere; a missing FILE is made" },
	{ "size", CLI_SIZE, &size, "SIZE", "of the volume; default: all there is" },
	{ "region-size", CLI_SIZE, &region_size, "SIZE",
	  "64K..4M, power of two; default: by size" },
	{ "uuid", CLI_TEXT, &uuid_text, "UUID", "one more copy of the volume UUID" },
	{ "keep-data", CLI_FLAG, &keep_data, NULL,
	  "what the device holds becomes the volume's content" },
	{ "ack", CLI_TEXT, &ack_text, "local|disk",
	  "when a write counts as done; default: local" },
	{ "backlog", CLI_SIZE, &backlog, "SIZE", "1M..4G, default 64M" },
	{ "force", CLI_FLAG, &force, NULL, "overwrite what the device holds" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME --device DEV [OPTION...]",
	"Write the metadata and the configuration of a new volume. Prints the command\n"
	"that makes the copies on other hosts.",
	options, 1, 1
};

/* --- options into a configuration ------------------------------------- */

static int take_options(struct bc_volume_config *config, const char *name,
			struct bc_error *error)
{
	int ack = ack_text ? bc_ack_parse(ack_text) : BLKCAST_ACK_LOCAL;
	int ret;

	memset(config, 0, sizeof(*config));
	if (!bc_name_valid(name))
		return bc_fail(error, -EINVAL, "'%s' is no name of a volume: 1..63 of a-z A-Z 0-9 . _ -",
			       name);
	if (ack < 0)
		return bc_fail(error, -EINVAL, "--ack must be local or disk, not '%s'",
			       ack_text);
	if (backlog && (backlog < (1ULL << 20) || backlog > (4ULL << 30)))
		return bc_fail(error, -EINVAL, "--backlog must be 1M..4G");
	bc_uuid_generate(config->uuid);
	if (uuid_text && bc_uuid_parse(uuid_text, config->uuid))
		return bc_fail(error, -EINVAL, "--uuid: '%s' is no uuid", uuid_text);
	if (uuid_text && keep_data)
		return bc_fail(error, -EINVAL,
			       "--keep-data makes a volume's first copy; the others (--uuid) get its content from there");
	if (region_size & (region_size - 1))
		return bc_fail(error, -EINVAL, "--region-size must be a power of two");
	strcpy(config->name, name);
	config->ack = ack;
	config->backlog = backlog;
	ret = cli_absolute(config->backing, sizeof(config->backing), device, error);
	if (!ret && meta_path)
		ret = cli_absolute(config->meta, sizeof(config->meta), meta_path,
				   error);
	return ret;
}

static int check_unconfigured(const char *name, struct bc_error *error)
{
	struct bc_volume_config config;
	int ret;

	ret = bc_volume_config_load(&config, name, error);
	if (ret == -ENOENT)
		return 0;
	if (ret)
		return ret;
	bc_volume_config_release(&config);
	return bc_fail(error, -EEXIST,
		       "volume %s: exists on this host already; 'blkcast destroy %s' forgets it",
		       name, name);
}

/* --- the metadata file ------------------------------------------------- */

/* Make a missing metadata file of the size needed; *made says so. */
static int make_meta_file(const struct bc_volume_config *config, bool *made,
			  struct bc_error *error)
{
	struct bc_blockdev backing;
	struct bc_layout layout;
	int ret, fd;

	if (!config->meta[0] || !access(config->meta, F_OK))
		return 0;
	ret = bc_blockdev_open(&backing, config->backing, 0, error);
	if (ret)
		return ret;
	ret = bc_layout_compute(&layout, backing.bytes, UINT64_MAX, size,
				region_size ? __builtin_ctzll(region_size) : 0, error);
	bc_blockdev_close(&backing);
	if (ret)
		return ret;
	fd = open(config->meta, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return bc_fail_errno(error, -errno, "cannot make %s", config->meta);
	*made = true;
	ret = -posix_fallocate(fd, 0, layout.meta_bytes > BLKCAST_META_DEVICE_MIN ?
			       layout.meta_bytes : BLKCAST_META_DEVICE_MIN);
	if (!ret && fsync(fd))
		ret = -errno;
	close(fd);
	return ret ? bc_fail_errno(error, ret, "cannot make %s", config->meta) : 0;
}

/* --- what the devices hold --------------------------------------------- */

static int check_old_volume(struct bc_blockdev *blockdev, const char *path,
			    struct bc_error *error)
{
	struct bc_error none;
	struct bc_meta meta;
	int ret;

	if (force)
		return 0;
	ret = bc_meta_open(&meta, blockdev->fd, blockdev->bytes, path, &none);
	if (ret == -ENODATA)
		return 0;
	if (ret)
		return bc_fail(error, -EEXIST, "%s; --force overwrites them", none.text);
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

static int check_content(struct bc_copy *copy, const struct bc_volume_config *config,
			 const struct bc_layout *layout, struct bc_error *error)
{
	bool whole = config->meta[0] && layout->bytes ==
		     copy->backing.bytes - copy->backing.bytes % BLKCAST_BLOCK_SIZE;
	struct probe probe;
	int ret;

	ret = probe_device(&probe, copy->backing.fd, config->backing, error);
	if (ret)
		return ret;
	if (keep_data && whole)
		return 0;
	if (keep_data && force && !probe.end)
		return 0;
	if (keep_data)
		return check_kept(&probe, config->backing, layout->bytes, error);
	if (probe.type[0] && !force)
		return bc_fail(error, -EEXIST,
			       "%s holds %s; --keep-data makes it the volume's content, --force overwrites it",
			       config->backing, probe.type);
	return 0;
}

static int check_meta_content(struct bc_copy *copy,
			      const struct bc_volume_config *config,
			      struct bc_error *error)
{
	struct probe probe;
	int ret;

	if (copy->external.fd < 0 || force)
		return 0;
	ret = probe_device(&probe, copy->external.fd, config->meta, error);
	if (!ret && probe.type[0])
		ret = bc_fail(error, -EEXIST, "%s holds %s; --force overwrites it",
			      config->meta, probe.type);
	return ret;
}

/* --- metadata ----------------------------------------------------------- */

static void fill_super(struct bc_super *super, const struct bc_volume_config *config,
		       const struct bc_layout *layout)
{
	struct blkcast_reign kept = { .term = htole32(KEPT_TERM) };

	memset(super, 0, sizeof(*super));
	bc_uuid_generate(super->node);
	memcpy(super->volume, config->uuid, sizeof(super->volume));
	super->sectors = layout->bytes / 512;
	super->map_offset = layout->map_offset;
	super->regions = layout->regions;
	super->map_blocks = layout->map_blocks;
	super->region_shift = layout->region_shift;
	super->flags = config->meta[0] ? 0 : BLKCAST_SUPER_INTERNAL;
	snprintf(super->name, sizeof(super->name), "%s", config->name);
	if (keep_data) {
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
static int make_stamps(uint64_t **stamps, const struct bc_layout *layout,
		       struct bc_error *error)
{
	*stamps = NULL;
	if (!keep_data)
		return 0;
	*stamps = malloc(layout->regions * sizeof(**stamps));
	if (!*stamps)
		return bc_fail(error, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < layout->regions; i++)
		(*stamps)[i] = blkcast_lsn(KEPT_TERM, 1);
	return 0;
}

static int write_device(struct bc_copy *copy, const struct bc_volume_config *config,
			const struct bc_layout *layout, struct bc_error *error)
{
	struct bc_blockdev *on = bc_copy_meta_device(copy);
	uint64_t *stamps = NULL;
	int ret;

	fill_super(&copy->meta.super, config, layout);
	ret = make_stamps(&stamps, layout, error);
	if (!ret && !keep_data)
		ret = probe_wipe(config->backing, error);
	if (!ret)
		ret = bc_meta_format(&copy->meta, on->fd, on->bytes,
				     bc_copy_meta_path(config), stamps, error);
	free(stamps);
	return ret;
}

static int write_all(struct bc_copy *copy, const struct bc_volume_config *config,
		     const struct bc_layout *layout, struct bc_error *error)
{
	struct bc_error ignored;
	int ret;

	ret = bc_volume_config_save(config, error);
	if (ret)
		return ret;
	ret = write_device(copy, config, layout, error);
	if (!ret)
		ret = bc_volume_end_save(config->name, copy->meta.size, error);
	if (ret)
		bc_volume_config_remove(config->name, &ignored);
	return ret;
}

static void print_done(const struct bc_copy *copy,
		       const struct bc_volume_config *config)
{
	const struct bc_super *super = &copy->meta.super;
	char uuid[BC_UUID_TEXT], bytes[BC_SIZE_TEXT], region[BC_SIZE_TEXT];

	bc_uuid_format(super->volume, uuid);
	printf("Volume %s: %s on %s, %u regions of %s.\n", config->name,
	       bc_size_format(super->sectors * 512, bytes), config->backing,
	       super->regions,
	       bc_size_format(1ULL << super->region_shift, region));
	if (uuid_text)
		return;
	printf("On each host that shall have a copy:\n  blkcast create %s --device DEV --uuid %s --size %" PRIu64,
	       config->name, uuid, (uint64_t)super->sectors * 512);
	if (region_size)
		printf(" --region-size %" PRIu64, region_size);
	printf("\n");
}

/* --- the command -------------------------------------------------------- */

static int create_on(struct bc_copy *copy, const struct bc_volume_config *config,
		     struct bc_error *error)
{
	struct bc_layout layout;
	int ret;

	ret = bc_layout_compute(&layout, copy->backing.bytes,
				copy->external.fd >= 0 ? copy->external.bytes : 0,
				size, region_size ? __builtin_ctzll(region_size) : 0,
				error);
	if (ret) {
		bc_error_prefix(error, "volume %s on %s", config->name,
				config->backing);
		return ret;
	}
	ret = check_old_volume(bc_copy_meta_device(copy),
			       bc_copy_meta_path(config), error);
	if (!ret)
		ret = check_meta_content(copy, config, error);
	if (!ret)
		ret = check_content(copy, config, &layout, error);
	return ret ? ret : write_all(copy, config, &layout, error);
}

static int create(const struct bc_volume_config *config, struct bc_error *error)
{
	struct bc_copy copy;
	bool made = false;
	int ret;

	ret = make_meta_file(config, &made, error);
	if (!ret)
		ret = bc_copy_open_devices(&copy, config, error);
	if (!ret) {
		ret = create_on(&copy, config, error);
		if (!ret)
			print_done(&copy, config);
		bc_copy_close(&copy);
	}
	if (ret && made)
		unlink(config->meta);
	return ret;
}

int cmd_create(int argc, char **argv)
{
	struct bc_volume_config config;
	struct bc_error error;
	int exit_code, ret;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (!device) {
		cli_failf("--device is missing: blkcast create %s", syntax.synopsis);
		return CLI_USAGE;
	}
	if (take_options(&config, rest[0], &error)) {
		cli_failed(&error);
		return CLI_USAGE;
	}
	ret = check_unconfigured(rest[0], &error);
	if (!ret)
		ret = create(&config, &error);
	return ret ? cli_failed(&error) : CLI_DONE;
}
