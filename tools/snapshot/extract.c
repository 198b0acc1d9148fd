// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The restore pipeline (see extract.h).
 *
 *	FREE -> FILLING -> (pool: unpack) -> UNPACKED
 *	[update]	-> read what is there -> (pool: compare) -> COMPARED
 *			-> write what differs -> WRITTEN
 *	[verify]	-> read back -> (pool: hold against the digest) -> VERIFIED
 *			-> read back zeros without data, a buffer at a time ->
 *			   (pool: are they?) -> VERIFIED
 *			-> FREE
 *
 * Invariants:
 *  1. A slot belongs to the input thread while FILLING, to a worker while in
 *     the pool, else to the main thread; it changes hands through the two
 *     lists, under the lock.
 *  2. The first failure is kept; everyone stops at his next step.  Where the input
 *     fails, what has been read until then is still written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <zstd.h>

#include "extract.h"
#include "lowwater.h"
#include "pool.h"
#include "ring.h"

#define ALIGNMENT 4096
#define DEPTH_MAX 16384	/* of the ring: kernels allow 32768 */

enum slot_step {
	STEP_UNPACKED, STEP_OLD, STEP_COMPARED, STEP_WRITTEN, STEP_READ, STEP_ZEROS, STEP_VERIFIED
};

/**
 * struct slot - one chunk on its way
 * @raw: its content, unpacked, or read back
 * @packed: its frame; once unpacked, what the target holds (@update)
 * @zero: for each extent: it is all zeros
 * @same: for each extent: the target holds it already
 * @zeros_at: extents before it need not be read back as zeros any more
 * @zeros_bytes: of zeros that are in @raw, read back
 * @step: what has been done to it
 * @requests: in flight
 * @next: in the list of free or of ready slots
 */
struct slot {
	struct pool_job job;
	struct extract *extract;
	struct reader_chunk chunk;
	char *raw, *packed;
	bool zero[SNAP_CHUNK_EXTENTS], same[SNAP_CHUNK_EXTENTS];
	uint32_t zeros_at, zeros_bytes;
	enum slot_step step;
	unsigned int requests;
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
	const char *zeros;	/* @raw_size of them */
	bool cannot_punch;	/* main thread, as are these: */
	uint64_t done;
	struct extract_done count;
	struct lowwater lowwater;

	pthread_mutex_t lock;	/* the rest */
	pthread_cond_t freed;
	struct slot *free, *ready;
	unsigned int busy;	/* slots not free */
	bool input_done, input_failed, failed;
	struct bc_error error, input_error;
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

/* Where its bytes are in the image, from the first to behind the last. */
static uint64_t chunk_begin(const struct reader_chunk *chunk)
{
	return chunk->extent[0].offset;
}

static uint64_t chunk_end(const struct reader_chunk *chunk)
{
	const struct reader_extent *last = &chunk->extent[chunk->extents - 1];

	return last->offset + last->bytes;
}

/* Bytes of the chunk that an extent has. */
static uint32_t extent_data(const struct reader_extent *extent)
{
	return extent->flags & SNAP_EXTENT_ZERO ? 0 : extent->bytes;
}

/* Bytes at its begin that are held back. */
static uint32_t extent_held_back(const struct extract *extract,
				 const struct reader_extent *extent)
{
	return head_holds(&extract->plan->target->head, extent->offset, extent->bytes);
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
		(unsigned long long)chunk_begin(&slot->chunk),
		(unsigned long long)chunk_end(&slot->chunk) - 1, wrong);
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

static bool all_zero(const char *data, size_t length)
{
	return !length || (!data[0] && !memcmp(data, data + 1, length - 1));
}

static void slot_find_zeros(struct slot *slot)
{
	const char *data = slot->raw;
	uint32_t i;

	for (i = 0; i < slot->chunk.extents; i++) {
		uint32_t bytes = extent_data(&slot->chunk.extent[i]);

		slot->zero[i] = all_zero(data, bytes);
		slot->same[i] = false;
		data += bytes;
	}
}

static void run_unpack(struct pool_job *job, void *context)
{
	struct slot *slot = (struct slot *)job;
	const char *wrong = slot_unpack(slot, context);

	if (wrong) {
		chunk_fail(slot, wrong);
		return;
	}
	slot_find_zeros(slot);
	if (slot->chunk.never && !slot->zero[0]) {
		chunk_fail(slot, "said to be never written, and not zero");
		return;
	}
	/* Writes may be rounded up. */
	memset(slot->raw + slot->chunk.bytes, 0, slot->extract->raw_size - slot->chunk.bytes);
	slot->step = STEP_UNPACKED;
	slot_ready(slot);
}

/* What of the chunk is there already.  Zeros without data were not read. */
static void run_compare(struct pool_job *job, void *context)
{
	struct slot *slot = (struct slot *)job;
	size_t at = 0;
	uint32_t i;

	(void)context;
	for (i = 0; i < slot->chunk.extents; i++) {
		const struct reader_extent *extent = &slot->chunk.extent[i];
		uint32_t bytes = extent_data(extent), held = extent_held_back(slot->extract, extent);

		slot->same[i] = bytes && !memcmp(slot->raw + at + held, slot->packed + at + held,
						 bytes - held);
		at += bytes;
	}
	slot->step = STEP_COMPARED;
	slot_ready(slot);
}

/* What is in @raw was read back. */
static bool slot_read_back_right(const struct slot *slot)
{
	if (slot->step == STEP_ZEROS)
		return all_zero(slot->raw, slot->zeros_bytes);
	return XXH64(slot->raw, slot->chunk.bytes, 0) == slot->chunk.digest;
}

static void run_verify(struct pool_job *job, void *context)
{
	struct slot *slot = (struct slot *)job;
	struct bc_error error;

	(void)context;
	if (!slot_read_back_right(slot)) {
		bc_fail(&error, -EIO, "%s: image bytes %llu to %llu read back other than they were written: the device is faulty",
			slot->extract->plan->target->name,
			(unsigned long long)chunk_begin(&slot->chunk),
			(unsigned long long)chunk_end(&slot->chunk) - 1);
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
	pthread_mutex_lock(&extract->lock);
	extract->input_done = true;
	extract->input_failed = err < 0;
	if (err < 0)
		extract->input_error = error;
	pthread_mutex_unlock(&extract->lock);
	ring_wake(&extract->ring);
	return NULL;
}

/* ---- the main thread: write ---- */

static uint64_t round_length(const struct slot *slot, uint64_t bytes)
{
	uint32_t align = slot->extract->plan->target->align;

	return (bytes + align - 1) / align * align;
}

static void extract_no_memory(struct extract *extract)
{
	struct bc_error error;

	bc_fail(&error, -ENOMEM, "out of memory");
	extract_fail(extract, &error);
}

static void slot_finish(struct slot *slot)
{
	struct extract *extract = slot->extract;
	uint32_t i;

	for (i = 0; i < slot->chunk.extents; i++)
		extract->done += slot->chunk.extent[i].bytes;
	if (lowwater_done(&extract->lowwater, slot->chunk.number, chunk_end(&slot->chunk)))
		extract_no_memory(extract);
	slot_put(slot);
}

/* Read an extent from the target to @to, but for what is held back. */
static void slot_read_extent(struct slot *slot, const struct reader_extent *extent, char *to)
{
	uint32_t held = extent_held_back(slot->extract, extent), bytes = extent->bytes - held;
	const struct target *target = slot->extract->plan->target;

	if (!bytes)
		return;
	slot->requests++;
	ring_read(&slot->extract->ring, target->fd, to + held, round_length(slot, bytes), bytes,
		  target->base + extent->offset + held, slot);
}

/* All of the chunk that has data. */
static void slot_read(struct slot *slot, char *to)
{
	uint32_t i;

	for (i = 0; i < slot->chunk.extents; i++) {
		const struct reader_extent *extent = &slot->chunk.extent[i];

		if (extent_data(extent))
			slot_read_extent(slot, extent, to);
		to += extent_data(extent);
	}
}

/* Zeros without data: as many extents as fit. */
static void slot_read_zeros(struct slot *slot)
{
	uint32_t room = slot->extract->raw_size;

	slot->zeros_bytes = 0;
	for (; slot->zeros_at < slot->chunk.extents; slot->zeros_at++) {
		const struct reader_extent *extent = &slot->chunk.extent[slot->zeros_at];
		uint32_t held;

		if (extent_data(extent))
			continue;
		if (round_length(slot, extent->bytes) > room - slot->zeros_bytes)
			break;
		held = extent_held_back(slot->extract, extent);
		slot_read_extent(slot, extent, slot->raw + slot->zeros_bytes - held);
		/* Only the last of the image need not be a multiple of blocks. */
		slot->zeros_bytes += extent->bytes - held;
	}
}

/* The target cannot make zeros otherwise: write those of this request. */
static void slot_write_zeros(struct slot *slot, const struct ring_request *request)
{
	struct extract *extract = slot->extract;
	uint64_t bytes = request->length;

	extract->cannot_punch = true;
	extract->count.zeroed -= bytes;
	extract->count.written += bytes;
	ring_write(&extract->ring, request->fd, extract->zeros, bytes, request->offset, slot);
}

/* What is held back goes to memory; returns how much that is. */
static uint32_t slot_hold_back(struct slot *slot, uint32_t i, const char *data)
{
	const struct reader_extent *extent = &slot->chunk.extent[i];
	uint32_t held = extent_held_back(slot->extract, extent);

	if (held)
		head_take(&slot->extract->plan->target->head, extent->offset,
			  slot->zero[i] ? NULL : data, held);
	return held;
}

/* The first write of all: false: it must not happen. */
static bool slot_may_write(struct slot *slot)
{
	struct bc_error error;

	if (!head_mark(&slot->extract->plan->target->head, &error))
		return true;
	extract_fail(slot->extract, &error);
	return false;
}

static void slot_write_extent(struct slot *slot, uint32_t i, const char *data)
{
	const struct reader_extent *extent = &slot->chunk.extent[i];
	struct extract *extract = slot->extract;
	const struct target *target = extract->plan->target;
	uint32_t held = slot_hold_back(slot, i, data), bytes = extent->bytes - held;
	uint64_t offset = target->base + extent->offset + held;

	if (!bytes)
		return;
	if (slot->same[i] || (slot->zero[i] && target->zeroed)) {
		extract->count.kept += bytes;
		return;
	}
	if (!slot_may_write(slot))
		return;
	slot->requests++;
	if (slot->zero[i] && !extract->cannot_punch) {
		extract->count.zeroed += round_length(slot, bytes);
		ring_zero(&extract->ring, target->fd, round_length(slot, bytes), offset, slot);
	} else {
		extract->count.written += bytes;
		ring_write(&extract->ring, target->fd,
			   slot->zero[i] ? extract->zeros : data + held,
			   round_length(slot, bytes), offset, slot);
	}
}

static void slot_write(struct slot *slot)
{
	const char *data = slot->raw;
	uint32_t i;

	slot->step = STEP_WRITTEN;
	slot->zeros_at = 0;
	for (i = 0; i < slot->chunk.extents; i++) {
		slot_write_extent(slot, i, data);
		data += extent_data(&slot->chunk.extent[i]);
	}
}

/* A volume's copy need not hold what was never written: reads do not get there. */
static bool slot_needs_write(const struct slot *slot)
{
	const struct target *target = slot->extract->plan->target;

	return target && !(target->volume && slot->chunk.never);
}

/* The next step of a slot that waits for nothing; false: it is done. */
static bool slot_step(struct slot *slot)
{
	const struct extract_plan *plan = slot->extract->plan;

	switch (slot->step) {
	case STEP_UNPACKED:
		if (!slot_needs_write(slot))
			return false;
		if (!plan->update || plan->target->zeroed) {
			slot_write(slot);
			break;
		}
		slot->step = STEP_OLD;
		slot_read(slot, slot->packed);
		break;
	case STEP_OLD:
	case STEP_READ:
	case STEP_ZEROS:
		slot->job.run = slot->step == STEP_OLD ? run_compare : run_verify;
		pool_submit(&slot->extract->pool, &slot->job);
		return true;
	case STEP_COMPARED:
		slot_write(slot);
		break;
	case STEP_WRITTEN:
		if (!plan->verify)
			return false;
		slot->step = STEP_READ;
		slot_read(slot, slot->raw);
		break;
	case STEP_VERIFIED:
		slot->step = STEP_ZEROS;
		slot_read_zeros(slot);
		if (!slot->requests)
			return false;
		break;
	}
	return slot->requests ? true : slot_step(slot);
}

/* A slot that waits for nothing. */
static void slot_go_on(struct slot *slot)
{
	if (!slot_step(slot))
		slot_finish(slot);
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
		slot_write_zeros(slot, request);
		return 0;
	}
	if (request->error)
		return bc_fail_errno(error, request->error, "%s: cannot %s at byte %llu",
				     extract->plan->target->name,
				     request->kind == RING_READ ? "read" : "write",
				     (unsigned long long)request->offset);
	if (!--slot->requests)
		slot_go_on(slot);
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
		if (!err && extract->plan->journal)
			err = extract->plan->journal(extract->plan->target, extract->plan->reader,
						     extract->lowwater.bytes, false, error);
	}
	return err;
}

/* ---- set-up ---- */

static size_t round_up(size_t size)
{
	return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Requests that a chunk may have in flight. */
static unsigned int extents_max(const struct reader *reader)
{
	return reader_delta(reader) ? SNAP_CHUNK_EXTENTS : 1;
}

static int extract_slots(struct extract *extract, struct bc_error *error)
{
	const struct reader *reader = extract->plan->reader;
	size_t chunk = le32toh(reader->super->chunk_size);
	unsigned int i;

	extract->slots = 8 + 3 * extract->plan->threads;
	if (extract->slots > reader_covers(reader) / chunk + 2)
		extract->slots = reader_covers(reader) / chunk + 2;
	if (extract->slots > DEPTH_MAX / extents_max(reader))
		extract->slots = DEPTH_MAX / extents_max(reader);
	extract->raw_size = chunk;
	extract->packed_size = round_up(ZSTD_compressBound(chunk));
	extract->memory_size = extract->slots * (extract->raw_size + extract->packed_size) +
			       extract->raw_size;
	extract->memory = mmap(NULL, extract->memory_size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	extract->slot = calloc(extract->slots, sizeof(*extract->slot));
	if (extract->memory == MAP_FAILED || !extract->slot)
		return bc_fail(error, -ENOMEM, "out of memory for %u chunks", extract->slots);
	extract->zeros = extract->memory + extract->slots * (extract->raw_size + extract->packed_size);
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
		err = ring_init(&extract->ring, extract->plan->target ?
				extract->slots * extents_max(extract->plan->reader) : 0,
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
	lowwater_release(&extract->lowwater);
	free(extract->slot);
}

/* It failed: keep what can be kept for the next time. */
static void extract_leave(struct extract *extract)
{
	const struct extract_plan *plan = extract->plan;
	struct bc_error ignored;

	if (plan->journal)
		plan->journal(plan->target, plan->reader, extract->lowwater.bytes, true,
			      &ignored);
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
	if (!extract->failed && !extract->input_failed)
		return 0;
	extract_leave(extract);
	*error = extract->failed ? extract->error : extract->input_error;
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
	if (plan->done) {
		plan->done->written += extract.count.written;
		plan->done->zeroed += extract.count.zeroed;
		plan->done->kept += extract.count.kept;
	}
	return err;
}
