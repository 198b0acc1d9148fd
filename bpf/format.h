/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers for people: at most seven characters, three significant digits, the
 * unit attached.  Each function fills @text and returns it.
 */
#ifndef _BLKCAST_FORMAT_H
#define _BLKCAST_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#define FORMAT_MAX 16

/* "0", "850ns", "12.3us", "1.25ms", "102ms", "4.31s", "2m05s", "3h12m", "5d04h" */
char *format_duration(char text[FORMAT_MAX], uint64_t ns);

/* "0", "512B", "4.00KiB", "12.5MiB" */
char *format_bytes(char text[FORMAT_MAX], uint64_t bytes);

/* exact below a million, then "1.23M" */
char *format_count(char text[FORMAT_MAX], uint64_t count);

#endif /* _BLKCAST_FORMAT_H */
