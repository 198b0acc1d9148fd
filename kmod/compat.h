/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where kernels 6.1 and 6.12 differ.
 *
 * The only file that knows a kernel version.  It offers verbs of our own,
 * written for the newer kernel, with the older one as #else.
 */
#ifndef _BLKCAST_COMPAT_H
#define _BLKCAST_COMPAT_H

#include <linux/blk-integrity.h>
#include <linux/blkdev.h>
#include <linux/net.h>
#include <linux/socket.h>
#include <linux/uio.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)

/* An exclusively opened block device. */
struct blkcast_bdev {
	struct file *file;
	struct block_device *bdev;
};

/* @alone: as with a mounted filesystem, whether others may write the host decides. */
static inline int blkcast_bdev_open(struct blkcast_bdev *b, dev_t dev,
				    void *holder, bool alone)
{
	b->file = bdev_file_open_by_dev(dev, BLK_OPEN_READ | BLK_OPEN_WRITE |
					(alone ? BLK_OPEN_RESTRICT_WRITES : 0),
					holder, NULL);
	if (IS_ERR(b->file))
		return PTR_ERR(b->file);
	b->bdev = file_bdev(b->file);
	return 0;
}

/* It may be opened exclusively by others at once, whoever calls this. */
static inline void blkcast_bdev_close(struct blkcast_bdev *b)
{
	bdev_fput(b->file);
}

/* The volume's gendisk, its limits those of the backing device's blocks. */
static inline struct gendisk *blkcast_disk_alloc(struct block_device *backing)
{
	struct queue_limits lim = {
		.logical_block_size = bdev_logical_block_size(backing),
		.physical_block_size = bdev_physical_block_size(backing),
		.io_min = bdev_io_min(backing),
		.io_opt = bdev_io_opt(backing),
		.max_hw_sectors = UINT_MAX >> SECTOR_SHIFT,
		.max_segments = USHRT_MAX,
		.max_segment_size = UINT_MAX,
		.max_hw_discard_sectors = UINT_MAX >> SECTOR_SHIFT,
		.max_write_zeroes_sectors = UINT_MAX >> SECTOR_SHIFT,
		.discard_granularity = bdev_physical_block_size(backing),
		.dma_alignment = bdev_dma_alignment(backing),
		.alignment_offset = max(bdev_alignment_offset(backing), 0),
		.features = BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA |
			    (bdev_nonrot(backing) ? 0 : BLK_FEAT_ROTATIONAL),
	};

	return blk_alloc_disk(&lim, NUMA_NO_NODE);
}

#define BLKCAST_DISK_OPEN(name) \
	static int name(struct gendisk *disk, blk_mode_t mode)
#define BLKCAST_DISK_RELEASE(name) \
	static void name(struct gendisk *disk)
#define blkcast_open_disk()	disk
#define blkcast_open_writes()	(!!(mode & BLK_OPEN_WRITE))

#else /* 6.1 */

struct blkcast_bdev {
	struct block_device *bdev;
};

static inline int blkcast_bdev_open(struct blkcast_bdev *b, dev_t dev,
				    void *holder, bool alone)
{
	b->bdev = blkdev_get_by_dev(dev, FMODE_READ | FMODE_WRITE | FMODE_EXCL,
				    holder);
	return PTR_ERR_OR_ZERO(b->bdev);
}

static inline void blkcast_bdev_close(struct blkcast_bdev *b)
{
	blkdev_put(b->bdev, FMODE_READ | FMODE_WRITE | FMODE_EXCL);
}

static inline struct gendisk *blkcast_disk_alloc(struct block_device *backing)
{
	struct gendisk *disk = blk_alloc_disk(NUMA_NO_NODE);
	struct request_queue *q;

	if (!disk)
		return ERR_PTR(-ENOMEM);
	q = disk->queue;
	blk_queue_logical_block_size(q, bdev_logical_block_size(backing));
	blk_queue_physical_block_size(q, bdev_physical_block_size(backing));
	blk_queue_io_min(q, bdev_io_min(backing));
	blk_queue_io_opt(q, bdev_io_opt(backing));
	blk_queue_max_hw_sectors(q, UINT_MAX >> SECTOR_SHIFT);
	blk_queue_max_segments(q, USHRT_MAX);
	blk_queue_dma_alignment(q, bdev_dma_alignment(backing));
	blk_queue_max_segment_size(q, UINT_MAX);
	blk_queue_max_discard_sectors(q, UINT_MAX >> SECTOR_SHIFT);
	blk_queue_max_write_zeroes_sectors(q, UINT_MAX >> SECTOR_SHIFT);
	q->limits.discard_granularity = bdev_physical_block_size(backing);
	blk_queue_alignment_offset(q, max(bdev_alignment_offset(backing), 0));
	if (bdev_nonrot(backing))
		blk_queue_flag_set(QUEUE_FLAG_NONROT, q);
	blk_queue_write_cache(q, true, true);
	return disk;
}

#define BLKCAST_DISK_OPEN(name) \
	static int name(struct block_device *bdev, fmode_t mode)
#define BLKCAST_DISK_RELEASE(name) \
	static void name(struct gendisk *disk, fmode_t mode)
#define blkcast_open_disk()	(bdev->bd_disk)
#define blkcast_open_writes()	(!!(mode & FMODE_WRITE))

#endif

/*
 * Send pages, an ITER_BVEC, as sock_sendmsg() does, but without a copy where the
 * socket can: it holds references to them for as long as they are read.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)

static inline int blkcast_sock_splice(struct socket *sock, struct msghdr *msg)
{
	msg->msg_flags |= MSG_SPLICE_PAGES;
	return sock_sendmsg(sock, msg);
}

#else

static inline int blkcast_sock_splice(struct socket *sock, struct msghdr *msg)
{
	const struct bio_vec *b = msg->msg_iter.bvec;
	size_t done = msg->msg_iter.iov_offset, len = b->bv_len - done;
	bool last = len == msg_data_left(msg);
	int n = kernel_sendpage(sock, b->bv_page, b->bv_offset + done, len,
				msg->msg_flags | (last ? 0 : MSG_MORE | MSG_SENDPAGE_NOTLAST));

	if (n > 0)
		iov_iter_advance(&msg->msg_iter, n);
	return n;
}

#endif

#endif /* _BLKCAST_COMPAT_H */
