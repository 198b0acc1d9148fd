/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * blkcast: what travels between the kernels of a primary and a replica.
 *
 * The daemons connect, prove themselves to each other and agree (control
 * messages in user space, see tools/daemon); then each hands its end of the
 * connection to its kernel.  From there on only the frames below travel: a
 * header of 64 bytes, followed by @length bytes of payload.  All integers are
 * little-endian.
 *
 * Primary to replica, in this order on every link:
 *
 *	WRITE ZEROES	a write, with its LSN; LSNs rise along the stream
 *	FLUSH		everything before it must be flushed before anything
 *			after it is applied (a barrier); it has an LSN of its own
 *	NOP		nothing, but moves the position of the stream to its LSN
 *	GAP		the stream is about to leave holes: mark the copy
 *			inconsistent, durably, before going on
 *	REGION		a piece of a region's content as of stamp @lsn; pieces
 *			ascend, the first and the last are flagged; without gaps,
 *			unless the first is flagged SPARSE: then what is left out
 *			is equal, and the first and the last have no content
 *	FORGET		the region was never written here: it reads as zeros
 *	DONE		all regions are equal now: flush, clear the mark, answer
 *	COMPARE		answer with HASHES of the region's blocks
 *	MAP		answer with STAMPS
 *	MEMBERS		the in-sync set, the id of each copy: to be recorded
 *	HANDOVER	the reign is over, @lsn was its last: flush, record the heir
 *			(payload: the id of its copy), answer.  Nothing may follow
 *			that changes the copy
 *	SIZE		the volume has @sector sectors from here on; what is beyond
 *			the size before was never written
 *	PING		answer with an ACK that tells the room.  @sector: when this is
 *			applied the copy shows what was done until then, in ns of the
 *			replica's clock (fresh.c); 0: not known
 *	READ		answer with DATA: what the stream up to here has made of these
 *			sectors.  Only if agreed (BLKCAST_WIRE_READ), and of a copy
 *			that is in sync
 *
 * Replica to primary:
 *
 *	POSITION	once, first: this copy holds all of the stream up to
 *			@lsn and nothing else; 0: it cannot say so.  The primary
 *			goes on from there if its backlog reaches back so far,
 *			else it asks for the MAP.  @sector: its size; the primary
 *			sends SIZE first if its own is another
 *	STAMPS		once, in ascending pieces: the replica's stamp map
 *	HASHES		answer to COMPARE: a hash of each block of the region
 *	ACK		positions reached, cumulative.  @sectors: PINGs are wanted at
 *			least every so many ms, under load too; 0: no wish.  @sector:
 *			the replica's CLOCK_MONOTONIC in ns
 *	DONE_OK		answer to DONE, echoing its @lsn
 *	HANDED		answer to HANDOVER, echoing its @lsn: all is durable
 *	DATA		answer to the READ whose @seq is @lsn, echoing its @sector and
 *			@sectors, with the content; without content and @sectors 0:
 *			this copy cannot read them either
 *	ERROR		the replica failed locally and leaves; @lsn is an errno
 *
 * A side that meets anything else, a checksum that does not match, a field out
 * of its range or a term that is not the link's, drops the link.
 */
#ifndef _UAPI_BLKCAST_WIRE_H
#define _UAPI_BLKCAST_WIRE_H

#include <linux/types.h>

/* Agreed by the daemons: both sides use the lower version, the common bits. */
#define BLKCAST_WIRE_VERSION	1
#define BLKCAST_WIRE_READ	(1ULL << 0)	/* READ and DATA */
#define BLKCAST_WIRE_FEATURES	BLKCAST_WIRE_READ

#define BLKCAST_FRAME_MAGIC	0x31464342	/* "BCF1" */
#define BLKCAST_PAYLOAD_MAX	(256U << 10)
#define BLKCAST_STAMPS_MAX	(BLKCAST_PAYLOAD_MAX / 8)

/*
 * Regions in doubt, or under verification, are compared in blocks of 4 KiB (the
 * last of a volume may be short) by BLAKE2s with 16 bytes of output.  A replica
 * hashes what the stream up to COMPARE has made of the region.
 */
#define BLKCAST_COMPARE_BLOCK	4096
#define BLKCAST_HASH_SIZE	16
#define BLKCAST_COMPARE_MAX	64	/* asked and not yet answered, ... */
#define BLKCAST_COMPARE_BYTES	(8U << 20)	/* ... in so many bytes, or one region */

#define BLKCAST_READS_MAX	16	/* READs not yet answered */

enum blkcast_frame_type {
	BLKCAST_FRAME_WRITE	= 1,
	BLKCAST_FRAME_ZEROES	= 2,
	BLKCAST_FRAME_FLUSH	= 3,
	BLKCAST_FRAME_NOP	= 4,
	BLKCAST_FRAME_GAP	= 5,
	BLKCAST_FRAME_REGION	= 6,
	BLKCAST_FRAME_FORGET	= 7,
	BLKCAST_FRAME_DONE	= 8,
	BLKCAST_FRAME_PING	= 9,
	BLKCAST_FRAME_COMPARE	= 10,
	BLKCAST_FRAME_MAP	= 11,
	BLKCAST_FRAME_SIZE	= 12,
	BLKCAST_FRAME_MEMBERS	= 13,
	BLKCAST_FRAME_HANDOVER	= 14,
	BLKCAST_FRAME_READ	= 15,

	BLKCAST_FRAME_STAMPS	= 64,
	BLKCAST_FRAME_ACK	= 65,
	BLKCAST_FRAME_DONE_OK	= 66,
	BLKCAST_FRAME_ERROR	= 67,
	BLKCAST_FRAME_POSITION	= 68,
	BLKCAST_FRAME_HASHES	= 69,
	BLKCAST_FRAME_HANDED	= 70,
	BLKCAST_FRAME_DATA	= 71,
};

/* blkcast_frame.flags */
#define BLKCAST_FRAME_FIRST	(1U << 0)	/* REGION: first piece */
#define BLKCAST_FRAME_LAST	(1U << 1)	/* REGION, STAMPS: last piece */
#define BLKCAST_FRAME_SPARSE	(1U << 2)	/* REGION, first: equal blocks left out */
#define BLKCAST_FRAME_RECEIPT	(1U << 3)	/* WRITE ZEROES FLUSH: its receipt is waited for */

/**
 * struct blkcast_frame - the header of every frame
 * @magic: BLKCAST_FRAME_MAGIC
 * @crc: crc32c of this header with this field as zero
 * @data_crc: crc32c of the payload, 0 without one
 * @type: enum blkcast_frame_type
 * @flags: BLKCAST_FRAME_*
 * @length: bytes of payload, at most BLKCAST_PAYLOAD_MAX
 * @term: term of the primary of this link, in both directions
 * @seq: number of this frame on this link and direction, from 1
 * @lsn: WRITE ZEROES FLUSH NOP: its LSN.  REGION: the region's stamp.
 *	DONE, DONE_OK: number of the attempt.  ERROR: errno.  POSITION, HANDOVER,
 *	HANDED, DATA: see above
 * @sector: WRITE ZEROES REGION READ DATA: first sector.  FORGET COMPARE HASHES: region.
 *	STAMPS: first region.  SIZE, POSITION: the volume's number of sectors
 * @sectors: WRITE ZEROES REGION READ DATA: number of sectors, within one region.
 *	STAMPS: number of stamps.  HASHES: number of blocks.  MEMBERS: of copies
 * @reserved: 0
 * @time: primary's CLOCK_MONOTONIC in ns when it sent the frame; an ACK
 *	echoes the time of the newest frame that was received as it came
 */
struct blkcast_frame {
	__le32 magic;
	__le32 crc;
	__le32 data_crc;
	__le16 type;
	__le16 flags;
	__le32 length;
	__le32 term;
	__le64 seq;
	__le64 lsn;
	__le64 sector;
	__le32 sectors;
	__le32 reserved;
	__le64 time;
};

/**
 * struct blkcast_ack - payload of ACK: how far the replica has come
 * @received: highest LSN of the stream such that all frames up to it are here
 * @applied: ... are written to the backing device
 * @durable: ... are flushed there
 * @seq_applied: highest frame such that all frames up to it are applied
 * @held_ns: from the receipt of the frame whose time is echoed to the sending
 *	of this ACK
 * @apply_ns: receipt to applied, of the newest applied write
 * @flush_ns: duration of the newest flush
 * @reads: that this copy's device has served since it is up
 * @room: sectors that this copy's devices could hold, 0: as said last
 *
 * Durations are measured by the replica's own clock; the two hosts' clocks are
 * never subtracted.
 */
struct blkcast_ack {
	__le64 received;
	__le64 applied;
	__le64 durable;
	__le64 seq_applied;
	__le64 held_ns;
	__le64 apply_ns;
	__le64 flush_ns;
	__le64 reads;
	__le64 room;
};

#ifdef __KERNEL__
static_assert(sizeof(struct blkcast_frame) == 64);
static_assert(sizeof(struct blkcast_ack) == 72);
#else
_Static_assert(sizeof(struct blkcast_frame) == 64, "frame");
_Static_assert(sizeof(struct blkcast_ack) == 72, "ack");
#endif

#endif /* _UAPI_BLKCAST_WIRE_H */
