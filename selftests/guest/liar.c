// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * liar: a peer that speaks the protocol well, and then lies.
 *
 *	liar fuzz VOLUME FILE SEED LINKS SECONDS [SECTOR]
 *		so many links, or for so long, with lies by lot.  FILE has what the
 *		volume holds.  A primary is written to meanwhile, and read at SECTOR,
 *		where its device fails; without SECTOR it changes hands instead
 *	liar mute VOLUME
 *		a replica that is asked to compare, and acknowledges but does not answer
 *	liar slow VOLUME
 *		a replica in sync that takes a byte now and then, while writers wait
 *
 * After each link the volume is up without one, and now and then its content is compared.
 * What is printed last says how deep it got.  Exit status 1: with what was wrong.
 */
#include <endian.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer/liar.h"
#include "util.h"

#define LINKS_LEAST	24	/* however slow the host is */
#define COMPARE_EVERY	16	/* links */
#define END_SECONDS	60	/* for who waits for a link to come to his end */

/* ---- who uses the volume meanwhile ---- */

static volatile sig_atomic_t stop;

static void stopped(int signal)
{
	(void)signal;
	stop = 1;
}

/* Writes what is there, which no reader can tell. */
static int write_on(struct peer *peer)
{
	size_t last = peer_bytes(peer) - 65536;

	while (!stop) {
		size_t at = lot(last / 4096) * 4096, bytes = 4096 * (1 + lot(16));

		if (region_blank(&(struct liar){ .peer = *peer }, at / 512 / REGION))
			continue;
		if (pwrite(peer->device, peer->content + at, bytes, at) < 0 && !stop)
			usleep(10000);
		if (one_in(8))
			fdatasync(peer->device);
		usleep(1000);
	}
	return 0;
}

/* What he gets is right, or an error. */
static int read_on(struct peer *peer, uint64_t sector)
{
	unsigned char *data;

	if (posix_memalign((void **)&data, 4096, 4096))
		return 1;
	while (!stop) {
		if (pread(peer->device, data, 4096, sector * 512) == 4096 &&
		    memcmp(data, peer->content + sector * 512, 4096))
			return 2;
		usleep(2000);
	}
	return 0;
}

static pid_t user_start(struct peer *peer, uint64_t sector)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	signal(SIGTERM, stopped);
	_exit(sector ? read_on(peer, sector) : write_on(peer));
}

static const char *user_end(pid_t pid)
{
	uint64_t until = bc_now_ns() + END_SECONDS * 1000000000ULL;
	int status;

	if (!pid)
		return NULL;
	kill(pid, SIGTERM);
	while (!waitpid(pid, &status, WNOHANG)) {
		if (bc_now_ns() > until)
			return "a user of the volume hangs";
		usleep(10000);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 2 ?
	       "a reader got something else" : NULL;
}

/* ---- fuzz ---- */

/* A hand-over has ended the reign: who has begun the next has not told us. */
static const char *look(struct liar *liar)
{
	struct peer *peer = &liar->peer;
	uint8_t role = peer->volume.role;
	uint64_t until = bc_now_ns() + PEER_DROP_MS * 1000000ULL;

	while (peer_refresh(peer) || peer->volume.role != role) {
		if (bc_now_ns() > until)
			return "the volume is not what it was";
		usleep(10000);
	}
	return NULL;
}

/* Half of the links are for lies about how much there is. */
static void take_aim(struct liar *liar)
{
	static const int as_primary[] = {
		BLKCAST_FRAME_WRITE, BLKCAST_FRAME_REGION, BLKCAST_FRAME_WRITE,
		BLKCAST_FRAME_REGION, BLKCAST_FRAME_MEMBERS,
	}, as_replica[] = {
		BLKCAST_FRAME_STAMPS, BLKCAST_FRAME_STAMPS, BLKCAST_FRAME_HASHES,
		BLKCAST_FRAME_DATA,
	};

	liar->aim = 0;
	liar->aim_at = lot(3);
	if (one_in(2))
		return;
	/* Without a reader there are no DATA, the last of them. */
	liar->aim = peer_is_replica(&liar->peer) ? as_primary[lot(BC_ARRAY_SIZE(as_primary))] :
		    as_replica[lot(BC_ARRAY_SIZE(as_replica) - liar->quiet)];
	liar->lie_at = 1 << 30;
}

static const char *link_once(struct liar *liar)
{
	struct peer *peer = &liar->peer;
	uint32_t flags = one_in(8) ? 0 : BLKCAST_F_READS;
	const char *wrong = look(liar);

	if (wrong)
		return wrong;
	if (peer_links_gone(peer) && peer_link(peer, 60000, flags))
		return peer->error.text;
	liar->lie_at = lot(one_in(2) ? 12 : 80);
	take_aim(liar);
	liar->frames = 0;
	liar->over = 0;
	liar->sure = 0;
	liar->sized = 0;
	wrong = peer_is_replica(peer) ? link_as_primary(liar) : link_as_replica(liar);
	if (!wrong && liar->sure && peer->fd >= 0 && !peer_dropped(peer, PEER_DROP_MS))
		wrong = "the link still stands";
	liar->depth.refused += liar->sure;
	if (peer->fd >= 0)
		close(peer->fd);
	liar->depth.links++;
	if (!wrong && !peer_links_gone(peer))
		wrong = "the link does not go";
	if (!wrong && !(liar->depth.links % COMPARE_EVERY) && !peer_same(peer))
		wrong = "the content has changed";
	return wrong;
}

static const char *links(struct liar *liar, unsigned int count, unsigned int seconds)
{
	uint64_t until = bc_now_ns() + seconds * 1000000000ULL;
	const char *wrong = NULL;

	while (!wrong && liar->depth.links < count &&
	       (liar->depth.links < LINKS_LEAST || bc_now_ns() < until))
		wrong = link_once(liar);
	if (!wrong && !peer_same(&liar->peer))
		wrong = "the content has changed";
	return wrong;
}

static int fuzz(char **argv, uint64_t sector)
{
	int file = open(argv[1], O_RDONLY);
	struct liar *liar = calloc(1, sizeof(*liar));
	struct depth *d = &liar->depth;
	pid_t writer = 0, reader = 0;
	const char *wrong, *also;

	signal(SIGPIPE, SIG_IGN);
	srandom(strtoul(argv[2], NULL, 0));
	if (peer_open(&liar->peer, argv[0]) || peer_load(&liar->peer, file))
		return printf("%s\n", liar->peer.error.text), 1;
	liar->peer.bad = sector ? 65536 : 0;
	liar->quiet = !sector;
	liar->peer.node = (const uint8_t *)"a copy of a liar";
	if (sector) {
		writer = user_start(&liar->peer, 0);
		reader = user_start(&liar->peer, sector);
	} else {
		peer_device_close(&liar->peer);
	}
	wrong = links(liar, atoi(argv[3]), atoi(argv[4]));
	also = user_end(writer);
	wrong = wrong ? wrong : also;
	also = user_end(reader);
	wrong = wrong ? wrong : also;
	printf("# %s: seed %s: %u links, %u lies, %u sure: in sync %u, copies %u, reads %u, hashes %u, verifies %u, grown %u, handed %u, acks %u\n",
	       peer_is_replica(&liar->peer) ? "to a replica" : "to a primary", argv[2],
	       d->links, d->lies, d->refused, d->in_sync, d->copies, d->reads, d->hashes,
	       d->verifies, d->grows, d->handovers, d->acks);
	if (wrong)
		printf("link %u: %s\n", d->links, wrong);
	return !!wrong;
}

/* ---- who holds others up ---- */

static const char *begin(struct liar *liar, const char *volume)
{
	int small = 4096;

	signal(SIGPIPE, SIG_IGN);
	liar->lie_at = 1 << 30;
	if (peer_open(&liar->peer, volume) || peer_load(&liar->peer, liar->peer.device) ||
	    peer_link(&liar->peer, 1000, BLKCAST_F_READS))
		return liar->peer.error.text;
	setsockopt(liar->peer.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	honest_say(liar, BLKCAST_FRAME_POSITION, 0, liar->peer.volume.sectors);
	return NULL;
}

static int over(pid_t pid, int *status)
{
	return waitpid(pid, status, WNOHANG) == pid;
}

/* A volume that is to grow waits for what is being compared. */
static pid_t grower(struct peer *peer)
{
	struct bc_kernel *kernel;
	struct bc_error error;
	pid_t pid = fork();

	if (pid)
		return pid;
	close(peer->fd);
	if (bc_kernel_open(&kernel, &error) ||
	    bc_kernel_grow(kernel, peer->volume.name, peer->volume.sectors + 8, &error))
		fprintf(stderr, "%s\n", error.text), _exit(1);
	_exit(0);
}

static const char *mute(struct liar *liar)
{
	uint64_t until = bc_now_ns() + 2 * END_SECONDS * 1000000000ULL, lsn = 0;
	struct blkcast_frame frame;
	int status, left = 0;
	pid_t pid = 0;

	while (bc_now_ns() < until && !(left && pid && over(pid, &status))) {
		int n = left ? 0 : honest_take(&liar->peer, &frame, 100);

		left |= n < 0;
		if (left)
			usleep(100000);
		else if (n > 0)
			honest_answer(liar, &frame, &lsn, 1);
		else
			honest_ack(liar, lsn);
		if (n > 0 && le16toh(frame.type) == BLKCAST_FRAME_COMPARE && !pid)
			pid = grower(&liar->peer);
	}
	if (!pid)
		return "nothing was to be compared";
	if (!left)
		return "the link still stands";
	if (bc_now_ns() >= until)
		return "the volume cannot grow";
	return status ? "the volume has not grown" : NULL;
}

static pid_t filler(struct peer *peer)
{
	/* More than what sockets take in. */
	size_t bytes = peer_bytes(peer);
	pid_t pid = fork();

	if (pid)
		return pid;
	_exit(pwrite(peer->device, peer->content, bytes, 0) != (ssize_t)bytes);
}

/* As little as can be, and a word now and then. */
static const char *dole(struct liar *liar, uint64_t lsn)
{
	uint64_t until = bc_now_ns() + END_SECONDS * 1000000000ULL;
	pid_t pid = filler(&liar->peer);
	int status, turn = 0;
	char byte;

	while (!over(pid, &status)) {
		if (bc_now_ns() > until)
			return "writers hang";
		if (!(++turn % 4))
			recv(liar->peer.fd, &byte, 1, MSG_DONTWAIT);
		honest_ack(liar, lsn);
		usleep(200000);
	}
	return status ? "writers fail" : NULL;
}

static const char *slow(struct liar *liar)
{
	uint64_t until = bc_now_ns() + END_SECONDS * 1000000000ULL, lsn = 0;
	struct blkcast_frame frame;
	int n;

	while (bc_now_ns() < until) {
		n = honest_take(&liar->peer, &frame, 100);
		if (n < 0)
			return "the link was dropped";
		if (n > 0)
			honest_answer(liar, &frame, &lsn, 0);
		if (peer_refresh(&liar->peer) || !liar->peer.volume.links)
			return "the link was dropped";
		if (liar->peer.volume.link[0].state != BLKCAST_LINK_IN_SYNC)
			continue;
		return dole(liar, lsn);
	}
	return "not in sync";
}

static int held_up(const char *volume, const char *(*by)(struct liar *liar))
{
	struct liar *liar = calloc(1, sizeof(*liar));
	const char *wrong = begin(liar, volume);

	if (!wrong)
		wrong = by(liar);
	close(liar->peer.fd);
	if (!wrong && !peer_links_gone(&liar->peer))
		wrong = "the link does not go";
	if (!wrong && !peer_same(&liar->peer))
		wrong = "the content has changed";
	printf("%s\n", wrong ? wrong : "good");
	return !!wrong;
}

int main(int argc, char **argv)
{
	if ((argc == 7 || argc == 8) && !strcmp(argv[1], "fuzz"))
		return fuzz(argv + 2, argc == 8 ? strtoull(argv[7], NULL, 0) : 0);
	if (argc == 3 && !strcmp(argv[1], "mute"))
		return held_up(argv[2], mute);
	if (argc == 3 && !strcmp(argv[1], "slow"))
		return held_up(argv[2], slow);
	return 2;
}
