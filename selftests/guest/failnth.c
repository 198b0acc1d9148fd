// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * failnth: each allocation of a command to the module fails once.
 *
 *	failnth [-t] [-s STRIDE] DO UNDO...
 *	failnth -n DO...	all of them once, with nothing that fails
 *
 * DO is done again and again: its first allocation in a module fails, then only its
 * second, and so on until it has not that many.  Whenever it has failed it says why, has
 * changed nothing or all, and works at once without a failure (a load: in the end); the
 * UNDOs come after each, and must work.  Says how many failed, and how often DO did.
 *
 * -t: not in the task that does it, but in each of the module's threads and of the kernel's
 * workers, while it is done.  Then it may fail for that, and be done by half: the UNDOs
 * tell what must hold all the same.
 * -s: only every so manieth fails: pools ask for hundreds alike.
 *
 * The kernel has to be able to (FAULT_INJECTION), and be told what to fail: see
 * alloc_failures.py.
 *
 *	up:NAME:DISK[:METAEND]	down:NAME	primary:NAME	replica:NAME[:HEIR]	get:NAME
 *	force:NAME (primary, whatever was handed over)
 *	set:NAME:ack|min-isr|on-loss|max-lag|rate|active|membership|on-io-error:NUMBER
 *	suspend:NAME	resume:NAME	depose:NAME	detach:NAME
 *	grow:NAME:SECTORS (by)	lease:NAME:SECONDS (0: none)	member:NAME:LINK:1|0
 *	pair:PRIMARY:REPLICA[:tls]	part:PRIMARY:REPLICA
 *	follow:REPLICA:PRIMARY (its end of a link alone)	unfollow:REPLICA:PRIMARY
 *	parted:NAME:LINK (waits)	synced:PRIMARY:REPLICA (waits)
 *	mend:PRIMARY:REPLICA[:tls] (pairs them until it is so)
 *	view:NAME:VIEW:DISK|m	unview:NAME:VIEW	pass:NAME:VIEW
 *	seen:NAME:VIEW (it shows what it has to, or is broken)
 *	stamps:NAME	verify:NAME:LINK	verified:NAME:LINK (waits; nothing differs)
 *	compare:NAME:LINK (both of them)	differing:NAME:LINK
 *	write:NAME	holds:NAME (what was acknowledged)
 *	load:FILE	unload	sh:COMMAND
 */
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failnth/actions.h"

#define MOST 2000
#define ACTIONS 20
#define THREADS_MAX 200
#define MANY 1000000000L

void stop(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	exit(1);
}

/* ---- whose allocations fail ---- */

static int threads[THREADS_MAX];	/* their fail-nth: how many are left until one fails */
static int nr_threads;
static bool others;			/* -t */

static void thread_add(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && nr_threads < THREADS_MAX)
		threads[nr_threads++] = fd;
}

static void comm_read(const char *pid, char comm[32])
{
	char path[64];
	FILE *file;

	strcpy(comm, "");
	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	file = fopen(path, "r");
	if (!file)
		return;
	if (!fgets(comm, 32, file))
		strcpy(comm, "");
	fclose(file);
}

/* They come and go with links. */
static void threads_find(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	char comm[32], path[64];

	while (proc && (entry = readdir(proc))) {
		comm_read(entry->d_name, comm);
		if (strncmp(comm, "blkcast", 7) && strncmp(comm, "kworker/u", 9))
			continue;
		snprintf(path, sizeof(path), "/proc/%.10s/task/%.10s/fail-nth", entry->d_name,
			 entry->d_name);
		thread_add(path);
	}
	closedir(proc);
}

/* A thread may have gone, with its link. */
static void threads_set(int nth)
{
	char text[12];
	int length = snprintf(text, sizeof(text), "%d", nth), i;

	for (i = 0; i < nr_threads; i++)
		if (pwrite(threads[i], text, length, 0) != length && !others)
			stop("%d: cannot be failed: %s", nth, strerror(errno));
}

/* How many may fail from now on, of each kind: MANY; or how many may do still. */
static long may_fail(const char *path, bool set)
{
	FILE *file = fopen(path, set ? "w" : "r");
	long times = MANY;

	if (!file || (set ? fprintf(file, "%ld", times) : fscanf(file, "%ld", &times)) < 1 ||
	    fclose(file))
		stop("%s: %s", path, strerror(errno));
	return times;
}

static bool any_failed(bool begin)
{
	bool slab = may_fail("/sys/kernel/debug/failslab/times", begin) != MANY;

	return (may_fail("/sys/kernel/debug/fail_page_alloc/times", begin) != MANY) | slab;
}

static void nth_begin(int nth)
{
	if (others)
		threads_find();
	else
		thread_add("/proc/thread-self/fail-nth");
	if (!nr_threads)
		stop("%d: nothing can be failed: %s", nth, strerror(errno));
	any_failed(true);
	threads_set(nth);
}

/* Has any failed?  None will from now on. */
static bool nth_over(void)
{
	bool failed;

	threads_set(0);
	failed = any_failed(false);
	while (nr_threads)
		close(threads[--nr_threads]);
	return failed;
}

/* ---- again and again ---- */

static struct action parse(char *text)
{
	struct action action;

	if (!action_parse(&action, text))
		stop("no such command: %s", text);
	return action;
}

/* Returns whether the failure has come; *@ret: what became of it. */
static bool once(struct action *action, int nth, int *ret, struct bc_error *error)
{
	strcpy(error->text, "");
	nth_begin(nth);
	*ret = action->run(action->args, error);
	return nth_over();
}

static void says_why(int nth, int ret, const struct bc_error *error)
{
	if (!error->text[0])
		stop("%d: fails and says nothing", nth);
	if (ret == -ENOMEM && !strstr(error->text, "memory"))
		stop("%d: does not say that it was for memory: %s", nth, error->text);
}

/* It has changed nothing or all, and works without a failure. */
static void is_whole(struct action *todo, int nth, const char *before)
{
	char now[PICTURE], after[PICTURE];
	struct bc_error error;

	picture(now, todo->args[0]);
	if (todo->run(todo->args, &error))
		stop("%d: fails ever after: %s", nth, error.text);
	picture(after, todo->args[0]);
	if (strcmp(now, before) && strcmp(now, after))
		stop("%d: has done a part\nbefore: %s\nthen:   %s\nafter:  %s", nth, before, now,
		     after);
}

static void do_all(struct action *actions, int count, int nth)
{
	struct bc_error error;
	int i;

	for (i = 0; i < count; i++)
		if (actions[i].run(actions[i].args, &error))
			stop("%d: %s: %s", nth, actions[i].name, error.text);
}

static void sweep(struct action *todo, struct action *undo, int undos, int stride)
{
	int nth, failed = 0, ret;
	char before[PICTURE];
	struct bc_error error;
	bool came;

	for (nth = 1; nth < MOST; nth += stride) {
		picture(before, todo->args[0]);
		came = once(todo, nth, &ret, &error);
		if (ret && !came)
			stop("%d: fails without a failure: %s", nth, error.text);
		failed += ret != 0;
		if (ret)
			says_why(nth, ret, &error);
		/* To load takes long, and the next one tells. */
		if (ret && action_loads(todo))
			continue;
		if (ret && !others)
			is_whole(todo, nth, before);
		do_all(undo, undos, nth);
		if (!came) {
			printf("fewer than %d allocations, %d of those that failed indispensable\n",
			       nth, failed);
			return;
		}
	}
	stop("more than %d allocations", MOST);
}

int main(int argc, char **argv)
{
	struct action actions[ACTIONS];
	int stride = 1, option, count;
	struct bc_error error;
	bool never = false;

	while ((option = getopt(argc, argv, "nts:")) != -1) {
		if (option == 'n')
			never = true;
		else if (option == 't')
			others = true;
		else if (option == 's')
			stride = atoi(optarg);
		else
			return 2;
	}
	argv += optind;
	for (count = 0; argv[count] && count < ACTIONS; count++)
		actions[count] = parse(argv[count]);
	if (!count || argv[count] || stride < 1)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* Loading needs no door, and it must not hold the module. */
	if (!action_loads(actions) && bc_kernel_open(&kernel, &error))
		stop("%s", error.text);
	if (never)
		do_all(actions, count, 0);
	else
		sweep(actions, actions + 1, count - 1, stride);
	return 0;
}
