// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Taking a snapshot (see take.h): the order of its frames.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "create.h"
#include "take.h"

static int write_super(struct take *take, struct writer *writer, struct bc_error *error)
{
	struct snap_super super;

	source_describe(take->source, &super);
	if (take->have) {
		super.flags |= htole32(SNAP_SUPER_DELTA);
		memcpy(super.parent, take->have->id, sizeof(super.parent));
		super.parent_root = htole64(take->have->root);
	}
	return writer_super(writer, &super, take->source->begin.history, error);
}

/* Of a delta: what stands before the chunks. */
static int write_base(struct take *take, struct writer *writer, uint8_t **holds,
		      struct bc_error *error)
{
	struct source *source = take->source;
	struct stamps *stamps = &source->stamps;
	const struct bc_volume *volume = &source->begin;
	int err = stamps_fix(stamps, error);

	if (err)
		return err;
	*holds = have_lacks(take->have, stamps->stamp, volume->history, volume->reigns);
	if (!*holds)
		return bc_fail(error, -ENOMEM, "out of memory");
	err = writer_stamps(writer, stamps->stamp, stamps->regions, error);
	return err ? err : writer_holds(writer, *holds, stamps->regions, error);
}

static uint64_t held_bytes(const struct source *source, const uint8_t *holds)
{
	const struct stamps *stamps = &source->stamps;
	uint64_t bytes = 0, size = source->blockdev.bytes, start;
	uint32_t r;

	for (r = 0; r < stamps->regions; r++) {
		start = (uint64_t)r << stamps->shift;
		if (snap_held(holds, r))
			bytes += size - start < 1ULL << stamps->shift ? size - start :
									1ULL << stamps->shift;
	}
	return bytes;
}

static int write_chunks(struct take *take, struct writer *writer, const uint8_t *holds,
			struct bc_error *error)
{
	struct source *source = take->source;
	const struct create_plan plan = {
		.fd = source->blockdev.fd, .bytes = source->blockdev.bytes,
		.level = take->level, .threads = take->threads, .rate = take->rate,
		.stamps = &source->stamps, .holds = holds, .writer = writer,
		.progress = &take->progress, .pass = source_pass,
		.fall_back = source_fall_back, .arg = source,
	};
	int err;

	take->held = holds ? held_bytes(source, holds) : plan.bytes;
	progress_start(&take->progress, take->what, take->held, take->quiet);
	err = create_chunks(&plan, error);
	progress_end(&take->progress);
	if (err)
		source_explain(source, error);
	return err;
}

static int write_end(struct take *take, struct writer *writer, struct bc_error *error)
{
	struct source *source = take->source;
	struct source_end end;
	int err = source_finish(source, &end, error);

	if (!err && source->volume && !take->have)
		err = writer_stamps(writer, source->stamps.stamp, source->stamps.regions, error);
	if (err)
		return err;
	writer->trailer.lsn = htole64(end.lsn);
	writer->trailer.flags = htole32(end.fuzzy ? SNAP_TRAILER_FUZZY : 0);
	return writer_trailer(writer, error);
}

static int check_have(const struct take *take, struct bc_error *error)
{
	const struct source *source = take->source;

	if (!source->volume)
		return bc_fail(error, -EINVAL,
			       "%s is no volume and has no stamps: what differs from %s cannot be told",
			       source->name, take->have->name);
	return have_check(take->have, source->begin.uuid, source->blockdev.bytes,
			  source->begin.region_shift, error);
}

int take_run(struct take *take, struct bc_error *error)
{
	struct writer writer;
	uint8_t *holds = NULL;
	int err = take->have ? check_have(take, error) : 0;

	if (!err)
		err = writer_open(&writer, take->output, error);
	if (err)
		return err;
	err = write_super(take, &writer, error);
	if (!err && take->have)
		err = write_base(take, &writer, &holds, error);
	if (!err)
		err = write_chunks(take, &writer, holds, error);
	if (!err)
		err = write_end(take, &writer, error);
	take->trailer = writer.trailer;
	writer_close(&writer);
	free(holds);
	return err;
}
