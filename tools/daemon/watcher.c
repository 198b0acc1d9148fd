// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's side: its events, and a look at everything now and then, for
 * events can be lost and the module can be unloaded and loaded again.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "daemon.h"
#include "log.h"

#define TICK_MS 5000

static void take_event(const struct bc_event *event, void *arg)
{
	struct daemon *daemon = arg;

	if (event->event == BLKCAST_EVENT_LINK_DOWN)
		peers_link_down(daemon, event->name, event->link, event->error);
}

static void disconnect(struct daemon *daemon)
{
	loop_unwatch(daemon->loop, &daemon->events_watch);
	bc_events_close(daemon->events);
	bc_kernel_close(daemon->kernel);
	daemon->events = NULL;
	daemon->kernel = NULL;
}

static int watch_events(struct daemon *daemon)
{
	return loop_watch(daemon->loop, &daemon->events_watch,
			  bc_events_fd(daemon->events), POLLIN);
}

static void events_ready(void *owner, uint32_t events)
{
	struct daemon *daemon = owner;
	struct bc_error error;
	int ret;

	(void)events;
	ret = bc_events_read(daemon->events, take_event, daemon, &error);
	if (ret && ret != -ENOBUFS)
		log_error("%s", error.text);
	if (watch_events(daemon))
		log_error("out of memory: the module's events are not seen any more");
	peers_apply(daemon);
}

static int try_connect(struct daemon *daemon, struct bc_error *error)
{
	int ret;

	ret = bc_kernel_open(&daemon->kernel, error);
	if (!ret)
		ret = bc_events_open(&daemon->events, error);
	if (!ret && watch_events(daemon))
		ret = bc_fail(error, -ENOMEM, "out of memory");
	if (ret)
		disconnect(daemon);
	return ret;
}

/* Does the family still exist under the number we know it by? */
static bool still_there(struct daemon *daemon)
{
	struct bc_kernel *kernel;
	struct bc_error error;
	bool same;

	if (!daemon->kernel || bc_kernel_open(&kernel, &error))
		return false;
	same = bc_kernel_same(daemon->kernel, kernel);
	bc_kernel_close(kernel);
	return same;
}

static void tick(void *owner)
{
	struct daemon *daemon = owner;
	struct bc_error error;

	loop_timer(daemon->loop, &daemon->tick, TICK_MS);
	if (!still_there(daemon)) {
		if (daemon->kernel)
			log_warning("the blkcast module has been unloaded");
		disconnect(daemon);
		if (!try_connect(daemon, &error))
			log_info("the blkcast module is there");
	}
	peers_apply(daemon);
}

int watcher_start(struct daemon *daemon, struct bc_error *error)
{
	daemon->events_watch.fn = events_ready;
	daemon->events_watch.owner = daemon;
	daemon->tick.fn = tick;
	daemon->tick.owner = daemon;
	loop_timer(daemon->loop, &daemon->tick, TICK_MS);
	return try_connect(daemon, error);
}

void watcher_stop(struct daemon *daemon)
{
	loop_timer_stop(daemon->loop, &daemon->tick);
	disconnect(daemon);
}
