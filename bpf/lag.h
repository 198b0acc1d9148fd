/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the probes (lag.bpf.c) and their loader share: whose a histogram is, its
 * cells, and the rule that sorts a latency into a bucket.
 *
 * A bucket is a quarter of an octave: LAG_SUB buckets divide each power of two
 * evenly, so the upper edge of a bucket is at most 25% above any value in it.
 *
 *	bucket 0		below 2^LAG_MIN_SHIFT ns (1.024 us)
 *	1 .. LAG_BUCKETS - 2	four to an octave
 *	LAG_BUCKETS - 1		2^(LAG_MIN_SHIFT + LAG_OCTAVES) ns and above (18 min)
 *
 * Counts and sums only ever grow; whoever wants an interval subtracts.  A
 * maximum cannot be subtracted, so there are two of them, used in turn: the
 * loader counts an epoch up at each reading, and the probe writes the slot of
 * the epoch's parity, after clearing what an older epoch has left in it.
 */
#ifndef _BLKCAST_LAG_H
#define _BLKCAST_LAG_H

#include <linux/types.h>

#define LAG_MIN_SHIFT	10
#define LAG_OCTAVES	30
#define LAG_SUB_BITS	2
#define LAG_SUB		(1U << LAG_SUB_BITS)
#define LAG_BUCKETS	(LAG_OCTAVES * LAG_SUB + 2)

/* lag_filter_minor: every volume */
#define LAG_MINOR_ANY	(~0U)
/* lag_key.link of the stages of a volume, which belong to no link */
#define LAG_LINK_NONE	(~0U)

/*
 * From the write's start to here; on a replica from the frame's arrival.  The
 * times of a flush are kept apart from those of writes.
 */
enum lag_stage {
	LAG_STAGE_LOCAL,	/* volume: written to the backing device */
	LAG_STAGE_TOTAL,	/* volume: completed to the writer */
	LAG_STAGE_FLUSH,	/* volume: a flush completed to its caller */
	LAG_STAGE_SENT,		/* link: handed to the socket */
	LAG_STAGE_RECEIVED,	/* link: acknowledged as received, if read at once there */
	LAG_STAGE_APPLIED,	/* link: acknowledged as applied */
	LAG_STAGE_DURABLE,	/* link: a flush acknowledged as done there */
	LAG_STAGE_REPLICA_APPLIED, /* replica's end: written there */
	LAG_STAGE_REPLICA_FLUSH, /* replica's end: flushed there */
	LAG_STAGES,
};

struct lag_key {
	__u32 minor;
	__u32 link;
	__u32 stage;
};

/*
 * Histograms come in sets: those of a volume, of a link at its primary, of a link at
 * its replica.  A set is found by its owner, one number that is never 0:
 *
 *	bit  0..23	minor + 1
 *	    24..31	the first of its stages, the others follow
 *	    32..63	link
 */
#define LAG_SET		4
#define LAG_SLOTS_MAX	1024

#define LAG_INLINE static inline __attribute__((always_inline))

LAG_INLINE __u32 lag_first(__u32 stage)
{
	return stage >= LAG_STAGE_REPLICA_APPLIED ? LAG_STAGE_REPLICA_APPLIED :
	       stage >= LAG_STAGE_SENT ? LAG_STAGE_SENT : LAG_STAGE_LOCAL;
}

LAG_INLINE __u64 lag_owner(__u32 minor, __u32 link, __u32 stage)
{
	return (__u64)link << 32 | lag_first(stage) << 24 | (minor + 1);
}

/* A set's key but for the stage, of which it is the first. */
LAG_INLINE struct lag_key lag_owner_key(__u64 owner)
{
	struct lag_key key = {
		.minor = (owner & 0xffffff) - 1,
		.link = owner >> 32,
		.stage = owner >> 24 & 0xff,
	};

	return key;
}

/* Numbers that are near each other, in a table: each has a place of its own. */
LAG_INLINE __u32 lag_home(__u32 minor, __u32 link)
{
	return minor * 31 + link;
}

/**
 * struct lag_cell - one CPU's share of one histogram
 * @sum: of all latencies, ns
 * @max: largest latency of the epoch of the same slot, ns
 * @epoch: the epoch to which the slot's maximum belongs
 * @buckets: number of latencies in each bucket
 */
struct lag_cell {
	__u64 sum;
	__u64 max[2];
	__u64 epoch[2];
	__u64 buckets[LAG_BUCKETS];
};

/* One CPU's share of a set. */
struct lag_set {
	struct lag_cell cell[LAG_SET];
};

/* Keeps a branch a branch: what a compiler makes of it without takes twice as long. */
#define LAG_BRANCH(a, b) __asm__ volatile("" : "+r"(a), "+r"(b))

/**
 * lag_bucket() - the bucket of a latency
 * @ns: the latency
 *
 * Halves it until no more is left than its first bit and the LAG_SUB_BITS behind that,
 * in steps, as a BPF program has no instruction for it.
 *
 * Return: 0..LAG_BUCKETS - 1
 */
LAG_INLINE __u32 lag_bucket(__u64 ns)
{
	__u32 left, bucket = 1;

	if (ns < (1ULL << LAG_MIN_SHIFT))
		return 0;
	if (ns >= (1ULL << (LAG_MIN_SHIFT + LAG_OCTAVES)))
		return LAG_BUCKETS - 1;
	left = ns >> (LAG_MIN_SHIFT - LAG_SUB_BITS);
#define LAG_HALVE(times)			\
	if (left >= LAG_SUB << (times)) {	\
		left >>= (times);		\
		bucket += (times) * LAG_SUB;	\
		LAG_BRANCH(left, bucket);	\
	}
	LAG_HALVE(16)
	LAG_HALVE(8)
	LAG_HALVE(4)
	LAG_HALVE(2)
	LAG_HALVE(1)
#undef LAG_HALVE
	return bucket + left - LAG_SUB;
}

#endif /* _BLKCAST_LAG_H */
