/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a host that joins a volume asks of those that have it (see 'blkcast join').
 *
 *	describe	what the volume is like, who is its primary, which peers it has
 *			and how far they are
 *	fetch		the content, as a delta to what the asker has: a 'blkcast send'
 *			of its own gets the socket, so that the daemon goes on serving;
 *			"rate": bytes of the volume a second at most, 0: no limit
 *	adopt		primary: keep a copy on the asker, as 'blkcast connect' does
 *
 * Who asks has proved that it has the key, or a certificate, and is allowed the volume.
 * What is fetched travels the same way as links do, encrypted.
 */
#ifndef BC_JOIN_H
#define BC_JOIN_H

#include "daemon.h"

/* handshake_ops.ask and .stream; @arg is the daemon. */
int join_answer(void *arg, const char *volume, const char *type,
		struct json_object *question, struct json_object *answer, bool *stream,
		struct bc_error *error);
void join_stream(void *arg, const char *volume, const char *peer,
		 struct json_object *question, int socket);

#endif /* BC_JOIN_H */
