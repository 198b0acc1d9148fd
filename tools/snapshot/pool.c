// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The thread pool (see pool.h).
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"

unsigned int pool_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 1;
	return CPU_COUNT(&set);
}

int pool_thread(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

/* The next job, NULL when the pool stops. */
static struct pool_job *pool_take(struct pool *pool)
{
	struct pool_job *job = NULL;

	pthread_mutex_lock(&pool->lock);
	while (!pool->head && !pool->stopping)
		pthread_cond_wait(&pool->more, &pool->lock);
	if (!pool->stopping) {
		job = pool->head;
		pool->head = job->next;
		if (!pool->head)
			pool->tail = &pool->head;
	}
	pthread_mutex_unlock(&pool->lock);
	return job;
}

struct pool_worker {
	struct pool *pool;
	void *context;
};

static void *pool_work(void *arg)
{
	struct pool_worker worker = *(struct pool_worker *)arg;
	struct pool_job *job;

	free(arg);
	while ((job = pool_take(worker.pool)))
		job->run(job, worker.context);
	return NULL;
}

static int pool_add(struct pool *pool)
{
	struct pool_worker *worker = malloc(sizeof(*worker));
	int err;

	if (!worker)
		return -ENOMEM;
	worker->pool = pool;
	worker->context = pool->kind->create(pool->arg);
	if (!worker->context) {
		free(worker);
		return -ENOMEM;
	}
	pool->context[pool->threads] = worker->context;
	err = pool_thread(&pool->thread[pool->threads], pool_work, worker);
	if (err) {
		pool->kind->destroy(worker->context);
		free(worker);
		return err;
	}
	pool->threads++;
	return 0;
}

int pool_start(struct pool *pool, unsigned int threads, const struct pool_kind *kind,
	       void *arg, struct bc_error *error)
{
	int err = 0;

	memset(pool, 0, sizeof(*pool));
	pool->kind = kind;
	pool->arg = arg;
	pool->tail = &pool->head;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->more, NULL);
	pool->thread = calloc(threads, sizeof(*pool->thread));
	pool->context = calloc(threads, sizeof(*pool->context));
	if (!pool->thread || !pool->context)
		err = -ENOMEM;
	while (!err && pool->threads < threads)
		err = pool_add(pool);
	if (!err)
		return 0;
	pool_stop(pool);
	return bc_fail_errno(error, err, "cannot start %u threads", threads);
}

void pool_submit(struct pool *pool, struct pool_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&pool->lock);
	*pool->tail = job;
	pool->tail = &job->next;
	pthread_cond_signal(&pool->more);
	pthread_mutex_unlock(&pool->lock);
}

void pool_stop(struct pool *pool)
{
	unsigned int i;

	if (!pool->kind)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->more);
	pthread_mutex_unlock(&pool->lock);
	for (i = 0; i < pool->threads; i++) {
		pthread_join(pool->thread[i], NULL);
		pool->kind->destroy(pool->context[i]);
	}
	pthread_cond_destroy(&pool->more);
	pthread_mutex_destroy(&pool->lock);
	free(pool->thread);
	free(pool->context);
	pool->kind = NULL;
}
