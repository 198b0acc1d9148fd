// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reads a log of dm-log-writes.  log.h has the format's order, below is its
 * layout; nothing in the file is trusted.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log.h"

#define LOG_MAGIC	0x6a736677736872ULL
#define LOG_VERSION	1
#define KNOWN_FLAGS	(LW_FLUSH | LW_FUA | LW_DISCARD | LW_MARK | LW_META)

/* In the first sector. */
struct disk_super {
	uint64_t magic, version, nr_entries;
	uint32_t sectorsize;
};

/* In the first sector of each entry, a mark's text behind it. */
struct disk_entry {
	uint64_t sector, nr_sectors, flags, data_len;
};

static int log_map(struct lw_log *log, const char *path, struct bc_error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	void *bytes = MAP_FAILED;

	if (end > 0)
		bytes = mmap(NULL, end, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED) {
		bc_fail_errno(error, -errno, "cannot read the log %s", path);
		if (fd >= 0)
			close(fd);
		return -EIO;
	}
	close(fd);
	log->bytes = bytes;
	log->size = end;
	return 0;
}

/* Take in the entry at @at; returns the bytes it has in the log, 0: nonsense. */
static uint64_t entry_read(const struct lw_log *log, uint64_t at, uint32_t unit,
			   struct lw_entry *entry)
{
	const uint8_t *from = (uint8_t *)log->bytes + at;
	struct disk_entry disk;
	uint64_t sectors, length, bytes = unit;

	if (at + unit > log->size)
		return 0;
	memcpy(&disk, from, sizeof(disk));
	sectors = le64toh(disk.nr_sectors);
	length = le64toh(disk.data_len);
	entry->flags = le64toh(disk.flags);
	entry->sector = le64toh(disk.sector) * (unit / LW_SECTOR);
	entry->sectors = sectors * (unit / LW_SECTOR);
	entry->length = length;
	entry->data = from + (entry->flags & LW_MARK ? sizeof(disk) : unit);
	if (le64toh(disk.flags) & ~(uint64_t)KNOWN_FLAGS ||
	    sectors > log->size / unit ||
	    le64toh(disk.sector) > UINT64_MAX / unit - sectors)
		return 0;
	if (entry->flags & LW_MARK)
		return sectors || length > unit - sizeof(disk) ? 0 : bytes;
	if (!(entry->flags & LW_DISCARD))
		bytes += sectors * unit;
	return at + bytes > log->size ? 0 : bytes;
}

static int entries_read(struct lw_log *log, const struct disk_super *super,
			const char *path, struct bc_error *error)
{
	uint64_t count = le64toh(super->nr_entries), bytes;
	uint32_t unit = le32toh(super->sectorsize);
	uint64_t at = unit;

	if (count > log->size / unit)
		return bc_fail(error, -EINVAL, "%s: %" PRIu64 " entries cannot be in a log of %zu bytes",
			       path, count, log->size);
	log->entries = calloc(count + 1, sizeof(*log->entries));
	if (!log->entries)
		return bc_fail(error, -ENOMEM, "out of memory");
	for (; log->count < count; log->count++, at += bytes) {
		bytes = entry_read(log, at, unit, &log->entries[log->count]);
		if (!bytes)
			return bc_fail(error, -EINVAL, "%s: entry %u of %" PRIu64 " makes no sense",
				       path, log->count, count);
	}
	return 0;
}

int lw_log_open(struct lw_log *log, const char *path, struct bc_error *error)
{
	struct disk_super super;
	uint32_t unit;
	int ret;

	memset(log, 0, sizeof(*log));
	ret = log_map(log, path, error);
	if (ret)
		return ret;
	if (log->size < sizeof(super))
		return bc_fail(error, -EINVAL, "%s: too short for a log", path);
	memcpy(&super, log->bytes, sizeof(super));
	unit = le32toh(super.sectorsize);
	if (le64toh(super.magic) != LOG_MAGIC || le64toh(super.version) != LOG_VERSION ||
	    (unit != LW_SECTOR && unit != 4096))
		return bc_fail(error, -EINVAL, "%s: not a log of dm-log-writes, version %d",
			       path, LOG_VERSION);
	ret = entries_read(log, &super, path, error);
	if (ret)
		return ret;
	if (!log->count || !lw_mark_is(&log->entries[log->count - 1], LW_END_MARK))
		return bc_fail(error, -EINVAL,
			       "%s: the log has no end: remove its device before it is read",
			       path);
	return 0;
}

void lw_log_close(struct lw_log *log)
{
	free(log->entries);
	if (log->bytes)
		munmap(log->bytes, log->size);
}

bool lw_mark_is(const struct lw_entry *entry, const char *text)
{
	return entry->flags & LW_MARK && entry->length == strlen(text) &&
	       !memcmp(entry->data, text, entry->length);
}

int lw_log_find(const struct lw_log *log, const char *mark, uint32_t *index,
		struct bc_error *error)
{
	for (uint32_t i = 0; i < log->count; i++) {
		if (!lw_mark_is(&log->entries[i], mark))
			continue;
		*index = i;
		return 0;
	}
	return bc_fail(error, -ENOENT, "the log has no mark '%s'", mark);
}
