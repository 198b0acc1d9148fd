/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The subcommands of this folder, and the little they share.
 */
#ifndef SNAPSHOT_COMMANDS_H
#define SNAPSHOT_COMMANDS_H

#include <stdint.h>

#define EXIT_USAGE	2
#define THREADS_MAX	256

struct json_object;

int cmd_snapshot(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_info(int argc, char **argv);

/* A number 1..@max; 0 if it is none. */
unsigned int parse_count(const char *text, unsigned int max);

void json_add_u64(struct json_object *object, const char *key, uint64_t value);
/* To standard output, and free it. */
void json_print(struct json_object *object);

#endif /* SNAPSHOT_COMMANDS_H */
