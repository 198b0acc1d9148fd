// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A primary whose device fails, with on-io-error = detach: its writers wait for the word
 * that it goes on without that device.  Here it is given, as soon as replicas are in sync.
 */
#include <errno.h>

#include "daemon.h"
#include "detach.h"
#include "log.h"

void detach_look(struct daemon *daemon, const struct bc_volume *state)
{
	struct bc_error error;
	int ret;

	if (state->device == BLKCAST_DEVICE_IN_USE)
		bc_detached_forget(daemon->kernel, state->name);
	if (state->device != BLKCAST_DEVICE_FAILING)
		return;
	ret = bc_detach(daemon->kernel, state->name, &error);
	if (!ret)
		log_error("volume %s: its device fails and is given up: the replicas alone have what is written from now on",
			  state->name);
	else if (ret != -EALREADY)
		log_error("%s; its writers wait", error.text);
}

void detach_event(struct daemon *daemon, const char *volume)
{
	struct bc_volume state;
	struct bc_error error;

	if (bc_kernel_get(daemon->kernel, volume, &state, &error))
		return;
	detach_look(daemon, &state);
	bc_volume_release(&state);
}
