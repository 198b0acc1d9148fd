// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast primary: a reign begins, with a term above all that this copy has
 * seen and a random reign id.  Links in which this copy was the replica are
 * dropped first and held off until the role has changed.
 */
#include <errno.h>
#include <stdio.h>

#include "cli.h"
#include "util.h"

static bool force;

static const struct cli_option options[] = {
	{ "force", CLI_FLAG, &force, NULL,
	  "even if the copy is inconsistent: data may be damaged" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME [--force]",
	"Make this host the volume's primary: /dev/blkcast/NAME becomes writable and\n"
	"the daemon connects the peers of the configuration. Make sure that no other\n"
	"host is primary: nobody asks them.",
	options, 1, 1
};

static uint64_t random_reign(void)
{
	uint64_t reign;

	do {
		bc_random(&reign, sizeof(reign));
	} while (!reign);
	return reign;
}

/* The next term, or a refusal; asked anew once the links are gone. */
static int next_term(struct bc_kernel *kernel, const char *name, uint32_t *term,
		     struct bc_error *error)
{
	struct bc_volume volume;
	int ret;

	ret = bc_kernel_get(kernel, name, &volume, error);
	if (ret)
		return ret;
	*term = volume.term;
	if (blkcast_lsn_term(volume.lsn) > *term)
		*term = blkcast_lsn_term(volume.lsn);
	++*term;
	if (volume.role == BLKCAST_ROLE_PRIMARY)
		ret = bc_fail(error, -EALREADY, "volume %s: is primary here already",
			      name);
	bc_volume_release(&volume);
	return ret;
}

static int start_reign(struct bc_kernel *kernel, const char *name,
		       struct bc_error *error)
{
	uint32_t term;
	int ret;

	ret = next_term(kernel, name, &term, error);
	if (ret)
		return ret;
	if (term > BLKCAST_TERM_MAX)
		return bc_fail(error, -EOVERFLOW, "volume %s: no term is left", name);
	return bc_kernel_primary(kernel, name, term, random_reign(),
				 force ? BLKCAST_F_FORCE : 0, error);
}

int cmd_primary(int argc, char **argv)
{
	struct control *hold = NULL;
	struct bc_kernel *kernel;
	struct bc_error error;
	int exit_code, ret;
	uint32_t term;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (bc_kernel_open(&kernel, &error))
		return cli_failed(&error);
	ret = next_term(kernel, rest[0], &term, &error);
	if (!ret)
		ret = control_hold(&hold, kernel, rest[0], &error);
	if (!ret)
		ret = start_reign(kernel, rest[0], &error);
	control_close(hold);
	bc_kernel_close(kernel);
	return ret ? cli_failed(&error) : CLI_DONE;
}
