/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blkcastd: the parts and who owns them.  One thread, one loop.
 *
 *	configuration --+                         +--> status, wait-link
 *	kernel's events +--> peers (peers.c) -----+
 *	control (hold) -+        | dial
 *	                         v
 *	listener ----------> sessions --------------> LINK_ADD in the kernel
 *
 * The daemon keeps no state of its own that matters: restarted, it finds the
 * links that run in the kernel and leaves them alone.
 */
#ifndef BC_DAEMON_H
#define BC_DAEMON_H

#include "config.h"
#include "expiry.h"
#include "follow.h"
#include "handshake.h"
#include "hooks.h"
#include "kernel.h"
#include "loop.h"
#include "secrets.h"
#include "session.h"

struct peer;
struct client;
struct listener;
struct offered;

/**
 * struct daemon - everything
 * @kernel: NULL while the module is not there
 * @expiry: of certificates, as it is for others to read
 * @follow: which events have been heard
 * @configs: of all volumes, as last read without an error
 * @peers: a list, one entry for each configured link
 * @offers: a list, what primaries have offered lately
 * @clients: a list, the connections of the control socket
 */
struct daemon {
	struct loop *loop;
	struct bc_daemon_config config;
	struct secrets secrets;
	struct bc_expiry expiry;
	struct handshake_ops ops;

	struct bc_kernel *kernel;
	struct bc_events *events;
	struct watch events_watch;
	struct timer tick, daily;
	struct bc_follow follow;
	struct hooks *hooks;

	struct bc_volume_config *configs;
	size_t config_count;
	struct peer *peers;
	struct offered *offers;
	struct client *clients;
	struct listener *listener;
	bool quit;
};

/* --- daemon.c --- */

/* Read the volumes' configuration anew and apply it; on error keep the old. */
int daemon_reload(struct daemon *daemon, struct bc_error *error);
/*
 * Read the key and the certificates anew, and what of blkcast.conf says where they are and
 * who is taken; those of links that are up stay.  On error, which is logged, keep the old.
 */
void daemon_reload_secrets(struct daemon *daemon);

/* --- until when certificates are good, expiry.c --- */

/* This host's have been loaded, or there are none. */
void expiry_loaded(struct daemon *daemon);
/* A link has been made. */
void expiry_linked(struct daemon *daemon, const struct handshake *handshake);

/* --- kernel side, watcher.c --- */

int watcher_start(struct daemon *daemon, struct bc_error *error);
void watcher_stop(struct daemon *daemon);

/* --- a view of what a replica was, fallback.c --- */

/* Before a link is made here; an error: it must not be. */
int fallback_make(struct daemon *daemon, const char *volume, struct bc_error *error);
/* The copy is in sync. */
void fallback_drop(struct daemon *daemon, const char *volume);

/* --- devices of primaries that fail, detach.c --- */

/* Give up the device of a volume, whose state this is, if it waits for that. */
void detach_look(struct daemon *daemon, const struct bc_volume *state);
/* Something has happened to it. */
void detach_event(struct daemon *daemon, const char *volume);

/* --- links to be, peers.c --- */

/* Make the list of peers from the configuration; drop what left it. */
int peers_configure(struct daemon *daemon, struct bc_error *error);
/* Look at the kernel and dial what shall be and is not. */
void peers_apply(struct daemon *daemon);
/* The kernel says that a link went. */
void peers_link_down(struct daemon *daemon, const char *volume,
		     const char *link, int err);
void peers_free(struct daemon *daemon);

/* One link for status and wait-link. */
struct peer_report {
	const char *volume, *peer, *state, *reason;
	bool linked, idle, permanent, renewing;
	const char *not_renewed;	/* why the link is still the old one, or NULL */
	long long retry_ms;	/* -1: not waiting */
	long long down_ms;	/* since when there is none, -1: there is, or none is wanted */
	uint64_t failures;
};

void peers_report(struct daemon *daemon,
		  void (*fn)(const struct peer_report *report, void *arg),
		  void *arg);
bool peers_find(struct daemon *daemon, const char *volume, const char *peer,
		struct peer_report *report);
/*
 * Make a link that is there by a new connection (renew.c), or one that is not.  -EBUSY:
 * another one of the host's is being made anew; -ENOENT: no such link.
 */
int peers_renew(struct daemon *daemon, const char *volume, const char *peer,
		struct bc_error *error);
/* Its connection is as far as that: drop the link, it goes on in its place. */
int peers_switch(struct daemon *daemon, const char *volume, const char *peer,
		 struct bc_error *error);
/* Do not wait for the next try. */
void peers_hurry(struct daemon *daemon, const char *volume, const char *peer);

/* --- a link by another connection, renew.c --- */

/* The new one is as far as that: drop the old one, writers wait meanwhile. */
int renew_switch(struct daemon *daemon, const char *volume, const char *link,
		 struct bc_error *error);
/* A link is in sync. */
void renew_event(const char *volume, const char *link);
/* Do writers of that volume, of any, wait for it? */
bool renew_busy(const char *volume);
bool renew_any(void);
/* What a daemon before this one may have left. */
void renew_recover(struct daemon *daemon);
void renew_stop(void);

/* --- what primaries offer, offers.c --- */

/**
 * struct offered - the newest offer of a volume that is configured here
 * @peer: the primary's name
 * @at: when it came, by bc_now_ns()
 * The rest: as in struct offer
 */
struct offered {
	struct offered *next;
	char volume[BLKCAST_NAME_MAX], peer[BLKCAST_NAME_MAX];
	uint64_t at, bytes;
	uint8_t uuid[16];
	uint32_t region_shift, term;
};

void offers_take(struct daemon *daemon, const char *volume, const char *peer,
		 const struct offer *offer);
/* NULL: none that is still worth something. */
const struct offered *offers_find(const struct daemon *daemon, const char *volume);
void offers_free(struct daemon *daemon);

/* --- connections from primaries, listener.c --- */

int listener_start(struct daemon *daemon, struct bc_error *error);
void listener_stop(struct daemon *daemon);

/* --- the control socket, control.c --- */

int control_start(struct daemon *daemon, struct bc_error *error);
void control_stop(struct daemon *daemon);
/* Has a client asked to leave this volume alone? */
bool control_holds(const struct daemon *daemon, const char *volume);
/* Something about the links has changed: answer who waits for it. */
void control_links_changed(struct daemon *daemon);

#endif /* BC_DAEMON_H */
