// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The snapshot pipeline (see create.h).
 *
 * Invariants:
 *  1. A slot's owner follows from its state: FREE and READING the main thread,
 *     PACKING a worker, PACKED the output thread.  The state itself is changed
 *     under the lock.
 *  2. The first failure is kept; everyone stops at his next step.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <zstd.h>

#include "../lib/util.h"
#include "blkcast_lsn.h"
#include "create.h"
#include "pool.h"
#include "ring.h"

#define SEGMENT_CHUNKS	8
/* Every other region of a chunk, at worst. */
#define SLOT_READS	(STAMPS_CHUNK_REGIONS / 2)
#define ALIGNMENT	4096	/* of reads, good for every device */
/* How often a region that changed under the read is read again. */
#define READ_AGAIN	2
#define PASS_CHUNKS	16	/* between two calls of @pass */

enum slot_state { SLOT_FREE, SLOT_READING, SLOT_PACKING, SLOT_PACKED };

/**
 * struct slot - one chunk on its way
 * @number: of the chunk
 * @start: the MiB of the image it is of, in bytes
 * @raw: its content, @bytes
 * @packed: its zstd frame, @stored bytes
 * @extent: where its bytes belong, @extents of them
 * @reads: in flight
 */
struct slot {
	struct pool_job job;
	struct create *create;
	enum slot_state state;
	uint64_t number, start;
	uint32_t bytes, stored, extents;
	uint64_t digest;
	char *raw, *packed;
	const char *frame;
	struct stamps_window window;
	unsigned int reads, again;
	struct writer_extent extent[STAMPS_CHUNK_REGIONS];
};

struct create {
	const struct create_plan *plan;
	int fd;			/* that is read from */
	struct ring ring;
	struct pool pool;
	pthread_t output;
	uint64_t chunks, next, next_start, read, passed;
	unsigned int slots;
	struct slot *slot;
	char *memory;
	size_t memory_size, packed_room;

	/* A chunk of zeros, packed once. */
	char *zero_frame;
	uint32_t zero_stored;
	uint64_t zero_digest;

	pthread_mutex_t lock;	/* slot states and the rest */
	pthread_cond_t packed;
	uint64_t written;
	bool failed;
	struct bc_error error;
};

static void create_fail(struct create *create, const struct bc_error *error)
{
	pthread_mutex_lock(&create->lock);
	if (!create->failed)
		create->error = *error;
	create->failed = true;
	pthread_cond_broadcast(&create->packed);
	pthread_mutex_unlock(&create->lock);
	ring_wake(&create->ring);
}

static bool create_failed(struct create *create)
{
	bool failed;

	pthread_mutex_lock(&create->lock);
	failed = create->failed;
	pthread_mutex_unlock(&create->lock);
	return failed;
}

static void slot_set(struct slot *slot, enum slot_state state)
{
	struct create *create = slot->create;

	pthread_mutex_lock(&create->lock);
	slot->state = state;
	if (state == SLOT_PACKED)
		pthread_cond_signal(&create->packed);
	pthread_mutex_unlock(&create->lock);
}

/* ---- the pool: compress ---- */

static void *packer_create(void *arg)
{
	const struct create *create = arg;
	ZSTD_CCtx *cctx = ZSTD_createCCtx();

	if (!cctx)
		return NULL;
	ZSTD_CCtx_setParameter(cctx, ZSTD_c_compressionLevel, create->plan->level);
	ZSTD_CCtx_setParameter(cctx, ZSTD_c_checksumFlag, 1);
	return cctx;
}

static void packer_destroy(void *context)
{
	ZSTD_freeCCtx(context);
}

static const struct pool_kind packers = { packer_create, packer_destroy };

static bool all_zero(const char *data, size_t length)
{
	return !length || (!data[0] && !memcmp(data, data + 1, length - 1));
}

static void slot_pack_zeros(struct slot *slot)
{
	slot->digest = slot->create->zero_digest;
	slot->stored = slot->create->zero_stored;
	slot->frame = slot->create->zero_frame;
}

static void slot_pack(struct pool_job *job, void *context)
{
	struct slot *slot = (struct slot *)job;
	struct create *create = slot->create;
	struct bc_error error;
	size_t size;

	if (slot->bytes == SNAP_CHUNK_SIZE && create->zero_frame &&
	    all_zero(slot->raw, slot->bytes)) {
		slot_pack_zeros(slot);
		slot_set(slot, SLOT_PACKED);
		return;
	}
	slot->digest = XXH64(slot->raw, slot->bytes, 0);
	size = ZSTD_compress2(context, slot->packed, create->packed_room, slot->raw, slot->bytes);
	if (ZSTD_isError(size)) {
		bc_fail(&error, -EIO, "cannot compress: %s", ZSTD_getErrorName(size));
		create_fail(create, &error);
		return;
	}
	slot->stored = size;
	slot->frame = slot->packed;
	slot_set(slot, SLOT_PACKED);
}

/* ---- the output thread ---- */

/* Wait for chunks @first .. @first + @count - 1; false: stop. */
static bool output_wait(struct create *create, uint64_t first, unsigned int count)
{
	unsigned int i;
	bool go_on;

	pthread_mutex_lock(&create->lock);
	for (i = 0; i < count; i++) {
		const struct slot *slot = &create->slot[(first + i) % create->slots];

		while (!create->failed &&
		       (slot->state != SLOT_PACKED || slot->number != first + i))
			pthread_cond_wait(&create->packed, &create->lock);
	}
	go_on = !create->failed;
	pthread_mutex_unlock(&create->lock);
	return go_on;
}

static int output_segment(struct create *create, uint64_t first, unsigned int count,
			  struct bc_error *error)
{
	struct writer_chunk chunk[SEGMENT_CHUNKS];
	unsigned int i;

	for (i = 0; i < count; i++) {
		const struct slot *slot = &create->slot[(first + i) % create->slots];

		chunk[i] = (struct writer_chunk) {
			.digest = slot->digest, .stored = slot->stored, .bytes = slot->bytes,
			.data = slot->frame, .extent = slot->extent, .extents = slot->extents,
		};
	}
	return writer_segment(create->plan->writer, chunk, count, error);
}

static void output_release(struct create *create, uint64_t first, unsigned int count)
{
	unsigned int i;

	pthread_mutex_lock(&create->lock);
	for (i = 0; i < count; i++)
		create->slot[(first + i) % create->slots].state = SLOT_FREE;
	create->written = first + count;
	pthread_mutex_unlock(&create->lock);
	ring_wake(&create->ring);
}

static void *output_run(void *arg)
{
	struct create *create = arg;
	struct bc_error error;
	unsigned int count;
	uint64_t first;

	for (first = 0; first < create->chunks; first += count) {
		count = create->chunks - first < SEGMENT_CHUNKS ? create->chunks - first :
								  SEGMENT_CHUNKS;
		if (!output_wait(create, first, count))
			break;
		if (output_segment(create, first, count, &error)) {
			create_fail(create, &error);
			break;
		}
		output_release(create, first, count);
	}
	return NULL;
}

/* ---- the main thread: read ---- */

/* Bytes of the MiB that region @i of the window covers. */
static void window_range(const struct slot *slot, unsigned int i, uint32_t *from, uint32_t *to)
{
	const struct create_plan *plan = slot->create->plan;
	uint32_t mib = snap_chunk_bytes(plan->bytes, SNAP_CHUNK_SIZE,
					slot->start / SNAP_CHUNK_SIZE);
	uint64_t first = (uint64_t)(slot->window.first + i) << plan->stamps->shift;
	uint64_t last = first + (1ULL << plan->stamps->shift);

	*from = first > slot->start ? first - slot->start : 0;
	*to = last - slot->start < mib ? last - slot->start : mib;
}

/* Read bytes @from to @to of the MiB to @at of the chunk. */
static void slot_read(struct slot *slot, uint32_t from, uint32_t to, uint32_t at)
{
	uint32_t need = to - from, length = (need + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;

	slot->reads++;
	slot->create->read += need;
	ring_read(&slot->create->ring, slot->create->fd, slot->raw + at, length, need,
		  slot->start + from, slot);
}

/* Queue reads of all regions that are not proven; runs of neighbours as one. */
static void slot_read_regions(struct slot *slot)
{
	const struct stamps_window *window = &slot->window;
	uint32_t i, from, to, run_from = 0, run_to = 0;

	for (i = 0; i < window->count; i++) {
		window_range(slot, i, &from, &to);
		if (window->proven >> i & 1)
			continue;
		if (window->before[i] == BLKCAST_LSN_NEVER) {
			memset(slot->raw + from, 0, to - from);
			continue;
		}
		if (run_to == from && run_to) {
			run_to = to;
			continue;
		}
		if (run_to)
			slot_read(slot, run_from, run_to, run_from);
		run_from = from;
		run_to = to;
	}
	if (run_to)
		slot_read(slot, run_from, run_to, run_from);
}

/* A delta: append these bytes of the MiB to the chunk. */
static void slot_read_run(struct slot *slot, uint32_t from, uint32_t to)
{
	if (from == to)
		return;
	slot_read(slot, from, to, slot->bytes);
	slot->bytes += to - from;
}

/* A delta: read the regions that are held, one behind the other. */
static void slot_read_held(struct slot *slot)
{
	const struct create_plan *plan = slot->create->plan;
	uint32_t i, from, to, run_from = 0, run_to = 0;

	slot->bytes = 0;
	for (i = 0; i < slot->window.count; i++) {
		uint32_t r = slot->window.first + i;

		if (!snap_held(plan->holds, r) || plan->stamps->stamp[r] == BLKCAST_LSN_NEVER)
			continue;
		window_range(slot, i, &from, &to);
		if (run_to != from || !run_to) {
			slot_read_run(slot, run_from, run_to);
			run_from = from;
		}
		run_to = to;
	}
	slot_read_run(slot, run_from, run_to);
}

static void slot_add_extent(struct slot *slot, uint32_t from, uint32_t to, uint32_t flags)
{
	struct writer_extent *last = slot->extents ? &slot->extent[slot->extents - 1] : NULL;
	uint64_t offset = slot->start + from;

	if (last && last->flags == flags && last->offset + last->bytes == offset) {
		last->bytes += to - from;
		return;
	}
	slot->extent[slot->extents++] = (struct writer_extent) {
		.offset = offset, .bytes = to - from, .flags = flags,
	};
}

/* A delta: say where the bytes belong, and which changed meanwhile. */
static void slot_extents_held(struct slot *slot)
{
	const struct create_plan *plan = slot->create->plan;
	uint32_t i, from, to, flags;

	slot->extents = 0;
	for (i = 0; i < slot->window.count; i++) {
		uint32_t r = slot->window.first + i;

		if (!snap_held(plan->holds, r))
			continue;
		flags = plan->stamps->stamp[r] == BLKCAST_LSN_NEVER ? SNAP_EXTENT_ZERO : 0;
		if (!(slot->window.proven >> i & 1))
			flags |= SNAP_EXTENT_DOUBT;
		window_range(slot, i, &from, &to);
		slot_add_extent(slot, from, to, flags);
	}
}

/* All that is to be said of the chunk's place and stamps. */
static void slot_settle(struct slot *slot)
{
	const struct create_plan *plan = slot->create->plan;

	if (plan->holds) {
		slot_extents_held(slot);
		return;
	}
	slot->extents = 0;
	slot_add_extent(slot, 0, slot->bytes, stamps_enter(plan->stamps, &slot->window) ?
			SNAP_EXTENT_NEVER : 0);
}

/* All reads are in: settle the stamps; read again what changed, or pack. */
static int slot_check(struct slot *slot, struct bc_error *error)
{
	struct create *create = slot->create;
	struct stamps *stamps = create->plan->stamps;
	int unproven;

	while (!slot->reads) {
		unproven = stamps_check(stamps, &slot->window, error);
		if (unproven < 0)
			return unproven;
		if (!unproven || slot->again == READ_AGAIN)
			break;
		slot->again++;
		slot_read_regions(slot);
	}
	if (slot->reads)
		return 0;
	slot_settle(slot);
	slot_set(slot, SLOT_PACKING);
	pool_submit(&create->pool, &slot->job);
	return 0;
}

static int slot_start(struct slot *slot, uint64_t number, uint64_t start,
		      struct bc_error *error)
{
	const struct create_plan *plan = slot->create->plan;
	int err;

	slot->number = number;
	slot->start = start;
	slot->bytes = snap_chunk_bytes(plan->bytes, SNAP_CHUNK_SIZE, start / SNAP_CHUNK_SIZE);
	slot->again = 0;
	slot_set(slot, SLOT_READING);
	err = stamps_begin(plan->stamps, &slot->window, start, slot->bytes, error);
	if (err)
		return err;
	if (plan->holds)
		slot_read_held(slot);
	else if (slot->window.count)
		slot_read_regions(slot);
	else
		slot_read(slot, 0, slot->bytes, 0);
	return slot->reads ? 0 : slot_check(slot, error);
}

static bool slot_is_free(struct create *create, const struct slot *slot)
{
	bool is_free;

	pthread_mutex_lock(&create->lock);
	is_free = slot->state == SLOT_FREE;
	pthread_mutex_unlock(&create->lock);
	return is_free;
}

/* The first MiB from @start on that has something of the chunks; the end of all. */
static uint64_t mib_next(const struct create_plan *plan, uint64_t start)
{
	uint64_t r;

	if (!plan->holds || start >= plan->bytes)
		return start;
	for (r = start >> plan->stamps->shift; r < plan->stamps->regions; r++) {
		uint64_t from = r << plan->stamps->shift;

		if (snap_held(plan->holds, r))
			return from > start ? from / SNAP_CHUNK_SIZE * SNAP_CHUNK_SIZE : start;
	}
	return plan->bytes;
}

static uint64_t count_chunks(const struct create_plan *plan)
{
	uint64_t start, chunks = 0;

	for (start = mib_next(plan, 0); start < plan->bytes;
	     start = mib_next(plan, start + SNAP_CHUNK_SIZE))
		chunks++;
	return chunks;
}

/* Wait until reading on keeps to the rate.  Workers go on meanwhile. */
static void create_throttle(struct create *create)
{
	const struct create_plan *plan = create->plan;
	uint64_t now = bc_now_ns(), due;
	struct timespec until;

	if (!plan->rate)
		return;
	due = plan->progress->started + (uint64_t)(create->read * 1e9 / plan->rate);
	if (due <= now)
		return;
	until.tv_sec = due / 1000000000;
	until.tv_nsec = due % 1000000000;
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/* Start chunks while there are free slots; with a rate one read at a time. */
static int create_refill(struct create *create, struct bc_error *error)
{
	int err = 0;

	while (!err && create->next < create->chunks) {
		struct slot *slot = &create->slot[create->next % create->slots];

		if (!slot_is_free(create, slot))
			break;
		create_throttle(create);
		create->next_start = mib_next(create->plan, create->next_start);
		err = slot_start(slot, create->next++, create->next_start, error);
		create->next_start += SNAP_CHUNK_SIZE;
		if (create->plan->rate && slot->reads)
			break;
	}
	return err;
}

/* A read failed: the same from elsewhere; false: there is nothing else to read from. */
static bool create_read_elsewhere(struct create *create, const struct ring_request *failed)
{
	const struct create_plan *plan = create->plan;
	int fd;

	if (failed->fd == create->fd) {
		fd = plan->fall_back ? plan->fall_back(plan->arg) : -1;
		if (fd < 0)
			return false;
		create->fd = fd;
	}
	ring_read(&create->ring, create->fd, failed->data, failed->length, failed->need,
		  failed->offset, failed->owner);
	return true;
}

/* Take in finished reads. */
static int create_reap(struct create *create, struct bc_error *error)
{
	struct ring_request *request;
	int err = 0;

	while (!err && (request = ring_next(&create->ring))) {
		const struct ring_request done = *request;
		struct slot *slot = done.owner;

		if (done.error && create_read_elsewhere(create, &done))
			continue;
		if (done.error)
			return bc_fail_errno(error, done.error, "cannot read at byte %llu",
					     (unsigned long long)slot->start);
		if (!--slot->reads)
			err = slot_check(slot, error);
	}
	return err;
}

static uint64_t create_written(struct create *create)
{
	uint64_t written;

	pthread_mutex_lock(&create->lock);
	written = create->written;
	pthread_mutex_unlock(&create->lock);
	return written;
}

/* Nothing before the oldest chunk in hand is read any more. */
static void create_pass(struct create *create, uint64_t written)
{
	uint64_t start = create->next_start;

	if (!create->plan->pass || written - create->passed < PASS_CHUNKS)
		return;
	create->passed = written;
	if (written < create->next)
		start = create->slot[written % create->slots].start;
	create->plan->pass(create->plan->arg, start);
}

static int create_read_all(struct create *create, struct bc_error *error)
{
	uint64_t written;
	int err = 0;

	while (!err && !create_failed(create) &&
	       (written = create_written(create)) < create->chunks) {
		progress_show(create->plan->progress, written * SNAP_CHUNK_SIZE);
		create_pass(create, written);
		err = create_refill(create, error);
		if (!err && ring_wait(&create->ring))
			err = bc_fail(error, -EIO, "io_uring failed");
		if (!err)
			err = create_reap(create, error);
	}
	return err;
}

/* ---- set-up ---- */

static int create_zero_frame(struct create *create, struct bc_error *error)
{
	char *zeros = calloc(1, SNAP_CHUNK_SIZE);
	ZSTD_CCtx *cctx = packer_create(create);
	size_t size = 0;

	create->zero_frame = malloc(create->packed_room);
	if (zeros && cctx && create->zero_frame)
		size = ZSTD_compress2(cctx, create->zero_frame, create->packed_room, zeros,
				      SNAP_CHUNK_SIZE);
	create->zero_stored = size;
	create->zero_digest = zeros ? XXH64(zeros, SNAP_CHUNK_SIZE, 0) : 0;
	free(zeros);
	ZSTD_freeCCtx(cctx);
	return size && !ZSTD_isError(size) ? 0 : bc_fail(error, -ENOMEM, "out of memory");
}

/* Two segments, and enough to keep the device and every worker busy. */
static int create_slots(struct create *create, struct bc_error *error)
{
	unsigned int i;
	size_t size;

	create->slots = 2 * SEGMENT_CHUNKS + 2 * create->plan->threads;
	if (create->slots > create->chunks + 1)
		create->slots = create->chunks + 1;
	create->packed_room = ZSTD_compressBound(SNAP_CHUNK_SIZE);
	size = SNAP_CHUNK_SIZE + (create->packed_room + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	create->memory_size = create->slots * size;
	create->memory = mmap(NULL, create->memory_size, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	create->slot = calloc(create->slots, sizeof(*create->slot));
	if (create->memory == MAP_FAILED || !create->slot)
		return bc_fail(error, -ENOMEM, "out of memory for %u chunks", create->slots);
	for (i = 0; i < create->slots; i++) {
		create->slot[i].create = create;
		create->slot[i].job.run = slot_pack;
		create->slot[i].raw = create->memory + (size_t)i * SNAP_CHUNK_SIZE;
		create->slot[i].packed = create->memory + (size_t)create->slots * SNAP_CHUNK_SIZE +
					 i * (size - SNAP_CHUNK_SIZE);
	}
	return 0;
}

static int create_setup(struct create *create, struct bc_error *error)
{
	int err = create_slots(create, error);

	if (!err)
		err = create_zero_frame(create, error);
	if (!err)
		err = ring_init(&create->ring, create->slots * SLOT_READS, create->memory,
				(size_t)create->slots * SNAP_CHUNK_SIZE, error);
	if (!err)
		err = pool_start(&create->pool, create->plan->threads, &packers, create, error);
	return err;
}

static void create_teardown(struct create *create)
{
	pool_stop(&create->pool);
	ring_exit(&create->ring);
	pthread_cond_destroy(&create->packed);
	pthread_mutex_destroy(&create->lock);
	if (create->memory != MAP_FAILED)
		munmap(create->memory, create->memory_size);
	free(create->zero_frame);
	free(create->slot);
}

static int create_run(struct create *create, struct bc_error *error)
{
	int err = pool_thread(&create->output, output_run, create);

	if (err)
		return bc_fail_errno(error, err, "cannot start a thread");
	if (create_read_all(create, error))
		create_fail(create, error);
	pthread_join(create->output, NULL);
	if (!create_failed(create))
		return 0;
	*error = create->error;
	return -EIO;
}

int create_chunks(const struct create_plan *plan, struct bc_error *error)
{
	struct create create = {
		.plan = plan,
		.fd = plan->fd,
		.memory = MAP_FAILED,
		.chunks = count_chunks(plan),
	};
	int err;

	pthread_mutex_init(&create.lock, NULL);
	pthread_cond_init(&create.packed, NULL);
	err = create_setup(&create, error);
	if (!err)
		err = create_run(&create, error);
	create_teardown(&create);
	return err;
}
