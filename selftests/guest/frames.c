// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * frames: a peer that does not keep to the protocol.
 *
 *	frames run VOLUME		all cases of this end: name, tab, verdict
 *	frames fuzz VOLUME SEED LINKS	well-formed headers, fields by lot
 *	frames reads VOLUME SECTOR FILE	answers to a primary that cannot read 4 KiB
 *					there, which are in FILE
 *
 * The volume's kernel is one end of a link, this program the other.  A case is
 * a row of frames ("shots"), of which all but the last are right and the last
 * is wrong.  It passes if the kernel drops the link at once, for that reason and
 * says so, the volume stays up without a link, and its device holds what it held.
 * A case that is marked "kept" ends in a right frame, and the link must stand.
 *
 * LSNs of shots count from one that the volume will not reach by itself, so no
 * stamp that this program leaves behind equals one of a real primary.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crc32c.h"
#include "frames.h"
#include "peer/peer.h"
#include "peer/told.h"
#include "util.h"

#define FAR		(1ULL << 24)	/* LSNs ahead of the volume */

/* ---- shots ---- */

static uint64_t base_lsn(struct peer *peer)
{
	if (!peer_is_replica(peer))
		return peer->volume.links ? peer->volume.link[0].sent : 0;
	return (peer->volume.lsn | (FAR - 1)) + 1;
}

static uint32_t default_length(const struct shot *shot)
{
	switch (shot->type) {
	case BLKCAST_FRAME_WRITE:
	case BLKCAST_FRAME_REGION:
		return shot->sectors * 512;
	case BLKCAST_FRAME_STAMPS:
		return shot->sectors * 8;
	case BLKCAST_FRAME_HASHES:
		return shot->sectors * BLKCAST_HASH_SIZE;
	case BLKCAST_FRAME_ACK:
		return sizeof(struct blkcast_ack);
	case BLKCAST_FRAME_MEMBERS:
		return shot->length;
	}
	return 0;
}

/* The volume's own stamps, as a replica that has everything would send. */
static int stamps_fill(struct peer *peer, uint64_t *stamps)
{
	uint32_t n = peer->volume.regions;
	int ret = bc_kernel_stamps(peer->kernel, peer->volume.name, NULL, 0, n, stamps,
				   &peer->error);

	for (uint32_t i = 0; i < n; i++)
		stamps[i] = htole64(stamps[i]);
	return ret;
}

static void ack_fill(const struct shot *shot, uint64_t base,
		     struct blkcast_ack *ack)
{
	memset(ack, 0, sizeof(*ack));
	ack->received = htole64(base + shot->received);
	ack->applied = htole64(base + shot->applied);
	ack->durable = htole64(base + shot->durable);
}

/*
 * A right write carries what is there already, a wrong one something else, so
 * that it shows if it is taken.
 */
static int data_fill(struct peer *peer, const struct shot *shot, uint64_t base,
		     int wrong, unsigned char *data, uint32_t length)
{
	uint64_t at = shot->sector * 512;

	if (shot->tamper == DOUBTS)
		memset(data, 0xff, length);
	else if (shot->type == BLKCAST_FRAME_STAMPS)
		return stamps_fill(peer, (uint64_t *)data);
	else if (shot->type == BLKCAST_FRAME_ACK)
		ack_fill(shot, base, (struct blkcast_ack *)data);
	else if (wrong)
		memset(data, 0xa5, length);
	else if (at + length <= peer_bytes(peer))
		memcpy(data, peer->content + at, length);
	return 0;
}

static void frame_tamper(struct blkcast_frame *frame, enum tamper tamper)
{
	switch (tamper) {
	case MAGIC:
		frame->magic = ~frame->magic;
		break;
	case DATA_CRC:
		frame->data_crc = ~frame->data_crc;
		break;
	case TERM:
		frame->term = htole32(le32toh(frame->term) + 1);
		break;
	case OLD_TERM:
		frame->term = htole32(le32toh(frame->term) - 1);
		break;
	case TERM_OF_LSN:
		frame->lsn = htole64(le64toh(frame->lsn) + (1ULL << BLKCAST_SEQ_BITS));
		break;
	case SEQ:
		frame->seq = htole64(le64toh(frame->seq) + 1);
		break;
	case RESERVED:
		frame->reserved = htole32(1);
		break;
	default:
		break;
	}
	frame_seal(frame);
	if (tamper == HEADER_CRC)
		frame->crc = ~frame->crc;
}

static void shot_send(struct peer *peer, const struct shot *shot, uint64_t base,
		      const void *data, uint32_t length)
{
	struct blkcast_frame frame = {
		.magic = htole32(BLKCAST_FRAME_MAGIC),
		.type = htole16(shot->type), .flags = htole16(shot->flags),
		.length = htole32(length), .term = htole32(peer->volume.term),
		.seq = htole64(++peer->seq), .sector = htole64(shot->sector),
		.sectors = htole32(shot->sectors), .time = htole64(bc_now_ns()),
		.lsn = htole64(shot->lsn && peer_is_replica(peer) ?
			       base + shot->lsn : (uint64_t)shot->lsn),
		.data_crc = htole32(length ? bc_crc32c(data, length) : 0),
	};

	frame_tamper(&frame, shot->tamper);
	peer_put(peer, &frame, shot->tamper == CUT_HEADER ? 30 : sizeof(frame));
	if (shot->tamper != CUT_HEADER)
		peer_put(peer, data, shot->tamper == CUT_DATA ? length / 2 : length);
	if (shot->tamper == CUT_HEADER || shot->tamper == CUT_DATA)
		shutdown(peer->fd, SHUT_WR);
}

/* A replica's first frame: it does not know where in the stream it is. */
static void introduce(struct peer *peer)
{
	const struct shot position = {
		.type = BLKCAST_FRAME_POSITION, .sector = peer->volume.sectors
	};

	if (!peer_is_replica(peer))
		shot_send(peer, &position, 0, NULL, 0);
}

/* Write what is there already, and wait until it is sent. */
static int write_here(struct peer *peer)
{
	uint64_t until = bc_now_ns() + PEER_DROP_MS * 1000000ULL;

	if (pwrite(peer->device, peer->content, 4096, 0) != 4096 ||
	    fdatasync(peer->device))
		return bc_fail_errno(&peer->error, -errno, "cannot write");
	do {
		if (peer_refresh(peer) || !peer->volume.links)
			return bc_fail(&peer->error, -1, "dropped too early");
		if (peer->volume.link[0].sent == peer->volume.lsn)
			return 0;
		usleep(10000);
	} while (bc_now_ns() < until);
	return bc_fail(&peer->error, -1, "nothing was sent");
}

/* Read frames until the first of this type is among them. */
static int await(struct peer *peer, uint16_t type, struct blkcast_frame *frame)
{
	struct timeval patience = { .tv_sec = PEER_DROP_MS / 1000 };
	static unsigned char data[BLKCAST_PAYLOAD_MAX];

	setsockopt(peer->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	do {
		if (recv(peer->fd, frame, sizeof(*frame), MSG_WAITALL) !=
		    sizeof(*frame) || le32toh(frame->length) > sizeof(data))
			return bc_fail(&peer->error, -1, "no frame %u came", type);
		if (frame->length &&
		    recv(peer->fd, data, le32toh(frame->length), MSG_WAITALL) <= 0)
			return bc_fail(&peer->error, -1, "half a frame came");
	} while (le16toh(frame->type) != type);
	return 0;
}

static int shoot(struct peer *peer, const struct shot *shot, uint64_t base,
		 int wrong)
{
	static unsigned char data[BLKCAST_PAYLOAD_MAX + 4096];
	struct blkcast_frame frame;
	struct shot full = *shot;
	uint32_t length;

	if (shot->tamper == WRITE_HERE)
		return write_here(peer);
	if (shot->tamper == AWAIT_COMPARE)
		return await(peer, BLKCAST_FRAME_COMPARE, &frame);
	if (shot->tamper == SILENCE)
		return 0;
	if (shot->sectors >= EVERY - 1 && shot->type == BLKCAST_FRAME_STAMPS)
		full.sectors = peer->volume.regions + EVERY - shot->sectors;
	length = shot->length ? shot->length : default_length(&full);
	if (length > sizeof(data))
		length = 0;
	if (data_fill(peer, &full, base, wrong, data, length))
		return -1;
	shot_send(peer, &full, base, data, length);
	return 0;
}

static int shoot_all(struct peer *peer, const struct frame_case *test)
{
	uint64_t base = base_lsn(peer);

	for (int i = 0; i < test->count; i++) {
		int wrong = i == test->count - 1 && !test->kept;

		if (!peer_is_replica(peer))
			base = base_lsn(peer);
		for (uint32_t n = test->shots[i].times ?: 1; n; n--)
			if (shoot(peer, &test->shots[i], base, wrong))
				return -1;
	}
	return 0;
}

/* ---- what the kernel says of it ---- */

#define WHYS_MIN	3	/* at least: it says the same ten times in five seconds, no more */

static struct told told;

static const char *expected_reason(const struct shot *shot)
{
	static const char * const reasons[] = {
		[MAGIC] = "not a frame", [HEADER_CRC] = "bad header checksum",
		[DATA_CRC] = "bad data checksum", [TERM] = "another term",
		[OLD_TERM] = "another term", [SEQ] = "frame out of sequence",
		[RESERVED] = "reserved field not zero",
	};

	if (shot->length > BLKCAST_PAYLOAD_MAX)
		return "frame too long";
	return shot->tamper < BC_ARRAY_SIZE(reasons) && reasons[shot->tamper] ?
	       reasons[shot->tamper] : "refused frame";
}

/* Has the link ended because of the last shot?  What is wrong, or NULL. */
static const char *judge_reason(const struct frame_case *test)
{
	const struct shot *shot = &test->shots[test->count - 1];
	/* A size for which there is no room may come again when there is. */
	int roomless = shot->type == BLKCAST_FRAME_SIZE && shot->sector >= 1ULL << 40;
	static char wrong[512];

	if (told_read(&told))
		return "the log does not say that the link is down";
	/* It ends without a wrong frame, or the peer itself tells why. */
	if (test->kept || shot->tamper >= CUT_HEADER || shot->type == BLKCAST_FRAME_ERROR)
		return told.why[0] ? "the link ends by a wrong frame" : NULL;
	snprintf(wrong, sizeof(wrong), "down (%d), for: %s", told.error, told.why);
	if (told.error != (roomless ? -ENOSPC : -EPROTO))
		return wrong;
	return told.why[0] &&
	       strncmp(told.why, expected_reason(shot), strlen(expected_reason(shot))) ?
	       wrong : NULL;
}

/* ---- verdicts ---- */

/* What is wrong, or NULL. */
static const char *judge(struct peer *peer, const struct frame_case *test)
{
	int silent = test->shots[0].tamper == SILENCE, gone;

	if (peer_link(peer, silent ? 1000 : 60000, BLKCAST_F_READS))
		return peer->error.text;
	if (!test->bare)
		introduce(peer);
	if (shoot_all(peer, test))
		return peer->error.text;
	gone = peer_dropped(peer, test->kept ? 300 : PEER_DROP_MS);
	if (gone == test->kept)
		return gone ? "the link was dropped" : "the link still stands";
	close(peer->fd);
	if (!peer_links_gone(peer))
		return "the link does not go";
	return peer_same(peer) ? judge_reason(test) : "the content has changed";
}

static int run(const char *volume)
{
	const struct frame_case *test;
	struct peer peer;

	if (peer_open(&peer, volume) || peer_load(&peer, peer.device))
		return printf("%s\n", peer.error.text), 1;
	if (told_open(&told))
		return printf("no log\n"), 1;
	test = peer_is_replica(&peer) ? replica_cases : primary_cases;
	for (; test->name; test++) {
		const char *wrong = judge(&peer, test);

		printf("%s\t%s\n", test->name, wrong ? wrong : "good");
		fflush(stdout);
		if (!wrong)
			continue;
		close(peer.fd);
		if (!peer_links_gone(&peer))
			return 1;
		told_skip(&told);
	}
	return told.whys < WHYS_MIN;
}

/* ---- answers to READ ---- */

/* All stamps are equal, and the replica says that it has done what it should. */
static int become_in_sync(struct peer *peer)
{
	const struct shot stamps = { .type = BLKCAST_FRAME_STAMPS, .flags = LAST,
				     .sectors = EVERY };
	struct shot done = { .type = BLKCAST_FRAME_DONE_OK };
	struct blkcast_frame frame;

	introduce(peer);
	if (shoot(peer, &stamps, 0, 0) || await(peer, BLKCAST_FRAME_DONE, &frame))
		return -1;
	done.lsn = le64toh(frame.lsn);
	return shoot(peer, &done, 0, 0);
}

/* A reader on its own: its exit status is that of judge_reader(). */
static pid_t reader(struct peer *peer, uint64_t at)
{
	unsigned char *data;
	pid_t pid = fork();

	if (pid)
		return pid;
	if (posix_memalign((void **)&data, 4096, 4096))
		_exit(3);
	if (pread(peer->device, data, 4096, at) != 4096)
		_exit(1);
	_exit(memcmp(data, peer->content + at, 4096) ? 2 : 0);
}

static const char *judge_reader(pid_t pid, int served)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return "the reader is lost";
	if (WEXITSTATUS(status) == 2)
		return "the reader got something else";
	return WEXITSTATUS(status) == !served ? NULL : "the reader fared otherwise";
}

static void answer_send(struct peer *peer, const struct read_answer *answer,
			const struct blkcast_frame *asked)
{
	uint64_t at = le64toh(asked->sector) * 512;
	static unsigned char wrong[16384];
	struct shot shot = {
		.type = BLKCAST_FRAME_DATA, .flags = answer->flags,
		.tamper = answer->tamper,
		.lsn = le64toh(asked->seq) + answer->number,
		.sector = le64toh(asked->sector) + answer->sector,
		.sectors = answer->sectors,
	};

	memset(wrong, 0xa5, sizeof(wrong));
	shot_send(peer, &shot, 0, answer->served ? peer->content + at : wrong,
		  answer->length);
}

static const char *judge_answer(struct peer *peer, const struct read_answer *answer,
				uint64_t sector)
{
	struct blkcast_frame asked;
	const char *wrong;
	pid_t pid;

	if (peer_link(peer, 60000, BLKCAST_F_READS) || become_in_sync(peer))
		return peer->error.text;
	while (!peer_refresh(peer) && peer->volume.links &&
	       peer->volume.link[0].state < BLKCAST_LINK_JOINING)
		usleep(10000);
	pid = reader(peer, sector * 512);
	if (await(peer, BLKCAST_FRAME_READ, &asked))
		return peer->error.text;
	for (int i = 0; i < answer->times; i++)
		answer_send(peer, answer, &asked);
	if (peer_dropped(peer, answer->kept ? 300 : PEER_DROP_MS) == answer->kept)
		return answer->kept ? "the link was dropped" : "the link still stands";
	wrong = judge_reader(pid, answer->served);
	close(peer->fd);
	return wrong ? wrong : peer_links_gone(peer) ? NULL : "the link does not go";
}

static int reads(const char *volume, uint64_t sector, const char *path)
{
	int file = open(path, O_RDONLY), bad = 0;
	struct peer peer;

	if (peer_open(&peer, volume) || peer_load(&peer, file))
		return printf("%s\n", peer.error.text), 1;
	for (const struct read_answer *a = read_answers; a->name; a++) {
		const char *wrong = judge_answer(&peer, a, sector);

		printf("%s\t%s\n", a->name, wrong ? wrong : "good");
		fflush(stdout);
		bad |= !!wrong;
		if (wrong)
			close(peer.fd);
		if (!peer_links_gone(&peer))
			return 1;
	}
	return bad;
}

/* ---- by lot ---- */

static const uint16_t types[] = {
	BLKCAST_FRAME_WRITE, BLKCAST_FRAME_ZEROES, BLKCAST_FRAME_FLUSH,
	BLKCAST_FRAME_NOP, BLKCAST_FRAME_GAP, BLKCAST_FRAME_REGION,
	BLKCAST_FRAME_FORGET, BLKCAST_FRAME_DONE, BLKCAST_FRAME_PING,
	BLKCAST_FRAME_COMPARE, BLKCAST_FRAME_MAP, BLKCAST_FRAME_MEMBERS,
	BLKCAST_FRAME_HANDOVER, BLKCAST_FRAME_READ,
};

static const uint16_t answers[] = {
	BLKCAST_FRAME_STAMPS, BLKCAST_FRAME_ACK, BLKCAST_FRAME_DONE_OK,
	BLKCAST_FRAME_ERROR, BLKCAST_FRAME_POSITION, BLKCAST_FRAME_HASHES,
	BLKCAST_FRAME_HANDED, BLKCAST_FRAME_DATA,
};

static struct shot random_shot(struct peer *peer, int64_t *lsn)
{
	static const uint32_t sizes[] = { 0, 1, 8, 64, 127, 128, 129, 512, EVERY };
	int replica = peer_is_replica(peer);
	struct shot shot = {
		.type = replica ? types[random() % BC_ARRAY_SIZE(types)] :
			answers[random() % BC_ARRAY_SIZE(answers)],
		.flags = random() % 8, .lsn = *lsn += random() % 8 != 0,
		.sector = random() % (random() % 4 ? peer->volume.sectors + 64 : 16),
		.sectors = sizes[random() % BC_ARRAY_SIZE(sizes)],
		.received = random() % 3 - 1, .applied = random() % 3 - 1,
		.tamper = random() % 64 ? RIGHT : random() % SILENCE,
	};

	if (shot.type == BLKCAST_FRAME_REGION && random() % 4)
		shot.flags = FIRST | LAST, shot.sectors = REGION;
	if (shot.type == BLKCAST_FRAME_STAMPS && random() % 2)
		shot.sector = 0, shot.sectors = EVERY, shot.flags = LAST;
	if (shot.type == BLKCAST_FRAME_PING || shot.type == BLKCAST_FRAME_COMPARE)
		shot.lsn = 0;
	if (shot.type == BLKCAST_FRAME_FORGET ||
	    shot.type == BLKCAST_FRAME_COMPARE ||
	    shot.type == BLKCAST_FRAME_HASHES)
		shot.sector %= peer->volume.regions + 1;
	return shot;
}

static int fuzz(const char *volume, unsigned int seed, int links)
{
	struct peer peer;

	srandom(seed);
	if (peer_open(&peer, volume) || peer_load(&peer, peer.device))
		return printf("%s\n", peer.error.text), 1;
	while (links--) {
		uint64_t base = base_lsn(&peer);
		int64_t lsn = 0;

		if (peer_link(&peer, 10000, BLKCAST_F_READS))
			return printf("%s\n", peer.error.text), 1;
		if (random() % 8)
			introduce(&peer);
		for (int i = random() % 40; i; i--) {
			struct shot shot = random_shot(&peer, &lsn);

			if (shoot(&peer, &shot, base, 1))
				return printf("%s\n", peer.error.text), 1;
		}
		close(peer.fd);
		if (!peer_links_gone(&peer))
			return printf("link does not go: %s\n", peer.error.text), 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "run"))
		return run(argv[2]);
	if (argc == 5 && !strcmp(argv[1], "reads"))
		return reads(argv[2], strtoull(argv[3], NULL, 0), argv[4]);
	if (argc == 5 && !strcmp(argv[1], "fuzz"))
		return fuzz(argv[2], strtoul(argv[3], NULL, 0), atoi(argv[4]));
	return 2;
}
