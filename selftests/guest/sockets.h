/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two ends of one TCP connection through the loopback device.
 */
#ifndef SELFTESTS_SOCKETS_H
#define SELFTESTS_SOCKETS_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel.h"

static inline int socket_ends(int ends[2], struct bc_error *error)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	socklen_t size = sizeof(address);
	int err = 0;

	ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ends[1] = -1;
	if (!bind(door, (struct sockaddr *)&address, size) && !listen(door, 1) &&
	    !getsockname(door, (struct sockaddr *)&address, &size) &&
	    !connect(ends[0], (struct sockaddr *)&address, size))
		ends[1] = accept4(door, NULL, NULL, SOCK_CLOEXEC);
	if (ends[1] < 0)
		err = -errno;
	close(door);
	if (err)
		return bc_fail_errno(error, err, "cannot connect to myself");
	setsockopt(ends[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(ends[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return 0;
}

#endif /* SELFTESTS_SOCKETS_H */
