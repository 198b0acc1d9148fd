// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See forget.h.
 *
 * The order on the replica: down, metadata, configuration.  Whatever fails, what
 * has been done stays done and can be done again: a volume that is down, one
 * without metadata, one that is not configured.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "copy.h"
#include "devlink.h"
#include "forget.h"
#include "log.h"

/* --- the primary's end -------------------------------------------------------- */

static const struct bc_link_config *find_link(const struct daemon *daemon,
					      const char *volume, const char *peer)
{
	for (size_t i = 0; i < daemon->config_count; i++) {
		if (!strcmp(daemon->configs[i].name, volume))
			return bc_volume_config_find_link(&daemon->configs[i], peer);
	}
	return NULL;
}

int forget_ask(struct daemon *daemon, const char *volume, const char *peer,
	       struct session **session,
	       void (*done)(struct session *session, bool linked, void *owner),
	       void *owner, struct bc_error *error)
{
	const struct bc_link_config *link = find_link(daemon, volume, peer);

	if (!link)
		return bc_fail(error, -ENOENT,
			       "volume %s: no peer %s in its configuration", volume, peer);
	*session = session_new(daemon->loop, done, owner);
	if (!*session || handshake_init(&(*session)->handshake, &daemon->secrets.ring.key[0],
					daemon->config.node, &daemon->ops, volume, link)) {
		if (*session)
			session_abort(*session);
		*session = NULL;
		return bc_fail(error, -ENOMEM, "out of memory");
	}
	(*session)->handshake.forget = true;
	(*session)->plain = link->plain;
	(*session)->secrets = &daemon->secrets;
	session_dial(*session, &link->address);
	return 0;
}

/* --- the replica's end ---------------------------------------------------------- */

static int check_live(struct daemon *daemon, const char *name, const char *peer,
		      const struct offer *offer, bool *up, struct bc_error *error)
{
	struct bc_volume copy;
	bool permanent;
	int ret;

	*up = false;
	ret = daemon->kernel ? bc_kernel_get(daemon->kernel, name, &copy, error) : -ENODEV;
	if (ret == -ENODEV)
		return 0;
	if (ret)
		return ret;
	*up = true;
	ret = offer_check(offer, &copy, daemon->config.node, peer, &permanent, error);
	bc_volume_release(&copy);
	return ret;
}

/* The same for one that is down: it may have written up to any LSN. */
static int check_down(struct daemon *daemon, const struct bc_super *super,
		      const char *name, const char *peer, const struct offer *offer,
		      struct bc_error *error)
{
	struct bc_volume copy = {
		.role = BLKCAST_ROLE_REPLICA,
		.term = super->term,
		.region_shift = super->region_shift,
		.super_flags = super->flags,
		.sectors = super->sectors,
		.lsn = UINT64_MAX,
		.reigns = super->reigns,
		.history = (struct blkcast_reign *)super->history,
		.members = super->members,
	};
	bool permanent;

	snprintf(copy.name, sizeof(copy.name), "%s", name);
	memcpy(copy.uuid, super->volume, sizeof(copy.uuid));
	memcpy(copy.member, super->member, sizeof(copy.member));
	return offer_check(offer, &copy, daemon->config.node, peer, &permanent, error);
}

/* -ENODATA: there are no metadata any more. */
static int wipe(struct daemon *daemon, const struct bc_volume_config *config,
		const char *peer, const struct offer *offer, bool checked,
		struct bc_error *error)
{
	struct bc_copy copy;
	int ret;

	ret = bc_copy_open(&copy, config, error);
	if (ret)
		return ret;
	if (!checked)
		ret = check_down(daemon, &copy.meta.super, config->name, peer, offer,
				 error);
	if (!ret)
		ret = bc_meta_wipe(&copy.meta, error);
	bc_copy_close(&copy);
	return ret;
}

static int forget_configured(struct daemon *daemon,
			     const struct bc_volume_config *config, const char *peer,
			     const struct offer *offer, struct bc_error *error)
{
	bool up;
	int ret;

	ret = check_live(daemon, config->name, peer, offer, &up, error);
	if (!ret && up)
		ret = bc_kernel_down(daemon->kernel, config->name, error);
	if (ret)
		return ret;
	devlink_remove(config->name);
	ret = wipe(daemon, config, peer, offer, up, error);
	if (ret && ret != -ENODATA)
		return ret;
	ret = bc_volume_config_remove(config->name, error);
	return ret ? ret : daemon_reload(daemon, error);
}

int forget_copy(struct daemon *daemon, const char *volume, const char *peer,
		const struct offer *offer, struct bc_error *error)
{
	struct bc_volume_config config;
	int ret;

	if (control_holds(daemon, volume))
		return bc_fail(error, -EBUSY,
			       "volume %s is being worked on by an administrator of %s",
			       volume, daemon->config.node);
	ret = bc_volume_config_load(&config, volume, error);
	if (ret == -ENOENT)
		return 0;
	if (ret)
		return ret;
	ret = forget_configured(daemon, &config, peer, offer, error);
	bc_volume_config_release(&config);
	if (!ret)
		log_info("volume %s: the copy here is given up, %s wants it so", volume,
			 peer);
	return ret;
}
