// SPDX-License-Identifier: GPL-2.0-or-later
/* Numbers for people; see format.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"

#define NS_SECOND 1000000000ULL

/* Digits behind the point that make three significant ones. */
static int decimals(double value)
{
	if (value >= 99.95)
		return 0;
	return value >= 9.995 ? 1 : 2;
}

/* Scale down until three digits before the point are enough. */
static char *format_scaled(char text[FORMAT_MAX], double value, double step,
			   const char *const *units)
{
	while (value >= 999.5 && units[1]) {
		value /= step;
		units++;
	}
	snprintf(text, FORMAT_MAX, "%.*f%s", decimals(value), value, *units);
	return text;
}

static char *format_long(char text[FORMAT_MAX], uint64_t seconds)
{
	uint64_t minutes = seconds / 60, hours = minutes / 60;

	if (minutes < 60)
		snprintf(text, FORMAT_MAX, "%" PRIu64 "m%02us", minutes,
			 (unsigned int)(seconds % 60));
	else if (hours < 24)
		snprintf(text, FORMAT_MAX, "%" PRIu64 "h%02um", hours,
			 (unsigned int)(minutes % 60));
	else
		snprintf(text, FORMAT_MAX, "%" PRIu64 "d%02uh", hours / 24,
			 (unsigned int)(hours % 24));
	return text;
}

char *format_duration(char text[FORMAT_MAX], uint64_t ns)
{
	static const char *const units[] = { "us", "ms", "s", NULL };

	if (!ns)
		snprintf(text, FORMAT_MAX, "0");
	else if (ns < 1000)
		snprintf(text, FORMAT_MAX, "%" PRIu64 "ns", ns);
	else if (ns >= 60 * NS_SECOND)
		format_long(text, ns / NS_SECOND);
	else
		format_scaled(text, (double)ns / 1e3, 1000, units);
	return text;
}

char *format_bytes(char text[FORMAT_MAX], uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", NULL };

	if (!bytes)
		snprintf(text, FORMAT_MAX, "0");
	else if (bytes < 1000)
		snprintf(text, FORMAT_MAX, "%" PRIu64 "B", bytes);
	else
		format_scaled(text, (double)bytes / 1024, 1024, units);
	return text;
}

char *format_count(char text[FORMAT_MAX], uint64_t count)
{
	static const char *const units[] = { "M", "G", "T", NULL };

	if (count < 1000000)
		snprintf(text, FORMAT_MAX, "%" PRIu64, count);
	else
		format_scaled(text, (double)count / 1e6, 1000, units);
	return text;
}
