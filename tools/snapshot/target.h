/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a snapshot is unpacked onto: a raw image (file or block device), or the
 * copy of a volume that is down.
 *
 * A raw target is marked incomplete before the first byte changes, and its beginning
 * is written last of all (head.h): so one that fails half-way cannot be taken for
 * whole.  A volume's copy is durably marked incomplete before the first byte, and
 * unmarked as the last step (rule 25: mark, data, flush, map, history, unmark):
 * in between nothing can bring it up.  A fuzzy snapshot leaves it marked
 * inconsistent until a connection has completed it by stamps.
 *
 * While a copy is incomplete its map says what is there already: a region that
 * is about to be overwritten counts as never written, on stable storage, before
 * that begins.  A delta, whose stamps are known beforehand, is entered into the map
 * as it arrives, behind a flush; so one that was interrupted need not be sent again
 * as a whole.  A full snapshot that was interrupted is compared as it is written.
 */
#ifndef SNAPSHOT_TARGET_H
#define SNAPSHOT_TARGET_H

#include <stdbool.h>

#include "../lib/copy.h"
#include "have.h"
#include "head.h"
#include "reader.h"

/**
 * struct target - an open target
 * @name: as given; borrowed
 * @fd: to write to, O_DIRECT where possible
 * @base: byte of @fd where the image begins
 * @align: lengths of writes are multiples of this
 * @zeroed: all of it reads as zeros now
 * @started: on failure the content is partial
 * @volume: it is the copy of a volume
 * @resumed: a restore was interrupted here: it may hold much of it already
 * @update: what it holds may be right
 * @verify: what is written last is to be read back
 * @have: of a copy: what it has; changes as content does
 * @head: of a raw image: its beginning
 * @head_written: by target_finish(): it was
 */
struct target {
	const char *name;
	int fd;
	uint64_t base;
	uint32_t align;
	bool zeroed, started, volume, resumed, update, verify;
	struct have have;
	struct head head;
	bool head_written;
	uint32_t journaled;	/* regions before it are in @have */
	uint64_t journaled_at, journaled_bytes;

	struct bc_blockdev raw;
	struct bc_volume_config config;
	struct bc_copy copy;
	bool copy_open;
};

/**
 * target_open() - open and check, without changing anything
 * @name: with a '/' a path, else a volume
 * @reader: SUPER has been read
 * @flags: TARGET_*
 */
#define TARGET_FORCE	(1U << 0)	/* overwrite a file that exists, or a copy that
					 * holds content; accept a raw image that is not
					 * of one moment
					 */
#define TARGET_UPDATE	(1U << 1)	/* overwrite a file that exists, keep of it what
					 * is the same
					 */
#define TARGET_VERIFY	(1U << 2)	/* read back what is written last */

int target_open(struct target *target, const char *name, const struct reader *reader,
		unsigned int flags, struct bc_error *error);

/* Open the copy of a configured volume alone, to see what it has. */
int target_open_copy(struct target *target, const char *name, struct bc_error *error);
/* May the snapshot go there?  Behind target_open_copy(). */
int target_check(struct target *target, const struct reader *reader, bool force,
		 struct bc_error *error);
void target_close(struct target *target);

/* The first change: mark it as incomplete, size a file. */
int target_begin(struct target *target, const struct reader *reader, struct bc_error *error);

/* The next of a chain follows: @reader is a delta that fits what came before. */
int target_go_on(struct target *target, const struct reader *reader, struct bc_error *error);

/* Between two entries into the map; for tests. */
extern unsigned int target_journal_ms;

/*
 * All up to byte @bytes of the image is written: now and then, enter that into the
 * map of a copy; @last: now.
 */
int target_journal(struct target *target, const struct reader *reader, uint64_t bytes,
		   bool last, struct bc_error *error);

/* All content is written and the reader at its end: make it durable and whole. */
int target_finish(struct target *target, const struct reader *reader, bool force,
		  struct bc_error *error);

#endif /* SNAPSHOT_TARGET_H */
