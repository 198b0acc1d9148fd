// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where data and metadata of a new volume lie.  The metadata stand at the end
 * of their device, the map directly before the area of the superblocks; the
 * drawing is in kmod/uapi/blkcast_disk.h.
 */
#include <errno.h>
#include <inttypes.h>

#include "meta.h"
#include "util.h"

#define SLOTS_BYTES (2 * BLKCAST_BLOCK_SIZE)
#define GROWS_TIMES 4	/* if nobody says how large a volume shall become */

static uint64_t round_down(uint64_t value, uint64_t unit)
{
	return value - value % unit;
}

static uint64_t divide_up(uint64_t value, uint64_t unit)
{
	return value / unit + (value % unit != 0);
}

uint64_t bc_layout_meta_bytes(uint64_t volume_bytes, uint32_t region_shift)
{
	uint64_t regions = divide_up(volume_bytes, 1ULL << region_shift);

	return BLKCAST_SUPER_AREA +
	       SLOTS_BYTES * divide_up(regions, BLKCAST_MAP_STAMPS);
}

/* The largest volume that leaves room for its own metadata behind it. */
static uint64_t largest_internal(uint64_t bytes, uint32_t region_shift)
{
	uint64_t meta = bc_layout_meta_bytes(bytes, region_shift);

	return bytes > meta ? bytes - meta : 0;
}

static int region_shift_for(uint64_t bytes)
{
	for (int shift = BLKCAST_REGION_SHIFT_MIN;
	     shift <= BLKCAST_REGION_SHIFT_MAX; shift++) {
		if (divide_up(bytes, 1ULL << shift) <= BLKCAST_REGIONS_MAX)
			return shift;
	}
	return -EFBIG;
}

static uint64_t max_default(uint64_t bytes)
{
	const uint64_t most = (uint64_t)BLKCAST_REGIONS_MAX << BLKCAST_REGION_SHIFT_MAX;

	return bytes > most / GROWS_TIMES ? most : bytes * GROWS_TIMES;
}

/* @bytes: what the volume has at least; @max: what it shall be able to have. */
static int choose_shift(uint32_t *shift, uint64_t bytes, uint64_t max,
			uint32_t wanted, struct bc_error *error)
{
	uint64_t must = max > bytes ? max : bytes;
	int smallest = region_shift_for(must);
	char size[BC_SIZE_TEXT];

	bc_size_format(must, size);
	if (smallest < 0)
		return bc_fail(error, smallest, "a volume of %s is too large: at most 64 TiB",
			       size);
	if (!wanted)
		wanted = region_shift_for(max ? must : max_default(bytes));
	if (wanted < BLKCAST_REGION_SHIFT_MIN || wanted > BLKCAST_REGION_SHIFT_MAX)
		return bc_fail(error, -EINVAL,
			       "the region size must be a power of two from 64 KiB to 4 MiB");
	if (wanted < (uint32_t)smallest)
		return bc_fail(error, -EINVAL,
			       "a volume of %s needs regions of at least %u KiB: the stamp map would be larger than 128 MiB",
			       size, 1U << (smallest - 10));
	*shift = wanted;
	return 0;
}

static int choose_bytes(struct bc_layout *layout, uint64_t room, uint64_t wanted,
			struct bc_error *error)
{
	char have[BC_SIZE_TEXT], want[BC_SIZE_TEXT];

	if (wanted % BLKCAST_BLOCK_SIZE)
		return bc_fail(error, -EINVAL,
			       "the size %" PRIu64 " is no multiple of 4096", wanted);
	if (!room)
		return bc_fail(error, -ENOSPC,
			       "the device is too small: the metadata alone need more than 1 MiB");
	if (wanted > room)
		return bc_fail(error, -ENOSPC,
			       "the device has room for a volume of %s (%" PRIu64 " bytes) beside the metadata, wanted are %s (%" PRIu64 " bytes)",
			       bc_size_format(room, have), room,
			       bc_size_format(wanted, want), wanted);
	layout->bytes = wanted ? wanted : room;
	return 0;
}

/* What an external map has room for: by itself no more than the device has. */
static uint64_t map_room(const struct bc_layout *layout,
			 const struct bc_layout_want *want, uint64_t end)
{
	const uint64_t least = bc_layout_meta_bytes(layout->bytes, layout->region_shift);
	const uint64_t most = (uint64_t)BLKCAST_REGIONS_MAX << layout->region_shift;
	uint64_t max = want->max_bytes ? want->max_bytes : max_default(layout->bytes);
	uint64_t bytes;

	if (max < layout->bytes)
		max = layout->bytes;
	if (max > most)
		max = most;
	bytes = bc_layout_meta_bytes(max, layout->region_shift);
	if (!want->max_bytes && bytes > end)
		bytes = end - end % BLKCAST_BLOCK_SIZE;
	return bytes > least ? bytes : least;
}

int bc_layout_compute(struct bc_layout *layout, const struct bc_layout_want *want,
		      struct bc_error *error)
{
	uint64_t end = round_down(want->meta_bytes ? want->meta_bytes :
				  want->backing_bytes, BLKCAST_BLOCK_SIZE);
	uint64_t room = round_down(want->backing_bytes, BLKCAST_BLOCK_SIZE), need;
	char have[BC_SIZE_TEXT], text[BC_SIZE_TEXT];
	int ret;

	ret = choose_shift(&layout->region_shift,
			   want->volume_bytes ? want->volume_bytes : room,
			   want->max_bytes, want->region_shift, error);
	if (ret)
		return ret;
	if (!want->meta_bytes)
		room = largest_internal(room, layout->region_shift);
	ret = choose_bytes(layout, room, want->volume_bytes, error);
	if (ret)
		return ret;
	if (want->max_bytes && want->max_bytes < layout->bytes)
		return bc_fail(error, -EINVAL,
			       "a volume of %s cannot be meant to grow to %s only",
			       bc_size_format(layout->bytes, have),
			       bc_size_format(want->max_bytes, text));
	layout->regions = divide_up(layout->bytes, 1ULL << layout->region_shift);
	layout->map_blocks = divide_up(layout->regions, BLKCAST_MAP_STAMPS);
	layout->meta_bytes = want->meta_bytes ? map_room(layout, want, end) :
			     bc_layout_meta_bytes(layout->bytes, layout->region_shift);
	need = layout->meta_bytes > BLKCAST_META_DEVICE_MIN ?
	       layout->meta_bytes : BLKCAST_META_DEVICE_MIN;
	if (need > end)
		return bc_fail(error, -ENOSPC,
			       "the metadata device has %s, the metadata of this volume need %s",
			       bc_size_format(end, have), bc_size_format(need, text));
	layout->map_offset = end - layout->meta_bytes;
	return 0;
}
