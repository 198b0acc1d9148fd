/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What tools/daemon/control.c needs of the rest of the daemon, without it: a loop
 * that turns when it is told to, and one link, of which a test says how it is.
 */
#ifndef FAKE_DAEMON_H
#define FAKE_DAEMON_H

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/daemon/daemon.h"
#include "tools/daemon/forget.h"
#include "tools/daemon/log.h"

#define FAKE_WATCHES 64

struct loop {
	struct {
		struct watch *watch;
		int fd;
		uint32_t events;
	} at[FAKE_WATCHES];
	struct timer *timers;
};

/**
 * fake - the rest of the daemon
 * @link: what is known of the link "data" to "g2", unless @no_link
 * @forget: the forget that is asked for, NULL: none
 * @reload_fails, @offers: what reload and offer shall find
 * @busy: another link is being made anew
 * @complains: of the certificate
 * @secrets: how often the key and the certificates were read
 * @applied: how often the links were looked at
 */
static struct {
	struct peer_report link;
	bool no_link, reload_fails, offers, busy, complains;
	struct session *forget;
	unsigned int applied, secrets;
} fake;

static struct loop fake_loop;

int loop_watch(struct loop *loop, struct watch *watch, int fd, uint32_t events)
{
	int free = -1;

	for (int i = 0; i < FAKE_WATCHES; i++) {
		if (loop->at[i].watch == watch)
			free = i;
		else if (!loop->at[i].watch && free < 0)
			free = i;
	}
	if (free < 0)
		return -ENOMEM;
	loop->at[free].watch = watch;
	loop->at[free].fd = fd;
	loop->at[free].events = events;
	return 0;
}

void loop_unwatch(struct loop *loop, struct watch *watch)
{
	for (int i = 0; i < FAKE_WATCHES; i++) {
		if (loop->at[i].watch == watch)
			loop->at[i].watch = NULL;
	}
}

void loop_timer_stop(struct loop *loop, struct timer *timer)
{
	struct timer **at = &loop->timers;

	while (*at && *at != timer)
		at = &(*at)->next;
	if (*at)
		*at = timer->next;
}

void loop_timer(struct loop *loop, struct timer *timer, uint64_t ms)
{
	(void)ms;
	loop_timer_stop(loop, timer);
	timer->next = loop->timers;
	loop->timers = timer;
}

/* Call whose descriptor is ready, until none is. */
static inline void fake_turn(void)
{
	for (int i = 0; i < FAKE_WATCHES; i++) {
		struct watch *watch = fake_loop.at[i].watch;
		struct pollfd poll_fd = { fake_loop.at[i].fd, fake_loop.at[i].events, 0 };

		if (!watch || poll(&poll_fd, 1, 0) != 1)
			continue;
		fake_loop.at[i].watch = NULL;
		watch->fn(watch->owner, poll_fd.revents);
		i = -1;
	}
}

/* All the time that anybody waits for is over. */
static inline void fake_time_is_up(void)
{
	while (fake_loop.timers) {
		struct timer *timer = fake_loop.timers;

		fake_loop.timers = timer->next;
		timer->fn(timer->owner);
	}
}

/* --- links, offers, forgetting -------------------------------------------------------- */

void peers_report(struct daemon *daemon, void (*fn)(const struct peer_report *report, void *arg),
		  void *arg)
{
	(void)daemon;
	if (!fake.no_link)
		fn(&fake.link, arg);
}

bool peers_find(struct daemon *daemon, const char *volume, const char *peer,
		struct peer_report *report)
{
	(void)daemon;
	*report = fake.link;
	return !fake.no_link && !strcmp(volume, "data") && !strcmp(peer, "g2");
}

void peers_apply(struct daemon *daemon)
{
	fake.applied++;
	control_links_changed(daemon);
}

void peers_hurry(struct daemon *daemon, const char *volume, const char *peer)
{
	(void)daemon;
	(void)volume;
	(void)peer;
}

int peers_renew(struct daemon *daemon, const char *volume, const char *peer,
		struct bc_error *error)
{
	(void)daemon;
	(void)peer;
	fake.link.renewing = !fake.busy;
	return fake.busy ? bc_fail(error, -EBUSY, "volume %s: try again", volume) : 0;
}

long long certs_ends(const struct certs *certs)
{
	(void)certs;
	return 1234567890;
}

bool certs_complain(const struct certs *certs, const char *node, struct bc_error *error)
{
	(void)certs;
	bc_fail(error, 0, "is not for %s", node);
	return fake.complains;
}

void daemon_reload_secrets(struct daemon *daemon)
{
	(void)daemon;
	fake.secrets++;
}

int daemon_reload(struct daemon *daemon, struct bc_error *error)
{
	(void)daemon;
	return fake.reload_fails ? bc_fail(error, -EINVAL, "v.conf:3: unknown key") : 0;
}

const struct offered *offers_find(const struct daemon *daemon, const char *volume)
{
	static const struct offered offered = {
		.volume = "data", .peer = "g1", .bytes = 1 << 20, .region_shift = 16, .term = 3
	};

	(void)daemon;
	return fake.offers && !strcmp(volume, offered.volume) ? &offered : NULL;
}

/* One at a time. */
int forget_ask(struct daemon *daemon, const char *volume, const char *peer,
	       struct session **session,
	       void (*done)(struct session *session, bool linked, void *owner), void *owner,
	       struct bc_error *error)
{
	(void)daemon;
	if (fake.forget || strcmp(volume, "data") || strcmp(peer, "g2"))
		return bc_fail(error, -ENOENT, "volume %s: no peer %s", volume, peer);
	fake.forget = calloc(1, sizeof(*fake.forget));
	if (!fake.forget)
		return bc_fail(error, -ENOMEM, "out of memory");
	fake.forget->done = done;
	fake.forget->owner = owner;
	*session = fake.forget;
	return 0;
}

void session_abort(struct session *session)
{
	free(session);
	fake.forget = NULL;
}

/* The peer has answered, or nobody has. */
static inline void fake_forget_done(enum handshake_state state)
{
	struct session *session = fake.forget;

	if (!session)
		return;
	session->handshake.state = state;
	session->handshake.proved = state == HANDSHAKE_DONE;
	session->done(session, false, session->owner);
	session_abort(session);
}

/* --- never called without a kernel ------------------------------------------------------ */

int bc_kernel_get(struct bc_kernel *kernel, const char *name, struct bc_volume *volume,
		  struct bc_error *error)
{
	(void)kernel;
	(void)volume;
	return bc_fail(error, -ENODEV, "volume %s is not up", name);
}

int bc_kernel_link_del(struct bc_kernel *kernel, const char *name, const char *link,
		       struct bc_error *error)
{
	(void)kernel;
	(void)link;
	return bc_fail(error, -ENODEV, "volume %s is not up", name);
}

void bc_volume_release(struct bc_volume *volume)
{
	(void)volume;
}

void log_print(int priority, const char *fmt, ...)
{
	(void)priority;
	(void)fmt;
}

const char *bc_run_dir(void)
{
	return getenv("BLKCAST_RUN_DIR");
}

#endif /* FAKE_DAEMON_H */
