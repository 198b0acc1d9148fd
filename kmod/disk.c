// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Synchronous reads and writes of kernel memory, for metadata and regions.
 */
#include <linux/crc32c.h>
#include <linux/mm.h>

#include "volume.h"

static struct page *buf_page(const void *p)
{
	return is_vmalloc_addr(p) ? vmalloc_to_page(p) : virt_to_page(p);
}

/**
 * blkcast_disk_rw() - read or write a piece of a block device, and wait
 * @bdev: the device
 * @opf: REQ_OP_READ or REQ_OP_WRITE and flags
 * @pos: byte offset, a multiple of the logical block size
 * @buf: linear or vmalloc memory
 * @len: bytes, a multiple of the logical block size
 *
 * Return: 0 or a negative errno.
 */
int blkcast_disk_rw(struct block_device *bdev, blk_opf_t opf, u64 pos,
		    void *buf, size_t len)
{
	int err = 0;

	while (len && !err) {
		size_t want = len;
		struct bio *bio;

		bio = bio_alloc(bdev, bio_max_segs(len / PAGE_SIZE + 2), opf,
				GFP_NOIO);
		bio->bi_iter.bi_sector = pos >> SECTOR_SHIFT;
		while (len) {
			size_t n = min_t(size_t, len,
					 PAGE_SIZE - offset_in_page(buf));

			if (bio_add_page(bio, buf_page(buf), n,
					 offset_in_page(buf)) != n)
				break;
			buf += n;
			len -= n;
		}
		err = submit_bio_wait(bio);
		bio_put(bio);
		pos += want - len;
	}
	return err;
}

/* crc32c of a 4 KiB metadata block whose le32 crc field counts as zero. */
u32 blkcast_block_crc(const void *block, size_t crc_offset)
{
	static const u8 zero[4];
	size_t rest = crc_offset + sizeof(zero);
	u32 crc = crc32c(~0, block, crc_offset);

	crc = crc32c(crc, zero, sizeof(zero));
	return ~crc32c(crc, block + rest, BLKCAST_BLOCK_SIZE - rest);
}
