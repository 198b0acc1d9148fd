/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What repair.c and bad.c have in common. */
#ifndef _BLKCAST_REPAIR_H
#define _BLKCAST_REPAIR_H

#include "link.h"

#define REPAIRS		8	/* at once, a volume */
#define REPAIR_PAGES	16	/* of each */
#define REPAIR_BYTES	(REPAIR_PAGES * PAGE_SIZE)
#define LINKS_TRIED	4	/* for a piece */
#define BADS_MAX	64	/* ranges, a volume */

/*
 * A slot: one piece of a read, from its failure to its repair.
 *
 * L vol->lock; W the work; while it is on link->reads_sent the link's receiver has
 * the pages.
 */
struct blkcast_repair {
	struct blkcast_volume	*vol;
	bool			busy;		/* L */
	struct work_struct	work;
	struct blkcast_op	op;		/* W: range, pages; for lock and write */
	struct page		*pages[REPAIR_PAGES];
	struct completion	granted;	/* the op's turn, or its I/O */
	int			io_error;

	u32			tried[LINKS_TRIED]; /* W: ids of links */
	u32			tries;		/* W */
	u64			position;	/* L: READ stands behind it */
	u64			stamp;		/* W: of the region at that place */
	struct list_head	node;		/* L: link->reads_due, _sent */
	u64			seq;		/* L: READ's; 0: not out */
	u64			since;		/* L: ktime_get_ns(): out */
	int			error;		/* L */
	struct completion	answered;
};

struct bad {
	sector_t from, to;
};

/* What a volume that was primary with a link has for this.  L, but for slots. */
struct blkcast_repairs {
	struct bio_list		waiting;	/* clones that failed */
	struct bad		bad[BADS_MAX];
	u32			bads;
	u32			bads_ever;	/* how often one has begun to be; wraps */
	struct blkcast_read_fails fails;	/* but for @bad */
	u64			told;		/* ktime_get_ns() of the last event */
	struct mutex		loading;
	struct blkcast_repair	slot[REPAIRS + 1]; /* the last one: for who holds it */
};

/* Is the device one that is not read any more?  detach.c, inv. 1 and 3. */
static inline bool blkcast_repair_over(const struct blkcast_volume *v)
{
	return READ_ONCE(v->failing) || READ_ONCE(v->detached);
}

/* bad.c */
bool blkcast_bad_add(struct blkcast_repairs *rs, const struct blkcast_op *op);

#endif /* _BLKCAST_REPAIR_H */
