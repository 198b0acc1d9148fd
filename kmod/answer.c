// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a replica reads of its copy because the primary asks: hashes of a region
 * (COMPARE), the content of some sectors (READ).
 *
 *	blkcast_compare_recv()	blkcast_read_recv()	an op that queues for its range
 *	compare_work()		read_granted()		its turn has come
 *	l->hashed		l->answers		read, in any order
 *		blkcast_answers_send()			the sender takes it from there
 *
 *  1. The op enters its range when the frame arrives, like a write: it sees all that
 *     the stream has brought up to there, applied, and nothing that comes later.
 *  2. A region in doubt is not served: what failed here is not what was written.
 *  3. How much may be asked for at once is bounded; more ends the link.
 *  4. What cannot be read has an answer, too: hashes that equal nothing, DATA without
 *     content.
 *  5. What a disk has lost of its cache reads as it was before until a flush fails.  So
 *     DATA goes out after a flush that began after the newest write there (rule 29).
 */
#include <linux/highmem.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "link.h"

/* The op has its place among what is applied.  Caller holds vol->lock. */
static bool answer_begin(struct blkcast_op *op)
{
	struct blkcast_link *l = op->link;

	lockdep_assert_held(&op->vol->lock);
	list_add_tail(&op->apply_node, &l->applying);
	l->applying_bytes += blkcast_op_memory(op);
	return blkcast_range_enter(op);
}

/* ---- comparing ---- */

/* What COMPARE found, on its way to the sender. */
struct hashed {
	struct list_head node;
	u32 region, blocks;
	u8 hashes[][BLKCAST_HASH_SIZE];
};

static int region_hash(struct blkcast_link *l, u32 region)
{
	struct blkcast_volume *v = l->vol;
	u32 blocks = blkcast_region_blocks(v, region);
	struct hashed *h;
	void *buf;
	int err;

	buf = vmalloc((size_t)blocks * BLKCAST_COMPARE_BLOCK);
	h = kmalloc(struct_size(h, hashes, blocks), GFP_KERNEL);
	err = buf && h ? 0 : -ENOMEM;
	if (err) {
		kfree(h);
		goto out;
	}
	h->region = region;
	h->blocks = blocks;
	/* What cannot be read equals nothing and will be written anew. */
	memset(h->hashes, 0, blocks * BLKCAST_HASH_SIZE);
	if (!blkcast_region_load(v, region, buf))
		blkcast_region_hash(v, region, buf, h->hashes[0]);
	spin_lock_irq(&v->lock);
	list_add_tail(&h->node, &l->hashed);
	spin_unlock_irq(&v->lock);
out:
	vfree(buf);
	return err;
}

static void compare_work(struct work_struct *work)
{
	struct blkcast_op *op = container_of(work, struct blkcast_op, work);
	unsigned int noio = memalloc_noio_save();
	struct blkcast_volume *v = op->vol;
	struct blkcast_link *l = op->link;
	int err = region_hash(l, op->region);

	memalloc_noio_restore(noio);
	spin_lock_irq(&v->lock);
	blkcast_range_leave(op);
	if (err && !l->local_error)
		l->local_error = err;
	op->applied = true;
	blkcast_applied_advance(l);
	spin_unlock_irq(&v->lock);
}

static void compare_granted(struct blkcast_op *op)
{
	INIT_WORK(&op->work, compare_work);
	queue_work(blkcast_wq, &op->work);
}

/* Inv. 3. */
static bool compare_admit(struct blkcast_link *l)
{
	bool admit;

	spin_lock_irq(&l->vol->lock);
	admit = l->comparing < blkcast_asks_max(l->vol);
	l->comparing += admit;
	spin_unlock_irq(&l->vol->lock);
	return admit;
}

int blkcast_compare_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	u64 region = le64_to_cpu(f->sector);
	struct blkcast_volume *v = l->vol;
	struct blkcast_op *op;
	bool mine;

	if (f->length || f->lsn || region >= v->regions || !compare_admit(l))
		return -EPROTO;
	op = blkcast_frame_op(l, f, BLKCAST_OP_LOCK);
	blkcast_op_set_range(op, blkcast_region_start(v, region),
			     blkcast_region_sectors(v, region));
	op->step = compare_granted;
	spin_lock_irq(&v->lock);
	mine = answer_begin(op);
	spin_unlock_irq(&v->lock);
	if (mine)
		compare_granted(op);
	return 0;
}

static struct hashed *hashed_take(struct blkcast_link *l)
{
	struct hashed *h;

	spin_lock_irq(&l->vol->lock);
	h = list_first_entry_or_null(&l->hashed, struct hashed, node);
	if (h) {
		list_del(&h->node);
		l->comparing--;
	}
	spin_unlock_irq(&l->vol->lock);
	return h;
}

static int hashes_send(struct blkcast_link *l)
{
	struct hashed *h;
	int err = 0;

	while (!err && (h = hashed_take(l))) {
		struct blkcast_frame f = {
			.type = cpu_to_le16(BLKCAST_FRAME_HASHES),
			.sector = cpu_to_le64(h->region),
			.sectors = cpu_to_le32(h->blocks),
			.length = cpu_to_le32(h->blocks * BLKCAST_HASH_SIZE),
		};

		err = blkcast_frame_send(l, &f, h->hashes, false);
		kfree(h);
	}
	return err;
}

/* ---- reading ---- */

/* The answer is ready. */
static void read_over(struct blkcast_op *op, int error)
{
	struct blkcast_volume *v = op->vol;
	struct blkcast_link *l = op->link;
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	/* Inv. 2, after the read: a flush may have failed meanwhile. */
	if (!error && blkcast_map_get(v, op->region) == BLKCAST_LSN_DOUBT)
		error = -EIO;
	op->error = error;
	blkcast_range_leave(op);
	blkcast_op_get(op);
	list_add_tail(&op->wait_node, &l->answers);
	op->applied = true;
	blkcast_applied_advance(l);
	spin_unlock_irqrestore(&v->lock, flags);
}

static void read_flushed(struct blkcast_flush *f, int error)
{
	read_over(container_of(f, struct blkcast_op, flush), error);
}

static void read_flush(struct work_struct *work)
{
	struct blkcast_op *op = container_of(work, struct blkcast_op, work);

	op->flush.done = read_flushed;
	op->flush.app = false;
	blkcast_flush_ask(op->vol, &op->flush);
}

/* Inv. 5. */
static void read_end(struct blkcast_op *op, int error)
{
	struct blkcast_volume *v = op->vol;
	unsigned long flags;
	bool sure;

	spin_lock_irqsave(&v->lock, flags);
	sure = __blkcast_flush_sure(v, op->region);
	spin_unlock_irqrestore(&v->lock, flags);
	if (error || sure) {
		read_over(op, error);
		return;
	}
	INIT_WORK(&op->work, read_flush);
	queue_work(blkcast_wq, &op->work);
}

static void pages_clear(struct blkcast_op *op)
{
	unsigned int i;

	for (i = 0; i < op->nr_pages; i++)
		clear_highpage(op->pages[i]);
}

static void read_granted(struct blkcast_op *op)
{
	if (blkcast_map_touched(op->vol, op->region)) {
		op->end = read_end;
		blkcast_op_read(op);
	} else {
		pages_clear(op);
		read_over(op, 0);
	}
}

/* Inv. 3. */
static bool read_admit(struct blkcast_link *l)
{
	bool admit;

	spin_lock_irq(&l->vol->lock);
	admit = l->reading < BLKCAST_READS_MAX;
	l->reading += admit;
	spin_unlock_irq(&l->vol->lock);
	return admit;
}

int blkcast_read_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	struct blkcast_volume *v = l->vol;
	struct blkcast_op *op;
	bool mine;

	if (!(l->flags & BLKCAST_F_READS) || l->state != BLKCAST_LINK_IN_SYNC ||
	    f->flags || f->length || f->lsn || !blkcast_frame_range_valid(v, f) ||
	    le32_to_cpu(f->sectors) > BLKCAST_OP_SECTORS_MAX || !read_admit(l))
		return -EPROTO;
	op = blkcast_frame_op(l, f, BLKCAST_OP_READ);
	blkcast_op_set_range(op, le64_to_cpu(f->sector), le32_to_cpu(f->sectors));
	blkcast_op_alloc_pages(op);
	op->step = read_granted;
	spin_lock_irq(&v->lock);
	mine = answer_begin(op);
	spin_unlock_irq(&v->lock);
	if (mine)
		read_granted(op);
	return 0;
}

static struct blkcast_op *answer_take(struct blkcast_link *l)
{
	struct blkcast_op *op;

	spin_lock_irq(&l->vol->lock);
	op = list_first_entry_or_null(&l->answers, struct blkcast_op, wait_node);
	if (op) {
		list_del_init(&op->wait_node);
		l->reading--;
	}
	spin_unlock_irq(&l->vol->lock);
	return op;
}

static int answer_send(struct blkcast_link *l, struct blkcast_op *op)
{
	struct blkcast_frame f = {
		.type = cpu_to_le16(BLKCAST_FRAME_DATA),
		.lsn = cpu_to_le64(op->seq),
		.sector = cpu_to_le64(op->sector),
	};

	if (!op->error) {
		f.sectors = cpu_to_le32(op->sectors);
		return blkcast_frame_send_op(l, &f, op, false);
	}
	vol_err_ratelimited(l->vol, "cannot read %u sectors at %llu for link %s: %d\n",
			    op->sectors, (u64)op->sector, l->name, op->error);
	blkcast_event_error(l->vol, op->error);
	return blkcast_frame_send(l, &f, NULL, false);
}

static int reads_send(struct blkcast_link *l)
{
	struct blkcast_op *op;
	int err = 0;

	while (!err && (op = answer_take(l))) {
		err = answer_send(l, op);
		blkcast_op_put(op);
	}
	return err;
}

/* ---- the sender's part ---- */

bool blkcast_answers_due(struct blkcast_link *l)
{
	return !list_empty_careful(&l->hashed) || !list_empty_careful(&l->answers);
}

int blkcast_answers_send(struct blkcast_link *l)
{
	return hashes_send(l) ?: reads_send(l);
}

/* What was meant for the sender when the link ended. */
void blkcast_answers_free(struct blkcast_link *l)
{
	struct blkcast_op *op;
	struct hashed *h;

	while ((h = hashed_take(l)))
		kfree(h);
	while ((op = answer_take(l)))
		blkcast_op_put(op);
}
