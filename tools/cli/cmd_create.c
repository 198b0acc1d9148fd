// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast create: metadata and configuration of a new volume, or of one more
 * copy of a volume that exists (--uuid and --size of the first).
 *
 * Flow: look at everything, refuse or go on; write the configuration; write the
 * metadata (newcopy.c).  The configuration comes first because it is what can fail
 * without the device being touched, and it is taken away again if the device
 * fails.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "newcopy.h"
#include "util.h"

static const char *device, *meta_path, *uuid_text, *ack_text, *membership_text;
static uint64_t size, max_size, region_size, backlog;
static bool keep_data, force;

static const struct cli_option options[] = {
	{ "device", CLI_TEXT, &device, "DEV", "backing block device" },
	{ "meta", CLI_TEXT, &meta_path, "DEV|FILE",
	  "metadata elsewhere; a missing FILE is made" },
	{ "size", CLI_SIZE, &size, "SIZE", "of the volume; default: all there is" },
	{ "max-size", CLI_SIZE, &max_size, "SIZE",
	  "to which it may grow, up to 64T; default: 4 times its size" },
	{ "region-size", CLI_SIZE, &region_size, "SIZE",
	  "64K..4M, power of two; default: by size" },
	{ "uuid", CLI_TEXT, &uuid_text, "UUID", "one more copy of the volume UUID" },
	{ "keep-data", CLI_FLAG, &keep_data, NULL,
	  "what the device holds becomes the volume's content" },
	{ "ack", CLI_TEXT, &ack_text, "local|memory|disk",
	  "when a write counts as done; default: local" },
	{ "membership", CLI_TEXT, &membership_text, "auto|managed",
	  "who changes the in-sync set: the links, or 'blkcast member' alone; default: auto" },
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
	int membership = membership_text ? bc_membership_parse(membership_text) :
					   BLKCAST_MEMBERSHIP_AUTO;
	int ret;

	memset(config, 0, sizeof(*config));
	if (!bc_name_valid(name))
		return bc_fail(error, -EINVAL, "'%s' is no name of a volume: 1..63 of a-z A-Z 0-9 . _ -",
			       name);
	if (ack < 0)
		return bc_fail(error, -EINVAL, "--ack must be local, memory or disk, not '%s'",
			       ack_text);
	if (membership < 0)
		return bc_fail(error, -EINVAL,
			       "--membership must be auto or managed, not '%s'",
			       membership_text);
	if (membership == BLKCAST_MEMBERSHIP_MANAGED && ack != BLKCAST_ACK_DISK)
		return bc_fail(error, -EINVAL, "--membership managed goes with --ack disk");
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
	if (membership_text)
		config->membership = membership + 1;
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

/* --- the command -------------------------------------------------------- */

static int write_all(struct newcopy *new, struct bc_error *error)
{
	struct bc_error ignored;
	int ret;

	ret = bc_volume_config_save(new->config, error);
	if (ret)
		return ret;
	ret = newcopy_write(new, error);
	if (!ret)
		ret = bc_volume_end_save(new->config->name, new->copy.meta.size, error);
	if (ret)
		bc_volume_config_remove(new->config->name, &ignored);
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
	if (max_size)
		printf(" --max-size %" PRIu64, max_size);
	if (region_size)
		printf(" --region-size %" PRIu64, region_size);
	if (config->membership == BLKCAST_MEMBERSHIP_MANAGED + 1)
		printf(" --ack disk --membership managed");
	printf("\n");
}

static int create(const struct bc_volume_config *config, struct bc_error *error)
{
	struct newcopy new = {
		.config = config,
		.size = size,
		.max_size = max_size,
		.region_shift = region_size ? __builtin_ctzll(region_size) : 0,
		.keep_data = keep_data,
		.further = uuid_text,
		.force = force,
	};
	int ret;

	ret = newcopy_open(&new, error);
	if (ret)
		return ret;
	ret = write_all(&new, error);
	if (!ret)
		print_done(&new.copy, config);
	newcopy_close(&new, ret);
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
