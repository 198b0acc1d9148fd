// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From files to cuts: opens what was recorded, makes the history, replays the log
 * and stops at each segment.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"
#include "util.h"

#define COMPLAINTS	12

/* ---- cuts ---- */

static int cut_export(const struct lw_run *run, const struct lw_cut *cut,
		      struct bc_error *error)
{
	int ret = lw_export_disk(&run->disk, run->job->image, error);

	if (!ret && run->job->marks)
		ret = lw_export_marks(run->log, cut->end, run->job->marks, error);
	printf("cut %u.%u of %u entries\n", cut->from, cut->number, run->log->count);
	return ret;
}

/* A copy under resync cannot be used. */
static bool is_usable(const struct lw_run *run)
{
	return !run->check.replica || lw_check_consistent(&run->check);
}

/* One cut: 1: no more are wanted. */
static int cut_run(struct lw_run *run, uint32_t from, uint32_t number, bool fsck,
		   struct bc_error *error)
{
	struct lw_cut cut;
	int ret = 0;

	lw_cut_make(&cut, run->log, &run->disk, from, number, run->job->seed);
	lw_disk_cut(&run->disk);
	lw_cut_apply(&cut, run->log, &run->disk);
	run->cuts++;
	if (run->job->image) {
		lw_meta_read(&run->check.meta);
		if (is_usable(run))
			ret = cut_export(run, &cut, error) ?: 1;
	} else if (lw_check_cut(&run->check, &cut) && fsck && is_usable(run)) {
		ret = lw_fsck_start(&run->fsck, &run->check, &cut, error);
	}
	lw_disk_uncut(&run->disk);
	return ret;
}

/* A cut by lot, but not the one that changes nothing. */
static uint32_t other_cut(const struct lw_run *run, uint32_t from, uint32_t cuts)
{
	return cuts > 1 ? 1 + ((from + run->job->seed) * 2654435761U >> 8) %
			  (cuts - 1) : 0;
}

/* Is this where a cut is to be exported? */
static bool is_wanted(const struct lw_run *run, uint32_t from)
{
	uint64_t behind = run->log->count - run->mkfs;

	return from >= run->mkfs + behind * run->job->percent / 100;
}

static int segment_run(struct lw_run *run, uint32_t from, struct bc_error *error)
{
	const struct lw_job *job = run->job;
	uint32_t cuts = lw_segment_end(run->log, from) > from ? job->cuts : 1;
	uint32_t other = other_cut(run, from, cuts);
	bool fsck = job->fsck && from >= run->mkfs;
	int ret = 0;

	run->segments++;
	lw_check_durable(&run->check);
	if (job->one)
		return from == job->from ?
		       cut_run(run, from, job->number, fsck, error) : 0;
	if (job->image)
		return is_wanted(run, from) ?
		       cut_run(run, from, other, false, error) : 0;
	for (uint32_t i = 0; i < cuts && !ret; i++)
		ret = cut_run(run, from, i, fsck && (!i || i == other), error);
	return ret;
}

static int segments_run(struct lw_run *run, struct bc_error *error)
{
	uint32_t from, end;
	int ret;

	lw_segment_apply(run->log, 0, run->begin, &run->disk);
	ret = lw_check_init(&run->check, error);
	for (from = run->begin; from <= run->log->count && !ret; from = end + 1) {
		end = lw_segment_end(run->log, from);
		ret = segment_run(run, from, error);
		lw_segment_apply(run->log, from, end, &run->disk);
	}
	lw_fsck_finish(&run->fsck);
	return ret;
}

/* ---- the history ---- */

/* The volume on the primary's disk at the beginning of its log. */
static int primary_init(struct lw_run *run, struct lw_disk *disk,
			struct lw_meta *meta, uint32_t *begin, struct bc_error *error)
{
	uint64_t bytes = run->disk.sectors * LW_SECTOR;
	int ret = lw_disk_init(disk, bytes, run->job->primary_base, error);

	*begin = 0;
	if (!ret)
		ret = lw_log_check(&run->primary, disk, error);
	if (!ret && !run->job->primary_base)
		ret = lw_log_find(&run->primary, "created", begin, error);
	if (ret)
		return ret;
	lw_segment_apply(&run->primary, 0, *begin, disk);
	return lw_meta_init(meta, disk, error);
}

/* The earlier recording, and that power was cut behind it. */
static int before_init(struct lw_run *run, struct lw_chapter *before,
		       struct lw_chapter *after, const struct lw_meta *meta,
		       struct bc_error *error)
{
	const uint64_t first = run->trace.writes[0].lsn;
	uint64_t *base = lw_meta_values(meta);
	int ret;

	if (!base)
		return bc_fail(error, -ENOMEM, "out of memory");
	after->base = base;
	after->base_lsn = blkcast_lsn(blkcast_lsn_term(first), 1);
	ret = lw_log_open(&run->before, run->job->before_log, error);
	if (!ret)
		ret = lw_log_find(&run->before, "created", &before->from, error);
	if (!ret)
		ret = lw_trace_read(&run->trace_before, run->job->before_trace,
				    run->job->minor, error);
	if (!ret)
		ret = lw_trace_join_flushes(&run->trace, &run->trace_before, error);
	before->log = &run->before;
	before->trace = &run->trace_before;
	return ret;
}

static int history_make(struct lw_run *run, struct bc_error *error)
{
	struct lw_chapter chapters[2] = {}, *now = &chapters[1];
	struct lw_disk disk = {};
	struct lw_meta meta = {};
	int ret;

	now->log = &run->primary;
	now->trace = &run->trace;
	ret = primary_init(run, &disk, &meta, &now->from, error);
	if (!ret && run->job->before_log)
		ret = before_init(run, &chapters[0], now, &meta, error);
	if (!ret)
		ret = lw_history_make(&run->history, now->base ? chapters : now,
				      now->base ? 2 : 1, &disk, error);
	free((void *)now->base);
	lw_meta_free(&meta);
	lw_disk_free(&disk);
	return ret;
}

/* ---- before and after ---- */

static int64_t file_bytes(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int64_t bytes = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);

	if (fd >= 0)
		close(fd);
	return bytes;
}

static int logs_open(struct lw_run *run, struct bc_error *error)
{
	const struct lw_job *job = run->job;
	int ret = lw_trace_read(&run->trace, job->trace, job->minor, error);

	run->log = &run->primary;
	if (!ret)
		ret = lw_log_open(&run->primary, job->primary, error);
	if (ret || !job->replica)
		return ret;
	run->log = &run->replica;
	run->check.replica = true;
	return lw_log_open(&run->replica, job->replica, error);
}

static int run_open(struct lw_run *run, struct bc_error *error)
{
	int64_t bytes = file_bytes(run->job->disk);
	int ret = logs_open(run, error);

	if (ret)
		return ret;
	if (bytes < BLKCAST_META_DEVICE_MIN)
		return bc_fail(error, -EINVAL, "%s is no disk of a volume", run->job->disk);
	ret = lw_disk_init(&run->disk, bytes, run->job->base, error);
	if (!ret)
		ret = lw_log_check(run->log, &run->disk, error);
	if (ret || run->job->base)
		return ret;
	ret = lw_log_find(run->log, "created", &run->begin, error);
	if (!ret && (run->job->fsck || run->job->image))
		ret = lw_log_find(run->log, "mkfs", &run->mkfs, error);
	return ret;
}

/* The log replayed whole is the disk as it was left, or the log lies. */
static int disk_compare(const struct lw_run *run, struct bc_error *error)
{
	const struct lw_disk *disk = &run->disk;
	const char *path = run->job->disk;
	struct lw_disk left = {};
	int ret;

	ret = lw_disk_init(&left, disk->sectors * LW_SECTOR, path, error);
	if (!ret && memcmp(disk->data, left.data, disk->sectors * LW_SECTOR))
		ret = bc_fail(error, -EINVAL, "%s is not what its log makes of it", path);
	lw_disk_free(&left);
	return ret;
}

int lw_run_all(struct lw_run *run, const struct lw_job *job, struct bc_error *error)
{
	int ret;

	run->job = job;
	ret = run_open(run, error);
	if (!ret)
		ret = history_make(run, error);
	if (ret)
		return ret;
	run->check.log = run->log;
	run->check.history = &run->history;
	run->check.trace = &run->trace;
	run->check.disk = &run->disk;
	run->check.complaints = COMPLAINTS;
	ret = segments_run(run, error);
	if (ret < 0)
		return ret;
	if (job->image)
		return ret ? 0 : bc_fail(error, -ENOENT, "there is no such cut");
	return disk_compare(run, error);
}
