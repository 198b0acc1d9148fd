/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One log, replayed segment by segment, with cuts in each.
 */
#ifndef LOG_WRITES_RUN_H
#define LOG_WRITES_RUN_H

#include "check.h"
#include "fsck.h"

/**
 * struct lw_job - what is asked for
 * @trace, @primary: what the primary of the volume has recorded
 * @minor: of its device /dev/blkcastMINOR
 * @replica: NULL: the primary's log is cut, else this one
 * @disk: what the log that is cut has left
 * @base: what its disk held when it began, NULL: garbage
 * @before_trace, @before_log, @primary_base: NULL, or an earlier recording of
 *	the primary, and what its disk held when the second began
 * @seed, @cuts: of the lots; how many cuts in each segment
 * @fsck: look at the ext4 on the volume as well
 * @one: only the cut @from.@number
 * @image: write the disk at a cut into that file, and check nothing
 * @percent: where that cut is, unless @one
 * @marks: with @image: the marks "file:..." before that cut into that file
 */
struct lw_job {
	const char *trace, *primary, *replica, *disk, *base;
	const char *before_trace, *before_log, *primary_base;
	uint32_t minor;
	uint64_t seed;
	uint32_t cuts;
	bool fsck, one;
	uint32_t from, number, percent;
	const char *image, *marks;
};

/**
 * struct lw_run - what has been done
 * @begin: the first entry that is cut: behind the mark "created", if the log does
 *	not begin on a @base
 * @mkfs: the mark "mkfs", where a filesystem is whole for the first time
 */
struct lw_run {
	const struct lw_job *job;
	struct lw_log primary, replica, before, *log;
	struct lw_trace trace, trace_before;
	struct lw_disk disk;
	struct lw_history history;
	struct lw_check check;
	struct lw_fsck fsck;
	uint32_t begin, mkfs;
	uint64_t segments, cuts;
};

/* 0, whatever was found; or a negative errno: it could not be done. */
int lw_run_all(struct lw_run *run, const struct lw_job *job, struct bc_error *error);

/* export.c: the disk, and the marks before entry @end, into files. */
int lw_export_disk(const struct lw_disk *disk, const char *path,
		   struct bc_error *error);
int lw_export_marks(const struct lw_log *log, uint32_t end, const char *path,
		    struct bc_error *error);

#endif /* LOG_WRITES_RUN_H */
