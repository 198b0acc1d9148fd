// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cutcheck: cuts what was recorded of a volume's device everywhere, and checks
 * each cut: check.h says for what.
 *
 *	cutcheck [OPTION...] trace=FILE minor=N primary=LOG [replica=LOG] disk=FILE
 *		[base=FILE] [before-trace=FILE before-log=LOG primary-base=FILE]
 *	cutcheck -g DISK...
 *
 * Logs and disks are devices of dm-log-writes or images of them; run.h says what
 * each of the files is.
 *
 *	-s SEED		of the lots (1)
 *	-n CUTS		in each segment (9: one of each choice)
 *	-f		e2fsck: of each segment the first cut and one by lot, from the
 *			mark "mkfs" on
 *	-c CUT		nothing but this cut, as it was named
 *	-x FILE		no check: the disk at that cut, or at one by lot, into FILE
 *	-p PERCENT	with -x: where in the log, from the mark "mkfs" on
 *	-m FILE		with -x: the marks "file:..." before that cut
 *	-g		fill disks with what they hold before a log without base=
 *
 * Exit status: 0 all holds, 1 something does not, or could not be checked.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"
#include "util.h"

static struct lw_job job = { .seed = 1, .cuts = LW_CHOICES };
static const char *minor_text;

static const struct {
	const char *name, **value;
} words[] = {
	{ "trace=", &job.trace },
	{ "minor=", &minor_text },
	{ "primary=", &job.primary },
	{ "replica=", &job.replica },
	{ "disk=", &job.disk },
	{ "base=", &job.base },
	{ "before-trace=", &job.before_trace },
	{ "before-log=", &job.before_log },
	{ "primary-base=", &job.primary_base },
};

static int usage(void)
{
	fprintf(stderr, "usage: cutcheck [-s SEED] [-n CUTS] [-f] [-c CUT] [-x FILE [-p PERCENT] [-m FILE]]\n"
		"           trace=FILE minor=N primary=LOG [replica=LOG] disk=FILE\n"
		"           [base=FILE] [before-trace=FILE before-log=LOG primary-base=FILE]\n"
		"       cutcheck -g DISK...\n");
	return 2;
}

static bool word_take(const char *word)
{
	for (size_t i = 0; i < BC_ARRAY_SIZE(words); i++) {
		if (strncmp(word, words[i].name, strlen(words[i].name)))
			continue;
		*words[i].value = word + strlen(words[i].name);
		return true;
	}
	return false;
}

static bool job_complete(void)
{
	return job.trace && minor_text && job.primary && job.disk && job.cuts &&
	       job.percent <= 100 && !job.before_log == !job.before_trace &&
	       !job.before_log == !job.primary_base &&
	       (!job.before_log || job.base);
}

static bool option_take(int option)
{
	switch (option) {
	case 's':
		job.seed = strtoull(optarg, NULL, 10);
		return true;
	case 'n':
		job.cuts = strtoul(optarg, NULL, 10);
		return true;
	case 'f':
		job.fsck = true;
		return true;
	case 'c':
		job.one = true;
		return sscanf(optarg, "%u.%u", &job.from, &job.number) == 2;
	case 'x':
		job.image = optarg;
		return true;
	case 'p':
		job.percent = strtoul(optarg, NULL, 10);
		return true;
	case 'm':
		job.marks = optarg;
		return true;
	default:
		return false;
	}
}

static int garbage(char **disks)
{
	struct bc_error error;

	while (*disks) {
		if (lw_garbage_write(*disks++, &error)) {
			fprintf(stderr, "cutcheck: %s\n", error.text);
			return 1;
		}
	}
	return 0;
}

static void report(const struct lw_run *run)
{
	const struct lw_check *check = &run->check;

	printf("%" PRIu64 " segments, %" PRIu64 " cuts: %" PRIu64 " claims, %" PRIu64 " different, and %" PRIu64 " doubts; ",
	       run->segments, run->cuts, check->claims, check->distinct,
	       check->doubts);
	if (check->replica)
		printf("%" PRIu64 " times consistent, %" PRIu64 " with a position; ",
		       check->consistent, check->positions);
	printf("%u images for e2fsck\n%" PRIu64 " cuts and %" PRIu64 " images bad\n",
	       run->fsck.images, check->failures, run->fsck.failures);
}

int main(int argc, char **argv)
{
	static struct lw_run run;
	struct bc_error error;
	int option;

	while ((option = getopt(argc, argv, "s:n:fc:x:p:m:g")) != -1) {
		if (option == 'g')
			return garbage(argv + optind);
		if (!option_take(option))
			return usage();
	}
	for (; optind < argc; optind++)
		if (!word_take(argv[optind]))
			return usage();
	if (!job_complete())
		return usage();
	job.minor = strtoul(minor_text, NULL, 10);
	if (lw_run_all(&run, &job, &error)) {
		fprintf(stderr, "cutcheck: %s\n", error.text);
		return 1;
	}
	if (job.image)
		return 0;
	report(&run);
	return run.check.failures || run.fsck.failures || !run.cuts;
}
