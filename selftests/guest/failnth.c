// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * failnth: each allocation of a command to the module fails once.
 *
 *	failnth DO UNDO [STRIDE]
 *
 * DO is done again and again: its first allocation in a module fails, then only its
 * second, and so on until it has not that many.  Whenever it has failed it must work at
 * once without a failure (a load: in the end); UNDO comes after each.  Says how many failed, and how often DO
 * did.  With a STRIDE only every so manieth fails: pools ask for hundreds alike.  The
 * kernel has to be able to (FAULT_INJECTION), and be told what to fail: see
 * alloc_failures.py.
 *
 *	up:NAME:DISK	down:NAME	primary:NAME	replica:NAME	get:NAME
 *	pair:PRIMARY:REPLICA		part:PRIMARY:REPLICA
 *	view:NAME:VIEW:DISK		unview:NAME:VIEW
 *	stamps:NAME	verify:NAME:LINK	verified:NAME:LINK (waits)
 *	load:FILE	unload
 *
 * A DISK is /dev/ramN by its N.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sockets.h"

#define MOST 2000
#define RAM_MAJOR 1
#define STORE_BYTES (8 << 20)	/* of a view */

struct action {
	const char *name;
	int (*run)(char **args, struct bc_error *error);
	char *args[4];
};

static struct bc_kernel *kernel;
static int nth_fd;

static uint32_t disk(const char *text)
{
	return BLKCAST_DEV(RAM_MAJOR, (uint32_t)atoi(text));
}

static int run_up(char **args, struct bc_error *error)
{
	struct bc_up up = { .name = args[0], .backing = disk(args[1]), .meta = disk(args[1]) };
	uint32_t minor;

	return bc_kernel_up(kernel, &up, &minor, error);
}

static int run_down(char **args, struct bc_error *error)
{
	return bc_kernel_down(kernel, args[0], error);
}

static int run_primary(char **args, struct bc_error *error)
{
	struct bc_volume volume;
	int ret = bc_kernel_get(kernel, args[0], &volume, error);
	uint32_t term;

	if (ret)
		return ret;
	term = volume.term + 1;
	bc_volume_release(&volume);
	return bc_kernel_primary(kernel, args[0], term, ((uint64_t)term << 32) + random(),
				 0, 0, error);
}

static int run_replica(char **args, struct bc_error *error)
{
	return bc_kernel_replica(kernel, args[0], NULL, 0, error);
}

static int run_get(char **args, struct bc_error *error)
{
	struct bc_volume volume;
	int ret = bc_kernel_get(kernel, args[0], &volume, error);

	if (!ret)
		bc_volume_release(&volume);
	return ret;
}

static int run_stamps(char **args, struct bc_error *error)
{
	uint64_t stamps[64];

	return bc_kernel_stamps(kernel, args[0], NULL, 0, 64, stamps, error);
}

static int run_verify(char **args, struct bc_error *error)
{
	return bc_kernel_verify(kernel, args[0], args[1], 0, error);
}

/* No verify runs any more. */
static int run_verified(char **args, struct bc_error *error)
{
	int ret, running = 1;

	while (running) {
		struct bc_volume volume;
		uint32_t i;

		ret = bc_kernel_get(kernel, args[0], &volume, error);
		if (ret)
			return ret;
		running = 0;
		for (i = 0; i < volume.links; i++)
			running |= !strcmp(volume.link[i].name, args[1]) &&
				   bc_known(&volume.link[i], BLKCAST_L_VERIFY_STATE) &&
				   volume.link[i].verify_state == BLKCAST_VERIFY_RUNNING;
		bc_volume_release(&volume);
		usleep(10000);
	}
	return 0;
}

static int run_part(char **args, struct bc_error *error)
{
	int ret, other;

	ret = bc_kernel_link_del(kernel, args[0], args[1], error);
	other = bc_kernel_link_del(kernel, args[1], args[0], error);
	if (ret == -ENOENT)
		ret = 0;
	return ret ? ret : other == -ENOENT ? 0 : other;
}

static int link_ends(char **args, const int ends[2], struct bc_error *error)
{
	struct bc_link_add there = { .name = args[1], .link = args[0], .socket = ends[0],
				     .flags = BLKCAST_F_READS };
	struct bc_link_add here = { .name = args[0], .link = args[1], .socket = ends[1],
				    .flags = BLKCAST_F_READS };
	struct bc_volume volume;
	int ret = bc_kernel_get(kernel, args[0], &volume, error);

	if (ret)
		return ret;
	here.term = volume.term;
	there.term = volume.term;
	there.history = volume.history;
	there.reigns = volume.reigns;
	ret = bc_kernel_link_add(kernel, &there, error);
	if (!ret)
		ret = bc_kernel_link_add(kernel, &here, error);
	bc_volume_release(&volume);
	return ret;
}

/* Where only one end has come about, it goes. */
static int run_pair(char **args, struct bc_error *error)
{
	struct bc_error ignored;
	int ends[2], ret;

	ret = socket_ends(ends, error);
	if (ret)
		return ret;
	ret = link_ends(args, ends, error);
	close(ends[0]);
	close(ends[1]);
	if (ret)
		run_part(args, &ignored);
	return ret;
}

static int run_view(char **args, struct bc_error *error)
{
	struct bc_view_create create = { .name = args[0], .view = args[1],
					 .store_bytes = STORE_BYTES, .store_fd = -1,
					 .store_dev = disk(args[2]), .flags = BLKCAST_F_REPLACE };

	return bc_kernel_view_create(kernel, &create, NULL, error);
}

static int run_unview(char **args, struct bc_error *error)
{
	return bc_kernel_view_remove(kernel, args[0], args[1], error);
}

static int run_load(char **args, struct bc_error *error)
{
	int fd = open(args[0], O_RDONLY | O_CLOEXEC), ret = 0;

	if (syscall(SYS_finit_module, fd, "", 0))
		ret = bc_fail_errno(error, -errno, "%s", args[0]);
	close(fd);
	return ret;
}

static int run_unload(char **args, struct bc_error *error)
{
	(void)args;
	if (syscall(SYS_delete_module, "blkcast", O_NONBLOCK))
		return bc_fail_errno(error, -errno, "unloading");
	return 0;
}

static const struct action actions[] = {
	{ "up", run_up, { NULL } },		{ "down", run_down, { NULL } },
	{ "primary", run_primary, { NULL } },	{ "replica", run_replica, { NULL } },
	{ "get", run_get, { NULL } },		{ "stamps", run_stamps, { NULL } },
	{ "pair", run_pair, { NULL } },		{ "part", run_part, { NULL } },
	{ "view", run_view, { NULL } },		{ "unview", run_unview, { NULL } },
	{ "verify", run_verify, { NULL } },	{ "verified", run_verified, { NULL } },
	{ "load", run_load, { NULL } },		{ "unload", run_unload, { NULL } },
};

static void stop(const char *fmt, int nth, const char *text)
{
	printf(fmt, nth, text);
	putchar('\n');
	exit(1);
}

static void nth_write(int nth)
{
	char text[12];
	int length = snprintf(text, sizeof(text), "%d", nth);

	if (pwrite(nth_fd, text, length, 0) != length)
		stop("%d: cannot be failed: %s", nth, strerror(errno));
}

/* How many are left until it fails. */
static int nth_read(void)
{
	char text[12] = "";

	if (pread(nth_fd, text, sizeof(text) - 1, 0) <= 0)
		stop("%d: %s", 0, strerror(errno));
	return atoi(text);
}

static struct action parse(char *text)
{
	struct action action = { NULL, NULL, { NULL } };
	char *word = strtok(text, ":");
	size_t i;

	for (i = 0; i < sizeof(actions) / sizeof(*actions); i++)
		if (!strcmp(actions[i].name, word))
			action = actions[i];
	if (!action.run)
		stop("%d: no such command: %s", 0, word);
	for (i = 0; i < 3; i++)
		action.args[i] = strtok(NULL, ":");
	return action;
}

/* Returns whether the failure has come; *@worked: in spite of it. */
static int once(struct action *action, int nth, int *worked, struct bc_error *error)
{
	int left;

	strcpy(error->text, "");
	nth_write(nth);
	*worked = !action->run(action->args, error);
	left = nth_read();
	nth_write(0);
	return !left;
}

int main(int argc, char **argv)
{
	struct bc_error error, ignored;
	struct action todo, undo;
	int nth, failed = 0, worked, came, stride;

	if (argc < 3 || argc > 4)
		return 2;
	stride = argc > 3 ? atoi(argv[3]) : 1;
	if (stride < 1)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	todo = parse(argv[1]);
	undo = parse(argv[2]);
	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth_fd < 0)
		stop("%d: cannot fail anything: %s", 0, strerror(errno));
	/* Loading needs no door, and it must not hold the module. */
	if (todo.run != run_load && bc_kernel_open(&kernel, &error))
		stop("%d: %s", 0, error.text);
	for (nth = 1; nth < MOST; nth += stride) {
		came = once(&todo, nth, &worked, &error);
		if (!worked && !came)
			stop("%d: fails without a failure: %s", nth, error.text);
		if (!worked) {
			failed++;
			if (!error.text[0])
				stop("%d: fails and says nothing%s", nth, "");
			/* To load takes long, and the next one tells. */
			if (todo.run == run_load)
				continue;
			if (todo.run(todo.args, &error))
				stop("%d: fails ever after: %s", nth, error.text);
		}
		if (undo.run(undo.args, &ignored))
			stop("%d: cannot be undone: %s", nth, ignored.text);
		if (!came) {
			printf("fewer than %d allocations, %d of those that failed indispensable\n",
			       nth, failed);
			return 0;
		}
	}
	stop("more than %d allocations%s", MOST, "");
}
