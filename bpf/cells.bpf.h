/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Histograms: a latency goes into one bucket.
 *
 * 1. A set has a slot, at its home or behind it, wherever one was free when its owner
 *    came by for the first time.  The loader alone frees slots.
 * 2. A cell belongs to one CPU, and a program that interrupts itself is not
 *    run (the kernel counts that as a recursion miss, which the loader adds to
 *    what was lost).  Two programs that share a cell, as the stage of none is
 *    another's, do not exist: no atomic operation is needed on a cell.
 * 3. What finds no slot is counted in lag_lost.
 */

/* A power of two. */
const volatile __u32 lag_slots = LAG_SLOTS_MAX;

/* Counted up by the loader at each reading. */
volatile __u64 lag_epoch = 1;
__u64 lag_lost;

/* By slot; 0: free. */
__u64 lag_owners[LAG_SLOTS_MAX];

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LAG_SLOTS_MAX);
	__type(key, __u32);
	__type(value, struct lag_set);
} lag_sets SEC(".maps");

/* A set has one of so many slots, from its home on. */
#define SLOTS_TRIED 64

/* Not at its home.  Returns lag_slots if there is no room. */
static __noinline __u32 slot_search(__u64 owner, __u32 home)
{
	__u32 i, slot;
	__u64 was;

	for (i = 0; i < SLOTS_TRIED && i < lag_slots; i++) {
		slot = (home + i) & (lag_slots - 1);
		if (lag_owners[slot] == owner)
			return slot;
	}
	for (i = 0; i < SLOTS_TRIED && i < lag_slots; i++) {
		slot = (home + i) & (lag_slots - 1);
		was = __sync_val_compare_and_swap(&lag_owners[slot], 0, owner);
		if (!was || was == owner)
			return slot;
	}
	return lag_slots;
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

static __always_inline void record(const struct event *e, __u32 stage, __u64 now)
{
	__u64 owner = lag_owner(e->minor, e->link, stage);
	__u32 slot = lag_home(e->minor, e->link) & (lag_slots - 1);
	__u64 ns = since(e->start, now);
	__u64 bucket = lag_bucket(ns);
	struct lag_set *set;
	struct lag_cell *cell;

	if (lag_owners[slot] != owner)
		slot = slot_search(owner, slot);
	set = bpf_map_lookup_elem(&lag_sets, &slot);
	if (!set) {
		__sync_fetch_and_add(&lag_lost, 1);
		return;
	}
	cell = &set->cell[stage - lag_first(stage)];
	/* Always true; 6.1's verifier wants it of the register that is used. */
	barrier_var(bucket);
	if (bucket < LAG_BUCKETS)
		cell->buckets[bucket]++;
	cell->sum += ns;
	cell_set_max(cell, ns);
}
