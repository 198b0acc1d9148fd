/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the subcommands share: options from tables (so that --help cannot lie),
 * messages, exit codes, and the way to the daemon.
 *
 * A subcommand is int cmd_NAME(argc, argv) with argv[0] its own name; it
 * returns an exit code.
 */
#ifndef BC_CLI_H
#define BC_CLI_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#include "config.h"
#include "error.h"
#include "kernel.h"

#define CLI_DONE	0
#define CLI_FAILED	1
#define CLI_USAGE	2
#define CLI_GO		(-1)	/* cli_parse(): no exit, go on */

enum cli_kind {
	CLI_FLAG,	/* bool */
	CLI_TEXT,	/* const char * */
	CLI_SIZE,	/* uint64_t, bytes */
	CLI_NUMBER,	/* uint32_t */
};

struct cli_option {
	const char *name;
	enum cli_kind kind;
	void *to;
	const char *arg;	/* what it takes, for --help */
	const char *help;
};

/**
 * struct cli_syntax - how a subcommand is called
 * @synopsis: behind "blkcast COMMAND "
 * @about: one or a few sentences
 * @options: ends with a NULL name
 * @min, @max: number of arguments that are no options
 */
struct cli_syntax {
	const char *synopsis, *about;
	const struct cli_option *options;
	int min, max;
};

/*
 * Parse; the arguments that are no options are at @rest, NULL-terminated.
 * CLI_GO, or an exit code (--help, wrong usage).
 */
int cli_parse(const struct cli_syntax *syntax, int argc, char **argv,
	      char ***rest);

/* Print to stderr behind "blkcast: "; return CLI_FAILED. */
int cli_failed(const struct bc_error *error);
int cli_failf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Say what is about to happen, and have it confirmed with the volume's name.
 * False: it is not, or there is nobody to ask (@option would have answered).
 */
bool cli_confirmed(const char *volume, const char *sentence, const char *option);

/* A path as the configuration needs it: absolute, symbolic links kept. */
int cli_absolute(char *to, size_t size, const char *path,
		 struct bc_error *error);

/* --- the daemon ------------------------------------------------------- */

struct control;

/* -ENOENT or -ECONNREFUSED: no daemon runs. */
int control_open(struct control **control, struct bc_error *error);
void control_close(struct control *control);

/*
 * One question, one answer.  @request is consumed.  An answer with "error" is
 * returned as -EREMOTEIO with the daemon's sentence.  *answer (optional) is to
 * be put.
 */
int control_ask(struct control *control, struct json_object *request,
		unsigned int timeout_ms, struct json_object **answer,
		struct bc_error *error);

/* { "request": REQUEST, "volume": VOLUME } */
struct json_object *control_request(const char *request, const char *volume);

/*
 * Ask the daemon to leave a volume alone and drop its links for as long as
 * *control is open; without a daemon the links are dropped here and *control
 * is NULL.
 */
int control_hold(struct control **control, struct bc_kernel *kernel,
		 const char *volume, struct bc_error *error);

/* Tell the daemon, if there is one, to read the configuration anew. */
int control_reload(struct bc_error *error);

/* --- volumes, cmd_up.c and cmd_down.c --- */

/* Bring a volume up as it is configured; not at all if that cannot be. */
int volume_up(struct bc_kernel *kernel, const struct bc_volume_config *config,
	      struct bc_error *error);

/* Take a replica down.  -EBUSY: somebody has its device open. */
int volume_down(struct bc_kernel *kernel, const char *name, struct bc_error *error);

/* --- subcommands ------------------------------------------------------ */

int cmd_create(int argc, char **argv);
int cmd_up(int argc, char **argv);
int cmd_down(int argc, char **argv);
int cmd_replace(int argc, char **argv);
int cmd_destroy(int argc, char **argv);
int cmd_primary(int argc, char **argv);
int cmd_replica(int argc, char **argv);
int cmd_detach(int argc, char **argv);
int cmd_member(int argc, char **argv);
int cmd_lease(int argc, char **argv);
int cmd_grow(int argc, char **argv);
int cmd_set(int argc, char **argv);
int cmd_suspend(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_join(int argc, char **argv);
int cmd_connect(int argc, char **argv);
int cmd_disconnect(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_view(int argc, char **argv);
int cmd_lag(int argc, char **argv);
int cmd_meta(int argc, char **argv);
int cmd_genkey(int argc, char **argv);
int cmd_reconnect(int argc, char **argv);
int cmd_devname(int argc, char **argv);
int cmd_holds(int argc, char **argv);
/* From tools/snapshot/. */
int cmd_snapshot(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_prune(int argc, char **argv);
int cmd_send(int argc, char **argv);

#endif /* BC_CLI_H */
