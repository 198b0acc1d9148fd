/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The snapshot file: specification, and the code that seals and opens its
 * metadata frames (format.c).
 *
 * A snapshot is a valid zstd stream.  Content stands in ordinary zstd frames,
 * everything else in skippable frames, which a plain decoder passes over: of a
 * full snapshot `zstd -dc` makes the raw image.  The seek table of zstd's
 * seekable format comes last, so that its readers find any byte.
 *
 *	full      = SUPER ( SEGMENT chunk* )* STAMPS* TRAILER SEEKTABLE
 *	delta     = SUPER STAMPS+ HOLDS+ ( SEGMENT chunk* )* TRAILER SEEKTABLE
 *	metadata  = struct snap_head, payload
 *	chunk     = one zstd frame with content size and content checksum
 *
 * All integers are little-endian.  A file is written in one forward pass and
 * can be read in one.
 *
 * SUPER	first, once: whose image this is (struct snap_super, followed by
 *	the volume's history).
 *
 * SEGMENT	announces the chunks that stand directly behind it, at most
 *	SNAP_SEGMENT_CHUNKS: for each its digest, its size in the file and
 *	unpacked, and where its bytes belong in the image (extents).  A reader
 *	thus knows place and digest before it unpacks, even from a pipe.
 *	payload = struct snap_segment, snap_chunk[chunks], snap_extent[extents];
 *	the extents of all chunks stand in the order of the chunks.
 *	A full snapshot covers the image from 0 to its end without a gap; every
 *	chunk is chunk_size long but the last, and has one extent, flagged
 *	SNAP_EXTENT_NEVER if nothing in it was ever written (so that from a
 *	pipe, too, such parts of a volume need not be touched).
 *	A delta holds the regions that differ from its parent and nothing else.
 *	Its extents ascend strictly, begin at multiples of SNAP_EXTENT_ALIGN
 *	and end at such or at the end of the image; a chunk has at most
 *	SNAP_CHUNK_EXTENTS.  One flagged SNAP_EXTENT_ZERO reads as zeros and has
 *	no bytes in the chunk; the regions of one flagged SNAP_EXTENT_DOUBT
 *	changed while they were read and are in doubt, whatever STAMPS say.
 *
 * STAMPS	the stamp map (see kmod/uapi/blkcast_lsn.h), in ascending pieces of
 *	at most SNAP_STAMPS_PIECE stamps, each a zstd frame of u64 inside the
 *	skippable frame: payload = struct snap_stamps, zstd frame.  The map is
 *	complete or absent (SNAP_SUPER_STAMPS).  All pieces stand together,
 *	behind the chunks; in a delta directly behind SUPER, so that a reader
 *	can check the base before it writes.  A region's stamp here is the
 *	stamp of exactly the content in this file (in a delta: or in its
 *	parent), BLKCAST_LSN_NEVER if it was never written (its content is
 *	zeros), or BLKCAST_LSN_DOUBT if it changed while it was being read or
 *	was in doubt itself.
 *
 * HOLDS	delta: which regions it holds, a bit a region, in ascending pieces
 *	of at most SNAP_HOLDS_PIECE regions, each a zstd frame of bytes: payload
 *	= struct snap_holds, zstd frame.  Of a base that this delta fits, any
 *	other region has the stamp that STAMPS give it, under the same reign.
 *
 * TRAILER	once, behind everything that counts: totals, the root hash, and what
 *	is only known at the end, such as SNAP_TRAILER_FUZZY.  A file without
 *	it was cut short and is refused.
 *
 * SEEKTABLE	the seek table of zstd's seekable format: skippable magic
 *	SNAP_SEEK_MAGIC, u32 length; for every frame before it, metadata too,
 *	u32 size in the file and u32 size unpacked (0 for metadata); then u32
 *	number of frames, u8 descriptor (0: no checksums), u32 SNAP_SEEK_FOOTER.
 *	Nothing follows it.
 *
 * Digests: a chunk's digest is the XXH64 (seed 0) of its unpacked bytes, whose
 * low half is also the zstd frame's own checksum.  The root hash is the XXH64
 * over all digests as stored, in the order of the chunks; stamps_root is that
 * over all stamps as stored.  crc is the crc32c (Castagnoli, initial value ~0,
 * inverted at the end) of a metadata frame from its first to its last byte,
 * the crc field as zero.
 *
 * Versions: each metadata frame has a version of its own.  Bits and versions
 * that a reader does not know are refused, never ignored; room for additions
 * is in the reserved fields, which are written as zeros, and in new flags.
 *
 * Limits hold for writers and are checked by readers before memory is taken.
 */
#ifndef SNAPSHOT_FORMAT_H
#define SNAPSHOT_FORMAT_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>

#include "blkcast_disk.h"

#define SNAP_SKIP_MAGIC		0x184D2A5BU
#define SNAP_SEEK_MAGIC		0x184D2A5EU
#define SNAP_SEEK_FOOTER	0x8F92EAB1U
#define SNAP_ZSTD_MAGIC		0xFD2FB528U
#define SNAP_MAGIC		"blksnap\x01"	/* 8 bytes, no terminator */

#define SNAP_CHUNK_SIZE		(1U << 20)	/* what the writer uses */
#define SNAP_CHUNK_MIN		(1U << 16)
#define SNAP_CHUNK_MAX		(1U << 22)
#define SNAP_BYTES_MAX		(1ULL << 46)	/* 64 TiB */
#define SNAP_SEGMENT_CHUNKS	64
#define SNAP_CHUNK_EXTENTS	64
#define SNAP_SEGMENT_EXTENTS	(SNAP_SEGMENT_CHUNKS * SNAP_CHUNK_EXTENTS)
#define SNAP_EXTENT_ALIGN	4096
#define SNAP_STAMPS_PIECE	(1U << 17)	/* 1 MiB of stamps */
#define SNAP_HOLDS_PIECE	(1U << 23)	/* 1 MiB of bits */
#define SNAP_PAYLOAD_MAX	(1U << 21)
#define SNAP_FRAMES_MAX		(1U << 27)	/* of the seekable format */

enum snap_type {
	SNAP_SUPER	= 1,
	SNAP_SEGMENT	= 2,
	SNAP_STAMPS	= 3,
	SNAP_TRAILER	= 4,
	SNAP_HOLDS	= 5,
};

#define SNAP_VERSION		1	/* of every type, so far */

/**
 * struct snap_head - begin of every metadata frame
 * @skip_magic: SNAP_SKIP_MAGIC
 * @skip_length: bytes of the frame behind this field
 * @magic: SNAP_MAGIC
 * @type: enum snap_type
 * @version: SNAP_VERSION
 * @length: bytes of payload, at most SNAP_PAYLOAD_MAX
 * @crc: crc32c of the whole frame
 * @reserved: 0
 * @offset: where in the file this frame begins
 */
struct snap_head {
	__le32 skip_magic;
	__le32 skip_length;
	__u8   magic[8];
	__le16 type;
	__le16 version;
	__le32 length;
	__le32 crc;
	__le32 reserved;
	__le64 offset;
};

/* snap_super.flags */
#define SNAP_SUPER_STAMPS	(1U << 0)	/* of a volume: carries its stamp map */
#define SNAP_SUPER_DELTA	(1U << 1)	/* holds what differs from @parent */
#define SNAP_SUPER_FLAGS	0x3U

/**
 * struct snap_super - payload of SUPER
 * @id: random uuid of this snapshot
 * @volume: uuid of the volume; zeros: image of no volume
 * @node: uuid of the copy that was read
 * @parent: id of the snapshot this is a delta to; zeros: full
 * @parent_root: root hash of the parent
 * @bytes: size of the image
 * @created: when reading began, ns since 1970 (UTC)
 * @lsn: the copy's newest LSN when reading began
 * @chunk_size: bytes, a power of two
 * @region_shift: log2 of the bytes a stamp covers; 0 without stamps
 * @flags: SNAP_SUPER_*
 * @term: highest term the copy had seen
 * @reigns: entries of @history
 * @name: the volume's name or the image's file name, terminated; for people
 * @history: term history that the stamps belong to, oldest first
 */
struct snap_super {
	__u8   id[16];
	__u8   volume[16];
	__u8   node[16];
	__u8   parent[16];
	__le64 parent_root;
	__le64 bytes;
	__le64 created;
	__le64 lsn;
	__le32 chunk_size;
	__le32 region_shift;
	__le32 flags;
	__le32 term;
	__le32 reigns;
	__u8   reserved[60];
	__u8   name[BLKCAST_NAME_MAX];
	struct blkcast_reign history[];
};

/**
 * struct snap_chunk - one chunk, as announced by its SEGMENT
 * @digest: XXH64 of the unpacked bytes
 * @stored: size of its zstd frame in the file
 * @bytes: size unpacked, the sum over its extents that are not zero
 * @extents: number of its extents, 1..SNAP_CHUNK_EXTENTS
 * @flags: none yet, 0
 */
struct snap_chunk {
	__le64 digest;
	__le32 stored;
	__le32 bytes;
	__le32 extents;
	__le32 flags;
};

/* snap_extent.flags */
#define SNAP_EXTENT_ZERO	(1U << 0)	/* delta: reads as zeros, no bytes */
#define SNAP_EXTENT_NEVER	(1U << 1)	/* full: zeros, the stamps NEVER or in doubt */
#define SNAP_EXTENT_DOUBT	(1U << 2)	/* delta: no stamp is this content's */
#define SNAP_EXTENT_FLAGS	0x7U

/**
 * struct snap_extent - where some bytes of a chunk belong
 * @offset: byte offset in the image
 * @bytes: length
 * @flags: SNAP_EXTENT_*
 */
struct snap_extent {
	__le64 offset;
	__le32 bytes;
	__le32 flags;
};

/**
 * struct snap_segment - payload of SEGMENT, followed by its arrays
 * @index: number of the segment, from 0
 * @first: number of its first chunk
 * @chunks: 1..SNAP_SEGMENT_CHUNKS
 * @extents: at most SNAP_SEGMENT_EXTENTS
 */
struct snap_segment {
	__le64 index;
	__le64 first;
	__le32 chunks;
	__le32 extents;
	struct snap_chunk chunk[];
};

/**
 * struct snap_stamps - payload of STAMPS, followed by a zstd frame
 * @first: region of the first stamp
 * @count: number of stamps, 1..SNAP_STAMPS_PIECE
 */
struct snap_stamps {
	__le32 first;
	__le32 count;
};

/**
 * struct snap_holds - payload of HOLDS, followed by a zstd frame
 * @first: region of the first bit, a multiple of 8
 * @count: number of regions, 1..SNAP_HOLDS_PIECE; bit n % 8 of byte n / 8 is
 *	that of region @first + n, bits beyond @count are 0
 */
struct snap_holds {
	__le32 first;
	__le32 count;
};

/* snap_trailer.flags */
#define SNAP_TRAILER_FUZZY	(1U << 0)	/* the image is not of one moment */
#define SNAP_TRAILER_FLAGS	0x1U

/**
 * struct snap_trailer - payload of TRAILER
 * @id: as in SUPER
 * @root: root hash over the digests
 * @stamps_root: hash over the stamps, 0 without
 * @segments: number of SEGMENT frames
 * @chunks: number of chunks
 * @bytes: unpacked bytes of all chunks
 * @lsn: the copy's newest LSN when reading ended
 * @finished: when reading ended, ns since 1970 (UTC)
 * @stamps_offset: where the first STAMPS frame begins, 0 without
 * @stamps_frames: number of STAMPS frames
 * @regions: number of stamps
 * @never: stamps that are BLKCAST_LSN_NEVER
 * @doubt: stamps that are BLKCAST_LSN_DOUBT
 * @flags: SNAP_TRAILER_*
 */
struct snap_trailer {
	__u8   id[16];
	__le64 root;
	__le64 stamps_root;
	__le64 segments;
	__le64 chunks;
	__le64 bytes;
	__le64 lsn;
	__le64 finished;
	__le64 stamps_offset;
	__le32 stamps_frames;
	__le32 regions;
	__le32 never;
	__le32 doubt;
	__le32 flags;
	__u8   reserved[28];
};

struct snap_seek_entry {
	__le32 stored;
	__le32 bytes;
};

_Static_assert(sizeof(struct snap_head) == 40, "head");
_Static_assert(sizeof(struct snap_super) == 240, "super");
_Static_assert(sizeof(struct snap_segment) == 24, "segment");
_Static_assert(sizeof(struct snap_chunk) == 24, "chunk");
_Static_assert(sizeof(struct snap_extent) == 16, "extent");
_Static_assert(sizeof(struct snap_stamps) == 8, "stamps");
_Static_assert(sizeof(struct snap_holds) == 8, "holds");
_Static_assert(sizeof(struct snap_trailer) == 128, "trailer");
_Static_assert(sizeof(struct snap_seek_entry) == 8, "seek entry");

/* Everything a frame's skip_length counts beside the payload. */
#define SNAP_HEAD_SKIPPED	(sizeof(struct snap_head) - 8)
#define SNAP_SEEK_HEAD		8
#define SNAP_SEEK_FOOT		9

/**
 * snap_head_seal() - complete the metadata frame at @frame
 * @frame: a snap_head to fill, followed by @length bytes of payload
 * @offset: where in the file the frame will stand
 */
void snap_head_seal(void *frame, enum snap_type type, size_t length, uint64_t offset);

/**
 * snap_head_check() - check a head before its payload is read
 * @offset: where in the file it stood
 *
 * Return: NULL, or what is wrong.
 */
const char *snap_head_check(const struct snap_head *head, uint64_t offset);

/* Check the crc of a whole frame whose head has passed.  NULL or what is wrong. */
const char *snap_frame_check(const void *frame);

/* Check fields and limits of a payload of @length bytes.  NULL or what is wrong. */
const char *snap_super_check(const struct snap_super *super, size_t length);
const char *snap_segment_check(const struct snap_segment *segment, size_t length,
			       uint32_t chunk_size);
const char *snap_stamps_check(const struct snap_stamps *stamps, size_t length);
const char *snap_holds_check(const struct snap_holds *holds, size_t length);
const char *snap_trailer_check(const struct snap_trailer *trailer, size_t length);

/* The extents of a segment stand behind its chunks. */
static inline const struct snap_extent *snap_segment_extents(const struct snap_segment *segment)
{
	return (const void *)(segment->chunk + le32toh(segment->chunks));
}

/* Bytes of a bitmap of so many regions. */
static inline size_t snap_holds_bytes(uint64_t regions)
{
	return (regions + 7) / 8;
}

static inline int snap_held(const uint8_t *holds, uint64_t r)
{
	return holds[r / 8] >> r % 8 & 1;
}

/* Number of regions an image of this size has. */
uint64_t snap_regions(const struct snap_super *super);

/* Bytes of region @r: the last may be short. */
uint64_t snap_region_bytes(const struct snap_super *super, uint64_t r);

/* Unpacked size of chunk @index of a full snapshot. */
uint32_t snap_chunk_bytes(uint64_t bytes, uint32_t chunk_size, uint64_t index);

#endif /* SNAPSHOT_FORMAT_H */
