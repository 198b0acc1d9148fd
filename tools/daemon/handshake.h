/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What two daemons say to each other before their kernels talk.
 *
 *	primary (dials)				replica (listens)
 *	hello {role, node, volume, nonce,  ->
 *	       key}
 *					   <-	hello {role, node, nonce}
 *	proof {}			   ->
 *					   <-	proof {}
 *	offer {uuid, bytes, region_shift,  ->
 *	       term, history, wire, again,
 *	       ...}
 *						checks everything
 *					   <-	accept {wire, features, copy}
 *						LINK_ADD
 *					   <-	first frame of the replica's kernel
 *	LINK_ADD
 *
 * In place of the offer the primary may send
 *	forget {the same as an offer}	   ->
 *						checks everything, gives its copy up
 *					   <-	forgotten {}
 *
 * A host that is to get a copy ('blkcast join', join.h) dials as well, and asks:
 *	describe {} | adopt {peer, address} ->
 *					   <-	answer {...}
 *	fetch {rate}			   ->
 *					   <-	answer {...}
 *	the stamps it has		   ->		both as in a snapshot (see
 *					   <-		tools/snapshot/format.h)
 *						a delta to them
 *
 * From the proofs on every message carries a code (proof.h).  At any point a
 * side may send refuse {reason, permanent, term} and close; the replica also where
 * the first frame is expected, when its kernel refuses.  A replica that has seen a
 * newer term than the offer's says which (else 0): that primary stops at once, as
 * does one that is offered a newer term.  A replica's kernel is
 * the first to speak (POSITION, see blkcast_wire.h), so the primary tells the two
 * apart by their first four bytes; it takes nothing of a kernel frame.
 *
 * This file knows neither sockets nor time: session.c feeds it frames and sends
 * what it queues, which also makes it testable.
 */
#ifndef BC_HANDSHAKE_H
#define BC_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "channel.h"
#include "config.h"
#include "kernel.h"
#include "offer.h"
#include "proof.h"
#include "tls.h"

#define HANDSHAKE_VERSION 1

/* What the handshake needs of the kernel; a test puts its own here. */
struct handshake_ops {
	/* -EBUSY: held by an administrator; -ENODEV: not up */
	int (*get)(void *arg, const char *volume, struct bc_volume *state,
		   struct bc_error *error);
	int (*link_add)(void *arg, const struct bc_link_add *add,
			struct bc_error *error);
	int (*link_del)(void *arg, const char *volume, const char *link,
			struct bc_error *error);
	void *arg;
	/* Optional: a primary that has proved itself offers its volume. */
	void (*offered)(void *arg, const char *volume, const char *peer,
			const struct offer *offer);
	/* Give the copy up for good; NULL: cannot. */
	int (*forget)(void *arg, const char *volume, const char *peer,
		      const struct offer *offer, struct bc_error *error);
	/* Optional: a peer that has proved itself knows of a newer term. */
	void (*depose)(void *arg, const char *volume, const char *peer,
		       uint32_t term);
	/*
	 * Answer a question, into @answer; *stream: then go on with stream().
	 * -ENOMSG: no such question; NULL: there are none.
	 */
	int (*ask)(void *arg, const char *volume, const char *type,
		   struct json_object *question, struct json_object *answer,
		   bool *stream, struct bc_error *error);
	/* Send what is asked for on @socket, which is the callee's. */
	void (*stream)(void *arg, const char *volume, const char *peer,
		       struct json_object *question, int socket);
	/* Optional: a peer that has proved itself gets a link in place of the one it has. */
	int (*renew)(void *arg, const char *volume, const char *link,
		     struct bc_error *error);
	/* Optional: may @peer have to do with the volume here? */
	bool (*allows)(void *arg, const char *volume, const char *peer);
};

enum handshake_state {
	HANDSHAKE_HELLO,	/* waiting for the other's hello */
	HANDSHAKE_PROOF,	/* ... proof */
	HANDSHAKE_OFFER,	/* replica: ... offer */
	HANDSHAKE_ACCEPT,	/* primary: ... accept */
	HANDSHAKE_FIRST_FRAME,	/* primary: ... the kernel's first frame */
	HANDSHAKE_FORGOTTEN,	/* primary: ... that the copy is given up */
	HANDSHAKE_ANSWER,	/* who asked: ... the answer */
	HANDSHAKE_STREAM,	/* who answered: the socket goes to ops->stream() */
	HANDSHAKE_HANDOVER,	/* the socket shall go to the kernel now */
	HANDSHAKE_DONE,		/* all is said; send what is queued, close */
	HANDSHAKE_FAILED,	/* send what is queued, then close */
};

/**
 * struct handshake - one conversation
 * @node: this node's name
 * @volume: primary: of the configuration; replica: from the hello
 * @link: primary: the peer's name in the configuration; replica: the peer's
 *	own name.  The name of the link in the kernel
 * @flags, @timeout_ms: of the link; primary: from the configuration; replica:
 *	from the offer
 * @forget: primary: the peer shall give its copy up; set after handshake_init()
 * @renews: primary: there is a link, which makes way when the peer has proved itself, set
 *	after handshake_init(); replica: of the offer: it has made way
 * @question: primary: to be asked in place of the offer, set after
 *	handshake_init(); replica: that the stream answers; owned
 * @answer: to @question, owned
 * @proved: the peer has the key, or a certificate that is good and bears its name
 * @ring: replica, without TLS: the keys that the peer may have; NULL: it is known which
 * @certified: who the peer is by its certificate
 * @seen: replica: the newer term that the offer was refused for, 0: another reason
 * @copy: id of the replica's copy
 * @able, @features: BLKCAST_WIRE_* that the kernel here knows; both kernels
 * @term, @history, @reigns: what is handed to the kernel
 * @permanent, @error: of HANDSHAKE_FAILED: will trying again help, and why
 */
struct handshake {
	enum handshake_state state;
	enum proof_role role;
	const struct handshake_ops *ops;
	struct proof proof;
	char node[BLKCAST_NAME_MAX];
	char peer_node[BLKCAST_NAME_MAX];
	char volume[BLKCAST_NAME_MAX];
	char link[BLKCAST_NAME_MAX];
	uint32_t flags, timeout_ms, term, seen;
	bool forget, renews, proved;
	const struct keyring *ring;
	struct certs_peer certified;
	struct json_object *question, *answer;
	uint8_t copy[16];
	uint32_t wire;
	uint64_t able, features;
	struct blkcast_reign history[BLKCAST_HISTORY_MAX];
	uint32_t reigns;
	bool permanent;
	struct bc_error error;
};

/* @link NULL: the replica's side.  0 or -ENOMEM. */
int handshake_init(struct handshake *handshake, const struct key *key,
		   const char *node, const struct handshake_ops *ops,
		   const char *volume, const struct bc_link_config *link);
void handshake_release(struct handshake *handshake);

/* Before it starts: what has come of TLS, who the peer is and what makes codes. */
void handshake_certified(struct handshake *handshake, const struct tls *tls);

/* The primary's first word. */
void handshake_start(struct handshake *handshake, struct channel *channel);

/* Are codes expected in the next frame? */
bool handshake_wants_mac(const struct handshake *handshake);

/* A frame has come: moves @state on, queues answers. */
void handshake_take(struct handshake *handshake, struct channel *channel,
		    const struct frame *frame);

/*
 * HANDSHAKE_HANDOVER: give the channel's socket to the kernel.  Replica: a
 * refusal of the kernel is queued for the peer.  0, or failed.
 */
int handshake_hand_over(struct handshake *handshake, struct channel *channel);

/* Fail for a reason of one's own; the peer is not told. */
void handshake_fail(struct handshake *handshake, bool permanent,
		    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Fail and tell the peer. */
void handshake_refuse(struct handshake *handshake, struct channel *channel,
		      bool permanent, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif /* BC_HANDSHAKE_H */
