// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The first process of a test guest: runs the commands that the host's lab asks
 * for and carries their input, output and exit status (frames: proto.h).
 *
 *   lab.py <- virtio-serial -> agent -+- bash -c COMMAND   (job 1)
 *                                     +- bash -c COMMAND   (job 2) ...
 *
 * One poll loop over the port, a signalfd for dead children and the pipes of all
 * jobs.  Writes to the port block: the lab always reads.  Input for a job is
 * kept in memory until the job takes it, so no job can block another one.
 * A job is its own session, so that KILL ends all that it started.
 *
 * As process 1 the agent also reaps orphans.  It never exits: any failure of
 * its own ends in abort(), hence in a kernel panic, which the lab sees.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto.h"

struct job {
	struct job *next;
	uint32_t id;
	pid_t pid;		/* 0 when it has ended */
	int in, out, err;	/* our ends of its pipes, -1 when closed */
	bool in_eof;		/* close `in` once the input is drained */
	char *input;
	size_t input_len;
};

static int port;
static struct job *jobs;

#define need(cond) do {							\
	if (!(cond)) {							\
		fprintf(stderr, "agent: %s: %s\n", #cond, strerror(errno));	\
		abort();						\
	}								\
} while (0)

static void port_write(const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(port, p, len);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		need(n > 0);
		p += n;
		len -= n;
	}
}

static void frame_send(uint32_t id, enum frame_type type, const void *data,
		       size_t len)
{
	struct frame f = { htole32(id), htole32(type), htole32(len) };

	port_write(&f, sizeof(f));
	port_write(data, len);
}

static struct job *job_find(uint32_t id)
{
	for (struct job *j = jobs; j; j = j->next)
		if (j->id == id)
			return j;
	return NULL;
}

static void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* In the child: become a session of its own and run @command. */
static void job_child(const char *command, int in, int out, int err)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (in >= 0) {
		setsid();
		dup2(in, 0);
		dup2(out, 1);
		dup2(err, 2);
	}
	execl("/bin/bash", "bash", "-c", command, NULL);
	_exit(127);
}

static void job_spawn_pipes(struct job *j, const char *command)
{
	int in[2], out[2], err[2];

	need(!pipe2(in, O_CLOEXEC) && !pipe2(out, O_CLOEXEC) &&
	     !pipe2(err, O_CLOEXEC));
	j->pid = fork();
	need(j->pid >= 0);
	if (!j->pid)
		job_child(command, in[0], out[1], err[1]);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	j->in = in[1];
	j->out = out[0];
	j->err = err[0];
	need(!fcntl(j->in, F_SETFL, O_NONBLOCK));
}

static void job_spawn_tty(struct job *j, const char *command)
{
	int master;

	j->pid = forkpty(&master, NULL, NULL, NULL);
	need(j->pid >= 0);
	if (!j->pid)
		job_child(command, -1, -1, -1);
	need(!fcntl(master, F_SETFD, FD_CLOEXEC));
	j->out = master;
	j->in = dup(master);
	j->err = -1;
	need(j->in >= 0);
}

static void job_start(uint32_t id, bool tty, const char *command)
{
	struct job *j = calloc(1, sizeof(*j));

	need(j);
	j->id = id;
	if (tty)
		job_spawn_tty(j, command);
	else
		job_spawn_pipes(j, command);
	j->next = jobs;
	jobs = j;
}

static void job_feed(struct job *j)
{
	ssize_t n = write(j->in, j->input, j->input_len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)		/* nobody reads: drop the rest */
		n = j->input_len;
	j->input_len -= n;
	memmove(j->input, j->input + n, j->input_len);
	if (!j->input_len && j->in_eof)
		fd_close(&j->in);
}

static void job_input(struct job *j, const char *data, size_t len)
{
	if (j->in < 0)
		return;
	if (!len) {
		j->in_eof = true;
		if (!j->input_len)
			fd_close(&j->in);
		return;
	}
	j->input = realloc(j->input, j->input_len + len);
	need(j->input);
	memcpy(j->input + j->input_len, data, len);
	j->input_len += len;
}

/* Passes on one chunk of output; false when there was none to be had. */
static bool job_output(struct job *j, int *fd, enum frame_type type)
{
	char buf[FRAME_CHUNK];
	ssize_t n = read(*fd, buf, sizeof(buf));

	if (n > 0)
		frame_send(j->id, type, buf, n);
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		fd_close(fd);
	return n > 0;
}

static void job_drain(struct job *j, int *fd, enum frame_type type)
{
	struct pollfd p = { .fd = *fd, .events = POLLIN };

	while (*fd >= 0 && poll(&p, 1, 0) == 1 && job_output(j, fd, type))
		;
}

static void job_ended(struct job *j, int wstatus)
{
	uint32_t status = htole32(WIFEXITED(wstatus) ? WEXITSTATUS(wstatus) :
				  128 + WTERMSIG(wstatus));

	j->pid = 0;
	fd_close(&j->in);
	job_drain(j, &j->out, FRAME_OUT);
	job_drain(j, &j->err, FRAME_ERR);
	frame_send(j->id, FRAME_EXIT, &status, sizeof(status));
}

static void reap(int sigfd)
{
	struct signalfd_siginfo info;
	int wstatus;
	pid_t pid;

	need(read(sigfd, &info, sizeof(info)) == sizeof(info));
	while ((pid = waitpid(-1, &wstatus, WNOHANG)) > 0)
		for (struct job *j = jobs; j; j = j->next)
			if (j->pid == pid)
				job_ended(j, wstatus);
}

/* Forgets the jobs that have ended and whose output has ended too. */
static void jobs_sweep(void)
{
	struct job **p = &jobs;

	while (*p) {
		struct job *j = *p;

		if (j->pid || j->out >= 0 || j->err >= 0) {
			p = &j->next;
			continue;
		}
		*p = j->next;
		fd_close(&j->in);
		free(j->input);
		free(j);
	}
}

static void port_read(void *data, size_t len)
{
	char *p = data;

	while (len) {
		ssize_t n = read(port, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		need(n > 0);
		p += n;
		len -= n;
	}
}

static void frame_receive(void)
{
	static char data[FRAME_MAX + 1];
	struct frame f;
	struct job *j;
	size_t len;

	port_read(&f, sizeof(f));
	len = le32toh(f.len);
	need(len <= FRAME_MAX);
	port_read(data, len);
	data[len] = 0;
	j = job_find(le32toh(f.id));

	switch (le32toh(f.type)) {
	case FRAME_EXEC:
	case FRAME_TTY:
		job_start(le32toh(f.id), le32toh(f.type) == FRAME_TTY, data);
		break;
	case FRAME_IN:
		if (j)
			job_input(j, data, len);
		break;
	case FRAME_KILL:
		if (j && j->pid)
			kill(-j->pid, SIGKILL);
		break;
	case FRAME_HALT:
		sync();
		reboot(RB_POWER_OFF);
		break;
	}
}

static int watch(struct pollfd *fds, int n, int fd, short events)
{
	fds[n].fd = fd;
	fds[n].events = events;
	fds[n].revents = 0;
	return n + 1;
}

/* Polls the port, the signals, then three descriptors for each job, in order. */
static void loop(int sigfd)
{
	static struct pollfd fds[2 + 3 * 256];
	int n = 0, i = 2;

	n = watch(fds, n, port, POLLIN);
	n = watch(fds, n, sigfd, POLLIN);
	for (struct job *j = jobs; j; j = j->next) {
		need(n + 3 <= (int)(sizeof(fds) / sizeof(fds[0])));
		n = watch(fds, n, j->input_len ? j->in : -1, POLLOUT);
		n = watch(fds, n, j->out, POLLIN);
		n = watch(fds, n, j->err, POLLIN);
	}
	if (poll(fds, n, -1) < 0) {
		need(errno == EINTR);
		return;
	}
	for (struct job *j = jobs; j; j = j->next, i += 3) {
		if (fds[i].revents)
			job_feed(j);
		if (fds[i + 1].revents)
			job_output(j, &j->out, FRAME_OUT);
		if (fds[i + 2].revents)
			job_output(j, &j->err, FRAME_ERR);
	}
	if (fds[1].revents)
		reap(sigfd);
	if (fds[0].revents)
		frame_receive();
	jobs_sweep();
}

int main(int argc, char **argv)
{
	sigset_t chld;
	int sigfd;

	need(argc == 2);
	port = open(argv[1], O_RDWR | O_CLOEXEC);
	need(port >= 0);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	need(!sigprocmask(SIG_BLOCK, &chld, NULL));
	sigfd = signalfd(-1, &chld, SFD_CLOEXEC);
	need(sigfd >= 0);

	frame_send(0, FRAME_READY, NULL, 0);
	for (;;)
		loop(sigfd);
}
