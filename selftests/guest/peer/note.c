// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Notes: frames that are right, and how one of them is made wrong.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "crc32c.h"
#include "liar.h"
#include "util.h"

void note_new(struct liar *liar, struct note *note, uint16_t type)
{
	memset(note, 0, offsetof(struct note, data));
	note->magic = BLKCAST_FRAME_MAGIC;
	note->type = type;
	note->term = liar->peer.volume.term;
	note->seq = liar->peer.seq + 1;
	note->time = bc_now_ns();
}

void note_content(struct liar *liar, struct note *note, uint64_t sector, uint32_t sectors)
{
	size_t bytes = (size_t)sectors * 512;

	note->sector = sector;
	note->sectors = sectors;
	note->length = bytes;
	note->bytes = bytes < NOTE_BYTES ? bytes : NOTE_BYTES;
	if (sector < liar->peer.volume.sectors &&
	    sector * 512 + note->bytes <= peer_bytes(&liar->peer))
		memcpy(note->data, liar->peer.content + sector * 512, note->bytes);
	else
		memset(note->data, 0xa5, note->bytes);
}

int region_blank(const struct liar *liar, uint64_t region)
{
	const unsigned char *at = liar->peer.content + region * REGION * 512;

	return region * REGION < liar->peer.volume.sectors && !*at &&
	       !memcmp(at, at + 1, REGION * 512 - 1);
}

/* ---- lies ---- */

/* A value at which bounds may be wrong. */
static uint64_t boundary(const struct liar *liar, uint64_t now)
{
	const struct bc_volume *v = &liar->peer.volume;

	switch (lot(12)) {
	case 0: return v->sectors - lot(3) * 8;
	case 1: return v->sectors + lot(3) * 8;
	case 2: return v->regions - lot(3) + lot(3);
	case 3: return lot(v->regions) * REGION + lot(3) * 4;
	case 4: return (uint64_t)(v->term + lot(3) - 1) << BLKCAST_SEQ_BITS |
			(one_in(2) ? BLKCAST_SEQ_MAX - lot(2) : lot(3));
	default: return lot_bound(now);
	}
}

/* Bytes of each that a frame counts. */
static uint32_t unit_of(uint16_t type)
{
	switch (type) {
	case BLKCAST_FRAME_STAMPS:
		return 8;
	case BLKCAST_FRAME_MEMBERS:
	case BLKCAST_FRAME_HASHES:
		return 16;
	default:
		return 512;
	}
}

/* About as many as there may be: of what is there, of what a frame has room for, at all. */
static uint32_t count_bound(const struct liar *liar, const struct note *n)
{
	const struct bc_volume *v = &liar->peer.volume;
	uint32_t room = BLKCAST_PAYLOAD_MAX / unit_of(n->type);
	uint64_t left;

	switch (n->type) {
	case BLKCAST_FRAME_STAMPS:
		left = v->regions - n->sector;
		break;
	case BLKCAST_FRAME_HASHES:
		left = REGION / 8;
		break;
	case BLKCAST_FRAME_MEMBERS:
		left = BLKCAST_MEMBERS_MAX;
		break;
	default:
		left = REGION - n->sector % REGION;
		break;
	}
	switch (lot(10)) {
	case 0: return 0;
	case 1: return lot(16) | 1;
	case 2: return left;
	case 3:
	case 4: return left + 1 + lot(8);
	case 5: return room;
	case 6: return room + 1;
	case 7: return left + lot(room);
	case 8: return ~0U >> lot(32);
	default: return n->sectors + lot(5) - 2;
	}
}

/*
 * A count at a bound, or a length, with all else as if that were right: what comes along
 * is as long as the frame says, and what is past the count is past the checksum.
 */
static void count_lie(struct liar *liar, struct note *n)
{
	uint32_t count = count_bound(liar, n), unit = unit_of(n->type);
	uint64_t bytes = (uint64_t)count * unit + (one_in(8) ? lot(unit) : 0);
	uint32_t had = n->bytes;

	if (one_in(3)) {
		n->sectors = count;
	} else {
		if (one_in(2))
			n->sectors = count;
		else
			n->crc_bytes = had;
		n->length = bytes;
		n->bytes = bytes < NOTE_BYTES ? bytes : NOTE_BYTES;
	}
	if (n->bytes > had)
		memset(n->data + had, 0xff, n->bytes - had);
	/* The last ones, if that is what they would be. */
	if (n->type == BLKCAST_FRAME_STAMPS)
		n->flags = n->sector + n->sectors == liar->peer.volume.regions ?
			   BLKCAST_FRAME_LAST : 0;
}

/* Those that no peer may send, whatever it means by it; else 0. */
static int field_lie(struct liar *liar, struct note *n)
{
	uint64_t was;
	uint32_t had;

	switch (lot(13)) {
	case 0:
		was = n->seq;
		n->seq = boundary(liar, n->seq);
		return n->seq != was;
	case 1:
		had = n->term;
		n->term = boundary(liar, n->term);
		return n->term != had;
	case 2:
		n->reserved = boundary(liar, 0);
		return n->reserved != 0;
	case 3:
		n->type = one_in(2) ? lot(80) : boundary(liar, n->type);
		return n->type > BLKCAST_FRAME_DATA ||
		       (n->type > BLKCAST_FRAME_READ && n->type < BLKCAST_FRAME_STAMPS);
	case 4:
		n->flags = one_in(2) ? n->flags ^ 1U << lot(4) : lot(1 << 16);
		return 0;
	case 5:
		/* With the payload as it was: what comes next may be taken for it. */
		n->length = one_in(4) ? boundary(liar, n->length) :
			    n->length + 8 * (lot(5) - 2);
		return n->length > BLKCAST_PAYLOAD_MAX;
	case 6:
		n->lsn = one_in(3) ? n->lsn + lot(5) - 2 : boundary(liar, n->lsn);
		return 0;
	case 7:
	case 8:
		/* The end of the volume, above all. */
		n->sector = one_in(2) ? liar->peer.volume.sectors + 8 * (lot(6) - 2) :
			    boundary(liar, n->sector);
		return 0;
	case 9:
		n->sectors = boundary(liar, n->sectors);
		return 0;
	case 10:
		n->time = boundary(liar, n->time);
		return 0;
	case 11:
		/* How many there are, and as many. */
		n->sectors = one_in(2) ? n->sectors + lot(5) - 2 : boundary(liar, n->sectors);
		n->bytes = (uint64_t)n->sectors * unit_of(n->type) % (NOTE_BYTES + 1);
		n->length = n->bytes;
		return 0;
	default:
		/* Both, and as much data as that is. */
		note_content(liar, n, boundary(liar, n->sector), one_in(2) ?
			     lot(BLKCAST_PAYLOAD_MAX / 512 + 3) : n->sectors);
		return n->length > BLKCAST_PAYLOAD_MAX;
	}
}

static int data_lie(struct note *n)
{
	if (!n->bytes) {
		/* Where there should be none. */
		n->bytes = n->length = 8 << lot(8);
		memset(n->data, 0xa5, n->bytes);
		return 0;
	}
	switch (lot(4)) {
	case 0:
		n->crc_given = 1;
		n->data_crc = bc_crc32c(n->data, n->bytes) ^ 1U << lot(32);
		return n->length <= BLKCAST_PAYLOAD_MAX;
	case 1:
		n->bytes = n->length = lot(n->length / 8 + 1) * 8;
		return 0;
	default:
		break;
	}
	/* Not the content of the volume. */
	if (n->type == BLKCAST_FRAME_WRITE || n->type == BLKCAST_FRAME_REGION ||
	    n->type == BLKCAST_FRAME_DATA)
		return 0;
	for (int i = 0; i < 8; i++) {
		uint64_t value = lot_bound(0);

		memcpy(n->data + lot(n->bytes / 8) * 8, &value, sizeof(value));
	}
	return 0;
}

/*
 * What is still a right frame must not change the content, wherever it is about: data
 * are those that are there, zeros go where there are zeros.
 */
static void keep_content(struct liar *liar, struct note *n)
{
	const struct bc_volume *v = &liar->peer.volume;
	uint64_t region = n->sector / REGION;

	/* Nor use up the term: the links that come want LSNs, too. */
	if (n->type <= BLKCAST_FRAME_NOP && blkcast_lsn_seq(n->lsn) > BLKCAST_SEQ_MAX / 2)
		n->lsn += 1ULL << BLKCAST_SEQ_BITS;
	switch (n->type) {
	case BLKCAST_FRAME_WRITE:
	case BLKCAST_FRAME_REGION:
	case BLKCAST_FRAME_DATA:
		if (n->sector < v->sectors &&
		    n->sector * 512 + n->bytes <= peer_bytes(&liar->peer))
			memcpy(n->data, liar->peer.content + n->sector * 512, n->bytes);
		else
			memset(n->data, 0xa5, n->bytes);
		break;
	case BLKCAST_FRAME_ZEROES:
		if (n->sector < v->sectors && !region_blank(liar, region))
			n->sectors = 0;
		break;
	case BLKCAST_FRAME_FORGET:
		if (n->sector < v->regions && !region_blank(liar, n->sector))
			n->sector = v->regions;
		break;
	case BLKCAST_FRAME_SIZE:
		if (n->sector < v->sectors)
			n->sector |= 1;
		break;
	}
}

/* Does it bring more than it counts, or less? */
static int ill_sized(const struct note *n)
{
	switch (n->type) {
	case BLKCAST_FRAME_WRITE:
	case BLKCAST_FRAME_REGION:
	case BLKCAST_FRAME_DATA:
	case BLKCAST_FRAME_STAMPS:
	case BLKCAST_FRAME_HASHES:
	case BLKCAST_FRAME_MEMBERS:
		return n->length != (uint64_t)n->sectors * unit_of(n->type);
	default:
		return 0;
	}
}

/* Is it of what the volume does not have, or not as much?  Nobody may send that either. */
static int beyond(const struct liar *liar, const struct note *n)
{
	const struct bc_volume *v = &liar->peer.volume;

	if (ill_sized(n))
		return 1;
	/* It may have that by now. */
	if (liar->sized)
		return 0;
	switch (n->type) {
	case BLKCAST_FRAME_WRITE:
	case BLKCAST_FRAME_ZEROES:
	case BLKCAST_FRAME_REGION:
	case BLKCAST_FRAME_READ:
		return n->sectors &&
		       (n->sector >= v->sectors || n->sectors > v->sectors - n->sector ||
			n->sectors > REGION - n->sector % REGION);
	case BLKCAST_FRAME_COMPARE:
	case BLKCAST_FRAME_FORGET:
		return n->sector >= v->regions;
	case BLKCAST_FRAME_STAMPS:
		return n->sector >= v->regions || n->sectors > v->regions - n->sector;
	case BLKCAST_FRAME_HASHES:
		return n->sectors > REGION / 8;
	case BLKCAST_FRAME_MEMBERS:
		return n->sectors > BLKCAST_MEMBERS_MAX;
	default:
		return 0;
	}
}

/* ---- sending ---- */

static void note_put(struct liar *liar, const struct note *n, uint32_t cut)
{
	uint32_t summed = n->crc_bytes && n->crc_bytes < n->bytes ? n->crc_bytes : n->bytes;
	uint32_t crc = n->crc_given ? n->data_crc : summed ? bc_crc32c(n->data, summed) : 0;
	struct blkcast_frame frame = {
		.magic = htole32(n->magic), .data_crc = htole32(crc),
		.type = htole16(n->type), .flags = htole16(n->flags),
		.length = htole32(n->length), .term = htole32(n->term),
		.seq = htole64(n->seq), .lsn = htole64(n->lsn),
		.sector = htole64(n->sector), .sectors = htole32(n->sectors),
		.reserved = htole32(n->reserved), .time = htole64(n->time),
	};
	uint32_t head = cut < sizeof(frame) ? cut : sizeof(frame);
	uint32_t data = cut - head < n->bytes ? cut - head : n->bytes;

	frame_seal(&frame);
	if (n->crc_flaw)
		frame.crc ^= 1U << lot(32);
	peer_put(&liar->peer, &frame, head);
	peer_put(&liar->peer, n->data, data);
	liar->peer.seq = n->seq;
}

#define COUNT_LIE	22	/* beyond all the others */

/* Any frame there is, from either end. */
static void note_any(struct liar *liar, struct note *n)
{
	note_new(liar, n, one_in(2) ? 1 + lot(BLKCAST_FRAME_READ) :
				      BLKCAST_FRAME_STAMPS + lot(8));
	n->lsn = one_in(2) ? liar->peer.volume.lsn + lot(4) : boundary(liar, 0);
	n->flags = lot(16);
	n->sector = one_in(2) ? lot(liar->peer.volume.regions) : boundary(liar, 0);
	n->sectors = one_in(2) ? lot(REGION + 2) : boundary(liar, 0);
	n->length = n->bytes = one_in(2) ? lot(32) * 8 : 0;
	memset(n->data, 0xa5, n->bytes);
}

static void lie_once(struct liar *liar, struct note *n, int aimed)
{
	int sure = 0, times = 1;
	uint32_t cut = ~0U;

	switch (aimed ? COUNT_LIE : lot(COUNT_LIE)) {
	case COUNT_LIE:
		count_lie(liar, n);
		break;
	case 0:
		n->crc_flaw = sure = 1;
		break;
	case 1:
		n->magic ^= 1U << lot(32);
		sure = 1;
		break;
	case 2:
		cut = lot(sizeof(struct blkcast_frame) + n->bytes);
		break;
	case 3:			/* twice, under one number */
		note_put(liar, n, cut);
		sure = 1;
		break;
	case 4:			/* not at all */
		liar->peer.seq++;
		return;
	case 5:			/* more than once, each right by itself */
		times = 2 + lot(3);
		break;
	case 6:			/* very often */
		times = BLKCAST_COMPARE_MAX + lot(200);
		break;
	case 7:
	case 8:
		note_any(liar, n);
		break;
	case 9:
	case 10:
		sure = data_lie(n);
		break;
	default:
		sure = field_lie(liar, n);
		break;
	}
	keep_content(liar, n);
	liar->sized |= n->type == BLKCAST_FRAME_SIZE;
	sure |= beyond(liar, n);
	while (times--) {
		note_put(liar, n, cut);
		n->seq++;
	}
	if (cut != ~0U) {
		struct linger hard = { .l_onoff = 1 };

		if (one_in(2))
			setsockopt(liar->peer.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		else
			shutdown(liar->peer.fd, SHUT_WR);
	}
	liar->sure = sure;
	liar->over = sure || cut != ~0U;
}

void note_send(struct liar *liar, struct note *note)
{
	int aimed;

	if (liar->over)
		return;
	aimed = note->type == liar->aim && !liar->aim_at--;
	/* Once wrong, now and then wrong again. */
	if (aimed || liar->frames++ == liar->lie_at ||
	    (liar->frames > liar->lie_at && one_in(8))) {
		liar->depth.lies++;
		lie_once(liar, note, aimed);
	} else {
		note_put(liar, note, ~0U);
	}
}
