// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writers may wait until this daemon has connected a replica, and all memory may hold
 * what they write.  So the daemon is in memory as a whole, asks for none that has to be
 * written back first (PR_SET_IO_FLUSHER, for the kernel's allocations on its behalf),
 * and is not what the kernel ends to get some (its unit: OOMScoreAdjust).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "log.h"
#include "steady.h"
#include "util.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

void steady_begin(void)
{
	/* What comes later, threads' stacks say, as it is touched. */
	if (mlockall(MCL_CURRENT) || mlockall(MCL_FUTURE | MCL_ONFAULT))
		log_warning("cannot stay in memory when it is short: %s", strerror(errno));
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
		log_warning("cannot be told apart from other writers when memory is short: %s",
			    strerror(errno));
}

void steady_end(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	prctl(PR_SET_IO_FLUSHER, 0, 0, 0, 0);
	if (fd < 0)
		return;
	bc_write_full(fd, "0", 1);
	close(fd);
}
