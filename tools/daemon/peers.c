// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The links that shall be: one struct peer for each [link] of the configuration.
 *
 *	IDLE	    the volume is not up, not primary here, or held
 *	DIALING	    a session is on its way
 *	LINKED	    the kernel has it
 *	WAITING	    the last try failed or the link broke; a timer runs
 *
 * peers_apply() compares with the kernel and is the only place that starts
 * dialing; it is called after everything that may matter and, should an event
 * be lost, by the watcher's tick.  A failure is logged when its reason is new.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "log.h"
#include "util.h"

#define BACKOFF_MIN_MS	200
#define BACKOFF_MAX_MS	5000
#define STABLE_NS	(10ULL * 1000000000)	/* forgets earlier failures */

enum peer_state { PEER_IDLE, PEER_DIALING, PEER_LINKED, PEER_WAITING };

static const char * const state_names[] = {
	[PEER_IDLE] = "idle",
	[PEER_DIALING] = "dialing",
	[PEER_LINKED] = "linked",
	[PEER_WAITING] = "waiting",
};

struct peer {
	struct peer *next;
	struct daemon *daemon;
	char volume[BLKCAST_NAME_MAX];
	struct bc_link_config config;
	enum peer_state state;
	struct session *session, *renewal;
	struct timer retry;
	unsigned int backoff_ms;
	uint64_t linked_at, failures;
	uint64_t down_at;	/* since when it should be linked and is not; 0: is */
	bool permanent, configured;
	char reason[BC_ERROR_MAX], not_renewed[BC_ERROR_MAX];
};

/* --- failing and trying again ------------------------------------------------ */

/* 75..125 % of the back-off, so that many peers do not come all at once. */
static unsigned int with_jitter(unsigned int ms)
{
	uint16_t random;

	bc_random(&random, sizeof(random));
	return ms * 3 / 4 + (uint64_t)(ms / 2) * random / UINT16_MAX;
}

static void peer_wait(struct peer *peer)
{
	if (!peer->backoff_ms)
		peer->backoff_ms = BACKOFF_MIN_MS;
	peer->state = PEER_WAITING;
	loop_timer(peer->daemon->loop, &peer->retry, with_jitter(peer->backoff_ms));
	peer->backoff_ms *= 2;
	if (peer->backoff_ms > BACKOFF_MAX_MS)
		peer->backoff_ms = BACKOFF_MAX_MS;
}

static void peer_failed(struct peer *peer, bool permanent, const char *reason)
{
	if (strcmp(peer->reason, reason)) {
		log_warning("volume %s: link %s: %s", peer->volume,
			    peer->config.peer, reason);
		snprintf(peer->reason, sizeof(peer->reason), "%s", reason);
	}
	peer->permanent = permanent;
	peer->failures++;
	if (!peer->down_at)
		peer->down_at = bc_now_ns();
	peer_wait(peer);
}

static void peer_linked(struct peer *peer)
{
	peer->state = PEER_LINKED;
	peer->linked_at = bc_now_ns();
	peer->down_at = 0;
	peer->permanent = false;
	peer->reason[0] = 0;
}

static void peer_stop(struct peer *peer)
{
	if (peer->session)
		session_abort(peer->session);
	if (peer->renewal)
		session_abort(peer->renewal);
	peer->session = NULL;
	peer->renewal = NULL;
	loop_timer_stop(peer->daemon->loop, &peer->retry);
	peer->state = PEER_IDLE;
}

/* --- dialing ------------------------------------------------------------------ */

static void dial_done(struct session *session, bool linked, void *owner)
{
	struct peer *peer = owner;

	peer->session = NULL;
	if (linked) {
		peer_linked(peer);
		log_info("volume %s: link %s: up (node %s)", peer->volume,
			 peer->config.peer, session->handshake.peer_node);
		expiry_linked(peer->daemon, &session->handshake);
	} else {
		peer_failed(peer, session->handshake.permanent,
			    session->handshake.error.text);
	}
	control_links_changed(peer->daemon);
}

static struct session *new_session(struct peer *peer,
				   void (*done)(struct session *session, bool linked,
						void *owner))
{
	struct daemon *daemon = peer->daemon;
	struct session *session = session_new(daemon->loop, done, peer);

	if (!session)
		return NULL;
	if (handshake_init(&session->handshake, &daemon->secrets.ring.key[0],
			   daemon->config.node, &daemon->ops, peer->volume, &peer->config)) {
		session_abort(session);
		return NULL;
	}
	session->plain = peer->config.plain;
	session->secrets = &daemon->secrets;
	return session;
}

static void peer_dial(struct peer *peer)
{
	struct session *session = new_session(peer, dial_done);

	if (!session) {
		peer_failed(peer, false, "out of memory");
		return;
	}
	peer->state = PEER_DIALING;
	peer->session = session;
	session_dial(session, &peer->config.address);
}

static void retry_due(void *owner)
{
	struct peer *peer = owner;

	/* Only IDLE is dialed, and only if it still shall be. */
	peer->state = PEER_IDLE;
	peers_apply(peer->daemon);
}

/* --- by a new connection ---------------------------------------------------------- */

static void renewal_done(struct session *session, bool linked, void *owner)
{
	struct peer *peer = owner;

	/* The old link made way for it. */
	if (peer->session == session) {
		dial_done(session, linked, owner);
		return;
	}
	peer->renewal = NULL;
	snprintf(peer->not_renewed, sizeof(peer->not_renewed), "%s",
		 session->handshake.error.text);
	log_warning("volume %s: link %s: not made anew: %s", peer->volume,
		    peer->config.peer, peer->not_renewed);
	control_links_changed(peer->daemon);
}

static struct peer *find_peer(struct daemon *daemon, const char *volume,
			      const char *name);

int peers_switch(struct daemon *daemon, const char *volume, const char *name,
		 struct bc_error *error)
{
	struct peer *peer = find_peer(daemon, volume, name);
	int ret;

	if (!peer || !peer->renewal || peer->state != PEER_LINKED)
		return bc_fail(error, -ENOENT, "the link went meanwhile");
	ret = renew_switch(daemon, volume, name, error);
	if (ret)
		return ret;
	peer->session = peer->renewal;
	peer->renewal = NULL;
	peer->state = PEER_DIALING;
	log_info("volume %s: link %s: is made anew", volume, name);
	return 0;
}

int peers_renew(struct daemon *daemon, const char *volume, const char *name,
		struct bc_error *error)
{
	struct peer *peer = find_peer(daemon, volume, name);

	if (!peer)
		return bc_fail(error, -ENOENT, "volume %s: no peer %s in its configuration",
			       volume, name);
	for (struct peer *any = daemon->peers; any; any = any->next) {
		if (any->renewal || renew_any())
			return bc_fail(error, -EBUSY,
				       "volume %s: another link is being made anew: try again",
				       volume);
	}
	peer->not_renewed[0] = 0;
	if (peer->state != PEER_LINKED) {
		peers_hurry(daemon, volume, name);
		return 0;
	}
	peer->renewal = new_session(peer, renewal_done);
	if (!peer->renewal)
		return bc_fail(error, -ENOMEM, "out of memory");
	peer->renewal->handshake.renews = true;
	session_dial(peer->renewal, &peer->config.address);
	return 0;
}

/* --- against the kernel ---------------------------------------------------------- */

static const struct bc_volume *find_volume(const struct bc_volume *volumes,
					   size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(volumes[i].name, name))
			return &volumes[i];
	}
	return NULL;
}

static bool has_link(const struct bc_volume *volume, const char *name)
{
	for (uint32_t i = 0; volume && i < volume->links; i++) {
		if (!strcmp(volume->link[i].name, name))
			return true;
	}
	return false;
}

static void peer_lost(struct peer *peer)
{
	if (bc_now_ns() - peer->linked_at >= STABLE_NS)
		peer->backoff_ms = 0;
	peer_failed(peer, false, peer->reason[0] ? peer->reason : "the link went down");
}

static void peer_apply(struct peer *peer, const struct bc_volume *volume)
{
	bool wanted = volume && volume->role == BLKCAST_ROLE_PRIMARY &&
		      !bc_known(volume, BLKCAST_A_DEPOSED) &&
		      peer->config.address.host[0] &&
		      !control_holds(peer->daemon, peer->volume);

	if (!wanted) {
		peer_stop(peer);
		peer->backoff_ms = 0;
		peer->down_at = 0;
		return;
	}
	if (has_link(volume, peer->config.peer)) {
		if (peer->state != PEER_LINKED) {
			peer_stop(peer);
			peer_linked(peer);
		}
		return;
	}
	if (peer->state == PEER_LINKED)
		peer_lost(peer);
	else if (peer->state == PEER_IDLE)
		peer_dial(peer);
}

void peers_apply(struct daemon *daemon)
{
	struct bc_volume *volumes = NULL;
	struct bc_error error;
	size_t count = 0;

	if (daemon->kernel &&
	    bc_kernel_get_all(daemon->kernel, &volumes, &count, &error)) {
		log_error("%s", error.text);
		return;
	}
	for (struct peer *peer = daemon->peers; peer; peer = peer->next)
		peer_apply(peer, find_volume(volumes, count, peer->volume));
	bc_volumes_free(volumes, count);
	control_links_changed(daemon);
}

static struct peer *find_peer(struct daemon *daemon, const char *volume,
			      const char *name)
{
	struct peer *peer = daemon->peers;

	while (peer && (strcmp(peer->volume, volume) ||
			strcmp(peer->config.peer, name)))
		peer = peer->next;
	return peer;
}

void peers_link_down(struct daemon *daemon, const char *volume,
		     const char *link, int err)
{
	struct peer *peer = find_peer(daemon, volume, link);

	if (!peer || peer->state != PEER_LINKED)
		return;
	log_warning("volume %s: link %s: went down: %s", volume, link,
		    err ? strerror(err) : "closed");
	snprintf(peer->reason, sizeof(peer->reason), "the link went down: %s",
		 err ? strerror(err) : "closed");
}

/* --- configuration ----------------------------------------------------------------- */

static void drop_link(struct daemon *daemon, const char *volume, const char *link)
{
	struct bc_error error;
	int ret;

	if (!daemon->kernel)
		return;
	ret = bc_kernel_link_del(daemon->kernel, volume, link, &error);
	if (ret && ret != -ENOENT && ret != -ENODEV)
		log_error("%s", error.text);
}

static void peer_free(struct peer *peer)
{
	peer_stop(peer);
	free(peer);
}

static bool same_link(const struct bc_link_config *a, const struct bc_link_config *b)
{
	return !strcmp(a->address.host, b->address.host) &&
	       !strcmp(a->address.port, b->address.port) &&
	       a->async == b->async &&
	       a->plain == b->plain &&
	       a->timeout_ms == b->timeout_ms;
}

static int configure_link(struct daemon *daemon, const char *volume,
			  const struct bc_link_config *config)
{
	struct peer *peer = find_peer(daemon, volume, config->peer);

	if (!peer) {
		peer = calloc(1, sizeof(*peer));
		if (!peer)
			return -ENOMEM;
		peer->daemon = daemon;
		peer->retry.fn = retry_due;
		peer->retry.owner = peer;
		snprintf(peer->volume, sizeof(peer->volume), "%s", volume);
		peer->config = *config;
		peer->next = daemon->peers;
		daemon->peers = peer;
	} else if (!same_link(&peer->config, config)) {
		if (peer->state == PEER_LINKED)
			drop_link(daemon, volume, config->peer);
		peer_stop(peer);
		peer->backoff_ms = 0;
		peer->reason[0] = 0;
		peer->config = *config;
	}
	peer->configured = true;
	return 0;
}

static void drop_unconfigured(struct daemon *daemon)
{
	struct peer **at = &daemon->peers;

	while (*at) {
		struct peer *peer = *at;

		if (peer->configured) {
			at = &peer->next;
			continue;
		}
		*at = peer->next;
		if (peer->state == PEER_LINKED)
			drop_link(daemon, peer->volume, peer->config.peer);
		peer_free(peer);
	}
}

int peers_configure(struct daemon *daemon, struct bc_error *error)
{
	for (struct peer *peer = daemon->peers; peer; peer = peer->next)
		peer->configured = false;
	for (size_t i = 0; i < daemon->config_count; i++) {
		const struct bc_volume_config *config = &daemon->configs[i];

		for (size_t k = 0; k < config->links; k++) {
			if (configure_link(daemon, config->name, &config->link[k]))
				return bc_fail(error, -ENOMEM, "out of memory");
		}
	}
	drop_unconfigured(daemon);
	return 0;
}

void peers_free(struct daemon *daemon)
{
	while (daemon->peers) {
		struct peer *peer = daemon->peers;

		daemon->peers = peer->next;
		peer_free(peer);
	}
}

/* --- reports -------------------------------------------------------------------------- */

static void report_fill(struct peer_report *report, const struct peer *peer)
{
	uint64_t now = bc_now_ns();

	*report = (struct peer_report){
		.volume = peer->volume,
		.peer = peer->config.peer,
		.state = state_names[peer->state],
		.reason = peer->reason[0] ? peer->reason : NULL,
		.linked = peer->state == PEER_LINKED,
		.idle = peer->state == PEER_IDLE,
		.permanent = peer->permanent,
		.renewing = peer->renewal || renew_busy(peer->volume),
		.not_renewed = peer->not_renewed[0] ? peer->not_renewed : NULL,
		.retry_ms = -1,
		.down_ms = peer->down_at ? (long long)(now - peer->down_at) / 1000000 : -1,
		.failures = peer->failures,
	};
	if (peer->retry.at)
		report->retry_ms = peer->retry.at > now ?
				   (peer->retry.at - now) / 1000000 : 0;
}

void peers_report(struct daemon *daemon,
		  void (*fn)(const struct peer_report *report, void *arg),
		  void *arg)
{
	struct peer_report report;

	for (const struct peer *peer = daemon->peers; peer; peer = peer->next) {
		report_fill(&report, peer);
		fn(&report, arg);
	}
}

bool peers_find(struct daemon *daemon, const char *volume, const char *name,
		struct peer_report *report)
{
	const struct peer *peer = find_peer(daemon, volume, name);

	if (peer)
		report_fill(report, peer);
	return peer;
}

void peers_hurry(struct daemon *daemon, const char *volume, const char *name)
{
	struct peer *peer = find_peer(daemon, volume, name);

	if (!peer || peer->state != PEER_WAITING)
		return;
	peer->backoff_ms = 0;
	loop_timer(daemon->loop, &peer->retry, 0);
}
