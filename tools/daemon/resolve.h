/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names to addresses without stopping the loop: a thread of its own asks, the
 * answer comes through a pipe.  Numeric addresses need neither.
 */
#ifndef BC_RESOLVE_H
#define BC_RESOLVE_H

#include <sys/socket.h>

#include "config.h"

#define RESOLVE_MAX 4

/**
 * struct resolved - what was found
 * @error: of getaddrinfo(3), 0 if @count addresses were found
 */
struct resolved {
	int error;
	unsigned int count;
	struct {
		struct sockaddr_storage address;
		socklen_t len;
	} at[RESOLVE_MAX];
};

/* At once, for a numeric address; false: it is a name. */
bool resolve_numeric(struct resolved *resolved, const struct bc_address *address);

/*
 * Start asking; returns the descriptor from which one struct resolved can be
 * read when it polls readable, or a negative errno.  The caller closes it, at
 * any time.
 */
int resolve_start(const struct bc_address *address);

#endif /* BC_RESOLVE_H */
