/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The snapshot pipeline: reads a device, packs it on all cores, writes the
 * chunks in order.
 *
 *	main thread	asks for stamps, reads chunks (io_uring), asks again
 *	pool		digest and compress, a chunk a job
 *	output thread	waits for chunks in their order, writes them by segment
 *
 * A chunk lives in slot (number modulo slots) from its read to its write: that
 * bounds memory, and nobody gets further ahead than there are slots.
 *
 * Of a full snapshot chunk n is the n-th MiB of the image.  Of a delta a chunk is
 * what a MiB of the image has of the regions that are held; a MiB that has none is
 * passed over.
 */
#ifndef SNAPSHOT_CREATE_H
#define SNAPSHOT_CREATE_H

#include "progress.h"
#include "stamps.h"
#include "writer.h"

/**
 * struct create_plan - what to do
 * @fd: the device or file, O_DIRECT if it can
 * @bytes: how much of it
 * @level: of zstd
 * @rate: bytes a second, 0: no limit
 * @threads: of the pool
 * @stamps: the map to fill; its @ask may be NULL
 * @holds: a delta: a bit for each region that it holds; @stamps is fixed
 * @writer: SUPER is written already
 * @pass: NULL, or called now and then: nothing before that byte will be read any more
 * @fall_back: NULL, or called when a read fails: what to read from instead, or -1.  What
 *	was read before counts; @stamps tell what has changed since they were fixed
 * @arg: the first argument of both
 */
struct create_plan {
	int fd;
	uint64_t bytes;
	int level;
	unsigned int threads;
	uint64_t rate;
	struct stamps *stamps;
	const uint8_t *holds;
	struct writer *writer;
	struct progress *progress;
	void (*pass)(void *arg, uint64_t bytes);
	int (*fall_back)(void *arg);
	void *arg;
};

/* All chunks, in order; the caller writes STAMPS and TRAILER. */
int create_chunks(const struct create_plan *plan, struct bc_error *error);

#endif /* SNAPSHOT_CREATE_H */
