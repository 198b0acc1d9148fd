// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * snapshot_seeds FOLDER: small snapshots for the fuzzer to begin with.
 */
/* links: tools/snapshot/create.c tools/snapshot/stamps.c tools/snapshot/writer.c */
/* links: tools/snapshot/output.c tools/snapshot/folder.c tools/snapshot/format.c tools/snapshot/seektable.c */
/* links: tools/snapshot/ring.c tools/snapshot/pool.c tools/lib/progress.c */
/* links: tools/snapshot/extract.c tools/snapshot/reader.c tools/snapshot/input.c */
/* links: tools/snapshot/lowwater.c tools/snapshot/have.c tools/snapshot/head.c */
/* links: tools/lib/util.c tools/lib/error.c tools/lib/crc32c.c */
/* libs: libzstd liburing uuid */
/* flags: -lxxhash -pthread -Wno-format-truncation */
#include "selftests/unit/test_snapshot.h"

#include "blkcast_lsn.h"

#define IMAGE_BYTES ((2 << 20) + 4096 * 5)

static int ask_fixed(void *arg, uint32_t first, uint32_t count, uint64_t *stamps,
		     struct bc_error *error)
{
	uint32_t i;

	(void)arg;
	(void)error;
	for (i = 0; i < count; i++)
		stamps[i] = first + i < 16 ? blkcast_lsn(3, first + i + 1) : BLKCAST_LSN_NEVER;
	return 0;
}

static void make(const char *folder, const char *name, int fd, struct stamps *stamps)
{
	struct bc_error error;
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	MUST(!take_snapshot(fd, IMAGE_BYTES, stamps, path, &error));
}

/* Of two regions, and one that is zeros now. */
static void make_delta(const char *folder, int fd, struct stamps *stamps)
{
	struct bc_error error;
	struct have have;
	char path[256];

	snprintf(path, sizeof(path), "%s/stamps", folder);
	MUST(!have_read(&have, path, &error));
	have.stamp[0] = have.stamp[7] = have.stamp[20] = 1;
	snprintf(path, sizeof(path), "%s/delta", folder);
	MUST(!take_delta(fd, IMAGE_BYTES, stamps, &have, path, &error));
	have_release(&have);
}

int main(int argc, char **argv)
{
	struct stamps none = { 0 }, stamps = { .ask = ask_fixed };
	uint8_t *image = calloc(1, IMAGE_BYTES);
	struct bc_error error;
	int fd;

	MUST(argc == 2 && image);
	fill(image, 512, 1);
	fd = memory_file(image, IMAGE_BYTES);
	make(argv[1], "plain", fd, &none);
	MUST(!stamps_init(&stamps, IMAGE_BYTES, 16, &error));
	make(argv[1], "stamps", fd, &stamps);
	make_delta(argv[1], fd, &stamps);
	stamps_release(&stamps);
	close(fd);
	free(image);
	return 0;
}
