// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Views: their life.
 *
 * A view begins at an instant under vol->lock.  Its content is what all ops that
 * had an LSN by then leave behind; what later ones overwrite is saved before
 * (view_save.c) in its store (view_store.c), from where readers get it (view_read.c).
 *
 *  1. vol->view_seq counts views.  An op takes its value with its LSN (a replica:
 *     when it arrives); a view counts it up when it begins: an op belongs to the
 *     views whose seq is above its own.  Nobody looks at a view before the ops that
 *     belong to it are over.
 *  2. Its stamps are those of that instant: a page of the map is copied before a
 *     stamp in it changes, or when its turn comes.  Stamp 0 reads as zeros.
 *  3. A read takes what the backing device has, and then puts what is saved over
 *     it.  A sector that was not saved when the read was over had not been
 *     overwritten, for it is saved before that.
 *  4. A view that has lost something is broken for good: every read of it fails, and
 *     no write cares for it any more.  It breaks before the write that it could not
 *     save goes down, and a read looks when it is over.
 *  5. It breaks when a write that belongs to it fails, and when a flush does:
 *     nobody knows what the device holds then.                        rule 24
 *  6. A view has the size that the volume had.  What a grown volume writes beyond it
 *     is none of its content; one that shrinks below it breaks it.
 *  7. None begins on a copy marked inconsistent; when it becomes so afterwards its
 *     resync is a writer like others.
 *
 * The device stays the same until its view is removed, whatever role the volume has.
 * One that is replaced by a newer one of its name, or whose owner's socket is closed,
 * is *retired*: it has no name any more, and is removed when nobody has it open.
 */
#include <linux/file.h>
#include <linux/slab.h>

#include "link.h"
#include "view.h"

#define STORE_WAIT	(5 * HZ)	/* for a store to be let go */

struct workqueue_struct *blkcast_view_wq;

static const char * const why_broken[] = {
	[BLKCAST_VIEW_FULL] = "its store is full",
	[BLKCAST_VIEW_NO_MEMORY] = "no memory",
	[BLKCAST_VIEW_READ_ERROR] = "what was to be overwritten could not be read",
	[BLKCAST_VIEW_WRITE_ERROR] = "a write that belongs to it failed",
	[BLKCAST_VIEW_STORE_ERROR] = "its store failed",
	[BLKCAST_VIEW_TIMEOUT] = "its store is too slow for the writers",
	[BLKCAST_VIEW_SHRUNK] = "the volume lost a part that it shows",
	[BLKCAST_VIEW_FLUSH_ERROR] = "a flush of the volume's device failed",
};

/* Any context.  Inv. 4. */
void blkcast_view_break(struct blkcast_view *view, enum blkcast_view_state state,
			int error)
{
	unsigned long flags;
	bool first;

	spin_lock_irqsave(&view->store.lock, flags);
	first = !view->state;
	if (first) {
		view->error = error;
		view->state = state;
	}
	spin_unlock_irqrestore(&view->store.lock, flags);
	if (!first)
		return;
	wake_up_all(&view->store.room);
	vol_warn(view->vol, "view %s is broken: %s\n", view->name,
		 why_broken[state]);
}

/* Caller holds vol->lock, or vol->admin. */
struct blkcast_view *blkcast_view_find(struct blkcast_volume *v, const char *name)
{
	struct blkcast_view *view;

	list_for_each_entry(view, &v->views, node)
		if (!view->retired && !strcmp(view->name, name))
			return view;
	return NULL;
}

/* ---- retiring ---- */

static void view_remove(struct blkcast_view *view);

/* One that may be removed now; nobody opens it any more. */
static struct blkcast_view *retired_take(struct blkcast_volume *v)
{
	struct blkcast_view *view, *found = NULL;

	spin_lock_irq(&v->lock);
	list_for_each_entry(view, &v->views, node)
		if (view->retired && !view->openers)
			found = view;
	if (found)
		found->gone = true;
	spin_unlock_irq(&v->lock);
	return found;
}

/* It has a reference of the volume. */
static void reap_work(struct work_struct *work)
{
	struct blkcast_volume *v = container_of(work, struct blkcast_volume,
						view_reap);
	struct blkcast_view *view;

	mutex_lock(&v->admin);
	while ((view = retired_take(v)))
		view_remove(view);
	mutex_unlock(&v->admin);
	blkcast_volume_put(v);
}

/* Nobody may have it open any more.  Caller holds vol->lock. */
void __blkcast_view_closed(struct blkcast_view *view)
{
	struct blkcast_volume *v = view->vol;

	lockdep_assert_held(&v->lock);
	if (!view->retired || view->openers || view->gone)
		return;
	/* While it has a view the volume has a reference besides this one. */
	kref_get(&v->refs);
	if (!queue_work(blkcast_view_wq, &v->view_reap))
		refcount_dec(&v->refs.refcount);
}

/* Caller holds vol->lock. */
static void view_retire(struct blkcast_view *view)
{
	view->retired = true;
	__blkcast_view_closed(view);
}

/* A netlink socket is closed. */
void blkcast_views_disown(const struct net *net, u32 port)
{
	struct blkcast_volume *v;
	struct blkcast_view *view;

	mutex_lock(&blkcast_volumes_lock);
	list_for_each_entry(v, &blkcast_volumes, node) {
		spin_lock_irq(&v->lock);
		list_for_each_entry(view, &v->views, node)
			if (view->owner == port && view->net == net)
				view_retire(view);
		spin_unlock_irq(&v->lock);
	}
	mutex_unlock(&blkcast_volumes_lock);
}

/* ---- stamps ---- */

static u32 stamp_pages(const struct blkcast_view *view)
{
	return DIV_ROUND_UP(view->regions, BLKCAST_STAMP_PAGE);
}

static int stamps_alloc(struct blkcast_view *view)
{
	u32 n = stamp_pages(view), i;

	view->stamps = kvcalloc(n, sizeof(*view->stamps), GFP_KERNEL);
	view->copied = kvcalloc(BITS_TO_LONGS(n), sizeof(long), GFP_KERNEL);
	if (!view->stamps || !view->copied)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		view->stamps[i] = (void *)__get_free_page(GFP_KERNEL);
		if (!view->stamps[i])
			return -ENOMEM;
	}
	return 0;
}

static void stamps_free(struct blkcast_view *view)
{
	u32 i;

	for (i = 0; view->stamps && i < stamp_pages(view); i++)
		free_page((unsigned long)view->stamps[i]);
	kvfree(view->stamps);
	kvfree(view->copied);
}

/*
 * Keep the stamps of a page of the map for the view that begins.  Caller holds
 * vol->lock.  Inv. 2.
 */
void __blkcast_view_stamping(struct blkcast_volume *v, u32 region)
{
	struct blkcast_view *view = v->view_new;
	u32 page = region / BLKCAST_STAMP_PAGE;

	lockdep_assert_held(&v->lock);
	if (region < view->regions && !__test_and_set_bit(page, view->copied))
		memcpy(view->stamps[page], v->map.stamps[page], PAGE_SIZE);
}

/* What the hook has not kept yet. */
static void stamps_copy(struct blkcast_view *view)
{
	struct blkcast_volume *v = view->vol;
	u32 r;

	for (r = 0; r < view->regions; r += BLKCAST_STAMP_PAGE) {
		spin_lock_irq(&v->lock);
		__blkcast_view_stamping(v, r);
		spin_unlock_irq(&v->lock);
		cond_resched();
	}
	spin_lock_irq(&v->lock);
	v->view_new = NULL;
	spin_unlock_irq(&v->lock);
	kvfree(view->copied);
	view->copied = NULL;
}

/*
 * Count doubts.  A replica's newest LSN may be that of a frame which has not got
 * as far as its region: there the newest stamp tells what the view shows.
 */
static void stamps_count(struct blkcast_view *view)
{
	u64 newest = BLKCAST_LSN_NEVER;
	u32 r;

	for (r = 0; r < view->regions; r++) {
		u64 stamp = blkcast_view_stamp(view, r);

		if (stamp == BLKCAST_LSN_DOUBT)
			view->doubts++;
		else
			newest = max(newest, stamp);
		if (!(r % BLKCAST_STAMP_PAGE))
			cond_resched();
	}
	if (!view->lsn)
		view->lsn = newest;
}

/* Copy stamps of a view; -ENOENT: there is no such view. */
int blkcast_view_stamps(struct blkcast_volume *v, const char *name, u32 first,
			u32 count, u64 *to)
{
	struct blkcast_view *view;
	int err = 0;
	u32 i;

	spin_lock_irq(&v->lock);
	view = blkcast_view_find(v, name);
	if (!view || v->view_new == view)
		err = -ENOENT;
	else if (first >= view->regions || count > view->regions - first)
		err = -ERANGE;
	for (i = 0; i < count && !err; i++)
		to[i] = blkcast_view_stamp(view, first + i);
	spin_unlock_irq(&v->lock);
	return err;
}

/* ---- beginning ---- */

static void view_free(struct blkcast_view *view)
{
	blkcast_store_free(&view->store);
	stamps_free(view);
	kfree(view);
}

static struct blkcast_view *view_alloc(struct blkcast_volume *v,
				       const struct blkcast_view_params *p,
				       struct netlink_ext_ack *extack)
{
	struct blkcast_view *view = kzalloc(sizeof(*view), GFP_KERNEL);
	int err;

	if (!view)
		return ERR_PTR(-ENOMEM);
	strscpy(view->name, p->name, sizeof(view->name));
	view->vol = v;
	/* One of them says the other, whatever a replica's primary says meanwhile. */
	view->sectors = READ_ONCE(v->sectors);
	view->regions = DIV_ROUND_UP_ULL(view->sectors, 1ULL << v->region_shift);
	view->timeout = p->timeout;
	err = blkcast_store_init(view, p, extack) ?: stamps_alloc(view);
	if (!err)
		return view;
	view_free(view);
	return ERR_PTR(err);
}

/* How many ops belong to a view that begins now, and are not over? */
static u32 ops_enlisted(struct blkcast_volume *v)
{
	struct blkcast_op *op;
	u32 i, n = 0;

	lockdep_assert_held(&v->lock);
	for (i = 0; i < BLKCAST_RANGE_BUCKETS; i++)
		list_for_each_entry(op, &v->ranges[i], range_node)
			n += op->view_seq != 0;
	return n;
}

static u64 newest_reign(const struct blkcast_super *s)
{
	u32 n = le32_to_cpu(s->reigns);

	return n ? le64_to_cpu(s->history[n - 1].reign) : 0;
}

/* The instant.  Inv. 1, 6 and 7: the mark is set before the first such frame. */
static int view_begin(struct blkcast_view *view)
{
	struct blkcast_volume *v = view->vol;
	int err = 0;

	mutex_lock(&v->super_lock);
	spin_lock_irq(&v->lock);
	if (v->failing || v->detached) {
		err = -ENODEV;
	} else if (le32_to_cpu(v->super->flags) & BLKCAST_SUPER_INCONSISTENT) {
		err = -EUCLEAN;
	} else if (v->sectors != view->sectors) {
		err = -EAGAIN;	/* a replica's receiver has no vol->admin */
	} else {
		view->seq = ++v->view_seq;
		view->lsn = v->role == BLKCAST_ROLE_PRIMARY ? v->lsn : 0;
		view->reign = newest_reign(v->super);
		view->born = ktime_get_boottime_ns();
		v->view_older = ops_enlisted(v);
		v->view_new = view;
		list_add_tail(&view->node, &v->views);
	}
	spin_unlock_irq(&v->lock);
	mutex_unlock(&v->super_lock);
	return err;
}

static bool older_gone(struct blkcast_volume *v)
{
	bool gone;

	spin_lock_irq(&v->lock);
	gone = !v->view_older;
	spin_unlock_irq(&v->lock);
	return gone;
}

/* An op is over.  Caller holds vol->lock. */
void __blkcast_view_left(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;

	lockdep_assert_held(&v->lock);
	if (op->view_seq && op->view_seq < v->view_seq && !--v->view_older)
		wake_up_all(&v->idle);
}

/* Off the list: no op looks for it any more; those that do now are waited for. */
static void view_end(struct blkcast_view *view)
{
	struct blkcast_volume *v = view->vol;

	spin_lock_irq(&v->lock);
	view->gone = true;
	list_del(&view->node);
	wait_event_lock_irq(v->idle, !view->users, v->lock);
	spin_unlock_irq(&v->lock);
}

static int view_start(struct blkcast_view *view, struct netlink_ext_ack *extack)
{
	struct blkcast_volume *v = view->vol;
	int err = view_begin(view);

	if (err == -EUCLEAN)
		NL_SET_ERR_MSG(extack,
			       "this copy is inconsistent: a resync did not finish, or its map is damaged");
	else if (err == -ENODEV)
		NL_SET_ERR_MSG(extack, "the volume's device fails, or is detached");
	else if (err)
		NL_SET_ERR_MSG(extack, "the volume has just been resized: try again");
	if (err)
		return err;
	stamps_copy(view);
	wait_event(v->idle, older_gone(v));
	stamps_count(view);
	err = READ_ONCE(view->state) ? -EIO : blkcast_view_disk_add(view);
	if (!err)
		return 0;
	if (view->state && extack)
		extack->_msg = why_broken[view->state];
	view_end(view);
	return err;
}

static int create_check(struct blkcast_volume *v,
			const struct blkcast_view_params *p,
			struct netlink_ext_ack *extack)
{
	struct blkcast_view *view;
	u32 n = 0;

	list_for_each_entry(view, &v->views, node)
		n++;
	if (blkcast_view_find(v, p->name) && !p->replace) {
		NL_SET_ERR_MSG(extack, "there is a view of this name");
		return -EEXIST;
	}
	if (n >= BLKCAST_VIEWS_MAX) {
		NL_SET_ERR_MSG(extack, "a volume has at most 8 views");
		return -ENOSPC;
	}
	return 0;
}

/* Room for what the first view needs beside itself. */
static int views_prepare(struct blkcast_volume *v)
{
	int err = blkcast_view_reads_init(v);

	if (!err && !v->view_wq) {
		v->view_wq = alloc_workqueue("blkcast-view/%s",
					     WQ_UNBOUND | WQ_MEM_RECLAIM,
					     BLKCAST_VIEW_SAVERS, v->name);
		err = v->view_wq ? 0 : -ENOMEM;
	}
	return err;
}

/**
 * blkcast_view_create() - make a view of the volume as it is now
 * @v: the volume; caller holds vol->admin
 * @p: its name, and how much it may keep
 * @made: set to what became of it
 * @extack: takes the reason of a refusal
 *
 * Errors: see VIEW_CREATE in uapi/blkcast_netlink.h.
 */
int blkcast_view_create(struct blkcast_volume *v,
			const struct blkcast_view_params *p,
			struct blkcast_view_made *made,
			struct netlink_ext_ack *extack)
{
	struct blkcast_view *view, *old;
	int err;

	lockdep_assert_held(&v->admin);
	err = create_check(v, p, extack) ?: views_prepare(v);
	if (err)
		return err;
	view = view_alloc(v, p, extack);
	if (IS_ERR(view))
		return PTR_ERR(view);
	err = view_start(view, extack);
	if (err) {
		view_free(view);
		return err;
	}
	spin_lock_irq(&v->lock);
	old = blkcast_view_find(v, p->name);
	if (old != view)
		view_retire(old);
	view->owner = p->owner;
	view->net = p->net;
	spin_unlock_irq(&v->lock);
	*made = (struct blkcast_view_made) { view->minor, view->lsn };
	vol_info(v, "view %s: at %u:%llu\n", view->name,
		 blkcast_lsn_term(view->lsn), blkcast_lsn_seq(view->lsn));
	return 0;
}

/* ---- the end ---- */

/* It has a reference of the volume. */
static void end_work(struct work_struct *work)
{
	struct blkcast_view *view = container_of(work, struct blkcast_view, end);
	struct blkcast_volume *v = view->vol;

	view_free(view);
	/* Or its filesystem cannot be unmounted yet. */
	flush_delayed_fput();
	spin_lock_irq(&v->lock);
	v->views_ending--;
	wake_up_all(&v->idle);
	spin_unlock_irq(&v->lock);
	blkcast_volume_put(v);
}

static bool stores_gone(struct blkcast_volume *v)
{
	bool gone;

	spin_lock_irq(&v->lock);
	gone = !v->views_ending;
	spin_unlock_irq(&v->lock);
	return gone;
}

/* A store that hangs in a write to it holds up nobody but itself. */
static void view_remove(struct blkcast_view *view)
{
	struct blkcast_volume *v = view->vol;

	view_end(view);
	blkcast_view_disk_del(view);
	kref_get(&v->refs);
	spin_lock_irq(&v->lock);
	v->views_ending++;
	spin_unlock_irq(&v->lock);
	INIT_WORK(&view->end, end_work);
	queue_work(blkcast_view_wq, &view->end);
	if (!wait_event_timeout(v->idle, stores_gone(v), STORE_WAIT))
		vol_warn(v, "the store of a view does not answer: it stays in use until it does\n");
}

/* Caller holds vol->admin.  Errors: see VIEW_REMOVE in uapi/blkcast_netlink.h. */
int blkcast_view_remove(struct blkcast_volume *v, const char *name,
			struct netlink_ext_ack *extack)
{
	struct blkcast_view *view = blkcast_view_find(v, name);
	bool busy;

	lockdep_assert_held(&v->admin);
	if (!view) {
		NL_SET_ERR_MSG(extack, "no such view");
		return -ENOENT;
	}
	spin_lock_irq(&v->lock);
	busy = view->openers;
	view->gone = !busy;
	spin_unlock_irq(&v->lock);
	if (busy) {
		NL_SET_ERR_MSG(extack, "the view's device is open");
		return -EBUSY;
	}
	view_remove(view);
	return 0;
}

/*
 * The reader needs nothing below @region any more: no write is held up for it.
 * Reads there fail from now on.
 */
int blkcast_view_pass(struct blkcast_volume *v, const char *name, u32 region)
{
	struct blkcast_view *view;

	spin_lock_irq(&v->lock);
	view = blkcast_view_find(v, name);
	if (view)
		WRITE_ONCE(view->passed,
			   max(view->passed, min(region, view->regions)));
	spin_unlock_irq(&v->lock);
	return view ? 0 : -ENOENT;
}

/* Is the device of any view open?  Caller holds vol->lock. */
bool blkcast_views_open(struct blkcast_volume *v)
{
	struct blkcast_view *view;

	lockdep_assert_held(&v->lock);
	list_for_each_entry(view, &v->views, node)
		if (view->openers)
			return true;
	return false;
}

/* Let nobody open a view any more.  Caller holds vol->lock. */
void blkcast_views_close(struct blkcast_volume *v)
{
	struct blkcast_view *view;

	lockdep_assert_held(&v->lock);
	list_for_each_entry(view, &v->views, node)
		view->gone = true;
}

/* The volume goes down; no view is open and none can be. */
void blkcast_views_drop(struct blkcast_volume *v)
{
	struct blkcast_view *view, *next;

	list_for_each_entry_safe(view, next, &v->views, node) {
		vol_info(v, "view %s is gone with the volume\n", view->name);
		view_remove(view);
	}
}

void blkcast_views_setup(struct blkcast_volume *v)
{
	INIT_LIST_HEAD(&v->views);
	INIT_WORK(&v->view_reap, reap_work);
	v->view_seq = 1;
}

void blkcast_views_free(struct blkcast_volume *v)
{
	if (v->view_wq)
		destroy_workqueue(v->view_wq);
	bioset_exit(&v->view_bios);
}

/* ---- what goes wrong below.  Inv. 5 ---- */

/* An op failed.  Caller holds vol->lock. */
void blkcast_view_failed(struct blkcast_op *op, int error)
{
	struct blkcast_view *view;

	lockdep_assert_held(&op->vol->lock);
	list_for_each_entry(view, &op->vol->views, node)
		if (op->view_seq < view->seq)
			blkcast_view_break(view, BLKCAST_VIEW_WRITE_ERROR, error);
}

/* A flush failed.  Caller holds vol->lock. */
void blkcast_views_flush_failed(struct blkcast_volume *v)
{
	struct blkcast_view *view;

	lockdep_assert_held(&v->lock);
	list_for_each_entry(view, &v->views, node)
		blkcast_view_break(view, BLKCAST_VIEW_FLUSH_ERROR, -EIO);
}

/*
 * What could not be read below is not kept from readers any more.  Caller holds
 * vol->lock.
 */
void blkcast_views_unreadable(struct blkcast_volume *v)
{
	struct blkcast_view *view;

	lockdep_assert_held(&v->lock);
	list_for_each_entry(view, &v->views, node)
		blkcast_view_break(view, BLKCAST_VIEW_READ_ERROR, -EIO);
}

/*
 * A replica gives up what is beyond a new end, which is not saved.  Caller holds
 * vol->lock.  Inv. 6.
 */
void blkcast_views_shrunk(struct blkcast_volume *v, sector_t sectors)
{
	struct blkcast_view *view;

	lockdep_assert_held(&v->lock);
	list_for_each_entry(view, &v->views, node)
		if (view->sectors > sectors)
			blkcast_view_break(view, BLKCAST_VIEW_SHRUNK, -EIO);
}

int __init blkcast_views_init(void)
{
	blkcast_view_wq = alloc_workqueue("blkcast-view",
					  WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return blkcast_view_wq ? 0 : -ENOMEM;
}

void blkcast_views_exit(void)
{
	destroy_workqueue(blkcast_view_wq);
}
