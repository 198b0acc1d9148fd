// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target: the control socket, with up to four clients that say anything.
 *
 * An input is lines.  The first character of each tells what it does:
 *	a..d	a client says the rest, a line; A..D: without the end of the line
 *	0..3	a client hangs up
 *	r	all clients read what has been answered
 *	s	the link's state changes, as the next character says
 *	t	time is up for whoever waits
 *	f	who is to give a copy up has answered, as the next character says
 *
 * Invariants: every answer is one JSON object, there are no more of them than there
 * were lines, nor less where nobody waits; little is kept for who does not read; when
 * all is over nothing is left.
 */
/* links: tools/daemon/control.c tools/daemon/json.c tools/lib/util.c tools/lib/error.c */
/* links: selftests/fuzz/mutate_lines.c */
/* libs: json-c gnutls uuid */
/* flags: -fsanitize=fuzzer -lm */
#include <sys/socket.h>
#include <sys/un.h>

#include "fuzz.h"
#include "selftests/unit/fake_daemon.h"
#include "tools/daemon/json.h"

#define CLIENTS		4
#define ANSWERS_MAX	(1 << 16)

/**
 * struct asker - a client
 * @fd: -1: not there
 * @lines: how many it has said; @answers: got
 */
struct asker {
	int fd;
	unsigned int lines, answers;
	char in[ANSWERS_MAX];
	size_t have;
};

static char folder[] = "/dev/shm/blkcast-fuzz-XXXXXX";
static struct asker askers[CLIENTS];
static struct daemon daemon_state = { .loop = &fake_loop, .config = { .node = "g1" } };

static void asker_connect(struct asker *asker)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/control", folder);
	*asker = (struct asker){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0) };
	MUST(asker->fd >= 0);
	MUST(!connect(asker->fd, (struct sockaddr *)&address, sizeof(address)));
}

static void check_answer(const char *line, size_t len)
{
	struct json_object *answer = json_parse(line, len);

	MUST(answer);
	json_object_put(answer);
}

static void asker_read(struct asker *asker)
{
	char *end;
	ssize_t n;

	if (asker->fd < 0)
		return;
	while ((n = recv(asker->fd, asker->in + asker->have, sizeof(asker->in) - asker->have,
			 MSG_DONTWAIT)) > 0) {
		asker->have += n;
		while ((end = memchr(asker->in, '\n', asker->have))) {
			check_answer(asker->in, end - asker->in);
			asker->answers++;
			asker->have -= end + 1 - asker->in;
			memmove(asker->in, end + 1, asker->have);
		}
		fake_turn();
	}
	MUST(asker->answers <= asker->lines && asker->have < sizeof(asker->in));
	if (!n || errno != EAGAIN) {	/* it has been sent away */
		close(asker->fd);
		asker->fd = -1;
	}
}

static void asker_say(struct asker *asker, const uint8_t *text, size_t size, bool end)
{
	if (asker->fd < 0)
		asker_connect(asker);
	for (size_t i = 0; i < size; i++)
		asker->lines += text[i] == '\n';
	(void)!send(asker->fd, text, size, MSG_NOSIGNAL);
	if (end)
		(void)!send(asker->fd, "\n", 1, MSG_NOSIGNAL);
	asker->lines += end;
}

static void set_link(uint8_t state)
{
	fake.link = (struct peer_report){
		.volume = "data", .peer = "g2", .state = "waiting", .linked = state & 1,
		.idle = state & 2, .permanent = state & 4, .retry_ms = state & 1 ? -1 : 10,
		.down_ms = state & 1 ? -1 : 5, .failures = state & 8 ? 1 : 2,
		.reason = state & 16 ? "wrong key" : NULL,
	};
	fake.no_link = state & 32;
	fake.busy = state & 2;
	fake.reload_fails = state & 1;
	fake.offers = state & 2;
	control_links_changed(&daemon_state);
}

static void hang_up(struct asker *asker)
{
	if (asker->fd >= 0)
		close(asker->fd);
	asker->fd = -1;
}

static void act(const uint8_t *line, size_t size)
{
	uint8_t what = *line, with = size > 1 ? line[1] : 0;

	if (what >= 'a' && what <= 'd')
		asker_say(&askers[what - 'a'], line + 1, size - 1, true);
	else if (what >= 'A' && what <= 'D')
		asker_say(&askers[what - 'A'], line + 1, size - 1, false);
	else if (what >= '0' && what < '0' + CLIENTS)
		hang_up(&askers[what - '0']);
	else if (what == 's')
		set_link(with);
	else if (what == 't')
		fake_time_is_up();
	else if (what == 'f')
		fake_forget_done(with & 1 ? HANDSHAKE_DONE : HANDSHAKE_FAILED);
	for (int i = 0; what == 'r' && i < CLIENTS; i++)
		asker_read(&askers[i]);
}

/* Read what is still answered when nobody is waited for any more. */
static void asker_finish(struct asker *asker)
{
	unsigned int before;

	do {
		before = asker->answers;
		fake_time_is_up();
		fake_forget_done(HANDSHAKE_FAILED);
		fake_turn();
		asker_read(asker);
	} while (asker->fd >= 0 && asker->answers != before);
	MUST(asker->fd < 0 || asker->answers == asker->lines);
	hang_up(asker);
}

static void finish(void)
{
	for (int i = 0; i < CLIENTS; i++)
		asker_finish(&askers[i]);
	fake_turn();
	MUST(!daemon_state.clients && !fake_loop.timers && !fake.forget);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = data + size, *line, *next;
	struct bc_error error;

	for (int i = 0; i < CLIENTS; i++)
		askers[i].fd = -1;
	set_link(0);
	MUST(!control_start(&daemon_state, &error));
	for (line = data; line < end; line = next + 1) {
		next = memchr(line, '\n', end - line);
		next = next ? next : end;
		if (next > line)
			act(line, next - line);
		fake_turn();
	}
	finish();
	control_stop(&daemon_state);
	return 0;
}

/* --- seeds ------------------------------------------------------------------------------- */

static void make_seeds(void)
{
	static const char * const seeds[] = {
		"\na{\"request\":\"status\"}\nr\nb{\"request\":\"reload\"}\ns\1\n"
		"b{\"request\":\"reload\"}\nr\n0\n",
		"\na{\"request\":\"hold\",\"volume\":\"data\"}\n"
		"b{\"request\":\"offer\",\"volume\":\"data\"}\nr\n0\ns\2\n"
		"b{\"request\":\"offer\",\"volume\":\"data\"}\n",
		"\n"
		"a{\"request\":\"wait-link\",\"volume\":\"data\",\"peer\":\"g2\",\"timeout_ms\":1000}\n"
		"s\x15\nr\n"
		"a{\"request\":\"wait-link\",\"volume\":\"data\",\"peer\":\"g2\",\"timeout_ms\":1000}\n"
		"t\n",
		"\na{\"request\":\"reconnect\",\"volume\":\"data\",\"peer\":\"g2\",\"timeout_ms\":9}\n"
		"s\x01\nr\n",
		"\na{\"request\":\"forget\",\"volume\":\"data\",\"peer\":\"g2\"}\n"
		"b{\"request\":\"status\"}\nf1\nr\n"
		"a{\"request\":\"forget\",\"volume\":\"data\",\"peer\":\"g2\"}\n0\n",
		"\nA{\"request\":\nA\"status\"}\na\nr\n",
	};
	char name[8];

	for (size_t i = 0; i < BC_ARRAY_SIZE(seeds); i++) {
		snprintf(name, sizeof(name), "%zu", i);
		fuzz_put_seed(name, seeds[i], strlen(seeds[i]));
	}
}

static void remove_folder(void)
{
	rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	MUST(mkdtemp(folder) && !setenv("BLKCAST_RUN_DIR", folder, 1));
	MUST(!atexit(remove_folder));
	fuzz_make_seeds(make_seeds);
	return 0;
}
