// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The io_uring engine keeps its contract (ring.h) on every kind of kernel: with all
 * that it would like, without registered memory, with no flag known, without io_uring.
 */
/* links: tools/snapshot/ring.c tools/lib/util.c tools/lib/error.c */
/* libs: liburing uuid */
/* flags: -pthread -Wno-format-truncation -Wl,--wrap=io_uring_queue_init,--wrap=io_uring_register_buffers */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "expect.h"

#include "tools/lib/util.h"
#include "tools/snapshot/ring.h"

#define DEPTH	8
#define PIECE	16384
#define PIECES	64
#define ROUNDS	600

/* ---- kernels ---- */

enum kernel { KERNEL_NEW, KERNEL_NO_MEMLOCK, KERNEL_OLD, KERNEL_NONE, KERNELS };

static const char *const kernel_name[KERNELS] = {
	"as it is here", "no memory may be registered", "no flags known", "no io_uring"
};
static enum kernel kernel;

int __real_io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags);
int __wrap_io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags);
int __real_io_uring_register_buffers(struct io_uring *ring, const struct iovec *iovec,
				     unsigned int count);
int __wrap_io_uring_register_buffers(struct io_uring *ring, const struct iovec *iovec,
				     unsigned int count);

int __wrap_io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags)
{
	if (kernel == KERNEL_NONE)
		return -ENOSYS;
	if (kernel == KERNEL_OLD && flags)
		return -EINVAL;
	return __real_io_uring_queue_init(entries, ring, flags);
}

int __wrap_io_uring_register_buffers(struct io_uring *ring, const struct iovec *iovec,
				     unsigned int count)
{
	if (kernel == KERNEL_NO_MEMLOCK)
		return -ENOMEM;
	return __real_io_uring_register_buffers(ring, iovec, count);
}

/* ---- a ring and its memory ---- */

static struct bench {
	struct ring ring;
	char *slab, other[PIECE];
	int fd;
} bench;

static void bench_open(unsigned int depth)
{
	struct bc_error error;

	bench.slab = calloc(DEPTH, PIECE);
	bench.fd = memfd_create("ring", 0);
	if (!bench.slab || bench.fd < 0 || ftruncate(bench.fd, PIECES * PIECE) ||
	    ring_init(&bench.ring, depth, bench.slab, DEPTH * PIECE, &error))
		ksft_exit_fail_msg("no ring\n");
	EXPECT(bench.ring.sync == (kernel == KERNEL_NONE || !depth));
	EXPECT(bench.ring.fixed == (depth && (kernel == KERNEL_NEW || kernel == KERNEL_OLD)));
}

static void bench_close(void)
{
	ring_exit(&bench.ring);
	close(bench.fd);
	free(bench.slab);
}

/* ---- any requests, in any order ---- */

/* What slot n is at: its place is its own, so that the order does not matter. */
static struct work {
	unsigned int piece, busy;
	enum ring_kind kind;
	char value;
} work[DEPTH];

static char model[PIECES];

static bool all(const char *data, char value)
{
	return data[0] == value && !memcmp(data, data + 1, PIECE - 1);
}

static bool piece_busy(unsigned int piece)
{
	unsigned int i;

	for (i = 0; i < DEPTH; i++) {
		if (work[i].busy && work[i].piece == piece)
			return true;
	}
	return false;
}

static void start(unsigned int slot)
{
	struct work *mine = &work[slot];
	char *data = bench.slab + slot * PIECE;

	do {
		mine->piece = random() % PIECES;
	} while (piece_busy(mine->piece));
	mine->kind = random() % 3;
	mine->value = 1 + random() % 100;
	mine->busy = 1;
	if (mine->kind == RING_READ) {
		ring_read(&bench.ring, bench.fd, data, PIECE, PIECE, mine->piece * PIECE, mine);
	} else if (mine->kind == RING_WRITE) {
		memset(data, mine->value, PIECE);
		ring_write(&bench.ring, bench.fd, data, PIECE, mine->piece * PIECE, mine);
	} else {
		ring_zero(&bench.ring, bench.fd, PIECE, mine->piece * PIECE, mine);
	}
}

static void finish(struct ring_request *request)
{
	struct work *mine = request->owner;

	EXPECT(mine->busy && !request->error && request->kind == mine->kind);
	mine->busy = 0;
	if (mine->kind == RING_READ)
		EXPECT(all(bench.slab + (mine - work) * PIECE, model[mine->piece]));
	else
		model[mine->piece] = mine->kind == RING_WRITE ? mine->value : 0;
}

static void requests_are_done_once_and_right(void)
{
	unsigned int started = 0, finished = 0, i;
	struct ring_request *request;
	char data[PIECE];

	memset(model, 0, sizeof(model));
	bench_open(DEPTH);
	while (finished < ROUNDS) {
		for (i = 0; i < DEPTH && started < ROUNDS; i++) {
			if (work[i].busy || random() % 4 == 0)
				continue;
			EXPECT(ring_room(&bench.ring) > 0);
			start(i);
			started++;
		}
		if (random() % 2)
			EXPECT(!ring_submit(&bench.ring));
		if (started > finished)
			EXPECT(!ring_wait(&bench.ring));
		while ((request = ring_next(&bench.ring))) {
			finish(request);
			finished++;
		}
		EXPECT(ring_room(&bench.ring) == DEPTH - (started - finished));
		if (expect_failures)
			break;
	}
	for (i = 0; i < PIECES; i++)
		EXPECT(!bc_pread_full(bench.fd, data, PIECE, i * PIECE) && all(data, model[i]));
	bench_close();
}

static int result(void)
{
	struct ring_request *request;

	while (!(request = ring_next(&bench.ring))) {
		if (ring_wait(&bench.ring))
			return 1;
	}
	return request->error;
}

static void ends_and_errors_are_told(void)
{
	const uint64_t end = PIECES * PIECE;
	int reader;

	bench_open(DEPTH);
	reader = open("/proc/self/exe", O_RDONLY);
	EXPECT(!bc_pwrite_full(bench.fd, "end", 3, end - 3));
	/* The file ends within it: enough, or too little. */
	ring_read(&bench.ring, bench.fd, bench.slab, PIECE, 100, end - 100, NULL);
	EXPECT(result() == 0 && !memcmp(bench.slab + 97, "end", 3));
	ring_read(&bench.ring, bench.fd, bench.slab, PIECE, 101, end - 100, NULL);
	EXPECT(result() == -ENODATA);
	ring_read(&bench.ring, bench.fd, bench.slab, PIECE, PIECE, 2 * end, NULL);
	EXPECT(result() == -ENODATA);
	/* Memory that is not the slab's. */
	ring_read(&bench.ring, bench.fd, bench.other, 3, 3, end - 3, NULL);
	EXPECT(result() == 0 && !memcmp(bench.other, "end", 3));
	ring_write(&bench.ring, reader, bench.slab, PIECE, 0, NULL);
	EXPECT(result() == -EBADF);
	ring_zero(&bench.ring, reader, PIECE, 0, NULL);
	EXPECT(result() == -EBADF);
	EXPECT(ring_room(&bench.ring) == DEPTH);
	close(reader);
	bench_close();
}

static void *waker(void *arg)
{
	ring_wake(arg);
	return NULL;
}

static void others_can_wake_it(void)
{
	unsigned int depth, i;
	pthread_t thread;

	for (depth = 0; depth <= DEPTH; depth += DEPTH) {
		bench_open(depth);
		for (i = 0; i < 50; i++) {
			if (pthread_create(&thread, NULL, waker, &bench.ring))
				ksft_exit_fail_msg("no thread\n");
			EXPECT(!ring_wait(&bench.ring));
			EXPECT(!ring_next(&bench.ring));
			pthread_join(thread, NULL);
		}
		/* Many at once, and before anybody waits, are one. */
		for (i = 0; i < 50; i++)
			ring_wake(&bench.ring);
		EXPECT(!ring_wait(&bench.ring));
		bench_close();
	}
}

static void *late_writer(void *arg)
{
	/* Whoever does not wait for it is gone by then. */
	usleep(30000);
	return write(*(int *)arg, "late", 4) == 4 ? NULL : arg;
}

/* The memory is free when ring_exit() returns. */
static void exit_waits_for_what_is_in_flight(void)
{
	pthread_t thread;
	void *failed;
	int ends[2];

	/* Without io_uring nothing is in flight. */
	if (kernel == KERNEL_NONE)
		return;
	bench_open(DEPTH);
	if (pipe(ends) || pthread_create(&thread, NULL, late_writer, &ends[1]))
		ksft_exit_fail_msg("no pipe\n");
	ring_read(&bench.ring, ends[0], bench.slab, 4, 4, 0, NULL);
	EXPECT(!ring_submit(&bench.ring));
	ring_exit(&bench.ring);
	EXPECT(!memcmp(bench.slab, "late", 4));
	pthread_join(thread, &failed);
	EXPECT(!failed);
	close(ends[0]);
	close(ends[1]);
	bench_close();
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "requests are done once and right", requests_are_done_once_and_right },
		{ "ends and errors are told", ends_and_errors_are_told },
		{ "others can wake it", others_can_wake_it },
		{ "exit waits for what is in flight", exit_waits_for_what_is_in_flight },
	};
	unsigned int i;

	ksft_print_header();
	ksft_set_plan(KERNELS * BC_ARRAY_SIZE(tests));
	srandom(1);
	for (kernel = 0; kernel < KERNELS; kernel++) {
		for (i = 0; i < BC_ARRAY_SIZE(tests); i++) {
			expect_failures = 0;
			tests[i].fn();
			ksft_test_result(!expect_failures, "%s: %s\n", kernel_name[kernel],
					 tests[i].name);
		}
	}
	ksft_finished();
}
