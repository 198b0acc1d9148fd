// SPDX-License-Identifier: GPL-2.0-or-later
/* See meta_block.h. */
#include <endian.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "crc32c.h"
#include "meta_block.h"

void *bc_block_alloc(size_t blocks)
{
	void *data;

	if (posix_memalign(&data, BLKCAST_BLOCK_SIZE, blocks * BLKCAST_BLOCK_SIZE))
		return NULL;
	return memset(data, 0, blocks * BLKCAST_BLOCK_SIZE);
}

/* The checksum of a block whose crc field stands at @crc. */
static uint32_t block_crc(const void *block, const __le32 *crc)
{
	size_t at = (const uint8_t *)crc - (const uint8_t *)block;
	static const uint8_t zero[sizeof(*crc)];
	uint32_t sum = ~0U;

	sum = bc_crc32c_update(sum, block, at);
	sum = bc_crc32c_update(sum, zero, sizeof(zero));
	at += sizeof(zero);
	sum = bc_crc32c_update(sum, (const uint8_t *)block + at,
			       BLKCAST_BLOCK_SIZE - at);
	return ~sum;
}

/* --- superblock ------------------------------------------------------- */

/* No magic at all is no superblock; a magic with a wrong checksum is damage. */
enum bc_block_state bc_super_state(const struct blkcast_super *disk)
{
	if (memcmp(disk->magic, BLKCAST_SUPER_MAGIC, sizeof(disk->magic)))
		return BC_BLOCK_NONE;
	if (le32toh(disk->crc) != block_crc(disk, &disk->crc))
		return BC_BLOCK_DAMAGED;
	return BC_BLOCK_GOOD;
}

/* The name is for people: on terminals, in JSON. */
static void name_decode(char name[BLKCAST_NAME_MAX], const __u8 disk[BLKCAST_NAME_MAX])
{
	memcpy(name, disk, BLKCAST_NAME_MAX);
	name[BLKCAST_NAME_MAX - 1] = 0;
	for (; *name; name++) {
		if (*name < ' ' || *name > '~')
			*name = '?';
	}
}

void bc_super_decode(struct bc_super *super, const struct blkcast_super *disk)
{
	super->generation = le64toh(disk->generation);
	memcpy(super->volume, disk->volume, sizeof(super->volume));
	memcpy(super->node, disk->node, sizeof(super->node));
	super->sectors = le64toh(disk->sectors);
	super->data_start = le64toh(disk->data_start);
	super->map_offset = le64toh(disk->map_offset);
	super->regions = le32toh(disk->regions);
	super->map_blocks = le32toh(disk->map_blocks);
	super->region_shift = le32toh(disk->region_shift);
	super->flags = le32toh(disk->flags);
	super->term = le32toh(disk->term);
	super->reigns = le32toh(disk->reigns);
	name_decode(super->name, disk->name);
	memcpy(super->history, disk->history, sizeof(super->history));
	super->position = le64toh(disk->position);
	super->members = le32toh(disk->members);
	memcpy(super->member, disk->member, sizeof(super->member));
	memcpy(super->heir, disk->heir, sizeof(super->heir));
}

void bc_super_encode(struct blkcast_super *disk, const struct bc_super *super)
{
	memset(disk, 0, sizeof(*disk));
	memcpy(disk->magic, BLKCAST_SUPER_MAGIC, sizeof(disk->magic));
	disk->version = htole32(BLKCAST_DISK_VERSION);
	disk->generation = htole64(super->generation);
	memcpy(disk->volume, super->volume, sizeof(disk->volume));
	memcpy(disk->node, super->node, sizeof(disk->node));
	disk->sectors = htole64(super->sectors);
	disk->data_start = htole64(super->data_start);
	disk->map_offset = htole64(super->map_offset);
	disk->regions = htole32(super->regions);
	disk->map_blocks = htole32(super->map_blocks);
	disk->region_shift = htole32(super->region_shift);
	disk->flags = htole32(super->flags);
	disk->term = htole32(super->term);
	disk->reigns = htole32(super->reigns);
	memcpy(disk->name, super->name, sizeof(disk->name));
	memcpy(disk->history, super->history,
	       super->reigns * sizeof(super->history[0]));
	disk->position = htole64(super->position);
	disk->members = htole32(super->members);
	memcpy(disk->member, super->member,
	       super->members * sizeof(super->member[0]));
	memcpy(disk->heir, super->heir, sizeof(disk->heir));
	disk->crc = htole32(block_crc(disk, &disk->crc));
}

/* --- map -------------------------------------------------------------- */

static bool bit_test(const uint8_t *bits, unsigned int i)
{
	return bits[i / 8] >> (i % 8) & 1;
}

static void bit_set(uint8_t *bits, unsigned int i)
{
	bits[i / 8] |= 1U << (i % 8);
}

static bool head_is_zero(const struct blkcast_map_block *block)
{
	const uint8_t *bytes = (const uint8_t *)block;

	return !bytes[0] && !memcmp(bytes, bytes + 1, BLKCAST_MAP_HEAD - 1);
}

/* The checksum of a block's head: see blkcast_disk.h. */
static uint32_t head_crc(const struct blkcast_map_block *block)
{
	uint8_t head[BLKCAST_MAP_HEAD];
	size_t from = offsetof(struct blkcast_map_block, generation);

	memcpy(head, block, sizeof(head));
	memset(head + offsetof(struct blkcast_map_block, head_crc), 0,
	       sizeof(block->head_crc));
	return ~bc_crc32c_update(~0U, head + from, sizeof(head) - from);
}

enum bc_block_state bc_map_slot_state(const struct bc_super *super,
				      const struct blkcast_map_block *slot,
				      uint32_t index)
{
	enum bc_block_state state = BC_BLOCK_GOOD;

	if (head_is_zero(slot))
		return BC_BLOCK_NONE;
	if (le32toh(slot->crc) != block_crc(slot, &slot->crc))
		state = le32toh(slot->head_crc) == head_crc(slot) ?
			BC_BLOCK_HEAD : BC_BLOCK_DAMAGED;
	if (le32toh(slot->magic) != BLKCAST_MAP_MAGIC)
		return BC_BLOCK_DAMAGED;
	if (state != BC_BLOCK_DAMAGED &&
	    (le32toh(slot->index) != index ||
	     le64toh(slot->generation) >= BLKCAST_GENERATION_END ||
	     memcmp(slot->volume, super->volume, sizeof(slot->volume))))
		return BC_BLOCK_FOREIGN;
	return state;
}

uint32_t bc_map_block_regions(const struct bc_super *super, uint32_t index)
{
	uint32_t left = super->regions - index * BLKCAST_MAP_STAMPS;

	return left < BLKCAST_MAP_STAMPS ? left : BLKCAST_MAP_STAMPS;
}

/*
 * Which of two slots holds the current block; -1: the newest may be lost.  The
 * kernel judges by the same rules: kmod/map_block.c.
 */
static int current_slot(const struct bc_map_block *block)
{
	bool head0 = block->state[0] >= BC_BLOCK_HEAD;
	bool head1 = block->state[1] >= BC_BLOCK_HEAD;

	if (head0 && head1)
		return block->generation[1] > block->generation[0];
	if ((!head0 && !head1) || block->state[head0] != BC_BLOCK_NONE ||
	    block->generation[head1] > 1)
		return -1;
	return head1;
}

static void region_decode(struct bc_map_block *block, uint32_t i)
{
	const struct blkcast_map_block *disk = block->disk;
	bool touched = !disk || bit_test(disk->touched, i);

	block->touched[i] = touched;
	block->stamps[i] = BLKCAST_LSN_NEVER;
	block->regions[i] = BC_REGION_NEVER;
	if (touched)
		block->stamps[i] = block->active ? BLKCAST_LSN_DOUBT :
				   le64toh(disk->stamps[i]);
	if (block->stamps[i] == BLKCAST_LSN_DOUBT)
		block->regions[i] = BC_REGION_DOUBT;
	else if (block->stamps[i] != BLKCAST_LSN_NEVER)
		block->regions[i] = BC_REGION_WRITTEN;
	if (disk && bit_test(disk->bad, i))
		block->regions[i] = BC_REGION_BAD;
}

void bc_map_block_decode(const struct bc_super *super, struct bc_map_block *block,
			 const struct blkcast_map_block *slots)
{
	block->first = block->index * BLKCAST_MAP_STAMPS;
	block->count = bc_map_block_regions(super, block->index);
	for (int i = 0; i < 2; i++) {
		if (block->state[i] != BC_BLOCK_UNREADABLE)
			block->state[i] = bc_map_slot_state(super, &slots[i],
							    block->index);
		block->generation[i] = block->state[i] >= BC_BLOCK_HEAD ?
				       le64toh(slots[i].generation) : 0;
	}
	block->current = current_slot(block);
	block->disk = block->current < 0 ? NULL : &slots[block->current];
	block->active = !block->disk ||
			block->state[block->current] == BC_BLOCK_HEAD ||
			le32toh(block->disk->flags) & BLKCAST_MAP_ACTIVE;
	for (uint32_t i = 0; i < block->count; i++)
		region_decode(block, i);
}

void bc_map_block_encode(const struct bc_super *super,
			 struct blkcast_map_block *disk, uint32_t index,
			 uint64_t generation, const uint64_t *stamps)
{
	uint32_t count = bc_map_block_regions(super, index), flags = 0;

	memset(disk, 0, sizeof(*disk));
	for (uint32_t i = 0; stamps && i < count; i++) {
		disk->stamps[i] = htole64(stamps[i]);
		if (stamps[i] != BLKCAST_LSN_NEVER)
			bit_set(disk->touched, i);
		if (stamps[i] == BLKCAST_LSN_DOUBT)
			flags = BLKCAST_MAP_ACTIVE;
	}
	disk->magic = htole32(BLKCAST_MAP_MAGIC);
	disk->generation = htole64(generation);
	memcpy(disk->volume, super->volume, sizeof(disk->volume));
	disk->index = htole32(index);
	disk->flags = htole32(flags);
	disk->head_crc = htole32(head_crc(disk));
	disk->crc = htole32(block_crc(disk, &disk->crc));
}
