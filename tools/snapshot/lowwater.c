// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Up to which byte all is done (see lowwater.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lowwater.h"

int lowwater_done(struct lowwater *lowwater, uint64_t number, uint64_t end)
{
	if (number >= lowwater->room) {
		size_t room = 2 * (number + 32);
		uint64_t *larger = realloc(lowwater->end, room * sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		memset(larger + lowwater->room, 0, (room - lowwater->room) * sizeof(*larger));
		lowwater->end = larger;
		lowwater->room = room;
	}
	lowwater->end[number] = end;
	while (lowwater->next < lowwater->room && lowwater->end[lowwater->next])
		lowwater->bytes = lowwater->end[lowwater->next++];
	return 0;
}

void lowwater_release(struct lowwater *lowwater)
{
	free(lowwater->end);
	memset(lowwater, 0, sizeof(*lowwater));
}
