/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an event costs: each program of an object is run many times with the same
 * arguments, timed by the kernel, and the mean is printed. It is not judged: no
 * two machines agree.
 */
#ifndef SELFTESTS_BPF_COST_H
#define SELFTESTS_BPF_COST_H

#include <stdint.h>
#include <unistd.h>

#include "kselftest.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define BPF_COST_RUNS 20000

/* Its arguments must be as many as any program of the object takes. */
static inline void bpf_cost_print(struct bpf_object *object, uint64_t *args, size_t size)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = size);
	int timed = bpf_enable_stats(BPF_STATS_RUN_TIME);
	struct bpf_program *program;

	if (timed < 0)
		return;
	bpf_object__for_each_program(program, object) {
		struct bpf_prog_info info = { 0 };
		uint32_t length = sizeof(info);

		for (unsigned int i = 0; i < BPF_COST_RUNS; i++)
			bpf_prog_test_run_opts(bpf_program__fd(program), &opts);
		if (!bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &length) &&
		    info.run_cnt)
			ksft_print_msg("%-22s %4llu ns an event\n",
				       bpf_program__name(program),
				       (unsigned long long)(info.run_time_ns / info.run_cnt));
	}
	close(timed);
}

#endif /* SELFTESTS_BPF_COST_H */
