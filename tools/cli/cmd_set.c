// SPDX-License-Identifier: GPL-2.0-or-later
/* blkcast set: the policy, in the configuration and, when up, at once. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "policy.h"
#include "util.h"

static const char *policy_text, *ack_text, *on_loss_text, *membership_text;
static const char *fallback, *max_lag, *on_io_error_text;
static uint64_t resync_rate, active_max;
static uint32_t min_isr;

static const struct cli_option options[] = {
	{ "policy", CLI_TEXT, &policy_text, POLICY_NAMES,
	  "disk,2,suspend; disk,1; local,1: of the next three" },
	{ "ack", CLI_TEXT, &ack_text, "local|memory|disk",
	  "done: when written here; received, or written, by all replicas in sync too" },
	{ "min-isr", CLI_NUMBER, &min_isr, "COPIES",
	  "in sync, this one counted, for writes to go on (1)" },
	{ "on-loss", CLI_TEXT, &on_loss_text, "suspend|error",
	  "what writes do while there are fewer: wait, or fail (suspend)" },
	{ "on-io-error", CLI_TEXT, &on_io_error_text, "pass|detach",
	  "what writes do that a primary's device fails: fail, or go on without it (pass)" },
	{ "membership", CLI_TEXT, &membership_text, "auto|managed",
	  "who changes the in-sync set: the links, or 'blkcast member' alone (auto)" },
	{ "resync-rate", CLI_SIZE, &resync_rate, "SIZE",
	  "a second, while writers are at work: 64K..1T (8M)" },
	{ "active-max", CLI_SIZE, &active_max, "SIZE",
	  "of the volume in use at once, to compare after a crash: 64M..64T (64G)" },
	{ "max-lag", CLI_TEXT, &max_lag, "TIME|none",
	  "a replica here turns readers away while what it shows is older: 100ms..24h (none)" },
	{ "fallback", CLI_TEXT, &fallback, "STORE|none",
	  "a replica here keeps a view of what it was until it has been made equal (none)" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME [--policy PRESET] [--ack local|memory|disk] [--min-isr COPIES]\n"
	"       [--on-loss suspend|error] [--on-io-error pass|detach]\n"
	"       [--membership auto|managed]\n"
	"       [--resync-rate SIZE] [--active-max SIZE] [--max-lag TIME]\n"
	"       [--fallback STORE]",
	"Change a volume's policy, at once and for good. --policy stands for --ack,\n"
	"--min-isr and --on-loss together; what is given beside it counts. A resync gives\n"
	"way to writers down to its rate; a volume that nobody writes to gives it all there\n"
	"is. With --on-io-error detach a primary whose device fails a write or a flush, with\n"
	"a replica in sync, goes on without that device: see 'blkcast detach --help'.\n"
	"What is active needs no more metadata written, and is compared after a crash.\n"
	"With --max-lag, set on a replica's host, its device shows nothing that is older:\n"
	"reads fail instead, as they do when nobody can say how old it is.\n"
	"While a replica is made equal, its content is of no one moment: with --fallback it\n"
	"keeps the view VOLUME@fallback of what it was before, should the primary be lost\n"
	"meanwhile. STORE is as for 'blkcast view create'; without room there, no link.",
	options, 1, 1
};

/* Not up: 'up' applies it. */
static int apply(const char *name, const struct bc_set *set, struct bc_error *error)
{
	struct bc_kernel *kernel;
	struct bc_volume volume;
	struct bc_error ignored;
	int ret = 0;

	if (bc_kernel_open(&kernel, &ignored))
		return 0;
	if (!bc_kernel_get(kernel, name, &volume, &ignored)) {
		bc_volume_release(&volume);
		ret = bc_kernel_set(kernel, name, set, error);
	}
	bc_kernel_close(kernel);
	return ret;
}

static void take(struct bc_volume_config *to, const struct bc_set *set)
{
	if (set->ack >= 0)
		to->ack = set->ack;
	if (set->resync_rate)
		to->resync_rate = set->resync_rate;
	if (set->active_max)
		to->active_max = set->active_max;
	if (set->min_isr)
		to->min_isr = set->min_isr;
	if (set->on_loss >= 0)
		to->on_loss = set->on_loss;
	if (set->on_io_error >= 0)
		to->on_io_error = set->on_io_error;
	if (set->membership >= 0)
		to->membership = set->membership + 1;
	if (set->max_lag_ms >= 0)
		to->max_lag_ms = set->max_lag_ms;
	if (fallback)
		snprintf(to->fallback, sizeof(to->fallback), "%s",
			 strcmp(fallback, "none") ? fallback : "");
}

static int check(const struct bc_volume_config *config, struct bc_error *error)
{
	if (config->membership != BLKCAST_MEMBERSHIP_MANAGED + 1 ||
	    config->ack == BLKCAST_ACK_DISK)
		return 0;
	return bc_fail(error, -EINVAL, "volume %s: membership managed goes with ack disk",
		       config->name);
}

/* What the kernel refuses is not configured either. */
static int change(const char *name, const struct bc_set *set, struct bc_error *error)
{
	struct bc_volume_config config, old;
	struct bc_error ignored;
	int ret;

	ret = bc_volume_config_load(&config, name, error);
	if (ret)
		return ret;
	old = config;
	take(&config, set);
	ret = check(&config, error);
	if (!ret)
		ret = bc_volume_config_save(&config, error);
	if (!ret) {
		ret = apply(name, set, error);
		if (ret)
			bc_volume_config_save(&old, &ignored);
	}
	bc_volume_config_release(&config);
	return ret;
}

static bool max_lag_parse(int64_t *ms)
{
	uint64_t ns = 0;

	if (strcmp(max_lag, "none") &&
	    (bc_duration_parse(max_lag, &ns) || ns < 1000000 ||
	     !bc_max_lag_valid(ns / 1000000)))
		return false;
	*ms = ns / 1000000;
	return true;
}

/* From the options; false: one has no such value. */
static bool settings(struct bc_set *set)
{
	if (policy_text && policy_preset(policy_text, set))
		return cli_failf("--policy must be consistent, balanced or available, not '%s'",
				 policy_text), false;
	if (ack_text)
		set->ack = bc_ack_parse(ack_text);
	if (ack_text && set->ack < 0)
		return cli_failf("--ack must be local, memory or disk, not '%s'",
				 ack_text), false;
	if (on_loss_text)
		set->on_loss = bc_on_loss_parse(on_loss_text);
	if (on_loss_text && set->on_loss < 0)
		return cli_failf("--on-loss must be suspend or error, not '%s'",
				 on_loss_text), false;
	if (on_io_error_text)
		set->on_io_error = bc_on_io_error_parse(on_io_error_text);
	if (on_io_error_text && set->on_io_error < 0)
		return cli_failf("--on-io-error must be pass or detach, not '%s'",
				 on_io_error_text), false;
	if (membership_text)
		set->membership = bc_membership_parse(membership_text);
	if (membership_text && set->membership < 0)
		return cli_failf("--membership must be auto or managed, not '%s'",
				 membership_text), false;
	if (min_isr && !bc_min_isr_valid(min_isr))
		return cli_failf("--min-isr must be 1..%d copies",
				 BLKCAST_MEMBERS_MAX + 1), false;
	if (resync_rate && !bc_resync_rate_valid(resync_rate))
		return cli_failf("--resync-rate must be 64K..1T"), false;
	if (active_max && !bc_active_max_valid(active_max))
		return cli_failf("--active-max must be 64M..64T"), false;
	if (max_lag && !max_lag_parse(&set->max_lag_ms))
		return cli_failf("--max-lag must be 100ms..24h, or none, not '%s'", max_lag),
		       false;
	if (fallback && strcmp(fallback, "none") && !bc_fallback_valid(fallback))
		return cli_failf("--fallback must be memory:SIZE, /FILE:SIZE, /DEVICE or none"),
		       false;
	set->min_isr = min_isr ? min_isr : set->min_isr;
	set->resync_rate = resync_rate;
	set->active_max = active_max;
	return true;
}

int cmd_set(int argc, char **argv)
{
	struct bc_set set = { .ack = -1, .on_loss = -1, .membership = -1, .max_lag_ms = -1,
			      .on_io_error = -1 };
	struct bc_error error;
	int exit_code;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (!policy_text && !ack_text && !min_isr && !on_loss_text && !membership_text &&
	    !on_io_error_text && !resync_rate && !active_max && !max_lag && !fallback) {
		fprintf(stderr, "Usage: blkcast set %s\n", syntax.synopsis);
		return CLI_USAGE;
	}
	if (!settings(&set))
		return CLI_USAGE;
	return change(rest[0], &set, &error) ? cli_failed(&error) : CLI_DONE;
}
