// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast verify: starts a comparison in the kernel, follows it, reports.
 *
 * The kernel compares link by link, and goes on if we are killed: the same
 * command follows what runs already.  A link that is lost takes its result with
 * it; what it had found by the last look is said all the same.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "progress.h"
#include "verify.h"

#define LOOK_EVERY_NS	200000000

static const char *peer;
static bool repair, stop, json;

static const struct cli_option options[] = {
	{ "peer", CLI_TEXT, &peer, "PEER", "this copy alone" },
	{ "repair", CLI_FLAG, &repair, NULL,
	  "copy what this host has to where a copy differs" },
	{ "stop", CLI_FLAG, &stop, NULL, "end the comparison that runs" },
	{ "json", CLI_FLAG, &json, NULL, "for programs" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME [--peer PEER] [--repair | --stop] [--json]",
	"Compare the copies of a volume with the primary's, all that was ever written, by\n"
	"checksum, while writes go on. Called on the primary. It keeps to the resync\n"
	"rate (blkcast set) while writers are at work. It goes on in the kernel if this\n"
	"command ends: called again, the command follows it.",
	options, 1, 1
};

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
	(void)signal;
	interrupted = 1;
}

/* --- which copies ----------------------------------------------------- */

static struct verify_copy *copy_add(struct verify *verify, const char *name)
{
	struct verify_copy *copies;

	copies = reallocarray(verify->copies, verify->count + 1, sizeof(*copies));
	if (!copies)
		return NULL;
	verify->copies = copies;
	copies += verify->count++;
	memset(copies, 0, sizeof(*copies));
	snprintf(copies->peer, sizeof(copies->peer), "%s", name);
	return copies;
}

static struct verify_copy *copy_find(struct verify *verify, const char *name)
{
	for (size_t i = 0; i < verify->count; i++) {
		if (!strcmp(verify->copies[i].peer, name))
			return &verify->copies[i];
	}
	return NULL;
}

static bool wanted(const char *name)
{
	return !peer || !strcmp(peer, name);
}

/* A peer that should have a copy, and has no link, is one that is not compared. */
static int add_unlinked(struct verify *verify)
{
	struct bc_volume_config config;
	struct bc_error ignored;
	int ret = 0;

	if (bc_volume_config_load(&config, verify->name, &ignored))
		return 0;
	for (size_t i = 0; i < config.links && !ret; i++) {
		const char *name = config.link[i].peer;
		struct verify_copy *copy;

		if (!wanted(name) || copy_find(verify, name))
			continue;
		copy = copy_add(verify, name);
		if (copy)
			copy->lost = true;
		else
			ret = -ENOMEM;
	}
	bc_volume_config_release(&config);
	return ret;
}

static int choose(struct verify *verify, const struct bc_volume *volume,
		  struct bc_error *error)
{
	bool known = true;

	if (volume->role != BLKCAST_ROLE_PRIMARY)
		return bc_fail(error, -EINVAL,
			       "volume %s: a replica here; its primary compares the copies",
			       verify->name);
	verify->bytes = volume->sectors * 512;
	verify->region = 1ULL << volume->region_shift;
	for (uint32_t i = 0; i < volume->links && known; i++) {
		const struct bc_link *link = &volume->link[i];
		struct verify_copy *copy;

		if (!wanted(link->name))
			continue;
		copy = copy_add(verify, link->name);
		known = copy;
		if (copy)
			copy->link = *link;
	}
	if (!known || add_unlinked(verify))
		return bc_fail(error, -ENOMEM, "out of memory");
	if (!verify->count)
		return bc_fail(error, -ENOENT, peer ?
			       "volume %s: no link to %s: see 'blkcast status'" :
			       "volume %s: it has no other copies", verify->name, peer);
	return 0;
}

/* --- start and stop --------------------------------------------------- */

static bool running(const struct verify_copy *copy)
{
	return !copy->lost && bc_known(&copy->link, BLKCAST_L_VERIFY_STATE) &&
	       copy->link.verify_state == BLKCAST_VERIFY_RUNNING;
}

static int copy_start(struct verify *verify, struct verify_copy *copy,
		      struct bc_error *error)
{
	uint32_t flags = repair ? BLKCAST_F_REPAIR : 0;
	bool repairs = copy->link.verify_flags & BLKCAST_F_REPAIR;

	if (!running(copy)) {
		/* Nothing of what an earlier one has found. */
		copy->link = (struct bc_link){ .id = copy->link.id };
		return bc_kernel_verify(verify->kernel, verify->name, copy->peer,
					flags, error);
	}
	if (repairs == repair)
		return 0;
	return bc_fail(error, -EBUSY,
		       "volume %s: %s is being compared %s --repair: let it finish, or --stop it",
		       verify->name, copy->peer, repairs ? "with" : "without");
}

static int start_all(struct verify *verify, struct bc_error *error)
{
	int ret = 0;

	for (size_t i = 0; i < verify->count && !ret; i++) {
		if (!verify->copies[i].lost)
			ret = copy_start(verify, &verify->copies[i], error);
	}
	return ret;
}

/* Those that do not run are no business of ours. */
static int stop_all(struct verify *verify, struct bc_error *error)
{
	size_t n = 0;
	int ret = 0;

	for (size_t i = 0; i < verify->count && !ret; i++) {
		if (!running(&verify->copies[i]))
			continue;
		verify->copies[n++] = verify->copies[i];
		ret = bc_kernel_verify(verify->kernel, verify->name,
				       verify->copies[n - 1].peer, BLKCAST_F_STOP,
				       error);
	}
	verify->count = n;
	if (!n)
		return bc_fail(error, -ENOENT, "volume %s: nothing is being compared",
			       verify->name);
	return ret;
}

/* --- follow ----------------------------------------------------------- */

static void copy_look(struct verify_copy *copy, const struct bc_volume *volume)
{
	for (uint32_t i = 0; i < volume->links; i++) {
		const struct bc_link *link = &volume->link[i];

		if (link->id != copy->link.id || link->state == BLKCAST_LINK_DOWN)
			continue;
		copy->link = *link;
		return;
	}
	copy->lost = true;
}

static void look(struct verify *verify)
{
	struct bc_volume volume;
	struct bc_error ignored;

	/* A volume that is down has no links either. */
	if (bc_kernel_get(verify->kernel, verify->name, &volume, &ignored))
		memset(&volume, 0, sizeof(volume));
	for (size_t i = 0; i < verify->count; i++) {
		if (!verify->copies[i].lost)
			copy_look(&verify->copies[i], &volume);
	}
	bc_volume_release(&volume);
}

/* What differs is dirty when the comparison is done: it is over in sync. */
static bool repairing(const struct verify_copy *copy)
{
	const struct bc_link *link = &copy->link;

	return link->verify_flags & BLKCAST_F_REPAIR && link->verify_differ &&
	       link->state != BLKCAST_LINK_IN_SYNC;
}

static bool over(const struct verify_copy *copy)
{
	return copy->lost || (!running(copy) && !repairing(copy));
}

static bool all_over(const struct verify *verify)
{
	for (size_t i = 0; i < verify->count; i++) {
		if (!over(&verify->copies[i]))
			return false;
	}
	return true;
}

/* Regions of all copies, and how long the longest has been at it. */
static void sum(const struct verify *verify, uint64_t *total, uint64_t *done,
		uint64_t *ns)
{
	*total = *done = *ns = 0;
	for (size_t i = 0; i < verify->count; i++) {
		const struct bc_link *link = &verify->copies[i].link;

		*total += link->verify_total;
		*done += link->verify_total - link->verify_left;
		if (*ns < link->verify_ns)
			*ns = link->verify_ns;
	}
}

static void follow(struct verify *verify)
{
	const struct timespec pause = { 0, LOOK_EVERY_NS };
	uint64_t total, done, ns;
	struct progress progress;

	look(verify);
	sum(verify, &total, &done, &ns);
	progress_start(&progress, "verify", total * verify->region, json || stop);
	progress.started -= ns;
	while (!all_over(verify) && !interrupted) {
		progress_show(&progress, done * verify->region);
		nanosleep(&pause, NULL);
		look(verify);
		sum(verify, &total, &done, &ns);
	}
	progress_end(&progress);
}

/* --- report ----------------------------------------------------------- */

static int ranges_read(struct verify *verify, struct bc_error *error)
{
	int ret = 0;

	for (size_t i = 0; i < verify->count && !ret; i++) {
		struct verify_copy *copy = &verify->copies[i];

		if (copy->lost)
			continue;
		ret = bc_kernel_differing(verify->kernel, verify->name, copy->peer,
					  &copy->ranges, &copy->range_count, error);
		if (ret == -ENOENT || ret == -ENODEV) {	/* since the last look */
			copy->lost = true;
			ret = 0;
		}
	}
	return ret;
}

static int verdict(const struct verify *verify)
{
	int exit_code = CLI_DONE;

	for (size_t i = 0; i < verify->count; i++) {
		enum verify_outcome outcome = verify_outcome(&verify->copies[i]);

		if (outcome != VERIFY_EQUAL && outcome != VERIFY_REPAIRED &&
		    !(stop && outcome == VERIFY_STOPPED))
			exit_code = CLI_FAILED;
	}
	return exit_code;
}

/* --- all of it -------------------------------------------------------- */

static int run(struct verify *verify, struct bc_error *error)
{
	struct bc_volume volume;
	int ret;

	ret = bc_kernel_get(verify->kernel, verify->name, &volume, error);
	if (ret)
		return ret;
	ret = choose(verify, &volume, error);
	bc_volume_release(&volume);
	if (!ret)
		ret = stop ? stop_all(verify, error) : start_all(verify, error);
	if (ret)
		return ret;
	follow(verify);
	if (interrupted)
		return bc_fail(error, -EINTR, "volume %s: the comparison goes on in the kernel: the same command follows it, 'blkcast verify %s --stop' ends it",
			       verify->name, verify->name);
	return ranges_read(verify, error);
}

static void release(struct verify *verify)
{
	for (size_t i = 0; i < verify->count; i++)
		free(verify->copies[i].ranges);
	free(verify->copies);
	bc_kernel_close(verify->kernel);
}

int cmd_verify(int argc, char **argv)
{
	const struct sigaction action = { .sa_handler = on_signal };
	struct verify verify = { 0 };
	struct bc_error error;
	int exit_code, ret;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (repair && stop) {
		cli_failf("--repair and --stop exclude each other");
		return CLI_USAGE;
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	verify.name = rest[0];
	ret = bc_kernel_open(&verify.kernel, &error);
	if (!ret)
		ret = run(&verify, &error);
	if (ret) {
		exit_code = cli_failed(&error);
	} else {
		if (json)
			verify_print_json(&verify);
		else
			verify_print_text(&verify);
		exit_code = verdict(&verify);
	}
	release(&verify);
	return exit_code;
}
