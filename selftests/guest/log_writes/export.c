// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A cut as a disk of a guest, with the list of what has to be on it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "run.h"
#include "util.h"

#define FILE_MARK "file:"

int lw_export_disk(const struct lw_disk *disk, const char *path,
		   struct bc_error *error)
{
	static const uint8_t zeros[4096];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	uint64_t bytes = disk->sectors * LW_SECTOR;
	int ret = fd < 0 || ftruncate(fd, bytes) ? -errno : 0;

	for (uint64_t at = 0; at + sizeof(zeros) <= bytes && !ret; at += sizeof(zeros))
		if (memcmp(disk->data + at, zeros, sizeof(zeros)))
			ret = bc_pwrite_full(fd, disk->data + at, sizeof(zeros), at);
	if (fd >= 0 && close(fd) && !ret)
		ret = -errno;
	return ret ? bc_fail_errno(error, ret, "cannot write %s", path) : 0;
}

static bool is_file_mark(const struct lw_entry *entry)
{
	return entry->flags & LW_MARK && entry->length > strlen(FILE_MARK) &&
	       !memcmp(entry->data, FILE_MARK, strlen(FILE_MARK));
}

int lw_export_marks(const struct lw_log *log, uint32_t end, const char *path,
		    struct bc_error *error)
{
	FILE *file = fopen(path, "we");
	int ret = file ? 0 : -errno;

	for (uint32_t i = 0; i < end && !ret; i++)
		if (is_file_mark(&log->entries[i]) &&
		    fprintf(file, "%.*s\n", (int)log->entries[i].length,
			    log->entries[i].data) < 0)
			ret = -errno;
	if (file && fclose(file) && !ret)
		ret = -errno;
	return ret ? bc_fail_errno(error, ret, "cannot write %s", path) : 0;
}
