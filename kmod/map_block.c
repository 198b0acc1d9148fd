// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Blocks of the stamp map: what stands in one, and what two slots say when a volume
 * comes up.  uapi/blkcast_disk.h has the format.
 *
 * Rot must not be taken for a torn write, or the copy would be what it was one write
 * earlier and equal to what it is not (rule 8).  A device writes a sector whole or not at
 * all, and the head of a block lies in one:
 *
 *  1. A torn write has left the old head, and counts for nothing; or the new one.
 *     Then the marks of the new block count, and what was touched is in doubt: the
 *     zeros under a new mark are on stable storage before it (map.c, inv. 2).
 *  2. So has a block whose stamps are rotten.
 *  3. A slot without a head was the newer one, for all that is known: both are lost.
 *     So is one whose generation cannot be, or it would be the newest for ever.
 */
#include <linux/crc32c.h>
#include <linux/mm.h>

#include "volume.h"

#define BLOCKS_READ	128			/* at once, both slots */

/* Regions of a group; 0 for one beyond the end. */
u32 blkcast_map_group_size(struct blkcast_volume *v, u32 group)
{
	if (group >= blkcast_map_groups(v))
		return 0;
	return min_t(u32, BLKCAST_MAP_STAMPS, v->regions - blkcast_map_first(group));
}

/* Byte offset of a slot on the metadata device. */
u64 blkcast_map_pos(struct blkcast_volume *v, u32 group, u8 slot)
{
	return le64_to_cpu(v->super->map_offset) +
	       (2ULL * group + slot) * BLKCAST_BLOCK_SIZE;
}

/*
 * Fill a block with what memory holds, nothing for a group beyond the end; it is
 * sealed later.  Caller holds vol->lock.
 */
void blkcast_map_fill(struct blkcast_volume *v, u32 group, bool active,
		      struct blkcast_map_block *b)
{
	u32 i, first = blkcast_map_first(group);

	memset(b, 0, sizeof(*b));
	b->magic = cpu_to_le32(BLKCAST_MAP_MAGIC);
	b->index = cpu_to_le32(group);
	b->flags = cpu_to_le32(active ? BLKCAST_MAP_ACTIVE : 0);
	memcpy(b->volume, v->super->volume, sizeof(b->volume));
	for (i = 0; i < blkcast_map_group_size(v, group); i++) {
		b->stamps[i] = cpu_to_le64(blkcast_map_get(v, first + i));
		if (test_bit(first + i, blkcast_map_touched_bits(v)))
			blkcast_map_block_touch(b, first + i);
	}
}

void blkcast_map_block_touch(struct blkcast_map_block *b, u32 region)
{
	u32 i = region % BLKCAST_MAP_STAMPS;

	b->touched[i / 8] |= 1 << (i % 8);
}

static u32 block_crc(const struct blkcast_map_block *b)
{
	return blkcast_block_crc(b, offsetof(struct blkcast_map_block, crc));
}

static u32 head_crc(const struct blkcast_map_block *b)
{
	size_t from = offsetof(struct blkcast_map_block, generation);
	size_t at = offsetof(struct blkcast_map_block, head_crc);
	size_t rest = at + sizeof(b->head_crc);
	static const u8 zero[4];
	u32 crc = crc32c(~0, (u8 *)b + from, at - from);

	crc = crc32c(crc, zero, sizeof(zero));
	return ~crc32c(crc, (u8 *)b + rest, BLKCAST_MAP_HEAD - rest);
}

/* Give a full block its generation and checksums. */
void blkcast_map_seal(struct blkcast_map_block *b, u64 generation)
{
	b->generation = cpu_to_le64(generation);
	b->head_crc = cpu_to_le32(head_crc(b));
	b->crc = cpu_to_le32(block_crc(b));
}

/* ---- what two slots say ---- */

enum slot_state {
	SLOT_LOST,
	SLOT_BLANK,		/* as before a block's second write */
	SLOT_HEAD,		/* the stamps are torn or rotten */
	SLOT_WHOLE,
};

static enum slot_state slot_judge(struct blkcast_volume *v, u32 group,
				  const struct blkcast_map_block *b)
{
	if (!memchr_inv(b, 0, BLKCAST_MAP_HEAD))
		return SLOT_BLANK;
	if (le32_to_cpu(b->magic) != BLKCAST_MAP_MAGIC ||
	    le32_to_cpu(b->index) != group ||
	    le64_to_cpu(b->generation) >= BLKCAST_GENERATION_END ||
	    memcmp(b->volume, v->super->volume, sizeof(b->volume)))
		return SLOT_LOST;
	if (le32_to_cpu(b->crc) == block_crc(b))
		return SLOT_WHOLE;
	return le32_to_cpu(b->head_crc) == head_crc(b) ? SLOT_HEAD : SLOT_LOST;
}

/*
 * The slot that counts, and whether its stamps do; -1: none, the newest may be lost.
 * Inv. 3.
 */
static int slots_pick(struct blkcast_volume *v, u32 group,
		      const struct blkcast_map_block *slots, bool *whole)
{
	enum slot_state state[2];
	int i, pick = -1;

	for (i = 0; i < 2; i++) {
		state[i] = slot_judge(v, group, &slots[i]);
		if (state[i] < SLOT_HEAD)
			continue;
		if (pick < 0 || le64_to_cpu(slots[i].generation) >
				le64_to_cpu(slots[pick].generation))
			pick = i;
	}
	if (pick < 0 || state[!pick] == SLOT_LOST)
		return -1;
	if (state[!pick] == SLOT_BLANK && le64_to_cpu(slots[pick].generation) > 1)
		return -1;
	*whole = state[pick] == SLOT_WHOLE;
	return pick;
}

/* ---- reading them ---- */

/*
 * A block that counts, or NULL.  What could not be read now may be read the next
 * time, and must not be taken for newer then: time outruns any count.
 */
static const struct blkcast_map_block *
group_pick(struct blkcast_volume *v, u32 group, const struct blkcast_map_block *slots)
{
	struct blkcast_group *g = &v->map.groups[group];
	bool whole = false;
	int slot = slots_pick(v, group, slots, &whole);

	if (slot < 0) {
		vol_warn(v, "map block %u is damaged: its regions are in doubt\n",
			 group);
		v->map.damaged++;
		g->unsure = 2;
		g->generation = (u64)ktime_get_real_seconds() << 20;
		blkcast_map_set_active(v, group, true);
		return NULL;
	}
	if (!whole)
		vol_warn(v, "map block %u was not written whole: its regions are in doubt\n",
			 group);
	g->slot = slot;
	g->generation = le64_to_cpu(slots[slot].generation);
	blkcast_map_set_active(v, group, !whole || le32_to_cpu(slots[slot].flags) &
						   BLKCAST_MAP_ACTIVE);
	return &slots[slot];
}

/* Caller holds vol->lock. */
static void group_load(struct blkcast_volume *v, u32 group,
		       const struct blkcast_map_block *slots)
{
	const struct blkcast_map_block *b = group_pick(v, group, slots);
	struct blkcast_group *g = &v->map.groups[group];
	u32 i, first = blkcast_map_first(group);

	g->idle_since = jiffies;
	for (i = 0; i < blkcast_map_group_size(v, group); i++) {
		bool touched = !b || b->touched[i / 8] & 1 << (i % 8);
		u64 stamp = BLKCAST_LSN_NEVER;

		if (touched)
			stamp = g->active ? BLKCAST_LSN_DOUBT :
					    le64_to_cpu(b->stamps[i]);
		if (touched)
			blkcast_map_touch(v, first + i);
		if (stamp == BLKCAST_LSN_DOUBT)
			g->doubts++;
		else
			v->lsn = max(v->lsn, stamp);
		*__blkcast_map_slot(v, first + i) = stamp;
	}
	if (g->doubts)
		blkcast_map_set_active(v, group, true);
}

/*
 * Read blocks one by one.  A slot that cannot be read may be the newer one: then
 * neither counts.
 */
static void blocks_read_each(struct blkcast_volume *v, u32 group, u32 n,
			     struct blkcast_map_block *buf)
{
	u32 i;

	for (i = 0; i < n; i++, buf += 2)
		if (blkcast_disk_rw(v->meta.bdev, REQ_OP_READ | REQ_META,
				    blkcast_map_pos(v, group + i, 0), buf,
				    2 * BLKCAST_BLOCK_SIZE))
			memset(buf, 0, 2 * BLKCAST_BLOCK_SIZE);
}

/**
 * blkcast_map_read() - read all blocks into memory that is laid out
 * @v: the volume; nobody uses it yet
 *
 * Return: 0 or -ENOMEM.  Blocks that cannot be read, or are damaged, are counted in
 * map.damaged.
 */
int blkcast_map_read(struct blkcast_volume *v)
{
	u32 group = 0, groups = blkcast_map_groups(v), i, n;
	struct blkcast_map_block *buf;

	buf = kvmalloc_array(BLOCKS_READ, BLKCAST_BLOCK_SIZE, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	for (; group < groups; group += n) {
		n = min_t(u32, groups - group, BLOCKS_READ / 2);
		if (blkcast_disk_rw(v->meta.bdev, REQ_OP_READ | REQ_META,
				    blkcast_map_pos(v, group, 0), buf,
				    2 * n * BLKCAST_BLOCK_SIZE))
			blocks_read_each(v, group, n, buf);
		spin_lock_irq(&v->lock);
		for (i = 0; i < n; i++)
			group_load(v, group + i, &buf[2 * i]);
		spin_unlock_irq(&v->lock);
		cond_resched();
	}
	kvfree(buf);
	return 0;
}
