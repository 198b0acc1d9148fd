// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A read's way, on every copy, and how much is read.
 *
 *	blkcast_read()		may it be told anything?  A region without a touched mark
 *				is zeros; a clone goes to the backing device
 *	read_end_io()		it failed: repair.c, if that may help
 *	blkcast_read_done()	the lease's last word (lease.c), and the reader's answer
 *
 * A read counts on its CPU, without a lock.  A replica tells the sum in each
 * acknowledgement, heartbeats included; the primary makes a rate of it, over
 * READS_SPAN or more.  What a volume could serve if one replica were gone is
 * policy: it is worked out in user space.
 */
#include "repair.h"

#define READS_SPAN	(5 * NSEC_PER_SEC)

/* A read of the backing device for a reader's bio, which is bio.bi_private. */
struct read {
	unsigned long since;		/* jiffies */
	bool guarded;			/* its failure is not the reader's yet */
	struct bio bio;			/* last: bioset */
};

static struct blkcast_volume *read_volume(const struct bio *bio)
{
	return bio->bi_bdev->bd_disk->private_data;
}

/* @since: as bio_start_io_acct() said. */
static void read_answer(struct bio *bio, blk_status_t status, unsigned long since)
{
	if (!status && blkcast_lease_over(read_volume(bio)))
		status = BLK_STS_IOERR;
	/* It may have the error of another piece already. */
	if (status)
		bio->bi_status = status;
	bio_end_io_acct(bio, since);
	bio_endio(bio);
}

/**
 * blkcast_read_done() - answer a reader
 * @clone: a clone of his bio, with its status; gone afterwards
 *
 * Any context.
 */
void blkcast_read_done(struct bio *clone)
{
	struct read *r = container_of(clone, struct read, bio);
	struct bio *bio = clone->bi_private;
	blk_status_t status = clone->bi_status;
	unsigned long since = r->since;

	bio_put(clone);
	read_answer(bio, status, since);
}

static void read_end_io(struct bio *clone)
{
	struct read *r = container_of(clone, struct read, bio);
	const struct bio *bio = clone->bi_private;
	struct blkcast_volume *v = read_volume(bio);

	if (r->guarded && unlikely(blkcast_repair_bad(v, bio->bi_iter.bi_sector,
						      bio_sectors(bio))))
		clone->bi_status = BLK_STS_IOERR;
	/* The latter two are no failures of the device. */
	if (likely(!clone->bi_status) || !r->guarded ||
	    clone->bi_status == BLK_STS_AGAIN || clone->bi_status == BLK_STS_NOTSUPP)
		blkcast_read_done(clone);
	else
		blkcast_repair_read(v, clone);
}

static void read_refuse(struct bio *bio, blk_status_t status)
{
	bio->bi_status = status;
	bio_endio(bio);
}

/* A reader's bio, within one region. */
void blkcast_read(struct blkcast_volume *v, struct bio *bio)
{
	unsigned long since;
	struct bio *clone;
	struct read *r;

	if (unlikely(blkcast_fresh_refuse(v))) {
		read_refuse(bio, BLK_STS_TIMEOUT);
		return;
	}
	this_cpu_inc(*v->reads);
	if (unlikely(blkcast_lease_over(v)) ||
	    unlikely(READ_ONCE(v->detached) &&
		     READ_ONCE(v->role) != BLKCAST_ROLE_PRIMARY)) {
		read_refuse(bio, BLK_STS_IOERR);
		return;
	}
	if (!blkcast_map_touched(v, blkcast_region(v, bio->bi_iter.bi_sector))) {
		since = bio_start_io_acct(bio);
		zero_fill_bio(bio);
		read_answer(bio, BLK_STS_OK, since);
		return;
	}
	clone = bio_alloc_clone(v->backing.bdev, bio, GFP_NOIO, &v->read_bios);
	if (!clone) {
		read_refuse(bio, BLK_STS_RESOURCE);
		return;
	}
	r = container_of(clone, struct read, bio);
	r->since = bio_start_io_acct(bio);
	clone->bi_private = bio;
	r->guarded = blkcast_repair_guards(v);
	if (r->guarded && blkcast_repair_bad(v, bio->bi_iter.bi_sector, bio_sectors(bio))) {
		clone->bi_status = BLK_STS_IOERR;
		blkcast_repair_read(v, clone);
		return;
	}
	clone->bi_end_io = read_end_io;
	clone->bi_iter.bi_sector += v->data_start;
	submit_bio_noacct(clone);
}

/* ---- how much ---- */

int blkcast_reads_init(struct blkcast_volume *v)
{
	v->reads = alloc_percpu(u64);
	if (!v->reads)
		return -ENOMEM;
	return bioset_init(&v->read_bios, BIO_POOL_SIZE, offsetof(struct read, bio), 0);
}

void blkcast_reads_free(struct blkcast_volume *v)
{
	bioset_exit(&v->read_bios);
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
