/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Taking a snapshot, full or delta, of an open source to an open output.
 */
#ifndef SNAPSHOT_TAKE_H
#define SNAPSHOT_TAKE_H

#include "have.h"
#include "progress.h"
#include "source.h"
#include "writer.h"

/**
 * struct take - what is wanted
 * @have: NULL: a full snapshot; else what one who has this lacks
 * @level: of zstd
 * @rate: bytes of the image a second, 0: no limit
 * @trailer: filled: totals
 * @held: filled: a delta: bytes of the regions that it holds
 */
struct take {
	struct source *source;
	struct output *output;
	const struct have *have;
	const char *what;
	int level;
	unsigned int threads;
	uint64_t rate;
	bool quiet;
	struct progress progress;
	struct snap_trailer trailer;
	uint64_t held;
};

/* All but output_commit(). */
int take_run(struct take *take, struct bc_error *error);

#endif /* SNAPSHOT_TAKE_H */
