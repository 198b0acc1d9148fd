/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Giving a copy up for good, on the word of the volume's primary ('blkcast
 * disconnect --forget'): both ends.
 */
#ifndef BC_FORGET_H
#define BC_FORGET_H

#include "daemon.h"

/*
 * Primary: ask @peer to give its copy of @volume up.  @done is called once,
 * maybe before this returns: @state of @handshake is HANDSHAKE_DONE, or
 * HANDSHAKE_FAILED.  NULL with a sentence: not even begun.  *session is NULL
 * when it is over; session_abort() ends it before.
 */
int forget_ask(struct daemon *daemon, const char *volume, const char *peer,
	       struct session **session,
	       void (*done)(struct session *session, bool linked, void *owner),
	       void *owner, struct bc_error *error);

/*
 * Replica: take the volume down, make its metadata unreadable and remove its
 * configuration, if @peer with @offer is one that this copy would follow.  A
 * volume that is not configured here is given up already.
 */
int forget_copy(struct daemon *daemon, const char *volume, const char *peer,
		const struct offer *offer, struct bc_error *error);

#endif /* BC_FORGET_H */
