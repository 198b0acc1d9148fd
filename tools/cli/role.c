// SPDX-License-Identifier: GPL-2.0-or-later
#include <time.h>

#include "devlink.h"
#include "role.h"
#include "util.h"

/* Has every link in sync applied what was written?  Unknown is no. */
static bool all_applied(const struct bc_volume *volume)
{
	for (uint32_t i = 0; i < volume->links; i++) {
		const struct bc_link *link = &volume->link[i];

		if (link->state == BLKCAST_LINK_IN_SYNC &&
		    (!bc_known(link, BLKCAST_L_LAG_NS) || link->lag_ns))
			return false;
	}
	return true;
}

static int wait_applied(struct bc_kernel *kernel, const char *name,
			unsigned int wait_ms, struct bc_error *error)
{
	uint64_t until = bc_now_ns() + wait_ms * 1000000ULL;
	struct bc_volume volume;
	bool done;
	int ret;

	do {
		ret = bc_kernel_get(kernel, name, &volume, error);
		if (ret)
			return ret;
		done = all_applied(&volume);
		bc_volume_release(&volume);
		if (!done)
			nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	} while (!done && bc_now_ns() < until);
	return 0;
}

static int end_reign(struct bc_kernel *kernel, const char *name, const char *heir,
		     unsigned int wait_ms, struct bc_error *error)
{
	uint32_t openers;
	struct bc_volume volume;
	uint8_t role;
	int ret;

	ret = bc_kernel_get(kernel, name, &volume, error);
	if (ret)
		return ret;
	role = volume.role;
	openers = volume.openers;
	bc_volume_release(&volume);
	if (role != BLKCAST_ROLE_PRIMARY)
		return 0;
	/* While it is open the kernel refuses anyway. */
	ret = openers ? 0 : wait_applied(kernel, name, wait_ms, error);
	return ret ? ret : bc_kernel_replica(kernel, name, heir, 0, error);
}

int role_end_reign(struct bc_kernel *kernel, const char *name, const char *heir,
		   unsigned int wait_ms, struct bc_error *error)
{
	unsigned int tries = 0;
	int ret;

	do {
		ret = end_reign(kernel, name, heir, wait_ms, error);
	} while (devlink_retry(ret, &tries));
	return ret;
}
