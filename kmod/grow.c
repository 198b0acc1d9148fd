// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Growing a volume that is up, while writes go on.
 *
 * The primary grows when it is told to, and only to what the devices of all
 * connected replicas have room for; a replica follows when the stream says SIZE
 * (stream.c, replica.c), which goes out before anything that uses the new size.
 * Regions that come into being were never written: they need no sync.
 *
 * Power may fail at any moment (rule 27):
 *
 *  1. The map and the device are prepared for the new size (grow_map.c).
 *  2. Primary: links keep still (park): none of them takes or compares a region
 *     across the change, so a copy and its stamp are of one size. (What was read
 *     ahead of another size is not taken: ahead.c.)
 *  3. The superblock with the new size, then memory, then the new size shows.
 *
 * A replica that finds itself larger than its primary (it has grown, and the new
 * primary has not) forgets what is beyond: that is no part of the volume.
 */
#include <linux/mm.h>

#include "link.h"

#define ROOM_WAIT	(5 * HZ)	/* for replicas to tell their room */

/* ---- memory ---- */

/* What replaces memory that has an element a region. */
struct growth {
	u64 sectors;
	u32 regions;
	bool map_larger;
	struct blkcast_map_arrays map;
	struct blkcast_dirty_bits *links;	/* one a link that there was */
	u32 nr_links;
};

static u32 links_count(struct blkcast_volume *v)
{
	struct blkcast_link *l;
	u32 n = 0;

	spin_lock_irq(&v->lock);
	list_for_each_entry(l, &v->links, node)
		n++;
	spin_unlock_irq(&v->lock);
	return n;
}

static int growth_alloc(struct blkcast_volume *v, u64 sectors, struct growth *g)
{
	u32 i;
	int err = 0;

	g->sectors = sectors;
	g->regions = DIV_ROUND_UP_ULL(sectors, 1ULL << v->region_shift);
	g->map_larger = g->regions > v->map.room;
	if (g->map_larger)
		err = blkcast_map_arrays_alloc(&g->map, v->map.room, g->regions);
	/* No link comes while we hold vol->admin, or are the only one's. */
	if (!err && v->role == BLKCAST_ROLE_PRIMARY) {
		g->nr_links = links_count(v);
		g->links = kcalloc(g->nr_links + 1, sizeof(*g->links), GFP_KERNEL);
		err = g->links ? 0 : -ENOMEM;
	}
	for (i = 0; i < g->nr_links && !err; i++)
		err = blkcast_dirty_alloc(&g->links[i], g->regions);
	return err;
}

static void growth_free(struct growth *g)
{
	u32 i;

	for (i = 0; g->links && i < g->nr_links; i++)
		blkcast_dirty_free(&g->links[i]);
	kfree(g->links);
	blkcast_map_arrays_free(&g->map);
}

/* Caller holds vol->lock. */
static void growth_install(struct blkcast_volume *v, struct growth *growth)
{
	u32 g, groups = DIV_ROUND_UP(v->regions, BLKCAST_MAP_STAMPS), i = 0;
	struct blkcast_link *l;

	if (growth->map_larger)
		blkcast_map_arrays_install(v, &growth->map);
	for (g = groups; g < DIV_ROUND_UP(growth->regions, BLKCAST_MAP_STAMPS); g++) {
		v->map.groups[g].generation = 1;
		v->map.groups[g].slot = 0;
		v->map.groups[g].unsure = 0;
	}
	list_for_each_entry(l, &v->links, node)
		if (l->dirty)
			blkcast_dirty_install(l, &growth->links[i++],
					      growth->regions);
	v->sectors = growth->sectors;
	v->regions = growth->regions;
}

/* ---- links keep still ---- */

static bool links_parked(struct blkcast_volume *v)
{
	struct blkcast_link *l;
	bool parked = true;

	spin_lock_irq(&v->lock);
	list_for_each_entry(l, &v->links, node)
		parked &= l->parked || l->error;
	spin_unlock_irq(&v->lock);
	return parked;
}

/* Caller holds vol->lock. */
static void links_wake(struct blkcast_volume *v)
{
	struct blkcast_link *l;

	list_for_each_entry(l, &v->links, node) {
		l->parked = false;
		wake_up_all(&l->wake);
	}
}

static void links_go_on(struct blkcast_volume *v)
{
	spin_lock_irq(&v->lock);
	v->growing = false;
	links_wake(v);
	spin_unlock_irq(&v->lock);
}

/* Step 2.  Interrupted if the caller is. */
static int links_park(struct blkcast_volume *v)
{
	int err;

	spin_lock_irq(&v->lock);
	v->growing = true;
	links_wake(v);
	spin_unlock_irq(&v->lock);
	err = wait_event_interruptible(v->idle, links_parked(v)) ? -EINTR : 0;
	if (err)
		links_go_on(v);
	return err;
}

/* ---- both ---- */

/* Step 3, and what everybody sees. */
static int grow_commit(struct blkcast_volume *v, struct growth *g)
{
	int err;

	mutex_lock(&v->map.pen);
	err = blkcast_super_resize(v, g->sectors, g->regions);
	spin_lock_irq(&v->lock);
	if (!err)
		growth_install(v, g);
	v->growing = false;
	links_wake(v);
	spin_unlock_irq(&v->lock);
	mutex_unlock(&v->map.pen);
	if (err)
		return err;
	synchronize_rcu();
	set_capacity_and_notify(v->disk, v->sectors);
	vol_info(v, "has %llu sectors now\n", (u64)v->sectors);
	return 0;
}

static int grow_to(struct blkcast_volume *v, u64 sectors)
{
	struct growth growth = {};
	u64 end = v->meta_end;
	int err;

	err = growth_alloc(v, sectors, &growth) ?: blkcast_grow_prepare(v, sectors);
	if (!err && v->role == BLKCAST_ROLE_PRIMARY)
		err = links_park(v);
	if (!err)
		err = grow_commit(v, &growth);
	growth_free(&growth);
	/* The metadata may have moved, whatever came then. */
	if (!err || v->meta_end != end)
		blkcast_event(v, BLKCAST_EVENT_SIZE, NULL, 0);
	if (err && err != -ENOSPC)
		vol_warn(v, "cannot grow to %llu sectors: %d\n", sectors, err);
	return err;
}

/* ---- the primary ---- */

/* Have all replicas told their room? */
static bool rooms_known(struct blkcast_volume *v)
{
	struct blkcast_link *l;
	bool known = true;

	spin_lock_irq(&v->lock);
	list_for_each_entry(l, &v->links, node)
		known &= l->room || l->error;
	spin_unlock_irq(&v->lock);
	return known;
}

/* A replica's device may have been enlarged just now: ask. */
static void rooms_ask(struct blkcast_volume *v)
{
	struct blkcast_link *l;

	spin_lock_irq(&v->lock);
	list_for_each_entry(l, &v->links, node) {
		l->room = 0;
		l->ping_due = true;
		wake_up_all(&l->wake);
	}
	spin_unlock_irq(&v->lock);
	wait_event_interruptible_timeout(v->idle, rooms_known(v), ROOM_WAIT);
}

static int rooms_check(struct blkcast_volume *v, u64 sectors,
		       struct netlink_ext_ack *extack)
{
	struct blkcast_link *l;
	int err = 0;

	rooms_ask(v);
	spin_lock_irq(&v->lock);
	list_for_each_entry(l, &v->links, node) {
		if (!l->error && !l->room)
			err = -EAGAIN;
		else if (!err && !l->error && l->room < sectors)
			err = -ENOBUFS;
	}
	spin_unlock_irq(&v->lock);
	if (err == -EAGAIN)
		NL_SET_ERR_MSG(extack, "a replica does not tell how much room it has");
	else if (err)
		NL_SET_ERR_MSG(extack, "the devices of a replica are too small for that");
	return err;
}

/**
 * blkcast_grow() - make a primary's volume larger
 * @v: the volume; the caller holds vol->admin
 * @sectors: its new size
 * @extack: takes the reason of a refusal
 *
 * Errors: see GROW in uapi/blkcast_netlink.h.
 */
int blkcast_grow(struct blkcast_volume *v, u64 sectors,
		 struct netlink_ext_ack *extack)
{
	int err;

	lockdep_assert_held(&v->admin);
	if (v->role != BLKCAST_ROLE_PRIMARY) {
		NL_SET_ERR_MSG(extack, "a replica grows with its primary");
		return -EROFS;
	}
	if (v->detached) {
		NL_SET_ERR_MSG(extack, "its device has been detached");
		return -ENODEV;
	}
	if (v->deposed) {
		NL_SET_ERR_MSG(extack, "a primary of a newer term has deposed this one");
		return -ESTALE;
	}
	if (sectors <= v->sectors || sectors % BLKCAST_GROW_SECTORS) {
		NL_SET_ERR_MSG(extack,
			       "the new size must be larger and a multiple of 4096 bytes");
		return -ERANGE;
	}
	if (sectors > blkcast_grow_room(v)) {
		NL_SET_ERR_MSG(extack, "the devices here are too small for that");
		return -ENOSPC;
	}
	err = rooms_check(v, sectors, extack);
	return err ?: grow_to(v, sectors);
}

/* ---- the replica ---- */

static int shrink_to(struct blkcast_volume *v, u64 sectors)
{
	u32 regions = DIV_ROUND_UP_ULL(sectors, 1ULL << v->region_shift);
	int err;

	vol_warn(v, "its primary has %llu sectors, fewer than the %llu here: what is beyond is given up\n",
		 sectors, blkcast_super_sectors(v));
	set_capacity_and_notify(v->disk, sectors);
	err = blkcast_map_truncate(v, sectors, regions) ?:
	      blkcast_super_resize(v, sectors, regions);
	if (!err)
		blkcast_event(v, BLKCAST_EVENT_SIZE, NULL, 0);
	return err;
}

/**
 * blkcast_grow_follow() - have the size that the primary says
 * @v: a replica on which no op is pending
 * @sectors: the primary's size
 *
 * Called by the receiver of its only link.  Return: 0; -ENOSPC; -EPROTO: no size
 * of a volume.
 */
int blkcast_grow_follow(struct blkcast_volume *v, u64 sectors)
{
	u64 least = min_t(u64, sectors, v->sectors);
	int err = 0;

	if (!sectors || sectors % BLKCAST_GROW_SECTORS)
		return -EPROTO;
	/* Or an earlier time has not got to disk. */
	if (least < blkcast_super_sectors(v))
		err = shrink_to(v, least);
	if (err || sectors == v->sectors)
		return err;
	err = sectors > blkcast_grow_room(v) ? -ENOSPC : grow_to(v, sectors);
	if (err == -ENOSPC)
		vol_warn(v, "its primary has %llu sectors, the devices here have room for %llu: enlarge them\n",
			 sectors, blkcast_grow_room(v));
	return err;
}
