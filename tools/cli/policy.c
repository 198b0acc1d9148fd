// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>
#include <time.h>

#include "policy.h"
#include "util.h"

static const struct preset {
	const char *name;
	uint8_t ack, on_loss;
	uint32_t min_isr;
} presets[] = {
	{ "consistent", BLKCAST_ACK_DISK, BLKCAST_ON_LOSS_SUSPEND, 2 },
	{ "balanced", BLKCAST_ACK_DISK, BLKCAST_ON_LOSS_SUSPEND, 1 },
	{ "available", BLKCAST_ACK_LOCAL, BLKCAST_ON_LOSS_SUSPEND, 1 },
};

int policy_preset(const char *name, struct bc_set *set)
{
	for (size_t i = 0; i < BC_ARRAY_SIZE(presets); i++) {
		if (strcmp(name, presets[i].name))
			continue;
		set->ack = presets[i].ack;
		set->on_loss = presets[i].on_loss;
		set->min_isr = presets[i].min_isr;
		return 0;
	}
	return -EINVAL;
}

const char *policy_name(const struct bc_volume *volume)
{
	for (size_t i = 0; i < BC_ARRAY_SIZE(presets); i++) {
		if (volume->ack == presets[i].ack &&
		    volume->min_isr == presets[i].min_isr &&
		    /* With one copy enough there is no loss to act on. */
		    (volume->on_loss == presets[i].on_loss || volume->min_isr == 1))
			return presets[i].name;
	}
	return "own";
}

uint32_t policy_losses(const struct bc_volume *volume)
{
	return volume->ack == BLKCAST_ACK_LOCAL || !volume->isr ? 0 : volume->isr - 1;
}

bool policy_managed(const struct bc_volume *volume)
{
	return volume->super_flags & BLKCAST_SUPER_MANAGED;
}

bool policy_caught_up(const struct bc_link *link)
{
	return link->state == BLKCAST_LINK_IN_SYNC && link->flags & BLKCAST_F_APART;
}

const char *policy_link_state(const struct bc_link *link)
{
	return policy_caught_up(link) ? "caught-up" : bc_link_state_name(link->state);
}

int64_t policy_lease_left(const struct bc_volume *volume)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)(volume->lease - now.tv_sec * 1000000000ULL - now.tv_nsec);
}

const char *policy_behind(const struct bc_link *link)
{
	if (link->flags & BLKCAST_F_ASYNC)
		return "asynchronous: never waited for";
	if (policy_caught_up(link))
		return "caught up, not in the in-sync set: 'blkcast member' puts it there";
	switch (link->state) {
	case BLKCAST_LINK_COMPARING:
		return "comparing what each has";
	case BLKCAST_LINK_RESYNC:
		return "regions that differ are copied";
	case BLKCAST_LINK_JOINING:
		return "joining: has everything, not yet flushed and recorded";
	case BLKCAST_LINK_IN_SYNC:
		return NULL;
	default:
		return "no link";
	}
}
