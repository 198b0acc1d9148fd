// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Two daemons agree: what must succeed, what must be refused and how it is said.
 * What is no handshake at all is in test_handshake_hostile.c.
 */
/* links: tools/daemon/session.c tools/daemon/tls.c tools/daemon/certs.c tools/daemon/key.c tools/daemon/handshake.c tools/daemon/offer.c tools/daemon/proof.c tools/daemon/channel.c */
/* links: tools/daemon/loop.c tools/daemon/resolve.c tools/daemon/json.c */
/* links: tools/lib/kernel_parse.c tools/lib/config.c tools/lib/kernel_names.c tools/lib/util.c tools/lib/error.c */
/* libs: json-c gnutls liburing libmnl inih uuid */
/* flags: -lm -pthread -Wno-format-truncation */
#include "test_handshake.h"

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
		.known = BC_ATTR(BLKCAST_L_CONTACT_NS), .name = "g1",
		.contact_ns = 9000000000ULL
	};
	converse();
	EXPECT(primary.linked && replica.fake.deleted == 1);
	sides_init();
	replica.fake.volume.links = 1;
	replica.fake.links[0].known = BC_ATTR(BLKCAST_L_CONTACT_NS);
	strcpy(replica.fake.links[0].name, "g9");
	expect_refused("live link from g9", false);
	EXPECT(!replica.fake.deleted);
	/* A newer reign takes over, live or not. */
	sides_init();
	replica.fake.volume.links = 1;
	replica.fake.links[0].known = BC_ATTR(BLKCAST_L_CONTACT_NS);
	replica.fake.volume.term = 1;
	replica.fake.volume.reigns = 1;
	converse();
	EXPECT(primary.linked && replica.fake.deleted == 1);
}

/* The primary has dropped it: it makes way however fresh it is, another one's does not. */
static void renewed_link(void)
{
	renews = true;
	sides_init();
	replica.fake.volume.links = 1;
	replica.fake.links[0].known = BC_ATTR(BLKCAST_L_CONTACT_NS);
	strcpy(replica.fake.links[0].name, "g1");
	converse();
	EXPECT(primary.linked && primary.fake.renewed == 1 && replica.fake.deleted == 1);
	sides_init();
	replica.fake.volume.links = 1;
	replica.fake.links[0].known = BC_ATTR(BLKCAST_L_CONTACT_NS);
	strcpy(replica.fake.links[0].name, "g9");
	expect_refused("live link from g9", false);
	EXPECT(!replica.fake.deleted);
	/* Not before the peer has proved itself. */
	sides_init();
	replica.key.bytes[39] = 'x';
	expect_refused("wrong key", true);
	EXPECT(!primary.fake.renewed);
	/* The primary may think better of it. */
	sides_init();
	primary.fake.renew_error = -ENOENT;
	expect_refused("the link went meanwhile", false);
	EXPECT(!replica.fake.offered);
	renews = false;
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
		{ "a link by a new connection", renewed_link },
		{ "wrong key", wrong_key },
		{ "wrong volume, or not up", wrong_volume },
		{ "smaller, larger, other regions", wrong_shape },
		{ "a copy of another size follows if it has room", another_size },
		{ "stale primary, two primaries, split brain", wrong_reign },
		{ "the older term gives way", older_term },
		{ "a deposed primary follows if it has nothing of its own", deposed },
		{ "a kernel refuses, on either side", kernel_refuses },
	};
	struct bc_error error;

	if (loop_new(&loop, &error))
		ksft_exit_fail_msg("%s\n", error.text);
	run_tests(tests, BC_ARRAY_SIZE(tests));
}
