// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "loop.h"
#include "util.h"

#define ENTRIES		64
#define IGNORE		0ULL	/* user_data of what nobody waits for */
#define IDLE_NS		(60ULL * 1000000000)

struct slot {
	struct watch *watch;	/* NULL: free */
	uint32_t generation;
};

struct loop {
	struct io_uring ring;
	struct slot *slots;	/* [0] is never used */
	uint32_t slot_count;
	struct timer *timers;	/* by time */
};

int loop_new(struct loop **out, struct bc_error *error)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int ret;

	if (!loop)
		return bc_fail(error, -ENOMEM, "out of memory");
	ret = io_uring_queue_init(ENTRIES, &loop->ring, 0);
	if (ret) {
		free(loop);
		return bc_fail_errno(error, ret, "cannot set up io_uring");
	}
	*out = loop;
	return 0;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	io_uring_queue_exit(&loop->ring);
	free(loop->slots);
	free(loop);
}

/* --- watches ---------------------------------------------------------- */

/* The one encoding of user_data; slots count from 1, so it is never IGNORE. */
static uint64_t token_of(const struct loop *loop, uint32_t slot)
{
	return (uint64_t)loop->slots[slot].generation << 32 | slot;
}

static struct watch *token_take(struct loop *loop, uint64_t token)
{
	uint32_t slot = token;
	struct watch *watch;

	if (!slot || slot >= loop->slot_count || token_of(loop, slot) != token)
		return NULL;
	watch = loop->slots[slot].watch;
	loop->slots[slot].watch = NULL;
	loop->slots[slot].generation++;
	if (watch)
		watch->slot = 0;
	return watch;
}

/* An entry of the submission queue; a full queue is submitted first. */
static struct io_uring_sqe *get_entry(struct loop *loop)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);

	if (sqe)
		return sqe;
	if (io_uring_submit(&loop->ring) < 0)
		return NULL;
	return io_uring_get_sqe(&loop->ring);
}

static int slot_grow(struct loop *loop)
{
	uint32_t count = loop->slot_count ? 2 * loop->slot_count : 16;
	struct slot *slots = reallocarray(loop->slots, count, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	memset(slots + loop->slot_count, 0,
	       (count - loop->slot_count) * sizeof(*slots));
	loop->slots = slots;
	loop->slot_count = count;
	return 0;
}

static int slot_find(struct loop *loop, uint32_t *slot)
{
	for (uint32_t i = 1; i < loop->slot_count; i++) {
		if (!loop->slots[i].watch) {
			*slot = i;
			return 0;
		}
	}
	*slot = loop->slot_count ? loop->slot_count : 1;
	return slot_grow(loop);
}

int loop_watch(struct loop *loop, struct watch *watch, int fd, uint32_t events)
{
	struct io_uring_sqe *sqe;
	uint32_t slot;
	int ret;

	loop_unwatch(loop, watch);
	ret = slot_find(loop, &slot);
	if (ret)
		return ret;
	sqe = get_entry(loop);
	if (!sqe)
		return -EBUSY;
	loop->slots[slot].watch = watch;
	watch->slot = slot;
	io_uring_prep_poll_add(sqe, fd, events);
	io_uring_sqe_set_data64(sqe, token_of(loop, slot));
	return 0;
}

void loop_unwatch(struct loop *loop, struct watch *watch)
{
	struct io_uring_sqe *sqe;
	uint64_t token;

	if (!watch->slot)
		return;
	token = token_of(loop, watch->slot);
	token_take(loop, token);
	sqe = get_entry(loop);
	if (!sqe)
		return;
	io_uring_prep_poll_remove(sqe, token);
	io_uring_sqe_set_data64(sqe, IGNORE);
	/* The add may stand in the queue before it: both go, in this order. */
	io_uring_submit(&loop->ring);
}

/* --- timers ----------------------------------------------------------- */

void loop_timer_stop(struct loop *loop, struct timer *timer)
{
	struct timer **at = &loop->timers;

	while (*at && *at != timer)
		at = &(*at)->next;
	if (*at)
		*at = timer->next;
	timer->at = 0;
}

void loop_timer(struct loop *loop, struct timer *timer, uint64_t ms)
{
	struct timer **at = &loop->timers;

	loop_timer_stop(loop, timer);
	timer->at = bc_now_ns() + ms * 1000000;
	while (*at && (*at)->at <= timer->at)
		at = &(*at)->next;
	timer->next = *at;
	*at = timer;
}

/* Only what was due when the turn began: a timer that sets itself waits. */
static void run_timers(struct loop *loop)
{
	uint64_t now = bc_now_ns();

	while (loop->timers && loop->timers->at <= now) {
		struct timer *timer = loop->timers;

		loop_timer_stop(loop, timer);
		timer->fn(timer->owner);
	}
}

static void time_left(const struct loop *loop, struct __kernel_timespec *left)
{
	uint64_t now = bc_now_ns(), ns = IDLE_NS;

	if (loop->timers)
		ns = loop->timers->at > now ? loop->timers->at - now : 0;
	left->tv_sec = ns / 1000000000;
	left->tv_nsec = ns % 1000000000;
}

/* --- a turn ----------------------------------------------------------- */

static void reap(struct loop *loop)
{
	struct io_uring_cqe *cqe;

	while (!io_uring_peek_cqe(&loop->ring, &cqe)) {
		uint64_t token = io_uring_cqe_get_data64(cqe);
		struct watch *watch = token_take(loop, token);
		int events = cqe->res;

		io_uring_cqe_seen(&loop->ring, cqe);
		if (watch && events != -ECANCELED)
			watch->fn(watch->owner, events < 0 ? POLLERR : events);
	}
}

int loop_turn(struct loop *loop)
{
	struct __kernel_timespec left;
	struct io_uring_cqe *cqe;
	int ret;

	time_left(loop, &left);
	ret = io_uring_submit_and_wait_timeout(&loop->ring, &cqe, 1, &left, NULL);
	if (ret < 0 && ret != -ETIME && ret != -EINTR && ret != -EAGAIN &&
	    ret != -EBUSY)
		return ret;
	reap(loop);
	run_timers(loop);
	return 0;
}
