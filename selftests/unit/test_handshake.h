/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two daemons that talk over a socket pair, each with a kernel that is a struct.
 */
#ifndef TEST_HANDSHAKE_H
#define TEST_HANDSHAKE_H

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../tools/daemon/session.h"
#include "blkcast_wire.h"
#include "expect.h"
#include "util.h"

static const char *question;	/* that the primary asks, and of which peer */
static const char *about;

/* --- a kernel -------------------------------------------------------------------- */

/**
 * struct fake - one side's kernel
 * @volume: what GET answers
 * @get_error, @add_error: to be answered instead
 * @added, @deleted: how often LINK_ADD and LINK_DEL succeeded
 * @forget_error, @forgotten: of the copy that is to be given up
 * @offered: how often a primary has offered; @offer: the last
 * @asked, @streamed: how often a question came, and one for a stream
 * @renewed: how often a link made way; @renew_error: it does not
 * @stranger: the volume is not for the peer
 * @speaks: LINK_ADD writes the head of a frame, as a replica's kernel does
 */
struct fake {
	struct bc_volume volume;
	struct blkcast_reign history[8];
	struct bc_link links[2];
	int get_error, add_error;
	int added, deleted;
	struct bc_link_add last;
	int forget_error, forgotten, offered, asked, streamed;
	uint32_t deposed;
	int renew_error, renewed;
	bool open, stranger;
	struct offer offer;
	bool speaks;
};

static int fake_get(void *arg, const char *name, struct bc_volume *state,
		    struct bc_error *error)
{
	struct fake *fake = arg;
	size_t history = fake->volume.reigns * sizeof(struct blkcast_reign);
	size_t links = fake->volume.links * sizeof(struct bc_link);

	if (fake->get_error)
		return bc_fail(error, fake->get_error, "volume %s: not now", name);
	if (strcmp(name, fake->volume.name))
		return bc_fail(error, -ENODEV, "volume %s: no such volume is up", name);
	*state = fake->volume;
	state->history = memcpy(malloc(history + 1), fake->history, history);
	state->link = memcpy(malloc(links + 1), fake->links, links);
	return 0;
}

static int fake_link_add(void *arg, const struct bc_link_add *add,
			 struct bc_error *error)
{
	uint32_t magic = htole32(BLKCAST_FRAME_MAGIC);
	struct fake *fake = arg;

	if (fake->add_error)
		return bc_fail(error, fake->add_error, "the kernel does not like it");
	fake->added++;
	fake->last = *add;
	if (fake->speaks)
		EXPECT(write(add->socket, &magic, sizeof(magic)) == sizeof(magic));
	return 0;
}

static int fake_link_del(void *arg, const char *volume, const char *link,
			 struct bc_error *error)
{
	struct fake *fake = arg;

	(void)volume;
	(void)link;
	(void)error;
	fake->deleted++;
	fake->volume.links = 0;
	return 0;
}

static void fake_offered(void *arg, const char *volume, const char *peer,
			 const struct offer *offer)
{
	struct fake *fake = arg;

	EXPECT(!strcmp(volume, "data") && !strcmp(peer, "g1"));
	fake->offered++;
	fake->offer = *offer;
}

static int fake_forget(void *arg, const char *volume, const char *peer,
		       const struct offer *offer, struct bc_error *error)
{
	struct fake *fake = arg;

	EXPECT(!strcmp(volume, "data") && !strcmp(peer, "g1"));
	EXPECT(offer->term == 3 && offer->uuid[0] == 9);
	if (fake->forget_error)
		return bc_fail(error, fake->forget_error, "it is open here");
	fake->forgotten++;
	return 0;
}

/* A primary whose device is not open becomes a replica. */
static void fake_depose(void *arg, const char *volume, const char *peer,
			uint32_t term)
{
	struct fake *fake = arg;

	EXPECT(!strcmp(volume, "data") && peer[0]);
	fake->deposed = term;
	if (!fake->open)
		fake->volume.role = BLKCAST_ROLE_REPLICA;
}

static int fake_ask(void *arg, const char *volume, const char *type,
		    struct json_object *question, struct json_object *answer, bool *stream,
		    struct bc_error *error)
{
	struct fake *fake = arg;

	if (strcmp(type, "describe") && strcmp(type, "fetch"))
		return -ENOMSG;
	EXPECT(!strcmp(volume, "data") &&
	       json_object_object_length(question) == (about ? 2 : 1));
	if (fake->get_error)
		return bc_fail(error, fake->get_error, "volume %s: not now", volume);
	json_object_object_add(answer, "n", json_object_new_int(7));
	fake->asked++;
	*stream = !strcmp(type, "fetch");
	return 0;
}

static void fake_stream(void *arg, const char *volume, const char *peer,
			struct json_object *question, int socket)
{
	struct fake *fake = arg;

	EXPECT(!strcmp(volume, "data") && !strcmp(peer, "g1") && question);
	EXPECT(write(socket, "stream", 6) == 6);
	close(socket);
	fake->streamed++;
}

static int fake_renew(void *arg, const char *volume, const char *link, struct bc_error *error)
{
	struct fake *fake = arg;

	EXPECT(!strcmp(volume, "data") && !strcmp(link, "g2") && !fake->added);
	if (fake->renew_error)
		return bc_fail(error, fake->renew_error, "the link went meanwhile");
	fake->renewed++;
	return 0;
}

static bool fake_allows(void *arg, const char *volume, const char *peer)
{
	struct fake *fake = arg;

	EXPECT(volume[0] && peer[0]);
	return !fake->stranger;
}

/* --- two sides -------------------------------------------------------------------- */

struct side {
	struct fake fake;
	struct handshake_ops ops;
	struct key key, next;	/* next: another one that is taken */
	struct secrets secrets;
	struct session *session;
	bool plain, done, linked, permanent, proved, answered;
	enum handshake_state state;
	long long certificate_ends;	/* of the other side's */
	char reason[BC_ERROR_MAX];
};

static struct side primary, replica;
static const char *primary_name = "g1";
static struct bc_link_config link_config = { .peer = "g2", .timeout_ms = 7000 };
static struct loop *loop;
static const char *replica_name = "g2";
static bool forget, renews;	/* what the primary asks for */
static int spare;	/* a duplicate of the primary's socket */

static void side_done(struct session *session, bool linked, void *owner)
{
	struct side *side = owner;

	side->done = true;
	side->linked = linked;
	side->permanent = session->handshake.permanent;
	side->proved = session->handshake.proved;
	side->answered = session->handshake.answer;
	side->state = session->handshake.state;
	side->certificate_ends = session->handshake.certified.ends;
	strcpy(side->reason, session->handshake.error.text);
	side->session = NULL;
}

static void side_init(struct side *side, uint8_t role)
{
	memset(side, 0, sizeof(*side));
	side->ops = (struct handshake_ops){
		fake_get, fake_link_add, fake_link_del, &side->fake,
		fake_offered, fake_forget, fake_depose, fake_ask, fake_stream, fake_renew,
		fake_allows
	};
	side->key.len = 40;
	memset(side->key.bytes, 'k', side->key.len);
	side->fake.volume = (struct bc_volume){
		.name = "data", .role = role, .term = 3, .sectors = 2048,
		.region_shift = 16, .regions = 16, .reigns = 2,
		.room = 2048, .block = 512,
	};
	memset(side->fake.volume.uuid, 9, 16);
	side->fake.history[0] = (struct blkcast_reign){ htole32(1), { 1 }, htole64(11), 0 };
	side->fake.history[1] = (struct blkcast_reign){
		htole32(3), { 7, 7, 7, 7 }, htole64(33), htole64(blkcast_lsn(1, 500))
	};
	side->fake.speaks = role == BLKCAST_ROLE_REPLICA;
	side->plain = true;
}

static inline void sides_init(void)
{
	side_init(&primary, BLKCAST_ROLE_PRIMARY);
	side_init(&replica, BLKCAST_ROLE_REPLICA);
}

static void side_start(struct side *side, int fd)
{
	bool dials = side == &primary;

	side->secrets.ring = (struct keyring){ .key = { side->key }, .count = !!side->key.len };
	if (side->next.len)
		side->secrets.ring.key[side->secrets.ring.count++] = side->next;
	if (!side->secrets.certs)
		side->secrets.takes_key = true;
	side->session = session_new(loop, side_done, side);
	EXPECT(side->session && !handshake_init(&side->session->handshake, &side->key,
						dials ? primary_name : replica_name,
						&side->ops,
						dials ? "data" : NULL,
						dials ? &link_config : NULL));
	side->session->handshake.forget = dials && forget;
	side->session->handshake.renews = dials && renews;
	if (dials && question) {
		side->session->handshake.question = json_object_new_object();
		json_object_object_add(side->session->handshake.question, "type",
				       json_object_new_string(question));
		if (about)
			json_object_object_add(side->session->handshake.question, "peer",
					       json_object_new_string(about));
	}
	side->session->plain = side->plain;
	side->session->secrets = &side->secrets;
	strcpy(side->session->host, "192.0.2.7");
	session_talk(side->session, fd);
}

static inline void socket_pair(int fds[2])
{
	EXPECT(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds));
}

static void wake_up(void *owner)
{
	*(bool *)owner = true;
}

/* Turn the loop until something is done, at most @ms. */
static void turn_until(const bool *done, int ms)
{
	bool late = false;
	struct timer wake = { .fn = wake_up, .owner = &late };

	loop_timer(loop, &wake, ms);
	while (!*done && !late)
		EXPECT(!loop_turn(loop));
	loop_timer_stop(loop, &wake);
}

/* Run a whole conversation. */
static inline void converse(void)
{
	int fds[2];

	socket_pair(fds);
	spare = dup(fds[0]);
	side_start(&replica, fds[1]);
	side_start(&primary, fds[0]);
	turn_until(&primary.done, 3000);
	turn_until(&replica.done, 3000);
	EXPECT(primary.done && replica.done);
	/* Let what lingers end: the spare keeps the socket open. */
	close(spare);
	for (int i = 0; i < 4; i++) {
		bool never = false;

		if (!primary.linked || !replica.linked)
			turn_until(&never, 30);
	}
}

static inline void expect_refused(const char *says, bool permanent)
{
	converse();
	EXPECT(!primary.linked && !primary.fake.added);
	EXPECT_SAYS(primary.reason, says);
	EXPECT_SAYS(replica.reason, says);
	EXPECT(primary.permanent == permanent);
}

#endif /* TEST_HANDSHAKE_H */
