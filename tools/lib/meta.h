/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A volume's metadata on disk, for volumes that are down (kmod/uapi/
 * blkcast_disk.h is the format).  The kernel owns them while a volume is up:
 * callers hold the device exclusively (bc_blockdev with BC_BLOCKDEV_EXCL).
 *
 * Invariants:
 *  1. A superblock goes to both places, the first flushed before the second
 *     is begun, with a generation above both of those found.
 *  2. A map block goes to the slot that does not hold the current one.
 *  3. Formatting makes both superblocks invalid before it touches the map,
 *     and writes them last.
 *
 * Stamps in arrays are in host order; BLKCAST_LSN_NEVER means never written,
 * BLKCAST_LSN_DOUBT in doubt.
 */
#ifndef BC_META_H
#define BC_META_H

#include <stdbool.h>
#include <stdint.h>

#include "blkcast_disk.h"
#include "blkcast_lsn.h"
#include "error.h"

/**
 * struct bc_super - the superblock, decoded
 * @map_offset: in bytes, on the metadata device
 * @history: @reigns entries, oldest first, still little-endian
 * The rest: struct blkcast_super, in host order.
 */
struct bc_super {
	uint64_t generation;
	uint8_t volume[16], node[16];
	uint64_t sectors, data_start, map_offset;
	uint32_t regions, map_blocks, region_shift, flags, term, reigns;
	char name[BLKCAST_NAME_MAX];
	struct blkcast_reign history[BLKCAST_HISTORY_MAX];
	uint64_t position;
	uint32_t members;
	uint8_t member[BLKCAST_MEMBERS_MAX][16];
	uint8_t heir[16];
};

/* What stands where a block of metadata should be. */
enum bc_block_state {
	BC_BLOCK_NONE,		/* superblock: no magic; map: no head, never written */
	BC_BLOCK_UNREADABLE,	/* the device reports an error */
	BC_BLOCK_DAMAGED,	/* wrong checksum */
	BC_BLOCK_FOREIGN,	/* map: whole, but of another volume or place, or a generation
				 * that cannot be */
	BC_BLOCK_HEAD,		/* map: the head is good, the stamps are torn or rotten */
	BC_BLOCK_GOOD,
};

/**
 * struct bc_super_copy - one of the two superblocks
 * @offset: in bytes, on the metadata device
 * @version: of the format, where @state is BC_BLOCK_GOOD, as is @super
 */
struct bc_super_copy {
	uint64_t offset;
	enum bc_block_state state;
	uint32_t version;
	struct bc_super super;
};

/**
 * struct bc_meta - open metadata
 * @fd: of the metadata device or file, O_DIRECT where possible; borrowed
 * @size: of it in bytes, rounded down to BLKCAST_BLOCK_SIZE; less if it has been
 *	enlarged since: the metadata end here
 * @path: for messages; borrowed
 * @super: as on disk, changed by the caller before bc_meta_super_write()
 * @bad_copies: of the two superblocks, how many were damaged (0 or 1)
 */
struct bc_meta {
	int fd;
	uint64_t size;
	const char *path;
	struct bc_super super;
	int bad_copies;
};

/* What is known of a region. */
enum bc_region_state {
	BC_REGION_NEVER,	/* never written: reads as zeros */
	BC_REGION_WRITTEN,	/* holds what its stamp says */
	BC_REGION_DOUBT,	/* will be compared */
	BC_REGION_BAD,		/* the backing device has failed here */
};

/**
 * struct bc_map_block - one block of the map: its slots, and what the kernel
 *	makes of them when it brings the volume up
 * @index: its number
 * @first, @count: its regions
 * @state: of the two slots
 * @generation: of the slots that are BC_BLOCK_HEAD or BC_BLOCK_GOOD
 * @current: the slot that counts; -1: the newest may be lost
 * @disk: that slot, NULL without one
 * @active: its active bit; true without a slot that counts, or if its stamps do not
 * @touched, @regions, @stamps: for each of its regions: was it ever written, its
 *	state, its stamp
 */
struct bc_map_block {
	uint32_t index, first, count;
	enum bc_block_state state[2];
	uint64_t generation[2];
	int current;
	const struct blkcast_map_block *disk;
	bool active;
	bool touched[BLKCAST_MAP_STAMPS];
	enum bc_region_state regions[BLKCAST_MAP_STAMPS];
	uint64_t stamps[BLKCAST_MAP_STAMPS];
};

/**
 * struct bc_layout - what bc_layout_compute() found
 * @bytes: size of the volume
 * @meta_bytes: what the metadata take, with room to grow, at the end of the
 *	metadata device
 * The rest: as in struct bc_super.
 */
struct bc_layout {
	uint64_t bytes, map_offset, meta_bytes;
	uint32_t region_shift, regions, map_blocks;
};

/**
 * struct bc_layout_want - what bc_layout_compute() starts from
 * @backing_bytes: size of the backing device
 * @meta_bytes: size of the metadata device, 0: internal
 * @volume_bytes: wanted size, 0: as large as possible; a multiple of 4 KiB
 * @max_bytes: size to which the volume shall be able to grow, 0: four times its
 *	size, or what there is room for
 * @region_shift: wanted, 0: the smallest with which the map of a volume of
 *	@max_bytes is not too large
 */
struct bc_layout_want {
	uint64_t backing_bytes, meta_bytes, volume_bytes, max_bytes;
	uint32_t region_shift;
};

/*
 * Where things lie.  Internal metadata move when the volume grows, so the map has
 * room for the volume; an external map has room for @max_bytes.
 */
int bc_layout_compute(struct bc_layout *layout, const struct bc_layout_want *want,
		      struct bc_error *error);

/* What external metadata of such a volume need, in bytes. */
uint64_t bc_layout_meta_bytes(uint64_t volume_bytes, uint32_t region_shift);

/* Bytes of region @r: the last may be short. */
uint64_t bc_super_region_bytes(const struct bc_super *super, uint32_t r);

/* The newest history entry, NULL without one. */
const struct blkcast_reign *bc_super_reign(const struct bc_super *super);

/*
 * Take a device whose metadata exist: reads and checks the superblock.
 * -ENODATA: there is none; -EUCLEAN: both copies damaged; -EIO: neither good
 * and not both readable; -EPROTONOSUPPORT: a version or flag of the future; -EINVAL:
 * fields out of range.
 *
 * The same in two steps, for who wants to see both copies: bc_meta_copies()
 * reads them and fails only if the device is too small (-ENODATA);
 * bc_meta_choose() takes the one that counts, *chosen.
 */
int bc_meta_open(struct bc_meta *meta, int fd, uint64_t size, const char *path,
		 struct bc_error *error);
int bc_meta_copies(struct bc_meta *meta, int fd, uint64_t size, const char *path,
		   struct bc_super_copy copies[2], struct bc_error *error);
int bc_meta_choose(struct bc_meta *meta, const struct bc_super_copy copies[2],
		   int *chosen, struct bc_error *error);

/*
 * The same for metadata that ended at byte @known when they were last seen (0:
 * not known): there if the device has been enlarged since, at its end if they
 * have been moved there since.
 */
int bc_meta_open_known(struct bc_meta *meta, int fd, uint64_t size,
		       uint64_t known, const char *path, struct bc_error *error);
/* Where that is: what to take for the device's size in the calls above. */
uint64_t bc_meta_end(int fd, uint64_t size, uint64_t known, const char *path);

/*
 * Write new metadata: @meta->super filled but for generation; the map from
 * @stamps (NULL: all never written).  Everything older is made invalid first.
 */
int bc_meta_format(struct bc_meta *meta, int fd, uint64_t size, const char *path,
		   const uint64_t *stamps, struct bc_error *error);

/* Make both superblocks unreadable: the device holds no copy any more. */
int bc_meta_wipe(struct bc_meta *meta, struct bc_error *error);

/* Write @meta->super to both places (inv. 1), durably. */
int bc_meta_super_write(struct bc_meta *meta, struct bc_error *error);

/* Set and clear BLKCAST_SUPER_* and write, durably. */
int bc_meta_set_flags(struct bc_meta *meta, uint32_t set, uint32_t clear,
		      struct bc_error *error);

/*
 * Call @fn for @blocks blocks of the map from block @first on, in order, until it
 * returns other than 0, which is then the result.  @block is good until it
 * returns.  What cannot be read is BC_BLOCK_UNREADABLE, no failure.  Memory is
 * bounded, however large the map.
 */
int bc_meta_map_walk(struct bc_meta *meta, uint32_t first, uint32_t blocks,
		     int (*fn)(const struct bc_map_block *block, void *arg),
		     void *arg, struct bc_error *error);

/* Neighbouring regions of the same state and stamp. */
struct bc_map_run {
	uint32_t first, count;
	enum bc_region_state state;
	uint64_t stamp;
};

/* Call @fn for each run of regions @first to @last, in order. */
int bc_meta_map_runs(struct bc_meta *meta, uint32_t first, uint32_t last,
		     void (*fn)(const struct bc_map_run *run, void *arg),
		     void *arg, struct bc_error *error);

/*
 * Write the whole map, durably (inv. 2).  A block that holds a region in doubt
 * is written active, so its other touched regions are in doubt as well.
 */
int bc_meta_map_write(struct bc_meta *meta, const uint64_t *stamps,
		      struct bc_error *error);

#endif /* BC_META_H */
