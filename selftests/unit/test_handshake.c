// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two daemons agree over a socket pair, with a kernel that is a struct: what
 * must succeed, what must be refused and how it is said, and that garbage of
 * all kinds ends in an error and nowhere else.
 */
/* links: tools/daemon/session.c tools/daemon/tls.c tools/daemon/handshake.c tools/daemon/offer.c tools/daemon/proof.c tools/daemon/channel.c */
/* links: tools/daemon/loop.c tools/daemon/resolve.c tools/daemon/json.c tools/daemon/key.c */
/* links: tools/lib/kernel_parse.c tools/lib/config.c tools/lib/kernel_names.c tools/lib/util.c tools/lib/error.c */
/* libs: json-c gnutls liburing libmnl inih uuid */
/* flags: -lm -pthread -Wno-format-truncation */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../tools/daemon/session.h"
#include "blkcast_wire.h"
#include "expect.h"
#include "util.h"

/* --- a kernel -------------------------------------------------------------------- */

/**
 * struct fake - one side's kernel
 * @volume: what GET answers
 * @get_error, @add_error: to be answered instead
 * @added, @deleted: how often LINK_ADD and LINK_DEL succeeded
 * @forget_error, @forgotten: of the copy that is to be given up
 * @offered: how often a primary has offered; @offer: the last
 * @asked, @streamed: how often a question came, and one for a stream
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
	bool open;
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

/* --- two sides -------------------------------------------------------------------- */

static int fake_ask(void *arg, const char *volume, const char *type,
		    struct json_object *question, struct json_object *answer, bool *stream,
		    struct bc_error *error)
{
	struct fake *fake = arg;

	if (strcmp(type, "describe") && strcmp(type, "fetch"))
		return -ENOMSG;
	EXPECT(!strcmp(volume, "data") && json_object_object_length(question) == 1);
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

struct side {
	struct fake fake;
	struct handshake_ops ops;
	struct key key;
	struct session *session;
	bool plain, done, linked, permanent, proved, answered;
	enum handshake_state state;
	char reason[BC_ERROR_MAX];
};

static struct side primary, replica;
static struct bc_link_config link_config = { .peer = "g2", .timeout_ms = 7000 };
static struct loop *loop;
static const char *replica_name = "g2";
static bool forget;	/* what the primary asks for */
static const char *question;	/* the same */
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
	strcpy(side->reason, session->handshake.error.text);
	side->session = NULL;
}

static void side_init(struct side *side, uint8_t role)
{
	memset(side, 0, sizeof(*side));
	side->ops = (struct handshake_ops){
		fake_get, fake_link_add, fake_link_del, &side->fake,
		fake_offered, fake_forget, fake_depose, fake_ask, fake_stream
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

static void sides_init(void)
{
	side_init(&primary, BLKCAST_ROLE_PRIMARY);
	side_init(&replica, BLKCAST_ROLE_REPLICA);
}

static void side_start(struct side *side, int fd)
{
	bool dials = side == &primary;

	side->session = session_new(loop, side_done, side);
	EXPECT(side->session && !handshake_init(&side->session->handshake, &side->key,
						dials ? "g1" : replica_name,
						&side->ops,
						dials ? "data" : NULL,
						dials ? &link_config : NULL));
	side->session->handshake.forget = dials && forget;
	if (dials && question) {
		side->session->handshake.question = json_object_new_object();
		json_object_object_add(side->session->handshake.question, "type",
				       json_object_new_string(question));
	}
	side->session->plain = side->plain;
	session_talk(side->session, fd);
}

static void socket_pair(int fds[2])
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
static void converse(void)
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

static void expect_refused(const char *says, bool permanent)
{
	converse();
	EXPECT(!primary.linked && !primary.fake.added);
	EXPECT_SAYS(primary.reason, says);
	EXPECT_SAYS(replica.reason, says);
	EXPECT(primary.permanent == permanent);
}

/* --- what succeeds ------------------------------------------------------------------ */

static void agree(void)
{
	uint32_t head = 0;
	int fds[2];

	sides_init();
	socket_pair(fds);
	spare = dup(fds[0]);
	side_start(&replica, fds[1]);
	side_start(&primary, fds[0]);
	turn_until(&primary.done, 3000);
	EXPECT(primary.linked && replica.linked);
	EXPECT(primary.fake.added == 1 && replica.fake.added == 1);
	EXPECT(primary.fake.last.term == 3 && !primary.fake.last.history);
	EXPECT(primary.fake.last.node && !replica.fake.last.node);
	EXPECT(replica.fake.last.term == 3 && replica.fake.last.reigns == 2);
	EXPECT(replica.fake.last.timeout_ms == 7000);
	/* Not a byte of the kernel's frame was taken. */
	EXPECT(read(spare, &head, sizeof(head)) == sizeof(head));
	EXPECT(le32toh(head) == BLKCAST_FRAME_MAGIC);
	close(spare);
}

static void stale_link_makes_way(void)
{
	sides_init();
	replica.fake.volume.links = 1;
	replica.fake.links[0] = (struct bc_link){
		.known = 1ULL << BLKCAST_L_CONTACT_NS, .name = "g1",
		.contact_ns = 9000000000ULL
	};
	converse();
	EXPECT(primary.linked && replica.fake.deleted == 1);
	sides_init();
	replica.fake.volume.links = 1;
	replica.fake.links[0].known = 1ULL << BLKCAST_L_CONTACT_NS;
	strcpy(replica.fake.links[0].name, "g9");
	expect_refused("live link from g9", false);
	EXPECT(!replica.fake.deleted);
	/* A newer reign takes over, live or not. */
	sides_init();
	replica.fake.volume.links = 1;
	replica.fake.links[0].known = 1ULL << BLKCAST_L_CONTACT_NS;
	replica.fake.volume.term = 1;
	replica.fake.volume.reigns = 1;
	converse();
	EXPECT(primary.linked && replica.fake.deleted == 1);
}

static void fresh_copy_follows(void)
{
	sides_init();
	replica.fake.volume.term = 0;
	replica.fake.volume.reigns = 0;
	converse();
	EXPECT(primary.linked && replica.linked);
}

/* A READ goes out only where both kernels know it. */
static void features_are_common(void)
{
	for (int here = 0; here < 2; here++)
		for (int there = 0; there < 2; there++) {
			uint32_t both = here && there ? BLKCAST_F_READS : 0;

			sides_init();
			primary.fake.volume.flags = here ? BLKCAST_F_READS : 0;
			replica.fake.volume.flags = there ? BLKCAST_F_READS : 0;
			converse();
			EXPECT(primary.linked && replica.linked);
			EXPECT((primary.fake.last.flags & BLKCAST_F_READS) == both);
			EXPECT((replica.fake.last.flags & BLKCAST_F_READS) == both);
		}
}

/* Whether the copy can take it or not. */
static void offers_are_told(void)
{
	sides_init();
	replica.fake.get_error = -ENODEV;
	expect_refused("not up on g2", false);
	EXPECT(replica.fake.offered == 1 && replica.fake.offer.bytes == 2048 * 512);
	sides_init();
	replica.key.bytes[39] = 'x';
	converse();
	EXPECT(!replica.fake.offered);
}

/* --- questions of a host that joins --------------------------------------------------- */

static void ask(const char *what)
{
	question = what;
	converse();
	question = NULL;
	EXPECT(!primary.linked && !replica.linked);
	EXPECT(!primary.fake.added && !replica.fake.added && !replica.fake.offered);
}

static void questions_are_answered(void)
{
	sides_init();
	ask("describe");
	EXPECT(primary.state == HANDSHAKE_DONE && primary.answered);
	EXPECT(replica.fake.asked == 1 && !replica.fake.streamed);
	sides_init();
	ask("fetch");
	EXPECT(primary.state == HANDSHAKE_DONE && primary.answered);
	EXPECT(replica.fake.asked == 1 && replica.fake.streamed == 1);
}

static void questions_are_refused(void)
{
	sides_init();
	ask("tell-all");
	EXPECT_SAYS(primary.reason, "offer expected");
	sides_init();
	replica.fake.get_error = -EBUSY;
	ask("fetch");
	EXPECT_SAYS(primary.reason, "not now");
	EXPECT(!replica.fake.streamed && !primary.answered);
	sides_init();
	replica.key.bytes[0] ^= 1;
	ask("describe");
	EXPECT_SAYS(primary.reason, "wrong key");
	EXPECT(!replica.fake.asked && !primary.answered);
	sides_init();
	replica.ops.ask = NULL;
	ask("describe");
	EXPECT_SAYS(primary.reason, "offer expected");
}

/* --- giving a copy up ------------------------------------------------------------------- */

static void forget_converse(void)
{
	forget = true;
	converse();
	forget = false;
	EXPECT(!primary.linked && !replica.linked);
	EXPECT(!primary.fake.added && !replica.fake.added);
}

static void forget_succeeds(void)
{
	sides_init();
	forget_converse();
	EXPECT(replica.fake.forgotten == 1);
	EXPECT(primary.state == HANDSHAKE_DONE && replica.state == HANDSHAKE_DONE);
}

static void expect_kept(const char *says)
{
	forget_converse();
	EXPECT(!replica.fake.forgotten && primary.state == HANDSHAKE_FAILED);
	EXPECT_SAYS(primary.reason, says);
}

static void forget_refused(void)
{
	sides_init();
	replica.fake.forget_error = -EBUSY;
	expect_kept("it is open here");
	EXPECT(primary.proved);
	sides_init();
	replica.ops.forget = NULL;
	expect_kept("gives no copies up");
	/* Without the key nobody is told to give anything up. */
	sides_init();
	primary.key.bytes[39] = 'x';
	expect_kept("wrong key");
	EXPECT(!primary.proved);
	/* No primary any more. */
	sides_init();
	primary.fake.volume.role = BLKCAST_ROLE_REPLICA;
	expect_kept("no longer primary");
	/* Another host at that address. */
	sides_init();
	replica_name = "g9";
	expect_kept("the host at the address of g2 is g9");
	replica_name = "g2";
	EXPECT(primary.proved);
}

/* --- what is refused ----------------------------------------------------------------- */

static void wrong_key(void)
{
	sides_init();
	replica.key.bytes[39] = 'x';
	expect_refused("wrong key", true);
	sides_init();
	replica.key.len--;
	expect_refused("wrong key", true);
}

static void wrong_volume(void)
{
	sides_init();
	replica.fake.volume.uuid[0] = 1;
	expect_refused("wrong volume", true);
	sides_init();
	strcpy(replica.fake.volume.name, "other");
	expect_refused("not up on g2", false);
	sides_init();
	replica.fake.get_error = -EBUSY;
	expect_refused("not now", false);
}

static void wrong_shape(void)
{
	sides_init();
	replica.fake.volume.room = 2047;
	expect_refused("enlarge them on g2", false);
	sides_init();
	replica.fake.volume.block = 4096;
	expect_refused("blocks of 4096", true);
	sides_init();
	replica.fake.volume.region_shift = 17;
	expect_refused("regions of 128 KiB", true);
}

/* The kernels see to it. */
static void another_size(void)
{
	sides_init();
	replica.fake.volume.sectors = 8;
	replica.fake.volume.regions = 1;
	converse();
	EXPECT(primary.linked && replica.linked);
	sides_init();
	replica.fake.volume.sectors = 4096;
	replica.fake.volume.room = 4096;
	primary.fake.volume.block = 4096;
	converse();
	EXPECT(primary.linked && replica.linked);
}

static void wrong_reign(void)
{
	sides_init();
	replica.fake.volume.term = 4;
	expect_refused("stale primary", true);
	sides_init();
	replica.fake.volume.role = BLKCAST_ROLE_PRIMARY;
	expect_refused("both hosts are primary", false);
	sides_init();
	replica.fake.history[1].reign = htole64(34);
	expect_refused("split brain", true);
	sides_init();
	replica.fake.history[0].reign = htole64(12);
	expect_refused("split brain", true);
}

static void expect_deposed(uint32_t here, uint32_t there)
{
	EXPECT(primary.fake.deposed == here && replica.fake.deposed == there);
}

/* Of two terms the older one gives way, on either side; nobody else does. */
static void older_term(void)
{
	sides_init();
	replica.fake.volume.term = 4;
	expect_refused("stale primary", true);
	expect_deposed(4, 0);
	sides_init();
	replica.fake.volume.term = 4;
	replica.fake.volume.role = BLKCAST_ROLE_PRIMARY;
	expect_refused("both hosts are primary", false);
	expect_deposed(4, 0);
	sides_init();
	replica.fake.volume.role = BLKCAST_ROLE_PRIMARY;
	expect_refused("both hosts are primary", false);
	expect_deposed(0, 0);
	sides_init();
	replica.fake.volume.role = BLKCAST_ROLE_PRIMARY;
	replica.fake.volume.term = 2;
	replica.fake.open = true;
	expect_refused("both hosts are primary", false);
	expect_deposed(0, 3);
	replica.fake.open = false;
	converse();
	EXPECT(primary.linked && replica.linked);
	/* What another volume, or somebody without the key, says is nothing. */
	sides_init();
	replica.fake.volume.term = 4;
	replica.fake.volume.uuid[0] = 1;
	expect_refused("wrong volume", true);
	expect_deposed(0, 0);
	sides_init();
	replica.fake.volume.term = 4;
	replica.key.bytes[39] = 'x';
	expect_refused("wrong key", true);
	expect_deposed(0, 0);
	/* It has been told to give its own reigns up. */
	sides_init();
	replica.fake.volume.term = 4;
	replica.fake.volume.super_flags = BLKCAST_SUPER_DISCARD;
	converse();
	EXPECT(primary.linked && replica.linked);
	expect_deposed(0, 0);
}

/* A primary of term 1 comes back; the other goes on from 1.500 with term 3. */
static void deposed_init(uint32_t flags, uint64_t lsn)
{
	sides_init();
	replica.fake.volume.super_flags = BLKCAST_SUPER_OWN | flags;
	replica.fake.volume.reigns = 1;
	replica.fake.volume.term = 1;
	replica.fake.volume.lsn = lsn;
}

static void expect_follows(void)
{
	converse();
	EXPECT(primary.linked && replica.linked);
}

static void deposed(void)
{
	/* It ended well and has no more than the other inherited. */
	deposed_init(0, blkcast_lsn(1, 500));
	expect_follows();
	deposed_init(0, blkcast_lsn(1, 501));
	expect_refused("may hold acknowledged writes", true);
	/* It crashed: what it wrote is not known. */
	deposed_init(BLKCAST_SUPER_PRIMARY, blkcast_lsn(1, 400));
	expect_refused("blkcast replica data --discard-mine' on g2", true);
	deposed_init(0, blkcast_lsn(1, 400));
	replica.fake.volume.doubt = 1;
	expect_refused("may hold acknowledged writes", true);
	/* Its successor was in the in-sync set to the end. */
	deposed_init(BLKCAST_SUPER_PRIMARY, blkcast_lsn(1, 501));
	replica.fake.volume.members = 2;
	memset(replica.fake.volume.member[1], 7, 16);
	expect_follows();
	/* ... somebody else was its successor, whoever reigns now. */
	deposed_init(BLKCAST_SUPER_PRIMARY, blkcast_lsn(1, 501));
	replica.fake.volume.members = 1;
	memset(replica.fake.volume.member[0], 7, 16);
	primary.fake.volume.reigns = 3;
	primary.fake.history[2] = primary.fake.history[1];
	primary.fake.history[1] = (struct blkcast_reign){
		htole32(2), { 5 }, htole64(22), htole64(blkcast_lsn(1, 300))
	};
	expect_refused("split brain", true);
	/* ... whoever came later has nothing of the successor. */
	deposed_init(BLKCAST_SUPER_PRIMARY, blkcast_lsn(1, 501));
	replica.fake.volume.members = 1;
	memset(replica.fake.volume.member[0], 7, 16);
	primary.fake.volume.reigns = 3;
	primary.fake.volume.term = 4;
	primary.fake.history[2] = (struct blkcast_reign){
		htole32(4), { 5 }, htole64(44), htole64(blkcast_lsn(1, 300))
	};
	expect_refused("split brain", true);
	primary.fake.history[2].inherited = htole64(blkcast_lsn(3, 2));
	expect_follows();
	/* The least that was inherited counts. */
	deposed_init(0, blkcast_lsn(1, 400));
	primary.fake.volume.reigns = 3;
	primary.fake.volume.term = 4;
	primary.fake.history[2] = (struct blkcast_reign){
		htole32(4), { 5 }, htole64(44), htole64(blkcast_lsn(1, 300))
	};
	expect_refused("split brain", true);
	/* ... the successor never followed this reign. */
	deposed_init(BLKCAST_SUPER_PRIMARY, blkcast_lsn(2, 1));
	replica.fake.volume.members = 1;
	memset(replica.fake.volume.member[0], 7, 16);
	replica.fake.volume.reigns = 2;
	replica.fake.volume.term = 2;
	replica.fake.history[1].term = htole32(2);
	expect_refused("split brain", true);
	/* The other does not know of this copy's newest reign. */
	deposed_init(0, blkcast_lsn(4, 2));
	replica.fake.volume.reigns = 3;
	replica.fake.volume.term = 4;
	replica.fake.history[2] = (struct blkcast_reign){
		htole32(4), { 2 }, htole64(44), htole64(blkcast_lsn(3, 7))
	};
	expect_refused("split brain", true);
	/* The operator's word, whatever the terms. */
	deposed_init(BLKCAST_SUPER_PRIMARY | BLKCAST_SUPER_DISCARD, blkcast_lsn(9, 1));
	replica.fake.volume.term = 9;
	expect_follows();
	/* Somebody else's reign is no reason to ask. */
	deposed_init(0, blkcast_lsn(1, 900));
	replica.fake.volume.super_flags = 0;
	expect_follows();
}

static void kernel_refuses(void)
{
	sides_init();
	replica.fake.add_error = -EBUSY;
	expect_refused("the kernel does not like it", false);
	sides_init();
	primary.fake.add_error = -EBUSY;
	converse();
	EXPECT(!primary.linked && replica.linked);
	sides_init();
	primary.fake.get_error = -ENODEV;
	expect_refused("not now", false);
	sides_init();
	primary.fake.volume.role = BLKCAST_ROLE_REPLICA;
	expect_refused("no longer primary", false);
}

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

/* What one side sends is changed by one bit on its way: never a link. */
static void relay(int from, int to, size_t *passed, size_t flip_at)
{
	uint8_t bytes[4096];
	ssize_t n = recv(from, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n <= 0)
		return;
	if (flip_at >= *passed && flip_at < *passed + n)
		bytes[flip_at - *passed] ^= 1;
	*passed += n;
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
	socket_pair(a);
	socket_pair(b);
	side_start(&replica, b[1]);
	side_start(&primary, a[0]);
	until = bc_now_ns() + 300 * 1000000ULL;
	while ((!primary.done || !replica.done) && bc_now_ns() < until) {
		turn_until(&never, 1);
		relay(a[1], b[0], &forth, flip_forth);
		relay(b[0], a[1], &back, flip_back);
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

/* --- dialing and the key ------------------------------------------------------------------ */

static void nobody_there(void)
{
	struct bc_address address = { "127.0.0.1", "1" };

	sides_init();
	primary.session = session_new(loop, side_done, &primary);
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

static int key_from(const char *text, mode_t mode, struct bc_error *error)
{
	char path[] = "/tmp/blkcast-key-XXXXXX";
	int fd = mkstemp(path), ret;
	struct key key;

	EXPECT(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	EXPECT(!fchmod(fd, mode));
	close(fd);
	ret = key_load(&key, path, error);
	unlink(path);
	return ret;
}

static void key_files(void)
{
	static const char good[] = "0123456789abcdef0123456789abcdef0123456789abcdef\n";
	struct bc_error error;

	EXPECT(!key_from(good, 0600, &error));
	EXPECT(!key_from(good, 0400, &error));
	EXPECT(key_from(good, 0640, &error) == -EPERM);
	EXPECT_SAYS(error.text, "chmod 600");
	EXPECT(key_from(good, 0604, &error) == -EPERM);
	EXPECT(key_from("short\n", 0600, &error) == -EINVAL);
	EXPECT(key_from("", 0600, &error) == -EINVAL);
	EXPECT(key_from("two words that are long enough to be a key\n", 0600, &error) ==
	       -EINVAL);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "an offer is told, whether it can be taken or not", offers_are_told },
		{ "a host that joins is answered, and streamed to", questions_are_answered },
		{ "not without the key, and not what is no question", questions_are_refused },
		{ "a copy is given up on the primary's word", forget_succeeds },
		{ "and kept if it cannot be, or another one is meant", forget_refused },
		{ "two sides agree, the first frame is left to the kernel", agree },
		{ "a fresh copy follows", fresh_copy_follows },
		{ "a link has what both kernels know", features_are_common },
		{ "a stale link makes way, a live one does not", stale_link_makes_way },
		{ "wrong key", wrong_key },
		{ "wrong volume, or not up", wrong_volume },
		{ "smaller, larger, other regions", wrong_shape },
		{ "a copy of another size follows if it has room", another_size },
		{ "stale primary, two primaries, split brain", wrong_reign },
		{ "the older term gives way", older_term },
		{ "a deposed primary follows if it has nothing of its own", deposed },
		{ "a kernel refuses, on either side", kernel_refuses },
		{ "messages that are none", garbage },
		{ "lengths out of range", wrong_lengths },
		{ "messages cut short", cut_short },
		{ "noise", noise },
		{ "a bit changed on the way is noticed", tampering },
		{ "a mirror proves nothing", reflection },
		{ "nobody answers", nobody_there },
		{ "a name that does not exist", name_unknown },
		{ "TLS with the right key", tls_right_key },
		{ "TLS with a wrong key", tls_wrong_key },
		{ "no TLS where it is asked for", tls_is_asked_for },
		{ "TLS that is none", tls_garbage },
		{ "key files", key_files },
	};
	struct bc_error error;

	if (loop_new(&loop, &error))
		ksft_exit_fail_msg("%s\n", error.text);
	run_tests(tests, BC_ARRAY_SIZE(tests));
}
