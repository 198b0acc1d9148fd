// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's end is a primary, this one its replica: it answers what it is asked, so
 * that it gets in sync, while the volume is written to, read, verified, made larger and
 * handed over.
 */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "liar.h"
#include "util.h"

#define MANY		150	/* frames that come */
#define QUIET_MS	150	/* after which nothing comes any more */

struct replica {
	struct liar *liar;
	uint64_t received, applied, durable;	/* as told */
	uint64_t newest;			/* LSN that has come */
	int done, joined;
	pid_t command;				/* that waits for the link, or 0 */
};

static struct note *fresh(struct replica *r, uint16_t type)
{
	note_new(r->liar, &r->liar->note, type);
	return &r->liar->note;
}

static void say(struct replica *r)
{
	note_send(r->liar, &r->liar->note);
}

/* ---- answers ---- */

static void ack_say(struct replica *r)
{
	struct note *n = fresh(r, BLKCAST_FRAME_ACK);
	struct blkcast_ack ack = {};

	r->received = r->newest;
	if (!one_in(4))
		r->applied = r->durable = r->newest;
	ack.received = htole64(r->received);
	ack.applied = htole64(r->applied);
	ack.durable = htole64(r->durable);
	ack.room = htole64(one_in(2) ? r->liar->peer.volume.sectors + 64 : lot(0));
	ack.reads = htole64(one_in(4) ? lot(0) : lot(1000));
	ack.held_ns = htole64(one_in(4) ? lot(0) : 1000);
	n->sector = one_in(2) ? bc_now_ns() : lot(0);
	n->sectors = one_in(8) ? lot(100) : 0;
	n->length = n->bytes = sizeof(ack);
	memcpy(n->data, &ack, sizeof(ack));
	r->liar->depth.acks++;
	say(r);
}

/* Most regions are equal, or nothing is ever in sync. */
static void stamps_say(struct replica *r)
{
	struct peer *peer = &r->liar->peer;
	uint32_t regions, at, k;
	static uint64_t stamps[PEER_BYTES_MAX / 512 / REGION + 1];

	if (peer_refresh(peer))
		return;
	regions = peer->volume.regions;
	if (bc_kernel_stamps(peer->kernel, peer->volume.name, NULL, 0, regions, stamps,
			     &peer->error))
		return;
	for (uint32_t i = 0; i < 4; i++)
		stamps[lot(regions)] = one_in(2) ? BLKCAST_LSN_DOUBT : lot(0);
	for (at = 0; at < regions && !r->liar->over; at += k) {
		struct note *n = fresh(r, BLKCAST_FRAME_STAMPS);

		k = one_in(2) ? regions - at : 1 + lot(regions - at);
		n->sector = at;
		n->sectors = k;
		n->flags = at + k == regions ? BLKCAST_FRAME_LAST : 0;
		n->length = n->bytes = k * 8;
		for (uint32_t i = 0; i < k; i++)
			((uint64_t *)n->data)[i] = htole64(stamps[at + i]);
		say(r);
	}
}

static void hashes_say(struct replica *r, const struct blkcast_frame *asked)
{
	struct note *n = fresh(r, BLKCAST_FRAME_HASHES);

	n->sector = le64toh(asked->sector);
	n->sectors = REGION / 8;
	n->length = n->bytes = n->sectors * BLKCAST_HASH_SIZE;
	memset(n->data, lot(256), n->bytes);
	r->liar->depth.hashes++;
	say(r);
}

static void data_say(struct replica *r, const struct blkcast_frame *asked)
{
	struct note *n = fresh(r, BLKCAST_FRAME_DATA);

	if (!one_in(4))
		note_content(r->liar, n, le64toh(asked->sector), le32toh(asked->sectors));
	n->sector = le64toh(asked->sector);
	n->lsn = le64toh(asked->seq);
	r->liar->depth.reads++;
	say(r);
}

static void simple(struct replica *r, uint16_t type, uint64_t lsn)
{
	fresh(r, type)->lsn = lsn;
	say(r);
}

/* ---- what the volume is told meanwhile ---- */

/* By another process, since the command may wait for the link. */
static void command(struct replica *r, int (*run)(struct bc_kernel *kernel,
						  const struct bc_volume *v,
						  struct bc_error *error))
{
	struct bc_kernel *kernel;
	struct bc_error error;

	if (r->command)
		return;
	r->command = fork();
	if (r->command)
		return;
	close(r->liar->peer.fd);
	if (!bc_kernel_open(&kernel, &error))
		run(kernel, &r->liar->peer.volume, &error);
	_exit(0);
}

static int run_grow(struct bc_kernel *kernel, const struct bc_volume *v,
		    struct bc_error *error)
{
	return bc_kernel_grow(kernel, v->name, v->sectors + 8, error);
}

/* And what ends with it begins again. */
static int run_handover(struct bc_kernel *kernel, const struct bc_volume *v,
			struct bc_error *error)
{
	struct bc_volume now;
	uint64_t reign;
	int ret;

	ret = bc_kernel_replica(kernel, v->name, "liar", 0, error);
	if (ret == -EBUSY || bc_kernel_get(kernel, v->name, &now, error) ||
	    now.role == BLKCAST_ROLE_PRIMARY)
		return ret;
	bc_random(&reign, sizeof(reign));
	return bc_kernel_primary(kernel, v->name, now.term + 1, reign | 1, 0,
				 BLKCAST_F_FORCE, error);
}

static void command_end(struct replica *r)
{
	int status;

	if (r->command)
		waitpid(r->command, &status, 0);
	r->command = 0;
}

/* It is in sync: what is done with a primary then. */
static void joined(struct replica *r)
{
	struct peer *peer = &r->liar->peer;

	if (r->joined || peer_refresh(peer) || !peer->volume.links ||
	    peer->volume.link[0].state != BLKCAST_LINK_IN_SYNC)
		return;
	r->joined = 1;
	r->liar->depth.in_sync++;
	if (one_in(2) && !bc_kernel_verify(peer->kernel, peer->volume.name, "liar",
					   one_in(2) ? BLKCAST_F_REPAIR : 0, &peer->error))
		r->liar->depth.verifies++;
	if (one_in(8) && peer_bytes(peer) + 4096 < PEER_BYTES_MAX) {
		command(r, run_grow);
		r->liar->depth.grows++;
		r->liar->sized = 1;
	} else if (r->liar->quiet && one_in(2)) {
		command(r, run_handover);
	}
}

/* ---- what comes ---- */

static int take(struct replica *r, void *to, size_t bytes)
{
	struct pollfd poll_fd = { .fd = r->liar->peer.fd, .events = POLLIN };
	size_t got = 0;
	ssize_t n;

	while (got < bytes) {
		if (poll(&poll_fd, 1, QUIET_MS) <= 0)
			return -1;
		n = recv(r->liar->peer.fd, (char *)to + got, bytes - got, 0);
		if (n <= 0)
			return -1;
		got += n;
	}
	return 0;
}

static void answer(struct replica *r, const struct blkcast_frame *f)
{
	switch (le16toh(f->type)) {
	case BLKCAST_FRAME_MAP:
		stamps_say(r);
		break;
	case BLKCAST_FRAME_COMPARE:
		if (!one_in(32))
			hashes_say(r, f);
		break;
	case BLKCAST_FRAME_DONE:
		ack_say(r);
		simple(r, BLKCAST_FRAME_DONE_OK, le64toh(f->lsn));
		r->done = 1;
		break;
	case BLKCAST_FRAME_READ:
		data_say(r, f);
		break;
	case BLKCAST_FRAME_HANDOVER:
		simple(r, BLKCAST_FRAME_HANDED, le64toh(f->lsn));
		r->liar->depth.handovers++;
		break;
	case BLKCAST_FRAME_WRITE:
	case BLKCAST_FRAME_ZEROES:
	case BLKCAST_FRAME_FLUSH:
	case BLKCAST_FRAME_NOP:
		r->newest = le64toh(f->lsn);
		ack_say(r);
		break;
	case BLKCAST_FRAME_PING:
		ack_say(r);
		break;
	}
}

static const char *frames_take(struct replica *r)
{
	static unsigned char data[BLKCAST_PAYLOAD_MAX];
	struct blkcast_frame f;

	for (int n = lot(MANY); n && !r->liar->over; n--) {
		if (take(r, &f, sizeof(f)))
			return NULL;
		if (le32toh(f.magic) != BLKCAST_FRAME_MAGIC ||
		    le32toh(f.length) > sizeof(data))
			return "the kernel sent no frame";
		if (take(r, data, le32toh(f.length)))
			return NULL;
		answer(r, &f);
		if (r->done)
			joined(r);
	}
	return NULL;
}

const char *link_as_replica(struct liar *liar)
{
	struct replica r = { .liar = liar };
	const char *wrong;
	struct note *n;

	n = fresh(&r, BLKCAST_FRAME_POSITION);
	n->sector = liar->peer.volume.sectors;
	if (one_in(8))
		n->sector = one_in(2) ? lot(0) : n->sector + 8 * (lot(64) - 32);
	if (one_in(4)) {
		n->lsn = liar->peer.volume.lsn - lot(3);
		r.newest = n->lsn;
	}
	say(&r);
	wrong = frames_take(&r);
	if (r.command) {
		/* What waits for the link does so no longer than that stands. */
		close(liar->peer.fd);
		liar->peer.fd = -1;
		command_end(&r);
	}
	return wrong;
}
