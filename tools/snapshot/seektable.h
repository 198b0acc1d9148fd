/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The seek table while a snapshot is written or walked: one entry a frame.
 * 8 bytes of memory for each MiB of image.  See format.h for its form on disk.
 */
#ifndef SNAPSHOT_SEEKTABLE_H
#define SNAPSHOT_SEEKTABLE_H

#include "../lib/error.h"
#include "format.h"

struct seektable {
	struct snap_seek_entry *entry;
	size_t count, room;
};

int seektable_add(struct seektable *table, uint32_t stored, uint32_t bytes,
		  struct bc_error *error);
void seektable_release(struct seektable *table);

/* What stands before and behind the entries in the file. */
void seektable_head(const struct seektable *table, uint8_t head[SNAP_SEEK_HEAD]);
void seektable_foot(const struct seektable *table, uint8_t foot[SNAP_SEEK_FOOT]);

static inline uint64_t seektable_bytes(const struct seektable *table)
{
	return SNAP_SEEK_HEAD + table->count * sizeof(*table->entry) + SNAP_SEEK_FOOT;
}

#endif /* SNAPSHOT_SEEKTABLE_H */
