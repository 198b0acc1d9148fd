// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A planned reconnect: the same link by another connection, for a new key or a new
 * certificate, without an error for writers and without a change of the in-sync set.
 *
 *	1. A connection is made beside the link, as far as the proofs.  If that fails,
 *	   nothing has happened.
 *	2. As many copies as are in sync become the least that there has to be, and writes
 *	   wait for them: nothing is acknowledged meanwhile, so the set stays as it is, even
 *	   on disk, and nothing fails, whatever min-isr and on-loss say.
 *	3. The link is dropped, the connection goes on with the offer, in which it says that
 *	   the old link is gone; the replica gets what it missed from the backlog.
 *	4. When it is in sync again, or after RENEW_MS, the policy is what it was.
 *
 * From 2 to 4 a file, $RUN/renewing, names the volume: a daemon that finds one gives the
 * volume its configured policy back.  One volume at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include "log.h"
#include "util.h"

#define RENEW_MS	15000

/**
 * struct guard - the policy of a volume while one of its links is made anew
 * @volume, @link: empty: there is none
 * @min_isr, @on_loss: what it was
 * @raised: what min_isr is now; whoever changes it meanwhile means it
 */
static struct guard {
	char volume[BLKCAST_NAME_MAX], link[BLKCAST_NAME_MAX];
	uint32_t min_isr, raised;
	uint8_t on_loss;
	struct timer deadline;
	struct daemon *daemon;
} guard;

/* --- the file ------------------------------------------------------------------ */

static const char *marker_path(char path[BC_PATH_MAX])
{
	snprintf(path, BC_PATH_MAX, "%s/renewing", bc_run_dir());
	return path;
}

static int marker_write(const char *volume, struct bc_error *error)
{
	char path[BC_PATH_MAX];
	int fd = open(marker_path(path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int ret = fd < 0 ? -errno : bc_write_full(fd, volume, strlen(volume));

	if (fd >= 0)
		close(fd);
	return ret ? bc_fail_errno(error, ret, "cannot write %s", path) : 0;
}

static void marker_remove(void)
{
	char path[BC_PATH_MAX];

	unlink(marker_path(path));
}

static int set_policy(struct daemon *daemon, const char *volume, uint32_t min_isr,
		      int on_loss, struct bc_error *error)
{
	const struct bc_set set = {
		.ack = -1, .min_isr = min_isr, .on_loss = on_loss, .max_lag_ms = -1,
		.membership = -1,
	};

	return bc_kernel_set(daemon->kernel, volume, &set, error);
}

void renew_recover(struct daemon *daemon)
{
	char path[BC_PATH_MAX], volume[BLKCAST_NAME_MAX] = "";
	struct bc_volume_config config;
	struct bc_error error;
	int fd = open(marker_path(path), O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (read(fd, volume, sizeof(volume) - 1) > 0 && bc_name_valid(volume) &&
	    daemon->kernel && !bc_volume_config_load(&config, volume, &error)) {
		log_warning("volume %s: a link was being made anew: min-isr and on-loss as configured",
			    volume);
		if (set_policy(daemon, volume, config.min_isr ? config.min_isr : 1,
			       config.on_loss, &error))
			log_error("%s", error.text);
		bc_volume_config_release(&config);
	}
	close(fd);
	unlink(path);
}

/* --- the policy ------------------------------------------------------------------ */

static void policy_restore(void)
{
	struct daemon *daemon = guard.daemon;
	struct bc_volume volume;
	struct bc_error error;
	int ret;

	ret = bc_kernel_get(daemon->kernel, guard.volume, &volume, &error);
	if (ret)
		return;
	if (volume.min_isr == guard.raised && volume.on_loss == BLKCAST_ON_LOSS_SUSPEND)
		ret = set_policy(daemon, guard.volume, guard.min_isr, guard.on_loss, &error);
	if (ret)
		log_error("%s", error.text);
	bc_volume_release(&volume);
}

static void guard_end(void)
{
	loop_timer_stop(guard.daemon->loop, &guard.deadline);
	if (guard.daemon->kernel)
		policy_restore();
	marker_remove();
	guard.volume[0] = 0;
	control_links_changed(guard.daemon);
}

static void guard_late(void *owner)
{
	(void)owner;
	log_warning("volume %s: link %s: is not in sync again within %d s: writes go on by min-isr and on-loss",
		    guard.volume, guard.link, RENEW_MS / 1000);
	guard_end();
}

static const struct bc_link *find_link(const struct bc_volume *volume, const char *name)
{
	for (uint32_t i = 0; i < volume->links; i++) {
		if (!strcmp(volume->link[i].name, name))
			return &volume->link[i];
	}
	return NULL;
}

/* Does a writer, or the in-sync set, depend on it? */
static bool is_waited_for(const struct bc_volume *volume, const char *name)
{
	const struct bc_link *link = find_link(volume, name);

	return link && volume->role == BLKCAST_ROLE_PRIMARY &&
	       volume->ack != BLKCAST_ACK_LOCAL && !(link->flags & BLKCAST_F_ASYNC) &&
	       link->state == BLKCAST_LINK_IN_SYNC;
}

static int guard_begin(struct daemon *daemon, const struct bc_volume *volume,
		       const char *link, struct bc_error *error)
{
	int ret;

	if (!is_waited_for(volume, link))
		return 0;
	ret = marker_write(volume->name, error);
	if (ret)
		return ret;
	guard.daemon = daemon;
	guard.min_isr = volume->min_isr;
	guard.on_loss = volume->on_loss;
	guard.raised = volume->isr > volume->min_isr ? volume->isr : volume->min_isr;
	ret = set_policy(daemon, volume->name, guard.raised, BLKCAST_ON_LOSS_SUSPEND, error);
	if (ret) {
		marker_remove();
		return ret;
	}
	snprintf(guard.volume, sizeof(guard.volume), "%s", volume->name);
	snprintf(guard.link, sizeof(guard.link), "%s", link);
	guard.deadline.fn = guard_late;
	loop_timer(daemon->loop, &guard.deadline, RENEW_MS);
	return 0;
}

/* --- what happens ------------------------------------------------------------------- */

bool renew_busy(const char *volume)
{
	return !strcmp(guard.volume, volume);
}

bool renew_any(void)
{
	return guard.volume[0];
}

void renew_stop(void)
{
	if (guard.volume[0])
		guard_end();
}

int renew_switch(struct daemon *daemon, const char *name, const char *link,
		 struct bc_error *error)
{
	struct bc_volume volume;
	int ret;

	ret = daemon->ops.get(daemon, name, &volume, error);
	if (ret)
		return ret;
	ret = guard_begin(daemon, &volume, link, error);
	bc_volume_release(&volume);
	if (ret)
		return ret;
	ret = bc_kernel_link_del(daemon->kernel, name, link, error);
	if (ret == -ENOENT)	/* just now, by itself */
		return 0;
	if (ret)
		renew_stop();
	return ret;
}

void renew_event(const char *volume, const char *link)
{
	if (guard.volume[0] && !strcmp(guard.volume, volume) && !strcmp(guard.link, link))
		guard_end();
}
