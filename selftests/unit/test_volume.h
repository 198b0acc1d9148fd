/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A volume for the tests of snapshots: a file whose content follows from its
 * stamps, written to at random whenever its stamps are asked for.
 */
#ifndef TEST_VOLUME_H
#define TEST_VOLUME_H

#include "test_snapshot.h"

#include "blkcast_lsn.h"

#define REGIONS_MAX	512

/*
 * A volume: the content of region r at stamp s is fill(r, s); a region with
 * stamp 0 holds rubbish on the device, because nobody ever reads it.
 */
struct volume {
	int fd;
	uint64_t bytes;
	uint32_t shift, regions;
	uint64_t stamp[REGIONS_MAX], next;
	/* Of 256: how often a region is written, or is seen under way, at a query. */
	unsigned int write_rate, busy_rate;
	unsigned int queries, never_read;
};

static inline uint32_t region_bytes(const struct volume *volume, uint32_t r)
{
	uint64_t start = (uint64_t)r << volume->shift, size = 1ULL << volume->shift;

	return volume->bytes - start < size ? volume->bytes - start : size;
}

static inline void region_content(const struct volume *volume, uint32_t r, uint64_t stamp, uint8_t *data)
{
	if (stamp == BLKCAST_LSN_NEVER)
		memset(data, 0, region_bytes(volume, r));
	else
		fill(data, region_bytes(volume, r), stamp << 20 | r);
}

static inline void region_write(struct volume *volume, uint32_t r)
{
	uint8_t *data = malloc(1U << volume->shift);

	MUST(data);
	volume->stamp[r] = blkcast_lsn(1, volume->next++);
	region_content(volume, r, volume->stamp[r], data);
	MUST(!bc_pwrite_full(volume->fd, data, region_bytes(volume, r),
			     (uint64_t)r << volume->shift));
	free(data);
}

static inline void volume_make(struct volume *volume, uint64_t bytes, uint32_t shift)
{
	uint8_t rubbish[4096];
	uint32_t r;

	*volume = (struct volume) {
		.fd = memfd_create("volume", 0), .bytes = bytes, .shift = shift, .next = 1,
		.regions = (bytes + (1ULL << shift) - 1) >> shift,
	};
	MUST(volume->fd >= 0 && !ftruncate(volume->fd, bytes));
	MUST(volume->regions <= REGIONS_MAX);
	memset(rubbish, 0xee, sizeof(rubbish));
	for (r = 0; r < volume->regions; r++) {
		if (random_below(3))
			region_write(volume, r);
		else
			MUST(!bc_pwrite_full(volume->fd, rubbish, 512,
					     (uint64_t)r << volume->shift));
	}
}

/* The kernel's answer, with writes going on: some before it, some behind it. */
static inline int volume_ask(void *arg, uint32_t first, uint32_t count, uint64_t *stamps,
		      struct bc_error *error)
{
	struct volume *volume = arg;
	uint32_t i;

	(void)error;
	MUST(first + count <= volume->regions);
	volume->queries++;
	for (i = 0; i < count; i++) {
		if (random_below(256) < volume->write_rate)
			region_write(volume, first + i);
		stamps[i] = volume->stamp[first + i];
		if (random_below(256) < volume->busy_rate)
			stamps[i] = BLKCAST_LSN_DOUBT;
		if (random_below(256) < volume->write_rate)
			region_write(volume, random_below(volume->regions));
	}
	return 0;
}

#endif /* TEST_VOLUME_H */
