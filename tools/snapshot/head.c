// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The beginning of a raw target (see head.h).
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/crc32c.h"
#include "../lib/util.h"
#include "head.h"

#define FIRST	4096	/* bytes that are written last; also an alignment */

/**
 * struct mark - what stands in the first sector
 * @text: MARK_TEXT, for people, too
 * @snapshot: id of the snapshot that was being restored
 * @bytes: size of its image
 * @crc: crc32c of the sector, this field as zero
 */
struct mark {
	char text[128];
	uint8_t snapshot[16];
	uint64_t bytes;
	uint8_t reserved[HEAD_MARK - 128 - 16 - 8 - 4];
	uint32_t crc;
};

_Static_assert(sizeof(struct mark) == HEAD_MARK, "one sector");

static const char mark_text[128] =
	"blkcast: a restore to this place was interrupted; its content is incomplete. Restore again.\n";

static uint32_t mark_crc(const struct mark *mark)
{
	struct mark copy = *mark;

	copy.crc = 0;
	return htole32(bc_crc32c(&copy, sizeof(copy)));
}

static void mark_make(char *to, const uint8_t id[16], uint64_t bytes)
{
	struct mark mark = { .bytes = htole64(bytes) };

	memcpy(mark.text, mark_text, sizeof(mark.text));
	memcpy(mark.snapshot, id, sizeof(mark.snapshot));
	mark.crc = mark_crc(&mark);
	memcpy(to, &mark, sizeof(mark));
}

bool head_found(int fd)
{
	char sector[FIRST] __attribute__((aligned(FIRST)));
	struct mark mark;

	if (pread(fd, sector, sizeof(sector), 0) < (ssize_t)sizeof(mark))
		return false;
	memcpy(&mark, sector, sizeof(mark));
	return !memcmp(mark.text, mark_text, sizeof(mark.text)) && mark.crc == mark_crc(&mark);
}

int head_refuse(int fd, const char *name, struct bc_error *error)
{
	return head_found(fd) ?
		bc_fail(error, -EUCLEAN, "%s is incomplete: a restore to it was interrupted; restore again",
			name) : 0;
}

/* ---- set-up ---- */

/* O_DIRECT wants whole blocks of a file; its last is none. */
static int reopen_file(struct head *head, int fd, struct bc_error *error)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	head->fd = open(path, O_RDWR | O_CLOEXEC);
	if (head->fd < 0)
		return bc_fail_errno(error, -errno, "cannot open %s", head->name);
	head->own_fd = true;
	return 0;
}

static int head_alloc(struct head *head, struct bc_error *error)
{
	if (posix_memalign((void **)&head->content, FIRST, HEAD_BYTES))
		head->content = NULL;
	if (posix_memalign((void **)&head->old, FIRST, HEAD_BYTES))
		head->old = NULL;
	if (!head->content || !head->old)
		return bc_fail(error, -ENOMEM, "out of memory");
	memset(head->content, 0, HEAD_BYTES);
	return 0;
}

/* What is there, if it may stay; and is the mark there? */
static int head_look(struct head *head, uint64_t target_bytes, bool update,
		     struct bc_error *error)
{
	int err;

	head->marked = head_found(head->fd);
	if (!update || head->marked || target_bytes < head->length)
		return 0;
	err = bc_pread_full(head->fd, head->old, head->length, 0);
	head->known = !err;
	return err ? bc_fail_errno(error, err, "%s: cannot read at byte 0", head->name) : 0;
}

int head_init(struct head *head, const struct bc_blockdev *target, const char *name,
	      uint64_t bytes, const uint8_t id[16], bool update, struct bc_error *error)
{
	uint32_t align = target->is_file ? 1 : target->logical;
	uint64_t length = (bytes + align - 1) / align * align;
	int err = 0;

	*head = (struct head) { .name = name, .fd = target->fd };
	if (length < HEAD_MARK)
		return 0;
	head->length = length < HEAD_BYTES ? length : HEAD_BYTES;
	head->sector = target->is_file ? HEAD_MARK : target->logical;
	mark_make(head->mark, id, bytes);
	if (target->is_file)
		err = reopen_file(head, target->fd, error);
	if (!err)
		err = head_alloc(head, error);
	return err ? err : head_look(head, target->bytes, update, error);
}

void head_release(struct head *head)
{
	if (head->own_fd)
		close(head->fd);
	free(head->content);
	free(head->old);
	memset(head, 0, sizeof(*head));
}

/* ---- writing ---- */

static int head_write(struct head *head, const char *data, uint32_t from, uint32_t to,
		      struct bc_error *error)
{
	int err = bc_pwrite_full(head->fd, data + from, to - from, from);

	if (err)
		return bc_fail_errno(error, err, "%s: cannot write at byte %u", head->name, from);
	return fsync(head->fd) ? bc_fail_errno(error, -errno, "%s: cannot flush", head->name) : 0;
}

int head_mark(struct head *head, struct bc_error *error)
{
	int err;

	if (!head->length || head->marked)
		return 0;
	memset(head->old, 0, head->length);
	memcpy(head->old, head->mark, HEAD_MARK);
	head->known = false;
	err = head_write(head, head->old, 0, head->sector, error);
	head->marked = !err;
	if (!err && head->sector < head->length)
		err = head_write(head, head->old, head->sector, head->length, error);
	return err;
}

void head_take(struct head *head, uint64_t offset, const void *data, uint32_t bytes)
{
	if (data)
		memcpy(head->content + offset, data, bytes);
	else
		memset(head->content + offset, 0, bytes);
}

/* From behind, to the sector with the mark. */
static int head_replace(struct head *head, struct bc_error *error)
{
	uint32_t first = head->length < FIRST ? head->length : FIRST;
	int err = 0;

	if (first < head->length)
		err = head_write(head, head->content, first, head->length, error);
	if (!err && head->sector < first)
		err = head_write(head, head->content, head->sector, first, error);
	return err ? err : head_write(head, head->content, 0, head->sector, error);
}

static int head_verify(struct head *head, struct bc_error *error)
{
	int err;

	/* From the device, not from memory. */
	posix_fadvise(head->fd, 0, head->length, POSIX_FADV_DONTNEED);
	err = bc_pread_full(head->fd, head->old, head->length, 0);
	if (err)
		return bc_fail_errno(error, err, "%s: cannot read at byte 0", head->name);
	if (!memcmp(head->old, head->content, head->length))
		return 0;
	return bc_fail(error, -EIO,
		       "%s: image bytes 0 to %u read back other than they were written: the device is faulty",
		       head->name, head->length - 1);
}

int head_finish(struct head *head, bool verify, struct bc_error *error)
{
	int err;

	if (!head->length ||
	    (head->known && !memcmp(head->old, head->content, head->length)))
		return 0;
	err = head_mark(head, error);
	if (!err)
		err = head_replace(head, error);
	if (!err && verify)
		err = head_verify(head, error);
	if (err)
		return err;
	head->marked = false;
	return 1;
}
