// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs e2fsck on images in memory, several at a time.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fsck.h"
#include "util.h"

#define COMPLAINTS_MAX	5

/* 1: the journal was replayed, orphans were put away; that is no fault. */
#define SCRIPT	"e2fsck -p \"$1\"; [ $? -le 1 ] && exec e2fsck -fn \"$1\""

static bool region_shown(const struct lw_check *check, uint32_t region)
{
	bool active;

	return lw_meta_stamp(&check->meta, region, &active) != BLKCAST_LSN_NEVER;
}

/* What the volume reads as, as a number. */
static uint64_t volume_sum(const struct lw_check *check)
{
	uint64_t sum = 0;

	for (uint32_t r = 0; r < check->meta.regions; r++)
		if (region_shown(check, r))
			sum += check->disk->regions[r].sum * (2ULL * r + 1);
	return sum;
}

static int seen_add(struct lw_fsck *fsck, uint64_t sum)
{
	uint64_t *seen;

	for (uint32_t i = 0; i < fsck->images; i++)
		if (fsck->seen[i] == sum)
			return 1;
	if (fsck->images == fsck->room) {
		fsck->room = fsck->room ? 2 * fsck->room : 256;
		seen = realloc(fsck->seen, fsck->room * sizeof(*seen));
		if (!seen)
			return -ENOMEM;
		fsck->seen = seen;
	}
	fsck->seen[fsck->images++] = sum;
	return 0;
}

/* What was never written stays a hole. */
static int image_write(const struct lw_check *check, int fd)
{
	uint64_t bytes = check->disk->volume * LW_SECTOR;
	int ret = ftruncate(fd, bytes) ? -errno : 0;

	for (uint32_t r = 0; r < check->meta.regions && !ret; r++) {
		uint64_t at = (uint64_t)r * check->meta.region_bytes;
		uint64_t n = bytes - at;

		if (n > check->meta.region_bytes)
			n = check->meta.region_bytes;
		if (region_shown(check, r))
			ret = bc_pwrite_full(fd, check->disk->data +
					     check->disk->first * LW_SECTOR + at,
					     n, at);
	}
	return ret;
}

static void job_run(const struct lw_fsck_job *job)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/fd/%d", job->image);
	if (dup2(job->output, STDOUT_FILENO) < 0 ||
	    dup2(job->output, STDERR_FILENO) < 0)
		_exit(127);
	execlp("sh", "sh", "-c", SCRIPT, "sh", path, NULL);
	_exit(127);
}

static void output_show(int fd)
{
	char text[600];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = 0;
	puts(text);
}

static void job_end(struct lw_fsck *fsck, struct lw_fsck_job *job, int status)
{
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		if (fsck->failures++ < COMPLAINTS_MAX) {
			printf("cut %u.%u: e2fsck: status %#x\n", job->cut.from,
			       job->cut.number, status);
			output_show(job->output);
		}
	}
	close(job->image);
	close(job->output);
	job->pid = 0;
}

/* A job that is free, after one has ended if need be. */
static struct lw_fsck_job *job_free(struct lw_fsck *fsck)
{
	long jobs = sysconf(_SC_NPROCESSORS_ONLN);
	int status;

	if (jobs > LW_FSCK_JOBS || jobs < 1)
		jobs = LW_FSCK_JOBS;
	for (;;) {
		pid_t pid;

		for (long i = 0; i < jobs; i++)
			if (!fsck->jobs[i].pid)
				return &fsck->jobs[i];
		pid = wait(&status);
		for (long i = 0; i < jobs; i++)
			if (fsck->jobs[i].pid == pid)
				job_end(fsck, &fsck->jobs[i], status);
	}
}

int lw_fsck_start(struct lw_fsck *fsck, const struct lw_check *check,
		  const struct lw_cut *cut, struct bc_error *error)
{
	int ret = seen_add(fsck, volume_sum(check));
	struct lw_fsck_job *job;

	if (ret)
		return ret < 0 ? bc_fail(error, ret, "out of memory") : 0;
	job = job_free(fsck);
	job->cut = *cut;
	/* The descriptors are the child's too: no MFD_CLOEXEC. */
	job->image = memfd_create("image", 0);
	job->output = memfd_create("output", 0);
	ret = job->image < 0 || job->output < 0 ? -errno :
	      image_write(check, job->image);
	if (ret)
		return bc_fail_errno(error, ret, "cannot make an image for e2fsck");
	fflush(stdout);
	job->pid = fork();
	if (job->pid < 0)
		return bc_fail_errno(error, -errno, "cannot run e2fsck");
	if (!job->pid)
		job_run(job);
	return 0;
}

void lw_fsck_finish(struct lw_fsck *fsck)
{
	for (int i = 0; i < LW_FSCK_JOBS; i++) {
		int status = -1;

		if (!fsck->jobs[i].pid)
			continue;
		waitpid(fsck->jobs[i].pid, &status, 0);
		job_end(fsck, &fsck->jobs[i], status);
	}
	free(fsck->seen);
}
