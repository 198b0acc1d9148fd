// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The probes behind "blkcast lag --slow" and "--top": which writes took long and
 * where, and who and what keeps the replicas behind.
 *
 * Apart from the histograms (lag.bpf.c), because they cost more: to divide a
 * write's time, moments in between have to be remembered for each write under way.
 *
 * 1. What is remembered of a write has its place by its LSN, and makes room for a
 *    later one: nothing has to be looked for or removed.  What is pushed out too
 *    early is counted (causes_partial), as is a write that was under way when the
 *    probes were attached.  Its record is left out, for its parts would not add up.
 * 2. Records go through a ring buffer, slow ones alone.  What finds no room is
 *    counted (causes_lost).
 * 3. Sums grow only; no origin is forgotten.  Those that find no room are counted.
 */
#include <stdbool.h>
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "causes.h"
#include "lag.h"

const volatile __u32 causes_filter_minor = LAG_MINOR_ANY;
const volatile __u64 causes_slow_ns;	/* 0: no records */
const volatile bool causes_top;

__u64 causes_lost;
__u64 causes_partial;

/*
 * Of a volume: LSN given, written.  Of a link: sent, received.  The first takes the
 * place; of two that meet there one is lost, and counted in the end.
 */
struct moments {
	__u64 lsn;
	__u32 minor;
	__u32 link;
	__u64 at[CAUSES_PARTS - 1];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CAUSES_MOMENTS);
	__type(key, __u32);
	__type(value, struct moments);
} causes_moments SEC(".maps");

struct name {
	char comm[CAUSES_COMM];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct name);
} causes_names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct causes_key);
	__type(value, struct causes_sum);
} causes_sums SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} causes_ring SEC(".maps");

static __always_inline bool is_wanted(__u32 minor)
{
	return causes_filter_minor == LAG_MINOR_ANY || causes_filter_minor == minor;
}

/* Only the writer's own context knows its name. */
SEC("raw_tp/blkcast_write_submit")
int causes_write_submit(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 pid = ctx->args[4];
	struct name name = {};

	if (!is_wanted(ctx->args[0]) || bpf_map_lookup_elem(&causes_names, &pid))
		return 0;
	bpf_get_current_comm(name.comm, sizeof(name.comm));
	bpf_map_update_elem(&causes_names, &pid, &name, BPF_ANY);
	return 0;
}

static __always_inline void name_copy(char *to, __u32 pid)
{
	struct name *name = bpf_map_lookup_elem(&causes_names, &pid);

	if (name)
		__builtin_memcpy(to, name->comm, CAUSES_COMM);
}

/* ---- slow writes ---- */

/* Those of a volume's links are far from each other. */
static __always_inline struct moments *moments_at(__u32 minor, __u32 link, __u64 lsn)
{
	__u32 place = (__u32)lsn + (minor * 31 + link) * 0x9e3779b1;

	place %= CAUSES_MOMENTS;
	return bpf_map_lookup_elem(&causes_moments, &place);
}

static __always_inline bool moments_are_of(const struct moments *m, __u32 minor,
					   __u32 link, __u64 lsn)
{
	return m->lsn == lsn && m->minor == minor && m->link == link;
}

static __always_inline int moment_note(__u32 minor, __u32 link, __u64 lsn, __u32 bytes,
				       __u32 which)
{
	struct moments *m;

	if (!causes_slow_ns || !bytes || !is_wanted(minor))
		return 0;
	m = moments_at(minor, link, lsn);
	if (!m)
		return 0;
	if (!which) {
		m->lsn = lsn;
		m->minor = minor;
		m->link = link;
		m->at[1] = 0;
	} else if (!moments_are_of(m, minor, link, lsn)) {
		return 0;
	}
	m->at[which] = bpf_ktime_get_ns();
	return 0;
}

/* In this order, or somebody has not seen all of it. */
static __always_inline bool parts_fill(struct causes_slow *slow, const struct moments *m,
				       __u64 start)
{
	__u64 first = m->at[0], second = m->at[1], end = start + slow->total;

	if (first < start || second < first || end < second)
		return false;
	slow->part[0] = first - start;
	slow->part[1] = second - first;
	slow->part[2] = end - second;
	return true;
}

struct ended {
	__u32 minor, link, bytes, pid;
	__u64 lsn, sector, start;
};

static __always_inline void slow_check(const struct ended *e, __u64 total)
{
	struct moments *m;
	struct causes_slow *slow;

	if (!causes_slow_ns || total < causes_slow_ns)
		return;
	m = moments_at(e->minor, e->link, e->lsn);
	slow = bpf_ringbuf_reserve(&causes_ring, sizeof(*slow), 0);
	if (!slow) {
		__sync_fetch_and_add(&causes_lost, 1);
		return;
	}
	__builtin_memset(slow, 0, sizeof(*slow));
	slow->total = total;
	if (!m || !moments_are_of(m, e->minor, e->link, e->lsn) ||
	    !parts_fill(slow, m, e->start)) {
		bpf_ringbuf_discard(slow, 0);
		__sync_fetch_and_add(&causes_partial, 1);
		return;
	}
	slow->lsn = e->lsn;
	slow->sector = e->sector;
	slow->minor = e->minor;
	slow->link = e->link;
	slow->bytes = e->bytes;
	slow->pid = e->pid;
	name_copy(slow->comm, e->pid);
	bpf_ringbuf_submit(slow, 0);
}

/* ---- sums ---- */

static __always_inline void sum_add(__u32 minor, __u32 kind, __u64 id, __u32 pid,
				    __u32 bytes, __u64 ns)
{
	struct causes_key key = { .minor = minor, .kind = kind, .id = id };
	struct causes_sum *sum = bpf_map_lookup_elem(&causes_sums, &key);
	struct causes_sum fresh = {};

	if (!sum) {
		bpf_map_update_elem(&causes_sums, &key, &fresh, BPF_NOEXIST);
		sum = bpf_map_lookup_elem(&causes_sums, &key);
	}
	if (!sum) {
		__sync_fetch_and_add(&causes_lost, 1);
		return;
	}
	if (kind == CAUSES_PROCESS && !sum->comm[0])
		name_copy(sum->comm, pid);
	__sync_fetch_and_add(&sum->writes, 1);
	__sync_fetch_and_add(&sum->bytes, bytes);
	__sync_fetch_and_add(&sum->ns, ns);
	if (sum->max < ns)
		sum->max = ns;
}

/* ---- the tracepoints ---- */

/* minor, lsn, sector, bytes, start, pid */
SEC("raw_tp/blkcast_write_start")
int causes_write_start(struct bpf_raw_tracepoint_args *ctx)
{
	return moment_note(ctx->args[0], LAG_LINK_NONE, ctx->args[1], ctx->args[3], 0);
}

/* minor, lsn, bytes, start, error, sector, pid */
SEC("raw_tp/blkcast_write_local")
int causes_write_local(struct bpf_raw_tracepoint_args *ctx)
{
	return moment_note(ctx->args[0], LAG_LINK_NONE, ctx->args[1], ctx->args[2], 1);
}

SEC("raw_tp/blkcast_write_done")
int causes_write_done(struct bpf_raw_tracepoint_args *ctx)
{
	struct ended e = {
		.minor = ctx->args[0], .link = LAG_LINK_NONE, .lsn = ctx->args[1],
		.bytes = ctx->args[2], .start = ctx->args[3], .sector = ctx->args[5],
		.pid = ctx->args[6],
	};

	if (e.bytes && !(__s32)ctx->args[4] && e.lsn && is_wanted(e.minor))
		slow_check(&e, bpf_ktime_get_ns() - e.start);
	return 0;
}

/* minor, link, lsn, bytes, start, sector, pid */
SEC("raw_tp/blkcast_link_sent")
int causes_link_sent(struct bpf_raw_tracepoint_args *ctx)
{
	return moment_note(ctx->args[0], ctx->args[1], ctx->args[2], ctx->args[3], 0);
}

SEC("raw_tp/blkcast_link_received")
int causes_link_received(struct bpf_raw_tracepoint_args *ctx)
{
	return moment_note(ctx->args[0], ctx->args[1], ctx->args[2], ctx->args[3], 1);
}

SEC("raw_tp/blkcast_link_applied")
int causes_link_applied(struct bpf_raw_tracepoint_args *ctx)
{
	struct ended e = {
		.minor = ctx->args[0], .link = ctx->args[1], .lsn = ctx->args[2],
		.bytes = ctx->args[3], .start = ctx->args[4], .sector = ctx->args[5],
		.pid = ctx->args[6],
	};
	__u64 ns;

	if (!e.bytes || !is_wanted(e.minor))
		return 0;
	ns = bpf_ktime_get_ns() - e.start;
	slow_check(&e, ns);
	if (!causes_top)
		return 0;
	sum_add(e.minor, CAUSES_EXTENT, e.sector >> CAUSES_EXTENT_SHIFT, e.pid, e.bytes, ns);
	sum_add(e.minor, CAUSES_PROCESS, e.pid, e.pid, e.bytes, ns);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
