/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a snapshot goes: a file, or standard output.
 *
 * A file is written under a temporary name in the same folder and takes its
 * own name only when it is whole and on stable storage.  Whatever happens
 * before, SIGINT, SIGTERM and SIGHUP included, the name stays as it was and
 * the temporary file goes away.
 */
#ifndef SNAPSHOT_OUTPUT_H
#define SNAPSHOT_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/error.h"

/**
 * struct output - an open output
 * @path: as given; "-" is standard output; borrowed
 * @fd: -1 when closed
 * @offset: bytes written
 */
struct output {
	const char *path;
	char *temporary;
	int fd;
	bool force;
	uint64_t offset;
};

/* -EEXIST: there is a file of this name and @force is not set. */
int output_open(struct output *output, const char *path, bool force,
		struct bc_error *error);
int output_write(struct output *output, const void *data, size_t length,
		 struct bc_error *error);
/* Everything is written: make it durable and give it its name. */
int output_commit(struct output *output, struct bc_error *error);
/* Close; what was not committed goes away. */
void output_close(struct output *output);

#endif /* SNAPSHOT_OUTPUT_H */
