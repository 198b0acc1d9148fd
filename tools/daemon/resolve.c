// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "resolve.h"
#include "util.h"

_Static_assert(sizeof(struct resolved) <= PIPE_BUF, "written in one piece");

struct job {
	struct bc_address address;
	int fd;
};

static void ask(struct resolved *resolved, const struct bc_address *address,
		int flags)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags };
	struct addrinfo *list, *at;

	memset(resolved, 0, sizeof(*resolved));
	resolved->error = getaddrinfo(address->host, address->port, &hints, &list);
	if (resolved->error)
		return;
	for (at = list; at && resolved->count < RESOLVE_MAX; at = at->ai_next) {
		memcpy(&resolved->at[resolved->count].address, at->ai_addr,
		       at->ai_addrlen);
		resolved->at[resolved->count++].len = at->ai_addrlen;
	}
	freeaddrinfo(list);
}

bool resolve_numeric(struct resolved *resolved, const struct bc_address *address)
{
	ask(resolved, address, AI_NUMERICHOST | AI_NUMERICSERV);
	return !resolved->error;
}

/* Nobody may be left to read it: then the write fails, which is all right. */
static void *run(void *arg)
{
	struct job *job = arg;
	struct resolved resolved;

	ask(&resolved, &job->address, AI_ADDRCONFIG | AI_NUMERICSERV);
	bc_write_full(job->fd, &resolved, sizeof(resolved));
	close(job->fd);
	free(job);
	return NULL;
}

int resolve_start(const struct bc_address *address)
{
	struct job *job = malloc(sizeof(*job));
	pthread_t thread;
	int fds[2], ret;

	if (!job)
		return -ENOMEM;
	if (pipe2(fds, O_CLOEXEC)) {
		free(job);
		return -errno;
	}
	job->address = *address;
	job->fd = fds[1];
	ret = pthread_create(&thread, NULL, run, job);
	if (ret) {
		close(fds[0]);
		close(fds[1]);
		free(job);
		return -ret;
	}
	pthread_detach(thread);
	return fds[0];
}
