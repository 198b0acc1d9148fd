// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "log.h"

#define LINE_MAX_CHARS 1024

static bool journal;

void log_init(void)
{
	journal = getenv("JOURNAL_STREAM") != NULL;
	setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
}

void log_print(int priority, const char *fmt, ...)
{
	char line[LINE_MAX_CHARS];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	/* Peers' words stand in here: no control character gets through. */
	for (char *at = line; *at; at++) {
		if (iscntrl((unsigned char)*at))
			*at = '?';
	}
	if (journal)
		fprintf(stderr, "<%d>%s\n", priority, line);
	else
		fprintf(stderr, "blkcastd: %s\n", line);
}
