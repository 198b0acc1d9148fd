// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The replayed disk: sparse memory, an undo list of sectors, the account of the
 * regions.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "disk.h"
#include "util.h"

#define GARBAGE_EVERY	128	/* sectors: 64 KiB, the smallest region */
#define GARBAGE_AT	37
#define BLOCK_SECTORS	8

static const uint8_t zeros[LW_SECTOR];

struct lw_undo {
	uint64_t sector;
	uint8_t data[LW_SECTOR];
};

uint64_t lw_value(uint64_t sector, const uint8_t *data)
{
	return XXH3_64bits_withSeed(data, LW_SECTOR, sector);
}

uint64_t lw_value_zero(uint64_t sector)
{
	return lw_value(sector, zeros);
}

static bool garbage_is(uint64_t sector)
{
	return sector % GARBAGE_EVERY == GARBAGE_AT;
}

static void garbage_fill(uint64_t sector, uint8_t *data)
{
	memset(data, 0xa5, LW_SECTOR);
	memcpy(data, &sector, sizeof(sector));
}

static bool sector_written(uint64_t sector, const uint8_t *data)
{
	uint8_t garbage[LW_SECTOR];

	if (!memcmp(data, zeros, LW_SECTOR))
		return false;
	if (!garbage_is(sector))
		return true;
	garbage_fill(sector, garbage);
	return memcmp(data, garbage, LW_SECTOR);
}

int lw_garbage_write(const char *path, struct bc_error *error)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	uint8_t data[LW_SECTOR];

	if (end < 0)
		ret = -errno;
	for (off_t s = GARBAGE_AT; !ret && s < end / LW_SECTOR; s += GARBAGE_EVERY) {
		garbage_fill(s, data);
		ret = bc_pwrite_full(fd, data, sizeof(data), s * LW_SECTOR);
	}
	if (fd >= 0)
		close(fd);
	return ret ? bc_fail_errno(error, ret, "cannot fill %s", path) : 0;
}

/* Memory stays unused where the file has holes. */
static int disk_load(struct lw_disk *disk, const char *path, struct bc_error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret = fd < 0 ? -errno : 0;
	off_t at = 0, end = 0, bytes = disk->sectors * LW_SECTOR;

	while (!ret && (at = lseek(fd, end, SEEK_DATA)) >= 0) {
		end = lseek(fd, at, SEEK_HOLE);
		if (end > bytes)
			end = bytes;
		ret = bc_pread_full(fd, disk->data + at, end - at, at);
	}
	if (fd >= 0)
		close(fd);
	return ret ? bc_fail_errno(error, ret, "cannot read %s", path) : 0;
}

int lw_disk_init(struct lw_disk *disk, uint64_t bytes, const char *path,
		 struct bc_error *error)
{
	void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	memset(disk, 0, sizeof(*disk));
	if (data == MAP_FAILED)
		return bc_fail_errno(error, -errno, "no memory for the disk");
	disk->data = data;
	disk->sectors = bytes / LW_SECTOR;
	if (path)
		return disk_load(disk, path, error);
	for (uint64_t s = GARBAGE_AT; s < disk->sectors; s += GARBAGE_EVERY)
		garbage_fill(s, disk->data + s * LW_SECTOR);
	return 0;
}

void lw_disk_free(struct lw_disk *disk)
{
	if (disk->data)
		munmap(disk->data, disk->sectors * LW_SECTOR);
	free(disk->values);
	free(disk->regions);
	free(disk->meta_changed);
	free(disk->undo);
}

/* ---- the account ---- */

static void sector_count(struct lw_disk *disk, uint64_t sector, bool fresh)
{
	const uint8_t *data = disk->data + sector * LW_SECTOR;
	uint64_t s = sector - disk->first;
	struct lw_region *region;

	if (s >= disk->volume) {
		if (sector / BLOCK_SECTORS >= disk->meta_first)
			disk->meta_changed[sector / BLOCK_SECTORS -
					   disk->meta_first] = 1;
		return;
	}
	region = &disk->regions[s / disk->region_sectors];
	if (fresh) {
		disk->values[s] = lw_value(s, data);
		region->sum += disk->values[s];
		region->written += sector_written(sector, data);
	} else {
		region->sum -= disk->values[s];
		region->written -= sector_written(sector, data);
	}
}

int lw_disk_watch(struct lw_disk *disk, uint64_t first, uint64_t volume,
		  uint32_t region_sectors, uint64_t meta_offset,
		  struct bc_error *error)
{
	uint64_t blocks = disk->sectors / BLOCK_SECTORS;

	if (first > disk->sectors || volume > disk->sectors - first ||
	    meta_offset / LW_SECTOR > disk->sectors)
		return bc_fail(error, -EINVAL, "the volume does not fit the disk");
	disk->first = first;
	disk->volume = volume;
	disk->region_sectors = region_sectors;
	disk->meta_first = meta_offset / LW_SECTOR / BLOCK_SECTORS;
	disk->values = calloc(volume, sizeof(*disk->values));
	disk->regions = calloc(volume / region_sectors + 1, sizeof(*disk->regions));
	disk->meta_changed = malloc(blocks - disk->meta_first + 1);
	if (!disk->values || !disk->regions || !disk->meta_changed)
		return bc_fail(error, -ENOMEM, "out of memory");
	memset(disk->meta_changed, 1, blocks - disk->meta_first + 1);
	for (uint64_t s = 0; s < volume; s++)
		sector_count(disk, first + s, true);
	return 0;
}

static void sector_write(struct lw_disk *disk, uint64_t sector, const uint8_t *data)
{
	if (disk->volume)
		sector_count(disk, sector, false);
	memcpy(disk->data + sector * LW_SECTOR, data, LW_SECTOR);
	if (disk->volume)
		sector_count(disk, sector, true);
}

/* ---- writing and undoing ---- */

static void undo_note(struct lw_disk *disk, uint64_t sector)
{
	struct lw_undo *undo;

	if (disk->undo_count == disk->undo_room) {
		disk->undo_room = disk->undo_room ? 2 * disk->undo_room : 1024;
		disk->undo = realloc(disk->undo,
				     disk->undo_room * sizeof(*disk->undo));
		if (!disk->undo)
			abort();
	}
	undo = &disk->undo[disk->undo_count++];
	undo->sector = sector;
	memcpy(undo->data, disk->data + sector * LW_SECTOR, LW_SECTOR);
}

void lw_disk_write(struct lw_disk *disk, const struct lw_entry *entry,
		   uint64_t at, uint64_t sectors)
{
	for (uint64_t s = at; s < at + sectors; s++) {
		if (disk->cutting)
			undo_note(disk, entry->sector + s);
		sector_write(disk, entry->sector + s, entry->data + s * LW_SECTOR);
	}
}

void lw_disk_cut(struct lw_disk *disk)
{
	disk->cutting = true;
}

void lw_disk_uncut(struct lw_disk *disk)
{
	while (disk->undo_count) {
		const struct lw_undo *undo = &disk->undo[--disk->undo_count];

		sector_write(disk, undo->sector, undo->data);
	}
	disk->cutting = false;
}
