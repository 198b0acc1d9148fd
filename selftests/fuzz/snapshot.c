// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target: the reader of snapshots takes any bytes whatever, and neither
 * reads what is not there nor takes memory that they do not justify.
 *
 * Checksums would keep the fuzzer at the door, so they are made right before the
 * bytes are handed over: what it changes are lies, not damage.
 */
/* links: tools/snapshot/format.c tools/snapshot/seektable.c tools/snapshot/reader.c */
/* links: tools/snapshot/input.c tools/lib/util.c tools/lib/error.c tools/lib/crc32c.c */
/* libs: libzstd uuid */
/* flags: -fsanitize=fuzzer -lxxhash */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include "tools/lib/util.h"
#include "tools/snapshot/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Seal a frame that stands anywhere. */
static void reseal_frame(uint8_t *at, size_t frame, size_t offset)
{
	struct snap_head *head = malloc(frame);

	if (!head)
		abort();
	memcpy(head, at, frame);
	snap_head_seal(head, le16toh(head->type), frame - sizeof(*head), offset);
	memcpy(at, head, frame);
	free(head);
}

/* Give each metadata frame the checksum and the place that it should have. */
static void reseal(uint8_t *data, size_t size)
{
	struct snap_head head;
	size_t at = 0, frame;

	while (size - at >= sizeof(head)) {
		memcpy(&head, data + at, sizeof(head));
		if (le32toh(head.skip_magic) == SNAP_SKIP_MAGIC) {
			frame = 8 + (size_t)le32toh(head.skip_length);
			if (frame < sizeof(head) || frame > size - at)
				return;
			reseal_frame(data + at, frame, at);
		} else {
			frame = ZSTD_findFrameCompressedSize(data + at, size - at);
			if (ZSTD_isError(frame))
				return;
		}
		at += frame;
	}
}

static int take_chunk(struct reader *reader, const struct reader_chunk *chunk)
{
	char *packed = malloc(chunk->stored), *raw = malloc(chunk->bytes + 1);
	struct bc_error error;
	int err = -1;

	if (packed && raw)
		err = reader_packed(reader, chunk, packed, &error);
	if (!err)
		ZSTD_decompress(raw, chunk->bytes, packed, chunk->stored);
	free(packed);
	free(raw);
	return err;
}

static void read_all(const char *path)
{
	enum reader_item item = READER_CHUNK;
	struct reader_chunk chunk;
	struct bc_error error;
	struct reader reader;

	if (reader_open(&reader, path, &error))
		return;
	while (item != READER_END && !reader_next(&reader, &chunk, &item, &error)) {
		if (item == READER_CHUNK && take_chunk(&reader, &chunk))
			break;
	}
	reader_close(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size + 1);
	int fd = memfd_create("fuzz", 0);
	char path[32];

	if (!copy || fd < 0)
		abort();
	memcpy(copy, data, size);
	reseal(copy, size);
	if (bc_pwrite_full(fd, copy, size, 0))
		abort();
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	read_all(path);
	close(fd);
	free(copy);
	return 0;
}
