/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames of control messages on a non-blocking socket:
 *
 *	u32 little-endian: length of the body, 2..CHANNEL_BODY_MAX
 *	body, a JSON object
 *	PROOF_MAC bytes of code, in all frames but the two hellos
 *
 * Invariant: not one byte behind the frame that is being read is taken from the
 * socket, for what follows the last frame belongs to the kernel.
 */
#ifndef BC_CHANNEL_H
#define BC_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proof.h"

#define CHANNEL_BODY_MAX (64U << 10)

/**
 * struct channel - one socket
 * @in: the frame that is coming in, @have bytes of it
 * @out: what is to be written, @out_at..@out_len
 */
struct channel {
	int fd;
	uint8_t *in, *out;
	size_t have, out_at, out_len;
};

/**
 * struct frame - a frame in the channel's buffer, valid until the next read
 * @raw: length and body, as the transcript takes them
 * @mac: NULL in a frame without
 */
struct frame {
	const uint8_t *raw;
	size_t raw_len;
	const char *body;
	size_t body_len;
	const uint8_t *mac;
};

/* The channel owns @fd from here on. */
int channel_init(struct channel *channel, int fd);
void channel_release(struct channel *channel);

/*
 * Read what is there: 1: a frame is complete, 0: wait for POLLIN; -EMSGSIZE:
 * length out of range; -ECONNRESET: the peer has closed.  @with_mac: a code is
 * expected.
 */
int channel_read(struct channel *channel, bool with_mac, struct frame *frame);

/* Append to what is to be written. */
int channel_queue(struct channel *channel, const void *data, size_t len);

/* Write: 1: all written, 0: wait for POLLOUT. */
int channel_write(struct channel *channel);

/*
 * What comes next, without taking it: 1: a frame of the kernel's, 2: another
 * control message, 0: wait for POLLIN.
 */
int channel_peek(struct channel *channel);

/* Take the socket out. */
int channel_detach(struct channel *channel);

#endif /* BC_CHANNEL_H */
