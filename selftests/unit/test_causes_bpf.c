// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The probes of slow writes and of who causes lag, on this machine's kernel and
 * without the module: each program is handed the arguments of its tracepoint
 * (BPF_PROG_TEST_RUN).  Skipped where BPF is not permitted.
 */
/* libs: libbpf */
/* flags: -I.build/bpf */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "expect.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../../bpf/causes.h"
#include "../../bpf/lag.h"
#include "bpf_cost.h"
#include "lag.skel.h"
#include "util.h"

#define MS 1000000ULL
#define MINOR 7
#define LINK 3
#define LSN 42
#define BYTES 4096
#define SECTOR 6000
#define PID ((uint32_t)getpid())

static struct causes_slow records[16];
static unsigned int count;

static int take(void *arg, void *data, size_t size)
{
	(void)arg;
	if (size != sizeof(records[0]) || count == BC_ARRAY_SIZE(records))
		return -1;
	memcpy(&records[count++], data, size);
	return 0;
}

static struct lag_bpf *load(uint64_t slow_ns, bool top)
{
	struct lag_bpf *bpf = lag_bpf__open();

	if (!bpf)
		return NULL;
	bpf->rodata->causes_slow_ns = slow_ns;
	bpf->rodata->causes_top = top;
	if (!lag_bpf__load(bpf))
		return bpf;
	lag_bpf__destroy(bpf);
	return NULL;
}

static void collect(struct lag_bpf *bpf)
{
	struct ring_buffer *ring = ring_buffer__new(bpf_map__fd(bpf->maps.causes_ring), take,
						    NULL, NULL);

	count = 0;
	EXPECT(ring && ring_buffer__consume(ring) >= 0);
	ring_buffer__free(ring);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 * MS + (uint64_t)now.tv_nsec;
}

static void run(struct bpf_program *program, uint64_t *args, size_t n)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args,
		    .ctx_size_in = n * sizeof(*args));

	EXPECT(!bpf_prog_test_run_opts(bpf_program__fd(program), &opts));
}

static void submit(struct lag_bpf *bpf)
{
	uint64_t args[] = { MINOR, SECTOR, BYTES, now_ns(), PID };

	run(bpf->progs.lag_write_submit, args, 5);
}

static void start(struct lag_bpf *bpf, uint64_t when)
{
	uint64_t args[] = { MINOR, LSN, SECTOR, BYTES, when, PID };

	run(bpf->progs.lag_write_start, args, 6);
}

static void at_write(struct bpf_program *program, uint64_t when, uint32_t bytes, int error)
{
	uint64_t args[] = { MINOR, LSN, bytes, when, (uint32_t)error, SECTOR, PID };

	run(program, args, 7);
}

/* The upper halves of what is narrower are not ours. */
static void at_link_lsn(struct bpf_program *program, uint32_t link, uint64_t lsn,
			uint64_t when)
{
	uint64_t junk = 0xdeadbeefULL << 32;
	uint64_t args[] = { junk | MINOR, junk | link, lsn, junk | BYTES, when, SECTOR,
			    junk | PID, now_ns(), 0, 0 };

	run(program, args, 10);
}

static void at_link(struct bpf_program *program, uint32_t link, uint64_t when)
{
	at_link_lsn(program, link, LSN, when);
}

static uint64_t sum(const struct causes_slow *s)
{
	return s->part[0] + s->part[1] + s->part[2];
}

static void nap(void)
{
	usleep(3000);
}

/* Each part is as long as what was done in it; they make up the whole. */
static void parts_add_up(void)
{
	struct lag_bpf *bpf = load(5 * MS, false);
	uint64_t when = now_ns();

	EXPECT(bpf);
	if (!bpf)
		return;
	submit(bpf);
	nap();
	start(bpf, when);
	at_link(bpf->progs.lag_link_sent, LINK, when);
	nap();
	at_write(bpf->progs.lag_write_local, when, BYTES, 0);
	at_link(bpf->progs.lag_link_received, LINK, when);
	nap();
	at_link(bpf->progs.lag_link_applied, LINK, when);
	at_write(bpf->progs.lag_write_done, when, BYTES, 0);
	collect(bpf);
	EXPECT(count == 2);
	for (unsigned int i = 0; i < count; i++) {
		EXPECT(sum(&records[i]) == records[i].total);
		EXPECT(records[i].total >= 9 * MS);
		for (unsigned int j = 0; j < CAUSES_PARTS; j++)
			EXPECT(records[i].part[j] >= 3 * MS);
		EXPECT(records[i].lsn == LSN && records[i].sector == SECTOR);
		EXPECT(records[i].bytes == BYTES && records[i].pid == PID);
		EXPECT(!strcmp(records[i].comm, "test_causes_bpf"));
	}
	EXPECT(records[0].link == LINK && records[1].link == LAG_LINK_NONE);
	EXPECT(!bpf->bss->causes_lost && !bpf->bss->causes_partial);
	lag_bpf__destroy(bpf);
}

static void quick_ones_are_left_out(void)
{
	struct lag_bpf *bpf = load(60000 * MS, false);
	uint64_t when = now_ns();

	EXPECT(bpf);
	if (!bpf)
		return;
	start(bpf, when);
	at_write(bpf->progs.lag_write_local, when, BYTES, 0);
	at_write(bpf->progs.lag_write_done, when, BYTES, 0);
	collect(bpf);
	EXPECT(!count && !bpf->bss->causes_partial);
	lag_bpf__destroy(bpf);
}

/* Its beginning was before the probes: counted, not shown with made-up parts. */
static void late_attach_is_counted(void)
{
	struct lag_bpf *bpf = load(MS, false);
	uint64_t when = now_ns() - 100 * MS;

	EXPECT(bpf);
	if (!bpf)
		return;
	at_link(bpf->progs.lag_link_received, LINK, when);
	at_link(bpf->progs.lag_link_applied, LINK, when);
	at_write(bpf->progs.lag_write_done, when, BYTES, 0);
	collect(bpf);
	EXPECT(!count && bpf->bss->causes_partial == 2);
	lag_bpf__destroy(bpf);
}

static void failed_and_flushes_are_left_out(void)
{
	struct lag_bpf *bpf = load(MS, false);
	uint64_t when = now_ns() - 100 * MS;

	EXPECT(bpf);
	if (!bpf)
		return;
	at_write(bpf->progs.lag_write_done, when, BYTES, -EIO);
	at_write(bpf->progs.lag_write_done, when, 0, 0);
	collect(bpf);
	EXPECT(!count && !bpf->bss->causes_partial);
	lag_bpf__destroy(bpf);
}

/* Parts that do not follow each other are none: counted, not shown. */
static void out_of_order_is_counted(void)
{
	struct lag_bpf *bpf = load(MS, false);
	uint64_t when = now_ns();

	EXPECT(bpf);
	if (!bpf)
		return;
	nap();
	at_link(bpf->progs.lag_link_received, LINK, when);
	nap();
	at_link(bpf->progs.lag_link_sent, LINK, when);
	at_link(bpf->progs.lag_link_applied, LINK, when);
	collect(bpf);
	EXPECT(!count && bpf->bss->causes_partial == 1);
	lag_bpf__destroy(bpf);
}

/* Two writes want the same place: the first has no record, nor one of the second's parts. */
static void pushed_out_is_counted(void)
{
	struct lag_bpf *bpf = load(MS, false);
	uint64_t when = now_ns(), later = LSN + CAUSES_MOMENTS;

	EXPECT(bpf);
	if (!bpf)
		return;
	nap();
	at_link(bpf->progs.lag_link_sent, LINK, when);
	at_link_lsn(bpf->progs.lag_link_sent, LINK, later, when);
	at_link(bpf->progs.lag_link_received, LINK, when);
	at_link(bpf->progs.lag_link_applied, LINK, when);
	at_link_lsn(bpf->progs.lag_link_received, LINK, later, when);
	at_link_lsn(bpf->progs.lag_link_applied, LINK, later, when);
	collect(bpf);
	EXPECT(count == 1 && records[0].lsn == later && sum(&records[0]) == records[0].total);
	EXPECT(bpf->bss->causes_partial == 1);
	lag_bpf__destroy(bpf);
}

static bool sum_of(struct lag_bpf *bpf, uint32_t kind, uint64_t id, struct causes_sum *s)
{
	int map = bpf_map__fd(bpf->maps.causes_sums);

	for (uint32_t place = 0; place < CAUSES_SUMS; place++)
		if (!bpf_map_lookup_elem(map, &place, s) &&
		    s->origin == causes_pack(MINOR, kind, id))
			return true;
	return false;
}

static void sums(void)
{
	struct lag_bpf *bpf = load(0, true);
	uint64_t when = now_ns() - 10 * MS;
	struct causes_sum s;

	EXPECT(bpf);
	if (!bpf)
		return;
	submit(bpf);
	at_link(bpf->progs.lag_link_applied, LINK, when);
	at_link(bpf->progs.lag_link_applied, LINK + 1, when);
	EXPECT(sum_of(bpf, CAUSES_EXTENT, SECTOR >> CAUSES_EXTENT_SHIFT, &s));
	EXPECT(s.writes == 2 && s.bytes == 2 * BYTES);
	EXPECT(s.ns >= 20 * MS && s.max >= 10 * MS && s.max < s.ns);
	EXPECT(sum_of(bpf, CAUSES_PROCESS, PID, &s));
	EXPECT(s.writes == 2 && !strcmp(s.comm, "test_causes_bpf"));
	collect(bpf);
	EXPECT(!count);
	lag_bpf__destroy(bpf);
}

/* Those that want one place get one each, as long as there is room near it. */
static void sums_of_one_home(void)
{
	struct lag_bpf *bpf = load(0, true);
	uint64_t args[] = { MINOR, LINK, LSN, BYTES, 0, 0, 0, MS, 0, 0 };
	struct causes_sum s;

	EXPECT(bpf);
	if (!bpf)
		return;
	for (uint64_t i = 0; i < 20; i++) {
		args[5] = i % 17 * CAUSES_SUMS << CAUSES_EXTENT_SHIFT;
		run(bpf->progs.lag_link_applied, args, 10);
	}
	for (uint64_t i = 0; i < 16; i++)
		EXPECT(sum_of(bpf, CAUSES_EXTENT, i * CAUSES_SUMS, &s) &&
		       s.writes == (i < 3 ? 2 : 1));
	EXPECT(!sum_of(bpf, CAUSES_EXTENT, 16 * CAUSES_SUMS, &s) && bpf->bss->causes_lost == 1);
	lag_bpf__destroy(bpf);
}

/* Its first write was under way when the probes came: the next one tells its name. */
static void named_later(void)
{
	struct lag_bpf *bpf = load(0, true);
	uint64_t when = now_ns();
	struct causes_sum s;

	EXPECT(bpf);
	if (!bpf)
		return;
	at_link(bpf->progs.lag_link_applied, LINK, when);
	EXPECT(sum_of(bpf, CAUSES_PROCESS, PID, &s) && !*s.comm);
	submit(bpf);
	at_link(bpf->progs.lag_link_applied, LINK, when);
	EXPECT(sum_of(bpf, CAUSES_PROCESS, PID, &s));
	EXPECT(s.writes == 2 && !strcmp(s.comm, "test_causes_bpf"));
	lag_bpf__destroy(bpf);
}

/* More records than the ring holds: the rest is counted. */
static void full_ring_is_counted(void)
{
	struct lag_bpf *bpf = load(MS, false);
	uint64_t when = now_ns();

	EXPECT(bpf);
	if (!bpf)
		return;
	nap();
	at_link(bpf->progs.lag_link_sent, LINK, when);
	at_link(bpf->progs.lag_link_received, LINK, when);
	for (unsigned int i = 0; i < 4000; i++)
		at_link(bpf->progs.lag_link_applied, LINK, when);
	EXPECT(bpf->bss->causes_lost > 0 && bpf->bss->causes_lost < 4000);
	lag_bpf__destroy(bpf);
}

/* Printed, not judged. */
static void cost_of_an_event(void)
{
	struct lag_bpf *bpf = load(UINT64_MAX, true);
	uint64_t args[] = { MINOR, LINK, LSN, BYTES, 0, SECTOR, PID, 1000 * MS, 0, 0 };

	EXPECT(bpf);
	if (bpf)
		bpf_cost_print(bpf->obj, args, sizeof(args));
	lag_bpf__destroy(bpf);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "parts add up", parts_add_up },
		{ "quick ones are left out", quick_ones_are_left_out },
		{ "late attach is counted", late_attach_is_counted },
		{ "failed writes and flushes are left out", failed_and_flushes_are_left_out },
		{ "out of order is counted", out_of_order_is_counted },
		{ "pushed out is counted", pushed_out_is_counted },
		{ "sums by region and process", sums },
		{ "sums of one home", sums_of_one_home },
		{ "named later", named_later },
		{ "a full ring is counted", full_ring_is_counted },
		{ "cost of an event", cost_of_an_event },
	};
	struct lag_bpf *bpf = load(1, true);

	if (!bpf && (errno == EPERM || errno == ENOSYS)) {
		ksft_print_header();
		ksft_exit_skip("BPF is not permitted here\n");
	}
	lag_bpf__destroy(bpf);
	run_tests(tests, BC_ARRAY_SIZE(tests));
}
