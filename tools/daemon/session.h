/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One connection, from dialing or accepting to the kernel or to its end.
 *
 *	RESOLVING -> CONNECTING -> SECURING -> TALKING -> (done) -> LINGERING -> freed
 *
 * Where a copy is given up, nothing goes to the kernel: it is not linked then, and
 * the handshake's state is HANDSHAKE_DONE.
 *
 * @done is called exactly once, unless the owner calls session_abort() first.
 * After it the session belongs to itself: a refusal is given a moment to reach
 * the peer before the socket is closed.  Every state is bounded by time.
 */
#ifndef BC_SESSION_H
#define BC_SESSION_H

#include "handshake.h"
#include "loop.h"
#include "resolve.h"
#include "tls.h"

#define SESSION_MS	10000
#define CONNECT_MS	4000	/* for an address, so that a host that returns is soon found */
#define LINGER_MS	1000

enum session_state {
	SESSION_RESOLVING,
	SESSION_CONNECTING,
	SESSION_SECURING,	/* TLS; a listener's end sees first what comes */
	SESSION_TALKING,
	SESSION_LINGERING,
};

/**
 * struct session - a connection
 * @channel: its socket; while resolving, fd is -1
 * @resolver: descriptor of the answer, -1
 * @resolved, @address_at: addresses to try, in turn
 * @deadline: of what the state waits for: from the connection on, SESSION_MS
 * @plain: dial without TLS; or, listening, take who dials so.  Set by the owner
 * @secrets: what both ends prove themselves by; set by the owner
 * @expected, @host: who is dialed, for its certificate
 * @tls: while it is SECURING
 */
struct session {
	enum session_state state;
	struct loop *loop;
	struct channel channel;
	struct handshake handshake;
	bool plain;
	const struct secrets *secrets;
	struct tls_expected expected;
	char host[BC_HOST_MAX];
	struct tls *tls;
	struct watch watch;
	struct timer deadline;
	int resolver;
	struct resolved resolved;
	unsigned int address_at;
	void (*done)(struct session *session, bool linked, void *owner);
	void *owner;
};

/* The caller initialises @handshake next; the session releases it. */
struct session *session_new(struct loop *loop,
			    void (*done)(struct session *session, bool linked,
					 void *owner),
			    void *owner);

/* Dial and talk as the primary.  @done may be called before this returns. */
void session_dial(struct session *session, const struct bc_address *address);

/* Talk on an accepted socket, or as the primary on a connected one; the same. */
void session_talk(struct session *session, int fd);

/* End it without a word; @done is not called. */
void session_abort(struct session *session);

#endif /* BC_SESSION_H */
