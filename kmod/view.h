/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Views: read-only block devices that show a volume as it was at one LSN.
 *
 * What a view holds, at most:
 *	8 bytes a region			stamps, all at once
 *	the store's bytes, if it is memory,
 *	else BLKCAST_VIEW_CACHE			pages, as they come
 *	32 bytes for 4 KiB of the store		slots, as they come
 *	1 byte for 4 KiB of the store		buckets, all at once
 * and what is being copied: BLKCAST_VIEW_SAVERS times BLKCAST_VIEW_PIECE a volume.
 */
#ifndef _BLKCAST_VIEW_H
#define _BLKCAST_VIEW_H

#include "volume.h"

#define BLKCAST_VIEW_BYTES_MIN	(1ULL << 20)
#define BLKCAST_VIEW_BYTES_MAX	(4ULL << 40)
#define BLKCAST_VIEWS_MAX	8	/* of one volume */
#define BLKCAST_VIEW_SAVERS	32	/* writes of one volume that copy at a time */
#define BLKCAST_VIEW_PIECE	32U	/* blocks that one copies at a time */

#define BLKCAST_VIEW_CACHE	4096U	/* blocks on their way to a file or device */
#define BLKCAST_VIEW_SPILL	32U	/* ... written at once */
#define BLKCAST_VIEW_WAIT_MIN	100	/* ms */
#define BLKCAST_VIEW_WAIT_MAX	600000
#define BLKCAST_VIEW_WAIT_DEFAULT 5000

/* A block is what is copied; a write may cover some of its sectors only. */
#define BLKCAST_VIEW_SHIFT	12
#define BLKCAST_VIEW_BLOCK	(1U << BLKCAST_VIEW_SHIFT)
#define BLKCAST_VIEW_SECTORS	(BLKCAST_VIEW_BLOCK >> SECTOR_SHIFT)

/**
 * struct blkcast_store - old content of blocks, found by their number
 *
 * I set before it is seen by others; S @lock
 *
 * @lock: below vol->lock, irq-safe
 * @capacity: I: blocks
 * @used: S: slots taken, the first ones
 * @bits: I: log2 of buckets
 * @buckets: S: number of the first slot and one, 0: none
 * @chunks: S: slots, a page of them at a time
 * @kind: I: where blocks end up
 * @file: I: FILE; the user has it open for nobody else
 * @dev: I: DEVICE, opened exclusively
 * @cached: S: not MEMORY: blocks that have a page
 * @reserved: S: that may get one
 * @dirty_first, @dirty_last: S: slots that wait for @spill: number and one, 0: none
 * @room: for who waits for either to go down
 */
struct blkcast_store {
	spinlock_t		lock;
	u32			capacity;
	u32			used;
	u32			bits;
	u32			*buckets;
	struct blkcast_slot	**chunks;

	enum blkcast_store_kind	kind;
	struct file		*file;
	struct blkcast_bdev	dev;
	u32			cached;
	u32			reserved;
	u32			dirty_first, dirty_last;
	struct work_struct	spill;
	wait_queue_head_t	room;
};

/* A saved block. */
struct blkcast_slot {
	struct page *page;	/* what is not on disk */
	u64 block;
	u32 next;		/* of the same bucket: its number and one, 0: none */
	u32 dirty_next;		/* that waits to be written, the same */
	u8 saved;		/* a bit a sector */
	u8 dirty;		/* a bit a sector: on @page alone */
	bool queued;		/* waits to be written, or is being written */
};

#define BLKCAST_SLOTS_PER_CHUNK	(PAGE_SIZE / sizeof(struct blkcast_slot))

/**
 * struct blkcast_view - a volume at one LSN
 *
 * It is on the list of the volume's views until it is removed, under vol->admin;
 * that waits for @users and @reads, and is not begun while it has @openers.
 *
 * I set before it is seen by others; L vol->lock; S store.lock
 */
struct blkcast_view {
	struct blkcast_volume	*vol;		/* I */
	char			name[BLKCAST_NAME_MAX];	/* I */
	struct list_head	node;		/* L: vol->views */
	u32			seq;		/* I: view.c, inv. 1 */
	u64			lsn;		/* I: newest write that it shows */
	u64			reign;		/* I: id of the newest then; 0: there was none */
	u64			born;		/* I: ktime_get_boottime_ns() */
	sector_t		sectors;	/* I */
	u32			regions;	/* I */
	u32			doubts;		/* I: regions in doubt */
	u64			**stamps;	/* I: in pages, as vol->map's */
	unsigned long		*copied;	/* L: a bit a page, while it begins */
	u32			timeout;	/* I: ms that a write may wait for it */
	u32			passed;		/* L: regions below are given up */
	u32			users;		/* L: who copies into it now */
	u32			openers;	/* L */
	u32			owner;		/* L: netlink port, 0: nobody's */
	const struct net	*net;		/* L: of the port, for comparison */
	bool			retired;	/* L: has no name, goes when it is closed */
	bool			gone;		/* L: no more openers */
	enum blkcast_view_state	state;		/* S */
	int			error;		/* S: why it broke */
	atomic_t		reads;		/* in flight */
	struct gendisk		*disk;		/* L: NULL while it begins */
	struct work_struct	end;
	int			minor;		/* I */
	struct blkcast_store	store;
};

struct blkcast_view_params {
	const char *name;
	u64 bytes;
	u32 timeout;
	u32 owner;			/* netlink port that it goes with, or 0 */
	const struct net *net;		/* of the port */
	bool replace;			/* the one of this name */
	enum blkcast_store_kind kind;
	int fd;				/* FILE */
	dev_t dev;			/* DEVICE */
};

struct blkcast_view_made {
	u32 minor;
	u64 lsn;
};

/* view.c: their life */
int blkcast_view_create(struct blkcast_volume *v,
			const struct blkcast_view_params *params,
			struct blkcast_view_made *made,
			struct netlink_ext_ack *extack);
int blkcast_view_remove(struct blkcast_volume *v, const char *name,
			struct netlink_ext_ack *extack);
int blkcast_view_pass(struct blkcast_volume *v, const char *name, u32 region);
int blkcast_view_stamps(struct blkcast_volume *v, const char *name, u32 first,
			u32 count, u64 *to);
void blkcast_view_break(struct blkcast_view *view, enum blkcast_view_state state,
			int error);
struct blkcast_view *blkcast_view_find(struct blkcast_volume *v, const char *name);
void __blkcast_view_closed(struct blkcast_view *view);

/* view_read.c */
int blkcast_view_disk_add(struct blkcast_view *view);
void blkcast_view_disk_del(struct blkcast_view *view);
int blkcast_view_reads_init(struct blkcast_volume *v);

/* view_store.c */
int blkcast_store_init(struct blkcast_view *view,
		       const struct blkcast_view_params *p,
		       struct netlink_ext_ack *extack);
void blkcast_store_free(struct blkcast_store *store);
void blkcast_store_prepare(struct blkcast_store *store);
u8 __blkcast_store_saved(struct blkcast_store *store, u64 block);
int __blkcast_store_keep(struct blkcast_store *store, u64 block, u8 sectors,
			 struct page *page);
int blkcast_store_fetch(struct blkcast_store *store, u64 block, struct page *to);

/* view_spill.c: stores that are not memory */
int blkcast_spill_open(struct blkcast_view *view,
		       const struct blkcast_view_params *p,
		       struct netlink_ext_ack *extack);
void blkcast_spill_close(struct blkcast_store *store);
bool blkcast_spill_reserve(struct blkcast_view *view, u32 blocks,
			   unsigned long since);
void blkcast_spill_release(struct blkcast_store *store, u32 blocks);
void __blkcast_spill_queue(struct blkcast_store *store, u32 slot);
int blkcast_spill_read(struct blkcast_store *store, u32 slot, struct page *to);

static inline struct blkcast_slot *blkcast_slot(struct blkcast_store *store, u32 slot)
{
	return &store->chunks[slot / BLKCAST_SLOTS_PER_CHUNK]
			     [slot % BLKCAST_SLOTS_PER_CHUNK];
}

extern struct workqueue_struct *blkcast_view_wq;

static inline u64 blkcast_view_stamp(const struct blkcast_view *view, u32 region)
{
	return view->stamps[region / BLKCAST_STAMP_PAGE][region % BLKCAST_STAMP_PAGE];
}

#endif /* _BLKCAST_VIEW_H */
