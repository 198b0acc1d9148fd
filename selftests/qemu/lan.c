// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The private LAN of a lab: an Ethernet switch in one process, without root.
 *
 *   QEMU g1 --+
 *   QEMU g2 --+-- Unix stream sockets -- lan      commands on standard input
 *   QEMU g3 --+
 *
 * Usage: lan SOCKET.  Every connection to SOCKET is a port; each frame on it is
 * a big-endian 32-bit length and the Ethernet frame (QEMU's -netdev socket).
 * A guest's number is the last byte of its MAC address, and the switch learns
 * from the source of what it sends which port is whose.  Frames to a known
 * guest go there, all others everywhere.
 *
 * Streams lose nothing, so TCP in the guests is not disturbed by a busy host;
 * only a port whose guest does not read for long loses what exceeds QUEUE_MAX.
 *
 * Commands, one a line, A and B guest numbers:
 *	cut A B		no frame passes between A and B any more
 *	mute A B	none passes from A to B
 *	heal A B	they pass again, both ways
 * End of file on standard input ends the switch.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PORTS_MAX	64
#define FRAME_MAX	(68 << 10)
#define QUEUE_MAX	(4 << 20)
#define MAC_LEN		6

struct port {
	int fd;
	int guest;		/* -1 until its first frame */
	uint8_t in[4 + FRAME_MAX];
	size_t in_len;
	uint8_t *out;		/* QUEUE_MAX bytes, of which... */
	size_t out_start;	/* ...these have been sent... */
	size_t out_end;		/* ...and these are waiting */
};

static struct port *ports[PORTS_MAX];
static bool is_cut[256][256];

static void die(const char *what)
{
	fprintf(stderr, "lan: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		die(path);
	}
	strcpy(addr.sun_path, path);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 16))
		die(path);
	return fd;
}

static void port_add(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct port *p;

	if (fd < 0)
		return;
	for (int i = 0; i < PORTS_MAX; i++) {
		if (ports[i])
			continue;
		p = calloc(1, sizeof(*p));
		if (!p || !(p->out = malloc(QUEUE_MAX)))
			die("memory");
		p->fd = fd;
		p->guest = -1;
		ports[i] = p;
		return;
	}
	fprintf(stderr, "lan: no port left\n");
	close(fd);
}

static void port_remove(int i)
{
	close(ports[i]->fd);
	free(ports[i]->out);
	free(ports[i]);
	ports[i] = NULL;
}

static void port_send(struct port *p)
{
	ssize_t n;

	if (p->out_start == p->out_end)
		return;
	n = send(p->fd, p->out + p->out_start, p->out_end - p->out_start,
		 MSG_NOSIGNAL);
	if (n > 0)
		p->out_start += n;
	if (p->out_start == p->out_end)
		p->out_start = p->out_end = 0;
}

static void port_queue(struct port *p, const uint8_t *data, size_t len)
{
	if (p->out_end + len > QUEUE_MAX) {
		memmove(p->out, p->out + p->out_start,
			p->out_end - p->out_start);
		p->out_end -= p->out_start;
		p->out_start = 0;
	}
	if (p->out_end + len > QUEUE_MAX)
		return;
	memcpy(p->out + p->out_end, data, len);
	p->out_end += len;
}

static bool may_pass(const struct port *from, const struct port *to)
{
	return from->guest < 0 || to->guest < 0 ||
	       !is_cut[from->guest][to->guest];
}

static struct port *port_of_guest(int guest)
{
	for (int i = 0; i < PORTS_MAX; i++)
		if (ports[i] && ports[i]->guest == guest)
			return ports[i];
	return NULL;
}

/* @data: length word and frame, as they came from port @from. */
static void frame_forward(struct port *from, const uint8_t *data, size_t len)
{
	const uint8_t *mac = data + 4;
	bool multicast = mac[0] & 1;
	struct port *to;

	from->guest = mac[MAC_LEN + MAC_LEN - 1];
	to = multicast ? NULL : port_of_guest(mac[MAC_LEN - 1]);
	for (int i = 0; i < PORTS_MAX; i++) {
		struct port *p = ports[i];

		if (p && p != from && (!to || p == to) && may_pass(from, p))
			port_queue(p, data, len);
	}
}

/* Takes in what the port has; false when the port is to be removed. */
static bool port_receive(struct port *p)
{
	ssize_t n = recv(p->fd, p->in + p->in_len, sizeof(p->in) - p->in_len, 0);
	size_t at = 0;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	p->in_len += n;
	while (p->in_len - at >= 4) {
		uint32_t len;

		memcpy(&len, p->in + at, 4);
		len = ntohl(len);
		if (len < 2 * MAC_LEN || len > FRAME_MAX)
			return false;
		if (p->in_len - at < 4 + len)
			break;
		frame_forward(p, p->in + at, 4 + len);
		at += 4 + len;
	}
	p->in_len -= at;
	memmove(p->in, p->in + at, p->in_len);
	return true;
}

static void command(const char *line)
{
	unsigned char a, b;
	char verb[8];

	if (sscanf(line, "%7s %hhu %hhu", verb, &a, &b) != 3) {
		fprintf(stderr, "lan: unknown command: %s", line);
		return;
	}
	is_cut[a][b] = !!strcmp(verb, "heal");
	is_cut[b][a] = !strcmp(verb, "cut");
}

static void loop(int listener)
{
	struct pollfd fds[2 + PORTS_MAX] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = listener, .events = POLLIN },
	};
	char line[64];

	for (int i = 0; i < PORTS_MAX; i++) {
		struct port *p = ports[i];

		fds[2 + i].fd = p ? p->fd : -1;
		fds[2 + i].events = POLLIN;
		if (p && p->out_start != p->out_end)
			fds[2 + i].events |= POLLOUT;
	}
	if (poll(fds, 2 + PORTS_MAX, -1) < 0 && errno != EINTR)
		die("poll");
	for (int i = 0; i < PORTS_MAX; i++)
		if (ports[i] && fds[2 + i].fd >= 0 &&
		    (fds[2 + i].revents & (POLLIN | POLLHUP | POLLERR)) &&
		    !port_receive(ports[i]))
			port_remove(i);
	for (int i = 0; i < PORTS_MAX; i++)
		if (ports[i])
			port_send(ports[i]);
	if (fds[1].revents)
		port_add(listener);
	if (fds[0].revents) {
		if (!fgets(line, sizeof(line), stdin))
			exit(0);
		command(line);
	}
}

int main(int argc, char **argv)
{
	int listener;

	if (argc != 2) {
		fprintf(stderr, "usage: lan SOCKET\n");
		return 2;
	}
	setvbuf(stdin, NULL, _IONBF, 0);
	listener = listen_at(argv[1]);
	for (;;)
		loop(listener);
}
