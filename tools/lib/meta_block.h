/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One block of metadata: what kind of block it is, and from the disk's form into
 * the host's and back (kmod/uapi/blkcast_disk.h is the format).  No I/O here.
 *
 * What a map block means for its regions is said here alone, and is what the
 * kernel makes of it when it brings the volume up.
 */
#ifndef BC_META_BLOCK_H
#define BC_META_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "meta.h"

#define BC_SLOTS_BYTES	(2 * BLKCAST_BLOCK_SIZE)

/* @blocks blocks of aligned memory (for O_DIRECT), zeroed; NULL: none left. */
void *bc_block_alloc(size_t blocks);

/* --- superblock --- */

/* BC_BLOCK_NONE, BC_BLOCK_DAMAGED or BC_BLOCK_GOOD. */
enum bc_block_state bc_super_state(const struct blkcast_super *disk);
void bc_super_decode(struct bc_super *super, const struct blkcast_super *disk);
void bc_super_encode(struct blkcast_super *disk, const struct bc_super *super);

/* --- map --- */

/* What stands in a slot of block @index; never BC_BLOCK_UNREADABLE. */
enum bc_block_state bc_map_slot_state(const struct bc_super *super,
				      const struct blkcast_map_block *slot,
				      uint32_t index);

/* How many regions block @index has: the last block may be short. */
uint32_t bc_map_block_regions(const struct bc_super *super, uint32_t index);

/*
 * Fill @block from its two slots, which must live as long as it does.  Its
 * states are given: those of slots that could not be read.
 */
void bc_map_block_decode(const struct bc_super *super, struct bc_map_block *block,
			 const struct blkcast_map_block *slots);

/*
 * Make a block of @stamps (NULL: all never written).  With a region in doubt it
 * is active.
 */
void bc_map_block_encode(const struct bc_super *super,
			 struct blkcast_map_block *disk, uint32_t index,
			 uint64_t generation, const uint64_t *stamps);

#endif /* BC_META_BLOCK_H */
