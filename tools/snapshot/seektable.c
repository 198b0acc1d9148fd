// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The seek table (see seektable.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "seektable.h"

static int seektable_grow(struct seektable *table)
{
	size_t room = table->room ? table->room * 2 : 1024;
	struct snap_seek_entry *entry = realloc(table->entry, room * sizeof(*entry));

	if (!entry)
		return -ENOMEM;
	table->entry = entry;
	table->room = room;
	return 0;
}

int seektable_add(struct seektable *table, uint32_t stored, uint32_t bytes,
		  struct bc_error *error)
{
	if (table->count >= SNAP_FRAMES_MAX)
		return bc_fail(error, -E2BIG, "more frames than a seek table can hold");
	if (table->count == table->room && seektable_grow(table))
		return bc_fail(error, -ENOMEM, "out of memory for the seek table");
	table->entry[table->count++] = (struct snap_seek_entry) {
		.stored = htole32(stored), .bytes = htole32(bytes),
	};
	return 0;
}

void seektable_release(struct seektable *table)
{
	free(table->entry);
	memset(table, 0, sizeof(*table));
}

static void put_le32(uint8_t *to, uint32_t value)
{
	const __le32 le = htole32(value);

	memcpy(to, &le, sizeof(le));
}

void seektable_head(const struct seektable *table, uint8_t head[SNAP_SEEK_HEAD])
{
	put_le32(head, SNAP_SEEK_MAGIC);
	put_le32(head + 4, seektable_bytes(table) - SNAP_SEEK_HEAD);
}

void seektable_foot(const struct seektable *table, uint8_t foot[SNAP_SEEK_FOOT])
{
	put_le32(foot, table->count);
	foot[4] = 0;
	put_le32(foot + 5, SNAP_SEEK_FOOTER);
}
