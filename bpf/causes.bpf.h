/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Behind "blkcast lag --slow" and "--top": which writes took long and where, and who
 * and what keeps the replicas behind.
 *
 * 1. A slow write whose moments are not known (moments.bpf.h), as it was under way when
 *    the probes were attached, has no record, for its parts would not add up: it is
 *    counted in causes_partial.
 * 2. Records go through a ring buffer, slow ones alone.  What finds no room is
 *    counted (causes_lost).
 * 3. Sums grow only; no origin is forgotten.  Those that find no room are counted.
 */

const volatile __u64 causes_slow_ns;	/* 0: no records */
const volatile bool causes_top;

__u64 causes_lost;
__u64 causes_partial;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} causes_ring SEC(".maps");

/* ---- names: the newest of those that share a place ---- */

#define NAMES 4096

struct name {
	__u32 pid;
	char comm[CAUSES_COMM];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NAMES);
	__type(key, __u32);
	__type(value, struct name);
} causes_names SEC(".maps");

static __always_inline struct name *name_at(__u32 pid)
{
	__u32 place = pid % NAMES;

	return bpf_map_lookup_elem(&causes_names, &place);
}

static __always_inline void name_note(__u32 pid)
{
	struct name *name = name_at(pid);

	if (!name || name->pid == pid)
		return;
	bpf_get_current_comm(name->comm, sizeof(name->comm));
	name->pid = pid;
}

static __always_inline void name_copy(char *to, __u32 pid)
{
	struct name *name = name_at(pid);

	if (name && name->pid == pid)
		__builtin_memcpy(to, name->comm, CAUSES_COMM);
}

/* ---- slow writes ---- */

/* In this order, or somebody has not seen all of it. */
static __always_inline bool parts_fill(struct causes_slow *slow, const struct moments *m,
				       const struct event *e)
{
	__u64 first = m->first, second = m->second;

	if (first < e->start || second < first || e->now < second)
		return false;
	slow->part[0] = first - e->start;
	slow->part[1] = second - first;
	slow->part[2] = e->now - second;
	return true;
}

static __always_inline void slow_check(const struct event *e)
{
	struct moments *m;
	struct causes_slow *slow;

	if (!causes_slow_ns || since(e->start, e->now) < causes_slow_ns)
		return;
	m = moments_of(e);
	slow = bpf_ringbuf_reserve(&causes_ring, sizeof(*slow), 0);
	if (!slow) {
		__sync_fetch_and_add(&causes_lost, 1);
		return;
	}
	__builtin_memset(slow, 0, sizeof(*slow));
	if (!m || !parts_fill(slow, m, e)) {
		bpf_ringbuf_discard(slow, 0);
		__sync_fetch_and_add(&causes_partial, 1);
		return;
	}
	slow->lsn = e->lsn;
	slow->sector = e->sector;
	slow->total = e->now - e->start;
	slow->minor = e->minor;
	slow->link = e->link;
	slow->bytes = e->bytes;
	slow->pid = e->pid;
	name_copy(slow->comm, e->pid);
	bpf_ringbuf_submit(slow, 0);
}

/* ---- sums ---- */

/* An origin is in one of so many places, or in none. */
#define SUM_PLACES 16

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, CAUSES_SUMS);
	__type(key, __u32);
	__type(value, struct causes_sum);
} causes_sums SEC(".maps");

static __always_inline struct causes_sum *sum_get(__u64 origin, __u32 home)
{
	struct causes_sum *sum;
	__u64 was;
	__u32 i, place;

	for (i = 0; i < SUM_PLACES; i++) {
		place = (home + i) % CAUSES_SUMS;
		sum = bpf_map_lookup_elem(&causes_sums, &place);
		if (!sum)
			return NULL;
		if (sum->origin == origin)
			return sum;
		if (sum->origin)
			continue;
		was = __sync_val_compare_and_swap(&sum->origin, 0, origin);
		if (!was || was == origin)
			return sum;
	}
	return NULL;
}

static __always_inline void sum_add(const struct event *e, __u32 kind, __u64 id)
{
	__u64 ns = since(e->start, e->now);
	struct causes_sum *sum = sum_get(causes_pack(e->minor, kind, id),
					 (__u32)id * 31 + e->minor * 977 + kind * 8191);

	if (!sum) {
		__sync_fetch_and_add(&causes_lost, 1);
		return;
	}
	if (kind == CAUSES_PROCESS && !sum->comm[0])
		name_copy(sum->comm, e->pid);
	__sync_fetch_and_add(&sum->writes, 1);
	__sync_fetch_and_add(&sum->bytes, e->bytes);
	__sync_fetch_and_add(&sum->ns, ns);
	if (sum->max < ns)
		sum->max = ns;
}

static __always_inline void sums_add(const struct event *e)
{
	if (!causes_top)
		return;
	sum_add(e, CAUSES_EXTENT, e->sector >> CAUSES_EXTENT_SHIFT);
	sum_add(e, CAUSES_PROCESS, e->pid);
}
