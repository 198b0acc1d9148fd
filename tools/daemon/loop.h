/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop: io_uring polls for file descriptors, and timers.
 *
 * Each watch is one shot: its function is called once and watches again if it
 * wants more.  A completion is matched to its watch by slot and generation (the
 * only thing user_data holds), so one that comes late, after loop_unwatch(),
 * finds nobody.  io_uring holds on to a file while a poll is out: loop_unwatch()
 * removes the poll before the caller closes or hands over the descriptor.
 */
#ifndef BC_LOOP_H
#define BC_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct loop;

/**
 * struct watch - interest in a file descriptor; zeroed by its owner at first
 * @fn: called with poll(2)'s events
 * @slot: of the loop, 0 while not watching
 */
struct watch {
	void (*fn)(void *owner, uint32_t events);
	void *owner;
	uint32_t slot;
};

/**
 * struct timer - a moment; zeroed by its owner at first
 * @at: CLOCK_MONOTONIC in ns, 0 while not set
 */
struct timer {
	void (*fn)(void *owner);
	void *owner;
	uint64_t at;
	struct timer *next;
};

int loop_new(struct loop **loop, struct bc_error *error);
void loop_free(struct loop *loop);

/* Call @watch->fn once when @fd has one of @events; replaces a former wish. */
int loop_watch(struct loop *loop, struct watch *watch, int fd, uint32_t events);
void loop_unwatch(struct loop *loop, struct watch *watch);

/* (Re)set a timer to @ms from now. */
void loop_timer(struct loop *loop, struct timer *timer, uint64_t ms);
void loop_timer_stop(struct loop *loop, struct timer *timer);

/* One turn: wait for something, at most until the next timer; call what is due. */
int loop_turn(struct loop *loop);

#endif /* BC_LOOP_H */
