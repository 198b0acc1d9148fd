/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Until when a primary may serve, as options say it.
 *
 * --for counts from the start of the command, before anything was asked of anybody.  Who
 * has asked somebody else before, for the right to serve, took the clock before that and
 * says --until.
 */
#ifndef BC_DEADLINE_H
#define BC_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

/* ns of CLOCK_BOOTTIME: to be read first of all. */
uint64_t deadline_now(void);

/*
 * One of @for_text and @until_text is given, in seconds; @until: ns of CLOCK_BOOTTIME,
 * never 0.  False: it is no such number, which has been said.
 */
bool deadline_parse(const char *for_text, const char *until_text, uint64_t now,
		    uint64_t *until);

#endif
