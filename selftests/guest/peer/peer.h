/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A volume's kernel is one end of a link, the program that has this the other.
 */
#ifndef SELFTESTS_PEER_H
#define SELFTESTS_PEER_H

#include <stddef.h>
#include <stdint.h>

#include "kernel.h"

/* How long the kernel may take to drop a link: hosts are busy. */
#define PEER_DROP_MS	30000

struct peer {
	struct bc_kernel *kernel;
	struct bc_volume volume;
	struct bc_error error;
	int device, fd;
	uint64_t seq;
	const uint8_t *node;	/* as a replica: of its copy; NULL: not told */
	size_t bad;		/* bytes of its device that may be unreadable */
	unsigned char *content;	/* of the whole volume; PEER_BYTES_MAX bytes */
	/* Before the kernel has its end, [0]; and how what we say goes out.  NULL: as it is. */
	int (*secure)(struct peer *peer, const int ends[2]);
	void (*wrap)(struct peer *peer, const void *data, size_t length);
};

#define PEER_BYTES_MAX	(64U << 20)

/* The kernel's end is a replica: we are its primary. */
int peer_is_replica(const struct peer *peer);
size_t peer_bytes(const struct peer *peer);
int peer_refresh(struct peer *peer);
int peer_open(struct peer *peer, const char *name);
/* So that others may have it; it is opened where it is looked at. */
void peer_device_close(struct peer *peer);
/* What the volume holds, by @file: its device, or one like it. */
int peer_load(struct peer *peer, int file);
/* Does it still? */
int peer_same(struct peer *peer);
int peer_link(struct peer *peer, uint32_t timeout_ms, uint32_t flags);
/* Read what comes; has the other end hung up within @ms? */
int peer_dropped(struct peer *peer, int ms);
int peer_links_gone(struct peer *peer);
void frame_seal(struct blkcast_frame *frame);
/* The kernel may hang up while we still send. */
void peer_put(struct peer *peer, const void *data, size_t length);
void peer_put_bare(struct peer *peer, const void *data, size_t length);

#endif /* SELFTESTS_PEER_H */
