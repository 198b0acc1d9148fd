// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's side: its events, and a look at everything now and then, for
 * events can be lost and the module can be unloaded and loaded again.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "config.h"
#include "daemon.h"
#include "log.h"

#define TICK_MS 5000

/* Metadata may have moved: a replica grows without anybody at its console. */
static void size_changed(struct daemon *daemon, const char *name)
{
	struct bc_volume_config config;
	struct bc_error error;
	int ret = bc_volume_config_load(&config, name, &error);

	if (!ret) {
		ret = bc_volume_end_refresh(daemon->kernel, name, config.meta_end,
					    &error);
		bc_volume_config_release(&config);
	}
	if (ret)
		log_warning("%s", error.text);
}

/* What came while nobody listened. */
static void sizes_look(struct daemon *daemon)
{
	struct bc_volume *volumes;
	struct bc_error error;
	size_t count;

	if (bc_kernel_get_all(daemon->kernel, &volumes, &count, &error)) {
		log_warning("%s", error.text);
		return;
	}
	for (size_t i = 0; i < count; i++)
		size_changed(daemon, volumes[i].name);
	bc_volumes_free(volumes, count);
}

/* Who acts on events has to look at the state. */
static void events_lost(struct daemon *daemon)
{
	hooks_lost(daemon->hooks);
	sizes_look(daemon);
}

static void take_event(const struct bc_event *event, void *arg)
{
	struct daemon *daemon = arg;

	if (bc_follow_event(&daemon->follow, event))
		events_lost(daemon);
	hooks_event(daemon->hooks, event);
	if (event->event == BLKCAST_EVENT_LINK_DOWN)
		peers_link_down(daemon, event->name, event->link, event->error);
	if (event->event == BLKCAST_EVENT_LINK_IN_SYNC) {
		renew_event(event->name, event->link);
		fallback_drop(daemon, event->name);
	}
	if (event->event == BLKCAST_EVENT_FAILING ||
	    event->event == BLKCAST_EVENT_LINK_IN_SYNC)
		detach_event(daemon, event->name);
	if (event->event == BLKCAST_EVENT_SIZE)
		size_changed(daemon, event->name);
}

/* All that is there, also behind what was lost. */
static void read_events(struct daemon *daemon)
{
	struct bc_error error;
	int ret;

	do {
		ret = bc_events_read(daemon->events, take_event, daemon, &error);
		if (ret == -ENOBUFS)
			events_lost(daemon);
	} while (ret == -ENOBUFS);
	if (ret)
		log_error("%s", error.text);
}

/* Has more happened than we were told? */
static void check_lost(struct daemon *daemon)
{
	struct bc_volume *volumes;
	struct bc_error error;
	bool lost = false;
	size_t count;

	if (!daemon->kernel ||
	    bc_kernel_get_all(daemon->kernel, &volumes, &count, &error))
		return;
	/* What the state includes is on its way to us already. */
	read_events(daemon);
	for (size_t i = 0; i < count; i++) {
		lost |= bc_follow_state(&daemon->follow, &volumes[i]);
		detach_look(daemon, &volumes[i]);
	}
	if (lost)
		events_lost(daemon);
	bc_volumes_free(volumes, count);
}

static void disconnect(struct daemon *daemon)
{
	loop_unwatch(daemon->loop, &daemon->events_watch);
	bc_events_close(daemon->events);
	bc_kernel_close(daemon->kernel);
	daemon->events = NULL;
	daemon->kernel = NULL;
	daemon->follow.seq = 0;
}

static int watch_events(struct daemon *daemon)
{
	return loop_watch(daemon->loop, &daemon->events_watch,
			  bc_events_fd(daemon->events), POLLIN);
}

static void events_ready(void *owner, uint32_t events)
{
	struct daemon *daemon = owner;

	(void)events;
	read_events(daemon);
	if (watch_events(daemon))
		log_error("out of memory: the module's events are not seen any more");
	peers_apply(daemon);
}

/* What was before us is not lost. */
static int begin_to_follow(struct daemon *daemon, struct bc_error *error)
{
	struct bc_volume *volumes;
	size_t count;
	int ret;

	ret = bc_kernel_get_all(daemon->kernel, &volumes, &count, error);
	if (ret)
		return ret;
	for (size_t i = 0; i < count; i++)
		bc_follow_state(&daemon->follow, &volumes[i]);
	bc_volumes_free(volumes, count);
	return 0;
}

static int try_connect(struct daemon *daemon, struct bc_error *error)
{
	int ret;

	ret = bc_kernel_open(&daemon->kernel, error);
	if (!ret)
		ret = bc_events_open(&daemon->events, error);
	if (!ret)
		ret = begin_to_follow(daemon, error);
	if (!ret && watch_events(daemon))
		ret = bc_fail(error, -ENOMEM, "out of memory");
	if (ret)
		disconnect(daemon);
	else
		sizes_look(daemon);
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
	check_lost(daemon);
	peers_apply(daemon);
}

int watcher_start(struct daemon *daemon, struct bc_error *error)
{
	daemon->hooks = hooks_new(daemon->loop);
	if (!daemon->hooks)
		return bc_fail(error, -ENOMEM, "out of memory");
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
	hooks_free(daemon->hooks);
}
