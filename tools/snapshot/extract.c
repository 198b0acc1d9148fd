// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The restore pipeline (see extract.h).
 *
 *	FREE -> FILLING -> (pool: unpack) -> READY -> WRITING -> FREE
 *	                                               `-> READING -> (pool:
 *	                                         compare) -> READY, verified -> FREE
 *
 * Invariants:
 *  1. A slot belongs to the input thread while FILLING, to a worker while in
 *     the pool, else to the main thread; it changes hands through the two
 *     lists, under the lock.
 *  2. The first failure is kept; everyone stops at his next step.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <zstd.h>

#include "extract.h"
#include "pool.h"
#include "ring.h"

#define ALIGNMENT 4096

enum slot_step { STEP_UNPACKED, STEP_WRITTEN, STEP_READ, STEP_VERIFIED };

/**
 * struct slot - one chunk on its way
 * @raw: its content, unpacked, or read back
 * @zero: it is all zeros
 * @step: what has been done to it
 * @next: in the list of free or of ready slots
 */
struct slot {
	struct pool_job job;
	struct extract *extract;
	struct reader_chunk chunk;
	char *raw, *packed;
	bool zero;
	enum slot_step step;
	struct slot *next;
};

struct extract {
	const struct extract_plan *plan;
	struct ring ring;
	struct pool pool;
	pthread_t input;
	unsigned int slots;
	struct slot *slot;
	char *memory;
	size_t memory_size, raw_size, packed_size;
	bool cannot_punch;	/* main thread */
	uint64_t done;

	pthread_mutex_t lock;	/* the rest */
	pthread_cond_t freed;
	struct slot *free, *ready;
	unsigned int busy;	/* slots not free */
	bool input_done, failed;
	struct bc_error error;
};

static void extract_fail(struct extract *extract, const struct bc_error *error)
{
	pthread_mutex_lock(&extract->lock);
	if (!extract->failed)
		extract->error = *error;
	extract->failed = true;
	pthread_cond_broadcast(&extract->freed);
	pthread_mutex_unlock(&extract->lock);
	ring_wake(&extract->ring);
}

/* ---- the pool: unpack, compare ---- */

static void *unpacker_create(void *arg)
{
	(void)arg;
	return ZSTD_createDCtx();
}

static void unpacker_destroy(void *context)
{
	ZSTD_freeDCtx(context);
}

static const struct pool_kind unpackers = { unpacker_create, unpacker_destroy };

static void chunk_fail(const struct slot *slot, const char *wrong)
{
	struct bc_error error;

	bc_fail(&error, -EBADMSG, "%s: byte %llu: chunk %llu (image bytes %llu to %llu): %s; the file is damaged",
		slot->extract->plan->reader->input.name,
		(unsigned long long)slot->chunk.position, (unsigned long long)slot->chunk.number,
		(unsigned long long)slot->chunk.offset,
		(unsigned long long)slot->chunk.offset + slot->chunk.bytes - 1, wrong);
	extract_fail(slot->extract, &error);
}

/* Unpack; the frame's size, the unpacked size and the digest are as announced. */
static const char *slot_unpack(struct slot *slot, ZSTD_DCtx *dctx)
{
	const struct reader_chunk *chunk = &slot->chunk;
	size_t size;

	if (ZSTD_findFrameCompressedSize(slot->packed, chunk->stored) != chunk->stored)
		return "its frame has not the size that was announced";
	if (ZSTD_getFrameContentSize(slot->packed, chunk->stored) != chunk->bytes)
		return "its frame does not hold as much as was announced";
	size = ZSTD_decompressDCtx(dctx, slot->raw, slot->extract->raw_size, slot->packed,
				   chunk->stored);
	if (ZSTD_isError(size))
		return ZSTD_getErrorName(size);
	if (size != chunk->bytes)
		return "it does not unpack to the size that was announced";
	if (XXH64(slot->raw, size, 0) != chunk->digest)
		return "its digest does not match";
	return NULL;
}

static void slot_ready(struct slot *slot)
{
	struct extract *extract = slot->extract;

	pthread_mutex_lock(&extract->lock);
	slot->next = extract->ready;
	extract->ready = slot;
	pthread_mutex_unlock(&extract->lock);
	ring_wake(&extract->ring);
}

static void run_unpack(struct pool_job *job, void *context)
{
	struct slot *slot = (struct slot *)job;
	const char *wrong = slot_unpack(slot, context);

	if (wrong) {
		chunk_fail(slot, wrong);
		return;
	}
	slot->zero = !slot->raw[0] && !memcmp(slot->raw, slot->raw + 1, slot->chunk.bytes - 1);
	if (slot->chunk.never && !slot->zero) {
		chunk_fail(slot, "said to be never written, and not zero");
		return;
	}
	/* Writes may be rounded up. */
	memset(slot->raw + slot->chunk.bytes, 0, slot->extract->raw_size - slot->chunk.bytes);
	slot->step = STEP_UNPACKED;
	slot_ready(slot);
}

static void run_compare(struct pool_job *job, void *context)
{
	struct slot *slot = (struct slot *)job;
	struct bc_error error;

	(void)context;
	if (XXH64(slot->raw, slot->chunk.bytes, 0) != slot->chunk.digest) {
		bc_fail(&error, -EIO, "%s: image bytes %llu to %llu read back other than they were written: the device is faulty",
			slot->extract->plan->target->name, (unsigned long long)slot->chunk.offset,
			(unsigned long long)slot->chunk.offset + slot->chunk.bytes - 1);
		extract_fail(slot->extract, &error);
		return;
	}
	slot->step = STEP_VERIFIED;
	slot_ready(slot);
}

/* ---- the input thread ---- */

/* A free slot, waiting for one; NULL: stop. */
static struct slot *slot_get(struct extract *extract)
{
	struct slot *slot = NULL;

	pthread_mutex_lock(&extract->lock);
	while (!extract->free && !extract->failed)
		pthread_cond_wait(&extract->freed, &extract->lock);
	if (!extract->failed) {
		slot = extract->free;
		extract->free = slot->next;
		extract->busy++;
	}
	pthread_mutex_unlock(&extract->lock);
	return slot;
}

static void slot_put(struct slot *slot)
{
	struct extract *extract = slot->extract;

	pthread_mutex_lock(&extract->lock);
	slot->next = extract->free;
	extract->free = slot;
	extract->busy--;
	pthread_cond_signal(&extract->freed);
	pthread_mutex_unlock(&extract->lock);
}

/* Read one chunk and hand it to the pool; 1: the snapshot is at its end. */
static int input_chunk(struct extract *extract, struct bc_error *error)
{
	struct slot *slot = slot_get(extract);
	enum reader_item item;
	int err;

	if (!slot)
		return 1;
	err = reader_next(extract->plan->reader, &slot->chunk, &item, error);
	if (!err && item == READER_CHUNK)
		err = reader_packed(extract->plan->reader, &slot->chunk, slot->packed, error);
	if (err || item == READER_END) {
		slot_put(slot);
		return err ? err : 1;
	}
	slot->job.run = run_unpack;
	pool_submit(&extract->pool, &slot->job);
	return 0;
}

static void *input_run(void *arg)
{
	struct extract *extract = arg;
	struct bc_error error;
	int err;

	do {
		err = input_chunk(extract, &error);
	} while (!err);
	if (err < 0)
		extract_fail(extract, &error);
	pthread_mutex_lock(&extract->lock);
	extract->input_done = true;
	pthread_mutex_unlock(&extract->lock);
	ring_wake(&extract->ring);
	return NULL;
}

/* ---- the main thread: write ---- */

static uint64_t slot_length(const struct slot *slot)
{
	uint32_t align = slot->extract->plan->target->align;

	return (slot->chunk.bytes + align - 1) / align * align;
}

static void slot_finish(struct slot *slot)
{
	slot->extract->done += slot->chunk.bytes;
	slot_put(slot);
}

static void slot_read_back(struct slot *slot)
{
	struct extract *extract = slot->extract;
	const struct target *target = extract->plan->target;

	slot->step = STEP_READ;
	ring_read(&extract->ring, target->fd, slot->raw, slot_length(slot), slot->chunk.bytes,
		  target->base + slot->chunk.offset, slot);
}

static void slot_written(struct slot *slot)
{
	if (slot->extract->plan->verify)
		slot_read_back(slot);
	else
		slot_finish(slot);
}

static void slot_write(struct slot *slot)
{
	struct extract *extract = slot->extract;
	const struct target *target = extract->plan->target;
	uint64_t offset = target->base + slot->chunk.offset;

	slot->step = STEP_WRITTEN;
	if (slot->zero && target->zeroed)
		slot_written(slot);
	else if (slot->zero && !extract->cannot_punch)
		ring_zero(&extract->ring, target->fd, slot_length(slot), offset, slot);
	else
		ring_write(&extract->ring, target->fd, slot->raw, slot_length(slot), offset, slot);
}

/* A volume's copy need not hold what was never written: reads do not get there. */
static bool slot_needs_write(const struct slot *slot)
{
	const struct target *target = slot->extract->plan->target;

	return target && !(target->volume && slot->chunk.never);
}

/* A slot that comes from the pool. */
static void slot_go_on(struct slot *slot)
{
	if (slot->step == STEP_VERIFIED || !slot_needs_write(slot))
		slot_finish(slot);
	else
		slot_write(slot);
}

static void extract_refill(struct extract *extract)
{
	struct slot *slot, *next;

	pthread_mutex_lock(&extract->lock);
	slot = extract->ready;
	extract->ready = NULL;
	pthread_mutex_unlock(&extract->lock);
	for (; slot; slot = next) {
		next = slot->next;
		slot_go_on(slot);
	}
}

static int slot_done(struct slot *slot, const struct ring_request *request,
		     struct bc_error *error)
{
	struct extract *extract = slot->extract;

	if (request->kind == RING_ZERO && request->error == -EOPNOTSUPP) {
		extract->cannot_punch = true;
		slot_write(slot);
		return 0;
	}
	if (request->error)
		return bc_fail_errno(error, request->error, "%s: cannot %s at byte %llu",
				     extract->plan->target->name,
				     request->kind == RING_READ ? "read" : "write",
				     (unsigned long long)request->offset);
	if (slot->step == STEP_WRITTEN) {
		slot_written(slot);
		return 0;
	}
	slot->job.run = run_compare;
	pool_submit(&extract->pool, &slot->job);
	return 0;
}

static int extract_reap(struct extract *extract, struct bc_error *error)
{
	struct ring_request *request;
	int err = 0;

	while (!err && (request = ring_next(&extract->ring))) {
		const struct ring_request result = *request;

		err = slot_done(result.owner, &result, error);
	}
	return err;
}

static bool extract_over(struct extract *extract)
{
	bool over;

	pthread_mutex_lock(&extract->lock);
	over = extract->failed || (extract->input_done && !extract->busy);
	pthread_mutex_unlock(&extract->lock);
	return over;
}

static int extract_write_all(struct extract *extract, struct bc_error *error)
{
	int err = 0;

	while (!err && !extract_over(extract)) {
		progress_show(extract->plan->progress, extract->done);
		if (ring_wait(&extract->ring))
			return bc_fail(error, -EIO, "io_uring failed");
		err = extract_reap(extract, error);
		if (!err)
			extract_refill(extract);
	}
	return err;
}

/* ---- set-up ---- */

static size_t round_up(size_t size)
{
	return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static int extract_slots(struct extract *extract, struct bc_error *error)
{
	size_t chunk = le32toh(extract->plan->reader->super->chunk_size);
	unsigned int i;

	extract->slots = 8 + 3 * extract->plan->threads;
	if (extract->slots > extract->plan->reader->chunks + 1)
		extract->slots = extract->plan->reader->chunks + 1;
	extract->raw_size = chunk;
	extract->packed_size = round_up(ZSTD_compressBound(chunk));
	extract->memory_size = extract->slots * (extract->raw_size + extract->packed_size);
	extract->memory = mmap(NULL, extract->memory_size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	extract->slot = calloc(extract->slots, sizeof(*extract->slot));
	if (extract->memory == MAP_FAILED || !extract->slot)
		return bc_fail(error, -ENOMEM, "out of memory for %u chunks", extract->slots);
	for (i = 0; i < extract->slots; i++) {
		struct slot *slot = &extract->slot[i];

		slot->extract = extract;
		slot->raw = extract->memory + i * extract->raw_size;
		slot->packed = extract->memory + extract->slots * extract->raw_size +
			       i * extract->packed_size;
		slot->next = extract->free;
		extract->free = slot;
	}
	return 0;
}

static int extract_setup(struct extract *extract, struct bc_error *error)
{
	int err = extract_slots(extract, error);

	if (!err)
		err = ring_init(&extract->ring, extract->plan->target ? extract->slots : 0,
				extract->memory, extract->slots * extract->raw_size, error);
	if (!err)
		err = pool_start(&extract->pool, extract->plan->threads, &unpackers, extract,
				 error);
	return err;
}

static void extract_teardown(struct extract *extract)
{
	pool_stop(&extract->pool);
	ring_exit(&extract->ring);
	pthread_cond_destroy(&extract->freed);
	pthread_mutex_destroy(&extract->lock);
	if (extract->memory != MAP_FAILED)
		munmap(extract->memory, extract->memory_size);
	free(extract->slot);
}

static int extract_run(struct extract *extract, struct bc_error *error)
{
	int err = pool_thread(&extract->input, input_run, extract);

	if (err)
		return bc_fail_errno(error, err, "cannot start a thread");
	if (extract_write_all(extract, error))
		extract_fail(extract, error);
	pthread_join(extract->input, NULL);
	/* The workers have stopped or are idle: nobody else sets it now. */
	pool_stop(&extract->pool);
	if (!extract->failed)
		return 0;
	*error = extract->error;
	return -EIO;
}

int extract_chunks(const struct extract_plan *plan, struct bc_error *error)
{
	struct extract extract = { .plan = plan, .memory = MAP_FAILED };
	int err;

	pthread_mutex_init(&extract.lock, NULL);
	pthread_cond_init(&extract.freed, NULL);
	err = extract_setup(&extract, error);
	if (!err)
		err = extract_run(&extract, error);
	extract_teardown(&extract);
	return err;
}
