// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory of the stamp map.  It is laid out when the volume comes up and replaced
 * by a larger one when it grows: what is copied then is an entry a group and two
 * bits a region; stamps stay in their pages.
 */
#include <linux/mm.h>

#include "volume.h"

static u32 stamp_pages(u32 regions)
{
	return DIV_ROUND_UP(regions, BLKCAST_STAMP_PAGE);
}

static u32 groups_in(u32 regions)
{
	return DIV_ROUND_UP(regions, BLKCAST_MAP_STAMPS);
}

/* Pages of stamps, all "never written", for those who have none yet. */
static int stamps_alloc(struct blkcast_map_arrays *a)
{
	u32 i;

	for (i = a->pages; i < stamp_pages(a->room); i++) {
		a->stamps[i] = (void *)get_zeroed_page(GFP_KERNEL);
		if (!a->stamps[i])
			return -ENOMEM;
		if (!(i % 1024))
			cond_resched();
	}
	return 0;
}

/**
 * blkcast_map_arrays_alloc() - memory for a map that replaces a smaller one
 * @a: filled in; blkcast_map_arrays_free() gives it back, whatever this returns
 * @have: regions that the smaller one has room for, 0: there is none
 * @room: regions, more than @have
 */
int blkcast_map_arrays_alloc(struct blkcast_map_arrays *a, u32 have, u32 room)
{
	a->room = room;
	a->pages = stamp_pages(have);
	a->stamps = kvcalloc(stamp_pages(room), sizeof(*a->stamps), GFP_KERNEL);
	a->touched = kvcalloc(BITS_TO_LONGS(room), sizeof(long), GFP_KERNEL);
	a->zeroed = kvcalloc(BITS_TO_LONGS(room), sizeof(long), GFP_KERNEL);
	a->groups = kvcalloc(groups_in(room), sizeof(*a->groups), GFP_KERNEL);
	if (!a->stamps || !a->touched || !a->zeroed || !a->groups)
		return -ENOMEM;
	return stamps_alloc(a);
}

/*
 * Replace the map's arrays, content included.  Caller holds the pen and
 * vol->lock, and frees the old ones, then in @a, after a grace period of RCU.
 */
void blkcast_map_arrays_install(struct blkcast_volume *v,
				struct blkcast_map_arrays *a)
{
	struct blkcast_map *m = &v->map;
	unsigned long *touched = rcu_dereference_protected(m->touched,
						lockdep_is_held(&v->lock));

	lockdep_assert_held(&v->lock);
	if (m->room) {
		memcpy(a->stamps, m->stamps,
		       stamp_pages(m->room) * sizeof(*a->stamps));
		bitmap_copy(a->touched, touched, m->room);
		bitmap_copy(a->zeroed, m->zeroed, m->room);
		memcpy(a->groups, m->groups,
		       groups_in(m->room) * sizeof(*a->groups));
	}
	swap(m->stamps, a->stamps);
	rcu_assign_pointer(m->touched, a->touched);
	a->touched = touched;
	swap(m->zeroed, a->zeroed);
	swap(m->groups, a->groups);
	swap(m->room, a->room);
	a->pages = stamp_pages(a->room);
}

void blkcast_map_arrays_free(struct blkcast_map_arrays *a)
{
	u32 i;

	for (i = a->pages; a->stamps && i < stamp_pages(a->room); i++)
		free_page((unsigned long)a->stamps[i]);
	kvfree(a->groups);
	kvfree(a->zeroed);
	kvfree(a->touched);
	kvfree(a->stamps);
}
