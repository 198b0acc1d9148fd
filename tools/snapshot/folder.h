/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A folder of snapshots.  Who builds on one that is in it (a delta in the making)
 * holds the folder shared; who deletes from it holds it alone.  The lock is one on
 * file FOLDER_LOCK in it, which works on network filesystems, too.
 */
#ifndef SNAPSHOT_FOLDER_H
#define SNAPSHOT_FOLDER_H

#include <stdbool.h>

#include "../lib/error.h"

#define FOLDER_LOCK	".blkcast.lock"
#define FOLDER_SUFFIX	".snap"

/*
 * Hold @folder until *lock is closed; -EBUSY: it is held otherwise.  Shared, of a
 * folder that cannot be written to: *lock is -1, for nobody deletes there.
 */
int folder_lock(const char *folder, bool shared, int *lock, struct bc_error *error);

/* The same of the folder that file @path is in, shared. */
int folder_lock_of(const char *path, int *lock, struct bc_error *error);

/* Make durable that file @path is there. */
int folder_sync_of(const char *path, struct bc_error *error);

#endif /* SNAPSHOT_FOLDER_H */
