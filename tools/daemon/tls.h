/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TLS 1.3 on a connected socket: GnuTLS shakes hands, the kernel does the rest.
 *
 *	tls_new()   tls_step() until it says TLS_DONE   tls_free()
 *
 * Then the socket itself encrypts (kernel TLS in both directions): read() and
 * write() on it, here and in the module, are as on any other.
 *
 * Both ends prove that they hold the pre-shared key (RFC 8446, 2.2, with an
 * ephemeral X25519 exchange, so an old recording is not opened by a key that leaks
 * later).  The key of TLS is SHA-256("blkcast tls 1" | 0 | the key): one secret, used
 * in two ways that cannot be played against each other.
 *
 * Or both show a certificate (certs.h).  The end that dials judges the other's before it
 * shows its own; the end that listens says why it does not like one, through GnuTLS: the
 * kernel gets no stranger's connection.  In place of the pre-shared key a secret that
 * only these two ends of this one connection have (RFC 5705) then makes the codes of
 * the control messages.
 *
 * One cipher, ChaCha20-Poly1305: a link lives for months, and AES-GCM's bound on records
 * would end it after some 400 GB (RFC 8446, 5.5), where this one's is never reached.  No
 * tickets, no resumption, no early data: nothing that can be replayed.
 */
#ifndef BC_TLS_H
#define BC_TLS_H

#include <stdbool.h>

#include "error.h"
#include "secrets.h"

struct tls;

enum tls_progress {
	TLS_STRANGER = -3,	/* who the peer is, or this host to it: @error says why not */
	TLS_WRONG_KEY = -2,	/* the ends do not have the same key */
	TLS_FAILED = -1,	/* @error says why */
	TLS_DONE,
	TLS_WANTS_READ,		/* call again at POLLIN */
	TLS_WANTS_WRITE,	/* ... POLLOUT */
};

/*
 * Have the kernel load all that TLS needs, by a connection to oneself: later, a
 * handshake and whatever else the loop serves would wait for it.  0, or the error
 * that every link by TLS would end with.
 */
int tls_prepare(struct bc_error *error);

/* Who is dialed: its certificate is for either; NULL or empty: not known. */
struct tls_expected {
	const char *node, *host;
};

/*
 * @fd: non-blocking, stays the caller's.  @expected: NULL at the end that listens, else
 * to outlive this.  What is needed of @secrets is copied.  0 or -ENOMEM.
 */
int tls_new(struct tls **tls, const struct secrets *secrets,
	    const struct tls_expected *expected, int fd);
enum tls_progress tls_step(struct tls *tls, struct bc_error *error);
/* TLS_DONE: who the peer is, if it has a certificate, and what to make codes with. */
void tls_proven(const struct tls *tls, struct certs_peer *peer, struct key *key);
/* TLS_STRANGER, at the end that listens: a last word, if the peer can be told. */
void tls_say(struct tls *tls, const void *data, size_t len);
void tls_free(struct tls *tls);

#endif /* BC_TLS_H */
