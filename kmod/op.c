// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Ops: their memory, and their turn at the volume's thread and the backing
 * device.
 *
 * An op's step is a function.  When what it waits for has come (its range is
 * free, the pen has written, the flush is done) blkcast_op_ready() puts it on
 * vol->ready and the volume's thread calls the step (volume.c: the turn).  Local I/O is submitted
 * from the op's own pages and ends in op->end, which may run in interrupt
 * context.
 *
 * Memory: ops and pages come from mempools, so that a write that has been
 * accepted always gets through however short memory is: the one thread that
 * takes pages waits for those that earlier writes give back, and what a write
 * needs in turn (flushes, locks) has a pool of its own.  Pages that were used are
 * used again, PAGES_KEPT at most: a kernel may clear each page that it gives out.
 *
 * Pages are lent to sockets, which read the data where they are (blkcast_sock_splice())
 * and may do so when the op is gone: when its entry was taken from a link that is too
 * slow, or the peer has it and the card is not through with its buffers.  They hold
 * references, so a page is written to again when there is none but ours.  A socket may
 * keep what it has for as long as it likes, so nothing of the pool's reserve is lent: it
 * always comes back.
 */
#include <linux/blk-cgroup.h>
#include <linux/ioprio.h>
#include <linux/slab.h>

#include "volume.h"

#define PAGES_KEPT	256	/* a volume */

static struct kmem_cache *op_cache;

/*
 * While anybody waits for memory, the backlog gives back what it can spare, and
 * what may complete does.
 */
static void *op_mempool_alloc(struct blkcast_volume *v, mempool_t *pool)
{
	void *p = mempool_alloc(pool, GFP_NOWAIT | __GFP_NOWARN);

	if (p)
		return p;
	blkcast_log_starve(v, 1);
	blkcast_write_reached(v);
	p = mempool_alloc(pool, GFP_NOIO);
	blkcast_log_starve(v, -1);
	return p;
}

/*
 * One that is part of something else: for range.c and its step, without a
 * reference or a page.
 */
void blkcast_op_init(struct blkcast_op *op, struct blkcast_volume *v,
		     enum blkcast_op_kind kind)
{
	memset(op, 0, offsetof(struct blkcast_op, pages));
	op->vol = v;
	op->kind = kind;
	op->start = ktime_get_ns();
	INIT_LIST_HEAD(&op->node);
	INIT_LIST_HEAD(&op->range_node);
	INIT_LIST_HEAD(&op->log_node);
	INIT_LIST_HEAD(&op->wait_node);
	INIT_LIST_HEAD(&op->apply_node);
}

/*
 * What comes in takes from vol->op_pool and waits there; what it needs in turn
 * to come to its end takes from vol->aux_pool, which is never held by what waits.
 */
struct blkcast_op *blkcast_op_alloc(struct blkcast_volume *v,
				    enum blkcast_op_kind kind, mempool_t *pool)
{
	struct blkcast_op *op = op_mempool_alloc(v, pool);

	blkcast_op_init(op, v, kind);
	op->pool = pool;
	refcount_set(&op->refs, 1);
	return op;
}

/* The range must lie within one region. */
void blkcast_op_set_range(struct blkcast_op *op, sector_t sector, u32 sectors)
{
	op->sector = sector;
	op->sectors = sectors;
	op->region = blkcast_region(op->vol, sector);
}

/*
 * Does a socket still read it?  What is done after it does not is ordered by the branch on
 * this, and by the put, which tests.
 */
static bool page_busy(struct page *page)
{
	return page_count(page) > 1;
}

/* Give the op kept pages, up to @n in all.  Behind a busy one there may be others. */
static void pages_take(struct blkcast_op *op, unsigned int n)
{
	struct blkcast_volume *v = op->vol;
	unsigned long flags;
	struct page *page;

	spin_lock_irqsave(&v->pages_lock, flags);
	while (op->nr_pages < n && !list_empty(&v->pages)) {
		page = list_first_entry(&v->pages, struct page, lru);
		if (page_busy(page))
			break;
		list_del(&page->lru);
		v->pages_count--;
		op->pages[op->nr_pages++] = page;
	}
	spin_unlock_irqrestore(&v->pages_lock, flags);
}

static bool pool_full(const struct blkcast_volume *v)
{
	return READ_ONCE(v->page_pool.curr_nr) >= v->page_pool.min_nr;
}

/* Keep the op's pages.  Those that nobody might wait for: the pool is full. */
static void pages_keep(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;
	unsigned long flags;
	struct page *page;

	spin_lock_irqsave(&v->pages_lock, flags);
	while (op->nr_pages && v->pages_count < PAGES_KEPT && pool_full(v)) {
		page = op->pages[--op->nr_pages];
		if (page_busy(page))
			list_add_tail(&page->lru, &v->pages);
		else
			list_add(&page->lru, &v->pages);
		v->pages_count++;
	}
	spin_unlock_irqrestore(&v->pages_lock, flags);
}

/* Of those that are lent the pool has none to lose. */
static void page_free(struct blkcast_volume *v, struct page *page)
{
	if (page_busy(page))
		put_page(page);
	else
		mempool_free(page, &v->page_pool);
}

static void op_free_pages(struct blkcast_op *op)
{
	if (op->nr_pages)
		pages_keep(op);
	while (op->nr_pages)
		page_free(op->vol, op->pages[--op->nr_pages]);
}

/* Pages for a WRITE's data; waits until there are enough. */
void blkcast_op_alloc_pages(struct blkcast_op *op)
{
	unsigned int n = DIV_ROUND_UP(blkcast_op_bytes(op), PAGE_SIZE);

	pages_take(op, n);
	while (op->nr_pages < n)
		op->pages[op->nr_pages++] =
			op_mempool_alloc(op->vol, &op->vol->page_pool);
	op->lendable = pool_full(op->vol);
}

/* The same without waiting.  False: the op has none. */
bool blkcast_op_try_pages(struct blkcast_op *op)
{
	unsigned int n = DIV_ROUND_UP(blkcast_op_bytes(op), PAGE_SIZE);
	struct page *page;

	pages_take(op, n);
	while (op->nr_pages < n) {
		page = mempool_alloc(&op->vol->page_pool, GFP_NOWAIT | __GFP_NOWARN);
		if (!page) {
			op_free_pages(op);
			return false;
		}
		op->pages[op->nr_pages++] = page;
	}
	op->lendable = pool_full(op->vol);
	return true;
}

void blkcast_op_get(struct blkcast_op *op)
{
	refcount_inc(&op->refs);
}

/* Any context. */
void blkcast_op_put(struct blkcast_op *op)
{
	if (!refcount_dec_and_test(&op->refs))
		return;
	op_free_pages(op);
	mempool_free(op, op->pool);
}

/* Let op->step be called when it is its turn.  Caller holds vol->lock. */
void __blkcast_op_ready(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;

	lockdep_assert_held(&v->lock);
	list_add_tail(&op->node, &v->ready);
	if (!v->turn)
		wake_up(&v->wake);
}

void blkcast_op_ready(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	__blkcast_op_ready(op);
	spin_unlock_irqrestore(&v->lock, flags);
}

/* Describe the op's data; @bvecs has room for op->nr_pages. */
void blkcast_op_bvecs(struct blkcast_op *op, struct bio_vec *bvecs)
{
	u32 left = blkcast_op_bytes(op);
	unsigned int i;

	for (i = 0; i < op->nr_pages; i++) {
		bvecs[i].bv_page = op->pages[i];
		bvecs[i].bv_offset = 0;
		bvecs[i].bv_len = min_t(u32, left, PAGE_SIZE);
		left -= bvecs[i].bv_len;
	}
}

static void op_end_io(struct bio *bio)
{
	struct blkcast_op *op = bio->bi_private;
	int error = blk_status_to_errno(bio->bi_status);

	bio_put(bio);
	op->end(op, error);
}

static void op_zeroes_work(struct work_struct *work)
{
	struct blkcast_op *op = container_of(work, struct blkcast_op, work);
	struct blkcast_volume *v = op->vol;

	op->end(op, blkdev_issue_zeroout(v->backing.bdev,
					 v->data_start + op->sector,
					 op->sectors, GFP_NOIO, 0));
}

/* The op's pages to or from the backing device.  False: no memory, as @gfp has it. */
static bool op_submit_pages(struct blkcast_op *op, blk_opf_t opf, gfp_t gfp)
{
	struct blkcast_volume *v = op->vol;
	u32 left = blkcast_op_bytes(op);
	struct bio *bio;
	unsigned int i;

	bio = bio_alloc_bioset(v->backing.bdev, op->nr_pages, opf, gfp, &v->io_bios);
	if (!bio)
		return false;
	bio->bi_iter.bi_sector = v->data_start + op->sector;
	bio->bi_private = op;
	bio->bi_end_io = op_end_io;
	/* A writer that may run this and is throttled below would hold up all others. */
	bio_associate_blkg_from_css(bio, blkcg_root_css);
	bio_set_prio(bio, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, IOPRIO_BE_NORM));
	for (i = 0; i < op->nr_pages; i++) {
		u32 n = min_t(u32, left, PAGE_SIZE);

		__bio_add_page(bio, op->pages[i], n, 0);
		left -= n;
	}
	submit_bio_noacct(bio);
	return true;
}

static void op_submit_work(struct work_struct *work)
{
	struct blkcast_op *op = container_of(work, struct blkcast_op, work);

	op_submit_pages(op, REQ_OP_WRITE | op->opf, GFP_NOIO);
}

/**
 * blkcast_op_submit() - write an op to the backing device
 * @op: a WRITE or ZEROES
 * @opf: flags beside the operation, such as REQ_FUA
 *
 * Process context; does not wait.  op->end is called when it is over, perhaps before
 * this returns.
 */
void blkcast_op_submit(struct blkcast_op *op, blk_opf_t opf)
{
	if (op->kind == BLKCAST_OP_ZEROES) {
		INIT_WORK(&op->work, op_zeroes_work);
		queue_work(blkcast_wq, &op->work);
		return;
	}
	if (op_submit_pages(op, REQ_OP_WRITE | opf, GFP_NOWAIT | __GFP_NOWARN))
		return;
	op->opf = opf;
	INIT_WORK(&op->work, op_submit_work);
	queue_work(blkcast_wq, &op->work);
}

/* Read the op's range into its pages; the rest as in blkcast_op_submit(). */
void blkcast_op_read(struct blkcast_op *op)
{
	op_submit_pages(op, REQ_OP_READ, GFP_NOIO);
}

int __init blkcast_ops_init(void)
{
	op_cache = KMEM_CACHE(blkcast_op, 0);
	return op_cache ? 0 : -ENOMEM;
}

void blkcast_ops_exit(void)
{
	kmem_cache_destroy(op_cache);
}

int blkcast_op_pools_init(struct blkcast_volume *v)
{
	int err;

	err = mempool_init_slab_pool(&v->op_pool, 64, op_cache) ?:
	      mempool_init_slab_pool(&v->aux_pool, 16, op_cache);
	if (err)
		return err;
	/* One thread takes pages: twice the largest op is enough to go on. */
	return mempool_init_page_pool(&v->page_pool, 2 * BLKCAST_OP_PAGES, 0);
}

/* No op is left. */
void blkcast_op_pools_exit(struct blkcast_volume *v)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, &v->pages, lru)
		__free_page(page);
	mempool_exit(&v->page_pool);
	mempool_exit(&v->aux_pool);
	mempool_exit(&v->op_pool);
}
