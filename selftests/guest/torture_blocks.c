// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The power campaign's writer: torture_blocks DEVICE SEED VOLUME SESSION WINDOWS
 * WINDOW DWELL FLUSHES RATE
 *
 * Writes, zeroes and flushes a device, several at once, in a sequence that is a
 * function of its arguments alone (selftests/torture/sequence.py knows it too),
 * until its standard input ends.  Every sector it writes says which operation of
 * which sequence wrote it, and carries a checksum.
 *
 *	i N	operation N is about to be issued		on standard output,
 *	a N	it is done					in order
 *	e N	N operations were issued; all are done, and flushed
 *
 * Who reads this outside the guest therefore knows only of acknowledgements that
 * were given.  Operations that overlap are never under way together: what a
 * sector may hold is a matter of order.
 *
 *	SEED VOLUME SESSION	which sequence
 *	WINDOWS WINDOW		the device is WINDOWS equal parts; WINDOW sectors at
 *				the start of each are written to
 *	DWELL			operations before another window gets its turn
 *	FLUSHES			percent of operations that are flushes
 *	RATE			operations a second, at most
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SECTOR		512
#define SECTORS_MAX	256
#define DEPTH		12
#define MAGIC		0x54524f54		/* "TORT" */
#define GOLDEN		0x9e3779b97f4a7c15
#define NSEC		1000000000ULL

enum kind { FLUSH, ZERO, DISCARD, FUA, WRITE };

struct op {
	enum kind kind;
	uint64_t sector;
	uint32_t sectors;
};

struct slot {
	bool busy;
	uint32_t n;
	struct op op;
	struct iocb iocb;
	uint8_t *buf;
};

/* At the start of each sector; a filler that depends on it follows. */
struct head {
	uint32_t magic;
	uint32_t crc;		/* crc32 of the sector with this field as zero */
	uint64_t seed;
	uint32_t volume;
	uint32_t session;
	uint32_t op;
	uint32_t sector;
};

static struct {
	int fd;
	uint64_t sectors;
	uint64_t seed;
	uint32_t volume, session;
	uint64_t key;
	uint64_t windows, window, dwell, flushes, rate;
	aio_context_t aio;
	struct slot slot[DEPTH];
	uint32_t busy;
	uint32_t crc_table[256];
} t;

__attribute__((format(printf, 1, 2), noreturn))
static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "torture_blocks: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	exit(1);
}

/* ---- the sequence ---- */

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static uint64_t draw(uint64_t n, unsigned int what)
{
	return mix(t.key + (8 * n + what) * GOLDEN);
}

static enum kind op_kind(uint32_t n)
{
	uint64_t lot = draw(n, 0) % 100;

	if (lot < t.flushes)
		return FLUSH;
	lot -= t.flushes;
	return lot < 1 ? ZERO : lot < 2 ? DISCARD : lot < 6 ? FUA : WRITE;
}

static struct op op_make(uint32_t n)
{
	struct op op = { .kind = op_kind(n), .sectors = 8 };
	uint64_t lot = draw(n, 1) % 100, size = draw(n, 2);

	if (op.kind == FLUSH)
		return (struct op){ .kind = FLUSH };
	if (lot >= 95)
		op.sectors = 1 + size % SECTORS_MAX;
	else if (lot >= 75)
		op.sectors = 32;
	else if (lot >= 50)
		op.sectors = 1 + size % 16;
	op.sector = draw(n, 3) % (t.window - op.sectors + 1);
	if (lot < 50)
		op.sector -= op.sector % 8;
	op.sector += draw(n / t.dwell, 4) % t.windows * (t.sectors / t.windows / 8 * 8);
	return op;
}

/* ---- content ---- */

static void crc_prepare(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
		t.crc_table[i] = c;
	}
}

static uint32_t crc32(const uint8_t *p, size_t len)
{
	uint32_t c = ~0U;

	while (len--)
		c = c >> 8 ^ t.crc_table[(c ^ *p++) & 0xff];
	return ~c;
}

static void sector_fill(uint8_t *buf, uint32_t n, uint32_t sector)
{
	struct head head = {
		.magic = MAGIC, .seed = t.seed, .volume = t.volume,
		.session = t.session, .op = n, .sector = sector,
	};
	uint64_t word = mix(t.key ^ ((uint64_t)n << 32 | sector));

	for (size_t at = sizeof(head); at < SECTOR; at += sizeof(word)) {
		word += GOLDEN;
		memcpy(buf + at, &word, sizeof(word));
	}
	memcpy(buf, &head, sizeof(head));
	head.crc = crc32(buf, SECTOR);
	memcpy(buf, &head, sizeof(head));
}

/* ---- what the outside is told ---- */

static void say(char what, uint32_t n)
{
	char line[16];
	int len = snprintf(line, sizeof(line), "%c %" PRIu32 "\n", what, n);

	if (write(STDOUT_FILENO, line, len) != len)
		die("standard output: %s", strerror(errno));
}

/* ---- issuing ---- */

/* Take in what is done: one at least, unless @timeout passes before that. */
static void reap(struct timespec *timeout)
{
	struct io_event events[DEPTH];
	int got;

	do {
		got = syscall(SYS_io_getevents, t.aio, 1, DEPTH, events, timeout);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		die("io_getevents: %s", strerror(errno));
	for (int i = 0; i < got; i++) {
		struct slot *slot = &t.slot[events[i].data];

		if (events[i].res != (int64_t)slot->op.sectors * SECTOR)
			die("operation %" PRIu32 ", sector %" PRIu64 ": result %lld",
			    slot->n, slot->op.sector, (long long)events[i].res);
		slot->busy = false;
		t.busy--;
		say('a', slot->n);
	}
}

static bool overlaps(const struct op *op)
{
	for (int i = 0; i < DEPTH; i++) {
		const struct op *other = &t.slot[i].op;

		if (t.slot[i].busy && op->sector < other->sector + other->sectors &&
		    other->sector < op->sector + op->sectors)
			return true;
	}
	return false;
}

static struct slot *slot_get(const struct op *op)
{
	struct slot *slot = t.slot;

	while (t.busy == DEPTH || overlaps(op))
		reap(NULL);
	while (slot->busy)
		slot++;
	return slot;
}

static void issue_zeroes(uint32_t n, const struct op *op)
{
	uint64_t range[2] = { op->sector * SECTOR, (uint64_t)op->sectors * SECTOR };

	while (overlaps(op))
		reap(NULL);
	say('i', n);
	if (ioctl(t.fd, op->kind == ZERO ? BLKZEROOUT : BLKDISCARD, range))
		die("operation %" PRIu32 ": zeroes: %s", n, strerror(errno));
	say('a', n);
}

static void issue(uint32_t n, const struct op *op)
{
	struct slot *slot = slot_get(op);
	struct iocb *iocb = &slot->iocb;

	for (uint32_t s = 0; s < op->sectors; s++)
		sector_fill(slot->buf + s * SECTOR, n, op->sector + s);
	slot->busy = true;
	slot->n = n;
	slot->op = *op;
	t.busy++;
	*iocb = (struct iocb){
		.aio_data = slot - t.slot,
		.aio_lio_opcode = op->kind == FLUSH ? IOCB_CMD_FDSYNC : IOCB_CMD_PWRITE,
		.aio_fildes = t.fd,
		.aio_rw_flags = op->kind == FUA ? RWF_DSYNC : 0,
	};
	if (op->kind != FLUSH) {
		iocb->aio_buf = (uintptr_t)slot->buf;
		iocb->aio_nbytes = (uint64_t)op->sectors * SECTOR;
		iocb->aio_offset = op->sector * SECTOR;
	}
	say('i', n);
	if (syscall(SYS_io_submit, t.aio, 1, &iocb) != 1)
		die("io_submit: %s", strerror(errno));
}

/* ---- the whole ---- */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NSEC + now.tv_nsec;
}

static bool told_to_end(void)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };

	return poll(&input, 1, 0) == 1;
}

/* Until the time of operation @n at the rate that was asked for. */
static void pace(uint64_t start, uint32_t n)
{
	uint64_t at = start + n * NSEC / t.rate, now;

	while ((now = now_ns()) < at) {
		struct timespec left = { (at - now) / NSEC, (at - now) % NSEC };

		if (t.busy)
			reap(&left);
		else
			nanosleep(&left, NULL);
	}
}

static void run(void)
{
	uint64_t start = now_ns();
	uint32_t n;

	for (n = 0; !told_to_end(); n++) {
		struct op op = op_make(n);

		pace(start, n);
		if (op.kind == ZERO || op.kind == DISCARD)
			issue_zeroes(n, &op);
		else
			issue(n, &op);
	}
	while (t.busy)
		reap(NULL);
	if (fdatasync(t.fd))
		die("fdatasync: %s", strerror(errno));
	say('e', n);
}

static void prepare(char **arg)
{
	uint64_t bytes;

	t.fd = open(arg[1], O_RDWR | O_DIRECT);
	if (t.fd < 0 || ioctl(t.fd, BLKGETSIZE64, &bytes))
		die("%s: %s", arg[1], strerror(errno));
	t.sectors = bytes / SECTOR;
	t.seed = strtoull(arg[2], NULL, 0);
	t.volume = strtoul(arg[3], NULL, 0);
	t.session = strtoul(arg[4], NULL, 0);
	t.windows = strtoull(arg[5], NULL, 0);
	t.window = strtoull(arg[6], NULL, 0);
	t.dwell = strtoull(arg[7], NULL, 0);
	t.flushes = strtoull(arg[8], NULL, 0);
	t.rate = strtoull(arg[9], NULL, 0);
	if (!t.windows || !t.dwell || !t.rate || t.window < SECTORS_MAX ||
	    t.window > t.sectors / t.windows / 8 * 8)
		die("windows do not fit the device");
	t.key = mix(mix(mix(t.seed) + t.volume) + t.session);
	crc_prepare();
	if (syscall(SYS_io_setup, DEPTH, &t.aio))
		die("io_setup: %s", strerror(errno));
	for (int i = 0; i < DEPTH; i++)
		if (posix_memalign((void **)&t.slot[i].buf, 4096,
				   SECTORS_MAX * SECTOR))
			die("no memory");
}

int main(int argc, char **argv)
{
	if (argc != 10) {
		fprintf(stderr, "Usage: torture_blocks DEVICE SEED VOLUME SESSION WINDOWS WINDOW DWELL FLUSHES RATE\n");
		return 2;
	}
	prepare(argv);
	run();
	return 0;
}
