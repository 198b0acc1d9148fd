// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which stamp belongs to the content that was read (see stamps.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blkcast_lsn.h"
#include "stamps.h"

int stamps_init(struct stamps *stamps, uint64_t bytes, uint32_t shift,
		struct bc_error *error)
{
	stamps->shift = shift;
	stamps->regions = (bytes + (1ULL << shift) - 1) >> shift;
	stamps->stamp = calloc(stamps->regions, sizeof(*stamps->stamp));
	stamps->known = calloc(stamps->regions, sizeof(*stamps->known));
	if (!stamps->stamp || !stamps->known) {
		stamps_release(stamps);
		return bc_fail(error, -ENOMEM, "out of memory for %u stamps", stamps->regions);
	}
	return 0;
}

void stamps_release(struct stamps *stamps)
{
	free(stamps->stamp);
	free(stamps->known);
	memset(stamps, 0, sizeof(*stamps));
}

int stamps_fix(struct stamps *stamps, struct bc_error *error)
{
	int err = stamps->ask(stamps->arg, 0, stamps->regions, stamps->stamp, error);

	memset(stamps->known, 1, stamps->regions);
	stamps->fixed = true;
	return err;
}

int stamps_begin(struct stamps *stamps, struct stamps_window *window, uint64_t offset,
		 uint32_t bytes, struct bc_error *error)
{
	memset(window, 0, sizeof(*window));
	if (!stamps->ask)
		return 0;
	window->first = offset >> stamps->shift;
	window->count = ((offset + bytes - 1) >> stamps->shift) - window->first + 1;
	return stamps->ask(stamps->arg, window->first, window->count, window->before, error);
}

/* Region @i of the window has had this stamp all the time that counts. */
static bool region_proven(const struct stamps *stamps, const struct stamps_window *window,
			  uint32_t i, uint64_t after)
{
	return blkcast_stamps_equal(window->before[i], after) &&
	       (!stamps->fixed || stamps->stamp[window->first + i] == after);
}

int stamps_check(struct stamps *stamps, struct stamps_window *window,
		 struct bc_error *error)
{
	uint64_t after[STAMPS_CHUNK_REGIONS];
	int unproven = 0, err;
	uint32_t i;

	if (!stamps->ask)
		return 0;
	err = stamps->ask(stamps->arg, window->first, window->count, after, error);
	if (err)
		return err;
	for (i = 0; i < window->count; i++) {
		if (window->proven >> i & 1)
			continue;
		if (region_proven(stamps, window, i, after[i])) {
			window->proven |= 1U << i;
			continue;
		}
		window->before[i] = after[i];
		stamps->changed = true;
		unproven++;
	}
	return stamps->fixed ? 0 : unproven;
}

bool stamps_enter(struct stamps *stamps, const struct stamps_window *window)
{
	bool never = window->count > 0;
	uint32_t i;

	if (stamps->fixed)
		return false;
	for (i = 0; i < window->count; i++) {
		uint64_t stamp = window->proven >> i & 1 ? window->before[i] : BLKCAST_LSN_DOUBT;
		uint32_t r = window->first + i;

		if (!stamps->known[r])
			stamps->stamp[r] = stamp;
		else if (stamps->stamp[r] != stamp)
			stamps->stamp[r] = BLKCAST_LSN_DOUBT;
		stamps->known[r] = 1;
		never &= stamp == BLKCAST_LSN_NEVER;
	}
	return never;
}

void stamps_doubt_last(struct stamps *stamps)
{
	stamps->known[stamps->regions - 1] = 0;
}

uint32_t stamps_finish(struct stamps *stamps)
{
	uint32_t r, doubt = 0;

	for (r = 0; r < stamps->regions; r++) {
		if (!stamps->known[r])
			stamps->stamp[r] = BLKCAST_LSN_DOUBT;
		doubt += stamps->stamp[r] == BLKCAST_LSN_DOUBT;
	}
	return doubt;
}
