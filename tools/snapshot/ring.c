// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The io_uring engine (see ring.h).
 *
 * user_data is the request's address; NULL stands for the wake-up read of the
 * eventfd, which is always armed while somebody waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ring.h"

/* The best set-up this kernel knows: newest flags first, none at last. */
static int ring_setup(struct ring *ring)
{
	static const unsigned int flags[] = {
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER,
		IORING_SETUP_COOP_TASKRUN,
		0,
	};
	int err = -ENOSYS;
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		/* One more entry for the wake-up. */
		err = io_uring_queue_init(ring->depth + 1, &ring->uring, flags[i]);
		if (err != -EINVAL)
			break;
	}
	return err;
}

static void ring_register(struct ring *ring)
{
	struct iovec slab = { ring->slab, ring->slab_size };

	ring->fixed = ring->slab && !io_uring_register_buffers(&ring->uring, &slab, 1);
}

int ring_init(struct ring *ring, unsigned int depth, void *slab, size_t slab_size,
	      struct bc_error *error)
{
	unsigned int i;

	memset(ring, 0, sizeof(*ring));
	ring->depth = depth;
	ring->slab = slab;
	ring->slab_size = slab_size;
	ring->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (ring->wake_fd < 0)
		return bc_fail_errno(error, -errno, "cannot make an eventfd");
	ring->open = true;
	ring->requests = calloc(depth + 1, sizeof(*ring->requests));
	if (!ring->requests) {
		ring_exit(ring);
		return bc_fail(error, -ENOMEM, "out of memory");
	}
	for (i = 0; i < depth; i++) {
		ring->requests[i].next = ring->free;
		ring->free = &ring->requests[i];
	}
	ring->sync = !depth || ring_setup(ring);
	if (!ring->sync)
		ring_register(ring);
	return 0;
}

static struct ring_request *request_get(struct ring *ring, enum ring_kind kind, int fd,
					uint64_t length, uint64_t offset, void *owner)
{
	struct ring_request *request = ring->free;

	ring->free = request->next;
	ring->used++;
	*request = (struct ring_request) {
		.owner = owner, .kind = kind, .fd = fd,
		.offset = offset, .length = length, .need = length,
	};
	return request;
}

static void request_put(struct ring *ring, struct ring_request *request)
{
	ring->used--;
	request->next = ring->free;
	ring->free = request;
}

static void request_finish(struct ring *ring, struct ring_request *request, int error)
{
	struct ring_request **last = &ring->finished;

	request->error = error;
	request->next = NULL;
	while (*last)
		last = &(*last)->next;
	*last = request;
}

/* The range lies in the registered slab. */
static bool request_fixed(const struct ring *ring, const struct ring_request *request)
{
	return ring->fixed && request->data >= ring->slab &&
	       request->data + request->length <= ring->slab + ring->slab_size;
}

/* For files and block devices alike. */
#define ZERO_MODE (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

static void request_prep(struct ring *ring, struct ring_request *request)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
	char *data = request->data + request->done;
	uint64_t left = request->length - request->done;
	uint64_t offset = request->offset + request->done;

	if (request->kind == RING_ZERO)
		io_uring_prep_fallocate(sqe, request->fd, ZERO_MODE, offset, left);
	else if (request->kind == RING_READ && request_fixed(ring, request))
		io_uring_prep_read_fixed(sqe, request->fd, data, left, offset, 0);
	else if (request->kind == RING_READ)
		io_uring_prep_read(sqe, request->fd, data, left, offset);
	else if (request_fixed(ring, request))
		io_uring_prep_write_fixed(sqe, request->fd, data, left, offset, 0);
	else
		io_uring_prep_write(sqe, request->fd, data, left, offset);
	io_uring_sqe_set_data(sqe, request);
}

/* Without io_uring: one step of the request, as a completion would report it. */
static int request_step(const struct ring_request *request)
{
	char *data = request->data + request->done;
	uint64_t left = request->length - request->done;
	uint64_t offset = request->offset + request->done;
	ssize_t n;

	if (request->kind == RING_ZERO)
		n = fallocate(request->fd, ZERO_MODE, offset, left);
	else if (request->kind == RING_READ)
		n = pread(request->fd, data, left, offset);
	else
		n = pwrite(request->fd, data, left, offset);
	return n < 0 ? -errno : (int)n;
}

/* Take in one result; true: the request has to go on. */
static bool request_advance(struct ring *ring, struct ring_request *request, int result)
{
	if (result == -EINTR || result == -EAGAIN)
		return true;
	if (result < 0 || request->kind == RING_ZERO) {
		request_finish(ring, request, result < 0 ? result : 0);
		return false;
	}
	request->done += result;
	if (request->done >= request->need) {
		request_finish(ring, request, 0);
		return false;
	}
	if (!result) {
		request_finish(ring, request, request->kind == RING_READ ? -ENODATA : -EIO);
		return false;
	}
	return true;
}

static void request_start(struct ring *ring, struct ring_request *request)
{
	if (!ring->sync) {
		request_prep(ring, request);
		return;
	}
	while (request_advance(ring, request, request_step(request)))
		;
}

void ring_read(struct ring *ring, int fd, void *data, uint64_t length, uint64_t need,
	       uint64_t offset, void *owner)
{
	struct ring_request *request = request_get(ring, RING_READ, fd, length, offset, owner);

	request->data = data;
	request->need = need;
	request_start(ring, request);
}

void ring_write(struct ring *ring, int fd, const void *data, uint64_t length,
		uint64_t offset, void *owner)
{
	struct ring_request *request = request_get(ring, RING_WRITE, fd, length, offset, owner);

	request->data = (char *)data;
	request_start(ring, request);
}

void ring_zero(struct ring *ring, int fd, uint64_t length, uint64_t offset, void *owner)
{
	request_start(ring, request_get(ring, RING_ZERO, fd, length, offset, owner));
}

static void wake_arm(struct ring *ring)
{
	struct io_uring_sqe *sqe;

	if (ring->armed)
		return;
	sqe = io_uring_get_sqe(&ring->uring);
	io_uring_prep_read(sqe, ring->wake_fd, &ring->wake_count, sizeof(ring->wake_count), 0);
	io_uring_sqe_set_data(sqe, NULL);
	ring->armed = true;
}

/* Take in all completions that are there; true: there was one. */
static bool ring_reap(struct ring *ring)
{
	struct io_uring_cqe *cqe;
	bool any = false;

	while (!io_uring_peek_cqe(&ring->uring, &cqe)) {
		struct ring_request *request = io_uring_cqe_get_data(cqe);
		int result = cqe->res;

		io_uring_cqe_seen(&ring->uring, cqe);
		any = true;
		if (!request)
			ring->armed = false;
		else if (request_advance(ring, request, result))
			request_prep(ring, request);
	}
	return any;
}

int ring_submit(struct ring *ring)
{
	int n = ring->sync ? 0 : io_uring_submit(&ring->uring);

	return n < 0 && n != -EINTR && n != -EAGAIN && n != -EBUSY ? n : 0;
}

static int ring_wait_sync(struct ring *ring)
{
	if (ring->finished)
		return 0;
	if (read(ring->wake_fd, &ring->wake_count, sizeof(ring->wake_count)) < 0 &&
	    errno != EINTR)
		return -errno;
	return 0;
}

int ring_wait(struct ring *ring)
{
	int n;

	if (ring->sync)
		return ring_wait_sync(ring);
	wake_arm(ring);
	do {
		n = io_uring_submit_and_wait(&ring->uring, ring->finished ? 0 : 1);
		if (n < 0 && n != -EINTR && n != -EAGAIN && n != -EBUSY)
			return n;
	} while (!ring_reap(ring) && !ring->finished);
	return ring_submit(ring);
}

struct ring_request *ring_next(struct ring *ring)
{
	struct ring_request *request = ring->finished;

	if (!request)
		return NULL;
	ring->finished = request->next;
	request_put(ring, request);
	return request;
}

void ring_wake(struct ring *ring)
{
	const uint64_t one = 1;

	/* A full counter has woken whoever waits already. */
	if (write(ring->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void ring_exit(struct ring *ring)
{
	if (!ring->open)
		return;
	while (ring->requests && !ring->sync && (ring->used || ring->finished)) {
		while (ring_next(ring))
			;
		if (ring->used && ring_wait(ring))
			break;
	}
	if (ring->requests && !ring->sync)
		io_uring_queue_exit(&ring->uring);
	close(ring->wake_fd);
	free(ring->requests);
	ring->open = false;
}
