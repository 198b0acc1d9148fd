// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Superblocks and map blocks of a volume that is down.  meta.h has the
 * invariants; the format is kmod/uapi/blkcast_disk.h.
 *
 * Everything is read and written in whole blocks from aligned memory, so that
 * O_DIRECT works; the map in batches of MAP_BATCH blocks.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crc32c.h"
#include "meta.h"
#include "util.h"

#define MAP_BATCH	64	/* map blocks, two slots each: 512 KiB */
#define SLOTS_BYTES	(2 * BLKCAST_BLOCK_SIZE)

static void *block_alloc(size_t blocks)
{
	void *data;

	if (posix_memalign(&data, BLKCAST_BLOCK_SIZE, blocks * BLKCAST_BLOCK_SIZE))
		return NULL;
	return memset(data, 0, blocks * BLKCAST_BLOCK_SIZE);
}

static int out_of_memory(struct bc_error *error)
{
	return bc_fail(error, -ENOMEM, "out of memory");
}

static int flush(struct bc_meta *meta, struct bc_error *error)
{
	if (fsync(meta->fd))
		return bc_fail_errno(error, -errno, "%s: cannot flush the metadata",
				     meta->path);
	return 0;
}

/* The checksum of a block whose crc field stands at @crc. */
static uint32_t block_crc(const void *block, const __le32 *crc)
{
	size_t at = (const uint8_t *)crc - (const uint8_t *)block;
	static const uint8_t zero[sizeof(*crc)];
	uint32_t sum = ~0U;

	sum = bc_crc32c_update(sum, block, at);
	sum = bc_crc32c_update(sum, zero, sizeof(zero));
	at += sizeof(zero);
	sum = bc_crc32c_update(sum, (const uint8_t *)block + at,
			       BLKCAST_BLOCK_SIZE - at);
	return ~sum;
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

enum super_verdict { SUPER_NONE, SUPER_BAD, SUPER_GOOD };

static uint64_t super_offset(const struct bc_meta *meta, int copy)
{
	return meta->size - (copy ? BLKCAST_BLOCK_SIZE : BLKCAST_SUPER_AREA);
}

/* No magic at all is no superblock; a magic with a wrong checksum is damage. */
static enum super_verdict super_check(const struct blkcast_super *disk)
{
	if (memcmp(disk->magic, BLKCAST_SUPER_MAGIC, sizeof(disk->magic)))
		return SUPER_NONE;
	if (le32toh(disk->crc) != block_crc(disk, &disk->crc))
		return SUPER_BAD;
	return SUPER_GOOD;
}

static void super_decode(struct bc_super *super, const struct blkcast_super *disk)
{
	super->generation = le64toh(disk->generation);
	memcpy(super->volume, disk->volume, sizeof(super->volume));
	memcpy(super->node, disk->node, sizeof(super->node));
	super->sectors = le64toh(disk->sectors);
	super->data_start = le64toh(disk->data_start);
	super->map_offset = le64toh(disk->map_offset);
	super->regions = le32toh(disk->regions);
	super->map_blocks = le32toh(disk->map_blocks);
	super->region_shift = le32toh(disk->region_shift);
	super->flags = le32toh(disk->flags);
	super->term = le32toh(disk->term);
	super->reigns = le32toh(disk->reigns);
	memcpy(super->name, disk->name, sizeof(super->name));
	super->name[sizeof(super->name) - 1] = 0;
	memcpy(super->history, disk->history, sizeof(super->history));
	super->position = le64toh(disk->position);
	super->members = le32toh(disk->members);
	memcpy(super->member, disk->member, sizeof(super->member));
}

static void super_encode(struct blkcast_super *disk, const struct bc_super *super)
{
	memset(disk, 0, sizeof(*disk));
	memcpy(disk->magic, BLKCAST_SUPER_MAGIC, sizeof(disk->magic));
	disk->version = htole32(BLKCAST_DISK_VERSION);
	disk->generation = htole64(super->generation);
	memcpy(disk->volume, super->volume, sizeof(disk->volume));
	memcpy(disk->node, super->node, sizeof(disk->node));
	disk->sectors = htole64(super->sectors);
	disk->data_start = htole64(super->data_start);
	disk->map_offset = htole64(super->map_offset);
	disk->regions = htole32(super->regions);
	disk->map_blocks = htole32(super->map_blocks);
	disk->region_shift = htole32(super->region_shift);
	disk->flags = htole32(super->flags);
	disk->term = htole32(super->term);
	disk->reigns = htole32(super->reigns);
	memcpy(disk->name, super->name, sizeof(disk->name));
	memcpy(disk->history, super->history,
	       super->reigns * sizeof(super->history[0]));
	disk->position = htole64(super->position);
	disk->members = htole32(super->members);
	memcpy(disk->member, super->member,
	       super->members * sizeof(super->member[0]));
	disk->crc = htole32(block_crc(disk, &disk->crc));
}

static int super_validate_future(const struct bc_meta *meta,
				 const struct blkcast_super *disk,
				 struct bc_error *error)
{
	uint32_t unknown = le32toh(disk->flags) & ~BLKCAST_SUPER_KNOWN_FLAGS;

	if (le32toh(disk->version) != BLKCAST_DISK_VERSION)
		return bc_fail(error, -EPROTONOSUPPORT,
			       "%s: metadata of version %u, this program knows %u: use a newer one",
			       meta->path, le32toh(disk->version),
			       BLKCAST_DISK_VERSION);
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
	    super->regions > BLKCAST_REGIONS_MAX)
		return bc_fail(error, -EINVAL, "%s: metadata with fields out of range",
			       meta->path);
	region_sectors = 1ULL << (super->region_shift - 9);
	if ((super->sectors + region_sectors - 1) / region_sectors != super->regions ||
	    (super->regions + BLKCAST_MAP_STAMPS - 1) / BLKCAST_MAP_STAMPS !=
	    super->map_blocks)
		return bc_fail(error, -EINVAL, "%s: metadata whose sizes contradict each other",
			       meta->path);
	map_end = super->map_offset + (uint64_t)super->map_blocks * SLOTS_BYTES;
	if (super->map_offset % BLKCAST_BLOCK_SIZE || super->map_offset > meta->size ||
	    map_end > meta->size - BLKCAST_SUPER_AREA)
		return bc_fail(error, -EINVAL,
			       "%s: the stamp map does not lie on this device (was it resized?)",
			       meta->path);
	return 0;
}

/* Read both copies; returns the newer good one or NULL with the reason. */
static const struct blkcast_super *super_pick(struct bc_meta *meta,
					      struct blkcast_super *disk,
					      int *err, struct bc_error *error)
{
	enum super_verdict verdict[2];

	for (int i = 0; i < 2; i++) {
		*err = bc_pread_full(meta->fd, &disk[i], BLKCAST_BLOCK_SIZE,
				     super_offset(meta, i));
		verdict[i] = *err ? SUPER_BAD : super_check(&disk[i]);
	}
	meta->bad_copies = (verdict[0] != SUPER_GOOD) + (verdict[1] != SUPER_GOOD);
	if (verdict[0] == SUPER_NONE && verdict[1] == SUPER_NONE) {
		*err = bc_fail(error, -ENODATA,
			       "%s: no blkcast metadata here; make them with 'blkcast create'",
			       meta->path);
		return NULL;
	}
	if (meta->bad_copies == 2) {
		*err = bc_fail(error, -EUCLEAN,
			       "%s: both copies of the superblock are damaged; create the copy anew and let it sync, or restore a snapshot",
			       meta->path);
		return NULL;
	}
	*err = 0;
	if (meta->bad_copies == 1)
		return &disk[verdict[1] == SUPER_GOOD];
	return &disk[le64toh(disk[1].generation) > le64toh(disk[0].generation)];
}

static int meta_init(struct bc_meta *meta, int fd, uint64_t size,
		     const char *path, struct bc_error *error)
{
	memset(meta, 0, sizeof(*meta));
	meta->fd = fd;
	meta->size = size - size % BLKCAST_BLOCK_SIZE;
	meta->path = path;
	if (meta->size < BLKCAST_SUPER_AREA + SLOTS_BYTES)
		return bc_fail(error, -ENODATA, "%s: too small to hold blkcast metadata",
			       path);
	return 0;
}

int bc_meta_open(struct bc_meta *meta, int fd, uint64_t size, const char *path,
		 struct bc_error *error)
{
	const struct blkcast_super *best;
	struct blkcast_super *disk;
	int ret;

	ret = meta_init(meta, fd, size, path, error);
	if (ret)
		return ret;
	disk = block_alloc(2);
	if (!disk)
		return out_of_memory(error);
	best = super_pick(meta, disk, &ret, error);
	if (!best)
		goto cleanup;
	ret = super_validate_future(meta, best, error);
	if (ret)
		goto cleanup;
	super_decode(&meta->super, best);
	ret = super_validate(meta, error);
cleanup:
	free(disk);
	return ret;
}

static int block_write(struct bc_meta *meta, const void *block, uint64_t offset,
		       struct bc_error *error)
{
	int ret = bc_pwrite_full(meta->fd, block, BLKCAST_BLOCK_SIZE, offset);

	if (ret)
		return bc_fail_errno(error, ret, "%s: cannot write the superblock",
				     meta->path);
	return flush(meta, error);
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
	disk = block_alloc(1);
	if (!disk)
		return out_of_memory(error);
	meta->super.generation++;
	super_encode(disk, &meta->super);
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
	void *zeros = block_alloc(1);
	int ret;

	if (!zeros)
		return out_of_memory(error);
	ret = super_write_both(meta, zeros, error);
	free(zeros);
	return ret;
}

/* --- map -------------------------------------------------------------- */

static bool bit_test(const uint8_t *bits, unsigned int i)
{
	return bits[i / 8] >> (i % 8) & 1;
}

static void bit_set(uint8_t *bits, unsigned int i)
{
	bits[i / 8] |= 1U << (i % 8);
}

static bool map_block_good(const struct bc_meta *meta,
			   const struct blkcast_map_block *block, uint32_t index)
{
	return le32toh(block->magic) == BLKCAST_MAP_MAGIC &&
	       le32toh(block->index) == index &&
	       !memcmp(block->volume, meta->super.volume, sizeof(block->volume)) &&
	       le32toh(block->crc) == block_crc(block, &block->crc);
}

/* Which of two slots holds the current block; -1: neither. */
static int map_current_slot(const struct bc_meta *meta,
			    const struct blkcast_map_block *slots, uint32_t index)
{
	bool good0 = map_block_good(meta, &slots[0], index);
	bool good1 = map_block_good(meta, &slots[1], index);

	if (good0 && good1)
		return le64toh(slots[1].generation) > le64toh(slots[0].generation);
	if (!good0 && !good1)
		return -1;
	return good1;
}

static uint32_t map_block_stamps(const struct bc_meta *meta, uint32_t index)
{
	uint32_t left = meta->super.regions - index * BLKCAST_MAP_STAMPS;

	return left < BLKCAST_MAP_STAMPS ? left : BLKCAST_MAP_STAMPS;
}

static uint64_t stamp_decode(const struct blkcast_map_block *block, uint32_t i)
{
	if (!(le32toh(block->flags) & BLKCAST_MAP_ACTIVE))
		return le64toh(block->stamps[i]);
	return bit_test(block->touched, i) ? BLKCAST_LSN_DOUBT : BLKCAST_LSN_NEVER;
}

static void map_block_decode(const struct bc_meta *meta,
			     const struct blkcast_map_block *slots,
			     uint32_t index, uint64_t *stamps)
{
	int slot = map_current_slot(meta, slots, index);
	uint32_t count = map_block_stamps(meta, index);

	for (uint32_t i = 0; i < count; i++)
		stamps[i] = slot < 0 ? BLKCAST_LSN_DOUBT :
			    stamp_decode(&slots[slot], i);
}

static void map_block_encode(const struct bc_meta *meta,
			     struct blkcast_map_block *block, uint32_t index,
			     uint64_t generation, const uint64_t *stamps)
{
	uint32_t count = map_block_stamps(meta, index), flags = 0;

	memset(block, 0, sizeof(*block));
	for (uint32_t i = 0; stamps && i < count; i++) {
		block->stamps[i] = htole64(stamps[i]);
		if (stamps[i] != BLKCAST_LSN_NEVER)
			bit_set(block->touched, i);
		if (stamps[i] == BLKCAST_LSN_DOUBT)
			flags = BLKCAST_MAP_ACTIVE;
	}
	block->magic = htole32(BLKCAST_MAP_MAGIC);
	block->generation = htole64(generation);
	memcpy(block->volume, meta->super.volume, sizeof(block->volume));
	block->index = htole32(index);
	block->flags = htole32(flags);
	block->crc = htole32(block_crc(block, &block->crc));
}

/* Put the block into the slot that does not hold the current one (inv. 2). */
static void map_slots_encode(const struct bc_meta *meta,
			     struct blkcast_map_block *slots, uint32_t index,
			     const uint64_t *stamps)
{
	int slot = map_current_slot(meta, slots, index);
	uint64_t generation = slot < 0 ? 0 : le64toh(slots[slot].generation);

	map_block_encode(meta, &slots[slot == 0], index, generation + 1, stamps);
}

static uint32_t map_batch(const struct bc_meta *meta, uint32_t first)
{
	uint32_t left = meta->super.map_blocks - first;

	return left < MAP_BATCH ? left : MAP_BATCH;
}

static int map_read_batch(struct bc_meta *meta, void *slots, uint32_t first,
			  struct bc_error *error)
{
	int ret = bc_pread_full(meta->fd, slots,
				(size_t)map_batch(meta, first) * SLOTS_BYTES,
				meta->super.map_offset + (uint64_t)first * SLOTS_BYTES);

	if (ret)
		return bc_fail_errno(error, ret, "%s: cannot read the stamp map",
				     meta->path);
	return 0;
}

static int map_write_batch(struct bc_meta *meta, const void *slots,
			   uint32_t first, struct bc_error *error)
{
	int ret = bc_pwrite_full(meta->fd, slots,
				 (size_t)map_batch(meta, first) * SLOTS_BYTES,
				 meta->super.map_offset +
				 (uint64_t)first * SLOTS_BYTES);

	if (ret)
		return bc_fail_errno(error, ret, "%s: cannot write the stamp map",
				     meta->path);
	return 0;
}

int bc_meta_map_read(struct bc_meta *meta, uint64_t *stamps,
		     struct bc_error *error)
{
	struct blkcast_map_block *slots = block_alloc(2 * MAP_BATCH);
	int ret = 0;

	if (!slots)
		return out_of_memory(error);
	for (uint32_t i = 0; i < meta->super.map_blocks; i++) {
		if (i % MAP_BATCH == 0) {
			ret = map_read_batch(meta, slots, i, error);
			if (ret)
				break;
		}
		map_block_decode(meta, &slots[2 * (i % MAP_BATCH)], i,
				 stamps + (size_t)i * BLKCAST_MAP_STAMPS);
	}
	free(slots);
	return ret;
}

/* Write all blocks; @fresh: without a look at what stands there. */
static int map_write_all(struct bc_meta *meta, const uint64_t *stamps, bool fresh,
			 struct bc_error *error)
{
	struct blkcast_map_block *slots = block_alloc(2 * MAP_BATCH);
	int ret = 0;

	if (!slots)
		return out_of_memory(error);
	for (uint32_t i = 0; i < meta->super.map_blocks && !ret; i += MAP_BATCH) {
		if (fresh)
			memset(slots, 0, MAP_BATCH * SLOTS_BYTES);
		else
			ret = map_read_batch(meta, slots, i, error);
		for (uint32_t k = 0; k < map_batch(meta, i) && !ret; k++)
			map_slots_encode(meta, &slots[2 * k], i + k,
					 stamps ? stamps + (size_t)(i + k) *
					 BLKCAST_MAP_STAMPS : NULL);
		if (!ret)
			ret = map_write_batch(meta, slots, i, error);
	}
	free(slots);
	return ret ? ret : flush(meta, error);
}

int bc_meta_map_write(struct bc_meta *meta, const uint64_t *stamps,
		      struct bc_error *error)
{
	return map_write_all(meta, stamps, false, error);
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
		ret = map_write_all(meta, stamps, true, error);
	if (!ret)
		ret = bc_meta_super_write(meta, error);
	return ret;
}
