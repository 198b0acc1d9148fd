// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The progress bar (see progress.h).
 */
#include <stdio.h>
#include <unistd.h>

#include "progress.h"
#include "util.h"

#define BAR_WIDTH	24
#define SHOW_EVERY_NS	200000000ULL

void progress_start(struct progress *progress, const char *what, uint64_t total, bool quiet)
{
	progress->what = what;
	progress->total = total;
	progress->started = bc_now_ns();
	progress->shown = 0;
	progress->visible = !quiet && isatty(STDERR_FILENO);
}

double progress_seconds(const struct progress *progress)
{
	return (bc_now_ns() - progress->started) / 1e9;
}

static void bar_print(const struct progress *progress, uint64_t done)
{
	double part = progress->total ? (double)done / progress->total : 0;
	int full = part * BAR_WIDTH, i;

	fprintf(stderr, "\r%s [", progress->what);
	for (i = 0; i < BAR_WIDTH; i++)
		putc(i < full ? '#' : '.', stderr);
	fprintf(stderr, "] %3d%%", (int)(part * 100));
}

void progress_show(struct progress *progress, uint64_t done)
{
	char size[BC_SIZE_TEXT], rate[BC_SIZE_TEXT], left[BC_SIZE_TEXT];
	uint64_t now = bc_now_ns(), spent = now - progress->started;
	double speed;

	if (!progress->visible || now - progress->shown < SHOW_EVERY_NS)
		return;
	progress->shown = now;
	speed = done * 1e9 / (spent + 1);
	bar_print(progress, done);
	fprintf(stderr, "  %s, %s/s", bc_size_format(done, size), bc_size_format(speed, rate));
	if (progress->total > done && speed > 0)
		fprintf(stderr, ", %s left",
			bc_duration_format((progress->total - done) / speed * 1e9, left));
	fputs("\033[K", stderr);
	fflush(stderr);
}

void progress_end(struct progress *progress)
{
	if (progress->visible && progress->shown)
		fputs("\r\033[K", stderr);
	progress->visible = false;
}
