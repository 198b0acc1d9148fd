/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a snapshot is taken of: a volume that is up, or any device or file.
 *
 * A volume, primary or replica, is read through a view of it, made for this and
 * owned by us (it goes when we do): content and stamps are those of one LSN.  The
 * snapshot carries the identity and the history that the volume has then.  A view
 * that breaks, because its store is full say, fails the snapshot.
 *
 * VOLUME@VIEW is a view that is there already, whatever the volume has become since:
 * the snapshot then carries the history that the volume had when it was made.
 *
 * On demand (@live) a volume is read through its own device.  Should its history
 * have changed at the end, the stamps read in between cannot be told apart, and the
 * snapshot fails (rule 25).  The image is of one moment (not fuzzy) if nothing at
 * all was written meanwhile: the newest LSN is the same at both ends, no region
 * changed or is in doubt, and the copy is no half-finished resync.
 *
 * For a host that joins (source_open_send()) a view is the better way but not the only
 * one: where there can be none, or when it breaks, its own device is read on.  What the
 * view has shown stays right, for it breaks before it shows anything else; of what is
 * read after that the stamps tell whether it is still what the view had.
 */
#ifndef SNAPSHOT_SOURCE_H
#define SNAPSHOT_SOURCE_H

#include "../lib/blockdev.h"
#include "../lib/kernel.h"
#include "stamps.h"

/**
 * struct source - an open source
 * @name: as given, borrowed; of a volume without the view
 * @volume: it is a volume
 * @begin: its state at the beginning
 * @view: the name of its view; empty: read live
 * @owned: the view was made for this
 * @passed: regions that the view need not show any more
 * @live: its own device, to be read when the view breaks
 * @stamps: its map, filled while it is read
 * @mounted: a plain device that somebody may write to
 */
struct source {
	const char *name;
	char volume_name[BLKCAST_NAME_MAX];
	struct bc_blockdev blockdev, live;
	bool volume, owned, mounted;
	struct bc_kernel *kernel;
	struct bc_volume begin;
	char view[BLKCAST_NAME_MAX];
	uint32_t passed;
	struct stamps stamps;
};

/* What became of it while it was read. */
struct source_end {
	uint64_t lsn;
	bool fuzzy;
};

/*
 * @name with a '/' is a path, with an '@' a view of a volume (@store means nothing
 * then), else a volume, read through a view that keeps old content in @store
 * (viewstore.h), or live if that is NULL.
 */
int source_open(struct source *source, const char *name, const char *store,
		struct bc_error *error);
/* A volume's, with a view if there can be one, which may break. */
int source_open_send(struct source *source, const char *name, const char *store,
		     struct bc_error *error);
void source_close(struct source *source);

void source_describe(const struct source *source, struct snap_super *super);

/* Nothing before byte @start will be read any more.  @arg: the struct source. */
void source_pass(void *arg, uint64_t start);

/* A read failed: what to read instead; -1: nothing.  @arg: the struct source. */
int source_fall_back(void *arg);

/* A read failed: say so if the view is broken. */
void source_explain(struct source *source, struct bc_error *error);

/* All is read: settle the map, and find out whether the image is of one moment. */
int source_finish(struct source *source, struct source_end *end, struct bc_error *error);

#endif /* SNAPSHOT_SOURCE_H */
