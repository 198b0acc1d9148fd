/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Filling the copy of a volume that is down from a connection: it is told what the
 * copy has, and sends the rest (cmd_send.c).  Whatever has arrived when it breaks is
 * not sent again.
 */
#ifndef SNAPSHOT_RECEIVE_H
#define SNAPSHOT_RECEIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/error.h"

/**
 * struct received - what came
 * @bytes: that the copy lacked, of the volume
 * @stored: that travelled
 * @fuzzy: the image is not of one moment
 */
struct received {
	uint64_t bytes, stored;
	bool fuzzy;
};

/**
 * receive_volume() - fill the copy here
 * @volume: configured, down
 * @socket: to read from and write to; stays the caller's
 * @from: who is behind it, for messages
 */
int receive_volume(const char *volume, int socket, const char *from, bool quiet,
		   struct received *received, struct bc_error *error);

#endif /* SNAPSHOT_RECEIVE_H */
