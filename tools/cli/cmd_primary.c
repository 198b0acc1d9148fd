// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast primary: a reign begins, with a term above all that this copy has
 * seen and a random reign id.  Links in which this copy was the replica are
 * dropped first and held off until the role has changed.
 *
 * A copy to which the last reign was handed over (or that has ended its own) does
 * so at once.  Any other may have been left behind: it takes --force, which says
 * what may be lost and asks.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "deadline.h"
#include "devlink.h"
#include "loss.h"
#include "util.h"

static bool force, yes;
static const char *for_text, *until_text;

static const struct cli_option options[] = {
	{ "force", CLI_FLAG, &force, NULL,
	  "though this copy may have been left behind: says what may be lost, asks" },
	{ "yes", CLI_FLAG, &yes, NULL, "with --force: do not ask" },
	{ "lease-for", CLI_TEXT, &for_text, "SECONDS",
	  "it may serve no longer, from the start of this command on" },
	{ "lease-until", CLI_TEXT, &until_text, "UPTIME",
	  "or than that: of this host in seconds, as /proc/uptime counts it" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME [--force [--yes]] [--lease-for SECONDS|--lease-until UPTIME]",
	"Make this host the volume's primary: /dev/blkcast/NAME becomes writable and\n"
	"the daemon connects the peers of the configuration. At once if the last reign\n"
	"was handed over to this copy ('blkcast replica' on the host that was primary);\n"
	"else --force is needed: make sure that no other host is primary.",
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

/* Can it become primary, if need be by force? */
static int check_role(const struct bc_volume *volume, struct bc_error *error)
{
	if (volume->role != BLKCAST_ROLE_PRIMARY)
		return 0;
	if (bc_known(volume, BLKCAST_A_DEPOSED))
		return bc_fail(error, -EALREADY,
			       "volume %s: was deposed here by a primary of term %u: close its device, then 'blkcast replica %s'",
			       volume->name, volume->deposed, volume->name);
	return bc_fail(error, -EALREADY, "volume %s: is primary here already",
		       volume->name);
}

/* The word of the operator, where it is needed. */
static int check_word(const struct bc_volume *volume, struct bc_error *error)
{
	char sentence[BLKCAST_NAME_MAX + 64];

	if (!loss_possible(volume))
		return 0;
	if (!force) {
		loss_print(volume, stderr);
		return bc_fail(error, -ENOTUNIQ,
			       "volume %s: this copy may lack what others have; if none of them can be had, 'blkcast primary %s --force'",
			       volume->name, volume->name);
	}
	loss_print(volume, stdout);
	snprintf(sentence, sizeof(sentence), "Volume %s becomes primary here all the same.",
		 volume->name);
	if (yes || cli_confirmed(volume->name, sentence, "--yes"))
		return 0;
	return bc_fail(error, -ECANCELED, "volume %s: nothing is changed", volume->name);
}

/* Before anything is touched. */
static int check(struct bc_kernel *kernel, const char *name, struct bc_error *error)
{
	struct bc_volume volume;
	int ret;

	ret = bc_kernel_get(kernel, name, &volume, error);
	if (ret)
		return ret;
	ret = check_role(&volume, error);
	if (!ret)
		ret = check_word(&volume, error);
	bc_volume_release(&volume);
	return ret;
}

/* Above all that this copy has seen, once the links are gone. */
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
	ret = check_role(&volume, error);
	bc_volume_release(&volume);
	return ret;
}

static int start_reign(struct bc_kernel *kernel, const char *name, uint64_t lease,
		       struct bc_error *error)
{
	unsigned int tries = 0;
	uint32_t term;
	int ret;

	ret = next_term(kernel, name, &term, error);
	if (ret)
		return ret;
	if (term > BLKCAST_TERM_MAX)
		return bc_fail(error, -EOVERFLOW, "volume %s: no term is left", name);
	do {
		ret = bc_kernel_primary(kernel, name, term, random_reign(), lease,
					force ? BLKCAST_F_FORCE : 0, error);
	} while (devlink_retry(ret, &tries));
	return ret;
}

int cmd_primary(int argc, char **argv)
{
	uint64_t now = deadline_now(), lease = 0;
	struct control *hold = NULL;
	struct bc_kernel *kernel;
	struct bc_error error;
	int exit_code, ret;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (yes && !force) {
		cli_failf("--yes goes with --force");
		return CLI_USAGE;
	}
	if (for_text && until_text) {
		cli_failf("--lease-for and --lease-until exclude each other");
		return CLI_USAGE;
	}
	if ((for_text || until_text) && !deadline_parse(for_text, until_text, now, &lease))
		return CLI_USAGE;
	if (bc_kernel_open(&kernel, &error))
		return cli_failed(&error);
	ret = check(kernel, rest[0], &error);
	if (!ret)
		ret = control_hold(&hold, kernel, rest[0], &error);
	if (!ret)
		ret = start_reign(kernel, rest[0], lease, &error);
	control_close(hold);
	bc_kernel_close(kernel);
	return ret ? cli_failed(&error) : CLI_DONE;
}
