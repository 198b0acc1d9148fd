// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target: the handshake between daemons, either side of it, against a
 * peer that says anything whatever, has the key and so gets as deep as it likes.
 *
 * An input is lines.  The first has two characters: which side is under test ('p'
 * or 'r') and the state of its kernel, in lower case if the peer has a certificate
 * (then, too, the codes are by the same key); each other is a frame, by its first one:
 *	+	a body; the right code goes with it
 *	-	a body with a wrong code
 *	#	bytes as they are
 *	K	the head of a kernel's frame
 *
 * Invariants: without the right code nothing is done; what the kernel is given is
 * in range and fits the copy; what is said to the peer is a message with a right
 * code; a conversation ends when the peer hangs up.
 */
/* links: tools/daemon/session.c tools/daemon/tls.c tools/daemon/certs.c tools/daemon/key.c */
/* links: tools/daemon/handshake.c tools/daemon/offer.c tools/daemon/proof.c tools/daemon/channel.c tools/daemon/resolve.c tools/daemon/json.c */
/* links: tools/lib/kernel_parse.c tools/lib/util.c tools/lib/error.c selftests/fuzz/mutate_lines.c */
/* libs: json-c gnutls libmnl uuid */
/* flags: -fsanitize=fuzzer -lm -pthread */
#include <endian.h>
#include <errno.h>
#include <sys/socket.h>

#include "blkcast_wire.h"
#include "fuzz.h"
#include "tools/daemon/json.h"
#include "tools/daemon/session.h"
#include "util.h"

#define STATES 16	/* of the kernel, by the second character */
#define CERTIFIED 32	/* the same: the peer has a certificate */

static const struct key key = { "0123456789abcdef0123456789abcdef", 32 };
static const struct secrets secrets = {
	.ring = { .key = { { "another0another0another0another0", 32 },
			   { "0123456789abcdef0123456789abcdef", 32 } }, .count = 2 },
};

/* --- a loop that turns when it is told to ---------------------------------------- */

struct loop {
	struct watch *watch;
	struct timer *timer;
};

int loop_watch(struct loop *loop, struct watch *watch, int fd, uint32_t events)
{
	(void)events;
	MUST(fd >= 0);
	loop->watch = watch;
	return 0;
}

void loop_unwatch(struct loop *loop, struct watch *watch)
{
	if (loop->watch == watch)
		loop->watch = NULL;
}

void loop_timer(struct loop *loop, struct timer *timer, uint64_t ms)
{
	(void)ms;
	loop->timer = timer;
}

void loop_timer_stop(struct loop *loop, struct timer *timer)
{
	if (loop->timer == timer)
		loop->timer = NULL;
}

static void turn(struct loop *loop)
{
	struct watch *watch = loop->watch;

	loop->watch = NULL;
	if (watch)
		watch->fn(watch->owner, 0);
}

/* --- a side and its kernel --------------------------------------------------------- */

/**
 * struct side - a session and what it rests on
 * @state: of the kernel, 0..STATES - 1
 * @forged: something has come without the right code
 * @seen: the offer that came last
 */
struct side {
	struct session *session;
	struct loop loop;
	struct handshake_ops ops;
	unsigned int state;
	bool primary, forged, done, offered;
	struct offer seen;
};

static struct blkcast_reign history[2];

static void history_init(void)
{
	history[0] = (struct blkcast_reign){ htole32(1), { 1 }, htole64(11), 0 };
	history[1] = (struct blkcast_reign){
		htole32(3), { 7, 7, 7, 7 }, htole64(33), htole64(blkcast_lsn(1, 500))
	};
}

static void kernel_volume(const struct side *side, struct bc_volume *volume)
{
	*volume = (struct bc_volume){
		.name = "data", .term = 3, .sectors = 2048, .region_shift = 16,
		.regions = 16, .reigns = 2, .room = 2048, .block = 512,
		.role = side->primary ? BLKCAST_ROLE_PRIMARY : BLKCAST_ROLE_REPLICA,
	};
	memset(volume->uuid, 9, sizeof(volume->uuid));
	memset(volume->node, 5, sizeof(volume->node));
	if (side->state & 1)	/* an old primary */
		volume->super_flags = BLKCAST_SUPER_OWN;
	if (side->state & 2) {
		volume->term = 1;
		volume->reigns = 1;
		volume->lsn = blkcast_lsn(1, 501);
	}
	if (side->state & 4)
		volume->links = 1;
	if (side->state & 8)
		volume->role = BLKCAST_ROLE_PRIMARY;
}

static int kernel_get(void *arg, const char *name, struct bc_volume *volume,
		      struct bc_error *error)
{
	struct side *side = arg;

	MUST(bc_name_valid(name));
	if (strcmp(name, "data"))
		return bc_fail(error, -ENODEV, "volume %s: no such volume is up", name);
	kernel_volume(side, volume);
	volume->history = malloc(sizeof(history));
	volume->link = calloc(1, sizeof(*volume->link));
	MUST(volume->history && volume->link);
	memcpy(volume->history, history, sizeof(history));
	strcpy(volume->link->name, "g9");
	return 0;
}

/* With a certificate it is a node that it is for. */
static void must_be_proved(const struct side *side)
{
	static const char * const nodes[] = { "g1", "g2", "g9", "g7", "g7.x" };
	const struct handshake *handshake = &side->session->handshake;
	bool meant = false;

	MUST(!side->forged && handshake->proved);
	for (size_t i = 0; i < BC_ARRAY_SIZE(nodes); i++)
		meant |= !strcasecmp(handshake->peer_node, nodes[i]);
	MUST(meant || !handshake->certified.known);
	MUST(strcmp(handshake->peer_node, "g9") || side->primary);
}

static int kernel_renew(void *arg, const char *volume, const char *link,
			struct bc_error *error)
{
	(void)error;
	must_be_proved(arg);
	MUST(!strcmp(volume, "data") && !strcmp(link, "g2"));
	return 0;
}

static bool kernel_allows(void *arg, const char *volume, const char *peer)
{
	struct side *side = arg;

	MUST(side->session->handshake.proved && bc_name_valid(volume) && bc_name_valid(peer));
	return strcmp(peer, "g9");
}

static void check_history(const struct blkcast_reign *reign, uint32_t reigns, uint32_t term)
{
	uint32_t last = 0;

	MUST(term && term <= BLKCAST_TERM_MAX && reigns && reigns <= BLKCAST_HISTORY_MAX);
	for (uint32_t i = 0; i < reigns; i++) {
		MUST(reign[i].reign && le32toh(reign[i].term) > last);
		last = le32toh(reign[i].term);
	}
	MUST(last == term);
}

/* Said again it is the same. */
static void check_offer(const struct offer *offer)
{
	struct json_object *message = json_object_new_object();
	struct bc_error error;
	struct offer again;

	check_history(offer->history, offer->reigns, offer->term);
	MUST(offer->bytes && !(offer->bytes % 512) && offer->bytes <= INT64_MAX);
	MUST(offer->block >= 512 && offer->block <= 4096);
	MUST(offer->timeout_ms <= 600000 && !(offer->flags & ~BLKCAST_F_ASYNC));
	offer_encode(offer, message);
	MUST(!offer_decode(&again, message, &error));
	MUST(!memcmp(offer, &again, sizeof(again)));
	json_object_put(message);
}

static void kernel_offered(void *arg, const char *volume, const char *peer,
			   const struct offer *offer)
{
	struct side *side = arg;

	must_be_proved(side);
	MUST(bc_name_valid(volume) && bc_name_valid(peer));
	check_offer(offer);
	side->seen = *offer;
	side->offered = true;
}

/* What a copy may follow. */
static void check_follows(const struct side *side, const struct bc_link_add *add)
{
	const struct offer *offer = &side->seen;
	struct bc_volume copy;

	kernel_volume(side, &copy);
	check_history(add->history, add->reigns, add->term);
	MUST(side->offered && add->term == offer->term && add->term >= copy.term);
	MUST(!memcmp(offer->uuid, copy.uuid, sizeof(copy.uuid)));
	MUST(copy.role == BLKCAST_ROLE_REPLICA && offer->bytes <= copy.room * 512);
	MUST(offer->region_shift == copy.region_shift && offer->block >= copy.block);
	for (uint32_t i = 0; i < add->reigns; i++) {
		for (uint32_t j = 0; j < copy.reigns; j++)
			MUST(add->history[i].term != history[j].term ||
			     add->history[i].reign == history[j].reign);
	}
}

static int kernel_link_add(void *arg, const struct bc_link_add *add, struct bc_error *error)
{
	struct side *side = arg;

	(void)error;
	must_be_proved(side);
	MUST(!strcmp(add->name, "data") && bc_name_valid(add->link) && add->socket >= 0);
	MUST(add->timeout_ms <= 600000 && !(add->flags & ~BLKCAST_F_ASYNC));
	MUST(!add->node == !side->primary && !add->history == side->primary);
	if (!side->primary)
		check_follows(side, add);
	return 0;
}

static int kernel_link_del(void *arg, const char *volume, const char *link,
			   struct bc_error *error)
{
	(void)error;
	must_be_proved(arg);
	MUST(!strcmp(volume, "data") && !strcmp(link, "g9"));
	return 0;
}

static int kernel_forget(void *arg, const char *volume, const char *peer,
			 const struct offer *offer, struct bc_error *error)
{
	must_be_proved(arg);
	MUST(bc_name_valid(volume) && bc_name_valid(peer));
	check_offer(offer);
	return offer->term == 3 ? 0 : bc_fail(error, -EBUSY, "it is open here");
}

static void kernel_depose(void *arg, const char *volume, const char *peer, uint32_t term)
{
	struct side *side = arg;
	struct bc_volume own;

	must_be_proved(side);
	kernel_volume(side, &own);
	MUST(!strcmp(volume, "data") && peer[0]);
	MUST(term > own.term && term <= BLKCAST_TERM_MAX);
}

static int kernel_ask(void *arg, const char *volume, const char *type,
		      struct json_object *question, struct json_object *answer, bool *stream,
		      struct bc_error *error)
{
	must_be_proved(arg);
	MUST(bc_name_valid(volume) && json_object_is_type(question, json_type_object));
	if (!strcmp(type, "adopt"))
		return bc_fail(error, -EBUSY, "volume %s: not now", volume);
	if (strcmp(type, "describe") && strcmp(type, "fetch"))
		return -ENOMSG;
	json_put_number(answer, "n", 7);
	*stream = !strcmp(type, "fetch");
	return 0;
}

static void kernel_stream(void *arg, const char *volume, const char *peer,
			  struct json_object *question, int socket)
{
	must_be_proved(arg);
	MUST(bc_name_valid(volume) && bc_name_valid(peer) && question && socket >= 0);
	close(socket);
}

/* The peer has named a key that it does not have: its codes are wrong from here on. */
static void look_at_key(struct side *side, const struct session *session)
{
	side->forged |= memcmp(&session->handshake.proof.key, &key, sizeof(key)) != 0;
}

static void side_done(struct session *session, bool linked, void *owner)
{
	struct side *side = owner;

	MUST(!side->done);
	side->done = true;
	look_at_key(side, session);
	MUST(linked || fuzz_printable(session->handshake.error.text));
}

/* The other end of the socket, or -1. */
static int side_start(struct side *side, bool primary, unsigned int state)
{
	static const struct bc_link_config link = { .peer = "g2", .timeout_ms = 7000 };
	struct handshake *handshake;
	int fds[2];

	*side = (struct side){ .primary = primary, .state = state % STATES };
	side->ops = (struct handshake_ops){
		kernel_get, kernel_link_add, kernel_link_del, side, kernel_offered,
		kernel_forget, kernel_depose, kernel_ask, kernel_stream, kernel_renew,
		kernel_allows
	};
	MUST(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds));
	side->session = session_new(&side->loop, side_done, side);
	MUST(side->session);
	handshake = &side->session->handshake;
	MUST(!handshake_init(handshake, &key, primary ? "g1" : "g2", &side->ops,
			     primary ? "data" : NULL, primary ? &link : NULL));
	handshake->forget = primary && state & 4;
	handshake->renews = primary && state & 1;
	if (primary && state & 2) {
		handshake->question = json_object_new_object();
		json_put_text(handshake->question, "type", "describe");
	}
	if (state & CERTIFIED)
		handshake->certified = (struct certs_peer){
			.known = true, .names = "g1 g2 g9 g7.x", .domain = "x",
		};
	side->session->secrets = &secrets;
	side->session->plain = true;
	session_talk(side->session, fds[0]);
	return fds[1];
}

/* The peer has hung up: whatever is still awaited ends. */
static void side_end(struct side *side, int fd)
{
	close(fd);
	for (int i = 0; side->loop.watch && i < 8; i++)
		turn(&side->loop);
	for (int i = 0; side->loop.timer && i < 2; i++)
		side->loop.timer->fn(side->loop.timer->owner);
	MUST(side->done && !side->loop.watch && !side->loop.timer);
}

/* --- the peer ----------------------------------------------------------------------- */

/**
 * struct peer - what talks to the side under test
 * @proof: the transcript
 * @sent, @got: frames
 */
struct peer {
	struct side *side;
	int fd;
	struct proof proof;
	unsigned int sent, got;
	uint8_t in[CHANNEL_BODY_MAX + 64];
	size_t have;
};

/* One frame that the side has sent; how many bytes, 0: not all of it has come. */
static size_t peer_check(struct peer *peer)
{
	enum proof_role role = peer->side->primary ? PROOF_PRIMARY : PROOF_REPLICA;
	/* The first word has none, and the replica's refusal in its place neither. */
	size_t mac = peer->got ? PROOF_MAC : 0, len;
	struct json_object *message;
	uint32_t head;

	if (peer->have < sizeof(head))
		return 0;
	memcpy(&head, peer->in, sizeof(head));
	len = sizeof(head) + le32toh(head);
	MUST(le32toh(head) >= 2 && le32toh(head) <= CHANNEL_BODY_MAX);
	if (peer->have < len + mac)
		return 0;
	message = json_parse((char *)peer->in + sizeof(head), le32toh(head));
	MUST(message && json_get_text(message, "type"));
	json_object_put(message);
	MUST(!proof_absorb(&peer->proof, peer->in, len));
	MUST(!mac || peer->side->forged || proof_check(&peer->proof, role, peer->in + len));
	return len + mac;
}

static void peer_read(struct peer *peer)
{
	size_t len;
	ssize_t n;

	n = recv(peer->fd, peer->in + peer->have, sizeof(peer->in) - peer->have, MSG_DONTWAIT);
	peer->have += n > 0 ? n : 0;
	if (!peer->side->done)
		look_at_key(peer->side, peer->side->session);
	/* Somebody who is not understood may be refused with a code or without one. */
	if (peer->side->forged)
		return;
	while ((len = peer_check(peer))) {
		peer->got++;
		peer->have -= len;
		memmove(peer->in, peer->in + len, peer->have);
	}
}

static void peer_write(struct peer *peer, const void *data, size_t len)
{
	(void)!send(peer->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void peer_frame(struct peer *peer, const uint8_t *body, size_t size, bool right)
{
	enum proof_role role = peer->side->primary ? PROOF_REPLICA : PROOF_PRIMARY;
	uint8_t frame[CHANNEL_BODY_MAX + 4 + PROOF_MAC];
	uint32_t head = htole32(size);
	size_t len = sizeof(head) + size;

	if (size > CHANNEL_BODY_MAX)
		return;
	memcpy(frame, &head, sizeof(head));
	memcpy(frame + sizeof(head), body, size);
	MUST(!proof_absorb(&peer->proof, frame, len));
	MUST(!proof_mac(&peer->proof, role, frame + len));
	frame[len] ^= !right;
	len += peer->sent++ ? PROOF_MAC : 0;
	/* One too short to be a message is not part of the transcript. */
	peer->side->forged |= (peer->sent > 1 && !right) || size < 2;
	peer_write(peer, frame, len);
}

static void peer_say(struct peer *peer, const uint8_t *line, size_t size)
{
	const uint32_t magic = htole32(BLKCAST_FRAME_MAGIC);

	if (!size)
		return;
	switch (*line) {
	case '+':
	case '-':
		peer_frame(peer, line + 1, size - 1, *line == '+');
		break;
	case '#':
		peer->side->forged |= size > 1;
		peer_write(peer, line + 1, size - 1);
		break;
	case 'K':
		peer->side->forged |= peer->side->session->handshake.state !=
				      HANDSHAKE_FIRST_FRAME;
		peer_write(peer, &magic, sizeof(magic));
		break;
	}
}

static void converse(bool primary, unsigned int state, const uint8_t *lines, size_t size)
{
	struct side side;
	struct peer *peer = calloc(1, sizeof(*peer));
	const uint8_t *end = lines + size, *line, *next;

	MUST(peer);
	peer->side = &side;
	peer->fd = side_start(&side, primary, state);
	MUST(!proof_init(&peer->proof, &key));
	peer_read(peer);
	for (line = lines; line < end && !side.done; line = next + 1) {
		next = memchr(line, '\n', end - line);
		next = next ? next : end;
		peer_say(peer, line, next - line);
		turn(&side.loop);
		peer_read(peer);
	}
	side_end(&side, peer->fd);
	proof_release(&peer->proof);
	free(peer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 3 && (data[0] == 'p' || data[0] == 'r') && data[2] == '\n')
		converse(data[0] == 'p', data[1] % STATES | (data[1] & CERTIFIED), data + 3, size - 3);
	return 0;
}

/* --- seeds: what two sides say to each other ----------------------------------------- */

struct record {
	uint8_t bytes[1 << 16], *at;
	char text[1 << 16];
	int fd;
	size_t used, len;
	bool first;
};

/* Take what one side has said to the other. */
static void relay(struct record *from, struct record *to)
{
	ssize_t n = recv(from->fd, from->bytes + from->used, sizeof(from->bytes) - from->used,
			 MSG_DONTWAIT);
	uint32_t head;

	if (n <= 0)
		return;
	peer_write(&(struct peer){ .fd = to->fd }, from->bytes + from->used, n);
	from->used += n;
	while (from->bytes + from->used - from->at > (ssize_t)sizeof(head)) {
		memcpy(&head, from->at, sizeof(head));
		from->len += sprintf(from->text + from->len, "+%.*s\n", (int)le32toh(head),
				     from->at + sizeof(head));
		from->at += sizeof(head) + le32toh(head) + (from->first ? 0 : PROOF_MAC);
		from->first = false;
	}
}

static void put_record(struct record *record, char side, unsigned int state)
{
	static unsigned int count;
	char path[32];

	memcpy(record->text, (char[]){ side, '@' + state, '\n' }, 3);
	record->len += sprintf(record->text + record->len, "K\n");
	snprintf(path, sizeof(path), "%c%u", side, count++);
	fuzz_put_seed(path, record->text, record->len);
}

static void record_conversation(unsigned int here, unsigned int there)
{
	struct record *primary = calloc(2, sizeof(*primary)), *replica = primary + 1;
	struct side sides[2];

	MUST(primary);
	for (int i = 0; i < 2; i++) {
		primary[i].at = primary[i].bytes;
		primary[i].first = true;
		primary[i].len = 3;
		primary[i].fd = side_start(&sides[i], !i, i ? there : here);
	}
	for (int i = 0; i < 8; i++) {
		relay(primary, replica);
		if (!sides[1].done)
			turn(&sides[1].loop);
		relay(replica, primary);
		if (!sides[0].done)
			turn(&sides[0].loop);
	}
	side_end(&sides[0], primary->fd);
	side_end(&sides[1], replica->fd);
	put_record(primary, 'r', there);
	put_record(replica, 'p', here);
	free(primary);
}

static size_t put_message(char *text, struct json_object *message)
{
	size_t len = sprintf(text, "+%s\n", json_object_to_json_string_ext(message,
							JSON_C_TO_STRING_PLAIN));

	json_object_put(message);
	return len;
}

/* An offer with as many reigns as there may be. */
static void put_long_history(void)
{
	struct json_object *hello = json_object_new_object();
	struct json_object *proof = json_object_new_object();
	struct json_object *message = json_object_new_object();
	struct offer offer = {
		.bytes = 1 << 20, .region_shift = 16, .block = 512, .wire_version = 1,
		.term = BLKCAST_HISTORY_MAX, .reigns = BLKCAST_HISTORY_MAX,
	};
	char *text = calloc(1, 1 << 16);
	uint8_t nonce[PROOF_NONCE] = { 0 };
	size_t len;

	MUST(text);
	for (uint32_t i = 0; i < offer.reigns; i++)
		offer.history[i] = (struct blkcast_reign){ htole32(i + 1), { 1 }, htole64(1), 0 };
	json_put_text(hello, "type", "hello");
	json_put_number(hello, "version", HANDSHAKE_VERSION);
	json_put_hex64(hello, "features", 0);
	json_put_text(hello, "role", "primary");
	json_put_text(hello, "node", "g1");
	json_put_text(hello, "volume", "data");
	json_put_bytes(hello, "nonce", nonce, sizeof(nonce));
	json_put_text(proof, "type", "proof");
	json_put_text(message, "type", "offer");
	offer_encode(&offer, message);
	len = sprintf(text, "r@\n");
	len += put_message(text + len, hello);
	len += put_message(text + len, proof);
	len += put_message(text + len, message);
	fuzz_put_seed("long", text, len);
	free(text);
}

static void make_seeds(void)
{
	static const char raw[] = "r@\n#\26\3\1\0\5\1\0\0\1\0\n";

	for (unsigned int state = 0; state < STATES; state++) {
		record_conversation(0, state);
		record_conversation(state, 0);
		record_conversation(CERTIFIED, state | CERTIFIED);
	}
	put_long_history();
	fuzz_put_seed("raw", raw, sizeof(raw) - 1);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	history_init();
	fuzz_make_seeds(make_seeds);
	return 0;
}
