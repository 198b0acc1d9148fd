// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's end is a replica, this one its primary: it makes it in sync, then
 * streams, reads and compares, and hands over.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "liar.h"

#define FAR	(1ULL << 20)	/* LSNs ahead of the volume */
#define MANY	48		/* frames after it is in sync */

struct primary {
	struct liar *liar;
	uint64_t lsn;
	int over;		/* the reign is */
};

static struct note *fresh(struct primary *p, uint16_t type)
{
	note_new(p->liar, &p->liar->note, type);
	return &p->liar->note;
}

static void say(struct primary *p)
{
	static char nobody[1 << 16];

	note_send(p->liar, &p->liar->note);
	while (recv(p->liar->peer.fd, nobody, sizeof(nobody), MSG_DONTWAIT) > 0)
		;
}

static void simple(struct primary *p, uint16_t type, uint64_t lsn, uint64_t sector)
{
	struct note *n = fresh(p, type);

	n->lsn = lsn;
	n->sector = sector;
	say(p);
}

static uint64_t any_region(struct primary *p)
{
	return lot(p->liar->peer.volume.sectors / REGION);
}

static uint64_t blank_region(struct primary *p)
{
	uint64_t r, tries = 1000;

	do
		r = any_region(p);
	while (!region_blank(p->liar, r) && --tries);
	return r;
}

/* ---- copies of regions ---- */

static void piece(struct primary *p, uint64_t region, uint64_t stamp, uint32_t at,
		  uint32_t sectors, uint16_t flags)
{
	struct note *n = fresh(p, BLKCAST_FRAME_REGION);

	note_content(p->liar, n, region * REGION + at, sectors);
	n->lsn = stamp;
	n->flags = flags;
	say(p);
}

static void copy_whole(struct primary *p, uint64_t region)
{
	uint32_t at, n;

	for (at = 0; at < REGION; at += n) {
		n = one_in(2) ? REGION - at : 8 + lot((REGION - at) / 8) * 8;
		piece(p, region, p->lsn, at, n, (at ? 0 : BLKCAST_FRAME_FIRST) |
		      (at + n < REGION ? 0 : BLKCAST_FRAME_LAST));
	}
	p->liar->depth.copies++;
}

static void copy_sparse(struct primary *p, uint64_t region)
{
	uint32_t at = 0;

	piece(p, region, p->lsn, 0, 0, BLKCAST_FRAME_FIRST | BLKCAST_FRAME_SPARSE);
	for (at = lot(4) * 8; at + 8 <= REGION && !one_in(4); at += 8 + lot(4) * 8)
		piece(p, region, p->lsn, at, 8, 0);
	piece(p, region, p->lsn, 0, 0, BLKCAST_FRAME_LAST);
}

/* Regions in doubt have to be copied, or nothing is in sync. */
static int copy_doubts(struct primary *p)
{
	struct peer *peer = &p->liar->peer;
	uint32_t n = peer->volume.regions;
	uint64_t *stamps = malloc(n * sizeof(*stamps));
	int ret;

	ret = bc_kernel_stamps(peer->kernel, peer->volume.name, NULL, 0, n, stamps,
			       &peer->error);
	for (uint32_t r = 0; r < n && !ret; r++)
		if (stamps[r] == BLKCAST_LSN_DOUBT && r < peer->volume.sectors / REGION)
			copy_whole(p, r);
	free(stamps);
	return ret;
}

/* ---- the stream ---- */

static void write_say(struct primary *p)
{
	struct note *n = fresh(p, BLKCAST_FRAME_WRITE);
	uint32_t at = lot(REGION / 8) * 8;

	note_content(p->liar, n, any_region(p) * REGION + at,
		     8 + lot((REGION - at) / 8) * 8);
	n->lsn = ++p->lsn;
	n->flags = one_in(8) ? BLKCAST_FRAME_RECEIPT : 0;
	say(p);
}

static void range_say(struct primary *p, uint16_t type, uint64_t lsn, uint64_t region)
{
	struct note *n = fresh(p, type);

	n->lsn = lsn;
	n->sector = region * REGION + lot(8) * 8;
	n->sectors = 8 + lot(8) * 8;
	say(p);
}

static void members_say(struct primary *p)
{
	struct note *n = fresh(p, BLKCAST_FRAME_MEMBERS);

	n->sectors = lot(BLKCAST_MEMBERS_MAX + 1);
	n->length = n->bytes = n->sectors * 16;
	memset(n->data, 0x5a, n->bytes);
	say(p);
}

static void handover_say(struct primary *p)
{
	struct note *n = fresh(p, BLKCAST_FRAME_HANDOVER);

	n->lsn = p->lsn;
	n->length = n->bytes = 16;
	memset(n->data, 0x5a, n->bytes);
	say(p);
	p->over = 1;
	p->liar->depth.handovers++;
}

static void make_in_sync(struct primary *p)
{
	simple(p, BLKCAST_FRAME_GAP, 0, 0);
	if (copy_doubts(p))
		return;
	simple(p, BLKCAST_FRAME_FLUSH, ++p->lsn, 0);
	simple(p, BLKCAST_FRAME_DONE, 1 + lot(4), 0);
}

static void any_say(struct primary *p)
{
	struct depth *d = &p->liar->depth;

	switch (lot(p->over ? 3 : 16)) {
	case 0:
		simple(p, BLKCAST_FRAME_PING, 0, one_in(2) ? lot(0) : 0);
		break;
	case 1:
		simple(p, BLKCAST_FRAME_COMPARE, 0, any_region(p));
		d->hashes++;
		break;
	case 2:
		members_say(p);
		break;
	case 3:
		simple(p, BLKCAST_FRAME_NOP, ++p->lsn, 0);
		break;
	case 4:
		simple(p, BLKCAST_FRAME_FLUSH, ++p->lsn, 0);
		break;
	case 5:
		range_say(p, BLKCAST_FRAME_ZEROES, ++p->lsn, blank_region(p));
		break;
	case 6:
	case 7:
		range_say(p, BLKCAST_FRAME_READ, 0, any_region(p));
		d->reads++;
		break;
	case 8:
		copy_whole(p, any_region(p));
		break;
	case 9:
		copy_sparse(p, any_region(p));
		break;
	case 10:
		simple(p, BLKCAST_FRAME_FORGET, 0, blank_region(p));
		break;
	case 11:
		simple(p, BLKCAST_FRAME_SIZE, 0, p->liar->peer.volume.sectors);
		break;
	case 12:
		if (one_in(4))
			make_in_sync(p);
		else if (one_in(4))
			handover_say(p);
		break;
	default:
		write_say(p);
	}
}

const char *link_as_primary(struct liar *liar)
{
	struct primary p = {
		.liar = liar, .lsn = (liar->peer.volume.lsn | (FAR - 1)) + 1,
	};
	int n = lot(MANY);

	if (one_in(3))
		simple(&p, BLKCAST_FRAME_MAP, 0, 0);
	if (!one_in(6))
		make_in_sync(&p);
	while (n-- && !liar->over) {
		any_say(&p);
		/* Its receiver is some frames behind; that is as good. */
		if (one_in(8) && !peer_refresh(&liar->peer) && liar->peer.volume.links &&
		    liar->peer.volume.link[0].state == BLKCAST_LINK_IN_SYNC)
			liar->depth.in_sync++;
	}
	return NULL;
}
