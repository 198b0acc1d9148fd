// SPDX-License-Identifier: GPL-2.0-or-later
/* See hooks.h.  The queue holds ready environments; the head's hooks run. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"
#include "hooks.h"
#include "log.h"
#include "steady.h"
#include "util.h"

#define VARIABLES_MAX	12

/* An event that waits. */
struct job {
	struct job *next;
	bool lost;
	char *variables[VARIABLES_MAX + 1];
	int count;
};

/**
 * struct hooks - all of it
 * @names, @count, @at: the hooks of the first job, and which of them runs
 * @pid, @pidfd: it, or -1
 */
struct hooks {
	struct loop *loop;
	struct job *first, **last;
	unsigned int waiting;
	struct dirent **names;
	int count, at;
	pid_t pid;
	int pidfd;
	struct watch watch;
	struct timer limit;
};

/* --- the queue ------------------------------------------------------------------ */

static void job_free(struct job *job)
{
	while (job->count)
		free(job->variables[--job->count]);
	free(job);
}

__attribute__((format(printf, 2, 3)))
static void put(struct job *job, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (job->count < VARIABLES_MAX &&
	    vasprintf(&job->variables[job->count], fmt, args) > 0)
		job->count++;
	va_end(args);
	job->variables[job->count] = NULL;
}

static void put_members(struct job *job, const struct bc_event *event)
{
	char text[BLKCAST_MEMBERS_MAX * BC_UUID_TEXT + 1] = "", uuid[BC_UUID_TEXT];

	for (uint32_t i = 0; i < event->members; i++) {
		strcat(text, i ? " " : "");
		strcat(text, bc_uuid_format(event->member[i], uuid));
	}
	put(job, "BLKCAST_IN_SYNC_NODES=%s", text);
}

static struct job *job_new(const char *event)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	put(job, "PATH=/usr/sbin:/usr/bin:/sbin:/bin");
	put(job, "BLKCAST_EVENT=%s", event);
	return job;
}

static void job_describe(struct job *job, const struct bc_event *event)
{
	put(job, "BLKCAST_VOLUME=%s", event->name);
	put(job, "BLKCAST_SEQ=%" PRIu64, event->seq);
	put(job, "BLKCAST_TIME=%" PRIu64 ".%09" PRIu64, event->time_ns / 1000000000,
	    event->time_ns % 1000000000);
	if (event->link[0])
		put(job, "BLKCAST_PEER=%s", event->link);
	if (bc_known(event, BLKCAST_A_ROLE))
		put(job, "BLKCAST_ROLE=%s", bc_role_name(event->role));
	if (bc_known(event, BLKCAST_A_TERM))
		put(job, "BLKCAST_TERM=%u", event->term);
	if (bc_known(event, BLKCAST_A_ERROR))
		put(job, "BLKCAST_ERROR=%s", strerror(event->error));
	if (bc_known(event, BLKCAST_A_MEMBERS))
		put_members(job, event);
}

/* --- what is run ------------------------------------------------------------------ */

static void path_of(char path[BC_PATH_MAX], const char *name)
{
	snprintf(path, BC_PATH_MAX, "%s/hooks.d%s%s", bc_config_dir(), name ? "/" : "",
		 name ? name : "");
}

static int is_hook(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && !strchr(entry->d_name, '~');
}

/* Inv. 3: neither it nor its folder can be changed by anybody but us. */
static bool ours(const struct stat *st)
{
	return st->st_uid == geteuid() && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static bool may_run(const char *name)
{
	char path[BC_PATH_MAX];
	struct stat st;

	path_of(path, NULL);
	if (stat(path, &st) || !ours(&st)) {
		log_warning("%s can be written by others: no hook is run", path);
		return false;
	}
	path_of(path, name);
	if (stat(path, &st) || !S_ISREG(st.st_mode) || access(path, X_OK))
		return false;
	if (ours(&st))
		return true;
	log_warning("%s belongs to, or can be written by, others: it is not run", path);
	return false;
}

/* In the child. */
static void execute(const char *path, char **variables)
{
	char *argv[] = { (char *)path, NULL };
	int nothing = open("/dev/null", O_RDWR);
	sigset_t none;

	setpgid(0, 0);
	steady_end();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || chdir("/"))
		_exit(126);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	execve(path, argv, variables);
	_exit(127);
}

static bool start(struct hooks *hooks, const char *name)
{
	char path[BC_PATH_MAX];

	if (!may_run(name))
		return false;
	path_of(path, name);
	hooks->pid = fork();
	if (!hooks->pid)
		execute(path, hooks->first->variables);
	if (hooks->pid < 0) {
		log_error("cannot run %s: %s", path, strerror(errno));
		return false;
	}
	/* Whoever comes first: so that it can be killed as a group at once. */
	setpgid(hooks->pid, hooks->pid);
	hooks->pidfd = syscall(SYS_pidfd_open, hooks->pid, 0);
	loop_timer(hooks->loop, &hooks->limit, HOOK_MS);
	if (hooks->pidfd < 0 ||
	    loop_watch(hooks->loop, &hooks->watch, hooks->pidfd, POLLIN))
		log_error("cannot wait for %s: it may take %u s", path, HOOK_MS / 1000);
	return true;
}

/* --- one after the other ------------------------------------------------------------ */

static void names_free(struct hooks *hooks)
{
	while (hooks->count)
		free(hooks->names[--hooks->count]);
	free(hooks->names);
	hooks->names = NULL;
}

/* What is in the folder now; none, if there is no folder. */
static void names_read(struct hooks *hooks)
{
	char path[BC_PATH_MAX];

	path_of(path, NULL);
	hooks->at = 0;
	hooks->count = scandir(path, &hooks->names, is_hook, alphasort);
	if (hooks->count < 0)
		hooks->count = 0;
}

static void job_done(struct hooks *hooks)
{
	struct job *job = hooks->first;

	hooks->first = job->next;
	if (!hooks->first)
		hooks->last = &hooks->first;
	hooks->waiting--;
	names_free(hooks);
	job_free(job);
}

/* Start what comes next, until something runs or nothing waits. */
static void go_on(struct hooks *hooks)
{
	while (hooks->first && hooks->pid < 0) {
		if (!hooks->names)
			names_read(hooks);
		while (hooks->at < hooks->count && hooks->pid < 0) {
			if (!start(hooks, hooks->names[hooks->at++]->d_name))
				hooks->pid = -1;
		}
		if (hooks->pid < 0)
			job_done(hooks);
	}
}

static void report(struct hooks *hooks, int status)
{
	const char *name = hooks->names[hooks->at - 1]->d_name;
	const char *event = hooks->first->variables[1];

	if (WIFSIGNALED(status))
		log_warning("hook %s, %s: ended by signal %d", name, event,
			    WTERMSIG(status));
	else if (WEXITSTATUS(status))
		log_warning("hook %s, %s: exit status %d", name, event,
			    WEXITSTATUS(status));
}

static void reap(struct hooks *hooks)
{
	int status = 0;

	loop_unwatch(hooks->loop, &hooks->watch);
	loop_timer_stop(hooks->loop, &hooks->limit);
	/* What it has left behind does not outlive it. */
	kill(-hooks->pid, SIGKILL);
	while (waitpid(hooks->pid, &status, 0) < 0 && errno == EINTR)
		;
	report(hooks, status);
	if (hooks->pidfd >= 0)
		close(hooks->pidfd);
	hooks->pid = hooks->pidfd = -1;
}

static void ended(void *owner, uint32_t events)
{
	struct hooks *hooks = owner;

	(void)events;
	reap(hooks);
	go_on(hooks);
}

static void too_long(void *owner)
{
	struct hooks *hooks = owner;

	log_warning("hook %s takes longer than %u s: killed",
		    hooks->names[hooks->at - 1]->d_name, HOOK_MS / 1000);
	kill(hooks->pid, SIGKILL);
	reap(hooks);
	go_on(hooks);
}

/* --- events --------------------------------------------------------------------------- */

static void enqueue(struct hooks *hooks, struct job *job)
{
	*hooks->last = job;
	hooks->last = &job->next;
	hooks->waiting++;
	go_on(hooks);
}

void hooks_lost(struct hooks *hooks)
{
	struct job *job;

	for (job = hooks->first; job; job = job->next) {
		if (job->lost && !job->next)
			return;		/* it says so already */
	}
	job = job_new("lost");
	if (!job)
		return;
	job->lost = true;
	enqueue(hooks, job);
}

void hooks_event(struct hooks *hooks, const struct bc_event *event)
{
	struct job *job;

	job = hooks->waiting < HOOKS_MAX ? job_new(bc_event_name(event->event)) : NULL;
	if (!job) {
		hooks_lost(hooks);
		return;
	}
	job_describe(job, event);
	enqueue(hooks, job);
}

struct hooks *hooks_new(struct loop *loop)
{
	struct hooks *hooks = calloc(1, sizeof(*hooks));

	if (!hooks)
		return NULL;
	hooks->loop = loop;
	hooks->last = &hooks->first;
	hooks->pid = hooks->pidfd = -1;
	hooks->watch.fn = ended;
	hooks->watch.owner = hooks;
	hooks->limit.fn = too_long;
	hooks->limit.owner = hooks;
	return hooks;
}

void hooks_free(struct hooks *hooks)
{
	if (!hooks)
		return;
	if (hooks->pid >= 0)
		reap(hooks);
	while (hooks->first)
		job_done(hooks);
	free(hooks);
}
