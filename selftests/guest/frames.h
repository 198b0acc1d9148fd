/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cases of frames.c: rows of frames, the last of which a peer must not send
 * (DROPS), or may (KEEPS).
 */
#ifndef SELFTESTS_FRAMES_H
#define SELFTESTS_FRAMES_H

#include <stdint.h>

#include "blkcast_wire.h"

#define VOLUME_MAX	(64U << 20)	/* bytes of the volume at most */
#define VOLUME_MIN	8192		/* sectors that it has at least */
#define REGION		128		/* its regions' sectors */

enum tamper {
	RIGHT,
	MAGIC, HEADER_CRC, DATA_CRC, TERM, OLD_TERM, TERM_OF_LSN, SEQ, RESERVED,
	CUT_HEADER, CUT_DATA,	/* and close */
	SILENCE,		/* nothing at all comes */
	WRITE_HERE,		/* no frame: the primary's device is written to */
	AWAIT_COMPARE,		/* no frame: until the primary asks for hashes */
	DOUBTS,			/* STAMPS: all of them in doubt */
};

/*
 * @lsn, and an ACK's @received, @applied, @durable, are relative: to FAR on a
 * replica, to what was sent last on a primary.  @length: bytes of payload if it
 * is not what @type and @sectors say.  @times: so often, 0: once.
 */
struct shot {
	uint16_t type, flags;
	enum tamper tamper;
	int64_t lsn, received, applied, durable;
	uint64_t sector;
	uint32_t sectors, length, times;
};

#define SHOTS_MAX	5

/* @bare: without the POSITION that a replica begins with. */
struct frame_case {
	const char *name;
	int kept, bare, count;
	struct shot shots[SHOTS_MAX];
};

#define CASE(title, keep, bared, ...) { \
	.name = title, .kept = keep, .bare = bared, .shots = { __VA_ARGS__ }, \
	.count = sizeof((struct shot[]){ __VA_ARGS__ }) / sizeof(struct shot) \
}
#define DROPS(title, ...) CASE(title, 0, 0, __VA_ARGS__)
#define KEEPS(title, ...) CASE(title, 1, 0, __VA_ARGS__)
#define DROPS_BARE(title, ...) CASE(title, 0, 1, __VA_ARGS__)
#define KEEPS_BARE(title, ...) CASE(title, 1, 1, __VA_ARGS__)

#define FIRST	BLKCAST_FRAME_FIRST
#define LAST	BLKCAST_FRAME_LAST
#define F(kind, ...) { .type = BLKCAST_FRAME_##kind, ##__VA_ARGS__ }
#define WRITE(number, ...) F(WRITE, .lsn = number, .sectors = 8, ##__VA_ARGS__)
#define PIECE(at, count, ...) F(REGION, .lsn = 1, .sector = at, .sectors = count, \
				##__VA_ARGS__)
#define SPARSE(at, ...) F(REGION, .lsn = 1, .sector = at, \
			  .flags = FIRST | BLKCAST_FRAME_SPARSE, ##__VA_ARGS__)
#define END(at)	F(REGION, .lsn = 1, .sector = at, .flags = LAST)
#define NOTHING(what) { .type = 0xffff, .tamper = what }
#define EVERY	0xffffffff	/* STAMPS: all regions */

#define SYNCED	F(GAP), F(DONE, .lsn = 1)

/* The kernel's end is a replica: we are its primary. */
static const struct frame_case replica_cases[] = {
	KEEPS("a ping", F(PING)),
	KEEPS("a nop, then a flush", F(NOP, .lsn = 1), F(FLUSH, .lsn = 2)),
	KEEPS("a region in two pieces", F(GAP), PIECE(0, 64, .flags = FIRST),
	      PIECE(64, 64, .flags = LAST)),
	KEEPS("an empty in-sync set", F(MEMBERS)),
	KEEPS("an in-sync set", F(MEMBERS, .sectors = 2, .length = 32)),
	DROPS("an in-sync set that is too large", F(MEMBERS, .sectors = 33,
	      .length = 33 * 16)),
	DROPS("fewer members than it says", F(MEMBERS, .sectors = 2,
	      .length = 16)),
	DROPS("a hand-over before it is in sync", F(NOP, .lsn = 1), F(HANDOVER,
	      .lsn = 1, .length = 16)),
	KEEPS("a hand-over", F(NOP, .lsn = 1), F(GAP), F(DONE, .lsn = 1), F(HANDOVER,
	      .lsn = 1, .length = 16)),
	DROPS("a hand-over of more than was sent", F(NOP, .lsn = 1), F(GAP), F(DONE),
	      F(HANDOVER, .lsn = 2, .length = 16)),
	DROPS("a hand-over of less than was sent", F(NOP, .lsn = 2), F(GAP), F(DONE),
	      F(HANDOVER, .lsn = 1, .length = 16)),
	DROPS("a hand-over to nobody", F(NOP, .lsn = 1), F(GAP), F(DONE),
	      F(HANDOVER, .lsn = 1)),
	DROPS("a write after the reign", F(NOP, .lsn = 1), F(GAP), F(DONE),
	      F(HANDOVER, .lsn = 1, .length = 16), WRITE(2)),
	DROPS("a flush after the reign", F(NOP, .lsn = 1), F(GAP), F(DONE),
	      F(HANDOVER, .lsn = 1, .length = 16), F(FLUSH, .lsn = 2)),
	DROPS("no magic number", F(PING, .tamper = MAGIC)),
	DROPS("header checksum", F(PING, .tamper = HEADER_CRC)),
	DROPS("data checksum", WRITE(1, .tamper = DATA_CRC)),
	DROPS("data checksum of a region", PIECE(0, REGION,
	      .flags = FIRST | LAST, .tamper = DATA_CRC)),
	DROPS("another term", F(PING, .tamper = TERM)),
	DROPS("first frame is not number 1", F(PING, .tamper = SEQ)),
	DROPS("a number is left out", F(PING), F(PING, .tamper = SEQ)),
	DROPS("reserved field", F(PING, .tamper = RESERVED)),
	DROPS("longer than allowed", F(WRITE, .lsn = 1, .sectors = 8,
	      .length = BLKCAST_PAYLOAD_MAX + 512)),
	DROPS("unknown frame", F(PING), { .type = 99 }),
	DROPS("frame 0", { .type = 0 }),
	DROPS("stamps from a primary", F(STAMPS, .sectors = EVERY,
	      .flags = LAST)),
	DROPS("ack from a primary", F(ACK)),
	DROPS("done-ok from a primary", F(DONE_OK)),
	DROPS("write beyond the end", WRITE(1, .sector = VOLUME_MAX)),
	DROPS("write at the last sector there is", WRITE(1, .sector = -8ULL)),
	DROPS("write with an end that overflows", WRITE(1, .sector = -4ULL)),
	DROPS("write across two regions", WRITE(1, .sector = REGION - 4)),
	DROPS("write of nothing", F(WRITE, .lsn = 1)),
	DROPS("write with too little data", WRITE(1, .length = 2048)),
	DROPS("write with too much data", WRITE(1, .length = 8192)),
	DROPS("write with a number of another term", WRITE(1,
	      .tamper = TERM_OF_LSN)),
	DROPS("a number twice", F(NOP, .lsn = 1), WRITE(1)),
	DROPS("numbers go back", F(NOP, .lsn = 2), WRITE(1)),
	DROPS("a flush's number goes back", F(FLUSH, .lsn = 2), F(FLUSH,
	      .lsn = 1)),
	DROPS("zeroes beyond the end", F(ZEROES, .lsn = 1, .sector = VOLUME_MAX,
	      .sectors = 8)),
	DROPS("zeroes across regions", F(ZEROES, .lsn = 1, .sector = REGION - 8,
	      .sectors = 16)),
	DROPS("zeroes of everything", F(ZEROES, .lsn = 1, .sectors = -1U)),
	DROPS("zeroes with data", F(ZEROES, .lsn = 1, .sectors = 8,
	      .length = 4096)),
	DROPS("flush with data", F(FLUSH, .lsn = 1, .length = 512)),
	DROPS("nop with data", F(NOP, .lsn = 1, .length = 512)),
	DROPS("gap with data", F(GAP, .length = 512)),
	DROPS("done with data", F(DONE, .length = 512)),
	KEEPS("a read", SYNCED, F(READ, .sectors = 8), F(READ, .sectors = REGION)),
	DROPS("a read before it is in sync", F(READ, .sectors = 8)),
	DROPS("a read after a gap", SYNCED, F(GAP), F(READ, .sectors = 8)),
	DROPS("a read of nothing", SYNCED, F(READ)),
	DROPS("a read across regions", SYNCED, F(READ, .sector = REGION - 4, .sectors = 8)),
	DROPS("a read of everything", SYNCED, F(READ, .sectors = -1U)),
	DROPS("a read beyond the end", SYNCED, F(READ, .sector = VOLUME_MAX, .sectors = 8)),
	DROPS("a read at the last sector there is", SYNCED,
	      F(READ, .sector = -8ULL, .sectors = 8)),
	DROPS("a read with an LSN", SYNCED, F(READ, .lsn = 1, .sectors = 8)),
	DROPS("a read with a flag", SYNCED, F(READ, .sectors = 8, .flags = FIRST)),
	DROPS("a read with data", SYNCED, F(READ, .sectors = 8, .length = 4096)),
	/* Nobody takes the answers, so they are not over. */
	DROPS("more reads than may be asked for at once", SYNCED,
	      F(READ, .sectors = REGION, .times = 512)),
	DROPS("data from a primary", SYNCED, F(DATA, .sectors = 8, .length = 4096)),
	DROPS("ping with a number", F(PING, .lsn = 1)),
	DROPS("a region's middle first", F(GAP), PIECE(64, 64, .flags = LAST)),
	DROPS("a first piece that is not the first", F(GAP), PIECE(64, 64,
	      .flags = FIRST | LAST)),
	DROPS("a region's pieces out of order", F(GAP), PIECE(0, 32,
	      .flags = FIRST), PIECE(64, 32)),
	DROPS("a piece twice", F(GAP), PIECE(0, 64, .flags = FIRST), PIECE(0,
	      64)),
	DROPS("first piece twice", F(GAP), PIECE(0, 64, .flags = FIRST),
	      PIECE(0, 64, .flags = FIRST)),
	DROPS("a region too long", F(GAP), PIECE(0, 64, .flags = FIRST),
	      PIECE(64, 128, .flags = LAST)),
	DROPS("a last piece before the end", F(GAP), PIECE(0, 64,
	      .flags = FIRST | LAST)),
	DROPS("an end without a last piece", F(GAP), PIECE(0, 128,
	      .flags = FIRST)),
	DROPS("another region between pieces", F(GAP), PIECE(0, 64,
	      .flags = FIRST), PIECE(192, 64, .flags = LAST)),
	DROPS("a write between pieces", F(GAP), PIECE(0, 64, .flags = FIRST),
	      WRITE(1)),
	DROPS("done between pieces", F(GAP), PIECE(0, 64, .flags = FIRST),
	      F(DONE, .lsn = 1)),
	DROPS("another stamp between pieces", F(GAP), PIECE(0, 64,
	      .flags = FIRST), F(REGION, .lsn = 2, .sector = 64, .sectors = 64,
	      .flags = LAST)),
	DROPS("a stamp of a later term", F(GAP), PIECE(0, 128,
	      .flags = FIRST | LAST, .tamper = TERM_OF_LSN)),
	DROPS("a region beyond the end", F(GAP), PIECE(VOLUME_MAX, 128,
	      .flags = FIRST | LAST)),
	DROPS("forget beyond the end", F(GAP), F(FORGET, .sector = VOLUME_MAX)),
	DROPS("forget the last region there is", F(GAP), F(FORGET,
	      .sector = -1ULL)),
	DROPS("forget with data", F(GAP), F(FORGET, .length = 512)),
	KEEPS("compare and map", F(COMPARE), F(COMPARE), F(MAP)),
	DROPS("compare of no region", F(COMPARE, .sector = 1U << 30)),
	DROPS("compare with an LSN", F(COMPARE, .lsn = 1)),
	/* One after the other, for they are of one region: slower than they are asked for. */
	DROPS("more compares than may be asked for at once", F(COMPARE, .times = 2048)),
	DROPS("map twice", F(MAP), F(MAP)),
	KEEPS("sparse copy", F(GAP), SPARSE(0), PIECE(64, 8), END(0)),
	DROPS("sparse copy that goes back", SPARSE(0), PIECE(64, 8),
	      PIECE(8, 8)),
	DROPS("sparse copy out of its region", SPARSE(0), PIECE(REGION, 8)),
	DROPS("sparse copy across the end of its region", SPARSE(0),
	      PIECE(REGION - 8, 16)),
	DROPS("sparse copy that ends in another region", F(GAP), SPARSE(0),
	      END(5 * REGION)),
	DROPS("sparse copy that ends with content", SPARSE(0),
	      PIECE(REGION - 8, 8, .flags = LAST)),
	DROPS("sparse copy begun twice", SPARSE(0), SPARSE(0)),
	DROPS("end of a copy that was not begun", END(0)),
	DROPS("end of a copy that is not sparse", F(GAP), PIECE(0, 64,
	      .flags = FIRST), END(0)),
	DROPS("a copy without content", F(REGION, .lsn = 1, .flags = FIRST)),
	DROPS("a write into an open copy", SPARSE(0), WRITE(1)),
	DROPS("compare in an open copy", SPARSE(0), F(COMPARE)),
	DROPS("the term before", F(PING, .tamper = OLD_TERM)),
	DROPS("a write of the term before", WRITE(1, .tamper = OLD_TERM)),
	DROPS("a size of nothing", F(SIZE)),
	DROPS("a size that is none", F(SIZE, .sector = 1001)),
	DROPS("a size beyond what there is", F(SIZE, .sector = 1ULL << 40)),
	DROPS("the largest size", F(SIZE, .sector = -8ULL)),
	DROPS("size with data", F(SIZE, .sector = VOLUME_MIN, .length = 512)),
	DROPS("size with an LSN", F(SIZE, .sector = VOLUME_MIN, .lsn = 1)),
	DROPS("size in an open copy", SPARSE(0), F(SIZE, .sector = VOLUME_MIN)),
	DROPS("size from a primary of another term", F(SIZE, .sector = VOLUME_MIN,
	      .tamper = TERM)),
	DROPS("half a header", F(PING), F(PING, .tamper = CUT_HEADER)),
	DROPS("half a write", WRITE(1, .tamper = CUT_DATA)),
	DROPS("silence", NOTHING(SILENCE)),
	{ .name = NULL }
};

#define STAMPS	F(STAMPS, .sectors = EVERY, .flags = LAST)
#define ASKED	F(STAMPS, .sectors = EVERY, .flags = LAST, .tamper = DOUBTS), \
		NOTHING(AWAIT_COMPARE)

/* The kernel's end is a primary: we are its replica. */
static const struct frame_case primary_cases[] = {
	KEEPS("equal stamps", STAMPS),
	KEEPS("an ack of what was sent", STAMPS, NOTHING(WRITE_HERE), F(ACK)),
	KEEPS("an ack of a write that is not durable", STAMPS, NOTHING(WRITE_HERE),
	      F(ACK, .applied = -1, .durable = -2)),
	DROPS("an ack of a flush that is not durable", STAMPS, NOTHING(WRITE_HERE),
	      F(ACK, .durable = -1)),
	DROPS("no magic number", F(ACK, .tamper = MAGIC)),
	DROPS("header checksum", STAMPS, F(STAMPS, .tamper = HEADER_CRC)),
	DROPS("checksum of the stamps", F(STAMPS, .sectors = EVERY,
	      .flags = LAST, .tamper = DATA_CRC)),
	DROPS("another term", STAMPS, F(ACK, .tamper = TERM)),
	DROPS("a number is left out", STAMPS, F(ACK, .tamper = SEQ)),
	DROPS("reserved field", F(ACK, .tamper = RESERVED)),
	DROPS("longer than allowed", F(STAMPS, .sectors = EVERY, .flags = LAST,
	      .length = BLKCAST_PAYLOAD_MAX + 8)),
	DROPS("unknown frame", STAMPS, { .type = 99 }),
	DROPS("size from a replica", STAMPS, F(SIZE, .sector = VOLUME_MIN)),
	DROPS("position twice", F(POSITION)),
	DROPS_BARE("position with data", F(POSITION, .length = 512)),
	KEEPS_BARE("a position of no reign", F(POSITION, .lsn = -1)),
	DROPS_BARE("stamps before a position", STAMPS),
	KEEPS("hashes that were asked for", ASKED, F(HASHES, .sectors = 16)),
	DROPS("hashes twice", ASKED, F(HASHES, .sectors = 16),
	      F(HASHES, .sectors = 16)),
	DROPS("too few hashes", ASKED, F(HASHES, .sectors = 15)),
	DROPS("fewer hashes than it says", ASKED, F(HASHES, .sectors = 16,
	      .length = 240)),
	DROPS("hashes nobody asked for", STAMPS, F(HASHES, .sectors = 16,
	      .length = 256)),
	DROPS("hashes of no region", STAMPS, F(HASHES, .sector = 1U << 30,
	      .sectors = 16, .length = 256)),
	DROPS("a write from a replica", STAMPS, WRITE(1)),
	DROPS("a ping from a replica", F(PING)),
	DROPS("stamps twice", STAMPS, STAMPS),
	DROPS("too many stamps", F(STAMPS, .sectors = EVERY - 1,
	      .flags = LAST)),
	DROPS("most stamps there are", F(STAMPS, .sectors = -3U, .length = 512,
	      .flags = LAST)),
	DROPS("no stamps", F(STAMPS)),
	DROPS("stamps without the first", F(STAMPS, .sector = 1, .sectors = 1)),
	DROPS("stamps with a hole", F(STAMPS, .sectors = 1), F(STAMPS,
	      .sector = 2, .sectors = 1)),
	DROPS("last stamps that are not", F(STAMPS, .sectors = 1,
	      .flags = LAST)),
	DROPS("all stamps and no last", F(STAMPS, .sectors = EVERY)),
	DROPS("fewer stamps than it says", F(STAMPS, .sectors = 2,
	      .length = 8)),
	DROPS("ack of what was never sent", STAMPS, F(ACK, .received = 1)),
	DROPS("ack of more than was sent", STAMPS, NOTHING(WRITE_HERE), F(ACK,
	      .received = 1)),
	DROPS("applied before received", STAMPS, NOTHING(WRITE_HERE), F(ACK,
	      .received = -1)),
	DROPS("durable before applied", STAMPS, NOTHING(WRITE_HERE), F(ACK,
	      .applied = -1)),
	DROPS("acks go back", STAMPS, NOTHING(WRITE_HERE), F(ACK), F(ACK,
	      .received = -1, .applied = -1, .durable = -1)),
	DROPS("a short ack", STAMPS, F(ACK, .length = 64)),
	DROPS("a long ack", STAMPS, F(ACK, .length = 80)),
	DROPS("done-ok for no done", STAMPS, F(DONE_OK, .lsn = 99)),
	DROPS("done-ok with data", STAMPS, F(DONE_OK, .length = 512)),
	DROPS("the term before", STAMPS, F(ACK, .tamper = OLD_TERM)),
	DROPS("handed, and nobody has", STAMPS, F(HANDED)),
	DROPS("a hand-over from a replica", STAMPS, F(HANDOVER, .length = 16)),
	DROPS("an in-sync set from a replica", STAMPS, F(MEMBERS)),
	DROPS("an error", STAMPS, F(ERROR, .lsn = 5)),
	DROPS("data that nobody asked for", STAMPS, F(DATA, .lsn = 1, .sectors = 8,
	      .length = 4096)),
	DROPS("a read from a replica", STAMPS, F(READ, .sectors = 8)),
	DROPS("half a header", F(ACK, .tamper = CUT_HEADER)),
	DROPS("half of the stamps", F(STAMPS, .sectors = EVERY, .flags = LAST,
	      .tamper = CUT_DATA)),
	DROPS("silence", NOTHING(SILENCE)),
	{ .name = NULL }
};

/*
 * Answers to a READ of 8 sectors.  @number, @sector: off what was asked.  @served:
 * with the right content, which the reader gets; else with a wrong one.
 */
struct read_answer {
	const char *name;
	int kept, served, times;
	enum tamper tamper;
	int number, sector;
	uint16_t flags;
	uint32_t sectors, length;
};

static const struct read_answer read_answers[] = {
	{ "what was asked for", 1, 1, 1, .sectors = 8, .length = 4096 },
	{ "that it cannot read either", 1, 0, 1, .sectors = 0 },
	{ "a checksum that is wrong", 0, 0, 1, DATA_CRC, .sectors = 8, .length = 4096 },
	{ "half of it", 0, 0, 1, CUT_DATA, .sectors = 8, .length = 4096 },
	{ "to another question", 0, 0, 1, .number = 1, .sectors = 8, .length = 4096 },
	{ "to an earlier question", 0, 0, 1, .number = -1, .sectors = 8, .length = 4096 },
	{ "other sectors", 0, 0, 1, .sector = 8, .sectors = 8, .length = 4096 },
	{ "fewer sectors", 0, 0, 1, .sectors = 4, .length = 2048 },
	{ "more sectors", 0, 0, 1, .sectors = 16, .length = 8192 },
	{ "most sectors there are", 0, 0, 1, .sectors = -1U, .length = 4096 },
	{ "less data", 0, 0, 1, .sectors = 8, .length = 2048 },
	{ "more data", 0, 0, 1, .sectors = 8, .length = 8192 },
	{ "no data", 0, 0, 1, .sectors = 8 },
	{ "data of no sectors", 0, 0, 1, .length = 4096 },
	{ "a flag", 0, 0, 1, .flags = FIRST, .sectors = 8, .length = 4096 },
	{ "it twice", 0, 1, 2, .sectors = 8, .length = 4096 },
	{ .name = NULL }
};

#endif /* SELFTESTS_FRAMES_H */
