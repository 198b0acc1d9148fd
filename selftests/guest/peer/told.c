// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"
#include "told.h"
#include "util.h"

int told_open(struct told *told)
{
	told->log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	return told->log < 0 || lseek(told->log, 0, SEEK_END) < 0;
}

void told_skip(struct told *told)
{
	lseek(told->log, 0, SEEK_END);
}

/* Is it a reason, of all that is said of a link? */
static int is_reason(const char *says)
{
	static const char * const reasons[] = {
		"not a frame", "bad ", "another term", "frame ", "reserved field", "refused ",
		"answers, but", "nothing but",
	};

	for (size_t i = 0; i < BC_ARRAY_SIZE(reasons); i++)
		if (!strncmp(says, reasons[i], strlen(reasons[i])))
			return 1;
	return 0;
}

/* One record of the log: is it the one that says that the link is down? */
static int log_line(struct told *told, const char *line)
{
	const char *says = strstr(line, "link liar: ");

	if (!says)
		return 0;
	sscanf(line, "%*u,%*u,%lu", &told->when_us);
	says += strlen("link liar: ");
	if (sscanf(says, "down (%d)", &told->error) == 1)
		return 1;
	/* The first one says it best. */
	if (!told->why[0] && is_reason(says)) {
		snprintf(told->why, sizeof(told->why), "%.*s", (int)strcspn(says, "\n"), says);
		told->whys++;
	}
	return 0;
}

int told_read(struct told *told)
{
	uint64_t until = bc_now_ns() + PEER_DROP_MS * 1000000ULL;
	char line[1024];

	told->why[0] = 0;
	told->error = 0;
	do {
		ssize_t n = read(told->log, line, sizeof(line) - 1);

		if (n < 0 && errno == EAGAIN)
			usleep(1000);
		if (n <= 0)
			continue;
		line[n] = 0;
		if (log_line(told, line))
			return 0;
	} while (bc_now_ns() < until);
	return -1;
}
