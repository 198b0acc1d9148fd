// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <time.h>

#include "cli.h"
#include "deadline.h"

uint64_t deadline_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

bool deadline_parse(const char *for_text, const char *until_text, uint64_t now,
		    uint64_t *until)
{
	const char *text = for_text ? for_text : until_text;
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= 0 && value < 1e9)) {
		cli_failf("'%s' is no number of seconds", text);
		return false;
	}
	*until = (uint64_t)(value * 1e9) + (for_text ? now : 0);
	/* 0 is none: what was over when the host started is over. */
	if (!*until)
		*until = 1;
	return true;
}
