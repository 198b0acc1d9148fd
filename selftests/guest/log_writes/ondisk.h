/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The metadata on a replayed disk, as the kernel would find them now: read from
 * kmod/uapi/blkcast_disk.h alone, with nothing of the module's or the tools' code.
 */
#ifndef LOG_WRITES_ONDISK_H
#define LOG_WRITES_ONDISK_H

#include "blkcast_disk.h"
#include "blkcast_lsn.h"
#include "disk.h"

/**
 * struct lw_group - the two slots of a map block
 * @state: of each slot
 * @generation: of each slot with a head
 * @block: the current one, NULL: the newest may be lost
 * @doubtful: its stamps mean nothing
 */
struct lw_group {
	enum lw_slot { LW_SLOT_LOST, LW_SLOT_BLANK, LW_SLOT_HEAD, LW_SLOT_WHOLE } state[2];
	uint64_t generation[2];
	const struct blkcast_map_block *block;
	bool doubtful;
};

/**
 * struct lw_meta - superblock and map
 * @super: the current one, NULL: both copies are bad
 * @regions, @region_bytes, @map_blocks: of the volume, which do not change
 */
struct lw_meta {
	struct lw_disk *disk;
	uint8_t volume[16];
	uint64_t map_offset;
	uint32_t regions, region_bytes, map_blocks;
	const struct blkcast_super *super;
	struct lw_group *groups;
};

/* Find a volume on the disk, and let the disk watch it. */
int lw_meta_init(struct lw_meta *meta, struct lw_disk *disk, struct bc_error *error);
void lw_meta_free(struct lw_meta *meta);

/* What the volume's sectors read as; the caller frees it.  NULL: no memory. */
uint64_t *lw_meta_values(const struct lw_meta *meta);

/* Look again at what has changed since the last time. */
void lw_meta_read(struct lw_meta *meta);

/* Where a superblock lies, in sectors. */
uint64_t lw_super_sector(const struct lw_disk *disk, int copy);
bool lw_super_valid(const struct blkcast_super *super);
/* Of the current block of group @g; 0 without one. */
uint64_t lw_group_generation(const struct lw_meta *meta, uint32_t g);

/**
 * lw_meta_stamp() - what the map claims about a region
 * @active: set if its group is active
 *
 * Return: BLKCAST_LSN_NEVER: untouched; BLKCAST_LSN_DOUBT: no claim; else the
 * stamp it is said to have exactly.
 */
uint64_t lw_meta_stamp(const struct lw_meta *meta, uint32_t region, bool *active);

#endif /* LOG_WRITES_ONDISK_H */
