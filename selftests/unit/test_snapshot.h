/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of the snapshot pipeline share: images, snapshots of them in a
 * scratch folder, a verdict.
 */
#ifndef TEST_SNAPSHOT_H
#define TEST_SNAPSHOT_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "selftests/unit/expect.h"

#include "tools/lib/util.h"
#include "tools/snapshot/create.h"
#include "tools/snapshot/extract.h"
#include "tools/snapshot/have.h"

/* What cannot fail. */
#define MUST(condition) do {						\
	if (!(condition))						\
		ksft_exit_fail_msg("line %d: %s: %s\n", __LINE__,	\
				   #condition, strerror(errno));	\
} while (0)

/* xorshift: the same numbers on every machine. */
static uint64_t random_state = 1;

static inline uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static inline uint64_t random_below(uint64_t limit)
{
	return random_next() % limit;
}

/* Bytes that depend on @seed; half of them compress. */
static inline void fill(uint8_t *data, size_t length, uint64_t seed)
{
	uint64_t state = seed * 0x9E3779B97F4A7C15ULL + 1;
	size_t i;

	for (i = 0; i < length; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		data[i] = i / 512 % 2 ? state : state & 3;
	}
}

/* Of the volume. */
static uint8_t test_uuid[16];

/* For create_plan: what is read when a read fails. */
static int (*test_fall_back)(void *arg);
static void *test_fall_back_arg;

/* Before the chunks of a delta; *holds is to be freed. */
static inline int write_base(struct writer *writer, struct stamps *stamps,
			     const struct have *have, uint8_t **holds, struct bc_error *error)
{
	int err = stamps_fix(stamps, error);

	if (err)
		return err;
	*holds = have_lacks(have, stamps->stamp, have->history, have->reigns);
	MUST(*holds);
	err = writer_stamps(writer, stamps->stamp, stamps->regions, error);
	return err ? err : writer_holds(writer, *holds, stamps->regions, error);
}

/* Write the delta of @bytes of @fd to @have to @path. */
static inline int take_delta(int fd, uint64_t bytes, struct stamps *stamps,
			     const struct have *have, const char *path, struct bc_error *error)
{
	struct progress progress = { 0 };
	struct output output;
	struct writer writer;
	struct snap_super super = { .bytes = htole64(bytes), .chunk_size = htole32(SNAP_CHUNK_SIZE) };
	struct create_plan plan = {
		.fd = fd, .bytes = bytes, .level = 1, .threads = 2,
		.stamps = stamps, .writer = &writer, .progress = &progress,
		.fall_back = test_fall_back, .arg = test_fall_back_arg,
	};
	const struct blkcast_reign reign = { .term = htole32(1), .reign = htole64(11) };
	uint8_t *holds = NULL;
	int err;

	bc_uuid_generate(super.id);
	memcpy(super.volume, test_uuid, sizeof(super.volume));
	if (stamps->ask) {
		super.flags = htole32(SNAP_SUPER_STAMPS | (have ? SNAP_SUPER_DELTA : 0));
		super.region_shift = htole32(stamps->shift);
		super.reigns = htole32(1);
	}
	if (have) {
		memcpy(super.parent, have->id, sizeof(super.parent));
		super.parent_root = htole64(have->root);
	}
	MUST(!output_open(&output, path, true, error));
	MUST(!writer_open(&writer, &output, error));
	err = writer_super(&writer, &super, &reign, error);
	if (!err && have)
		err = write_base(&writer, stamps, have, &holds, error);
	plan.holds = holds;
	if (!err)
		err = create_chunks(&plan, error);
	if (!err && stamps->ask && !have) {
		stamps_finish(stamps);
		err = writer_stamps(&writer, stamps->stamp, stamps->regions, error);
	}
	if (!err)
		err = writer_trailer(&writer, error);
	if (!err)
		err = output_commit(&output, error);
	writer_close(&writer);
	output_close(&output);
	free(holds);
	return err;
}

/* Write the snapshot of @bytes of @fd to @path; @stamps may be empty. */
static inline int take_snapshot(int fd, uint64_t bytes, struct stamps *stamps,
				const char *path, struct bc_error *error)
{
	return take_delta(fd, bytes, stamps, NULL, path, error);
}

/* Read and check all of the snapshot at @path. */
static inline int check_snapshot(const char *path, unsigned int threads, struct bc_error *error)
{
	struct progress progress = { 0 };
	struct reader reader;
	const struct extract_plan plan = {
		.reader = &reader, .threads = threads, .progress = &progress,
	};
	int err = reader_open(&reader, path, error);

	if (err)
		return err;
	err = extract_chunks(&plan, error);
	reader_close(&reader);
	return err;
}

static inline int memory_file(const void *data, size_t length)
{
	int fd = memfd_create("test", 0);

	MUST(fd >= 0 && !bc_pwrite_full(fd, data, length, 0));
	return fd;
}

#endif /* TEST_SNAPSHOT_H */
