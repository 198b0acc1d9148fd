// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast up: from the configuration to a device.  A metadata file becomes a
 * loop device, which goes away by itself when the kernel lets go of it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blockdev.h"
#include "cli.h"
#include "copy.h"
#include "detach.h"
#include "devlink.h"
#include "util.h"

static bool all;

static const struct cli_option options[] = {
	{ "all", CLI_FLAG, &all, NULL, "all that are configured and not up" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME|--all",
	"Bring a configured volume up, as a replica. It appears as\n"
	"/dev/blkcast/NAME; 'blkcast primary' makes it writable.",
	options, 0, 1
};

static int open_meta(struct bc_blockdev *meta, const struct bc_volume_config *config,
		     struct bc_error *error)
{
	int ret;

	ret = bc_blockdev_open(meta, config->meta, BC_BLOCKDEV_FILE, error);
	if (ret || !meta->is_file)
		return ret;
	bc_blockdev_close(meta);
	return bc_blockdev_loop(meta, config->meta, error);
}

static int check_mounted(const char *path, struct bc_error *error)
{
	char where[256];

	if (!bc_blockdev_mounted(path, where, sizeof(where)))
		return 0;
	return bc_fail(error, -EBUSY, "%s is %s", path, where);
}

static int open_devices(struct bc_blockdev *backing, struct bc_blockdev *meta,
			const struct bc_volume_config *config,
			struct bc_error *error)
{
	int ret;

	backing->fd = -1;
	meta->fd = -1;
	ret = check_mounted(config->backing, error);
	if (!ret)
		ret = bc_blockdev_open(backing, config->backing, BC_BLOCKDEV_DIRECT,
				       error);
	if (!ret && config->meta[0])
		ret = open_meta(meta, config, error);
	if (ret)
		bc_error_prefix(error, "volume %s", config->name);
	return ret;
}

/* Device names move: is this the volume that is meant? */
static int check_uuid(const struct bc_blockdev *on,
		      const struct bc_volume_config *config, struct bc_error *error)
{
	static const uint8_t unknown[sizeof(config->uuid)];
	char here[BC_UUID_TEXT], wanted[BC_UUID_TEXT];
	struct bc_meta meta;
	int ret;

	ret = bc_meta_open_known(&meta, on->fd, on->bytes, config->meta_end,
				 bc_copy_meta_path(config), error);
	if (!ret && memcmp(config->uuid, unknown, sizeof(unknown)) &&
	    memcmp(config->uuid, meta.super.volume, sizeof(config->uuid)))
		ret = bc_fail(error, -EXDEV,
			      "wrong volume: %s holds a copy of %s with the uuid %s, configured is %s",
			      bc_copy_meta_path(config), meta.super.name,
			      bc_uuid_format(meta.super.volume, here),
			      bc_uuid_format(config->uuid, wanted));
	if (ret)
		bc_error_prefix(error, "volume %s", config->name);
	return ret;
}

/* It is not as it is configured: nobody shall use it. */
static void down_again(struct bc_kernel *kernel, const char *name)
{
	struct bc_error error;

	if (volume_down(kernel, name, &error))
		fprintf(stderr, "blkcast: warning: %s; it stays up until 'blkcast down %s'\n",
			error.text, name);
}

/* The volume is up all the same: this matters once its device is enlarged. */
static void remember_end(struct bc_kernel *kernel,
			 const struct bc_volume_config *config)
{
	struct bc_error error;

	if (bc_volume_end_refresh(kernel, config->name, config->meta_end, &error))
		fprintf(stderr, "blkcast: warning: %s\n", error.text);
}

int volume_up(struct bc_kernel *kernel, const struct bc_volume_config *config,
	      struct bc_error *error)
{
	struct bc_blockdev backing, meta;
	struct bc_up up = { .name = config->name, .backlog = config->backlog,
			    .meta_end = config->meta_end };
	uint32_t minor;
	int ret;

	ret = bc_detached_settle(config, error);
	if (ret)
		return ret;
	ret = open_devices(&backing, &meta, config, error);
	if (ret)
		goto cleanup;
	up.backing = backing.dev;
	up.meta = meta.fd >= 0 ? meta.dev : backing.dev;
	ret = check_uuid(meta.fd >= 0 ? &meta : &backing, config, error);
	if (ret)
		goto cleanup;
	ret = bc_kernel_up(kernel, &up, &minor, error);
	if (ret)
		goto cleanup;
	ret = bc_kernel_set(kernel, config->name,
			    &(struct bc_set){ .ack = config->ack,
					      .resync_rate = config->resync_rate,
					      .active_max = config->active_max,
					      .min_isr = config->min_isr,
					      .on_loss = config->on_loss,
					      .membership = config->membership - 1,
					      .on_io_error = config->on_io_error,
					      .max_lag_ms = config->max_lag_ms }, error);
	if (!ret)
		ret = devlink_settle(config->name, minor, error);
	if (!ret)
		remember_end(kernel, config);
	else
		down_again(kernel, config->name);
cleanup:
	bc_blockdev_close(&backing);
	bc_blockdev_close(&meta);
	return ret;
}

static int up_one(struct bc_kernel *kernel, const char *name)
{
	struct bc_volume_config config;
	struct bc_error error;
	int ret;

	ret = bc_volume_config_load(&config, name, &error);
	if (ret)
		return cli_failed(&error);
	ret = volume_up(kernel, &config, &error);
	bc_volume_config_release(&config);
	return ret ? cli_failed(&error) : CLI_DONE;
}

static bool is_up(struct bc_kernel *kernel, const char *name)
{
	struct bc_volume volume;
	struct bc_error error;

	if (bc_kernel_get(kernel, name, &volume, &error))
		return false;
	bc_volume_release(&volume);
	return true;
}

static int up_all(struct bc_kernel *kernel)
{
	struct bc_volume_config *configs;
	struct bc_error error;
	int exit_code = CLI_DONE;
	size_t count;

	if (bc_volume_configs_load(&configs, &count, &error))
		exit_code = cli_failed(&error);
	for (size_t i = 0; i < count; i++) {
		if (is_up(kernel, configs[i].name))
			continue;
		if (volume_up(kernel, &configs[i], &error))
			exit_code = cli_failed(&error);
	}
	bc_volume_configs_free(configs, count);
	return exit_code;
}

int cmd_up(int argc, char **argv)
{
	struct bc_kernel *kernel;
	struct bc_error error;
	int exit_code;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (all == (rest[0] != NULL)) {
		fprintf(stderr, "Usage: blkcast up %s\n", syntax.synopsis);
		return CLI_USAGE;
	}
	if (bc_kernel_open(&kernel, &error))
		return cli_failed(&error);
	exit_code = all ? up_all(kernel) : up_one(kernel, rest[0]);
	bc_kernel_close(kernel);
	return exit_code;
}
