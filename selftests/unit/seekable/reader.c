// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * reader SNAPSHOT IMAGE: does zstd's own reader of its seekable format find in SNAPSHOT,
 * by the seek table alone, what IMAGE holds?  From the last frame to the first, and in
 * pieces that lie across frames.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "zstd_seekable.h"

static char *image;
static size_t size;

static void fail(const char *what, unsigned long long at)
{
	fprintf(stderr, "%s at %llu\n", what, at);
	exit(1);
}

static void image_read(const char *path)
{
	FILE *file = fopen(path, "rb");

	if (!file || fseek(file, 0, SEEK_END))
		fail("cannot read the image", 0);
	size = ftell(file);
	rewind(file);
	image = malloc(size);
	if (!image || fread(image, 1, size, file) != size)
		fail("cannot read the image", size);
	fclose(file);
}

static void range_check(ZSTD_seekable *z, char *piece, unsigned long long at, size_t length)
{
	size_t got = ZSTD_seekable_decompress(z, piece, length, at);

	if (ZSTD_isError(got))
		fail(ZSTD_getErrorName(got), at);
	if (got != length || memcmp(piece, image + at, length))
		fail("not what the image holds", at);
}

int main(int argc, char **argv)
{
	ZSTD_seekable *z = ZSTD_seekable_create();
	unsigned int frames, i, full = 0;
	unsigned long long end = 0;
	FILE *file;
	size_t ret;
	char *piece;

	if (argc != 3)
		return 2;
	image_read(argv[2]);
	piece = malloc(size);
	file = fopen(argv[1], "rb");
	if (!file || !z || !piece)
		fail("cannot begin", 0);
	ret = ZSTD_seekable_initFile(z, file);
	if (ZSTD_isError(ret))
		fail(ZSTD_getErrorName(ret), 0);
	frames = ZSTD_seekable_getNumFrames(z);
	for (i = frames; i-- > 0;) {
		unsigned long long at = ZSTD_seekable_getFrameDecompressedOffset(z, i);
		size_t length = ZSTD_seekable_getFrameDecompressedSize(z, i);

		if (i == frames - 1)
			end = at + length;
		if (at > size || length > size - at)
			fail("a frame beyond the image", at);
		if (length)
			range_check(z, piece, at, length);
		full += length != 0;
	}
	if (end != size)
		fail("the frames end", end);
	for (unsigned long long at = 12345; at + 3000000 < size; at += 1999999)
		range_check(z, piece, at, 3000000);
	printf("# %u frames, %u with data, %zu bytes\n", frames, full, size);
	return 0;
}
