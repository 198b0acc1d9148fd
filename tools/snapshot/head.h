/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The beginning of a raw target, held back until all else is there.
 *
 * A device with half an image on it must not be taken for whole, by anybody.  Before
 * the first byte of it changes, a mark takes the place of its first sector, then zeros
 * that of the rest of its first MiB, where partition tables, labels and superblocks
 * begin.  What belongs there is kept in memory meanwhile and is the last to be
 * written: all but the first 4 KiB, those but for the first sector, the first sector,
 * each behind a flush of what was before.  A sector is written whole or not at all;
 * so wherever it is interrupted, the mark stands, or the image is whole.
 *
 * Where the target is compared first (@update) the mark waits for the first write,
 * so that one which is equal already is not written to.
 *
 * A file of less than a sector has no room for a mark and has none.
 */
#ifndef SNAPSHOT_HEAD_H
#define SNAPSHOT_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/blockdev.h"
#include "../lib/error.h"

#define HEAD_BYTES	(1U << 20)
#define HEAD_MARK	512

/**
 * struct head - zeroed: nothing is held back
 * @fd: to read and write it; of a file not O_DIRECT and our own
 * @length: bytes held back
 * @sector: bytes that are written whole or not at all
 * @content: what is to be there, @length bytes
 * @old: what was there before, if it is known
 * @marked: the mark stands on the target
 * @known: @old is known
 */
struct head {
	const char *name;
	int fd;
	bool own_fd, marked, known;
	uint32_t length, sector;
	char *content, *old;
	char mark[HEAD_MARK];
};

/* A restore was interrupted here. */
bool head_found(int fd);
/* The same as an error. */
int head_refuse(int fd, const char *name, struct bc_error *error);

/**
 * head_init() - hold it back from now on; nothing is written yet
 * @bytes: of the image
 * @id: of the snapshot
 * @update: what is there may be right
 */
int head_init(struct head *head, const struct bc_blockdev *target, const char *name,
	      uint64_t bytes, const uint8_t id[16], bool update, struct bc_error *error);
void head_release(struct head *head);

/* Before anything changes: set the mark, if it is not there already. */
int head_mark(struct head *head, struct bc_error *error);

/* How many of these bytes, from the first, are held back. */
static inline uint32_t head_holds(const struct head *head, uint64_t offset, uint32_t bytes)
{
	uint64_t left = offset < head->length ? head->length - offset : 0;

	return left < bytes ? left : bytes;
}

/* These are to be there; @data NULL: zeros. */
void head_take(struct head *head, uint64_t offset, const void *data, uint32_t bytes);

/*
 * All else is there and flushed.  1: it was written, 0: nothing had to be, or a
 * negative errno.  @verify: read it back.
 */
int head_finish(struct head *head, bool verify, struct bc_error *error);

#endif /* SNAPSHOT_HEAD_H */
