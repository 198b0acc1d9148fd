// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's end is a primary, this one its replica, which does what it is asked.
 */
#include <endian.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "liar.h"

int honest_take(struct peer *peer, struct blkcast_frame *frame, int ms)
{
	struct pollfd poll_fd = { .fd = peer->fd, .events = POLLIN };
	static unsigned char data[BLKCAST_PAYLOAD_MAX];

	if (poll(&poll_fd, 1, ms) <= 0)
		return 0;
	if (recv(peer->fd, frame, sizeof(*frame), MSG_WAITALL) != sizeof(*frame))
		return -1;
	if (frame->length &&
	    recv(peer->fd, data, le32toh(frame->length), MSG_WAITALL) <= 0)
		return -1;
	return 1;
}

void honest_say(struct liar *liar, uint16_t type, uint64_t lsn, uint64_t sector)
{
	note_new(liar, &liar->note, type);
	liar->note.lsn = lsn;
	liar->note.sector = sector;
	note_send(liar, &liar->note);
}

void honest_ack(struct liar *liar, uint64_t lsn)
{
	struct note *n = &liar->note;
	struct blkcast_ack ack = {
		.received = htole64(lsn), .applied = htole64(lsn), .durable = htole64(lsn),
		.room = htole64(liar->peer.volume.sectors * 2),
	};

	note_new(liar, n, BLKCAST_FRAME_ACK);
	n->length = n->bytes = sizeof(ack);
	memcpy(n->data, &ack, sizeof(ack));
	note_send(liar, n);
}

static void say_stamps(struct liar *liar, int doubt)
{
	struct peer *peer = &liar->peer;
	struct note *n = &liar->note;
	uint32_t regions = peer->volume.regions;

	note_new(liar, n, BLKCAST_FRAME_STAMPS);
	n->flags = BLKCAST_FRAME_LAST;
	n->sectors = regions;
	n->length = n->bytes = regions * 8;
	memset(n->data, 0xff, n->bytes);
	if (!doubt)
		bc_kernel_stamps(peer->kernel, peer->volume.name, NULL, 0, regions,
				 (uint64_t *)n->data, &peer->error);
	note_send(liar, n);
}

void honest_answer(struct liar *liar, const struct blkcast_frame *f, uint64_t *lsn,
		   int doubt)
{
	switch (le16toh(f->type)) {
	case BLKCAST_FRAME_MAP:
		say_stamps(liar, doubt);
		break;
	case BLKCAST_FRAME_DONE:
		honest_say(liar, BLKCAST_FRAME_DONE_OK, le64toh(f->lsn), 0);
		break;
	case BLKCAST_FRAME_WRITE:
	case BLKCAST_FRAME_FLUSH:
	case BLKCAST_FRAME_NOP:
		*lsn = le64toh(f->lsn);
		break;
	}
	honest_ack(liar, *lsn);
}
