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
 */
#ifndef SNAPSHOT_EXTRACT_H
#define SNAPSHOT_EXTRACT_H

#include "progress.h"
#include "reader.h"
#include "target.h"

/**
 * struct extract_plan - what to do
 * @reader: SUPER has been read; is at its end after success
 * @target: NULL: only check
 * @threads: of the pool
 * @verify: read back everything that was written
 */
struct extract_plan {
	struct reader *reader;
	struct target *target;
	unsigned int threads;
	bool verify;
	struct progress *progress;
};

int extract_chunks(const struct extract_plan *plan, struct bc_error *error);

#endif /* SNAPSHOT_EXTRACT_H */
