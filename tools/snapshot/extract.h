/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The restore pipeline: reads a snapshot, unpacks it on all cores, writes the
 * chunks wherever they belong; or, without a target, only checks it.
 *
 *	input thread	reads frames in their order into free slots
 *	pool		unpack, hold against the digest, a chunk a job
 *	main thread	writes, or makes zero, and with @verify reads again (io_uring)
 *
 * Nothing is written before it has been held against its digest.  Memory is
 * bounded by the number of slots.
 *
 * With @update what the target holds is read first and compared byte by byte, so
 * that a restore that was killed goes on where it was, at the cost of reading.
 */
#ifndef SNAPSHOT_EXTRACT_H
#define SNAPSHOT_EXTRACT_H

#include "progress.h"
#include "reader.h"
#include "target.h"

/**
 * struct extract_done - what has been done, in bytes of the image
 * @written: as data
 * @zeroed: as zeros, without data
 * @kept: was on the target already, or need not be there
 */
struct extract_done {
	uint64_t written, zeroed, kept;
};

/**
 * struct extract_plan - what to do
 * @reader: SUPER has been read; is at its end after success
 * @target: NULL: only check
 * @threads: of the pool
 * @verify: read back everything that was written
 * @update: write only what the target does not hold already
 * @journal: called again and again: all up to byte @bytes of the image is written;
 *	@last: for the last time, because of a failure; may be NULL
 * @done: is counted up; may be NULL
 */
struct extract_plan {
	struct reader *reader;
	struct target *target;
	unsigned int threads;
	bool verify, update;
	struct progress *progress;
	int (*journal)(struct target *target, const struct reader *reader, uint64_t bytes,
		       bool last, struct bc_error *error);
	struct extract_done *done;
};

int extract_chunks(const struct extract_plan *plan, struct bc_error *error);

#endif /* SNAPSHOT_EXTRACT_H */
