/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small things that several programs need: reading and writing in full, sizes
 * and times in the form people use, names, uuids.
 */
#ifndef BC_UTIL_H
#define BC_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BC_ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define BC_UUID_TEXT 37		/* with the terminator */
#define BC_SIZE_TEXT 24

/* All of it, or a negative errno; -EIO: the file ends before. */
int bc_pread_full(int fd, void *data, size_t len, uint64_t offset);
int bc_pwrite_full(int fd, const void *data, size_t len, uint64_t offset);
int bc_write_full(int fd, const void *data, size_t len);

/* [a-zA-Z0-9_] first, then . and - as well, 1..63 bytes: a volume, peer or node. */
bool bc_name_valid(const char *name);

/* "512", "64K", "1.5G" ... (powers of 1024, with or without iB): bytes. */
int bc_size_parse(const char *text, uint64_t *bytes);
/* "64 KiB", "1.5 GiB"; returns @text. */
char *bc_size_format(uint64_t bytes, char text[BC_SIZE_TEXT]);
/* "500ms", "1.5s", "2m": with a unit.  -EINVAL or -ERANGE. */
int bc_duration_parse(const char *text, uint64_t *ns);
/* "0 s", "12 ms", "3.4 s", "2 h 5 min"; returns @text. */
char *bc_duration_format(uint64_t ns, char text[BC_SIZE_TEXT]);

int bc_uuid_parse(const char *text, uint8_t uuid[16]);
char *bc_uuid_format(const uint8_t uuid[16], char text[BC_UUID_TEXT]);
void bc_uuid_generate(uint8_t uuid[16]);
/* All zeros: nobody's. */
bool bc_uuid_is_null(const uint8_t uuid[16]);

/* From getrandom(2); cannot fail once the system is up. */
void bc_random(void *data, size_t len);

uint64_t bc_now_ns(void);	/* CLOCK_MONOTONIC */

#endif /* BC_UTIL_H */
