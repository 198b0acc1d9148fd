// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast join: a copy of a volume on this host, in one command.
 *
 *	describe	ask the host that is named what the volume is like
 *	copy		write metadata and configuration; the copy is incomplete
 *	content		from a replica that is in sync, else from the primary: what the
 *			copy lacks by its stamps
 *	up		it is whole now, as of when it was sent
 *	adopt		the primary shall keep it; what has been written since follows
 *	wait		until it is in sync
 *
 * Each step finds out whether it has been done: a join that was interrupted is
 * gone on with by the same command.  A connection that breaks is made again, to the
 * next host that has the content.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "../snapshot/receive.h"
#include "cli.h"
#include "copy.h"
#include "join.h"
#include "newcopy.h"
#include "progress.h"
#include "util.h"

#define POLL_MS		300
#define TRIES		5	/* in a row that brought nothing */

static const char *from_text, *device, *meta_path, *address_text;
static uint32_t wait_s = 600;
static uint64_t rate;
static bool force, quiet, json;

static const struct cli_option options[] = {
	{ "from", CLI_TEXT, &from_text, "HOST[:PORT]", "a host that has the volume, best its primary" },
	{ "device", CLI_TEXT, &device, "DEV", "the backing block device" },
	{ "meta", CLI_TEXT, &meta_path, "DEV|FILE", "metadata there; default: at the end of DEV" },
	{ "address", CLI_TEXT, &address_text, "HOST[:PORT]",
	  "of this host's blkcastd; default: as the primary sees it" },
	{ "wait", CLI_NUMBER, &wait_s, "SECONDS", "to be in sync, once it is connected (600; 0: do not)" },
	{ "rate", CLI_SIZE, &rate, "BYTES", "of the volume a second at most, while its content is sent" },
	{ "force", CLI_FLAG, &force, NULL, "overwrite what the devices hold" },
	{ "quiet", CLI_FLAG, &quiet, NULL, "no progress, no summary" },
	{ "json", CLI_FLAG, &json, NULL, "summary as JSON on standard output" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME --from HOST[:PORT] --device DEV [OPTION...]",
	"Make a copy of a volume here and keep it: metadata and configuration, content\n"
	"from a replica (from the primary if there is no other), up, connected, in sync.\n"
	"Only what has been written meanwhile comes from the primary. Interrupted, the\n"
	"same command goes on.",
	options, 1, 1
};

/**
 * struct join - what is known
 * @from: who was asked; @asked: what he said
 * @primary: where the primary is; @primary_node: its name, NULL: who was asked
 * @received: content, in all
 * @source: who sent it
 * @resynced: bytes of regions that came from the primary
 */
struct join {
	const char *name;
	struct bc_kernel *kernel;
	struct bc_daemon_config daemon;
	struct bc_volume_config config;
	struct bc_address from, primary;
	const char *primary_node;
	struct described described;
	struct received received;
	char source[BLKCAST_NAME_MAX];
	uint64_t resynced;
};

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *fmt, ...)
{
	va_list args;

	if (quiet || json)
		return;
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	fflush(stdout);
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000L }, NULL);
}

/* --- interrupted ---------------------------------------------------------------- */

static volatile sig_atomic_t interrupted, stream = -1;

/* The content ends here: what has come is written down, and that was it. */
static void interrupt_join(int signal_number)
{
	(void)signal_number;
	interrupted = 1;
	if (stream >= 0)
		shutdown(stream, SHUT_RDWR);
}

/* A second signal ends it at once. */
static void guard_signals(void)
{
	const struct sigaction action = {
		.sa_handler = interrupt_join, .sa_flags = SA_RESETHAND | SA_RESTART,
	};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* --- the copy ------------------------------------------------------------------- */

static bool is_up(const struct join *join)
{
	struct bc_volume volume;
	struct bc_error none;

	if (bc_kernel_get(join->kernel, join->name, &volume, &none))
		return false;
	bc_volume_release(&volume);
	return true;
}

static int fill_config(struct join *join, struct bc_error *error)
{
	struct bc_volume_config *config = &join->config;
	int ret;

	if (!device)
		return bc_fail(error, -EINVAL, "volume %s: --device is missing", join->name);
	snprintf(config->name, sizeof(config->name), "%s", join->name);
	memcpy(config->uuid, join->described.uuid, sizeof(config->uuid));
	ret = cli_absolute(config->backing, sizeof(config->backing), device, error);
	if (!ret && meta_path)
		ret = cli_absolute(config->meta, sizeof(config->meta), meta_path, error);
	return ret;
}

static int write_copy(struct join *join, struct newcopy *new, struct bc_error *error)
{
	struct bc_error ignored;
	int ret = bc_volume_config_save(&join->config, error);

	if (ret)
		return ret;
	ret = newcopy_write(new, error);
	if (!ret)
		ret = bc_volume_end_save(join->name, new->copy.meta.size, error);
	if (ret)
		bc_volume_config_remove(join->name, &ignored);
	return ret;
}

static int make_copy(struct join *join, struct bc_error *error)
{
	struct newcopy new = {
		.config = &join->config,
		.size = join->described.bytes,
		.region_shift = join->described.region_shift,
		.flags = BLKCAST_SUPER_INCOMPLETE | BLKCAST_SUPER_INCONSISTENT,
		.further = true,
		.force = force,
	};
	int ret = fill_config(join, error);

	if (!ret)
		ret = newcopy_open(&new, error);
	if (ret)
		return ret;
	ret = write_copy(join, &new, error);
	newcopy_close(&new, ret);
	return ret;
}

static int check_device(const struct join *join, struct bc_error *error)
{
	char wanted[BC_PATH_MAX];
	int ret;

	if (memcmp(join->config.uuid, join->described.uuid, sizeof(join->config.uuid)))
		return bc_fail(error, -EXDEV,
			       "volume %s: another volume of this name is configured here; 'blkcast destroy %s' forgets it",
			       join->name, join->name);
	if (!device)
		return 0;
	ret = cli_absolute(wanted, sizeof(wanted), device, error);
	if (!ret && strcmp(wanted, join->config.backing))
		ret = bc_fail(error, -EEXIST,
			      "volume %s: its copy here is on %s already, not on %s; 'blkcast destroy %s' forgets it",
			      join->name, join->config.backing, wanted, join->name);
	return ret;
}

/* A join that was interrupted may have come no further than the configuration. */
static int finish_copy(struct join *join, struct bc_error *error)
{
	struct bc_copy copy;
	int ret = bc_copy_open(&copy, &join->config, error);

	if (!ret)
		bc_copy_close(&copy);
	return ret == -ENODATA ? make_copy(join, error) : ret;
}

/* The copy exists, or is made. */
static int have_copy(struct join *join, struct bc_error *error)
{
	int ret = bc_volume_config_load(&join->config, join->name, error);

	if (ret == -ENOENT)
		return make_copy(join, error);
	if (!ret)
		ret = check_device(join, error);
	return ret || is_up(join) ? ret : finish_copy(join, error);
}

/* --- content ---------------------------------------------------------------------- */

static int copy_is_whole(struct join *join, bool *whole, struct bc_error *error)
{
	struct bc_copy copy;
	int ret = bc_copy_open(&copy, &join->config, error);

	if (ret)
		return ret;
	*whole = !(copy.meta.super.flags & BLKCAST_SUPER_INCOMPLETE);
	bc_copy_close(&copy);
	return 0;
}

static int fetch(struct join *join, const struct bc_address *address, const char *node,
		 struct bc_error *error)
{
	struct json_object *question;
	struct asked asked;
	int ret;

	if (interrupted)
		return bc_fail(error, -EINTR, "interrupted");
	question = ask_question("fetch");
	json_object_object_add(question, "rate", json_object_new_uint64(rate));
	ret = ask_host(address, node, join->name, question, true, &asked, error);
	if (ret)
		return ret;
	strcpy(join->source, asked.node);
	stream = asked.socket;
	ret = receive_volume(join->name, asked.socket, asked.node, quiet, &join->received,
			     error);
	stream = -1;
	asked_release(&asked);
	return ret;
}

static bool is_source(const struct join *join, const struct join_peer *peer)
{
	return !strcmp(peer->state, "in-sync") && strcmp(peer->name, join->daemon.node);
}

/* From any that has it: replicas first. */
static int fetch_from_any(struct join *join, struct bc_error *error)
{
	const struct described *described = &join->described;
	struct bc_error why;

	for (unsigned int i = 0; described->is_primary && i < described->peers; i++) {
		const struct join_peer *peer = &described->peer[i];

		if (!is_source(join, peer))
			continue;
		if (!fetch(join, &peer->address, peer->name, &why))
			return 0;
		if (interrupted)
			return bc_fail(error, -EINTR, "interrupted");
		say("%s does not send all of it: %s\n", peer->name, why.text);
	}
	return fetch(join, &join->from, NULL, error);
}

static int fetch_all(struct join *join, struct bc_error *error)
{
	unsigned int tries;
	bool whole;
	int ret = copy_is_whole(join, &whole, error);

	if (ret || whole)
		return ret;
	for (tries = 0; (ret = fetch_from_any(join, error)) && tries < TRIES && !interrupted;
	     tries++) {
		say("%s; trying again\n", error->text);
		nap();
	}
	if (ret && interrupted)
		bc_fail(error, ret, "interrupted");
	if (ret)
		bc_error_prefix(error,
				"volume %s: its copy here is not complete; the same command goes on where it was",
				join->name);
	return ret;
}

/* --- connected ---------------------------------------------------------------------- */

static int find_primary(struct join *join, struct bc_error *error)
{
	const struct described *described = &join->described;
	const struct join_peer *peer;

	if (described->is_primary) {
		join->primary = join->from;
		return 0;
	}
	peer = described_peer(described, described->primary);
	if (!peer)
		return bc_fail(error, -EHOSTUNREACH,
			       "volume %s: %s is a replica and does not know the address of the primary%s%s: name the primary with --from, or connect this host there ('blkcast connect %s --peer %s --address ...')",
			       join->name, described->node, described->primary[0] ? " " : "",
			       described->primary, join->name, join->daemon.node);
	join->primary = peer->address;
	join->primary_node = peer->name;
	return 0;
}

static int adopt(struct join *join, struct bc_error *error)
{
	struct json_object *question = ask_question("adopt");
	struct bc_address here = { .host = "" };
	char text[BC_HOST_MAX + 16];
	struct asked asked;
	int ret;

	snprintf(here.host, sizeof(here.host), "%s", join->described.local);
	snprintf(here.port, sizeof(here.port), "%s", join->daemon.listen.port);
	bc_address_format(&here, text, sizeof(text));
	json_object_object_add(question, "peer", json_object_new_string(join->daemon.node));
	json_object_object_add(question, "address",
			       json_object_new_string(address_text ? address_text : text));
	ret = ask_host(&join->primary, join->primary_node, join->name, question, false, &asked,
		       error);
	if (!ret)
		asked_release(&asked);
	return ret;
}

/* How far the primary is with this host; -EAGAIN: not there yet. */
static int look(struct join *join, struct progress *progress, uint64_t *total,
		struct bc_error *error)
{
	struct described now;
	const struct join_peer *peer;
	int ret = describe(&join->primary, join->primary_node, join->name, &now, error);

	if (ret)
		return ret;
	peer = described_peer(&now, join->daemon.node);
	if (!peer)
		return bc_fail(error, -ENOENT, "volume %s: %s does not keep a copy here any more",
			       join->name, now.node);
	join->resynced = peer->resynced;
	if (!strcmp(peer->state, "in-sync"))
		return 0;
	if (peer->dirty + peer->resynced > *total)
		*total = peer->dirty + peer->resynced;
	progress->total = *total;
	progress_show(progress, *total - peer->dirty);
	return bc_fail(error, -EAGAIN,
		       "volume %s: this host is not in sync within %u s, its link's state on %s is '%s'; it goes on by itself ('blkcast status %s' there)",
		       join->name, wait_s, now.node, peer->state, join->name);
}

static int wait_in_sync(struct join *join, struct bc_error *error)
{
	uint64_t until = bc_now_ns() + wait_s * 1000000000ULL, total = 0;
	struct progress progress;
	int ret;

	if (!wait_s)
		return 0;
	progress_start(&progress, "join: catching up", 0, quiet);
	while ((ret = look(join, &progress, &total, error)) && !interrupted &&
	       bc_now_ns() < until)
		nap();
	progress_end(&progress);
	return ret;
}

/* --- all ------------------------------------------------------------------------------ */

static void report(const struct join *join, double seconds)
{
	char content[BC_SIZE_TEXT], stored[BC_SIZE_TEXT], since[BC_SIZE_TEXT];
	struct json_object *object;

	if (!json) {
		say("Volume %s: %s from %s (%s on the way), %s written since from the primary, %s after %.1f s.\n",
		    join->name, bc_size_format(join->received.bytes, content),
		    join->source[0] ? join->source : "nobody",
		    bc_size_format(join->received.stored, stored),
		    bc_size_format(join->resynced, since), wait_s ? "in sync" : "connected",
		    seconds);
		return;
	}
	object = json_object_new_object();
	json_object_object_add(object, "volume", json_object_new_string(join->name));
	json_object_object_add(object, "source", json_object_new_string(join->source));
	json_object_object_add(object, "content_bytes",
			       json_object_new_uint64(join->received.bytes));
	json_object_object_add(object, "content_stored",
			       json_object_new_uint64(join->received.stored));
	json_object_object_add(object, "fuzzy", json_object_new_boolean(join->received.fuzzy));
	json_object_object_add(object, "resync_bytes", json_object_new_uint64(join->resynced));
	json_object_object_add(object, "in_sync", json_object_new_boolean(wait_s));
	json_object_object_add(object, "seconds", json_object_new_double(seconds));
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY));
	json_object_put(object);
}

static int fill(struct join *join, struct bc_error *error)
{
	int ret = fetch_all(join, error);

	if (!ret)
		ret = volume_up(join->kernel, &join->config, error);
	return ret;
}

static int join_volume(struct join *join, struct bc_error *error)
{
	uint64_t begun = bc_now_ns();
	int ret;

	guard_signals();
	ret = describe(&join->from, NULL, join->name, &join->described, error);
	if (!ret)
		ret = find_primary(join, error);
	if (!ret)
		ret = have_copy(join, error);
	if (!ret && !is_up(join))
		ret = fill(join, error);
	if (!ret)
		ret = control_reload(error);
	if (!ret)
		ret = adopt(join, error);
	if (!ret)
		ret = wait_in_sync(join, error);
	if (!ret)
		report(join, (bc_now_ns() - begun) / 1e9);
	return ret;
}

static int prepare(struct join *join, struct bc_error *error)
{
	struct control *control;
	int ret = bc_address_parse(&join->from, from_text, error);

	if (!ret)
		ret = bc_daemon_config_load(&join->daemon, error);
	if (!ret)
		ret = bc_kernel_open(&join->kernel, error);
	/* The primary will call it. */
	if (!ret)
		ret = control_open(&control, error);
	if (!ret)
		control_close(control);
	return ret;
}

int cmd_join(int argc, char **argv)
{
	struct join join = { .name = NULL };
	struct bc_error error;
	int exit_code, ret;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (!from_text) {
		cli_failf("--from is missing: blkcast join %s", syntax.synopsis);
		return CLI_USAGE;
	}
	join.name = rest[0];
	ret = prepare(&join, &error);
	if (!ret)
		ret = join_volume(&join, &error);
	bc_kernel_close(join.kernel);
	bc_volume_config_release(&join.config);
	return ret ? cli_failed(&error) : CLI_DONE;
}
