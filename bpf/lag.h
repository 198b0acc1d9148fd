/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the probes (lag.bpf.c) and their loader share: the key and the value of
 * the histogram map, and the rule that sorts a latency into a bucket.
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
	LAG_STAGE_RECEIVED,	/* link: acknowledged as received */
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

/* Floor of log2; spelled out because a BPF program has no such instruction. */
static inline __attribute__((always_inline)) __u32 lag_log2(__u64 v)
{
	__u32 shift, log = 0;

	shift = (v > 0xffffffffULL) << 5; v >>= shift; log |= shift;
	shift = (v > 0xffff) << 4; v >>= shift; log |= shift;
	shift = (v > 0xff) << 3; v >>= shift; log |= shift;
	shift = (v > 0xf) << 2; v >>= shift; log |= shift;
	shift = (v > 0x3) << 1; v >>= shift; log |= shift;
	return log | (v >> 1);
}

/**
 * lag_bucket() - the bucket of a latency
 * @ns: the latency
 *
 * Return: 0..LAG_BUCKETS - 1
 */
static inline __attribute__((always_inline)) __u32 lag_bucket(__u64 ns)
{
	__u32 log, sub;

	if (ns < (1ULL << LAG_MIN_SHIFT))
		return 0;
	if (ns >= (1ULL << (LAG_MIN_SHIFT + LAG_OCTAVES)))
		return LAG_BUCKETS - 1;
	log = lag_log2(ns);
	sub = (ns >> (log - LAG_SUB_BITS)) & (LAG_SUB - 1);
	return 1 + (log - LAG_MIN_SHIFT) * LAG_SUB + sub;
}

#endif /* _BLKCAST_LAG_H */
