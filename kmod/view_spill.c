// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stores on disk: blocks go from memory to a file or a block device, behind the
 * writers.
 *
 * What a write saves is in a page of the store when it goes on; the store's work
 * writes pages out in the order in which they came, and lets them go.  Slot N is at
 * byte N * 4096, so most of it is one sequence of large writes.
 *
 *  1. A sector is on disk when it is saved and not dirty.  It stays dirty, and its
 *     page there, until the write is over.
 *  2. At most BLKCAST_VIEW_CACHE blocks have a page.  Who would need more waits until
 *     some are written, and after the view's timeout it breaks.
 *  3. An error breaks the view; then nothing is written any more.
 *
 * Nothing of it has to survive: no flush.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/sched/mm.h>

#include "view.h"

/* Slots that are written at once, side by side in the store. */
struct batch {
	u32 count;
	u32 first;
	struct page *pages[BLKCAST_VIEW_SPILL];
	u8 dirty;		/* of each; of one alone it may be a part */
};

#define ALL_SECTORS	0xff

static loff_t slot_pos(u32 slot)
{
	return (loff_t)slot << BLKCAST_VIEW_SHIFT;
}

/* ---- input and output ---- */

static int file_write(struct file *file, loff_t pos, struct page *page, u32 at, u32 n)
{
	ssize_t done = kernel_write(file, page_address(page) + at, n, &pos);

	return done == n ? 0 : done < 0 ? done : -EIO;
}

static int dev_write(struct block_device *bdev, const struct batch *b, u32 at, u32 n)
{
	struct bio *bio = bio_alloc(bdev, b->count, REQ_OP_WRITE, GFP_NOIO);
	int err;
	u32 i;

	bio->bi_iter.bi_sector = (slot_pos(b->first) + at) >> SECTOR_SHIFT;
	for (i = 0; i < b->count; i++)
		__bio_add_page(bio, b->pages[i], n, at);
	err = submit_bio_wait(bio);
	bio_put(bio);
	return err;
}

/* Bytes @at..@at + @n of each block; all of it, or of one alone. */
static int batch_write_run(struct blkcast_store *store, const struct batch *b,
			   u32 at, u32 n)
{
	int err = 0;
	u32 i;

	if (store->kind == BLKCAST_STORE_DEVICE)
		return dev_write(store->dev.bdev, b, at, n);
	for (i = 0; i < b->count && !err; i++)
		err = file_write(store->file, slot_pos(b->first + i) + at,
				 b->pages[i], at, n);
	return err;
}

static int batch_write(struct blkcast_store *store, const struct batch *b)
{
	u32 from, to;
	int err = 0;

	for (from = 0; from < BLKCAST_VIEW_SECTORS && !err; from = to + 1) {
		for (to = from; b->dirty & 1 << to; )
			to++;
		if (to > from)
			err = batch_write_run(store, b, from << SECTOR_SHIFT,
					      (to - from) << SECTOR_SHIFT);
	}
	return err;
}

/* Read a slot. */
int blkcast_spill_read(struct blkcast_store *store, u32 slot, struct page *to)
{
	loff_t pos = slot_pos(slot);
	ssize_t done;

	if (store->kind == BLKCAST_STORE_DEVICE)
		return blkcast_disk_rw(store->dev.bdev, REQ_OP_READ, pos,
				       page_address(to), BLKCAST_VIEW_BLOCK);
	done = kernel_read(store->file, page_address(to), BLKCAST_VIEW_BLOCK, &pos);
	return done == BLKCAST_VIEW_BLOCK ? 0 : done < 0 ? done : -EIO;
}

/* ---- the queue ---- */

/* A slot has dirty sectors.  Caller holds store->lock. */
void __blkcast_spill_queue(struct blkcast_store *store, u32 slot)
{
	struct blkcast_slot *s = blkcast_slot(store, slot);

	lockdep_assert_held(&store->lock);
	if (s->queued)
		return;
	s->queued = true;
	s->dirty_next = 0;
	if (store->dirty_last)
		blkcast_slot(store, store->dirty_last - 1)->dirty_next = slot + 1;
	else
		store->dirty_first = slot + 1;
	store->dirty_last = slot + 1;
	queue_work(blkcast_view_wq, &store->spill);
}

static void queue_pop(struct blkcast_store *store)
{
	store->dirty_first = blkcast_slot(store, store->dirty_first - 1)->dirty_next;
	if (!store->dirty_first)
		store->dirty_last = 0;
}

/* May the slot that is first in the queue join the batch? */
static bool batch_takes(struct blkcast_store *store, const struct batch *b)
{
	u32 slot = store->dirty_first - 1;

	if (!store->dirty_first || b->count == BLKCAST_VIEW_SPILL)
		return false;
	return !b->count || (b->dirty == ALL_SECTORS && slot == b->first + b->count &&
			     blkcast_slot(store, slot)->dirty == ALL_SECTORS);
}

static bool batch_take(struct blkcast_view *view, struct batch *b)
{
	struct blkcast_store *store = &view->store;
	struct blkcast_slot *slot;

	b->count = 0;
	spin_lock_irq(&store->lock);
	while (!view->state && batch_takes(store, b)) {
		if (!b->count)
			b->first = store->dirty_first - 1;
		slot = blkcast_slot(store, store->dirty_first - 1);
		queue_pop(store);
		b->dirty = slot->dirty;
		b->pages[b->count++] = slot->page;
	}
	spin_unlock_irq(&store->lock);
	return b->count;
}

/* Inv. 1: what has become dirty meanwhile comes again. */
static void batch_done(struct blkcast_store *store, const struct batch *b)
{
	u32 i;

	spin_lock_irq(&store->lock);
	for (i = 0; i < b->count; i++) {
		struct blkcast_slot *slot = blkcast_slot(store, b->first + i);

		slot->queued = false;
		slot->dirty &= ~b->dirty;
		if (slot->dirty) {
			__blkcast_spill_queue(store, b->first + i);
			continue;
		}
		slot->page = NULL;
		store->cached--;
		put_page(b->pages[i]);
	}
	spin_unlock_irq(&store->lock);
	wake_up_all(&store->room);
}

static void spill_work(struct work_struct *work)
{
	struct blkcast_store *store = container_of(work, struct blkcast_store, spill);
	struct blkcast_view *view = container_of(store, struct blkcast_view, store);
	unsigned int noio = memalloc_noio_save();
	struct batch b;
	int err = 0;

	while (!err && batch_take(view, &b)) {
		err = batch_write(store, &b);
		if (err)
			blkcast_view_break(view, BLKCAST_VIEW_STORE_ERROR, err);
		else
			batch_done(store, &b);
	}
	memalloc_noio_restore(noio);
}

/* ---- room.  Inv. 2 ---- */

/* True: there is, or the view is broken and nothing will be kept. */
static bool room_take(struct blkcast_view *view, u32 blocks)
{
	struct blkcast_store *store = &view->store;
	bool room;

	spin_lock_irq(&store->lock);
	room = view->state ||
	       store->cached + store->reserved + blocks <= BLKCAST_VIEW_CACHE;
	if (room)
		store->reserved += blocks;
	spin_unlock_irq(&store->lock);
	return room;
}

/**
 * blkcast_spill_reserve() - wait until so many blocks may be kept
 * @view: breaks if that takes too long
 * @blocks: at most BLKCAST_VIEW_PIECE
 * @since: jiffies when the write began to wait for views
 *
 * Return: whether it is so; blkcast_spill_release() afterwards if it is.
 */
bool blkcast_spill_reserve(struct blkcast_view *view, u32 blocks,
			   unsigned long since)
{
	unsigned long end = since + msecs_to_jiffies(view->timeout);
	long left = max_t(long, end - jiffies, 0);

	if (view->store.kind == BLKCAST_STORE_MEMORY)
		return true;
	if (wait_event_timeout(view->store.room, room_take(view, blocks), left))
		return true;
	blkcast_view_break(view, BLKCAST_VIEW_TIMEOUT, -ETIMEDOUT);
	return false;
}

void blkcast_spill_release(struct blkcast_store *store, u32 blocks)
{
	if (store->kind == BLKCAST_STORE_MEMORY)
		return;
	spin_lock_irq(&store->lock);
	store->reserved -= blocks;
	spin_unlock_irq(&store->lock);
	wake_up_all(&store->room);
}

/* ---- opening ---- */

/* A store that is written where it is read from would never come to an end. */
static const char *file_refusal(struct blkcast_view *view, struct file *file, u64 bytes)
{
	struct inode *inode = file_inode(file);

	if (!S_ISREG(inode->i_mode))
		return "the store is no regular file";
	if (!(file->f_mode & FMODE_READ) || !(file->f_mode & FMODE_WRITE) ||
	    file->f_flags & (O_DIRECT | O_APPEND))
		return "the store is not open for reading and writing";
	if (i_size_read(inode) < bytes)
		return "the store is smaller than what it may keep";
	if (inode->i_sb->s_bdev && inode->i_sb->s_bdev->bd_disk == view->vol->disk)
		return "the store is on the volume itself";
	return NULL;
}

static int file_open(struct blkcast_view *view, const struct blkcast_view_params *p,
		     const char **refusal)
{
	struct file *file = fget(p->fd);

	if (!file) {
		*refusal = "the store is no open file";
		return -EBADF;
	}
	view->store.file = file;
	*refusal = file_refusal(view, file, p->bytes);
	return *refusal ? -EINVAL : 0;
}

static int dev_open(struct blkcast_view *view, const struct blkcast_view_params *p,
		    const char **refusal)
{
	struct block_device *backing = view->vol->backing.bdev, *bdev;
	int err;

	if (p->dev == disk_devt(view->vol->disk)) {
		*refusal = "the store is the volume itself";
		return -EINVAL;
	}
	err = blkcast_bdev_open(&view->store.dev, p->dev, view, false);
	if (err) {
		*refusal = "cannot open the store for itself";
		view->store.dev.bdev = NULL;
		return err;
	}
	bdev = view->store.dev.bdev;
	if (bdev_nr_bytes(bdev) < p->bytes)
		*refusal = "the store is smaller than what it may keep";
	else if (bdev_logical_block_size(bdev) > bdev_logical_block_size(backing))
		*refusal = "the store has larger blocks than the volume";
	else if (bdev_read_only(bdev) || bdev_is_zoned(bdev))
		*refusal = "the store is read-only or zoned";
	return *refusal ? -EINVAL : 0;
}

/* The caller calls blkcast_spill_close() whatever this returns. */
int blkcast_spill_open(struct blkcast_view *view, const struct blkcast_view_params *p,
		       struct netlink_ext_ack *extack)
{
	const char *refusal = NULL;
	int err = 0;

	view->store.kind = p->kind;
	INIT_WORK(&view->store.spill, spill_work);
	if (p->kind == BLKCAST_STORE_FILE)
		err = file_open(view, p, &refusal);
	else if (p->kind == BLKCAST_STORE_DEVICE)
		err = dev_open(view, p, &refusal);
	if (refusal && extack)
		extack->_msg = refusal;
	return err;
}

/* Nobody keeps anything any more. */
void blkcast_spill_close(struct blkcast_store *store)
{
	cancel_work_sync(&store->spill);
	if (store->file)
		fput(store->file);
	if (store->dev.bdev)
		blkcast_bdev_close(&store->dev);
}
