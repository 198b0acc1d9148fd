/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * e2fsck of the volume at a cut: its journal replayed, as a mount would, nothing
 * is left to be repaired.
 */
#ifndef LOG_WRITES_FSCK_H
#define LOG_WRITES_FSCK_H

#include <sys/types.h>

#include "check.h"

#define LW_FSCK_JOBS	4

struct lw_fsck_job {
	pid_t pid;		/* 0: none */
	int image, output;
	struct lw_cut cut;
};

/**
 * struct lw_fsck - those that run, and what has been seen
 * @images: different ones that were checked
 * @failures: how many were bad
 */
struct lw_fsck {
	struct lw_fsck_job jobs[LW_FSCK_JOBS];
	uint64_t *seen;
	uint32_t images, room;
	uint64_t failures;
};

/* Check the volume of a disk that stands at a cut, unless one like it was. */
int lw_fsck_start(struct lw_fsck *fsck, const struct lw_check *check,
		  const struct lw_cut *cut, struct bc_error *error);
/* Wait for all; frees what it holds. */
void lw_fsck_finish(struct lw_fsck *fsck);

#endif /* LOG_WRITES_FSCK_H */
