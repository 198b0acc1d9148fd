// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What somebody has of a volume (see have.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/util.h"
#include "blkcast_lsn.h"
#include "have.h"
#include "reader.h"
#include "writer.h"

/* Take over what @reader has read; it loses its stamps. */
static void have_take(struct have *have, struct reader *reader, const char *name)
{
	const struct snap_super *super = reader->super;

	*have = (struct have) {
		.name = name, .root = le64toh(reader->trailer.root),
		.bytes = reader_bytes(reader), .region_shift = le32toh(super->region_shift),
		.regions = reader->regions, .reigns = le32toh(super->reigns),
		.stamp = reader->stamps,
	};
	memcpy(have->id, super->id, sizeof(have->id));
	memcpy(have->volume, super->volume, sizeof(have->volume));
	memcpy(have->history, super->history, have->reigns * sizeof(*have->history));
	reader->stamps = NULL;
}

int have_read(struct have *have, const char *path, struct bc_error *error)
{
	struct reader reader;
	int err = reader_open(&reader, path, error);

	if (err)
		return err;
	err = reader_skip_to_stamps(&reader, error);
	if (!err)
		have_take(have, &reader, path);
	reader_close(&reader);
	return err;
}

int have_receive(struct have *have, int fd, const char *name, struct bc_error *error)
{
	struct reader reader;
	int err = reader_open_stamps(&reader, fd, name, error);

	if (err)
		return err;
	have_take(have, &reader, name);
	reader_close(&reader);
	return 0;
}

int have_send(const struct have *have, struct output *output, struct bc_error *error)
{
	struct snap_super super = {
		.bytes = htole64(have->bytes), .chunk_size = htole32(SNAP_CHUNK_SIZE),
		.region_shift = htole32(have->region_shift),
		.flags = htole32(SNAP_SUPER_STAMPS), .reigns = htole32(have->reigns),
	};
	struct writer writer;
	int err;

	memcpy(super.id, have->id, sizeof(super.id));
	memcpy(super.volume, have->volume, sizeof(super.volume));
	err = writer_open(&writer, output, error);
	if (err)
		return err;
	err = writer_super(&writer, &super, have->history, error);
	if (!err)
		err = writer_stamps(&writer, have->stamp, have->regions, error);
	writer_close(&writer);
	return err;
}

void have_release(struct have *have)
{
	free(have->stamp);
	have->stamp = NULL;
}

/* The newest term that two histories share: it and all before are the same reigns. */
static uint32_t common_term(const struct blkcast_reign *a, uint32_t a_reigns,
			    const struct blkcast_reign *b, uint32_t b_reigns)
{
	uint32_t i;

	while (a_reigns--) {
		for (i = 0; i < b_reigns; i++) {
			if (a[a_reigns].term == b[i].term && a[a_reigns].reign == b[i].reign)
				return le32toh(b[i].term);
		}
	}
	return 0;
}

static bool region_had(uint64_t have, uint64_t want, uint32_t term)
{
	return blkcast_stamps_equal(have, want) && blkcast_lsn_term(want) <= term;
}

uint8_t *have_lacks(const struct have *have, const uint64_t *stamps,
		    const struct blkcast_reign *history, uint32_t reigns)
{
	uint32_t term = common_term(have->history, have->reigns, history, reigns), r;
	uint8_t *lacks = calloc(1, snap_holds_bytes(have->regions));

	for (r = 0; lacks && r < have->regions; r++) {
		if (!region_had(have->stamp[r], stamps[r], term))
			lacks[r / 8] |= 1U << r % 8;
	}
	return lacks;
}

int have_check(const struct have *have, const uint8_t volume[16], uint64_t bytes,
	       uint32_t region_shift, struct bc_error *error)
{
	char mine[BC_UUID_TEXT], other[BC_UUID_TEXT];

	if (memcmp(have->volume, volume, sizeof(have->volume)))
		return bc_fail(error, -EINVAL, "%s is of volume %s, not of %s", have->name,
			       bc_uuid_format(have->volume, mine), bc_uuid_format(volume, other));
	if (have->bytes != bytes || have->region_shift != region_shift)
		return bc_fail(error, -EINVAL,
			       "%s has %llu bytes in regions of %u KiB, the volume %llu in regions of %u KiB: no delta is possible between them",
			       have->name, (unsigned long long)have->bytes,
			       1U << (have->region_shift - 10), (unsigned long long)bytes,
			       1U << (region_shift - 10));
	return 0;
}

int have_fits(const struct have *have, const struct reader *delta, struct bc_error *error)
{
	const struct snap_super *super = delta->super;
	uint32_t term = common_term(have->history, have->reigns, super->history,
				    le32toh(super->reigns)), r;
	int err = have_check(have, super->volume, reader_bytes(delta),
			     le32toh(super->region_shift), error);

	for (r = 0; !err && r < have->regions; r++) {
		if (!snap_held(delta->holds, r) &&
		    !region_had(have->stamp[r], delta->stamps[r], term))
			err = bc_fail(error, -ESTALE,
				      "%s is a delta to another state than that of %s: region %u has stamp %u.%llu there, the delta wants %u.%llu",
				      delta->input.name, have->name, r,
				      blkcast_lsn_term(have->stamp[r]),
				      (unsigned long long)blkcast_lsn_seq(have->stamp[r]),
				      blkcast_lsn_term(delta->stamps[r]),
				      (unsigned long long)blkcast_lsn_seq(delta->stamps[r]));
	}
	return err;
}
