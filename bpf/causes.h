/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the probes of causes.bpf.h and their loader share: the record of a slow
 * write, and the sums by region and by process.
 *
 * A record divides the time from a write's arrival to its end into three parts
 * that follow each other, so their sum is the total:
 *
 *	by volume (link LAG_LINK_NONE)	WAIT	until it had its LSN: behind others
 *						that overlap it, the metadata, room
 *						in the backlog
 *					LOCAL	until the backing device had it
 *					ACK	until its writer was told
 *	by link				QUEUED	until it was handed to the socket
 *					NETWORK	there, and back with the news
 *					APPLY	all the rest until its being written
 *						there was acknowledged: what it
 *						waited there is in it
 */
#ifndef _BLKCAST_CAUSES_H
#define _BLKCAST_CAUSES_H

#include <linux/types.h>

#include "lag.h"

#define CAUSES_COMM	16	/* as the kernel's TASK_COMM_LEN */
#define CAUSES_PARTS	3
/* Writes under way whose parts can be told, those of each link counted. */
#define CAUSES_MOMENTS	65536
#define CAUSES_SUMS	16384
/* Sums by region are over so many sectors: 1 MiB. */
#define CAUSES_EXTENT_SHIFT 11

/**
 * struct causes_slow - a write that took long
 * @lsn: its LSN
 * @sector: on the volume
 * @total: ns from its arrival to its end
 * @part: of these, as above
 * @minor: N of /dev/blkcastN
 * @link: id of the link, LAG_LINK_NONE: as its writer saw it
 * @bytes: its size
 * @pid: of the process that submitted it; the kernel's own threads write back what
 *	others left in the page cache
 * @comm: its name; empty: not known
 */
struct causes_slow {
	__u64 lsn;
	__u64 sector;
	__u64 total;
	__u64 part[CAUSES_PARTS];
	__u32 minor;
	__u32 link;
	__u32 bytes;
	__u32 pid;
	char comm[CAUSES_COMM];
};

enum causes_kind {
	CAUSES_EXTENT,	/* @id: sector >> CAUSES_EXTENT_SHIFT */
	CAUSES_PROCESS,	/* @id: pid */
};

struct causes_key {
	__u32 minor;
	__u32 kind;
	__u64 id;
};

/*
 * The same in one number, which is never 0:
 *
 *	bit  0..38	id
 *	    39		kind
 *	    40..63	minor + 1
 */
#define CAUSES_ID_MASK	((1ULL << 39) - 1)

LAG_INLINE __u64 causes_pack(__u32 minor, __u32 kind, __u64 id)
{
	return (__u64)(minor + 1) << 40 | (__u64)kind << 39 | (id & CAUSES_ID_MASK);
}

LAG_INLINE struct causes_key causes_unpack(__u64 packed)
{
	struct causes_key key = {
		.minor = (packed >> 40) - 1,
		.kind = packed >> 39 & 1,
		.id = packed & CAUSES_ID_MASK,
	};

	return key;
}

/**
 * struct causes_sum - what writes of one origin have cost
 * @origin: causes_pack() of it; 0: of none yet
 * @writes: times that a replica has applied one
 * @bytes: of these
 * @ns: from arrival to applied, all added up
 * @max: the longest
 * @comm: of a process: its name
 */
struct causes_sum {
	__u64 origin;
	__u64 writes;
	__u64 bytes;
	__u64 ns;
	__u64 max;
	char comm[CAUSES_COMM];
};

#endif /* _BLKCAST_CAUSES_H */
