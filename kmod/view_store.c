// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A view's store: the old content of blocks that have been overwritten.
 *
 * A hash table of slots, one a block, in the order in which they were taken.  A
 * slot says which sectors of its block are saved; that only grows.
 *
 *  1. A sector is saved once: whoever comes later brings newer content.
 *  2. A page whose block is saved whole does not change any more, so several views
 *     share it.  A page with fewer sectors belongs to one slot: the first to take it.
 *  3. Saving does not wait, and does not fail but for memory or room: then the view
 *     breaks.
 *
 * A store that is no memory has slot N at byte N * 4096; view_spill.c writes pages
 * there, and lets them go.
 */
#include <linux/hash.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "view.h"

#define BUCKET_BITS_MAX	26
#define ALL_SECTORS	0xff

static_assert(BLKCAST_VIEW_SECTORS == 8 && PAGE_SIZE == BLKCAST_VIEW_BLOCK);

/* Its number and one, or 0.  Caller holds store->lock. */
static u32 slot_find(struct blkcast_store *store, u64 block)
{
	u32 at = store->buckets[hash_64(block, store->bits)];

	lockdep_assert_held(&store->lock);
	while (at && blkcast_slot(store, at - 1)->block != block)
		at = blkcast_slot(store, at - 1)->next;
	return at;
}

/**
 * blkcast_store_prepare() - have memory for the slots that are taken next
 * @store: the store
 *
 * What is missing then, slot_add() tries to get without waiting.  Process context.
 */
void blkcast_store_prepare(struct blkcast_store *store)
{
	struct blkcast_slot **chunk;
	unsigned long page;
	u32 slot;

	spin_lock_irq(&store->lock);
	slot = min(store->used + BLKCAST_VIEW_PIECE, store->capacity - 1);
	chunk = &store->chunks[slot / BLKCAST_SLOTS_PER_CHUNK];
	page = (unsigned long)*chunk;
	spin_unlock_irq(&store->lock);
	if (page)
		return;
	page = __get_free_page(GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
	spin_lock_irq(&store->lock);
	if (!*chunk) {
		*chunk = (void *)page;
		page = 0;
	}
	spin_unlock_irq(&store->lock);
	free_page(page);
}

/* Take the next slot, which is number store->used and one then. */
static int slot_add(struct blkcast_store *store, u64 block)
{
	struct blkcast_slot **chunk;
	u32 *bucket = &store->buckets[hash_64(block, store->bits)];

	if (store->used == store->capacity)
		return -ENOSPC;
	chunk = &store->chunks[store->used / BLKCAST_SLOTS_PER_CHUNK];
	if (!*chunk)
		*chunk = (void *)__get_free_page(GFP_NOWAIT | __GFP_NOWARN);
	if (!*chunk)
		return -ENOMEM;
	*blkcast_slot(store, store->used++) = (struct blkcast_slot) {
		.block = block, .next = *bucket,
	};
	*bucket = store->used;
	return 0;
}

static void copy_sectors(struct page *to, struct page *from, u8 sectors)
{
	unsigned int i;

	for (i = 0; i < BLKCAST_VIEW_SECTORS; i++)
		if (sectors & 1 << i)
			memcpy_page(to, i << SECTOR_SHIFT, from,
				    i << SECTOR_SHIFT, SECTOR_SIZE);
}

/* Which sectors of a block are saved?  Caller holds store->lock. */
u8 __blkcast_store_saved(struct blkcast_store *store, u64 block)
{
	u32 at = slot_find(store, block);

	return at ? blkcast_slot(store, at - 1)->saved : 0;
}

/* Inv. 2. */
static int slot_fill(struct blkcast_store *store, struct blkcast_slot *slot,
		     u8 sectors, struct page *page)
{
	bool had = slot->page;

	if (sectors == ALL_SECTORS || (!had && page_count(page) == 1)) {
		get_page(page);
		slot->page = page;
	} else {
		if (!had)
			slot->page = alloc_page(GFP_NOWAIT | __GFP_NOWARN);
		if (!slot->page)
			return -ENOMEM;
		copy_sectors(slot->page, page, sectors);
	}
	store->cached += !had;
	return 0;
}

/**
 * __blkcast_store_keep() - save sectors of a block
 * @store: its lock is held
 * @block: number
 * @sectors: a bit a sector, those that are in @page; what is saved already stays
 * @page: of the caller's, who does not write into it any more
 *
 * Return: 0, -ENOSPC or -ENOMEM.
 */
int __blkcast_store_keep(struct blkcast_store *store, u64 block, u8 sectors,
			 struct page *page)
{
	u32 at = slot_find(store, block);
	struct blkcast_slot *slot;
	int err;

	if (!at) {
		err = slot_add(store, block);
		if (err)
			return err;
		at = store->used;
	}
	slot = blkcast_slot(store, at - 1);
	sectors &= ~slot->saved;
	if (!sectors)
		return 0;
	err = slot_fill(store, slot, sectors, page);
	if (err)
		return err;
	slot->saved |= sectors;
	slot->dirty |= sectors;
	if (store->kind != BLKCAST_STORE_MEMORY)
		__blkcast_spill_queue(store, at - 1);
	return 0;
}

/*
 * Copy what is saved of a block to a page: which sectors that is, or a negative
 * errno.  Process context.
 */
int blkcast_store_fetch(struct blkcast_store *store, u64 block, struct page *to)
{
	struct blkcast_slot slot = {};
	unsigned long flags;
	int err = 0;
	u32 at;

	spin_lock_irqsave(&store->lock, flags);
	at = slot_find(store, block);
	if (at)
		slot = *blkcast_slot(store, at - 1);
	if (slot.page)
		get_page(slot.page);
	spin_unlock_irqrestore(&store->lock, flags);
	if (slot.saved & ~slot.dirty)
		err = blkcast_spill_read(store, at - 1, to);
	if (slot.page) {
		copy_sectors(to, slot.page, slot.dirty);
		put_page(slot.page);
	}
	return err ?: slot.saved;
}

static u32 chunk_count(const struct blkcast_store *store)
{
	return DIV_ROUND_UP(store->capacity, BLKCAST_SLOTS_PER_CHUNK);
}

/* The caller calls blkcast_store_free() whatever this returns. */
int blkcast_store_init(struct blkcast_view *view,
		       const struct blkcast_view_params *p,
		       struct netlink_ext_ack *extack)
{
	struct blkcast_store *store = &view->store;
	int err;

	spin_lock_init(&store->lock);
	init_waitqueue_head(&store->room);
	store->capacity = p->bytes >> BLKCAST_VIEW_SHIFT;
	err = blkcast_spill_open(view, p, extack);
	if (err)
		return err;
	store->bits = clamp(ilog2(store->capacity) - 2, 4, BUCKET_BITS_MAX);
	store->buckets = kvcalloc(1U << store->bits, sizeof(*store->buckets),
				  GFP_KERNEL);
	store->chunks = kvcalloc(chunk_count(store), sizeof(*store->chunks),
				 GFP_KERNEL);
	return store->buckets && store->chunks ? 0 : -ENOMEM;
}

/* Nobody uses it any more. */
void blkcast_store_free(struct blkcast_store *store)
{
	u32 i;

	blkcast_spill_close(store);
	for (i = 0; i < store->used; i++) {
		struct blkcast_slot *slot = blkcast_slot(store, i);

		if (slot->page)
			put_page(slot->page);
		if (!(i % BLKCAST_SLOTS_PER_CHUNK))
			cond_resched();
	}
	for (i = 0; store->chunks && i < chunk_count(store); i++)
		free_page((unsigned long)store->chunks[i]);
	kvfree(store->chunks);
	kvfree(store->buckets);
}
