// SPDX-License-Identifier: GPL-2.0-or-later
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "blkcast_wire.h"
#include "channel.h"

#define HEAD	 sizeof(uint32_t)
#define BODY_MIN 2	/* {} */

int channel_init(struct channel *channel, int fd)
{
	memset(channel, 0, sizeof(*channel));
	channel->fd = fd;
	channel->in = malloc(HEAD + CHANNEL_BODY_MAX + PROOF_MAC);
	return channel->in ? 0 : -ENOMEM;
}

void channel_release(struct channel *channel)
{
	if (channel->fd >= 0)
		close(channel->fd);
	channel->fd = -1;
	free(channel->in);
	free(channel->out);
	channel->in = NULL;
	channel->out = NULL;
}

/* Read until @need bytes are there: 1, or 0 when no more has come. */
static int fill(struct channel *channel, size_t need)
{
	while (channel->have < need) {
		ssize_t n = recv(channel->fd, channel->in + channel->have,
				 need - channel->have, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		if (n <= 0)
			return n ? -errno : -ECONNRESET;
		channel->have += n;
	}
	return 1;
}

static uint32_t body_length(const struct channel *channel)
{
	uint32_t len;

	memcpy(&len, channel->in, sizeof(len));
	return le32toh(len);
}

int channel_read(struct channel *channel, bool with_mac, struct frame *frame)
{
	uint32_t len;
	int ret;

	ret = fill(channel, HEAD);
	if (ret != 1)
		return ret;
	len = body_length(channel);
	if (len < BODY_MIN || len > CHANNEL_BODY_MAX)
		return -EMSGSIZE;
	ret = fill(channel, HEAD + len + (with_mac ? PROOF_MAC : 0));
	if (ret != 1)
		return ret;
	*frame = (struct frame){
		.raw = channel->in,
		.raw_len = HEAD + len,
		.body = (const char *)channel->in + HEAD,
		.body_len = len,
		.mac = with_mac ? channel->in + HEAD + len : NULL,
	};
	channel->have = 0;
	return 1;
}

int channel_queue(struct channel *channel, const void *data, size_t len)
{
	uint8_t *out = realloc(channel->out, channel->out_len + len);

	if (!out)
		return -ENOMEM;
	memcpy(out + channel->out_len, data, len);
	channel->out = out;
	channel->out_len += len;
	return 0;
}

int channel_write(struct channel *channel)
{
	while (channel->out_at < channel->out_len) {
		ssize_t n = send(channel->fd, channel->out + channel->out_at,
				 channel->out_len - channel->out_at,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		if (n < 0)
			return -errno;
		channel->out_at += n;
	}
	channel->out_at = 0;
	channel->out_len = 0;
	return 1;
}

int channel_peek(struct channel *channel)
{
	uint32_t head;
	ssize_t n;

	if (channel->have)
		return 2;
	n = recv(channel->fd, &head, sizeof(head), MSG_PEEK | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ?
		       0 : -errno;
	if (!n)
		return -ECONNRESET;
	if (n < (ssize_t)sizeof(head))
		return 0;
	return le32toh(head) == BLKCAST_FRAME_MAGIC ? 1 : 2;
}

int channel_detach(struct channel *channel)
{
	int fd = channel->fd;

	channel->fd = -1;
	return fd;
}
