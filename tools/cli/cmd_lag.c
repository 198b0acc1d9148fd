// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast lag: the separate program blkcast-lag, looked for beside this one,
 * where 'make install' puts it, in the build folder, in PATH.
 */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "util.h"

int cmd_lag(int argc, char **argv)
{
	static const char * const places[] = { "", "../libexec/blkcast/", "../bpf/" };
	char self[PATH_MAX], path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	(void)argc;
	self[len < 0 ? 0 : len] = 0;
	dirname(self);
	argv[0] = (char *)"blkcast-lag";
	for (size_t i = 0; i < BC_ARRAY_SIZE(places); i++) {
		snprintf(path, sizeof(path), "%s/%sblkcast-lag", self, places[i]);
		execv(path, argv);
	}
	execvp("blkcast-lag", argv);
	return cli_failf("cannot start blkcast-lag: %s", strerror(errno));
}
