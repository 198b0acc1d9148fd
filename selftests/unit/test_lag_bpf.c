// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The probes themselves, on this machine's kernel and without the module: each
 * program is handed the arguments of its tracepoint (BPF_PROG_TEST_RUN), and
 * what it has counted is read back.  Skipped where BPF is not permitted.
 */
/* links: bpf/histogram.c */
/* libs: libbpf */
/* flags: -I.build/bpf */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "expect.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../../bpf/histogram.h"
#include "bpf_cost.h"
#include "lag.skel.h"

#define MS 1000000ULL
#define MINOR 7
#define LINK 3
#define BYTES 4096

static struct lag_bpf *load(uint32_t minor)
{
	struct lag_bpf *bpf = lag_bpf__open();

	if (!bpf)
		return NULL;
	bpf->rodata->lag_filter_minor = minor;
	if (!lag_bpf__load(bpf))
		return bpf;
	lag_bpf__destroy(bpf);
	return NULL;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 * MS + (uint64_t)now.tv_nsec;
}

static void run(struct bpf_program *program, uint64_t *args, size_t count)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args,
		    .ctx_size_in = count * sizeof(*args));

	EXPECT(!bpf_prog_test_run_opts(bpf_program__fd(program), &opts));
}

/* A write that began @ns ago, on the tracepoints of class blkcast_write. */
static void run_write(struct bpf_program *program, uint32_t bytes, uint64_t ns, int error)
{
	uint64_t args[] = { MINOR, 42, bytes, now_ns() - ns, (uint32_t)error, 0, 0 };

	run(program, args, 7);
}

/* The same on those of class blkcast_link; the upper halves are not ours. */
static void run_link(struct bpf_program *program, uint32_t bytes, uint64_t ns)
{
	uint64_t junk = 0xdeadbeefULL << 32, now = now_ns();
	uint64_t args[] = { junk | MINOR, junk | LINK, 42, junk | bytes, now - ns, 0, 0, now,
			    0, 0 };

	run(program, args, 10);
}

/* On those of class blkcast_replica. */
static void run_replica(struct bpf_program *program, uint32_t bytes, uint64_t ns)
{
	uint64_t now = now_ns(), args[] = { MINOR, LINK, 42, bytes, now - ns, now };

	run(program, args, 6);
}

/* Whether there is anything of the stage; @h is filled if so. */
static bool look(struct lag_bpf *bpf, uint32_t link, uint32_t stage, struct histogram *h)
{
	uint64_t owner = lag_owner(MINOR, link, stage);
	unsigned int cell = stage - lag_first(stage);
	int cpus = libbpf_num_possible_cpus();
	struct lag_set *sets = calloc((size_t)cpus, sizeof(*sets));
	uint32_t slot = 0;

	memset(h, 0, sizeof(*h));
	while (slot < LAG_SLOTS_MAX && bpf->bss->lag_owners[slot] != owner)
		slot++;
	if (slot < LAG_SLOTS_MAX &&
	    !bpf_map_lookup_elem(bpf_map__fd(bpf->maps.lag_sets), &slot, sets))
		histogram_merge(h, &sets->cell[cell], sizeof(*sets), (unsigned int)cpus,
				bpf->data->lag_epoch);
	free(sets);
	return h->count;
}

/* One latency of at least @ns, in the right bucket (or the next, we are slow). */
static void expect_one(struct lag_bpf *bpf, uint32_t link, uint32_t stage, uint64_t ns)
{
	struct histogram h = { 0 };

	EXPECT(look(bpf, link, stage, &h));
	EXPECT(h.count == 1);
	EXPECT(h.max >= ns && h.max < ns + 1000 * MS);
	EXPECT(h.sum == h.max);
	EXPECT(h.buckets[lag_bucket(h.max)] == 1);
}

static void stages_are_kept_apart(void)
{
	struct lag_bpf *bpf = load(LAG_MINOR_ANY);
	struct histogram h;

	EXPECT(bpf);
	if (!bpf)
		return;
	run_write(bpf->progs.lag_write_local, BYTES, 2 * MS, 0);
	run_write(bpf->progs.lag_write_done, BYTES, 3 * MS, 0);
	run_write(bpf->progs.lag_write_done, 0, 4 * MS, 0);
	run_link(bpf->progs.lag_link_sent, BYTES, 5 * MS);
	run_link(bpf->progs.lag_link_received, BYTES, 6 * MS);
	run_link(bpf->progs.lag_link_applied, BYTES, 7 * MS);
	run_link(bpf->progs.lag_link_durable, 0, 8 * MS);
	run_replica(bpf->progs.lag_replica_applied, BYTES, 9 * MS);
	run_replica(bpf->progs.lag_replica_durable, 0, 10 * MS);
	for (uint32_t stage = 0; stage < LAG_STAGES; stage++)
		expect_one(bpf, stage < LAG_STAGE_SENT ? LAG_LINK_NONE : LINK, stage,
			   (stage + 2) * MS);
	EXPECT(!look(bpf, LINK, LAG_STAGE_LOCAL, &h));
	EXPECT(!bpf->bss->lag_lost);
	lag_bpf__destroy(bpf);
}

/* Failed writes, and flushes where writes are meant, are no latencies. */
static void others_are_ignored(void)
{
	struct lag_bpf *bpf = load(LAG_MINOR_ANY);
	struct histogram h;

	EXPECT(bpf);
	if (!bpf)
		return;
	run_write(bpf->progs.lag_write_done, BYTES, MS, -EIO);
	run_write(bpf->progs.lag_write_local, 0, MS, 0);
	run_write(bpf->progs.lag_write_local, BYTES, MS, -EIO);
	run_link(bpf->progs.lag_link_applied, 0, MS);
	run_link(bpf->progs.lag_link_durable, BYTES, MS);
	EXPECT(!look(bpf, LAG_LINK_NONE, LAG_STAGE_TOTAL, &h));
	EXPECT(!look(bpf, LAG_LINK_NONE, LAG_STAGE_LOCAL, &h));
	EXPECT(!look(bpf, LINK, LAG_STAGE_APPLIED, &h));
	EXPECT(!look(bpf, LINK, LAG_STAGE_DURABLE, &h));
	lag_bpf__destroy(bpf);
}

static void filter_by_minor(void)
{
	struct lag_bpf *other = load(MINOR + 1), *mine = load(MINOR);
	struct histogram h;

	EXPECT(other && mine);
	if (other && mine) {
		run_link(other->progs.lag_link_applied, BYTES, MS);
		run_link(mine->progs.lag_link_applied, BYTES, MS);
		EXPECT(!look(other, LINK, LAG_STAGE_APPLIED, &h));
		EXPECT(look(mine, LINK, LAG_STAGE_APPLIED, &h));
	}
	lag_bpf__destroy(other);
	lag_bpf__destroy(mine);
}

/* The maximum is the epoch's own: the loader's next reading starts anew. */
static void max_follows_the_epoch(void)
{
	struct lag_bpf *bpf = load(LAG_MINOR_ANY);
	struct histogram h = { 0 };

	EXPECT(bpf);
	if (!bpf)
		return;
	run_link(bpf->progs.lag_link_applied, BYTES, 9000 * MS);
	bpf->data->lag_epoch += 2;
	run_link(bpf->progs.lag_link_applied, BYTES, MS);
	EXPECT(look(bpf, LINK, LAG_STAGE_APPLIED, &h));
	EXPECT(h.count == 2);
	EXPECT(h.max >= MS && h.max < 5000 * MS);
	lag_bpf__destroy(bpf);
}

/* A start in the future, which cannot be, counts as no time, not as an age. */
static void start_in_the_future(void)
{
	struct lag_bpf *bpf = load(LAG_MINOR_ANY);
	uint64_t args[] = { MINOR, LINK, 42, BYTES, UINT64_MAX, 0, 0, now_ns() };
	struct histogram h = { 0 };

	EXPECT(bpf);
	if (!bpf)
		return;
	run(bpf->progs.lag_link_applied, args, 8);
	EXPECT(look(bpf, LINK, LAG_STAGE_APPLIED, &h));
	EXPECT(h.buckets[0] == 1 && h.max == 0);
	lag_bpf__destroy(bpf);
}

static void receive(struct lag_bpf *bpf, uint64_t start, uint64_t now, uint64_t echoed,
		    uint64_t held)
{
	uint64_t args[] = { MINOR, LINK, 42, BYTES, start, 0, 0, now, echoed, held };

	run(bpf->progs.lag_link_received, args, 10);
}

/* What a replica has had unread, or unanswered, is not the network's. */
static void what_is_held_is_not_the_way(void)
{
	static const struct {
		uint64_t echoed, held, now, took;
	} cases[] = {
		{ 100, 0, 120, 20 },	/* read and answered at once */
		{ 100, 50, 170, 20 },	/* answered late */
		{ 110, 50, 180, 30 },	/* as was what came behind it */
		{ 40, 200, 260, 20 },	/* read late: the round trip is 20 */
		{ 40, 60, 120, 20 },	/* not for longer than that */
		{ 40, 60, 110, 10 },	/* quicker */
		{ 0, 0, 300, 200 },	/* the replica does not say */
		{ 0, 50, 300, 200 },
	};
	struct histogram h;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct lag_bpf *bpf = load(LAG_MINOR_ANY);

		EXPECT(bpf);
		if (!bpf)
			return;
		receive(bpf, 100 * MS, cases[i].now * MS, cases[i].echoed * MS,
			cases[i].held * MS);
		EXPECT(look(bpf, LINK, LAG_STAGE_RECEIVED, &h));
		EXPECT(h.count == 1 && h.sum == cases[i].took * MS);
		lag_bpf__destroy(bpf);
	}
}

/* It waited here until it was sent: that is not the replica's. */
static void queued_is_not_held(void)
{
	struct lag_bpf *bpf = load(LAG_MINOR_ANY);
	uint64_t start = now_ns() - 5000 * MS, now;
	struct histogram h;

	EXPECT(bpf);
	if (!bpf)
		return;
	run_link(bpf->progs.lag_link_sent, BYTES, 5000 * MS);
	now = now_ns() + 60000 * MS;
	receive(bpf, start, now, start + 1000 * MS, now - start - 1010 * MS);
	EXPECT(look(bpf, LINK, LAG_STAGE_RECEIVED, &h));
	EXPECT(h.count == 1 && h.sum >= 5010 * MS && h.sum < 30000 * MS);
	lag_bpf__destroy(bpf);
}

/* They have one home: each gets a slot, and keeps it when the one before is freed. */
static void links_of_one_home(void)
{
	struct lag_bpf *bpf = load(LAG_MINOR_ANY);
	uint64_t args[] = { MINOR, 0, 42, BYTES, now_ns(), 0, 0, now_ns() };
	struct histogram h;

	EXPECT(bpf);
	if (!bpf)
		return;
	for (unsigned int i = 0; i < 8; i++) {
		args[1] = LINK + i % 3 * LAG_SLOTS_MAX;
		run(bpf->progs.lag_link_applied, args, 8);
	}
	for (unsigned int i = 0; i < 3; i++)
		EXPECT(look(bpf, LINK + i * LAG_SLOTS_MAX, LAG_STAGE_APPLIED, &h) &&
		       h.count == (i == 2 ? 2 : 3));
	args[1] = LINK + 2 * LAG_SLOTS_MAX;
	bpf->bss->lag_owners[lag_home(MINOR, LINK) % LAG_SLOTS_MAX] = 0;
	run(bpf->progs.lag_link_applied, args, 8);
	EXPECT(look(bpf, LINK + 2 * LAG_SLOTS_MAX, LAG_STAGE_APPLIED, &h) && h.count == 3);
	EXPECT(!bpf->bss->lag_lost);
	lag_bpf__destroy(bpf);
}

/* More links than there are slots: counted as lost, not forgotten. */
static void full_table_is_counted(void)
{
	struct lag_bpf *bpf = lag_bpf__open();
	uint64_t args[] = { MINOR, 0, 42, BYTES, now_ns(), 0, 0, now_ns() };
	struct histogram h;

	EXPECT(bpf);
	if (!bpf)
		return;
	bpf->rodata->lag_slots = 2;
	bpf_map__set_max_entries(bpf->maps.lag_sets, 2);
	EXPECT(!lag_bpf__load(bpf));
	for (args[1] = 0; args[1] < 64; args[1]++)
		run(bpf->progs.lag_link_applied, args, 8);
	EXPECT(bpf->bss->lag_lost == 62);
	EXPECT(look(bpf, 0, LAG_STAGE_APPLIED, &h) && h.count == 1);
	EXPECT(look(bpf, 1, LAG_STAGE_APPLIED, &h) && h.count == 1);
	lag_bpf__destroy(bpf);
}

/* Printed, not judged. */
static void cost_of_an_event(void)
{
	struct lag_bpf *bpf = load(LAG_MINOR_ANY);
	uint64_t args[] = { MINOR, LINK, 42, BYTES, 0, 0, 0, 1000 * MS, 0, 0 };

	EXPECT(bpf);
	if (bpf)
		bpf_cost_print(bpf->obj, args, sizeof(args));
	lag_bpf__destroy(bpf);
}

static const struct unit_test tests[] = {
	{ "stages are kept apart", stages_are_kept_apart },
	{ "others are ignored", others_are_ignored },
	{ "filter by minor", filter_by_minor },
	{ "max follows the epoch", max_follows_the_epoch },
	{ "start in the future", start_in_the_future },
	{ "what is held is not the way", what_is_held_is_not_the_way },
	{ "queued is not held", queued_is_not_held },
	{ "links of one home", links_of_one_home },
	{ "full table is counted", full_table_is_counted },
	{ "cost of an event", cost_of_an_event },
};

int main(void)
{
	struct lag_bpf *bpf = load(LAG_MINOR_ANY);

	if (!bpf && (errno == EPERM || errno == ENOSYS)) {
		ksft_print_header();
		ksft_exit_skip("BPF is not permitted here\n");
	}
	lag_bpf__destroy(bpf);
	run_tests(tests, ARRAY_SIZE(tests));
}
