// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Verify, on the primary: does a replica still hold what it was sent?
 *
 * By its stamps a copy that is in sync is the same as ours; whether its device
 * still gives back what was written there, only reading it can tell.  Every
 * region that was ever written is compared by checksum, while writes go on:
 *
 *	verify_begin()		lock it: no write is in flight, new ones wait
 *	verify_work()		read it, note the stream's position, unlock, hash
 *	blkcast_verify_ask()	COMPARE goes out at that position
 *	  (replica.c)		  hashed when all before it is applied, and
 *				  before what follows
 *	verify_finish()		equal; or remembered as one that differs
 *	verify_end()		with REPAIR those turn dirty: resync.c copies the
 *				blocks that differ
 *
 *  1. COMPARE stands in the stream behind every write that was in the region
 *     when it was read, and ahead of every later one: the two hashes are of the
 *     same moment.
 *  2. An answer about a region that is dirty says nothing: it stays to be
 *     compared.  While a region is asked for, resync does not begin with it, so
 *     one that has become dirty meanwhile still is.
 *  3. The sender does not wait for the region's lock: a writer ahead of it may
 *     wait for room in the backlog, which the sender makes.  Nor is the lock held
 *     while anything is sent: writers never wait for the network.
 *
 * It goes on while the link is in sync, several regions on the way at once, and
 * keeps to the resync rate while writers are at work.  A region that cannot be
 * read here is counted and left out.  A verify ends with its link.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "link.h"

#define VERIFY_WALK	1024	/* regions under one hold of the lock */

/*
 * The newest verify of a link, running or over.
 *
 * The link owns it.  It may be replaced once it is over, and then nobody but
 * holders of vol->lock looks at it.
 *
 * I set before it is seen by others; L vol->lock; W the work
 */
struct blkcast_verify {
	struct blkcast_link	*link;		/* I */
	u32			regions;	/* I: of the volume at the start */
	u64			start;		/* I: ktime_get_ns() */
	bool			stop;		/* L: ends with what is asked for */
	struct blkcast_verify_status status;	/* L; ns: once it is over */
	unsigned long		*left;		/* L: a bit a region: to be compared */
	unsigned long		*differs;	/* L: a bit a region */
	u32			at;		/* L: where to look for the next */
	u32			asked;		/* L: slots taken */
	struct list_head	unsent;		/* L: asks: read, COMPARE not taken yet */

	/* The region that is being read. */
	struct blkcast_ask	*reading;	/* L: from its lock to its hashes */
	struct blkcast_op	lock;
	struct work_struct	work;
	void			*buf;		/* W */
};

static bool running(const struct blkcast_verify *vf)
{
	return vf && vf->status.state == BLKCAST_VERIFY_RUNNING;
}

/* The region needs no more looking at.  Caller holds vol->lock. */
static void region_over(struct blkcast_verify *vf, u32 region)
{
	__clear_bit(region, vf->left);
	vf->status.left--;
}

static void ask_over(struct blkcast_verify *vf, struct blkcast_ask *ask)
{
	vf->asked--;
	blkcast_ask_end(vf->link, ask);
}

/* ---- reading ours ---- */

/* Inv. 1: whatever has an LSN by now and went into the region is in it. */
static void region_unlock(struct blkcast_verify *vf, bool read)
{
	struct blkcast_link *l = vf->link;

	spin_lock_irq(&l->vol->lock);
	blkcast_range_leave(&vf->lock);
	if (read) {
		vf->reading->position = l->vol->lsn;
		list_add_tail(&vf->reading->node, &vf->unsent);
		wake_up(&l->wake);
	}
	spin_unlock_irq(&l->vol->lock);
}

/* Caller holds vol->lock. */
static bool begin_due(struct blkcast_link *l)
{
	struct blkcast_verify *vf = l->verify;

	return running(vf) && !vf->stop && l->state >= BLKCAST_LINK_JOINING &&
	       !vf->reading && vf->status.left > vf->asked &&
	       l->asked < blkcast_asks_max(l->vol) && blkcast_link_sized(l);
}

/* The next region to be compared that is not asked for; there is one. */
static u32 region_pick(struct blkcast_verify *vf)
{
	u32 r = vf->at;

	do {
		r = find_next_bit(vf->left, vf->regions, r);
		if (r >= vf->regions)
			r = find_first_bit(vf->left, vf->regions);
	} while (blkcast_ask_find(vf->link, r++));
	vf->at = r;
	return r - 1;
}

/*
 * Begin with a region, if there is one and it may be read now.  Caller holds
 * vol->lock.  Inv. 3: the lock that is not granted calls its step.
 */
static void verify_begin(struct blkcast_link *l)
{
	struct blkcast_verify *vf = l->verify;
	struct blkcast_volume *v = l->vol;
	u32 r;

	lockdep_assert_held(&v->lock);
	if (!begin_due(l) || !blkcast_resync_budget(l))
		return;
	r = region_pick(vf);
	vf->reading = blkcast_ask_begin(l, r);
	vf->reading->verify = true;
	vf->asked++;
	l->resync_budget -= blkcast_region_sectors(v, r) << SECTOR_SHIFT;
	blkcast_op_set_range(&vf->lock, blkcast_region_start(v, r),
			     blkcast_region_sectors(v, r));
	if (blkcast_range_enter(&vf->lock))
		queue_work(blkcast_wq, &vf->work);
}

static void region_granted(struct blkcast_op *op)
{
	struct blkcast_verify *vf = container_of(op, struct blkcast_verify, lock);

	queue_work(blkcast_wq, &vf->work);
}

/* It cannot be read: nothing to compare.  Caller holds vol->lock. */
static void region_failed(struct blkcast_verify *vf, struct blkcast_ask *ask)
{
	vf->status.unreadable++;
	region_over(vf, ask->region);
	ask_over(vf, ask);
}

static void verify_work(struct work_struct *work)
{
	struct blkcast_verify *vf = container_of(work, struct blkcast_verify, work);
	unsigned int noio = memalloc_noio_save();
	struct blkcast_ask *ask = vf->reading;
	struct blkcast_link *l = vf->link;
	struct blkcast_volume *v = l->vol;
	int err;

	err = blkcast_region_load(v, ask->region, vf->buf);
	region_unlock(vf, !err);
	if (!err)
		blkcast_region_hash(v, ask->region, vf->buf, ask->ours[0]);
	else
		vol_err_ratelimited(v, "cannot read region %u to compare it: %d\n",
				    ask->region, err);
	spin_lock_irq(&v->lock);
	if (err)
		region_failed(vf, ask);
	vf->reading = NULL;
	/* Not left to the sender, which comes by between batches of entries. */
	verify_begin(l);
	wake_up(&l->wake);
	/* If nothing has begun all that is the link's may be gone from here on. */
	spin_unlock_irq(&v->lock);
	memalloc_noio_restore(noio);
}

/* ---- asking for theirs ---- */

/* One whose place the stream has come to.  Caller holds vol->lock. */
static struct blkcast_ask *ask_due(struct blkcast_link *l)
{
	struct blkcast_ask *ask;

	if (!l->verify || list_empty(&l->verify->unsent))
		return NULL;
	ask = list_first_entry(&l->verify->unsent, struct blkcast_ask, node);
	return !l->next || l->next->lsn > ask->position ? ask : NULL;
}

/**
 * blkcast_verify_ask() - what has to be asked before the next entry is sent
 * @l: a link whose sender this is; vol->lock is held
 *
 * Inv. 1 hangs on its being called before each entry is taken.  Return: what
 * blkcast_ask_send() has to send now, or NULL.
 */
struct blkcast_ask *blkcast_verify_ask(struct blkcast_link *l)
{
	struct blkcast_ask *ask = ask_due(l);

	lockdep_assert_held(&l->vol->lock);
	if (ask)
		list_del(&ask->node);
	return ask;
}

/* ---- the answer ---- */

/* An answer to be compared with hashes of ours that are there. */
static struct blkcast_ask *ask_answered(struct blkcast_link *l)
{
	struct blkcast_ask *ask = l->verify ? blkcast_ask_answered(l, true) : NULL;

	return ask && ask != l->verify->reading ? ask : NULL;
}

static u32 differing_bytes(struct blkcast_volume *v, const struct blkcast_ask *ask)
{
	u32 blocks = blkcast_region_blocks(v, ask->region), b, bytes = 0;

	for (b = 0; b < blocks; b++)
		if (memcmp(ask->ours[b], ask->hashes[b], BLKCAST_HASH_SIZE))
			bytes += blkcast_block_bytes(v, ask->region, b);
	return bytes;
}

static void verify_finish(struct blkcast_link *l, struct blkcast_ask *ask)
{
	struct blkcast_verify *vf = l->verify;
	u32 region = ask->region, bytes = differing_bytes(l->vol, ask);

	spin_lock_irq(&l->vol->lock);
	/* Ours may come from a device that has lost it: no word against theirs. */
	if (l->vol->failing || l->vol->detached) {
		region_failed(vf, ask);
		spin_unlock_irq(&l->vol->lock);
		return;
	}
	/* Inv. 2. */
	if (!test_bit(region, l->dirty)) {
		region_over(vf, region);
		if (bytes) {
			__set_bit(region, vf->differs);
			vf->status.differ++;
			vf->status.differ_bytes += bytes;
		}
	}
	ask_over(vf, ask);
	spin_unlock_irq(&l->vol->lock);
}

/* ---- the end ---- */

static bool end_due(struct blkcast_link *l)
{
	struct blkcast_verify *vf = l->verify;

	return running(vf) && !vf->asked && (vf->stop || !vf->status.left);
}

/* What differs is dirty from now on, and compared once more by resync. */
static void verify_repair(struct blkcast_link *l)
{
	struct blkcast_verify *vf = l->verify;
	struct blkcast_volume *v = l->vol;
	u32 r, n = 0;

	if (READ_ONCE(v->detached))
		return;
	spin_lock_irq(&v->lock);
	for_each_set_bit(r, vf->differs, vf->regions) {
		blkcast_resync_dirty(l, r);
		__set_bit(r, l->compare);
		if (++n % VERIFY_WALK)
			continue;
		spin_unlock_irq(&v->lock);
		cond_resched();
		spin_lock_irq(&v->lock);
	}
	spin_unlock_irq(&v->lock);
	/* Nobody waits for the link now. */
	blkcast_write_reached(v);
}

static void verify_end(struct blkcast_link *l)
{
	struct blkcast_verify *vf = l->verify;
	struct blkcast_volume *v = l->vol;
	struct blkcast_verify_status s;

	if (vf->status.repair)
		verify_repair(l);
	spin_lock_irq(&v->lock);
	vf->status.state = vf->status.left ? BLKCAST_VERIFY_STOPPED :
					     BLKCAST_VERIFY_DONE;
	vf->status.ns = ktime_get_ns() - vf->start;
	s = vf->status;
	spin_unlock_irq(&v->lock);
	if (s.differ || s.unreadable)
		vol_warn(v, "link %s: %u of %u regions compared, %u differ (%llu bytes)%s, %u cannot be read here\n",
			 l->name, s.total - s.left, s.total, s.differ,
			 s.differ_bytes, s.repair ? " and are copied" : "",
			 s.unreadable);
	else
		vol_info(v, "link %s: %u of %u regions compared, all equal\n",
			 l->name, s.total - s.left, s.total);
}

/* ---- the sender's part ---- */

/* Is there anything for blkcast_verify_step() or blkcast_verify_ask()? */
bool blkcast_verify_due(struct blkcast_link *l)
{
	lockdep_assert_held(&l->vol->lock);
	return ask_due(l) || ask_answered(l) || end_due(l) ||
	       (begin_due(l) && blkcast_resync_budget(l));
}

/* May blkcast_verify_due() change by itself?  It waits for its budget then. */
bool blkcast_verify_waits(struct blkcast_link *l)
{
	bool waits;

	spin_lock_irq(&l->vol->lock);
	waits = begin_due(l);
	spin_unlock_irq(&l->vol->lock);
	return waits;
}

/* What there is to do, after the entries that were due. */
void blkcast_verify_step(struct blkcast_link *l)
{
	struct blkcast_ask *ask;
	bool end;

	do {
		spin_lock_irq(&l->vol->lock);
		ask = ask_answered(l);
		verify_begin(l);
		end = end_due(l);
		spin_unlock_irq(&l->vol->lock);
		if (ask)
			verify_finish(l, ask);
	} while (ask);
	if (end)
		verify_end(l);
}

/* ---- commands ---- */

static void verify_free(struct blkcast_verify *vf)
{
	if (!vf)
		return;
	vfree(vf->buf);
	kvfree(vf->differs);
	kvfree(vf->left);
	kfree(vf);
}

static struct blkcast_verify *verify_alloc(struct blkcast_volume *v, bool repair)
{
	struct blkcast_verify *vf = kzalloc(sizeof(*vf), GFP_KERNEL);
	size_t region = (size_t)1 << (v->region_shift + SECTOR_SHIFT);

	if (!vf)
		return NULL;
	vf->regions = v->regions;
	vf->left = kvcalloc(BITS_TO_LONGS(v->regions), sizeof(long), GFP_KERNEL);
	vf->differs = kvcalloc(BITS_TO_LONGS(v->regions), sizeof(long), GFP_KERNEL);
	vf->buf = vmalloc(region);
	if (!vf->left || !vf->differs || !vf->buf) {
		verify_free(vf);
		return NULL;
	}
	/* What is written for the first time from now on is left out. */
	bitmap_copy(vf->left,
		    rcu_dereference_protected(v->map.touched,
					      lockdep_is_held(&v->admin)),
		    v->regions);
	vf->status.total = bitmap_weight(vf->left, v->regions);
	vf->status.left = vf->status.total;
	vf->status.state = BLKCAST_VERIFY_RUNNING;
	vf->status.repair = repair;
	vf->start = ktime_get_ns();
	INIT_LIST_HEAD(&vf->unsent);
	INIT_WORK(&vf->work, verify_work);
	blkcast_op_init(&vf->lock, v, BLKCAST_OP_LOCK);
	vf->lock.step = region_granted;
	return vf;
}

/* The named link, if it is not on its way out.  Caller holds vol->lock. */
static struct blkcast_link *live_link(struct blkcast_volume *v, const char *name)
{
	struct blkcast_link *l = blkcast_link_find(v, name);

	return l && l->state != BLKCAST_LINK_DOWN ? l : NULL;
}

/* Put @vf in place of an earlier one, which is returned, or an error. */
static struct blkcast_verify *verify_attach(struct blkcast_volume *v,
					    const char *name,
					    struct blkcast_verify *vf,
					    struct netlink_ext_ack *extack)
{
	struct blkcast_link *l = live_link(v, name);
	struct blkcast_verify *old;

	lockdep_assert_held(&v->lock);
	if (!l) {
		NL_SET_ERR_MSG(extack, "no such link");
		return ERR_PTR(-ENOENT);
	}
	old = l->verify;
	if (running(old)) {
		NL_SET_ERR_MSG(extack, "this link is being verified");
		return ERR_PTR(-EBUSY);
	}
	vf->link = l;
	l->verify = vf;
	wake_up(&l->wake);
	return old;
}

/**
 * blkcast_verify_start() - compare a replica's copy with ours
 * @v: a volume; caller holds vol->admin
 * @name: of the link
 * @repair: make equal what differs
 * @extack: takes the reason of a refusal
 *
 * Errors: see VERIFY in uapi/blkcast_netlink.h.
 */
int blkcast_verify_start(struct blkcast_volume *v, const char *name, bool repair,
			 struct netlink_ext_ack *extack)
{
	struct blkcast_verify *vf, *old;

	lockdep_assert_held(&v->admin);
	if (v->role != BLKCAST_ROLE_PRIMARY) {
		NL_SET_ERR_MSG(extack, "a replica: its primary compares");
		return -EINVAL;
	}
	if (v->detached) {
		NL_SET_ERR_MSG(extack, "its device has been detached: nothing to compare with");
		return -ENODEV;
	}
	vf = verify_alloc(v, repair);
	if (!vf)
		return -ENOMEM;
	spin_lock_irq(&v->lock);
	old = verify_attach(v, name, vf, extack);
	spin_unlock_irq(&v->lock);
	if (IS_ERR(old)) {
		verify_free(vf);
		return PTR_ERR(old);
	}
	verify_free(old);
	return 0;
}

/* Let it end.  Errors: see VERIFY in uapi/blkcast_netlink.h. */
int blkcast_verify_stop(struct blkcast_volume *v, const char *name,
			struct netlink_ext_ack *extack)
{
	struct blkcast_link *l;
	int err = 0;

	spin_lock_irq(&v->lock);
	l = live_link(v, name);
	if (l && running(l->verify)) {
		l->verify->stop = true;
		wake_up(&l->wake);
	} else {
		NL_SET_ERR_MSG(extack, "no verify runs on this link");
		err = -ENOENT;
	}
	spin_unlock_irq(&v->lock);
	return err;
}

/* How it stands; false: there was none.  Caller holds vol->lock. */
bool blkcast_verify_status(struct blkcast_link *l, struct blkcast_verify_status *s)
{
	lockdep_assert_held(&l->vol->lock);
	if (!l->verify)
		return false;
	*s = l->verify->status;
	if (running(l->verify))
		s->ns = ktime_get_ns() - l->verify->start;
	return true;
}

/**
 * blkcast_verify_ranges() - runs of regions found to differ
 * @v: a volume
 * @name: of the link
 * @first: region to begin at
 * @ranges: pairs of first region and number of regions
 * @max: pairs for which there is room
 *
 * Return: number of pairs; -ENOENT no such link, or it was not verified.
 */
int blkcast_verify_ranges(struct blkcast_volume *v, const char *name, u32 first,
			  u32 *ranges, u32 max)
{
	struct blkcast_verify *vf;
	struct blkcast_link *l;
	u32 n = 0, end;

	spin_lock_irq(&v->lock);
	l = blkcast_link_find(v, name);
	vf = l ? l->verify : NULL;
	while (vf && n < max) {
		first = find_next_bit(vf->differs, vf->regions, first);
		if (first >= vf->regions)
			break;
		end = find_next_zero_bit(vf->differs, vf->regions, first);
		ranges[2 * n] = first;
		ranges[2 * n++ + 1] = end - first;
		first = end;
	}
	spin_unlock_irq(&v->lock);
	return vf ? n : -ENOENT;
}

/* Is no work under way that uses the link?  Caller holds vol->lock. */
bool blkcast_verify_idle(struct blkcast_link *l)
{
	lockdep_assert_held(&l->vol->lock);
	return !l->verify || !l->verify->reading;
}

void blkcast_verify_free(struct blkcast_link *l)
{
	verify_free(l->verify);
}
