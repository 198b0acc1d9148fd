// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The probes behind "blkcast lag": one program on each of the module's raw
 * tracepoints (kmod/trace.h).
 *
 * Their arguments are scalars and carry the start of the write, so a program
 * needs neither BTF nor the layout of a struct, and may be attached or detached at
 * any moment:  latency = now - start.
 *
 *	cells.bpf.h	histograms per volume, link and stage: always
 *	moments.bpf.h	when a write under way was sent, and the like: always
 *	causes.bpf.h	slow writes in parts, sums by region and process: if wanted
 *
 * A write passes six of them with both its ends on one host, each within a spinlock
 * or an interrupt, perhaps.  So:
 *
 * 1. No helper is called but for the time, and that only where the tracepoint does
 *    not bring it; tables are arrays, which the kernel looks up inline (6.1 calls a
 *    function for one that is per CPU), with places that are computed.  What is not
 *    wanted is known when the programs are loaded: the verifier takes it out.
 * 2. Counts only grow; the loader takes differences.  Nothing is sent to user space
 *    per write but the slow ones.
 * 3. What cannot be counted is counted as such.
 */
#include <stdbool.h>
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "causes.h"
#include "lag.h"

const volatile __u32 lag_filter_minor = LAG_MINOR_ANY;

static __always_inline bool is_wanted(__u32 minor)
{
	if (lag_filter_minor == LAG_MINOR_ANY)
		return true;
	return lag_filter_minor == minor;
}

static __always_inline __u64 since(__u64 start, __u64 now)
{
	return now > start ? now - start : 0;
}

/* An event of a write or a flush; of a volume's, @link is LAG_LINK_NONE. */
struct event {
	__u32 minor, link, bytes, pid;
	__u64 lsn, sector, start, now;
};

#include "cells.bpf.h"
#include "moments.bpf.h"
#include "causes.bpf.h"

/* ---- of the volume: minor, lsn, bytes, start, error, sector, pid ---- */

static __always_inline struct event write_event(struct bpf_raw_tracepoint_args *ctx)
{
	return (struct event){
		.minor = ctx->args[0], .link = LAG_LINK_NONE, .lsn = ctx->args[1],
		.bytes = ctx->args[2], .start = ctx->args[3], .sector = ctx->args[5],
		.pid = ctx->args[6], .now = bpf_ktime_get_ns(),
	};
}

static __always_inline bool write_is_wanted(struct bpf_raw_tracepoint_args *ctx)
{
	return is_wanted(ctx->args[0]) && !(__s32)ctx->args[4];
}

/* minor, sector, bytes, start, pid; in the context of the writer, who has a name */
SEC("raw_tp/blkcast_write_submit")
int lag_write_submit(struct bpf_raw_tracepoint_args *ctx)
{
	if (is_wanted(ctx->args[0]))
		name_note(ctx->args[4]);
	return 0;
}

/* minor, lsn, sector, bytes, start, pid */
SEC("raw_tp/blkcast_write_start")
int lag_write_start(struct bpf_raw_tracepoint_args *ctx)
{
	struct event e = {
		.minor = ctx->args[0], .link = LAG_LINK_NONE, .lsn = ctx->args[1],
	};

	if (is_wanted(e.minor) && (__u32)ctx->args[3])
		moment_first(&e, bpf_ktime_get_ns());
	return 0;
}

SEC("raw_tp/blkcast_write_local")
int lag_write_local(struct bpf_raw_tracepoint_args *ctx)
{
	struct event e;

	if (!write_is_wanted(ctx) || !(__u32)ctx->args[2])
		return 0;
	e = write_event(ctx);
	record(&e, LAG_STAGE_LOCAL, e.now);
	if (causes_slow_ns)
		moment_second(&e, e.now);
	return 0;
}

SEC("raw_tp/blkcast_write_done")
int lag_write_done(struct bpf_raw_tracepoint_args *ctx)
{
	struct event e;

	if (!write_is_wanted(ctx))
		return 0;
	e = write_event(ctx);
	record(&e, e.bytes ? LAG_STAGE_TOTAL : LAG_STAGE_FLUSH, e.now);
	if (e.bytes && e.lsn)
		slow_check(&e);
	return 0;
}

/* ---- of a link: minor, link, lsn, bytes, start, sector, pid, now ---- */

static __always_inline struct event link_event(struct bpf_raw_tracepoint_args *ctx)
{
	return (struct event){
		.minor = ctx->args[0], .link = ctx->args[1], .lsn = ctx->args[2],
		.bytes = ctx->args[3], .start = ctx->args[4],
	};
}

SEC("raw_tp/blkcast_link_sent")
int lag_link_sent(struct bpf_raw_tracepoint_args *ctx)
{
	struct event e = link_event(ctx);

	if (!is_wanted(e.minor) || !e.bytes)
		return 0;
	e.now = ctx->args[7];
	record(&e, LAG_STAGE_SENT, e.now);
	moment_first(&e, e.now);
	return 0;
}

/* ..., echoed, held */
SEC("raw_tp/blkcast_link_received")
int lag_link_received(struct bpf_raw_tracepoint_args *ctx)
{
	struct event e = link_event(ctx);

	if (!is_wanted(e.minor) || !e.bytes)
		return 0;
	e.now = received_at(&e, ctx->args[7], ctx->args[8], ctx->args[9]);
	record(&e, LAG_STAGE_RECEIVED, e.now);
	if (causes_slow_ns)
		moment_second(&e, e.now);
	return 0;
}

SEC("raw_tp/blkcast_link_applied")
int lag_link_applied(struct bpf_raw_tracepoint_args *ctx)
{
	struct event e = link_event(ctx);

	if (!is_wanted(e.minor) || !e.bytes)
		return 0;
	e.now = ctx->args[7];
	e.sector = ctx->args[5];
	e.pid = ctx->args[6];
	record(&e, LAG_STAGE_APPLIED, e.now);
	slow_check(&e);
	sums_add(&e);
	return 0;
}

SEC("raw_tp/blkcast_link_durable")
int lag_link_durable(struct bpf_raw_tracepoint_args *ctx)
{
	struct event e = link_event(ctx);

	if (is_wanted(e.minor) && !e.bytes)
		record(&e, LAG_STAGE_DURABLE, ctx->args[7]);
	return 0;
}

/* ---- of a link, at the replica: minor, link, lsn, bytes, start, now ---- */

SEC("raw_tp/blkcast_replica_applied")
int lag_replica_applied(struct bpf_raw_tracepoint_args *ctx)
{
	struct event e = link_event(ctx);

	if (is_wanted(e.minor) && e.bytes)
		record(&e, LAG_STAGE_REPLICA_APPLIED, ctx->args[5]);
	return 0;
}

SEC("raw_tp/blkcast_replica_durable")
int lag_replica_durable(struct bpf_raw_tracepoint_args *ctx)
{
	struct event e = link_event(ctx);

	if (is_wanted(e.minor) && !e.bytes)
		record(&e, LAG_STAGE_REPLICA_FLUSH, ctx->args[5]);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
