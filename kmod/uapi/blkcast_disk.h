/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * blkcast: what stands on disk.
 *
 * The metadata of a volume's copy lie at the *end* of the metadata device,
 * whose size is first rounded down to 4 KiB and must be 2 MiB or more.  Internal
 * metadata: the metadata device is the backing device, so that an existing
 * filesystem stays where it is.  External: any other block device (a file becomes
 * a loop device).
 *
 *	                      super_area (1 MiB)
 *	... | map, two slots a block | super 0 |   reserved   | super 1 | end
 *	    ^ map_offset             ^ end - 1 MiB            ^ end - 4 KiB
 *
 * The superblock is written to both places, 0 first, each write flushed before
 * the next begins.  A reader takes the valid copy of the higher generation.
 *
 * The map holds one stamp (an LSN) for each region of the volume, in blocks of
 * 4 KiB.  Block i has two slots, at map_offset + 8192 * i and 4096 behind it.
 * A writer overwrites the slot that does not hold the current block and counts
 * generation up; a reader takes the slot of the higher generation.  The head of a
 * block, all but its stamps, has a checksum of its own and lies in one sector, which
 * is written whole or not at all.  So a torn write has the old head, or the new one
 * with stamps that do not fit it: then what it marks as touched is in doubt, as in
 * one whose stamps have rotted.  A slot without a good head may have been the newer
 * one (unless it is empty and the other's generation is 1): the block is lost, its
 * regions are in doubt and count as touched.
 *
 * One block's regions form a *group*, which has one active bit.  The bit is on
 * stable storage before the first write into the group.  While it is set, the
 * stamps in the block mean nothing (exact ones live in memory) but the touched
 * marks do: a region without one was never written and reads as zeros.  After
 * a crash every touched region of an active group is in doubt.
 *
 * User space touches metadata only while the volume is down, the kernel only
 * while it is up.  All integers are little-endian, checksums are crc32c
 * (Castagnoli, initial value ~0, inverted at the end) over the whole 4 KiB
 * block with the crc field as zero.
 */
#ifndef _UAPI_BLKCAST_DISK_H
#define _UAPI_BLKCAST_DISK_H

#include <linux/types.h>

#define BLKCAST_BLOCK_SIZE	4096
#define BLKCAST_SUPER_AREA	(1U << 20)
#define BLKCAST_META_DEVICE_MIN	(2 * BLKCAST_SUPER_AREA)
#define BLKCAST_DISK_VERSION	2
#define BLKCAST_SUPER_MAGIC	"blkcast\x01"	/* 8 bytes, no terminator */
#define BLKCAST_MAP_MAGIC	0x70616d62	/* "bmap" */

#define BLKCAST_NAME_MAX	64	/* with the terminator */
#define BLKCAST_REGION_SHIFT_MIN 16	/* 64 KiB */
#define BLKCAST_REGION_SHIFT_MAX 22	/* 4 MiB */
/* 128 MiB of stamps in memory; 64 TiB with the largest region. */
#define BLKCAST_REGIONS_MAX	(1U << 24)

#define BLKCAST_HISTORY_MAX	128
#define BLKCAST_MEMBERS_MAX	32

/**
 * struct blkcast_reign - one reign of one primary
 * @term: the reign's term, 1..BLKCAST_TERM_MAX
 * @copy: first four bytes of the id (@node) of the copy that was its primary
 * @reign: random id; the same term under two ids is split brain
 * @inherited: LSN up to which the reign holds what the reign before wrote
 *	(0: it is the first, or nobody can say)
 */
struct blkcast_reign {
	__le32 term;
	__u8   copy[4];
	__le64 reign;
	__le64 inherited;
};

/* blkcast_super.flags */
#define BLKCAST_SUPER_INCONSISTENT (1U << 0)	/* under resync: no content of one moment */
#define BLKCAST_SUPER_INCOMPLETE   (1U << 1)	/* a restore did not finish: refuse to go up */
#define BLKCAST_SUPER_INTERNAL	   (1U << 2)	/* metadata share the backing device */
#define BLKCAST_SUPER_PRIMARY	   (1U << 3)	/* was primary and has not laid it down */
#define BLKCAST_SUPER_DISCARD	   (1U << 4)	/* the operator gives this copy's own writes up */
#define BLKCAST_SUPER_OWN	   (1U << 5)	/* the newest reign of @history was this copy's */
#define BLKCAST_SUPER_MANAGED	   (1U << 6)	/* user space alone changes the in-sync set */
#define BLKCAST_SUPER_KNOWN_FLAGS  0x7fU

/* No generation comes that far: who finds one has not found what was written. */
#define BLKCAST_GENERATION_END	(1ULL << 63)

/**
 * struct blkcast_super - the superblock, one 4 KiB block
 * @magic: BLKCAST_SUPER_MAGIC
 * @crc: crc32c of the block
 * @version: BLKCAST_DISK_VERSION; others are refused
 * @generation: counts superblock writes, below BLKCAST_GENERATION_END
 * @volume: uuid of the volume, equal on all its copies
 * @node: uuid of this copy
 * @sectors: size of the volume in 512-byte sectors
 * @data_start: first sector of the volume on the backing device
 * @map_offset: byte offset of the map on the metadata device
 * @regions: number of regions, the last one may be short
 * @map_blocks: ceil(regions / BLKCAST_MAP_STAMPS)
 * @region_shift: log2 of the region size in bytes; fixed at creation
 * @flags: BLKCAST_SUPER_*
 * @term: highest term seen, promised to nobody lower
 * @reigns: number of entries in @history; the last is the reign whose writes
 *	this copy follows
 * @name: name of the volume at creation, for people who find a stray disk
 * @history: the reigns, oldest first; when full the oldest fall out
 * @position: LSN up to which this copy is the stream and nothing else, since it
 *	went down cleanly as a replica; 0: not known.  Durably cleared before
 *	anything changes
 * @members: number of entries in @member
 * @reserved0: 0
 * @member: @node of each replica that holds every write that was acknowledged in
 *	the newest reign of @history: as this copy recorded it if that was its own
 *	reign, else as that reign's primary told it last.  A replica that fits no
 *	more is left out: that only means an operator is asked once more
 * @heir: @node of the only copy that may begin the next reign unasked: the newest
 *	reign of @history is over, or had no replica yet, and the heir holds all of
 *	it; as does this copy.  Zeros: nobody has told this copy.  A primary
 *	forgets it durably before it is told to another (kmod/reign.c)
 */
struct blkcast_super {
	__u8   magic[8];
	__le32 crc;
	__le32 version;
	__le64 generation;
	__u8   volume[16];
	__u8   node[16];
	__le64 sectors;
	__le64 data_start;
	__le64 map_offset;
	__le32 regions;
	__le32 map_blocks;
	__le32 region_shift;
	__le32 flags;
	__le32 term;
	__le32 reigns;
	__u8   name[BLKCAST_NAME_MAX];
	struct blkcast_reign history[BLKCAST_HISTORY_MAX];
	__le64 position;
	__le32 members;
	__le32 reserved0;
	__u8   member[BLKCAST_MEMBERS_MAX][16];
	__u8   heir[16];
	__u8   reserved[312];
};

#define BLKCAST_MAP_STAMPS	480
#define BLKCAST_MAP_HEAD	256	/* bytes before the stamps */
#define BLKCAST_MAP_BITS_BYTES	(BLKCAST_MAP_STAMPS / 8)

/* blkcast_map_block.flags */
#define BLKCAST_MAP_ACTIVE	(1U << 0)

/**
 * struct blkcast_map_block - stamps of one group, one 4 KiB block
 * @magic: BLKCAST_MAP_MAGIC
 * @crc: crc32c of the block
 * @generation: counts writes of this block, from 1, below BLKCAST_GENERATION_END
 * @volume: uuid of the volume, so that a block of an older life is not taken
 * @index: number of the block
 * @flags: BLKCAST_MAP_*
 * @head_crc: crc32c of the bytes from @generation to @stamps, with this field as
 *	zero; computed before @crc (0: written before there was this field)
 * @touched: a bit a region, least significant first: was ever written
 * @bad: a bit a region: the backing device failed here (reserved, 0)
 * @stamps: LSN of the last write to each region; BLKCAST_LSN_DOUBT in a
 *	block that a restore has written for a region it could not stamp
 *	(such a block is also active)
 */
struct blkcast_map_block {
	__le32 magic;
	__le32 crc;
	__le64 generation;
	__u8   volume[16];
	__le32 index;
	__le32 flags;
	__le32 head_crc;
	__u8   reserved[92];
	__u8   touched[BLKCAST_MAP_BITS_BYTES];
	__u8   bad[BLKCAST_MAP_BITS_BYTES];
	__le64 stamps[BLKCAST_MAP_STAMPS];
};

#ifdef __KERNEL__
static_assert(sizeof(struct blkcast_super) == BLKCAST_BLOCK_SIZE);
static_assert(sizeof(struct blkcast_map_block) == BLKCAST_BLOCK_SIZE);
static_assert(offsetof(struct blkcast_map_block, stamps) == BLKCAST_MAP_HEAD);
#else
_Static_assert(sizeof(struct blkcast_super) == BLKCAST_BLOCK_SIZE, "super");
_Static_assert(sizeof(struct blkcast_map_block) == BLKCAST_BLOCK_SIZE, "map");
#endif

#endif /* _UAPI_BLKCAST_DISK_H */
