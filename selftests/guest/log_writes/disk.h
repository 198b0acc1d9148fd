/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk in memory, to which a log is replayed: whole, or up to a cut and back
 * again.
 *
 * For each region of the volume on it a sum over its sectors' content is kept, so
 * that a thousand cuts can be compared with what the stamp map claims.  Before
 * the log begins the disk holds garbage, a sector of it in each 64 KiB, so that
 * what was never zeroed does not read as zeros by chance.
 */
#ifndef LOG_WRITES_DISK_H
#define LOG_WRITES_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "log.h"

/* What a sector of the volume holds, as a number; differs from sector to sector. */
uint64_t lw_value(uint64_t sector, const uint8_t *data);
uint64_t lw_value_zero(uint64_t sector);

/**
 * struct lw_region - what a region of the volume holds
 * @sum: of its sectors' values
 * @written: sectors that hold neither zeros nor what the disk held at first
 */
struct lw_region {
	uint64_t sum;
	uint32_t written;
};

struct lw_undo;

/**
 * struct lw_disk - the disk, and what is known of its content
 * @sectors: of the disk
 * @first: first sector of the volume
 * @volume: sectors of the volume, 0 before lw_disk_watch()
 * @region_sectors: of each region but the last
 * @values: of each sector of the volume
 * @regions: each region of the volume
 * @meta_first: where the metadata begin, in blocks of 4 KiB
 * @meta_changed: a byte for each of their blocks: written since it was cleared
 */
struct lw_disk {
	uint64_t sectors;
	uint8_t *data;
	uint64_t first, volume;
	uint32_t region_sectors;
	uint64_t *values;
	struct lw_region *regions;
	uint64_t meta_first;
	uint8_t *meta_changed;
	struct lw_undo *undo;
	uint32_t undo_count, undo_room;
	bool cutting;
};

/*
 * A disk of that size, with the garbage it begins with, or, unless @path is NULL,
 * with what that file holds, which is as large.
 */
int lw_disk_init(struct lw_disk *disk, uint64_t bytes, const char *path,
		 struct bc_error *error);
void lw_disk_free(struct lw_disk *disk);

/* From now on the regions of the volume are kept account of. */
int lw_disk_watch(struct lw_disk *disk, uint64_t first, uint64_t volume,
		  uint32_t region_sectors, uint64_t meta_offset,
		  struct bc_error *error);

/* Write the sectors of @entry from the @at-th on; it must lie on the disk. */
void lw_disk_write(struct lw_disk *disk, const struct lw_entry *entry,
		   uint64_t at, uint64_t sectors);

/* What is written between the two is undone by the second. */
void lw_disk_cut(struct lw_disk *disk);
void lw_disk_uncut(struct lw_disk *disk);

/* A file with the garbage of a new disk, as large as it is. */
int lw_garbage_write(const char *path, struct bc_error *error);

#endif /* LOG_WRITES_DISK_H */
