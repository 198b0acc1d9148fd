// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bit_flipper PORT HOST HOST_PORT SEED: passes on what comes to PORT of this host, both
 * ways, and turns a bit over now and then.  TCP knows nothing of it: both ends have
 * connections of their own, with right checksums.
 *
 *	N		on standard input: a bit in N KiB from now on, on average; 0: none
 *	f CONNECTION	on standard output: a bit was turned over
 *	e CONNECTION	one in which that was done has ended
 *
 * Where the bits are is a function of SEED, of the connection's number and of what has
 * passed in it.  An end of what one side sends is passed on behind it, a reset at once.
 * Ends when its standard input does.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIRS_MAX	64
#define BUFFER		65536
#define GOLDEN		0x9e3779b97f4a7c15

/* What comes from one side on its way to the other. */
struct way {
	int from, to;
	bool ended, told;	/* there is no more; the other side knows */
	size_t start, end;	/* of what is in the buffer */
	uint64_t random;
	uint64_t left;		/* bytes until the next bit */
	uint8_t buffer[BUFFER];
};

struct pair {
	uint32_t number;
	bool connecting, flipped;
	struct way way[2];
};

static struct pair *pairs[PAIRS_MAX];
static struct addrinfo *target;
static uint64_t seed;
static uint64_t rate;		/* bytes for each bit; 0: none */
static uint32_t last_number;

static void need(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "bit_flipper: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void say(char what, const struct pair *pair)
{
	char line[16];
	int len = snprintf(line, sizeof(line), "%c %u\n", what, pair->number);

	need(write(STDOUT_FILENO, line, len) == len, "standard output");
}

/* ---- bits ---- */

static uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += GOLDEN);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static uint64_t distance(struct way *way)
{
	return rate ? random_next(&way->random) % (2 * rate) : UINT64_MAX;
}

static void flip(struct pair *pair, struct way *way)
{
	size_t at = way->start;

	while (way->left < way->end - at) {
		at += way->left;
		way->buffer[at++] ^= 1 << random_next(&way->random) % 8;
		way->left = distance(way);
		pair->flipped = true;
		say('f', pair);
	}
	if (way->left != UINT64_MAX)
		way->left -= way->end - at;
}

static void rate_set(uint64_t kib)
{
	rate = kib << 10;
	for (int i = 0; i < PAIRS_MAX; i++)
		for (int w = 0; pairs[i] && w < 2; w++)
			pairs[i]->way[w].left = distance(&pairs[i]->way[w]);
}

/* ---- connections ---- */

static int listen_at(const char *port)
{
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE }, *self;
	int fd, on = 1;

	need(!getaddrinfo(NULL, port, &hints, &self), port);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	need(fd >= 0, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	need(!bind(fd, self->ai_addr, self->ai_addrlen) && !listen(fd, 64), port);
	freeaddrinfo(self);
	return fd;
}

static void way_init(struct pair *pair, int w, int from, int to)
{
	struct way *way = &pair->way[w];

	way->from = from;
	way->to = to;
	way->random = seed + (2 * pair->number + w) * GOLDEN;
	way->left = distance(way);
}

static void pair_add(int listener)
{
	int near = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int far, i = 0, on = 1;

	if (near < 0)
		return;
	far = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	need(far >= 0, "socket");
	while (i < PAIRS_MAX && pairs[i])
		i++;
	if (i == PAIRS_MAX ||
	    (connect(far, target->ai_addr, target->ai_addrlen) && errno != EINPROGRESS)) {
		close(near);
		close(far);
		return;
	}
	setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(far, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	pairs[i] = calloc(1, sizeof(*pairs[i]));
	need(pairs[i], "memory");
	pairs[i]->number = ++last_number;
	pairs[i]->connecting = true;
	way_init(pairs[i], 0, near, far);
	way_init(pairs[i], 1, far, near);
}

static void pair_end(int i)
{
	struct pair *pair = pairs[i];

	close(pair->way[0].from);
	close(pair->way[1].from);
	if (pair->flipped)
		say('e', pair);
	free(pair);
	pairs[i] = NULL;
}

/* ---- passing on ---- */

/* These return false when the connection is broken. */
static bool way_take(struct pair *pair, struct way *way)
{
	ssize_t n = recv(way->from, way->buffer, BUFFER, 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	way->ended = !n;
	way->start = 0;
	way->end = n;
	flip(pair, way);
	return true;
}

static bool way_give(struct way *way)
{
	ssize_t n;

	if (way->start < way->end) {
		n = send(way->to, way->buffer + way->start, way->end - way->start,
			 MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		way->start += n;
	}
	if (way->ended && !way->told && way->start == way->end) {
		way->told = true;
		return !shutdown(way->to, SHUT_WR);
	}
	return true;
}

static bool pair_connected(struct pair *pair)
{
	int error = 0;
	socklen_t len = sizeof(error);

	pair->connecting = false;
	return !getsockopt(pair->way[0].to, SOL_SOCKET, SO_ERROR, &error, &len) && !error;
}

static short events(const struct pair *pair, int w)
{
	const struct way *in = &pair->way[w], *out = &pair->way[!w];
	bool takes = !in->ended && in->start == in->end;
	bool gives = out->start < out->end;

	if (pair->connecting)
		return w ? POLLOUT : 0;
	return (takes ? POLLIN : 0) | (gives ? POLLOUT : 0);
}

/* @fds: those of the near and of the far side. */
static bool pair_move(struct pair *pair, const struct pollfd *fds)
{
	if (pair->connecting)
		return !(fds[0].revents & (POLLERR | POLLHUP)) &&
		       (!fds[1].revents || pair_connected(pair));
	for (int w = 0; w < 2; w++) {
		struct way *in = &pair->way[w];

		/* An error shows by reading; where nothing is to be read, at once. */
		if (fds[w].revents & POLLERR)
			return false;
		if (fds[w].revents & (POLLIN | POLLHUP) && in->start == in->end &&
		    !in->ended && !way_take(pair, in))
			return false;
		if (!way_give(in))
			return false;
	}
	return !(pair->way[0].told && pair->way[1].told);
}

static bool take_command(void)
{
	char text[64];
	ssize_t n = read(STDIN_FILENO, text, sizeof(text) - 1);

	if (n <= 0)
		return false;
	text[n] = 0;
	/* The last of several lines counts. */
	while (n > 1 && text[n - 2] != '\n')
		n--;
	rate_set(strtoull(text + n - 1, NULL, 10));
	return true;
}

static bool turn(int listener)
{
	struct pollfd fds[2 + 2 * PAIRS_MAX] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = listener, .events = POLLIN },
	};

	for (int i = 0; i < PAIRS_MAX; i++) {
		for (int w = 0; w < 2; w++) {
			struct pollfd *fd = &fds[2 + 2 * i + w];

			fd->fd = pairs[i] ? pairs[i]->way[w].from : -1;
			fd->events = pairs[i] ? events(pairs[i], w) : 0;
		}
	}
	need(poll(fds, 2 + 2 * PAIRS_MAX, -1) >= 0 || errno == EINTR, "poll");
	for (int i = 0; i < PAIRS_MAX; i++)
		if (pairs[i] && !pair_move(pairs[i], &fds[2 + 2 * i]))
			pair_end(i);
	if (fds[1].revents)
		pair_add(listener);
	return !fds[0].revents || take_command();
}

int main(int argc, char **argv)
{
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
	int listener;

	if (argc != 5) {
		fprintf(stderr, "usage: bit_flipper PORT HOST HOST_PORT SEED\n");
		return 2;
	}
	need(!getaddrinfo(argv[2], argv[3], &hints, &target), argv[2]);
	seed = strtoull(argv[4], NULL, 0);
	listener = listen_at(argv[1]);
	mlockall(MCL_CURRENT | MCL_FUTURE);
	while (turn(listener))
		;
	return 0;
}
