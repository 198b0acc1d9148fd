// SPDX-License-Identifier: GPL-2.0-or-later
#include <endian.h>
#include <inttypes.h>
#include <string.h>

#include "config.h"
#include "loss.h"
#include "util.h"

static bool is_heir(const struct bc_volume *volume)
{
	return !memcmp(volume->heir, volume->node, sizeof(volume->heir));
}

static bool inconsistent(const struct bc_volume *volume)
{
	return volume->super_flags & BLKCAST_SUPER_INCONSISTENT;
}

bool loss_possible(const struct bc_volume *volume)
{
	return inconsistent(volume) || !is_heir(volume);
}

/* Was it in the in-sync set, by the last word of its primary? */
static bool was_member(const struct bc_volume *volume)
{
	for (uint32_t i = 0; i < volume->members; i++) {
		if (!memcmp(volume->member[i], volume->node, sizeof(volume->node)))
			return true;
	}
	return false;
}

static void print_own(const struct bc_volume *volume, FILE *out)
{
	if (volume->super_flags & BLKCAST_SUPER_PRIMARY)
		fprintf(out, "It was primary itself, with term %u, and has not ended that reign: another host may have become primary since. What was written there is not here.\n",
			volume->term);
	else
		fprintf(out, "It was primary itself, with term %u, and somebody else may have become primary since: what was written there is not here.\n",
			volume->term);
}

static void print_followed(const struct bc_volume *volume, FILE *out)
{
	fprintf(out, "It has followed a primary of term %u, up to write %u.%" PRIu64 "; that reign was not handed over to it.\n",
		volume->term, blkcast_lsn_term(volume->lsn),
		(uint64_t)blkcast_lsn_seq(volume->lsn));
	if (was_member(volume))
		fprintf(out, "It was in sync when the primary told last: nothing that was acknowledged is lost, unless the primary has gone on without it since.\n");
	else
		fprintf(out, "It is not known to have all that was acknowledged (ack=local or memory, or it was not in sync): the newest writes may be missing, and nobody here knows how many.\n");
}

static void print_whose(const struct bc_volume *volume, FILE *out)
{
	char uuid[BC_UUID_TEXT];

	if (!bc_uuid_is_null(volume->heir) && !is_heir(volume))
		fprintf(out, "It has all of the last reign, but that was handed over to the copy %s: what was written there since is not here.\n",
			bc_uuid_format(volume->heir, uuid));
	else if (!volume->reigns)
		fprintf(out, "It has never had anything of the volume: all that the other copies hold is lost.\n");
	else if (volume->super_flags & BLKCAST_SUPER_OWN)
		print_own(volume, out);
	else if (!is_heir(volume))
		print_followed(volume, out);
}

void loss_print(const struct bc_volume *volume, FILE *out)
{
	fprintf(out, "The copy of volume %s on this host:\n", volume->name);
	print_whose(volume, out);
	if (inconsistent(volume))
		fprintf(out, "It is inconsistent: a resync has not finished, or its map is damaged. Its content is of no one moment; a filesystem on it may be damaged.\n");
	if (inconsistent(volume) && bc_volume_view(volume, BC_FALLBACK_VIEW))
		fprintf(out, "The view %s@" BC_FALLBACK_VIEW " is what it was before the resync: blkcast(8) says how to go back to that.\n",
			volume->name);
	if (volume->doubt)
		fprintf(out, "%u of its regions are in doubt: what is here counts from now on.\n",
			volume->doubt);
	if (volume->super_flags & BLKCAST_SUPER_DISCARD)
		fprintf(out, "It was told to give up what it alone has (--discard-mine).\n");
	fprintf(out, "A primary of an older term that meets this one stops with errors to its writers.\n");
}
