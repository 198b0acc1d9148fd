// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where a snapshot goes (see output.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/util.h"
#include "folder.h"
#include "output.h"

static const int fatal_signals[] = { SIGINT, SIGTERM, SIGHUP };

/* What the signal handler removes; NULL: nothing. */
static char *volatile doomed;

static void remove_and_die(int signal_number)
{
	if (doomed)
		unlink(doomed);
	/* Reset by SA_RESETHAND: die as if there had been no handler. */
	raise(signal_number);
}

static void guard_signals(void)
{
	struct sigaction action = {
		.sa_handler = remove_and_die, .sa_flags = SA_RESETHAND,
	};
	size_t i;

	for (i = 0; i < BC_ARRAY_SIZE(fatal_signals); i++) {
		struct sigaction old;

		/* Whoever started us ignores it (nohup): leave it so. */
		if (!sigaction(fatal_signals[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaction(fatal_signals[i], &action, NULL);
	}
}

static int open_stdout(struct output *output, struct bc_error *error)
{
	if (isatty(STDOUT_FILENO))
		return bc_fail(error, -ENOTTY,
			       "standard output is a terminal: redirect it to a file or a pipe");
	output->fd = dup(STDOUT_FILENO);
	if (output->fd < 0)
		return bc_fail_errno(error, -errno, "standard output");
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

static int check_target(const char *path, bool force, struct bc_error *error)
{
	struct stat st;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : bc_fail_errno(error, -errno, "%s", path);
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return bc_fail(error, -EINVAL,
			       "%s is not a regular file; to write into it, write to - and redirect",
			       path);
	if (!force)
		return bc_fail(error, -EEXIST, "%s exists; --force replaces it", path);
	return 0;
}

static int open_temporary(struct output *output, struct bc_error *error)
{
	mode_t mask = umask(0);

	umask(mask);
	if (asprintf(&output->temporary, "%s.XXXXXX.part", output->path) < 0) {
		output->temporary = NULL;
		return bc_fail(error, -ENOMEM, "out of memory");
	}
	output->fd = mkostemps(output->temporary, strlen(".part"), O_CLOEXEC);
	if (output->fd < 0)
		return bc_fail_errno(error, -errno, "cannot create %s", output->temporary);
	doomed = output->temporary;
	guard_signals();
	if (fchmod(output->fd, 0666 & ~mask))
		return bc_fail_errno(error, -errno, "%s", output->temporary);
	return 0;
}

int output_open(struct output *output, const char *path, bool force,
		struct bc_error *error)
{
	int err;

	*output = (struct output) { .path = path, .fd = -1, .force = force };
	if (!strcmp(path, "-"))
		return open_stdout(output, error);
	err = check_target(path, force, error);
	return err ? err : open_temporary(output, error);
}

int output_write(struct output *output, const void *data, size_t length,
		 struct bc_error *error)
{
	int err = bc_write_full(output->fd, data, length);

	if (err == -EPIPE)
		return bc_fail(error, err, "the reader of the pipe has gone");
	if (err)
		return bc_fail_errno(error, err, "cannot write %s", output->path);
	output->offset += length;
	return 0;
}

static int rename_temporary(struct output *output)
{
	if (!output->force &&
	    !renameat2(AT_FDCWD, output->temporary, AT_FDCWD, output->path, RENAME_NOREPLACE))
		return 0;
	/* Filesystems without it: the check at the start has to do. */
	if (!output->force && errno != EINVAL && errno != ENOSYS)
		return -errno;
	return rename(output->temporary, output->path) ? -errno : 0;
}

int output_commit(struct output *output, struct bc_error *error)
{
	int err;

	if (!output->temporary)
		return 0;
	if (fsync(output->fd))
		return bc_fail_errno(error, -errno, "cannot sync %s", output->temporary);
	err = rename_temporary(output);
	if (err)
		return bc_fail_errno(error, err, "cannot rename %s to %s", output->temporary,
				     output->path);
	doomed = NULL;
	free(output->temporary);
	output->temporary = NULL;
	return folder_sync_of(output->path, error);
}

void output_close(struct output *output)
{
	if (output->fd >= 0)
		close(output->fd);
	if (output->temporary) {
		doomed = NULL;
		unlink(output->temporary);
		free(output->temporary);
	}
	*output = (struct output) { .fd = -1 };
}
