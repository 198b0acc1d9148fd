// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The stamp map of a volume that is down, read and written in batches of whole
 * blocks from aligned memory, so that O_DIRECT works.  meta.h has the invariants.
 *
 * A batch that cannot be read as a whole is read slot by slot: a bad sector costs
 * the slot it is in.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "meta_block.h"
#include "meta_map.h"
#include "util.h"

#define MAP_BATCH	512	/* blocks, two slots each: 4 MiB */

/**
 * struct batch - some blocks of the map
 * @first, @blocks: which
 * @slots: two for each block
 * @unreadable: for each slot
 */
struct batch {
	uint32_t first, blocks;
	struct blkcast_map_block *slots;
	bool unreadable[2 * MAP_BATCH];
};

/* For @blocks in all. */
static int batch_alloc(struct batch *batch, uint32_t blocks, struct bc_error *error)
{
	batch->slots = bc_block_alloc(2 * (size_t)(blocks < MAP_BATCH ? blocks : MAP_BATCH));
	return batch->slots ? 0 : bc_fail(error, -ENOMEM, "out of memory");
}

/* The next blocks, up to @end; false: there are none. */
static bool batch_next(struct batch *batch, uint32_t first, uint32_t end)
{
	batch->first = first;
	batch->blocks = end - first < MAP_BATCH ? end - first : MAP_BATCH;
	return first < end;
}

static uint64_t batch_offset(const struct bc_meta *meta, const struct batch *batch)
{
	return meta->super.map_offset + (uint64_t)batch->first * BC_SLOTS_BYTES;
}

static void batch_read(struct bc_meta *meta, struct batch *batch)
{
	uint64_t offset = batch_offset(meta, batch);

	memset(batch->unreadable, 0, sizeof(batch->unreadable));
	if (!bc_pread_full(meta->fd, batch->slots,
			   (size_t)batch->blocks * BC_SLOTS_BYTES, offset))
		return;
	for (uint32_t i = 0; i < 2 * batch->blocks; i++)
		batch->unreadable[i] = bc_pread_full(meta->fd, &batch->slots[i],
						     BLKCAST_BLOCK_SIZE, offset +
						     (uint64_t)i * BLKCAST_BLOCK_SIZE);
}

static int batch_write(struct bc_meta *meta, const struct batch *batch,
		       struct bc_error *error)
{
	int ret = bc_pwrite_full(meta->fd, batch->slots,
				 (size_t)batch->blocks * BC_SLOTS_BYTES,
				 batch_offset(meta, batch));

	if (ret)
		return bc_fail_errno(error, ret, "%s: cannot write the stamp map",
				     meta->path);
	return 0;
}

/* Block @i of the batch; @block points into the batch. */
static void batch_decode(const struct bc_meta *meta, const struct batch *batch,
			 uint32_t i, struct bc_map_block *block)
{
	block->index = batch->first + i;
	for (int slot = 0; slot < 2; slot++)
		block->state[slot] = batch->unreadable[2 * i + slot] ?
				     BC_BLOCK_UNREADABLE : BC_BLOCK_NONE;
	bc_map_block_decode(&meta->super, block, &batch->slots[2 * i]);
}

int bc_meta_map_walk(struct bc_meta *meta, uint32_t first, uint32_t blocks,
		     int (*fn)(const struct bc_map_block *block, void *arg),
		     void *arg, struct bc_error *error)
{
	struct bc_map_block block;
	struct batch batch;
	int ret;

	ret = batch_alloc(&batch, blocks, error);
	for (uint32_t at = first; !ret && batch_next(&batch, at, first + blocks);
	     at += batch.blocks) {
		batch_read(meta, &batch);
		for (uint32_t i = 0; i < batch.blocks && !ret; i++) {
			batch_decode(meta, &batch, i, &block);
			ret = fn(&block, arg);
		}
	}
	free(batch.slots);
	return ret;
}

/*
 * Put block @i into the slot that does not hold the current one (inv. 2).  Without a
 * current one, the other must not be taken for a newer one that was lost.
 */
static void batch_encode(const struct bc_meta *meta, struct batch *batch,
			 uint32_t i, const uint64_t *stamps)
{
	struct bc_map_block block;
	uint64_t generation;

	batch_decode(meta, batch, i, &block);
	generation = block.current < 0 ? 0 : block.generation[block.current];
	if (block.current < 0)
		memset(&batch->slots[2 * i + 1], 0, BLKCAST_BLOCK_SIZE);
	bc_map_block_encode(&meta->super,
			    &batch->slots[2 * i + (block.current == 0)],
			    block.index, generation + 1,
			    stamps ? stamps + block.first : NULL);
}

int bc_map_write_all(struct bc_meta *meta, const uint64_t *stamps, bool fresh,
		     struct bc_error *error)
{
	struct batch batch = { .slots = NULL };
	int ret;

	ret = batch_alloc(&batch, meta->super.map_blocks, error);
	for (uint32_t at = 0; !ret && batch_next(&batch, at, meta->super.map_blocks);
	     at += batch.blocks) {
		if (fresh)
			memset(batch.slots, 0, (size_t)batch.blocks * BC_SLOTS_BYTES);
		else
			batch_read(meta, &batch);
		for (uint32_t i = 0; i < batch.blocks; i++)
			batch_encode(meta, &batch, i, stamps);
		ret = batch_write(meta, &batch, error);
	}
	free(batch.slots);
	return ret ? ret : bc_meta_flush(meta, error);
}

int bc_meta_map_write(struct bc_meta *meta, const uint64_t *stamps,
		      struct bc_error *error)
{
	return bc_map_write_all(meta, stamps, false, error);
}

int bc_meta_flush(struct bc_meta *meta, struct bc_error *error)
{
	if (fsync(meta->fd))
		return bc_fail_errno(error, -errno, "%s: cannot flush the metadata",
				     meta->path);
	return 0;
}
