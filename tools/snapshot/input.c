// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where a snapshot comes from (see input.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/util.h"
#include "input.h"

#define BUFFER_SIZE (1U << 18)

static int input_open_path(struct input *input, struct bc_error *error)
{
	struct stat st;

	if (!strcmp(input->path, "-")) {
		input->name = "standard input";
		input->fd = dup(STDIN_FILENO);
	} else {
		input->fd = open(input->path, O_RDONLY | O_CLOEXEC);
	}
	if (input->fd < 0 || fstat(input->fd, &st))
		return bc_fail_errno(error, -errno, "cannot open %s", input->name);
	if (S_ISDIR(st.st_mode))
		return bc_fail(error, -EISDIR, "%s is a folder", input->name);
	if (isatty(input->fd))
		return bc_fail(error, -ENOTTY, "%s is a terminal", input->name);
	/* Standard input may stand anywhere in its file. */
	input->regular = S_ISREG(st.st_mode) && strcmp(input->path, "-");
	input->size = input->regular ? st.st_size : 0;
	if (input->regular)
		posix_fadvise(input->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return 0;
}

static int input_init(struct input *input, const char *path, struct bc_error *error)
{
	*input = (struct input) { .path = path, .name = path, .fd = -1 };
	input->buffer = malloc(BUFFER_SIZE);
	return input->buffer ? 0 : bc_fail(error, -ENOMEM, "out of memory");
}

int input_open_fd(struct input *input, int fd, const char *name, struct bc_error *error)
{
	int err = input_init(input, name, error);

	if (err)
		return err;
	input->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (input->fd >= 0)
		return 0;
	err = bc_fail_errno(error, -errno, "%s", name);
	input_close(input);
	return err;
}

int input_open(struct input *input, const char *path, struct bc_error *error)
{
	int err = input_init(input, path, error);

	if (err)
		return err;
	err = input_open_path(input, error);
	if (err)
		input_close(input);
	return err;
}

void input_close(struct input *input)
{
	if (input->fd >= 0)
		close(input->fd);
	free(input->buffer);
	*input = (struct input) { .fd = -1 };
}

/* One read(2): bytes, 0 at the end, or a negative errno. */
static ssize_t input_fill(struct input *input, void *data, size_t room, struct bc_error *error)
{
	ssize_t n;

	do {
		n = read(input->fd, data, room);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? bc_fail_errno(error, -errno, "cannot read %s", input->name) : n;
}

static size_t input_take(struct input *input, void *data, size_t length)
{
	size_t n = input->end - input->begin;

	if (n > length)
		n = length;
	memcpy(data, input->buffer + input->begin, n);
	input->begin += n;
	return n;
}

int input_read(struct input *input, void *data, size_t length, struct bc_error *error)
{
	uint64_t wanted = input->offset + length;
	char *to = data;
	ssize_t n;

	while (length) {
		n = input_take(input, to, length);
		if (!n && length >= BUFFER_SIZE) {
			n = input_fill(input, to, length, error);
		} else if (!n) {
			n = input_fill(input, input->buffer, BUFFER_SIZE, error);
			input->begin = 0;
			input->end = n > 0 ? n : 0;
			if (n > 0)
				continue;
		}
		if (n < 0)
			return n;
		if (!n)
			return bc_fail(error, -ENODATA,
				       "%s is truncated: it ends at byte %llu, where at least %llu were expected",
				       input->name, (unsigned long long)input->offset,
				       (unsigned long long)wanted);
		to += n;
		length -= n;
		input->offset += n;
	}
	return 0;
}

int input_expect_end(struct input *input, struct bc_error *error)
{
	char byte;
	ssize_t n = input->end - input->begin;

	if (!n)
		n = input_fill(input, &byte, 1, error);
	if (n < 0)
		return n;
	return n ? bc_fail(error, -EINVAL, "%s: byte %llu: something follows the end of the snapshot",
			   input->name, (unsigned long long)input->offset) : 0;
}

int input_seek(struct input *input, uint64_t offset, struct bc_error *error)
{
	if (lseek(input->fd, offset, SEEK_SET) < 0)
		return bc_fail_errno(error, -errno, "%s: cannot go to byte %llu", input->name,
				     (unsigned long long)offset);
	input->begin = input->end = 0;
	input->offset = offset;
	return 0;
}

int input_peek(const struct input *input, void *data, size_t length, uint64_t offset,
	       struct bc_error *error)
{
	int err = bc_pread_full(input->fd, data, length, offset);

	return err ? bc_fail_errno(error, err, "%s: cannot read at byte %llu", input->name,
				   (unsigned long long)offset) : 0;
}
