/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What failnth does: commands to the module, and I/O.
 */
#ifndef FAILNTH_ACTIONS_H
#define FAILNTH_ACTIONS_H

#include "kernel.h"

/* As a word of the command line says it: NAME:ARG:ARG:ARG. */
struct action {
	const char *name;
	int (*run)(char **args, struct bc_error *error);
	char *args[3];
};

extern struct bc_kernel *kernel;	/* NULL: nothing but loads */

/* False: there is none of that name. */
bool action_parse(struct action *action, char *text);
bool action_loads(const struct action *action);

/* What a command may change of a volume, and does not change by itself. */
#define PICTURE 2000
void picture(char text[PICTURE], const char *name);

/* Nothing can make good for that. */
__attribute__((format(printf, 1, 2), noreturn)) void stop(const char *fmt, ...);

/* --- content.c: the same places of one volume are written again and again --- */

int content_write(const char *name, struct bc_error *error);
/* The volume's device, or that of a view: what was acknowledged last is there, or newer. */
int content_holds(const char *name, struct bc_error *error);
void content_freeze(void);
int content_frozen(uint32_t minor, struct bc_error *error);

#endif /* FAILNTH_ACTIONS_H */
