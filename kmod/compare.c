// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Comparison by checksum: the primary asks for hashes of a region's blocks.
 *
 *	primary					replica
 *	blkcast_ask_begin()	a slot
 *	blkcast_ask_send()	--COMPARE-->	hashes of its 4 KiB blocks
 *	blkcast_hashes_recv()	<--HASHES--	(replica.c)
 *	blkcast_ask_answered()	compare
 *	blkcast_ask_end()	the slot is free
 *
 * Several regions are asked for at once, each at most once, by resync.c or by
 * verify.c.  The slots and the room for the answers are allocated with the link,
 * so that nothing here fails.
 *
 *  1. A slot belongs to the sender, but for the replica's hashes from ask_send()
 *     until the answer is in: those are the receiver's.  An answer that was not
 *     asked for ends the link.
 *  2. So does an answer that does not come, though nothing holds the replica up: what
 *     waits for the slots (resync, verify, and a volume that grows) would wait for ever.
 */
#include <crypto/blake2s.h>
#include <linux/slab.h>

#include "link.h"

#define ASK_PATIENCE	10		/* timeouts of the link */

/* ---- blocks and their hashes ---- */

u32 blkcast_region_blocks(struct blkcast_volume *v, u32 region)
{
	return DIV_ROUND_UP(blkcast_region_sectors(v, region) << SECTOR_SHIFT,
			    BLKCAST_COMPARE_BLOCK);
}

/* The last block of a volume may be short. */
u32 blkcast_block_bytes(struct blkcast_volume *v, u32 region, u32 block)
{
	u32 bytes = blkcast_region_sectors(v, region) << SECTOR_SHIFT;

	return min_t(u32, BLKCAST_COMPARE_BLOCK,
		     bytes - block * BLKCAST_COMPARE_BLOCK);
}

/* Hash one block of a region whose content is @data. */
void blkcast_block_hash(struct blkcast_volume *v, u32 region, u32 block,
			const void *data, u8 *hash)
{
	blake2s(hash, data + (size_t)block * BLKCAST_COMPARE_BLOCK, NULL,
		BLKCAST_HASH_SIZE, blkcast_block_bytes(v, region, block), 0);
}

/* Hash all of its blocks; the hashes stand one behind the other. */
void blkcast_region_hash(struct blkcast_volume *v, u32 region, const void *data,
			 u8 *hashes)
{
	u32 blocks = blkcast_region_blocks(v, region), b;

	for (b = 0; b < blocks; b++)
		blkcast_block_hash(v, region, b, data,
				   hashes + b * BLKCAST_HASH_SIZE);
}

/* Read a region that nothing is written into, as it reads for users. */
int blkcast_region_load(struct blkcast_volume *v, u32 region, void *buf)
{
	size_t bytes = (size_t)blkcast_region_sectors(v, region) << SECTOR_SHIFT;
	u64 pos = (v->data_start + blkcast_region_start(v, region)) << SECTOR_SHIFT;

	if (blkcast_repair_bad(v, blkcast_region_start(v, region),
			       blkcast_region_sectors(v, region)))
		return -EIO;
	if (blkcast_map_touched(v, region))
		return blkcast_disk_rw(v->backing.bdev, REQ_OP_READ, pos, buf,
				       bytes);
	memset(buf, 0, bytes);
	return 0;
}

/* ---- asking ---- */

/* How many regions may be asked for at once; a replica holds its primary to it. */
u32 blkcast_asks_max(const struct blkcast_volume *v)
{
	return clamp(BLKCAST_COMPARE_BYTES >> (v->region_shift + SECTOR_SHIFT),
		     1U, (u32)BLKCAST_COMPARE_MAX);
}

/* Caller holds vol->lock. */
struct blkcast_ask *blkcast_ask_find(struct blkcast_link *l, u32 region)
{
	u32 i;

	lockdep_assert_held(&l->vol->lock);
	for (i = 0; i < blkcast_asks_max(l->vol); i++)
		if (l->asks[i].used && l->asks[i].region == region)
			return &l->asks[i];
	return NULL;
}

/*
 * Take a slot for the region, which has none; l->asked is less than
 * blkcast_asks_max().  Caller holds vol->lock.
 */
struct blkcast_ask *blkcast_ask_begin(struct blkcast_link *l, u32 region)
{
	struct blkcast_ask *ask = l->asks;

	lockdep_assert_held(&l->vol->lock);
	while (ask->used)
		ask++;
	ask->used = true;
	ask->verify = false;
	ask->sent = false;
	ask->answered = false;
	ask->region = region;
	l->asked++;
	return ask;
}

/* Caller holds vol->lock. */
void blkcast_ask_end(struct blkcast_link *l, struct blkcast_ask *ask)
{
	lockdep_assert_held(&l->vol->lock);
	ask->used = false;
	l->asked--;
}

int blkcast_ask_send(struct blkcast_link *l, struct blkcast_ask *ask)
{
	struct blkcast_frame f = {
		.type = cpu_to_le16(BLKCAST_FRAME_COMPARE),
		.sector = cpu_to_le64(ask->region),
	};

	spin_lock_irq(&l->vol->lock);
	ask->sent = true;
	ask->since = ktime_get_ns();
	spin_unlock_irq(&l->vol->lock);
	return blkcast_frame_send(l, &f, NULL, false);
}

/* One of @verify's or of resync's that is answered, or NULL.  Holds vol->lock. */
struct blkcast_ask *blkcast_ask_answered(struct blkcast_link *l, bool verify)
{
	struct blkcast_ask *ask = l->asks;
	u32 i;

	lockdep_assert_held(&l->vol->lock);
	for (i = 0; l->asked && i < blkcast_asks_max(l->vol); i++, ask++)
		if (ask->used && ask->answered && ask->verify == verify)
			return ask;
	return NULL;
}

/*
 * Inv. 2: has one been out for too long, while none was answered and nothing applied?
 * Caller holds vol->lock.
 */
bool blkcast_ask_stuck(struct blkcast_link *l)
{
	u64 limit = (u64)l->timeout * NSEC_PER_MSEC * ASK_PATIENCE;
	u64 now = ktime_get_ns();
	u32 i;

	lockdep_assert_held(&l->vol->lock);
	if (!l->asked || now - l->hashed_when <= limit || now - l->progress_when <= limit)
		return false;
	for (i = 0; i < blkcast_asks_max(l->vol); i++) {
		const struct blkcast_ask *ask = &l->asks[i];

		if (ask->used && ask->sent && !ask->answered && now - ask->since > limit)
			return true;
	}
	return false;
}

/* The receiver's part: take an answer for the sender.  Inv. 1. */
int blkcast_hashes_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	struct blkcast_volume *v = l->vol;
	u64 region = le64_to_cpu(f->sector);
	struct blkcast_ask *ask;
	bool asked;
	u32 blocks;
	int err;

	if (region >= v->regions)
		return -EPROTO;
	blocks = blkcast_region_blocks(v, region);
	if (le32_to_cpu(f->length) != blocks * BLKCAST_HASH_SIZE ||
	    le32_to_cpu(f->sectors) != blocks)
		return -EPROTO;
	spin_lock_irq(&v->lock);
	ask = blkcast_ask_find(l, region);
	asked = ask && ask->sent && !ask->answered;
	spin_unlock_irq(&v->lock);
	if (!asked)
		return -EPROTO;
	err = blkcast_frame_recv_data(l, f, ask->hashes);
	if (err)
		return err;
	spin_lock_irq(&v->lock);
	ask->answered = true;
	l->hashed_when = ktime_get_ns();
	wake_up(&l->wake);
	spin_unlock_irq(&v->lock);
	return 0;
}

/* ---- what a link needs ---- */

int blkcast_asks_init(struct blkcast_link *l)
{
	struct blkcast_volume *v = l->vol;
	u32 blocks = (1U << (v->region_shift + SECTOR_SHIFT)) /
		     BLKCAST_COMPARE_BLOCK;
	u32 i;

	l->asks = kcalloc(blkcast_asks_max(v), sizeof(*l->asks), GFP_KERNEL);
	if (!l->asks)
		return -ENOMEM;
	for (i = 0; i < blkcast_asks_max(v); i++) {
		struct blkcast_ask *ask = &l->asks[i];

		ask->hashes = kmalloc_array(blocks, BLKCAST_HASH_SIZE, GFP_KERNEL);
		ask->ours = kmalloc_array(blocks, BLKCAST_HASH_SIZE, GFP_KERNEL);
		if (!ask->hashes || !ask->ours)
			return -ENOMEM;
	}
	return 0;
}

void blkcast_asks_free(struct blkcast_link *l)
{
	u32 i;

	for (i = 0; l->asks && i < blkcast_asks_max(l->vol); i++) {
		kfree(l->asks[i].ours);
		kfree(l->asks[i].hashes);
	}
	kfree(l->asks);
}
