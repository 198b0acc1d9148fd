// SPDX-License-Identifier: GPL-2.0-or-later
#include <endian.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crc32c.h"
#include "peer.h"
#include "sockets.h"
#include "util.h"

#define PIECE	65536	/* bytes that are compared at once */

int peer_is_replica(const struct peer *peer)
{
	return peer->volume.role == BLKCAST_ROLE_REPLICA;
}

size_t peer_bytes(const struct peer *peer)
{
	return peer->volume.sectors * 512;
}

int peer_refresh(struct peer *peer)
{
	char name[BLKCAST_NAME_MAX];

	strcpy(name, peer->volume.name);
	bc_volume_release(&peer->volume);
	return bc_kernel_get(peer->kernel, name, &peer->volume, &peer->error);
}

static int device_open(const struct peer *peer)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/blkcast%u", peer->volume.minor);
	return open(path, O_DIRECT | (peer_is_replica(peer) ? O_RDONLY : O_RDWR));
}

void peer_device_close(struct peer *peer)
{
	close(peer->device);
	peer->device = -1;
}

int peer_open(struct peer *peer, const char *name)
{
	memset(peer, 0, sizeof(*peer));
	if (bc_kernel_open(&peer->kernel, &peer->error) ||
	    bc_kernel_get(peer->kernel, name, &peer->volume, &peer->error))
		return -1;
	peer->device = device_open(peer);
	if (peer->device < 0 || peer_bytes(peer) > PEER_BYTES_MAX ||
	    posix_memalign((void **)&peer->content, 4096, PEER_BYTES_MAX))
		return bc_fail(&peer->error, -1, "the volume's device is not to be used");
	memset(peer->content, 0, PEER_BYTES_MAX);
	return 0;
}

int peer_load(struct peer *peer, int file)
{
	return bc_pread_full(file, peer->content, peer_bytes(peer), 0);
}

/* @bad: bytes that could not be read. */
static int piece_same(struct peer *peer, unsigned char *now, size_t at, size_t bytes,
		      size_t *bad)
{
	size_t half = bytes / 2 / 4096 * 4096;

	if (!bc_pread_full(peer->device, now, bytes, at))
		return !memcmp(now, peer->content + at, bytes);
	if (half)
		return piece_same(peer, now, at, half, bad) &&
		       piece_same(peer, now, at + half, bytes - half, bad);
	*bad += bytes;
	return *bad <= peer->bad;
}

int peer_same(struct peer *peer)
{
	int closed = peer->device < 0;
	size_t bytes = peer_bytes(peer), at, n, bad = 0;
	unsigned char *now;
	int same = 1;

	if (posix_memalign((void **)&now, 4096, PIECE))
		return 0;
	if (closed)
		peer->device = device_open(peer);
	for (at = 0; at < bytes && same; at += n) {
		n = bytes - at < PIECE ? bytes - at : PIECE;
		same = piece_same(peer, now, at, n, &bad);
	}
	free(now);
	if (closed)
		peer_device_close(peer);
	return same;
}

int peer_link(struct peer *peer, uint32_t timeout_ms, uint32_t flags)
{
	struct bc_link_add add = {
		.name = peer->volume.name, .link = "liar",
		.term = peer->volume.term, .timeout_ms = timeout_ms,
		.flags = flags,
	};
	int ends[2], ret;

	if (peer_is_replica(peer)) {
		add.history = peer->volume.history;
		add.reigns = peer->volume.reigns;
	} else {
		add.node = peer->node;
	}
	ret = socket_ends(ends, &peer->error);
	if (!ret && peer->secure)
		ret = peer->secure(peer, ends);
	if (ret)
		return ret;
	add.socket = ends[0];
	peer->fd = ends[1];
	peer->seq = 0;
	ret = bc_kernel_link_add(peer->kernel, &add, &peer->error);
	close(ends[0]);
	return ret;
}

int peer_dropped(struct peer *peer, int ms)
{
	uint64_t until = bc_now_ns() + ms * 1000000ULL;
	static char data[1 << 16];

	do {
		struct pollfd poll_fd = { .fd = peer->fd, .events = POLLIN };
		ssize_t n;

		if (poll(&poll_fd, 1, 100) <= 0)
			continue;
		n = recv(peer->fd, data, sizeof(data), MSG_DONTWAIT);
		if (!n || (n < 0 && errno != EAGAIN))
			return 1;
	} while (bc_now_ns() < until);
	return 0;
}

int peer_links_gone(struct peer *peer)
{
	uint64_t until = bc_now_ns() + PEER_DROP_MS * 1000000ULL;

	do {
		if (peer_refresh(peer))
			return 0;
		if (!peer->volume.links)
			return 1;
		usleep(10000);
	} while (bc_now_ns() < until);
	return 0;
}

void frame_seal(struct blkcast_frame *frame)
{
	frame->crc = 0;
	frame->crc = htole32(bc_crc32c(frame, sizeof(*frame)));
}

void peer_put_bare(struct peer *peer, const void *data, size_t length)
{
	while (length) {
		ssize_t n = send(peer->fd, data, length, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		data = (const char *)data + n;
		length -= n;
	}
}

void peer_put(struct peer *peer, const void *data, size_t length)
{
	if (peer->wrap)
		peer->wrap(peer, data, length);
	else
		peer_put_bare(peer, data, length);
}
