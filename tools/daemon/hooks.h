/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hooks: the executables in CONFIG_DIR/hooks.d, run for each event.
 *
 *  1. In the order of events, and for one event in the order of names: one process at
 *     a time, which is killed, with all it has begun, after HOOK_MS.
 *  2. No shell: the file is executed with a fixed PATH and what is in the environment
 *     (blkcastd(8)), without arguments, its input empty, its output our log's.
 *  3. Only what root alone can write is run.
 *  4. Events wait in a queue of HOOKS_MAX; what does not fit is lost, and a "lost"
 *     event takes its place, as for those that the kernel has lost.
 */
#ifndef BC_HOOKS_H
#define BC_HOOKS_H

#include "kernel.h"
#include "loop.h"

#define HOOK_MS		10000
#define HOOKS_MAX	256

struct hooks;

/* NULL: out of memory. */
struct hooks *hooks_new(struct loop *loop);
/* Kills what runs; what waits is dropped. */
void hooks_free(struct hooks *hooks);

void hooks_event(struct hooks *hooks, const struct bc_event *event);
/* Some events never came: whoever cares looks at the state. */
void hooks_lost(struct hooks *hooks);

#endif /* BC_HOOKS_H */
