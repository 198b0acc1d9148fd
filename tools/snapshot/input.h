/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a snapshot comes from: a file, or standard input.  Read once, forward.
 */
#ifndef SNAPSHOT_INPUT_H
#define SNAPSHOT_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/error.h"

/**
 * struct input - an open input
 * @path: as given; "-" is standard input; borrowed
 * @name: the same, for messages
 * @size: of a regular file, else 0
 * @regular: it is a regular file, so that its end can be looked at first
 * @offset: of the next byte
 */
struct input {
	const char *path, *name;
	int fd;
	uint64_t size, offset;
	bool regular;
	char *buffer;
	size_t begin, end;
};

int input_open(struct input *input, const char *path, struct bc_error *error);
/* The same of something open, which stays the caller's. */
int input_open_fd(struct input *input, int fd, const char *name, struct bc_error *error);
void input_close(struct input *input);

/* Exactly @length bytes; -ENODATA: the input ends before. */
int input_read(struct input *input, void *data, size_t length, struct bc_error *error);

/* Nothing follows: 0, or -EINVAL. */
int input_expect_end(struct input *input, struct bc_error *error);

/* Go on reading elsewhere in a regular file. */
int input_seek(struct input *input, uint64_t offset, struct bc_error *error);

/* From anywhere in a regular file, beside the stream. */
int input_peek(const struct input *input, void *data, size_t length, uint64_t offset,
	       struct bc_error *error);

#endif /* SNAPSHOT_INPUT_H */
