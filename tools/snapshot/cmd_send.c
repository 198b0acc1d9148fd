// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast send VOLUME: started by blkcastd for a host that joins, with its
 * connection as standard input and output: reads which stamps it has, sends it a
 * delta to them, read through a view: the copy is of one moment when it has come, though
 * the volume is written to.
 */
#include <signal.h>
#include <unistd.h>

#include "../cli/cli.h"
#include "../lib/viewstore.h"
#include "commands.h"
#include "pool.h"
#include "take.h"

static uint64_t rate;
static const char *store = VIEWSTORE_DEFAULT;

static const struct cli_option options[] = {
	{ "rate", CLI_SIZE, &rate, "BYTES", "a second at most, of the volume; 0: no limit" },
	{ "store", CLI_TEXT, &store, "STORE",
	  "for the old content of what is overwritten meanwhile: memory:SIZE (64M), FILE:SIZE, DEVICE" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"VOLUME [OPTION...]",
	"For blkcastd: send what who stands behind standard input and output lacks of a\n"
	"volume.",
	options, 1, 1
};

/* Half of the processors are left to what the host is there for. */
static unsigned int sender_threads(void)
{
	unsigned int threads = (pool_cpus() + 1) / 2;

	return threads < THREADS_MAX ? threads : THREADS_MAX;
}

int cmd_send(int argc, char **argv)
{
	struct output output = { .path = "the connection", .fd = STDOUT_FILENO };
	struct source source = { .blockdev.fd = -1, .live.fd = -1 };
	struct have have = { 0 };
	struct take take = {
		.source = &source, .output = &output, .have = &have, .what = "send",
		.level = 1, .threads = sender_threads(), .quiet = true,
	};
	struct bc_error error;
	char **rest;
	int exit_code = cli_parse(&syntax, argc, argv, &rest), err;

	if (exit_code != CLI_GO)
		return exit_code;
	take.rate = rate;
	signal(SIGPIPE, SIG_IGN);
	err = have_receive(&have, STDIN_FILENO, "the connection", &error);
	if (!err)
		err = source_open_send(&source, rest[0], store, &error);
	if (!err)
		err = take_run(&take, &error);
	source_close(&source);
	have_release(&have);
	return err ? cli_failed(&error) : CLI_DONE;
}
