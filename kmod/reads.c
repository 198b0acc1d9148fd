// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How much is read from a copy, and that its primary knows.
 *
 * A read counts on its CPU, without a lock.  A replica tells the sum in each
 * acknowledgement, heartbeats included; the primary makes a rate of it, over
 * READS_SPAN or more.  What a volume could serve if one replica were gone is
 * policy: it is worked out in user space.
 */
#include "link.h"

#define READS_SPAN	(5 * NSEC_PER_SEC)

int blkcast_reads_init(struct blkcast_volume *v)
{
	v->reads = alloc_percpu(u64);
	return v->reads ? 0 : -ENOMEM;
}

void blkcast_reads_free(struct blkcast_volume *v)
{
	free_percpu(v->reads);
}

/* Reads of this copy since it is up. */
u64 blkcast_reads(const struct blkcast_volume *v)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*per_cpu_ptr(v->reads, cpu));
	return sum;
}

static void rate_begin(struct blkcast_read_rate *r, u64 reads, u64 now)
{
	r->since = now;
	r->before = reads;
}

/* A replica has told how many reads it has served.  Caller holds vol->lock. */
void blkcast_reads_told(struct blkcast_link *l, u64 reads)
{
	struct blkcast_read_rate *r = &l->read_rate;
	u64 now = ktime_get_ns(), span = now - r->since;

	lockdep_assert_held(&l->vol->lock);
	/* Fewer than before: it has been down, the count begins anew. */
	if (!r->since || reads < r->before) {
		rate_begin(r, reads, now);
	} else if (span >= READS_SPAN) {
		r->known = true;
		r->a_second = mul_u64_u64_div_u64(reads - r->before, NSEC_PER_SEC,
						  span);
		rate_begin(r, reads, now);
	}
}
