/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * blkcast: log sequence numbers.
 *
 * Every write of a volume gets the next LSN.  An LSN is a u64,
 *
 *	63            40 39                        0
 *	+---------------+---------------------------+
 *	|  term  (24)   |         seq (40)          |
 *	+---------------+---------------------------+
 *
 * so that plain '<' orders writes across reigns.  The term counts reigns of
 * primaries and grows at every start of one; seq starts at 1 in each term.
 * Two values are never the LSN of a write:
 *
 *	BLKCAST_LSN_NEVER	the region was never written: it reads as zeros
 *	BLKCAST_LSN_DOUBT	nobody knows; equals nothing, not even itself
 */
#ifndef _UAPI_BLKCAST_LSN_H
#define _UAPI_BLKCAST_LSN_H

#include <linux/types.h>

#define BLKCAST_SEQ_BITS	40
#define BLKCAST_SEQ_MAX		((1ULL << BLKCAST_SEQ_BITS) - 1)
/* The last term is kept unused so that no LSN is BLKCAST_LSN_DOUBT. */
#define BLKCAST_TERM_MAX	((1U << 24) - 2)

#define BLKCAST_LSN_NEVER	0ULL
#define BLKCAST_LSN_DOUBT	(~0ULL)

static inline __u64 blkcast_lsn(__u32 term, __u64 seq)
{
	return (__u64)term << BLKCAST_SEQ_BITS | seq;
}

static inline __u32 blkcast_lsn_term(__u64 lsn)
{
	return lsn >> BLKCAST_SEQ_BITS;
}

static inline __u64 blkcast_lsn_seq(__u64 lsn)
{
	return lsn & BLKCAST_SEQ_MAX;
}

/* The rule everything rests on: equal stamps, none in doubt, equal content. */
static inline int blkcast_stamps_equal(__u64 a, __u64 b)
{
	return a == b && a != BLKCAST_LSN_DOUBT;
}

#endif /* _UAPI_BLKCAST_LSN_H */
