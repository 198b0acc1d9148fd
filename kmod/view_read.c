// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading a view, and its block device.
 *
 *	view_read()		never written: zeros; else a read of the backing device
 *	view_end_io()		is anything of it saved, or lost?
 *	view_read_work()	what is saved goes over it
 *
 * Why that is right: view.c, inv. 3 and 4.
 */
#include <linux/highmem.h>
#include <linux/module.h>

#include "view.h"

/* ---- reading ---- */

/* A read of the backing device for a view's bio; bio->bi_private is its view. */
struct view_read {
	struct blkcast_view *view;
	struct bio *parent;
	unsigned long since;		/* jiffies */
	struct work_struct work;
	struct bio bio;			/* last: bioset */
};

static void view_read_end(struct view_read *r, blk_status_t status)
{
	struct blkcast_view *view = r->view;
	struct bio *parent = r->parent;

	if (status)
		parent->bi_status = status;
	bio_end_io_acct(parent, r->since);
	bio_put(&r->bio);
	bio_endio(parent);
	if (atomic_dec_and_test(&view->reads))
		wake_up_var(&view->reads);
}

/* Put sectors that are @saved, of the block @page, over a piece of the bio. */
static void overlay(void *to, u64 pos, u32 len, struct page *page, u8 saved)
{
	u32 at = pos % BLKCAST_VIEW_BLOCK, done, n;

	for (done = 0; done < len; done += n, at += n) {
		n = min_t(u32, len - done, SECTOR_SIZE - at % SECTOR_SIZE);
		if (saved & 1 << (at >> SECTOR_SHIFT))
			memcpy_from_page(to + done, page, at, n);
	}
}

static int overlay_bio(struct blkcast_view *view, struct bio *bio, struct page *page)
{
	u64 pos = (u64)bio->bi_iter.bi_sector << SECTOR_SHIFT, have = U64_MAX;
	struct bvec_iter it;
	struct bio_vec bv;
	int saved = 0;

	bio_for_each_segment(bv, bio, it) {
		u32 done, n;

		for (done = 0; done < bv.bv_len; done += n, pos += n) {
			u64 block = pos >> BLKCAST_VIEW_SHIFT;
			void *to;

			n = min_t(u32, bv.bv_len - done,
				  BLKCAST_VIEW_BLOCK - pos % BLKCAST_VIEW_BLOCK);
			if (block != have)
				saved = blkcast_store_fetch(&view->store, block, page);
			if (saved < 0)
				return saved;
			have = block;
			to = bvec_kmap_local(&bv);
			overlay(to + done, pos, n, page, saved);
			kunmap_local(to);
		}
	}
	return 0;
}

static void view_read_work(struct work_struct *work)
{
	struct view_read *r = container_of(work, struct view_read, work);
	struct page *page = alloc_page(GFP_NOIO);
	int err = -ENOMEM;

	if (page) {
		err = overlay_bio(r->view, r->parent, page);
		put_page(page);
	}
	if (err && page)
		blkcast_view_break(r->view, BLKCAST_VIEW_STORE_ERROR, err);
	view_read_end(r, errno_to_blk_status(err));
}

/* Is anything of a bio saved?  -EIO: it cannot be read any more.  Inv. 3 and 4. */
static int view_look(struct blkcast_view *view, const struct bio *bio)
{
	u64 block = bio->bi_iter.bi_sector / BLKCAST_VIEW_SECTORS;
	u64 last = (bio_end_sector(bio) - 1) / BLKCAST_VIEW_SECTORS;
	u32 region = blkcast_region(view->vol, bio->bi_iter.bi_sector);
	unsigned long flags;
	int saved = 0;

	spin_lock_irqsave(&view->store.lock, flags);
	if (view->state || region < READ_ONCE(view->passed))
		saved = -EIO;
	for (; !saved && block <= last; block++)
		saved = !!__blkcast_store_saved(&view->store, block);
	spin_unlock_irqrestore(&view->store.lock, flags);
	if (saved >= 0 && blkcast_repair_bad(view->vol, bio->bi_iter.bi_sector,
					     bio_sectors(bio)))
		saved = -EIO;
	return saved;
}

static void view_end_io(struct bio *bio)
{
	struct view_read *r = container_of(bio, struct view_read, bio);
	int saved = bio->bi_status ? 0 : view_look(r->view, r->parent);

	if (saved > 0) {
		INIT_WORK(&r->work, view_read_work);
		queue_work(blkcast_view_wq, &r->work);
		return;
	}
	view_read_end(r, bio->bi_status ?: errno_to_blk_status(saved));
}

static void view_read(struct blkcast_view *view, struct bio *bio)
{
	struct blkcast_volume *v = view->vol;
	u32 region = blkcast_region(v, bio->bi_iter.bi_sector);
	struct view_read *r;
	struct bio *clone;
	int saved;

	if (view_look(view, bio) < 0) {
		bio_io_error(bio);
		return;
	}
	/* What a replica had no content of has none that could be lost either. */
	if (blkcast_view_stamp(view, region) == BLKCAST_LSN_NEVER ||
	    !blkcast_map_touched(v, region)) {
		zero_fill_bio(bio);
		saved = view_look(view, bio);
		if (saved <= 0) {
			bio->bi_status = errno_to_blk_status(saved);
			bio_endio(bio);
			return;
		}
	}
	clone = bio_alloc_clone(v->backing.bdev, bio, GFP_NOIO, &v->view_bios);
	r = container_of(clone, struct view_read, bio);
	r->view = view;
	r->parent = bio;
	r->since = bio_start_io_acct(bio);
	atomic_inc(&view->reads);
	clone->bi_iter.bi_sector += v->data_start;
	clone->bi_end_io = view_end_io;
	submit_bio_noacct(clone);
}

static void view_submit_bio(struct bio *bio)
{
	struct blkcast_view *view = bio->bi_bdev->bd_disk->private_data;
	sector_t sector = bio->bi_iter.bi_sector;
	u32 room = blkcast_region_start(view->vol,
					blkcast_region(view->vol, sector) + 1) - sector;
	struct bio *piece;

	if (!bio_sectors(bio)) {
		bio_endio(bio);		/* a flush of what nobody writes */
		return;
	}
	if (bio_op(bio) != REQ_OP_READ) {
		bio->bi_status = BLK_STS_NOTSUPP;
		bio_endio(bio);
		return;
	}
	if (bio_sectors(bio) > room) {
		piece = bio_split(bio, room, GFP_NOIO, &view->vol->split_bios);
		bio_chain(piece, bio);
		submit_bio_noacct(bio);
		bio = piece;
	}
	view_read(view, bio);
}

/* ---- the block device ---- */

BLKCAST_DISK_OPEN(view_open)
{
	struct blkcast_view *view = blkcast_open_disk()->private_data;
	struct blkcast_volume *v = view->vol;
	int err = 0;

	spin_lock_irq(&v->lock);
	if (view->gone)
		err = -ENXIO;
	else if (blkcast_open_writes())
		err = -EROFS;
	else
		view->openers++;
	spin_unlock_irq(&v->lock);
	return err;
}

BLKCAST_DISK_RELEASE(view_release)
{
	struct blkcast_view *view = disk->private_data;

	spin_lock_irq(&view->vol->lock);
	view->openers--;
	__blkcast_view_closed(view);
	spin_unlock_irq(&view->vol->lock);
}

static const struct block_device_operations view_fops = {
	.owner = THIS_MODULE,
	.submit_bio = view_submit_bio,
	.open = view_open,
	.release = view_release,
};

/* /sys/block/blkcastN/volume: volume and view. */
static ssize_t volume_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	struct blkcast_view *view = dev_to_disk(dev)->private_data;

	return sysfs_emit(buf, "%s@%s\n", view->vol->name, view->name);
}
static DEVICE_ATTR_RO(volume);

static struct attribute *view_attrs[] = { &dev_attr_volume.attr, NULL };
ATTRIBUTE_GROUPS(view);

int blkcast_view_disk_add(struct blkcast_view *view)
{
	struct gendisk *disk = blkcast_disk_alloc(view->vol->backing.bdev);
	int err;

	if (IS_ERR(disk))
		return PTR_ERR(disk);
	view->minor = blkcast_minor_get(disk);
	if (view->minor < 0) {
		err = view->minor;
		goto out_put_disk;
	}
	disk->fops = &view_fops;
	disk->private_data = view;
	set_capacity(disk, view->sectors);
	set_disk_ro(disk, true);
	err = device_add_disk(NULL, disk, view_groups);
	if (!err) {
		spin_lock_irq(&view->vol->lock);
		view->disk = disk;
		spin_unlock_irq(&view->vol->lock);
		return 0;
	}
	blkcast_minor_put(view->minor);
out_put_disk:
	put_disk(disk);
	return err;
}

static bool view_reads_over(struct blkcast_view *view)
{
	return !atomic_read(&view->reads);
}

void blkcast_view_disk_del(struct blkcast_view *view)
{
	del_gendisk(view->disk);
	wait_var_event(&view->reads, view_reads_over(view));
	put_disk(view->disk);
	blkcast_minor_put(view->minor);
}

/* What the first view of a volume needs to be read. */
int blkcast_view_reads_init(struct blkcast_volume *v)
{
	if (bioset_initialized(&v->view_bios))
		return 0;
	return bioset_init(&v->view_bios, BIO_POOL_SIZE,
			   offsetof(struct view_read, bio), 0);
}
