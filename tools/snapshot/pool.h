/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pool of threads that compress, decompress and hash.
 *
 * Jobs start in the order in which they were submitted and finish in any.  A
 * job belongs to its submitter; the pool links it while it waits.  Workers
 * receive no signals: those are for the main thread.
 */
#ifndef SNAPSHOT_POOL_H
#define SNAPSHOT_POOL_H

#include <pthread.h>
#include <stdbool.h>

#include "../lib/error.h"

/**
 * struct pool_job - a piece of work
 * @run: called once, on some worker, with that worker's context
 */
struct pool_job {
	void (*run)(struct pool_job *job, void *context);
	struct pool_job *next;
};

/**
 * struct pool_kind - what a worker has to itself (a zstd context)
 * @create: NULL when out of memory; @arg is the pool's
 */
struct pool_kind {
	void *(*create)(void *arg);
	void (*destroy)(void *context);
};

struct pool {
	const struct pool_kind *kind;
	void *arg;
	unsigned int threads;
	pthread_t *thread;
	void **context;

	pthread_mutex_t lock;	/* protects the rest */
	pthread_cond_t more;
	struct pool_job *head, **tail;
	bool stopping;
};

/* Number of processors this process may use. */
unsigned int pool_cpus(void);

int pool_start(struct pool *pool, unsigned int threads, const struct pool_kind *kind,
	       void *arg, struct bc_error *error);
void pool_submit(struct pool *pool, struct pool_job *job);

/* Drop the jobs that have not begun, wait for the others. */
void pool_stop(struct pool *pool);

/* pthread_create() of a thread that receives no signals; 0 or -errno. */
int pool_thread(pthread_t *thread, void *(*run)(void *arg), void *arg);

#endif /* SNAPSHOT_POOL_H */
