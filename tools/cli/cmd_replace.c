// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast replace: this host's copy of a volume is lost, its disk or its metadata,
 * and begins anew on a device that will do.
 *
 * Only the primary's content can fill it, so a primary is needed: its blkcastd
 * calls here again and again, and what it offers says what the copy has to be.
 * Without one nothing is done, which also keeps a primary that has lost its own
 * disk from becoming an empty replica while nobody reigns.
 *
 * The new copy has an id of its own: in no in-sync set can it pass for the old
 * one.  It is inconsistent until its first resync is done, so that it cannot be
 * made primary, and has seen the primary's term, so that it follows none of an
 * older one.  What the old device holds is left as it is.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "newcopy.h"
#include "util.h"

#define ASK_MS	5000
#define POLL_MS	200

static const char *device, *meta_path;
static uint32_t wait_s = 15;
static bool force;

static const struct cli_option options[] = {
	{ "device", CLI_TEXT, &device, "DEV", "the new backing block device" },
	{ "meta", CLI_TEXT, &meta_path, "DEV|FILE",
	  "metadata there; default: where they are configured" },
	{ "wait", CLI_NUMBER, &wait_s, "SECONDS", "for the primary (15)" },
	{ "force", CLI_FLAG, &force, NULL, "overwrite what the devices hold" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME --device DEV [OPTION...]",
	"Make this host's copy of a volume anew on DEV, for a disk or metadata that are\n"
	"lost: metadata, configuration, up; all content then comes from the primary. The\n"
	"volume must be down here, and another host its primary and connected to this\n"
	"one. What the old device holds is left as it is.",
	options, 1, 1
};

/**
 * struct offered - what the primary's copy is like
 * @peer: the primary's name
 */
struct offered {
	char peer[BLKCAST_NAME_MAX];
	uint8_t uuid[16];
	uint64_t bytes;
	uint32_t region_shift, term;
};

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000L }, NULL);
}

/* --- this host -------------------------------------------------------------- */

static int check_down(struct bc_kernel *kernel, const char *name,
		      struct bc_error *error)
{
	struct bc_volume volume;
	struct bc_error none;
	uint8_t role;

	if (bc_kernel_get(kernel, name, &volume, &none))
		return 0;
	role = volume.role;
	bc_volume_release(&volume);
	if (role == BLKCAST_ROLE_PRIMARY)
		return bc_fail(error, -EBUSY,
			       "volume %s: this host is its primary, and only another primary can fill a new disk: end the reign here ('blkcast replica %s'), make a replica that is in sync primary and connect it to this host ('blkcast primary %s' and 'blkcast connect %s --peer ...' there), then 'blkcast down %s' here and replace",
			       name, name, name, name, name);
	return bc_fail(error, -EBUSY,
		       "volume %s: the old copy is still up; 'blkcast down %s' first",
		       name, name);
}

/* What the old copy says, as far as it can be read; @super zero: nothing. */
static void read_old(const struct bc_volume_config *config, struct bc_super *super)
{
	struct bc_blockdev *on;
	struct bc_error none;
	struct bc_copy copy;

	memset(super, 0, sizeof(*super));
	if (bc_copy_open_devices_readonly(&copy, config, &none))
		return;
	on = bc_copy_meta_device(&copy);
	if (!bc_meta_open_known(&copy.meta, on->fd, on->bytes, config->meta_end,
				bc_copy_meta_path(config), &none))
		*super = copy.meta.super;
	bc_copy_close(&copy);
}

/* --- the primary -------------------------------------------------------------- */

static int take_offer(struct json_object *answer, struct offered *offered)
{
	struct json_object *peer, *uuid, *term, *bytes, *shift;

	if (!json_object_object_get_ex(answer, "peer", &peer) ||
	    !json_object_object_get_ex(answer, "uuid", &uuid) ||
	    !json_object_object_get_ex(answer, "term", &term) ||
	    !json_object_object_get_ex(answer, "bytes", &bytes) ||
	    !json_object_object_get_ex(answer, "region_shift", &shift) ||
	    bc_uuid_parse(json_object_get_string(uuid), offered->uuid))
		return -EAGAIN;
	snprintf(offered->peer, sizeof(offered->peer), "%s",
		 json_object_get_string(peer));
	offered->term = json_object_get_int64(term);
	offered->bytes = json_object_get_int64(bytes);
	offered->region_shift = json_object_get_int64(shift);
	return 0;
}

/* -EAGAIN: no primary has called yet. */
static int ask_offer(const char *name, struct offered *offered,
		     struct bc_error *error)
{
	struct json_object *answer;
	struct control *control;
	int ret;

	ret = control_open(&control, error);
	if (ret)
		return ret;
	ret = control_ask(control, control_request("offer", name), ASK_MS, &answer,
			  error);
	control_close(control);
	if (ret)
		return ret;
	ret = take_offer(answer, offered);
	json_object_put(answer);
	return ret;
}

static int wait_offer(const char *name, struct offered *offered,
		      struct bc_error *error)
{
	uint64_t until = bc_now_ns() + wait_s * 1000000000ULL;
	int ret;

	while ((ret = ask_offer(name, offered, error)) == -EAGAIN &&
	       bc_now_ns() < until)
		nap();
	if (ret != -EAGAIN)
		return ret;
	return bc_fail(error, -ENOLINK,
		       "volume %s: no primary has called this host within %u s, and only a primary can fill a new disk: have it connected there ('blkcast connect %s --peer ...'); if this host was the primary, first make a replica that was in sync primary ('blkcast primary %s --force' there)",
		       name, wait_s, name, name);
}

static int check_offer(const struct bc_volume_config *config,
		       const struct bc_super *old, const struct offered *offered,
		       struct bc_error *error)
{
	static const uint8_t unknown[sizeof(config->uuid)];
	char here[BC_UUID_TEXT], there[BC_UUID_TEXT];
	const uint8_t *uuid = memcmp(config->uuid, unknown, sizeof(unknown)) ?
			      config->uuid : old->volume;

	if (memcmp(uuid, unknown, sizeof(unknown)) &&
	    memcmp(uuid, offered->uuid, sizeof(unknown)))
		return bc_fail(error, -EXDEV,
			       "volume %s: %s offers another volume of this name: its uuid is %s, here it was %s",
			       config->name, offered->peer,
			       bc_uuid_format(offered->uuid, there),
			       bc_uuid_format(uuid, here));
	if (!memcmp(old->volume, offered->uuid, sizeof(old->volume)) &&
	    old->term > offered->term)
		return bc_fail(error, -ESTALE,
			       "volume %s: stale primary: %s reigns with term %u, but the old copy here has seen term %u; end the old reign with 'blkcast replica %s' there",
			       config->name, offered->peer, offered->term, old->term,
			       config->name);
	return 0;
}

/* --- doing it ------------------------------------------------------------------ */

static int fill_config(struct bc_volume_config *config, const struct offered *offered,
		       struct bc_error *error)
{
	int ret;

	memcpy(config->uuid, offered->uuid, sizeof(config->uuid));
	ret = cli_absolute(config->backing, sizeof(config->backing), device, error);
	if (!ret && meta_path)
		ret = cli_absolute(config->meta, sizeof(config->meta), meta_path, error);
	return ret;
}

/* @old comes back if the devices fail. */
static int write_copy(struct newcopy *new, struct bc_volume_config *config,
		      const struct bc_volume_config *old, struct bc_error *error)
{
	struct bc_error ignored;
	int ret;

	ret = bc_volume_config_save(config, error);
	if (ret)
		return ret;
	ret = newcopy_write(new, error);
	if (ret) {
		bc_volume_config_save(old, &ignored);
		return ret;
	}
	config->meta_end = new->copy.meta.size;
	ret = bc_volume_end_save(config->name, config->meta_end, error);
	return ret ? ret : bc_volume_detached_remove(config->name, error);
}

static int make_copy(struct bc_volume_config *config,
		     const struct bc_volume_config *old,
		     const struct offered *offered, struct bc_error *error)
{
	struct newcopy new = {
		.config = config,
		.size = offered->bytes,
		.region_shift = offered->region_shift,
		.flags = BLKCAST_SUPER_INCONSISTENT,
		.term = offered->term,
		.further = true,
		.replaces = true,
		.force = force,
	};
	int ret;

	ret = newcopy_open(&new, error);
	if (ret)
		return ret;
	ret = write_copy(&new, config, old, error);
	newcopy_close(&new, ret);
	return ret;
}

static void print_done(const struct bc_volume_config *config,
		       const struct bc_super *old, const struct offered *offered)
{
	char size[BC_SIZE_TEXT];

	if (old->flags & BLKCAST_SUPER_PRIMARY)
		printf("The old copy went down as primary (term %u): what it alone had is no part of the volume any more.\n",
		       old->term);
	printf("Volume %s: a new copy of %s on %s, to be filled from %s.\n", config->name,
	       bc_size_format(offered->bytes, size), config->backing, offered->peer);
}

static int wait_link(struct bc_kernel *kernel, const char *name,
		     const char *peer, struct bc_error *error)
{
	uint64_t until = bc_now_ns() + wait_s * 1000000000ULL;
	struct bc_volume volume;
	uint32_t links = 0;
	int ret;

	do {
		ret = bc_kernel_get(kernel, name, &volume, error);
		if (ret)
			return ret;
		links = volume.links;
		bc_volume_release(&volume);
		if (!links)
			nap();
	} while (!links && bc_now_ns() < until);
	if (links || !wait_s)
		return 0;
	return bc_fail(error, -ENOLINK,
		       "volume %s: the new copy is up, but %s has not connected within %u s; 'blkcast status %s' there says why",
		       name, peer, wait_s, name);
}

static int replace(struct bc_kernel *kernel, const struct bc_volume_config *old,
		   struct bc_volume_config *config, struct bc_error *error)
{
	struct offered offered;
	struct bc_super super;
	int ret;

	ret = check_down(kernel, old->name, error);
	if (!ret)
		ret = wait_offer(old->name, &offered, error);
	if (ret)
		return ret;
	read_old(old, &super);
	ret = check_offer(old, &super, &offered, error);
	if (!ret)
		ret = fill_config(config, &offered, error);
	if (!ret)
		ret = make_copy(config, old, &offered, error);
	if (!ret)
		ret = volume_up(kernel, config, error);
	if (ret)
		return ret;
	print_done(config, &super, &offered);
	return wait_link(kernel, config->name, offered.peer, error);
}

/* @config begins as a second copy of the configuration. */
static int with_config(struct bc_kernel *kernel, const char *name,
		       struct bc_error *error)
{
	struct bc_volume_config old, config;
	int ret;

	ret = bc_volume_config_load(&old, name, error);
	if (ret)
		return ret;
	ret = bc_volume_config_load(&config, name, error);
	if (!ret) {
		ret = replace(kernel, &old, &config, error);
		bc_volume_config_release(&config);
	}
	bc_volume_config_release(&old);
	return ret;
}

int cmd_replace(int argc, char **argv)
{
	struct bc_kernel *kernel;
	struct bc_error error;
	int exit_code, ret;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (!device) {
		cli_failf("--device is missing: blkcast replace %s", syntax.synopsis);
		return CLI_USAGE;
	}
	if (bc_kernel_open(&kernel, &error))
		return cli_failed(&error);
	ret = with_config(kernel, rest[0], &error);
	bc_kernel_close(kernel);
	return ret ? cli_failed(&error) : CLI_DONE;
}
