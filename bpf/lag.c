// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast-lag, run as "blkcast lag": how far each replica trails, and where the
 * time goes.  This file owns the command line and the loop:
 *
 *	figures_update() -> a report composes a block -> screen_show()
 *
 * once an interval, until the count is reached or a signal asks for the end,
 * after which the figures of the whole run are shown.  A timer and the signals
 * come in as file descriptors, so neither is ever missed.
 */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "error.h"
#include "figures.h"
#include "format.h"
#include "report.h"
#include "screen.h"
#include "util.h"

#define INTERVAL_MIN 0.1
#define INTERVAL_MAX 3600.0

enum exit_code { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };

struct options {
	const char *volume;
	double interval;
	unsigned long count;	/* 0: for ever */
	bool histogram;
	bool json;
	struct figures_want want;
	bool bounded;
	uint64_t max_lag;	/* ns */
};

enum { OPTION_NO_BPF = 256, OPTION_SLOW, OPTION_TOP, OPTION_MAX_LAG };

static const struct option long_options[] = {
	{ "interval", required_argument, NULL, 'i' },
	{ "count", required_argument, NULL, 'n' },
	{ "once", no_argument, NULL, '1' },
	{ "histogram", no_argument, NULL, 'H' },
	{ "json", no_argument, NULL, 'j' },
	{ "slow", required_argument, NULL, OPTION_SLOW },
	{ "top", no_argument, NULL, OPTION_TOP },
	{ "max-lag", required_argument, NULL, OPTION_MAX_LAG },
	{ "no-bpf", no_argument, NULL, OPTION_NO_BPF },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void usage(FILE *out)
{
	fputs("usage: blkcast lag [VOLUME] [OPTION]...\n"
	      "\n"
	      "Show how far each replica trails, and how long writes take to reach it.\n"
	      "\n"
	      "  -i, --interval S   seconds between two looks, 0.1 to 3600 (1)\n"
	      "  -n, --count N      stop after N looks\n"
	      "  -1, --once         the same as --count 1\n"
	      "  -H, --histogram    show the distributions since the start\n"
	      "  -j, --json         one JSON object an interval, a line each\n"
	      "      --slow MS      list the writes that took so many milliseconds or more\n"
	      "      --top          list the regions and processes whose writes lag most\n"
	      "      --max-lag T    fail if a replica lags more at the last look, or nobody\n"
	      "                     knows: 500ms, 5s, 2m\n"
	      "      --no-bpf       the kernel's figures only, no latencies\n"
	      "  -h, --help         this text\n"
	      "\n"
	      "Ctrl-C shows the figures of the whole run and ends.\n", out);
}

static bool parse_interval(struct options *options, const char *text)
{
	char *end;

	options->interval = strtod(text, &end);
	if (end != text && !*end && options->interval >= INTERVAL_MIN &&
	    options->interval <= INTERVAL_MAX)
		return true;
	fprintf(stderr, "blkcast lag: --interval %s: want seconds from %g to %g\n", text,
		INTERVAL_MIN, INTERVAL_MAX);
	return false;
}

static bool parse_count(struct options *options, const char *text)
{
	char *end;

	errno = 0;
	options->count = strtoul(text, &end, 10);
	if (end != text && !*end && !errno && options->count && *text != '-')
		return true;
	fprintf(stderr, "blkcast lag: --count %s: want a number above 0\n", text);
	return false;
}

static bool parse_slow(struct options *options, const char *text)
{
	char *end;
	double ms = strtod(text, &end);

	if (end != text && !*end && ms > 0 && ms <= 3600e3) {
		options->want.slow_ns = (uint64_t)(ms * 1e6);
		return true;
	}
	fprintf(stderr, "blkcast lag: --slow %s: want milliseconds above 0\n", text);
	return false;
}

static bool parse_max_lag(struct options *options, const char *text)
{
	options->bounded = !bc_duration_parse(text, &options->max_lag);
	if (!options->bounded)
		fprintf(stderr, "blkcast lag: --max-lag %s: want a time such as 500ms, 5s, 2m\n",
			text);
	return options->bounded;
}

static bool parse_option(struct options *options, int option)
{
	switch (option) {
	case 'i':
		return parse_interval(options, optarg);
	case 'n':
		return parse_count(options, optarg);
	case '1':
		options->count = 1;
		return true;
	case 'H':
		options->histogram = true;
		return true;
	case 'j':
		options->json = true;
		return true;
	case OPTION_NO_BPF:
		options->want.probes = false;
		return true;
	case OPTION_SLOW:
		return parse_slow(options, optarg);
	case OPTION_TOP:
		options->want.top = true;
		return true;
	case OPTION_MAX_LAG:
		return parse_max_lag(options, optarg);
	}
	return false;
}

static bool needs_probes(const struct options *options)
{
	return options->histogram || options->want.slow_ns || options->want.top;
}

/* Returns an exit code, or -1 to go on. */
static int parse_options(struct options *options, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "i:n:1Hjh", long_options, NULL)) != -1) {
		if (option == 'h') {
			usage(stdout);
			return EXIT_DONE;
		}
		if (!parse_option(options, option)) {
			fputs("Try 'blkcast lag --help'.\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc)
		options->volume = argv[optind++];
	if (optind < argc) {
		fprintf(stderr, "blkcast lag: %s: only one volume can be named\n", argv[optind]);
		return EXIT_USAGE;
	}
	if (needs_probes(options) && !options->want.probes) {
		fputs("blkcast lag: --histogram, --slow and --top need the probes that --no-bpf leaves out\n",
		      stderr);
		return EXIT_USAGE;
	}
	return -1;
}

/* What the loop works with. */
struct run {
	const struct options *options;
	struct figures figures;
	struct screen screen;
	struct report_style style;
	int timer;
	int signals;
};

static int timer_open(double interval)
{
	struct timespec period = {
		.tv_sec = (time_t)interval,
		.tv_nsec = (long)((interval - (double)(time_t)interval) * 1e9),
	};
	struct itimerspec spec = { .it_interval = period, .it_value = period };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (timerfd_settime(fd, 0, &spec, NULL)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

static int signals_open(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Returns 1: an interval has passed, 0: asked to end, or a negative errno. */
static int run_wait(struct run *run)
{
	struct pollfd fds[] = {
		{ .fd = run->signals, .events = POLLIN },
		{ .fd = run->timer, .events = POLLIN },
	};
	uint64_t expirations;

	do {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return -errno;
	} while (!fds[0].revents && !fds[1].revents);
	if (fds[0].revents)
		return 0;
	return read(run->timer, &expirations, sizeof(expirations)) < 0 ? -errno : 1;
}

static int compose(struct run *run, FILE *out)
{
	if (run->options->json)
		return report_json(&run->figures, &run->style, out);
	if (run->options->histogram)
		report_histogram(&run->figures, &run->style, out);
	else
		report_table(&run->figures, &run->style, out);
	/* An empty line between two blocks that stay. */
	if (!run->screen.terminal)
		fputc('\n', out);
	return 0;
}

static int run_show(struct run *run, bool last, struct bc_error *error)
{
	char *block = NULL;
	size_t size;
	FILE *out = open_memstream(&block, &size);
	int err = -ENOMEM;

	if (!out)
		return bc_fail_errno(error, err, "cannot compose the report");
	screen_measure(&run->screen);
	err = compose(run, out);
	if (fclose(out))
		err = -ENOMEM;
	if (!err)
		err = screen_show(&run->screen, block, last);
	free(block);
	return err ? bc_fail_errno(error, err, "cannot print the report") : 0;
}

/* The figures of the whole run. */
static int run_finish(struct run *run, struct bc_error *error)
{
	int err;

	run->figures.total = true;
	err = figures_update(&run->figures, error);
	if (err)
		return err;
	return run_show(run, true, error);
}

/*
 * Without probes the first look is as good as any.  With them it has no
 * latencies yet: a terminal shows it, for something to look at, uncounted.
 */
static bool shows_first(const struct run *run)
{
	if (!run->options->want.probes)
		return true;
	return run->screen.terminal && !run->options->json;
}

static int run_loop(struct run *run, struct bc_error *error)
{
	unsigned long shown = run->options->want.probes ? 0 : 1, count = run->options->count;
	int err = 0, more;

	run->figures.total = run->options->histogram;
	if (shows_first(run))
		err = run_show(run, shown == count, error);
	while (!err && (!count || shown < count)) {
		more = run_wait(run);
		if (more < 0)
			return bc_fail_errno(error, more, "cannot wait for the next look");
		if (!more)
			return run_finish(run, error);
		err = figures_update(&run->figures, error);
		if (!err)
			err = run_show(run, ++shown == count, error);
	}
	return err;
}

static int run_open(struct run *run, struct bc_error *error)
{
	int err;

	run->style.screen = &run->screen;
	run->style.interval = run->options->interval;
	run->style.buckets = run->options->histogram;
	run->signals = signals_open();
	if (run->signals < 0)
		return bc_fail_errno(error, run->signals, "cannot watch for signals");
	err = figures_open(&run->figures, run->options->volume, &run->options->want, error);
	if (err)
		return err;
	if (needs_probes(run->options) && run->figures.note[0])
		return bc_fail(error, -EOPNOTSUPP, "not without the probes: %s",
			       run->figures.note);
	run->timer = timer_open(run->options->interval);
	if (run->timer < 0)
		return bc_fail_errno(error, run->timer, "cannot start the timer");
	screen_open(&run->screen, !run->options->json);
	return 0;
}

/* At the last look: is every replica known to trail no more than it may? */
static int run_judge(const struct run *run, struct bc_error *error)
{
	char lag[FORMAT_MAX], bound[FORMAT_MAX];

	format_duration(bound, run->options->max_lag);
	for (unsigned int i = 0; i < run->figures.links; i++) {
		const struct figures_link *l = &run->figures.link[i];
		uint64_t ns = figures_lag(l);

		if (l->volume->role != BLKCAST_ROLE_PRIMARY)
			continue;
		if (ns == HISTORY_UNKNOWN)
			return bc_fail(error, -ERANGE,
				       "volume %s: the lag of %s is not known (it is %s)",
				       l->volume->name, l->peer, figures_state(l));
		if (ns > run->options->max_lag)
			return bc_fail(error, -ERANGE,
				       "volume %s: %s lags %s, more than %s (it is %s)",
				       l->volume->name, l->peer, format_duration(lag, ns), bound,
				       figures_state(l));
	}
	return 0;
}

static void run_close(struct run *run)
{
	screen_close(&run->screen);
	figures_close(&run->figures);
	if (run->timer >= 0)
		close(run->timer);
	if (run->signals >= 0)
		close(run->signals);
}

int main(int argc, char **argv)
{
	struct options options = { .interval = 1, .want = { .probes = true } };
	struct run run = { .options = &options, .timer = -1, .signals = -1 };
	struct bc_error error;
	int code, err;

	setlocale(LC_CTYPE, "");
	if (argc)
		argv[0] = (char *)"blkcast lag";	/* for getopt's messages */
	code = parse_options(&options, argc, argv);
	if (code >= 0)
		return code;
	err = run_open(&run, &error);
	if (!err)
		err = run_loop(&run, &error);
	if (!err && options.bounded)
		err = run_judge(&run, &error);
	run_close(&run);
	if (err)
		fprintf(stderr, "blkcast lag: %s\n", error.text);
	return err ? EXIT_FAILED : EXIT_DONE;
}
