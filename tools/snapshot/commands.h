/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the subcommands of this folder share.
 */
#ifndef SNAPSHOT_COMMANDS_H
#define SNAPSHOT_COMMANDS_H

#include <stdint.h>

#define THREADS_MAX 256

struct json_object;

void json_add_text(struct json_object *object, const char *key, const char *value);
void json_add_u64(struct json_object *object, const char *key, uint64_t value);
void json_add_bool(struct json_object *object, const char *key, int value);
/* To standard output, and free it. */
void json_print(struct json_object *object);

/* Print "WHAT: BYTES, SECONDS, RATE" to standard error, without an end of line. */
void report_rate(const char *what, uint64_t bytes, double seconds);

#endif /* SNAPSHOT_COMMANDS_H */
