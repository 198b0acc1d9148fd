// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The view to fall back on: what a replica held before it was made equal.
 *
 * Under a resync a copy has the content of no one moment; if the primary is lost
 * before it ends, the view is what there is.  It is made before the link is, of a copy
 * that is of one moment, and goes when the copy is in sync.  One that is there already
 * is older, and is replaced; but a copy that is under resync keeps the one it has.
 */
#include <errno.h>
#include <stdio.h>

#include "daemon.h"
#include "devlink.h"
#include "log.h"
#include "viewstore.h"

static void link_name(char name[2 * BLKCAST_NAME_MAX], const char *volume)
{
	snprintf(name, 2 * BLKCAST_NAME_MAX, "%s@%s", volume, BC_FALLBACK_VIEW);
}

/* Of one moment, and of a history: there is something to fall back on. */
static bool worth_it(const struct bc_volume *volume)
{
	return volume->role == BLKCAST_ROLE_REPLICA && volume->reigns &&
	       !(volume->super_flags & BLKCAST_SUPER_INCONSISTENT);
}

static int view_make(struct daemon *daemon, const char *volume, const char *store,
		     struct bc_error *error)
{
	struct bc_view_create create = {
		.name = volume, .view = BC_FALLBACK_VIEW, .store_fd = -1, .flags = BLKCAST_F_REPLACE,
	};
	char name[2 * BLKCAST_NAME_MAX];
	struct bc_view made;
	int ret = viewstore_open(&create, store, error);

	if (ret)
		return ret;
	ret = bc_kernel_view_create(daemon->kernel, &create, &made, error);
	viewstore_close(&create);
	if (ret)
		return ret;
	link_name(name, volume);
	return devlink_settle(name, made.minor, error);
}

int fallback_make(struct daemon *daemon, const char *volume, struct bc_error *error)
{
	struct bc_volume_config config;
	struct bc_volume state;
	int ret = bc_volume_config_load(&config, volume, error);
	bool make;

	if (ret)
		return ret == -ENOENT ? 0 : ret;
	if (*config.fallback) {
		ret = bc_kernel_get(daemon->kernel, volume, &state, error);
		if (!ret) {
			make = worth_it(&state);
			bc_volume_release(&state);
			if (make)
				ret = view_make(daemon, volume, config.fallback, error);
		}
	}
	bc_volume_config_release(&config);
	if (ret)
		bc_error_prefix(error, "no view to fall back on (blkcast set %s --fallback)",
				volume);
	return ret;
}

void fallback_drop(struct daemon *daemon, const char *volume)
{
	char name[2 * BLKCAST_NAME_MAX];
	struct bc_volume state;
	struct bc_error error;
	bool there;

	if (bc_kernel_get(daemon->kernel, volume, &state, &error))
		return;
	there = state.role == BLKCAST_ROLE_REPLICA && bc_volume_view(&state, BC_FALLBACK_VIEW);
	bc_volume_release(&state);
	if (!there)
		return;
	if (bc_kernel_view_remove(daemon->kernel, volume, BC_FALLBACK_VIEW, &error)) {
		log_warning("%s", error.text);
		return;
	}
	link_name(name, volume);
	devlink_remove(name);
}
