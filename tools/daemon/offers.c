// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What primaries offer to this host, whether it can take it or not: a copy whose
 * device is gone can still be told what it has to be ('blkcast replace').
 *
 * One offer is kept for each volume that is configured here, for as long as a
 * primary that is there comes again before; of two primaries that of the higher
 * term.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "util.h"

#define FRESH_NS (15ULL * 1000000000)	/* a primary tries every 5 s, or 6 */

/* By now: 'create' does not tell the daemon. */
static bool configured(const char *volume)
{
	struct bc_volume_config config;
	struct bc_error none;

	if (bc_volume_config_load(&config, volume, &none))
		return false;
	bc_volume_config_release(&config);
	return true;
}

static bool fresh(const struct offered *offered)
{
	return bc_now_ns() - offered->at < FRESH_NS;
}

static struct offered *find(const struct daemon *daemon, const char *volume)
{
	struct offered *offered = daemon->offers;

	while (offered && strcmp(offered->volume, volume))
		offered = offered->next;
	return offered;
}

static struct offered *add(struct daemon *daemon, const char *volume)
{
	struct offered *offered = calloc(1, sizeof(*offered));

	if (!offered)
		return NULL;
	snprintf(offered->volume, sizeof(offered->volume), "%s", volume);
	offered->next = daemon->offers;
	daemon->offers = offered;
	return offered;
}

void offers_take(struct daemon *daemon, const char *volume, const char *peer,
		 const struct offer *offer)
{
	struct offered *offered = find(daemon, volume);

	if (!configured(volume))
		return;
	if (offered && fresh(offered) && offered->term > offer->term)
		return;
	if (!offered)
		offered = add(daemon, volume);
	if (!offered)
		return;		/* it comes again */
	snprintf(offered->peer, sizeof(offered->peer), "%s", peer);
	offered->at = bc_now_ns();
	offered->bytes = offer->bytes;
	memcpy(offered->uuid, offer->uuid, sizeof(offered->uuid));
	offered->region_shift = offer->region_shift;
	offered->term = offer->term;
}

const struct offered *offers_find(const struct daemon *daemon, const char *volume)
{
	const struct offered *offered = find(daemon, volume);

	return offered && fresh(offered) ? offered : NULL;
}

void offers_free(struct daemon *daemon)
{
	while (daemon->offers) {
		struct offered *offered = daemon->offers;

		daemon->offers = offered->next;
		free(offered);
	}
}
