// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A volume that is written to while it is read: every stamp in the snapshot is
 * the stamp of exactly the content beside it, or is in doubt.
 */
/* links: tools/snapshot/create.c tools/snapshot/stamps.c tools/snapshot/writer.c */
/* links: tools/snapshot/output.c tools/snapshot/folder.c tools/snapshot/format.c tools/snapshot/seektable.c */
/* links: tools/snapshot/ring.c tools/snapshot/pool.c tools/lib/progress.c */
/* links: tools/snapshot/extract.c tools/snapshot/reader.c tools/snapshot/input.c */
/* links: tools/snapshot/lowwater.c tools/snapshot/have.c tools/snapshot/head.c */
/* links: tools/lib/util.c tools/lib/error.c tools/lib/crc32c.c */
/* libs: libzstd liburing uuid */
/* flags: -lxxhash -pthread -Wno-format-truncation */
#include "test_volume.h"

/* Unpack with zstd alone. */
static uint8_t *unpack_all(const char *path, uint64_t bytes)
{
	uint8_t *data = malloc(bytes);
	char command[256];
	FILE *pipe;

	snprintf(command, sizeof(command), "zstd -qdc %s", path);
	pipe = popen(command, "r");
	MUST(data && pipe);
	EXPECT(fread(data, 1, bytes, pipe) == bytes);
	EXPECT(!pclose(pipe));
	return data;
}

/* Returns the number of regions in doubt. */
static uint32_t expect_true_stamps(struct volume *volume, const char *path)
{
	uint8_t *image = unpack_all(path, volume->bytes), *want = malloc(1U << volume->shift);
	struct progress progress = { 0 };
	struct reader reader;
	const struct extract_plan plan = {
		.reader = &reader, .threads = 2, .progress = &progress,
	};
	struct bc_error error;
	uint32_t r, doubt = 0;

	MUST(want);
	EXPECT(!reader_open(&reader, path, &error));
	EXPECT(!extract_chunks(&plan, &error));
	for (r = 0; r < volume->regions; r++) {
		if (reader.stamps[r] == BLKCAST_LSN_DOUBT) {
			doubt++;
			continue;
		}
		region_content(volume, r, reader.stamps[r], want);
		EXPECT(!memcmp(image + ((uint64_t)r << volume->shift), want,
			       region_bytes(volume, r)));
	}
	EXPECT(doubt == le32toh(reader.trailer.doubt));
	reader_close(&reader);
	free(image);
	free(want);
	return doubt;
}

static char folder[] = "/tmp/test_snapshot.XXXXXX", path[64];

static uint32_t snapshot_of(struct volume *volume, bool *changed)
{
	struct stamps stamps = { .ask = volume_ask, .arg = volume };
	struct bc_error error;
	uint32_t doubt;

	MUST(!stamps_init(&stamps, volume->bytes, volume->shift, &error));
	EXPECT(!take_snapshot(volume->fd, volume->bytes, &stamps, path, &error));
	*changed = stamps.changed;
	doubt = expect_true_stamps(volume, path);
	stamps_release(&stamps);
	close(volume->fd);
	return doubt;
}

static void quiet_volume_is_exact(void)
{
	struct volume volume;
	bool changed;

	volume_make(&volume, (5 << 20) + 4096, 16);
	EXPECT(snapshot_of(&volume, &changed) == 0);
	EXPECT(!changed);
}

static void busy_volume_has_true_stamps(void)
{
	static const uint32_t shifts[] = { 16, 17, 20, 22 };
	unsigned int i, rounds_with_doubt = 0;

	for (i = 0; i < 12; i++) {
		struct volume volume;
		bool changed;

		volume_make(&volume, (7 << 20) + random_below(256) * 4096, shifts[i % 4]);
		volume.write_rate = 4 + random_below(60);
		volume.busy_rate = random_below(20);
		rounds_with_doubt += snapshot_of(&volume, &changed) > 0;
		EXPECT(changed);
	}
	EXPECT(rounds_with_doubt > 0);
}

/* One change under the read is not yet a doubt: the region is read again. */
static void changed_region_is_read_again(void)
{
	unsigned int i, doubt = 0, changes = 0;

	for (i = 0; i < 8; i++) {
		struct volume volume;
		bool changed;

		volume_make(&volume, 8 << 20, 16);
		volume.write_rate = 1;
		doubt += snapshot_of(&volume, &changed);
		changes += changed;
	}
	EXPECT(changes > 0);
	EXPECT(doubt < changes);
}

static void region_in_doubt_stays_so(void)
{
	struct volume volume;
	bool changed;

	volume_make(&volume, 3 << 20, 18);
	volume.stamp[5] = BLKCAST_LSN_DOUBT;
	EXPECT(snapshot_of(&volume, &changed) == 1);
}

int main(void)
{
	MUST(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/snap", folder);
	ksft_print_header();
	ksft_set_plan(4);
	REPORT(quiet_volume_is_exact);
	REPORT(busy_volume_has_true_stamps);
	REPORT(changed_region_is_read_again);
	REPORT(region_in_doubt_stays_so);
	unlink(path);
	rmdir(folder);
	ksft_finished();
}
