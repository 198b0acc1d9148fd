/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small io_uring engine: reads, writes and zeroing of large pieces, a bounded
 * number at a time, and a way for other threads to wake the one that waits.
 *
 * Use: while there is ring_room(), queue with ring_read(), ring_write(), ring_zero();
 * then ring_submit(); then ring_wait(), which gives finished requests one by
 * one with ring_next().  All but ring_wake() belong to one thread.
 *
 * Invariants:
 *  1. At most @depth requests are queued or in flight.
 *  2. Short reads and writes go on where they stopped; a request is given back
 *     once, done in full or with an error.
 *  3. Memory handed to a request stays untouched until it is given back;
 *     ring_exit() waits for all that are in flight.
 *
 * It knows nothing of snapshots.  Its users: create.c (reads for blkcast snapshot) and
 * extract.c (compares, writes, zeroes and reads back for restore, restore --verify and,
 * by receive.c, join).  Bounded slots, and the order in which a file is written, are
 * theirs; blkcast verify reads in the kernel.
 *
 * The set-up that this kernel knows is found by itself: newest flags first; without
 * registered memory where RLIMIT_MEMLOCK forbids it.
 * Where the kernel has no io_uring or forbids it, requests are done at once
 * with pread() and pwrite(): slower, and otherwise the same.
 */
#ifndef SNAPSHOT_RING_H
#define SNAPSHOT_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <liburing.h>

#include "../lib/error.h"

enum ring_kind {
	RING_READ,
	RING_WRITE,
	RING_ZERO,	/* make a range read as zeros, space given back if possible */
};

/**
 * struct ring_request - one read, write or zeroing
 * @owner: whose it is, given back with it
 * @error: result, 0 or a negative errno; -ENODATA: the file ended before
 *	@need bytes; -EOPNOTSUPP: RING_ZERO, the target cannot
 * The rest is the ring's own.
 */
struct ring_request {
	void *owner;
	int error;

	enum ring_kind kind;
	int fd;
	char *data;
	uint64_t offset, length, need, done;
	struct ring_request *next;
};

/**
 * struct ring - the engine
 * @depth: inv. 1
 * @used: requests queued or in flight
 * @fixed: the slab is registered
 * @sync: there is no io_uring here
 */
struct ring {
	struct io_uring uring;
	unsigned int depth, used;
	bool open, fixed, sync, armed;
	char *slab;
	size_t slab_size;
	int wake_fd;
	uint64_t wake_count;
	struct ring_request *requests, *free, *finished;
};

/**
 * ring_init() - set up
 * @depth: 0: no requests at all, just waiting to be woken
 * @slab: memory that requests will mostly use; registered with the kernel if
 *	it lets us (RLIMIT_MEMLOCK)
 */
int ring_init(struct ring *ring, unsigned int depth, void *slab, size_t slab_size,
	      struct bc_error *error);
void ring_exit(struct ring *ring);

/* How many requests may be queued now. */
static inline unsigned int ring_room(const struct ring *ring)
{
	return ring->depth - ring->used;
}

/* Read @length bytes; fewer will do if the file ends, but not below @need. */
void ring_read(struct ring *ring, int fd, void *data, uint64_t length, uint64_t need,
	       uint64_t offset, void *owner);
void ring_write(struct ring *ring, int fd, const void *data, uint64_t length,
		uint64_t offset, void *owner);
void ring_zero(struct ring *ring, int fd, uint64_t length, uint64_t offset, void *owner);

/* Hand what is queued to the kernel and return. */
int ring_submit(struct ring *ring);

/* Submit, and wait until a request is finished or somebody calls ring_wake(). */
int ring_wait(struct ring *ring);

/* A finished request, out of the ring's hands until the next ring_*() call. */
struct ring_request *ring_next(struct ring *ring);

/* From any thread: let ring_wait() return. */
void ring_wake(struct ring *ring);

#endif /* SNAPSHOT_RING_H */
