/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A peer that speaks the protocol, and lies at one place: what liar.c drives.
 *
 * All that it has the kernel write is what is there already, so that whatever is
 * taken for right leaves the content as it was, and whatever is not shows.
 */
#ifndef SELFTESTS_LIAR_H
#define SELFTESTS_LIAR_H

#include "../lot.h"
#include "peer.h"

#define NOTE_BYTES	(BLKCAST_PAYLOAD_MAX + 8192)
#define REGION		128			/* sectors of a region */

/* A frame before it goes out, in host order. */
struct note {
	uint32_t magic;
	uint16_t type, flags;
	uint32_t length, term, sectors, reserved, data_crc;
	uint64_t seq, lsn, sector, time;
	int crc_flaw, crc_given;		/* @data_crc is what goes out */
	uint32_t crc_bytes;			/* of @data it is of; 0: all of them */
	uint32_t bytes;				/* in @data; @length is what is said */
	unsigned char data[NOTE_BYTES];
};

/* What was reached, in links. */
struct depth {
	unsigned int links, lies, refused, in_sync, copies, reads, hashes, verifies;
	unsigned int handovers, grows, acks;
};

struct liar {
	struct peer peer;
	struct depth depth;
	int lie_at;				/* the frame that is not as it should be */
	int aim, aim_at;			/* or one that counts: its type, 0: none; how many
						 * of them are right */
	int frames;				/* so far on this link */
	int over;				/* what has gone out ends the link: no more */
	int sure;				/* ... or the kernel has failed to see it */
	int sized;				/* a lie may have changed the volume's size */
	int quiet;				/* nobody has the volume open: it may change hands */
	struct note note, other;
};

void note_new(struct liar *liar, struct note *note, uint16_t type);
/* What a range of the volume holds, if it lies in it. */
void note_content(struct liar *liar, struct note *note, uint64_t sector, uint32_t sectors);
/* Send it, or, if its time has come, something like it. */
void note_send(struct liar *liar, struct note *note);
/* Has it never been written? Only there a lie may have zeros put. */
int region_blank(const struct liar *liar, uint64_t region);

/* A frame that comes within @ms: 1; 0: none; -1: the link is over. */
int honest_take(struct peer *peer, struct blkcast_frame *frame, int ms);
void honest_say(struct liar *liar, uint16_t type, uint64_t lsn, uint64_t sector);
/* All that has come is applied and durable, and there is room. */
void honest_ack(struct liar *liar, uint64_t lsn);
/* @lsn: the newest that has come.  @doubt: all of the map is, else it is the volume's. */
void honest_answer(struct liar *liar, const struct blkcast_frame *f, uint64_t *lsn,
		   int doubt);

/* One link; the volume's role says which. NULL, or what is wrong. */
const char *link_as_primary(struct liar *liar);
const char *link_as_replica(struct liar *liar);

#endif /* SELFTESTS_LIAR_H */
