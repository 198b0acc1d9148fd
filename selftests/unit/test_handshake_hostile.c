// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Garbage of all kinds, tampering, mirrors, repeats and addresses where nobody is end in
 * an error and nowhere else; TLS as far as a socket pair comes with it.
 */
/* links: tools/daemon/session.c tools/daemon/tls.c tools/daemon/certs.c tools/daemon/key.c tools/daemon/handshake.c tools/daemon/offer.c tools/daemon/proof.c tools/daemon/channel.c */
/* links: tools/daemon/loop.c tools/daemon/resolve.c tools/daemon/json.c */
/* links: tools/lib/kernel_parse.c tools/lib/config.c tools/lib/kernel_names.c tools/lib/util.c tools/lib/error.c */
/* libs: json-c gnutls liburing libmnl inih uuid */
/* flags: -lm -pthread -Wno-format-truncation */
#include "test_handshake.h"

/* --- garbage ---------------------------------------------------------------------------- */

static void frame_put(int fd, const char *body, size_t len)
{
	uint32_t head = htole32(len);

	EXPECT(write(fd, &head, sizeof(head)) == sizeof(head));
	EXPECT(write(fd, body, len) == (ssize_t)len);
}

/* The replica's side against bytes of ours. */
static int against(void)
{
	int fds[2];

	sides_init();
	socket_pair(fds);
	side_start(&replica, fds[1]);
	return fds[0];
}

static void against_end(int fd, const char *says)
{
	bool never = false;

	turn_until(&replica.done, 3000);
	EXPECT(replica.done && !replica.linked && !replica.fake.added);
	EXPECT_SAYS(replica.reason, says);
	close(fd);
	turn_until(&never, 50);
}

static void garbage(void)
{
	static const char * const bodies[] = {
		"{}", "[1,2]", "null", "{\"type\":\"hello\"}", "{\"type\":7}",
		"{\"type\":\"offer\"}", "{\"type\":\"hello\",\"version\":1}",
		"{\"type\":\"hello\",\"version\":1,\"role\":\"replica\",\"node\":\"x\"}",
		"{\"type\":\"hello\",\"version\":-1}", "{\"type\":\"hello\"} ", "{\"type\":",
		"[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]", "\xff\xfe\x00\x01",
	};
	int fd;

	for (size_t i = 0; i < BC_ARRAY_SIZE(bodies); i++) {
		fd = against();
		frame_put(fd, bodies[i], strlen(bodies[i]) ? strlen(bodies[i]) : 4);
		against_end(fd, "");
	}
}

static void wrong_lengths(void)
{
	static const uint32_t lengths[] = { 0, 1, CHANNEL_BODY_MAX + 1, UINT32_MAX };

	for (size_t i = 0; i < BC_ARRAY_SIZE(lengths); i++) {
		uint32_t head = htole32(lengths[i]);
		int fd = against();

		EXPECT(write(fd, &head, sizeof(head)) == sizeof(head));
		against_end(fd, "length out of range");
	}
}

static void cut_short(void)
{
	static const char body[] = "{\"type\":\"hello\",\"version\":1}";

	for (size_t len = 0; len < 4 + sizeof(body) - 1; len += 5) {
		uint8_t bytes[64];
		uint32_t head = htole32(sizeof(body) - 1);
		int fd = against();

		memcpy(bytes, &head, 4);
		memcpy(bytes + 4, body, sizeof(body) - 1);
		EXPECT(write(fd, bytes, len) == (ssize_t)len);
		shutdown(fd, SHUT_WR);
		against_end(fd, "closes the connection");
	}
}

/* Seeded bytes, with a plausible length in front or without. */
static void noise(void)
{
	unsigned int seed = 4711;

	for (int round = 0; round < 200; round++) {
		uint8_t bytes[300];
		int fd = against();

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = rand_r(&seed);
		if (round % 2)
			memcpy(bytes, "\x20\x01\0\0", 4);
		EXPECT(write(fd, bytes, sizeof(bytes)) == sizeof(bytes));
		shutdown(fd, SHUT_WR);
		against_end(fd, "");
	}
}

/* --- what a peer says --------------------------------------------------------------------- */

/* It goes to terminals and logs, and need not come from somebody who has the key. */
static void unprintable(void)
{
	static const char refusal[] =
		"{\"type\":\"refuse\",\"reason\":\"\\u001b[2J\\nJan 1 root: \u00e4\"}";
	static const char type[] = "{\"type\":\"\\u001b]0;x\\u0007\"}";
	int fd = against();

	frame_put(fd, refusal, sizeof(refusal) - 1);
	against_end(fd, "refuses: ?[2J?Jan 1 root: ??");
	fd = against();
	frame_put(fd, type, sizeof(type) - 1);
	against_end(fd, "not '?]0;x?'");
}

/* What went one way between two that agreed. */
struct record {
	uint8_t bytes[16384];
	size_t len;
};

static struct record said_forth, said_back;

static void remember(struct record *record, const uint8_t *bytes, size_t len)
{
	EXPECT(record->len + len <= sizeof(record->bytes));
	memcpy(record->bytes + record->len, bytes, len);
	record->len += len;
}

/* What one side sends is changed by one bit on its way: never a link. */
static void relay(int from, int to, struct record *record, size_t *passed, size_t flip_at)
{
	uint8_t bytes[4096];
	ssize_t n = recv(from, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n <= 0)
		return;
	if (flip_at >= *passed && flip_at < *passed + n)
		bytes[flip_at - *passed] ^= 1;
	*passed += n;
	remember(record, bytes, n);
	(void)!send(to, bytes, n, MSG_NOSIGNAL);	/* it may have hung up */
}

static size_t forth, back;	/* bytes that went each way */

static void relayed(size_t flip_forth, size_t flip_back)
{
	int a[2], b[2];
	uint64_t until;
	bool never = false;

	sides_init();
	forth = 0;
	back = 0;
	said_forth.len = 0;
	said_back.len = 0;
	socket_pair(a);
	socket_pair(b);
	side_start(&replica, b[1]);
	side_start(&primary, a[0]);
	until = bc_now_ns() + 300 * 1000000ULL;
	while ((!primary.done || !replica.done) && bc_now_ns() < until) {
		turn_until(&never, 1);
		relay(a[1], b[0], &said_forth, &forth, flip_forth);
		relay(b[0], a[1], &said_back, &back, flip_back);
	}
	if (primary.session)
		session_abort(primary.session);
	if (replica.session)
		session_abort(replica.session);
	close(a[1]);
	close(b[0]);
	turn_until(&never, 20);
}

static void tampering(void)
{
	size_t whole_forth, whole_back;

	relayed(SIZE_MAX, SIZE_MAX);
	EXPECT(primary.fake.added && replica.fake.added);
	whole_forth = forth;
	whole_back = back - sizeof(uint32_t);	/* the kernel's frame */
	for (size_t at = 5; at < whole_forth; at += 37) {
		relayed(at, SIZE_MAX);
		EXPECT(!primary.fake.added && !replica.fake.added);
	}
	/* The last word is the replica's, whose kernel then finds nobody there. */
	for (size_t at = 5; at < whole_back; at += 23) {
		relayed(SIZE_MAX, at);
		EXPECT(!primary.fake.added);
	}
}

/* All that one side said when a link came about, said again to the other: it is fresh. */
static void repeated(struct side *side, const struct record *record)
{
	bool never = false;
	int fds[2];

	sides_init();
	socket_pair(fds);
	side_start(side, fds[0]);
	EXPECT(send(fds[1], record->bytes, record->len, MSG_NOSIGNAL) == (ssize_t)record->len);
	turn_until(&side->done, 3000);
	EXPECT(side->done && !side->proved && !side->linked && !side->fake.added);
	EXPECT(!side->fake.offered);
	EXPECT_SAYS(side->reason, "wrong key");
	close(fds[1]);
	turn_until(&never, 30);
}

static void repetition(void)
{
	relayed(SIZE_MAX, SIZE_MAX);
	EXPECT(primary.linked && replica.linked && said_forth.len && said_back.len);
	repeated(&replica, &said_forth);
	repeated(&primary, &said_back);
}

/* A replica that sends back what it gets proves nothing. */
static void reflection(void)
{
	uint8_t bytes[4096];
	bool never = false;
	int fds[2];

	sides_init();
	socket_pair(fds);
	side_start(&primary, fds[0]);
	for (int i = 0; i < 50 && !primary.done; i++) {
		ssize_t n = recv(fds[1], bytes, sizeof(bytes), MSG_DONTWAIT);

		if (n > 0)
			EXPECT(send(fds[1], bytes, n, MSG_NOSIGNAL) == n);
		turn_until(&never, 10);
	}
	EXPECT(primary.done && !primary.linked && !primary.fake.added);
	close(fds[1]);
	turn_until(&never, 30);
}

/* --- dialing ------------------------------------------------------------------ */

static void nobody_there(void)
{
	struct bc_address address = { "127.0.0.1", "1" };

	sides_init();
	primary.session = session_new(loop, side_done, &primary);
	primary.session->secrets = &primary.secrets;
	EXPECT(!handshake_init(&primary.session->handshake, &primary.key, "g1",
			       &primary.ops, "data", &link_config));
	session_dial(primary.session, &address);
	turn_until(&primary.done, 3000);
	EXPECT(primary.done && !primary.linked && !primary.permanent);
	EXPECT_SAYS(primary.reason, "refused");
}

static void name_unknown(void)
{
	struct bc_address address = { "no-such-host.invalid", "1" };

	sides_init();
	primary.session = session_new(loop, side_done, &primary);
	primary.session->secrets = &primary.secrets;
	EXPECT(!handshake_init(&primary.session->handshake, &primary.key, "g1",
			       &primary.ops, "data", &link_config));
	session_dial(primary.session, &address);
	turn_until(&primary.done, 12000);
	EXPECT(primary.done && !primary.linked);
}

/* --- TLS ------------------------------------------------------------------------------------ */

/* As far as a pair of sockets comes with it: no kernel encrypts one. */
static void tls_right_key(void)
{
	sides_init();
	primary.plain = false;
	replica.plain = false;
	converse();
	EXPECT(!primary.linked && !replica.linked);
	EXPECT_SAYS(primary.reason, "this kernel's TLS does not take the connection");
	EXPECT_SAYS(replica.reason, "this kernel's TLS does not take the connection");
}

static void tls_wrong_key(void)
{
	sides_init();
	primary.plain = false;
	replica.key.bytes[5] = 'x';
	expect_refused("wrong key: g", true);
	EXPECT(!primary.proved && !replica.proved);
}

static void tls_is_asked_for(void)
{
	sides_init();
	replica.plain = false;
	expect_refused("g2 takes links by TLS only", true);
	EXPECT(!replica.proved && !replica.fake.added);
}

static void tls_garbage(void)
{
	static const uint8_t hello[] = { 22, 3, 1, 0, 5, 1, 0, 0, 1, 0 };
	int fd = against();

	EXPECT(write(fd, hello, sizeof(hello)) == sizeof(hello));
	against_end(fd, "TLS: ");
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "messages that are none", garbage },
		{ "lengths out of range", wrong_lengths },
		{ "messages cut short", cut_short },
		{ "noise", noise },
		{ "what a terminal would take for a command is not repeated", unprintable },
		{ "a bit changed on the way is noticed", tampering },
		{ "a mirror proves nothing", reflection },
		{ "nor does a repeat", repetition },
		{ "nobody answers", nobody_there },
		{ "a name that does not exist", name_unknown },
		{ "TLS with the right key", tls_right_key },
		{ "TLS with a wrong key", tls_wrong_key },
		{ "no TLS where it is asked for", tls_is_asked_for },
		{ "TLS that is none", tls_garbage },
	};
	struct bc_error error;

	if (loop_new(&loop, &error))
		ksft_exit_fail_msg("%s\n", error.text);
	run_tests(tests, BC_ARRAY_SIZE(tests));
}
