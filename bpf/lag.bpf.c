// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The probes behind "blkcast lag": latency histograms per volume, link, stage.
 *
 * One program sits on each of the module's raw tracepoints (kmod/trace.h).
 * Their arguments are scalars and carry the start of the write, so a program
 * needs neither BTF nor a table of writes under way, and may be attached or
 * detached at any moment:  latency = now - start  goes into one bucket.
 *
 * 1. Counts only grow; the loader takes differences.  Nothing is sent to user
 *    space per write.
 * 2. A cell belongs to one CPU, and a program that interrupts itself is not
 *    run (the kernel counts that as a recursion miss, which the loader adds to
 *    what was lost): no atomic operation is needed on a cell.
 * 3. What cannot be counted because the map is full is counted in lag_lost.
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "lag.h"

const volatile __u32 lag_filter_minor = LAG_MINOR_ANY;

/* Counted up by the loader at each reading. */
volatile __u64 lag_epoch = 1;
__u64 lag_lost;

static const struct lag_cell lag_zero;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 512);
	__type(key, struct lag_key);
	__type(value, struct lag_cell);
} lag_cells SEC(".maps");

static __always_inline struct lag_cell *cell_get(const struct lag_key *key)
{
	struct lag_cell *cell = bpf_map_lookup_elem(&lag_cells, key);

	if (cell)
		return cell;
	bpf_map_update_elem(&lag_cells, key, &lag_zero, BPF_NOEXIST);
	return bpf_map_lookup_elem(&lag_cells, key);
}

static __always_inline void cell_set_max(struct lag_cell *cell, __u64 ns)
{
	__u64 epoch = lag_epoch;
	__u32 slot = epoch & 1;

	if (cell->epoch[slot] != epoch) {
		cell->epoch[slot] = epoch;
		cell->max[slot] = 0;
	}
	if (cell->max[slot] < ns)
		cell->max[slot] = ns;
}

static __always_inline int record(__u32 minor, __u32 link, __u32 stage,
				  __u64 start)
{
	struct lag_key key = { .minor = minor, .link = link, .stage = stage };
	struct lag_cell *cell;
	__u64 now, ns, bucket;

	if (lag_filter_minor != LAG_MINOR_ANY && lag_filter_minor != minor)
		return 0;
	now = bpf_ktime_get_ns();
	ns = now > start ? now - start : 0;
	bucket = lag_bucket(ns);
	cell = cell_get(&key);
	if (!cell) {
		__sync_fetch_and_add(&lag_lost, 1);
		return 0;
	}
	/* Always true; 6.1's verifier wants it of the register that is used. */
	barrier_var(bucket);
	if (bucket < LAG_BUCKETS)
		cell->buckets[bucket]++;
	cell->sum += ns;
	cell_set_max(cell, ns);
	return 0;
}

/* Arguments of blkcast_write_*: minor, lsn, bytes, start, error, ... */
static __always_inline int record_write(struct bpf_raw_tracepoint_args *ctx,
					__u32 write_stage, __u32 flush_stage)
{
	__u32 bytes = ctx->args[2];
	__u32 stage = bytes ? write_stage : flush_stage;

	if ((__s32)ctx->args[4] || stage == LAG_STAGES)
		return 0;
	return record(ctx->args[0], LAG_LINK_NONE, stage, ctx->args[3]);
}

/* Arguments of blkcast_link_* and _replica_*: minor, link, lsn, bytes, start, ... */
static __always_inline int record_link(struct bpf_raw_tracepoint_args *ctx,
				       __u32 write_stage, __u32 flush_stage)
{
	__u32 bytes = ctx->args[3];
	__u32 stage = bytes ? write_stage : flush_stage;

	if (stage == LAG_STAGES)
		return 0;
	return record(ctx->args[0], ctx->args[1], stage, ctx->args[4]);
}

SEC("raw_tp/blkcast_write_local")
int lag_write_local(struct bpf_raw_tracepoint_args *ctx)
{
	return record_write(ctx, LAG_STAGE_LOCAL, LAG_STAGES);
}

SEC("raw_tp/blkcast_write_done")
int lag_write_done(struct bpf_raw_tracepoint_args *ctx)
{
	return record_write(ctx, LAG_STAGE_TOTAL, LAG_STAGE_FLUSH);
}

SEC("raw_tp/blkcast_link_sent")
int lag_link_sent(struct bpf_raw_tracepoint_args *ctx)
{
	return record_link(ctx, LAG_STAGE_SENT, LAG_STAGES);
}

SEC("raw_tp/blkcast_link_received")
int lag_link_received(struct bpf_raw_tracepoint_args *ctx)
{
	return record_link(ctx, LAG_STAGE_RECEIVED, LAG_STAGES);
}

SEC("raw_tp/blkcast_link_applied")
int lag_link_applied(struct bpf_raw_tracepoint_args *ctx)
{
	return record_link(ctx, LAG_STAGE_APPLIED, LAG_STAGES);
}

SEC("raw_tp/blkcast_link_durable")
int lag_link_durable(struct bpf_raw_tracepoint_args *ctx)
{
	return record_link(ctx, LAG_STAGES, LAG_STAGE_DURABLE);
}

SEC("raw_tp/blkcast_replica_applied")
int lag_replica_applied(struct bpf_raw_tracepoint_args *ctx)
{
	return record_link(ctx, LAG_STAGE_REPLICA_APPLIED, LAG_STAGES);
}

SEC("raw_tp/blkcast_replica_durable")
int lag_replica_durable(struct bpf_raw_tracepoint_args *ctx)
{
	return record_link(ctx, LAG_STAGES, LAG_STAGE_REPLICA_FLUSH);
}

char LICENSE[] SEC("license") = "GPL";
