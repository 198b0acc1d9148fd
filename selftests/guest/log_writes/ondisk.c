// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Superblock and map of a replayed disk.  A block is checked again only after it
 * was written to.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crc32c.h"
#include "ondisk.h"

static uint32_t block_crc(const void *block, size_t crc_at)
{
	static const uint8_t zero[4];
	uint32_t crc = bc_crc32c_update(~0U, block, crc_at);

	crc = bc_crc32c_update(crc, zero, sizeof(zero));
	return ~bc_crc32c_update(crc, (const uint8_t *)block + crc_at + sizeof(zero),
				 BLKCAST_BLOCK_SIZE - crc_at - sizeof(zero));
}

static const void *block_at(const struct lw_meta *meta, uint64_t offset)
{
	return meta->disk->data + offset;
}

/* ---- superblock ---- */

uint64_t lw_super_sector(const struct lw_disk *disk, int copy)
{
	uint64_t end = disk->sectors * LW_SECTOR;

	end -= end % BLKCAST_BLOCK_SIZE;
	return (end - (copy ? BLKCAST_BLOCK_SIZE : BLKCAST_SUPER_AREA)) / LW_SECTOR;
}

bool lw_super_valid(const struct blkcast_super *super)
{
	return !memcmp(super->magic, BLKCAST_SUPER_MAGIC, sizeof(super->magic)) &&
	       le32toh(super->version) == BLKCAST_DISK_VERSION &&
	       le32toh(super->crc) ==
	       block_crc(super, offsetof(struct blkcast_super, crc));
}

static const struct blkcast_super *super_pick(const struct lw_meta *meta)
{
	const struct blkcast_super *best = NULL, *super;

	for (int copy = 0; copy < 2; copy++) {
		super = block_at(meta, lw_super_sector(meta->disk, copy) * LW_SECTOR);
		if (lw_super_valid(super) &&
		    (!best || le64toh(super->generation) > le64toh(best->generation)))
			best = super;
	}
	return best;
}

/* ---- map ---- */

static const struct blkcast_map_block *slot_at(const struct lw_meta *meta,
					       uint32_t g, int slot)
{
	return block_at(meta, meta->map_offset +
			(2ULL * g + slot) * BLKCAST_BLOCK_SIZE);
}

static uint32_t head_crc(const struct blkcast_map_block *block)
{
	size_t from = offsetof(struct blkcast_map_block, generation);
	struct blkcast_map_block copy = *block;

	copy.head_crc = 0;
	return ~bc_crc32c_update(~0U, (uint8_t *)&copy + from, BLKCAST_MAP_HEAD - from);
}

static enum lw_slot slot_judge(const struct lw_meta *meta, uint32_t g,
			       const struct blkcast_map_block *block)
{
	static const uint8_t blank[BLKCAST_MAP_HEAD];

	if (!memcmp(block, blank, sizeof(blank)))
		return LW_SLOT_BLANK;
	if (le32toh(block->magic) != BLKCAST_MAP_MAGIC || le32toh(block->index) != g ||
	    memcmp(block->volume, meta->volume, sizeof(block->volume)) ||
	    le32toh(block->head_crc) != head_crc(block))
		return LW_SLOT_LOST;
	return le32toh(block->crc) ==
	       block_crc(block, offsetof(struct blkcast_map_block, crc)) ?
	       LW_SLOT_WHOLE : LW_SLOT_HEAD;
}

static void slot_read(struct lw_meta *meta, uint32_t g, int slot)
{
	const struct blkcast_map_block *block = slot_at(meta, g, slot);
	struct lw_group *group = &meta->groups[g];

	group->state[slot] = slot_judge(meta, g, block);
	group->generation[slot] = le64toh(block->generation);
}

/* A slot that is lost may have been the newer one. */
static int slots_pick(const struct lw_group *group)
{
	int best = group->generation[1] > group->generation[0];

	if (group->state[0] < LW_SLOT_HEAD || group->state[1] < LW_SLOT_HEAD)
		best = group->state[1] > group->state[0];
	if (group->state[best] < LW_SLOT_HEAD || group->state[!best] == LW_SLOT_LOST ||
	    (group->state[!best] == LW_SLOT_BLANK && group->generation[best] > 1))
		return -1;
	return best;
}

static void group_read(struct lw_meta *meta, uint32_t g)
{
	uint8_t *changed = &meta->disk->meta_changed[2 * g];
	struct lw_group *group = &meta->groups[g];
	int best;

	for (int slot = 0; slot < 2; slot++) {
		if (changed[slot])
			slot_read(meta, g, slot);
		changed[slot] = 0;
	}
	best = slots_pick(group);
	group->block = best < 0 ? NULL : slot_at(meta, g, best);
	group->doubtful = best < 0 || group->state[best] == LW_SLOT_HEAD;
}

void lw_meta_read(struct lw_meta *meta)
{
	meta->super = super_pick(meta);
	for (uint32_t g = 0; g < meta->map_blocks; g++)
		group_read(meta, g);
}

uint64_t lw_group_generation(const struct lw_meta *meta, uint32_t g)
{
	const struct blkcast_map_block *block = meta->groups[g].block;

	return block ? le64toh(block->generation) : 0;
}

uint64_t lw_meta_stamp(const struct lw_meta *meta, uint32_t region, bool *active)
{
	const struct blkcast_map_block *block =
		meta->groups[region / BLKCAST_MAP_STAMPS].block;
	uint32_t i = region % BLKCAST_MAP_STAMPS;

	*active = meta->groups[region / BLKCAST_MAP_STAMPS].doubtful ||
		  le32toh(block->flags) & BLKCAST_MAP_ACTIVE;
	if (!block)
		return BLKCAST_LSN_DOUBT;
	if (!(block->touched[i / 8] >> (i % 8) & 1))
		return BLKCAST_LSN_NEVER;
	return *active ? BLKCAST_LSN_DOUBT : le64toh(block->stamps[i]);
}

int lw_meta_init(struct lw_meta *meta, struct lw_disk *disk, struct bc_error *error)
{
	const struct blkcast_super *super;
	int ret;

	memset(meta, 0, sizeof(*meta));
	meta->disk = disk;
	super = super_pick(meta);
	if (!super || !(le32toh(super->flags) & BLKCAST_SUPER_INTERNAL))
		return bc_fail(error, -EINVAL,
			       "no volume with internal metadata on the disk");
	memcpy(meta->volume, super->volume, sizeof(meta->volume));
	meta->map_offset = le64toh(super->map_offset);
	meta->regions = le32toh(super->regions);
	meta->region_bytes = 1U << le32toh(super->region_shift);
	meta->map_blocks = le32toh(super->map_blocks);
	meta->groups = calloc(meta->map_blocks, sizeof(*meta->groups));
	if (!meta->groups)
		return bc_fail(error, -ENOMEM, "out of memory");
	ret = lw_disk_watch(disk, le64toh(super->data_start), le64toh(super->sectors),
			    meta->region_bytes / LW_SECTOR, meta->map_offset, error);
	if (!ret)
		lw_meta_read(meta);
	return ret;
}

uint64_t *lw_meta_values(const struct lw_meta *meta)
{
	uint64_t *values = malloc(meta->disk->volume * sizeof(*values));
	bool active;

	for (uint64_t s = 0; values && s < meta->disk->volume; s++)
		values[s] = lw_meta_stamp(meta, s / meta->disk->region_sectors,
					  &active) == BLKCAST_LSN_NEVER ?
			    lw_value_zero(s) : meta->disk->values[s];
	return values;
}

void lw_meta_free(struct lw_meta *meta)
{
	free(meta->groups);
}
