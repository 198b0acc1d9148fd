// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Copy before write: what a write is about to overwrite is saved for the views
 * that show it, then the write goes down.
 *
 *	blkcast_view_submit()	the write has its LSN and its range; does a view
 *				want what it overwrites?  No: down it goes.
 *	save_work		read it, keep it in every such view's store
 *	blkcast_op_submit()	and down
 *
 *  1. A view shows what was written by ops that have an LSN (a replica: that have
 *     arrived) when it begins: those with an op->view_seq below its own.  Any other
 *     op saves what it overwrites before it is submitted.
 *  2. An op reads its own range and nothing else.  It holds it (range.c): what is
 *     there is what earlier ops have left, and they are over.
 *  3. Sectors already saved are not read again: what is there now is newer.
 *  4. What cannot be saved breaks the view, and then the op goes down all the same.
 *
 * So a write waits for one read of the device that it goes to, for memory that is
 * given at once or not at all, and where the store is no memory for room in what is
 * on its way there, for the view's timeout at most.
 */
#include <linux/sched/mm.h>

#include "link.h"
#include "view.h"

/* What is about to be overwritten. */
struct save {
	struct blkcast_volume *vol;
	sector_t sector;
	u32 sectors, region;
	u32 seq;		/* of who does that */
	unsigned long since;	/* jiffies: how long it waits for views */
	u32 count;
	struct blkcast_view *views[BLKCAST_VIEWS_MAX];	/* who may want it; users */
	struct page *pages[BLKCAST_VIEW_PIECE];	/* of a piece, where it is wanted */
};

/* Blocks first.. of a range of sectors, at most BLKCAST_VIEW_PIECE of them. */
struct piece {
	sector_t from, to;
	u64 first;
	u32 blocks;
};

static u64 block_of(sector_t sector)
{
	return sector / BLKCAST_VIEW_SECTORS;
}

static struct piece piece_at(sector_t from, sector_t end)
{
	struct piece p = { .from = from, .first = block_of(from) };

	p.to = min_t(sector_t, end,
		     (p.first + BLKCAST_VIEW_PIECE) * BLKCAST_VIEW_SECTORS);
	p.blocks = block_of(p.to - 1) - p.first + 1;
	return p;
}

/* The first sector of a piece's block @i that is in its range, and how many. */
static u32 piece_block(const struct piece *p, u32 i, u32 *sectors)
{
	sector_t start = (p->first + i) * BLKCAST_VIEW_SECTORS;
	sector_t from = max(start, p->from);

	*sectors = min(start + BLKCAST_VIEW_SECTORS, p->to) - from;
	return from - start;
}

/* ... as a bit a sector. */
static u8 piece_mask(const struct piece *p, u32 i)
{
	u32 n, at = piece_block(p, i, &n);

	return GENMASK(at + n - 1, at);
}

/* ---- does a view want it? ---- */

/* Inv. 1; what was never written needs no copy.  Caller holds vol->lock. */
static bool view_covers(const struct blkcast_view *view, u32 region, u32 seq)
{
	return seq >= view->seq && !READ_ONCE(view->state) &&
	       region < view->regions && region >= view->passed &&
	       blkcast_view_stamp(view, region) != BLKCAST_LSN_NEVER;
}

/* A bit for each block of the piece that the view lacks sectors of. */
static u32 view_lacks(struct blkcast_view *view, const struct piece *p)
{
	struct blkcast_store *store = &view->store;
	unsigned long flags;
	u32 lacks = 0, i;

	spin_lock_irqsave(&store->lock, flags);
	for (i = 0; i < p->blocks; i++)
		if (piece_mask(p, i) & ~__blkcast_store_saved(store, p->first + i))
			lacks |= 1U << i;
	spin_unlock_irqrestore(&store->lock, flags);
	return lacks;
}

static bool view_wants(struct blkcast_view *view, const struct blkcast_op *op)
{
	sector_t at, end = op->sector + op->sectors;

	if (!view_covers(view, op->region, op->view_seq))
		return false;
	for (at = op->sector; at < end; ) {
		struct piece p = piece_at(at, end);

		if (view_lacks(view, &p))
			return true;
		at = p.to;
	}
	return false;
}

static bool any_view_wants(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;
	struct blkcast_view *view;
	bool wants = false;

	spin_lock_irq(&v->lock);
	list_for_each_entry(view, &v->views, node)
		wants = wants || view_wants(view, op);
	spin_unlock_irq(&v->lock);
	return wants;
}

/* ---- saving ---- */

static void save_begin(struct save *s)
{
	struct blkcast_volume *v = s->vol;
	struct blkcast_view *view;

	spin_lock_irq(&v->lock);
	if (v->view_new)
		__blkcast_view_stamping(v, s->region);
	list_for_each_entry(view, &v->views, node) {
		if (!view_covers(view, s->region, s->seq))
			continue;
		view->users++;
		s->views[s->count++] = view;
	}
	spin_unlock_irq(&v->lock);
}

static void save_end(struct save *s)
{
	struct blkcast_volume *v = s->vol;

	spin_lock_irq(&v->lock);
	while (s->count)
		if (!--s->views[--s->count]->users)
			wake_up_all(&v->idle);
	spin_unlock_irq(&v->lock);
}

static int pages_alloc(struct save *s, u32 wanted)
{
	u32 i;

	for (i = 0; i < BLKCAST_VIEW_PIECE; i++) {
		if (!(wanted & 1U << i))
			continue;
		s->pages[i] = alloc_page(GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
		if (!s->pages[i])
			return -ENOMEM;
	}
	return 0;
}

static void pages_free(struct save *s)
{
	u32 i;

	for (i = 0; i < BLKCAST_VIEW_PIECE; i++) {
		if (s->pages[i])
			put_page(s->pages[i]);
		s->pages[i] = NULL;
	}
}

/* Read the run of blocks from @i on that have a page; sets *@next behind it. */
static int run_read(struct save *s, const struct piece *p, u32 i, u32 *next)
{
	struct blkcast_volume *v = s->vol;
	u32 n, at = piece_block(p, i, &n);
	struct bio_vec bvecs[BLKCAST_VIEW_PIECE];
	sector_t sector;
	struct bio bio;
	int err;

	/* Of no pool that those who wait for this write may have used up. */
	bio_init(&bio, v->backing.bdev, bvecs, BLKCAST_VIEW_PIECE,
		 REQ_OP_READ | REQ_SYNC);
	sector = (p->first + i) * BLKCAST_VIEW_SECTORS + at;
	bio.bi_iter.bi_sector = v->data_start + sector;
	for (; i < p->blocks && s->pages[i]; i++) {
		at = piece_block(p, i, &n);
		__bio_add_page(&bio, s->pages[i], n << SECTOR_SHIFT,
			       at << SECTOR_SHIFT);
	}
	*next = i;
	at = bio_sectors(&bio);
	err = submit_bio_wait(&bio);
	if (!err && blkcast_repair_bad(v, sector, at))
		err = -EIO;
	bio_uninit(&bio);
	return err;
}

static int piece_read(struct save *s, const struct piece *p)
{
	u32 i = 0;
	int err = 0;

	while (i < p->blocks && !err) {
		if (s->pages[i])
			err = run_read(s, p, i, &i);
		else
			i++;
	}
	return err;
}

static void piece_keep(struct save *s, const struct piece *p,
		       struct blkcast_view *view)
{
	struct blkcast_store *store = &view->store;
	unsigned long flags;
	int err = 0;
	u32 i;

	if (!blkcast_spill_reserve(view, p->blocks, s->since))
		return;
	blkcast_store_prepare(store);
	spin_lock_irqsave(&store->lock, flags);
	for (i = 0; i < p->blocks && !err; i++)
		if (s->pages[i])
			err = __blkcast_store_keep(store, p->first + i,
						   piece_mask(p, i), s->pages[i]);
	spin_unlock_irqrestore(&store->lock, flags);
	blkcast_spill_release(store, p->blocks);
	if (err)
		blkcast_view_break(view, err == -ENOSPC ? BLKCAST_VIEW_FULL :
							  BLKCAST_VIEW_NO_MEMORY,
				   err);
}

static void piece_save(struct save *s, const struct piece *p)
{
	enum blkcast_view_state why = BLKCAST_VIEW_NO_MEMORY;
	u32 wanted = 0, i;
	int err;

	for (i = 0; i < s->count; i++)
		wanted |= view_lacks(s->views[i], p);
	if (!wanted)
		return;
	err = pages_alloc(s, wanted);
	if (!err) {
		why = BLKCAST_VIEW_READ_ERROR;
		err = piece_read(s, p);
	}
	for (i = 0; i < s->count; i++) {
		if (err)
			blkcast_view_break(s->views[i], why, err);
		else
			piece_keep(s, p, s->views[i]);
	}
	pages_free(s);
}

static void save(struct save *s)
{
	sector_t at = s->sector, end = at + s->sectors;

	save_begin(s);
	while (s->count && at < end) {
		struct piece p = piece_at(at, end);

		piece_save(s, &p);
		at = p.to;
	}
	save_end(s);
}

static void save_work(struct work_struct *work)
{
	struct blkcast_op *op = container_of(work, struct blkcast_op, work);
	unsigned int noio = memalloc_noio_save();
	struct save s = {
		.vol = op->vol, .sector = op->sector, .sectors = op->sectors,
		.region = op->region, .seq = op->view_seq,
		.since = op->view_since,
	};

	save(&s);
	blkcast_op_submit(op, op->opf);
	memalloc_noio_restore(noio);
}

/* ---- what the volume calls ---- */

/**
 * __blkcast_view_submit() - save what an op overwrites, then submit it
 * @op: enlisted, its range and its region are its own
 * @opf: as blkcast_op_submit()'s
 *
 * Process context; does not wait.
 */
void __blkcast_view_submit(struct blkcast_op *op, blk_opf_t opf)
{
	if (!any_view_wants(op)) {
		blkcast_op_submit(op, opf);
		return;
	}
	op->opf = opf;
	op->view_since = jiffies;
	INIT_WORK(&op->work, save_work);
	queue_work(op->vol->view_wq, &op->work);
}

/**
 * blkcast_view_forget() - save a region that is about to be one never written
 * @v: the volume
 * @region: its number; no op is pending in it
 */
void blkcast_view_forget(struct blkcast_volume *v, u32 region)
{
	struct save s = {
		.vol = v, .sector = blkcast_region_start(v, region),
		.sectors = blkcast_region_sectors(v, region), .region = region,
		.since = jiffies,
	};

	if (list_empty_careful(&v->views) || !blkcast_map_touched(v, region))
		return;
	spin_lock_irq(&v->lock);
	s.seq = v->view_seq;
	spin_unlock_irq(&v->lock);
	save(&s);
}
