// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast events: what happens to the volumes of this host, a line each, straight
 * from the kernel.
 *
 * It begins with the state of all volumes.  If events are lost, because nobody reads
 * what we print or memory was short, that is a line of its own, and the state of all
 * volumes follows again: whoever reads never goes on with an old picture.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "follow.h"
#include "util.h"

#define LOOK_MS 5000	/* has anything happened that we were not told? */

static bool json;

static const struct cli_option options[] = {
	{ "json", CLI_FLAG, &json, NULL, "for programs: an object a line" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"[NAME] [--json]",
	"Show what happens to the volumes of this host, as it happens, until interrupted:\n"
	"first the state, then a line for each event. If any is lost a line says so, and\n"
	"the state follows.",
	options, 0, 1
};

/**
 * struct listener - who listens
 * @only: one volume, or NULL
 * @lost: since the state was printed last
 */
struct listener {
	struct bc_kernel *kernel;
	struct bc_events *events;
	const char *only;
	struct bc_follow follow;
	bool lost;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
	(void)signal;
	interrupted = 1;
}

/* --- lines -------------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static const char *time_text(uint64_t ns, char text[40])
{
	time_t seconds = ns / 1000000000;
	struct tm tm;
	size_t len;

	gmtime_r(&seconds, &tm);
	len = strftime(text, 40, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + len, 40 - len, ".%06" PRIu64 "Z", (uint64_t)(ns / 1000 % 1000000));
	return text;
}

static void add_text(struct json_object *line, const char *key, const char *text)
{
	json_object_object_add(line, key, json_object_new_string(text));
}

static void add_number(struct json_object *line, const char *key, uint64_t number)
{
	json_object_object_add(line, key, json_object_new_uint64(number));
}

static void add_members(struct json_object *line, const uint8_t (*member)[16],
			uint32_t members)
{
	struct json_object *list = json_object_new_array();
	char text[BC_UUID_TEXT];

	for (uint32_t i = 0; i < members; i++)
		json_object_array_add(list, json_object_new_string(
				      bc_uuid_format(member[i], text)));
	json_object_object_add(line, "in_sync_nodes", list);
}

static struct json_object *line_new(uint64_t time_ns, const char *event,
				    const char *volume)
{
	struct json_object *line = json_object_new_object();
	char text[40];

	add_text(line, "time", time_text(time_ns, text));
	add_text(line, "event", event);
	if (volume)
		add_text(line, "volume", volume);
	return line;
}

static void print_field(const char *key, struct json_object *value)
{
	printf(" %s=%s", key, json_object_is_type(value, json_type_string) ?
	       json_object_get_string(value) :
	       json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN));
}

/* For people: time, volume, event, then what else there is. */
static void print_text(struct json_object *line)
{
	json_object_object_foreach(line, key, value) {
		if (!strcmp(key, "time"))
			printf("%s", json_object_get_string(value));
		else if (!strcmp(key, "event"))
			printf("  %-12s", json_object_get_string(value));
		else if (!strcmp(key, "volume"))
			printf("  %s", json_object_get_string(value));
		else if (strcmp(key, "seq"))
			print_field(key, value);
	}
	printf("\n");
}

static void put_line(struct json_object *line)
{
	if (json)
		printf("%s\n", json_object_to_json_string_ext(line,
			JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	else
		print_text(line);
	json_object_put(line);
}

/* --- the state ---------------------------------------------------------- */

static void add_links(struct json_object *line, const struct bc_volume *volume)
{
	struct json_object *links = json_object_new_object();

	for (uint32_t i = 0; i < volume->links; i++)
		add_text(links, volume->link[i].name,
			 bc_link_state_name(volume->link[i].state));
	json_object_object_add(line, "links", links);
}

static void put_state(const struct listener *listener, const struct bc_volume *volume)
{
	struct json_object *line;

	if (listener->only && strcmp(listener->only, volume->name))
		return;
	line = line_new(now_ns(), "state", volume->name);
	add_number(line, "seq", volume->event_seq);
	add_text(line, "role", bc_role_name(volume->role));
	add_number(line, "term", volume->term);
	if (bc_known(volume, BLKCAST_A_DEPOSED))
		add_number(line, "deposed_by_term", volume->deposed);
	add_links(line, volume);
	add_members(line, volume->member, volume->members);
	add_number(line, "errors", volume->errors);
	put_line(line);
}

static void put_lost(void)
{
	put_line(line_new(now_ns(), "lost", NULL));
}

/* --- events ------------------------------------------------------------- */

static void put_event(const struct bc_event *event)
{
	struct json_object *line;

	line = line_new(event->time_ns, bc_event_name(event->event), event->name);
	add_number(line, "seq", event->seq);
	if (event->link[0])
		add_text(line, "peer", event->link);
	if (bc_known(event, BLKCAST_A_ROLE))
		add_text(line, "role", bc_role_name(event->role));
	if (bc_known(event, BLKCAST_A_TERM))
		add_number(line, "term", event->term);
	if (bc_known(event, BLKCAST_A_ERROR))
		add_text(line, "error", strerror(event->error));
	if (bc_known(event, BLKCAST_A_ERRORS))
		add_number(line, "errors", event->errors);
	if (bc_known(event, BLKCAST_A_MEMBERS))
		add_members(line, event->member, event->members);
	put_line(line);
}

static void take_event(const struct bc_event *event, void *arg)
{
	struct listener *listener = arg;

	listener->lost |= bc_follow_event(&listener->follow, event);
	if (!listener->only || !strcmp(listener->only, event->name))
		put_event(event);
}

/* All that is there: what comes before a loss is said before it. */
static int take_all(struct listener *listener, struct bc_error *error)
{
	int ret;

	do {
		ret = bc_events_read(listener->events, take_event, listener, error);
		if (ret == -ENOBUFS)
			listener->lost = true;
	} while (ret == -ENOBUFS);
	return ret;
}

/*
 * Look at the state of all, and print it if @wanted, or if it has more than we were
 * told: whatever it includes is on its way to us already.
 */
static int look(struct listener *listener, bool wanted, struct bc_error *error)
{
	struct bc_volume *volumes;
	size_t count;
	int ret;

	ret = bc_kernel_get_all(listener->kernel, &volumes, &count, error);
	if (ret)
		return ret;
	if (!wanted)
		ret = take_all(listener, error);
	for (size_t i = 0; i < count; i++)
		listener->lost |= bc_follow_state(&listener->follow, &volumes[i]);
	if (listener->lost && !wanted)
		put_lost();
	for (size_t i = 0; i < count && (wanted || listener->lost); i++)
		put_state(listener, &volumes[i]);
	listener->lost = false;
	bc_volumes_free(volumes, count);
	return ret;
}

/* What has come; what has not, if nothing comes or something was lost. */
static int turn(struct listener *listener, struct bc_error *error)
{
	struct pollfd wait = { .fd = bc_events_fd(listener->events), .events = POLLIN };
	int ready = poll(&wait, 1, LOOK_MS), ret = 0;

	if (ready < 0)
		return 0;	/* interrupted */
	if (ready)
		ret = take_all(listener, error);
	if (!ret && (!ready || listener->lost))
		ret = look(listener, false, error);
	return ret;
}

static int listen(struct listener *listener, struct bc_error *error)
{
	int ret = look(listener, true, error);

	while (!ret && !interrupted) {
		if (fflush(stdout) || ferror(stdout))
			return bc_fail_errno(error, -errno, "cannot write");
		ret = turn(listener, error);
	}
	return ret;
}

int cmd_events(int argc, char **argv)
{
	const struct sigaction action = { .sa_handler = on_signal };
	struct listener listener = { 0 };
	struct bc_error error;
	int exit_code, ret;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	listener.only = rest[0];
	/* First listen, then look: nothing falls between. */
	ret = bc_events_open(&listener.events, &error);
	if (!ret)
		ret = bc_kernel_open(&listener.kernel, &error);
	if (!ret)
		ret = listen(&listener, &error);
	bc_kernel_close(listener.kernel);
	bc_events_close(listener.events);
	return ret ? cli_failed(&error) : CLI_DONE;
}
