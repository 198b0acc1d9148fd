// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The superblocks of a volume that is down, and formatting as a whole; the map is
 * in meta_map.c.  meta.h has the invariants.
 *
 * Everything is read and written in whole blocks from aligned memory, so that
 * O_DIRECT works.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "meta_block.h"
#include "meta_map.h"
#include "util.h"

static int out_of_memory(struct bc_error *error)
{
	return bc_fail(error, -ENOMEM, "out of memory");
}

uint64_t bc_super_region_bytes(const struct bc_super *super, uint32_t r)
{
	uint64_t start = (uint64_t)r << super->region_shift;
	uint64_t left = super->sectors * 512 - start;
	uint64_t full = 1ULL << super->region_shift;

	return left < full ? left : full;
}

const struct blkcast_reign *bc_super_reign(const struct bc_super *super)
{
	return super->reigns ? &super->history[super->reigns - 1] : NULL;
}

/* --- superblock ------------------------------------------------------- */

static uint64_t super_offset(const struct bc_meta *meta, int copy)
{
	return meta->size - (copy ? BLKCAST_BLOCK_SIZE : BLKCAST_SUPER_AREA);
}

static int super_validate_future(const struct bc_meta *meta, uint32_t version,
				 struct bc_error *error)
{
	uint32_t unknown = meta->super.flags & ~BLKCAST_SUPER_KNOWN_FLAGS;

	if (version != BLKCAST_DISK_VERSION)
		return bc_fail(error, -EPROTONOSUPPORT,
			       "%s: metadata of version %u, this program knows %u: use a newer one",
			       meta->path, version, BLKCAST_DISK_VERSION);
	if (unknown)
		return bc_fail(error, -EPROTONOSUPPORT,
			       "%s: metadata with flags unknown here (%#x): use a newer program",
			       meta->path, unknown);
	return 0;
}

static int super_validate(const struct bc_meta *meta, struct bc_error *error)
{
	const struct bc_super *super = &meta->super;
	uint64_t region_sectors, map_end;

	if (super->region_shift < BLKCAST_REGION_SHIFT_MIN ||
	    super->region_shift > BLKCAST_REGION_SHIFT_MAX ||
	    super->reigns > BLKCAST_HISTORY_MAX ||
	    super->members > BLKCAST_MEMBERS_MAX ||
	    super->term > BLKCAST_TERM_MAX || !super->sectors ||
	    !super->regions || super->regions > BLKCAST_REGIONS_MAX)
		return bc_fail(error, -EINVAL, "%s: metadata with fields out of range",
			       meta->path);
	if (super->generation >= BLKCAST_GENERATION_END)
		return bc_fail(error, -EINVAL,
			       "%s: a superblock of generation %" PRIu64 ", which cannot be: somebody else has written here; 'blkcast replace' makes the copy anew, from the primary's",
			       meta->path, super->generation);
	region_sectors = 1ULL << (super->region_shift - 9);
	if ((super->sectors + region_sectors - 1) / region_sectors != super->regions ||
	    (super->regions + BLKCAST_MAP_STAMPS - 1) / BLKCAST_MAP_STAMPS !=
	    super->map_blocks)
		return bc_fail(error, -EINVAL, "%s: metadata whose sizes contradict each other",
			       meta->path);
	map_end = super->map_offset + (uint64_t)super->map_blocks * BC_SLOTS_BYTES;
	if (super->map_offset % BLKCAST_BLOCK_SIZE || super->map_offset > meta->size ||
	    map_end > meta->size - BLKCAST_SUPER_AREA)
		return bc_fail(error, -EINVAL,
			       "%s: the stamp map does not lie on this device (was it resized?)",
			       meta->path);
	return 0;
}

static int meta_init(struct bc_meta *meta, int fd, uint64_t size,
		     const char *path, struct bc_error *error)
{
	memset(meta, 0, sizeof(*meta));
	meta->fd = fd;
	meta->size = size - size % BLKCAST_BLOCK_SIZE;
	meta->path = path;
	if (meta->size < BLKCAST_SUPER_AREA + BC_SLOTS_BYTES)
		return bc_fail(error, -ENODATA, "%s: too small to hold blkcast metadata",
			       path);
	return 0;
}

static void copy_read(struct bc_meta *meta, struct bc_super_copy *copy,
		      struct blkcast_super *disk)
{
	if (bc_pread_full(meta->fd, disk, BLKCAST_BLOCK_SIZE, copy->offset)) {
		copy->state = BC_BLOCK_UNREADABLE;
		return;
	}
	copy->state = bc_super_state(disk);
	if (copy->state != BC_BLOCK_GOOD)
		return;
	copy->version = le32toh(disk->version);
	bc_super_decode(&copy->super, disk);
}

int bc_meta_copies(struct bc_meta *meta, int fd, uint64_t size, const char *path,
		   struct bc_super_copy copies[2], struct bc_error *error)
{
	struct blkcast_super *disk;
	int ret;

	memset(copies, 0, 2 * sizeof(*copies));
	ret = meta_init(meta, fd, size, path, error);
	if (ret)
		return ret;
	disk = bc_block_alloc(1);
	if (!disk)
		return out_of_memory(error);
	for (int i = 0; i < 2; i++) {
		copies[i].offset = super_offset(meta, i);
		copy_read(meta, &copies[i], disk);
	}
	free(disk);
	return 0;
}

int bc_meta_choose(struct bc_meta *meta, const struct bc_super_copy copies[2],
		   int *chosen, struct bc_error *error)
{
	bool good0 = copies[0].state == BC_BLOCK_GOOD;
	bool good1 = copies[1].state == BC_BLOCK_GOOD;
	bool unread = copies[0].state == BC_BLOCK_UNREADABLE ||
		      copies[1].state == BC_BLOCK_UNREADABLE;
	int ret;

	meta->bad_copies = !good0 + !good1;
	if (copies[0].state == BC_BLOCK_NONE && copies[1].state == BC_BLOCK_NONE)
		return bc_fail(error, -ENODATA,
			       "%s: no blkcast metadata here; make them with 'blkcast create'",
			       meta->path);
	if (meta->bad_copies == 2)
		return bc_fail(error, unread ? -EIO : -EUCLEAN,
			       "%s: both copies of the superblock are damaged%s; 'blkcast replace' makes the copy anew, from the primary's",
			       meta->path, unread ? " or cannot be read" : "");
	*chosen = good1 && (!good0 || copies[1].super.generation >
				      copies[0].super.generation);
	meta->super = copies[*chosen].super;
	ret = super_validate_future(meta, copies[*chosen].version, error);
	return ret ? ret : super_validate(meta, error);
}

int bc_meta_open(struct bc_meta *meta, int fd, uint64_t size, const char *path,
		 struct bc_error *error)
{
	struct bc_super_copy copies[2];
	int ret, chosen;

	ret = bc_meta_copies(meta, fd, size, path, copies, error);
	return ret ? ret : bc_meta_choose(meta, copies, &chosen, error);
}

static int block_write(struct bc_meta *meta, const void *block, uint64_t offset,
		       struct bc_error *error)
{
	int ret = bc_pwrite_full(meta->fd, block, BLKCAST_BLOCK_SIZE, offset);

	if (ret)
		return bc_fail_errno(error, ret, "%s: cannot write the superblock",
				     meta->path);
	return bc_meta_flush(meta, error);
}

static int super_write_both(struct bc_meta *meta, const void *block,
			    struct bc_error *error)
{
	int ret = block_write(meta, block, super_offset(meta, 0), error);

	return ret ? ret : block_write(meta, block, super_offset(meta, 1), error);
}

int bc_meta_super_write(struct bc_meta *meta, struct bc_error *error)
{
	struct blkcast_super *disk;
	int ret;

	ret = super_validate(meta, error);
	if (ret)
		return ret;
	disk = bc_block_alloc(1);
	if (!disk)
		return out_of_memory(error);
	meta->super.generation++;
	bc_super_encode(disk, &meta->super);
	ret = super_write_both(meta, disk, error);
	free(disk);
	return ret;
}

int bc_meta_set_flags(struct bc_meta *meta, uint32_t set, uint32_t clear,
		      struct bc_error *error)
{
	meta->super.flags = (meta->super.flags & ~clear) | set;
	return bc_meta_super_write(meta, error);
}

int bc_meta_wipe(struct bc_meta *meta, struct bc_error *error)
{
	void *zeros = bc_block_alloc(1);
	int ret;

	if (!zeros)
		return out_of_memory(error);
	ret = super_write_both(meta, zeros, error);
	free(zeros);
	return ret;
}

int bc_meta_format(struct bc_meta *meta, int fd, uint64_t size, const char *path,
		   const uint64_t *stamps, struct bc_error *error)
{
	struct bc_super super = meta->super;
	int ret;

	ret = meta_init(meta, fd, size, path, error);
	if (ret)
		return ret;
	meta->super = super;
	meta->super.generation = 0;
	ret = super_validate(meta, error);
	if (!ret)
		ret = bc_meta_wipe(meta, error);
	if (!ret)
		ret = bc_map_write_all(meta, stamps, true, error);
	if (!ret)
		ret = bc_meta_super_write(meta, error);
	return ret;
}
