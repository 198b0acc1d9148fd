// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * records: a peer that has the keys, and lies in the records of TLS.
 *
 *	records run REPLICA PRIMARY	all cases, at both ends: name, tab, verdict
 *	records flood VOLUME		records without content, faster than they are taken:
 *					the link ends
 *	records unlink VOLUME		the same: it can be taken away
 *
 * The keys are put on both ends of a socket as by the daemons after their handshake.  One
 * end is a volume's kernel's; what comes from there this kernel's TLS takes apart, what
 * goes there this program makes itself, byte by byte.  A lie passes if the kernel drops
 * the link for that reason and says so, unless it has just said the like ten times.
 */
#include <endian.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <linux/tls.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "peer/liar.h"
#include "peer/told.h"
#include "records.h"
#include "sockets.h"
#include "util.h"

#define FAR		(1ULL << 24)	/* LSNs ahead of the volume: no primary's own */
#define FRAME		sizeof(struct blkcast_frame)
#define PART		30		/* bytes of a frame's header */
#define RATE		10		/* reasons of a kind in RATE_US */
#define RATE_US		5000000
#define JITTER_US	100000
#define TIMEOUT_MS	1000		/* of a link under a flood */
#define FLOOD_RECORDS	300		/* by then it is one */

/* ---- records ---- */

struct records {
	gnutls_aead_cipher_hd_t cipher;
	struct tls12_crypto_info_chacha20_poly1305 key;
	uint64_t seq;
	struct shape shape;
	size_t left;			/* bytes of frames that still go out */
	uint8_t last[RECORD_BYTES];
	size_t last_bytes;
};

static struct records records;

/* @data and then @rest, which has the type and the padding.  Bytes in @record. */
static size_t record_seal(struct records *r, uint8_t *record, const void *data, size_t length,
			  const void *rest, size_t rest_length)
{
	size_t sealed = length + rest_length + RECORD_TAG;
	uint8_t inner[RECORD_BYTES], nonce[sizeof(r->key.iv)];
	uint64_t seq = htobe64(r->seq++);

	memcpy(inner, data, length);
	memcpy(inner + length, rest, rest_length);
	memcpy(nonce, r->key.iv, sizeof(nonce));
	for (size_t i = 0; i < sizeof(seq); i++)
		nonce[sizeof(nonce) - sizeof(seq) + i] ^= ((uint8_t *)&seq)[i];
	memcpy(record, (uint8_t[]){ RECORD_DATA, 3, 3, sealed >> 8, sealed }, RECORD_HEAD);
	if (gnutls_aead_cipher_encrypt(r->cipher, nonce, sizeof(nonce), record, RECORD_HEAD,
				       RECORD_TAG, inner, length + rest_length,
				       record + RECORD_HEAD, &sealed))
		abort();
	return RECORD_HEAD + sealed;
}

static size_t record_make(struct records *r, uint8_t *record, uint8_t type,
			  const void *data, size_t length, size_t padding)
{
	uint8_t rest[1 + RECORD_MAX] = { type };

	return record_seal(r, record, data, length, rest, 1 + padding);
}

static void record_put(struct peer *peer, uint8_t type, const void *data, size_t length)
{
	struct records *r = &records;

	r->last_bytes = record_make(r, r->last, type, data, length, r->shape.padding);
	peer_put_bare(peer, r->last, r->last_bytes);
}

/* What a frame is made of, in records of data. */
static void wrap(struct peer *peer, const void *data, size_t length)
{
	struct records *r = &records;
	size_t n;

	for (; length && r->left; length -= n, data = (const char *)data + n) {
		n = length < r->shape.bytes ? length : r->shape.bytes;
		n = n < r->left ? n : r->left;
		for (unsigned int i = 0; i < r->shape.empties; i++)
			record_put(peer, RECORD_DATA, NULL, 0);
		record_put(peer, RECORD_DATA, data, n);
		r->left -= n;
	}
}

static int give_key(int fd, int direction, struct tls12_crypto_info_chacha20_poly1305 *key)
{
	return setsockopt(fd, SOL_TLS, direction, key, sizeof(*key));
}

/* Two keys, one for each direction; ours to send with is not for the kernel. */
static int secure(struct peer *peer, const int ends[2])
{
	struct tls12_crypto_info_chacha20_poly1305 ours = {
		.info = { TLS_1_3_VERSION, TLS_CIPHER_CHACHA20_POLY1305 },
		.iv = "our own ways", .key = "what we say is behind this key.",
	}, theirs = {
		.info = ours.info, .iv = "their things", .key = "what they say is behind another",
	};
	gnutls_datum_t secret = { records.key.key, sizeof(records.key.key) };

	records.key = ours;
	records.seq = 0;
	records.left = SIZE_MAX;
	for (int i = 0; i < 2; i++)
		if (setsockopt(ends[i], IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")))
			return bc_fail_errno(&peer->error, -errno, "no TLS in this kernel");
	if (give_key(ends[0], TLS_RX, &ours) || give_key(ends[0], TLS_TX, &theirs) ||
	    give_key(ends[1], TLS_RX, &theirs))
		return bc_fail_errno(&peer->error, -errno, "TLS does not take a key");
	if (records.cipher)
		gnutls_aead_cipher_deinit(records.cipher);
	if (gnutls_aead_cipher_init(&records.cipher, GNUTLS_CIPHER_CHACHA20_POLY1305, &secret))
		return bc_fail(&peer->error, -1, "no cipher");
	return 0;
}

/* ---- frames in them ---- */

static uint64_t deadline(unsigned int ms)
{
	return bc_now_ns() + ms * 1000000ULL;
}

static void ping(struct liar *liar)
{
	honest_say(liar, BLKCAST_FRAME_PING, 0, 0);
}

/* Has the replica done all that we have sent by now? */
static int is_acked(struct liar *liar)
{
	struct blkcast_frame frame;
	struct blkcast_ack ack = {};

	ping(liar);
	do {
		if (recv(liar->peer.fd, &frame, FRAME, MSG_WAITALL) != FRAME)
			return 0;
		if (le16toh(frame.type) != BLKCAST_FRAME_ACK)
			continue;
		if (recv(liar->peer.fd, &ack, sizeof(ack), MSG_WAITALL) != sizeof(ack))
			return 0;
	} while (le64toh(ack.seq_applied) < liar->peer.seq);
	return 1;
}

/* What is there already. */
static void write_there(struct liar *liar)
{
	struct note *n = &liar->note;

	note_new(liar, n, BLKCAST_FRAME_WRITE);
	note_content(liar, n, 0, 64);
	n->lsn = (liar->peer.volume.lsn | (FAR - 1)) + 1;
	note_send(liar, n);
}

static int writer_start(struct peer *peer)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	_exit(pwrite(peer->device, peer->content, 4096, 0) != 4096 || fdatasync(peer->device));
}

static int over(pid_t pid, int *status)
{
	return waitpid(pid, status, WNOHANG) == pid;
}

static int has_state(struct peer *peer, int state)
{
	return !peer_refresh(peer) && peer->volume.links &&
	       peer->volume.link[0].state == state;
}

/* As a replica: answer until in sync, and until a write is done that waits for us. */
static const char *serve(struct liar *liar, int write)
{
	uint64_t until = deadline(PEER_DROP_MS), lsn = 0;
	struct blkcast_frame frame;
	int n, status = 0;
	pid_t pid = 0;

	do {
		n = honest_take(&liar->peer, &frame, 100);
		if (n < 0)
			return "the link was dropped";
		if (n > 0)
			honest_answer(liar, &frame, &lsn, 0);
		if (pid && over(pid, &status))
			return status ? "a write has failed" : NULL;
		if (pid || !has_state(&liar->peer, BLKCAST_LINK_IN_SYNC))
			continue;
		if (!write)
			return NULL;
		pid = writer_start(&liar->peer);
	} while (bc_now_ns() < until);
	return pid ? "a write hangs" : "not in sync";
}

static const char *link_begin(struct liar *liar, unsigned int timeout_ms)
{
	if (peer_link(&liar->peer, timeout_ms, BLKCAST_F_READS))
		return liar->peer.error.text;
	if (!peer_is_replica(&liar->peer))
		honest_say(liar, BLKCAST_FRAME_POSITION, 0, liar->peer.volume.sectors);
	else if (!is_acked(liar))
		return "no answer";
	return NULL;
}

static const char *link_end(struct liar *liar)
{
	close(liar->peer.fd);
	return peer_links_gone(&liar->peer) ? NULL : "the link does not go";
}

/* ---- lies ---- */

static void lie_put(struct peer *peer, const struct lie *lie)
{
	static const uint8_t zeros[RECORD_MAX];
	struct blkcast_frame frame = { .magic = htole32(BLKCAST_FRAME_MAGIC) };
	uint8_t record[RECORD_BYTES] = { RECORD_DATA, 3, 3, lie->length >> 8, lie->length };
	size_t bytes = RECORD_HEAD + RECORD_TAG;

	switch (lie->kind) {
	case RECORD:
		record_put(peer, lie->type, lie->data, lie->length);
		return;
	case TYPELESS:
		bytes = record_seal(&records, record, NULL, 0, zeros, lie->length);
		break;
	case TAG:
		bytes = record_make(&records, record, RECORD_DATA, zeros, 8, 0);
		record[bytes - 1] ^= 1;
		break;
	case AGAIN:
		peer_put_bare(peer, records.last, records.last_bytes);
		return;
	case LENGTH:
		break;
	case VERSION:
		bytes = record_make(&records, record, RECORD_DATA, zeros, 8, 0);
		record[2] = 4;
		break;
	case CLEAR:
		peer_put_bare(peer, &frame, sizeof(frame));
		return;
	case FIN:
		record_make(&records, record, RECORD_DATA, zeros, 64, 0);
		peer_put_bare(peer, record, lie->length);
		shutdown(peer->fd, SHUT_WR);
		return;
	}
	peer_put_bare(peer, record, bytes);
}

enum place { BETWEEN, IN_HEADER, IN_DATA, PLACES };

static const char * const places[] = { "", ", in a frame's header", ", in a frame's data" };

/* A part of a frame that has data. */
static void lead(struct liar *liar, enum place place)
{
	struct blkcast_frame map = { .type = htole16(BLKCAST_FRAME_MAP) };
	uint64_t lsn = 0;

	if (place == BETWEEN)
		return;
	records.left = place == IN_HEADER ? PART : FRAME + 256;
	if (peer_is_replica(&liar->peer))
		write_there(liar);
	else
		honest_answer(liar, &map, &lsn, 0);
}

/* Ten times in five seconds, then no more: what is wrong with that, or NULL. */
static const char *judge_rate(const struct told *told, int kind)
{
	static struct {
		uint64_t begun;
		unsigned int count;
	} windows[2], *w;

	w = &windows[kind];
	if (!told->why[0])
		return w->count >= RATE && told->when_us - w->begun < RATE_US + JITTER_US ?
		       NULL : "the log does not say why";
	if (told->when_us - w->begun > RATE_US - JITTER_US) {
		w->begun = told->when_us;
		w->count = 0;
	}
	return ++w->count > RATE ? "the log says it too often" : NULL;
}

static const char *judge_reason(struct told *told, const struct lie *lie)
{
	static char wrong[512];

	if (told_read(told))
		return "the log does not say that the link is down";
	snprintf(wrong, sizeof(wrong), "down (%d), for: %s", told->error, told->why);
	if (told->error != lie->error)
		return wrong;
	if (!lie->why)
		return told->why[0] ? wrong : NULL;
	if (told->why[0] && strcmp(told->why, lie->why))
		return wrong;
	return judge_rate(told, lie->kind == RECORD);
}

static const char *judge_lie(struct liar *liar, struct told *told, const struct lie *lie,
			     enum place place)
{
	const char *wrong = link_begin(liar, 60000), *why;

	if (wrong)
		return wrong;
	lead(liar, place);
	lie_put(&liar->peer, lie);
	if (!peer_dropped(&liar->peer, PEER_DROP_MS))
		wrong = "the link still stands";
	why = link_end(liar);
	wrong = wrong ? wrong : why;
	why = judge_reason(told, lie);
	return wrong ? wrong : why;
}

static const char *judge_shape(struct liar *liar, struct told *told, const struct shape *shape)
{
	const char *wrong, *ends;

	records.shape = *shape;
	wrong = link_begin(liar, 60000);
	if (!wrong && peer_is_replica(&liar->peer)) {
		write_there(liar);
		wrong = is_acked(liar) ? NULL : "a write is not done";
	} else if (!wrong) {
		wrong = serve(liar, 1);
	}
	ends = link_end(liar);
	records.shape = shapes[0];
	if (told_read(told))
		ends = "the log does not say that the link is down";
	return wrong ? wrong : ends ? ends : told->why[0] ? told->why : NULL;
}

static void say(const struct liar *liar, const char *name, const char *more, const char *wrong)
{
	printf("%s: %s%s\t%s\n", peer_is_replica(&liar->peer) ? "replica" : "primary", name, more,
	       wrong ? wrong : "good");
	fflush(stdout);
}

static int all_cases(struct liar *liar, struct told *told)
{
	for (size_t i = 0; i < BC_ARRAY_SIZE(shapes); i++)
		say(liar, "records ", shapes[i].name, judge_shape(liar, told, &shapes[i]));
	for (enum place place = 0; place < PLACES; place++)
		for (size_t i = 0; i < BC_ARRAY_SIZE(lies); i++)
			say(liar, lies[i].name, places[place],
			    judge_lie(liar, told, &lies[i], place));
	say(liar, "the content is as it was", "",
	    peer_same(&liar->peer) ? NULL : "it has changed");
	return 0;
}

static int liar_open(struct liar *liar, const char *volume)
{
	liar->lie_at = 1 << 30;
	records.shape = shapes[0];
	if (peer_open(&liar->peer, volume) || peer_load(&liar->peer, liar->peer.device))
		return printf("%s\n", liar->peer.error.text);
	liar->peer.secure = secure;
	liar->peer.wrap = wrap;
	return 0;
}

static int run(char **volumes)
{
	struct liar *liar = calloc(1, sizeof(*liar));
	struct told told = {};

	if (told_open(&told))
		return printf("no log\n"), 1;
	for (int i = 0; i < 2; i++)
		if (liar_open(liar, volumes[i]) || all_cases(liar, &told))
			return 1;
	return 0;
}

/* ---- floods ---- */

/* Of nothing but padding, which takes longer to take off than to put on. */
static pid_t flood_start(struct peer *peer, unsigned int *sent)
{
	static uint8_t record[RECORD_BYTES];
	pid_t pid = fork();
	size_t bytes;

	if (pid)
		return pid;
	do {
		bytes = record_make(&records, record, RECORD_DATA, NULL, 0, RECORD_MAX);
		++*sent;
	} while (send(peer->fd, record, bytes, MSG_NOSIGNAL) == (ssize_t)bytes);
	_exit(0);
}

static pid_t unlinker_start(struct peer *peer)
{
	struct bc_kernel *kernel;
	struct bc_error error;
	pid_t pid = fork();

	if (pid)
		return pid;
	_exit(bc_kernel_open(&kernel, &error) ||
	      bc_kernel_link_del(kernel, peer->volume.name, "liar", &error));
}

/* Under a flood: takes the link away, or waits for it as a writer does. */
static const char *judge_waiter(struct peer *peer, int unlinks)
{
	uint64_t until = deadline(PEER_DROP_MS);
	pid_t pid = unlinks ? unlinker_start(peer) : writer_start(peer);
	int status;

	while (!over(pid, &status)) {
		if (bc_now_ns() > until)
			return "who waits for it hangs";
		usleep(1000);
	}
	return status ? "who waits for it fails" : NULL;
}

static const char *judge_flood(struct peer *peer, volatile unsigned int *sent, pid_t flood,
			       int unlinks)
{
	uint64_t until = deadline(PEER_DROP_MS);
	const char *wrong = NULL;
	int status;

	while (*sent < FLOOD_RECORDS) {
		if (bc_now_ns() > until || over(flood, &status))
			return "it is no flood";
		usleep(1000);
	}
	if (unlinks || !peer_is_replica(peer))
		wrong = judge_waiter(peer, unlinks);
	/* Our end is still open: it is the kernel's that ends it. */
	return wrong ? wrong : peer_links_gone(peer) ? NULL : "the link does not go";
}

static const char *judge_end(struct told *told, int unlinks)
{
	if (told_read(told))
		return "the log does not say that the link is down";
	if (unlinks)
		return told->error == -ECONNABORTED ? NULL : "the link has gone by itself";
	return told->error == -ETIMEDOUT && told->why[0] ? NULL : "the log does not say why";
}

static int flood(const char *volume, int unlinks)
{
	unsigned int *sent = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct liar *liar = calloc(1, sizeof(*liar));
	struct told told = {};
	const char *wrong;
	uint64_t begun;
	pid_t pid;

	if (liar_open(liar, volume) || told_open(&told))
		return 1;
	wrong = link_begin(liar, unlinks ? 60000 : TIMEOUT_MS);
	if (!wrong && !peer_is_replica(&liar->peer))
		wrong = serve(liar, 0);
	if (wrong)
		return printf("%s\n", wrong), 1;
	begun = bc_now_ns();
	pid = flood_start(&liar->peer, sent);
	wrong = judge_flood(&liar->peer, sent, pid, unlinks);
	printf("%u records, %llu ms\n", *sent, (bc_now_ns() - begun) / 1000000ULL);
	kill(pid, SIGKILL);
	close(liar->peer.fd);
	if (!wrong)
		wrong = judge_end(&told, unlinks);
	printf("%s: %s\n", wrong ? wrong : "good", told.why);
	return !!wrong;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 4 && !strcmp(argv[1], "run"))
		return run(argv + 2);
	if (argc == 3 && !strcmp(argv[1], "flood"))
		return flood(argv[2], 0);
	if (argc == 3 && !strcmp(argv[1], "unlink"))
		return flood(argv[2], 1);
	return 2;
}
