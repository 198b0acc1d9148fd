// SPDX-License-Identifier: GPL-2.0-or-later
/* The regions of a map as runs of equal ones. */
#include "meta.h"

struct runs {
	uint32_t first, last;	/* wanted */
	struct bc_map_run run;	/* that grows; @count 0: none yet */
	void (*fn)(const struct bc_map_run *run, void *arg);
	void *arg;
};

static void run_end(struct runs *runs)
{
	if (runs->run.count)
		runs->fn(&runs->run, runs->arg);
	runs->run.count = 0;
}

static void take_region(struct runs *runs, uint32_t region,
			enum bc_region_state state, uint64_t stamp)
{
	struct bc_map_run *run = &runs->run;

	if (run->count && (run->state != state || run->stamp != stamp))
		run_end(runs);
	if (!run->count++)
		*run = (struct bc_map_run){ region, 1, state, stamp };
}

static int take_block(const struct bc_map_block *block, void *arg)
{
	struct runs *runs = arg;

	for (uint32_t i = 0; i < block->count; i++) {
		uint32_t region = block->first + i;

		if (region >= runs->first && region <= runs->last)
			take_region(runs, region, block->regions[i], block->stamps[i]);
	}
	return 0;
}

int bc_meta_map_runs(struct bc_meta *meta, uint32_t first, uint32_t last,
		     void (*fn)(const struct bc_map_run *run, void *arg),
		     void *arg, struct bc_error *error)
{
	struct runs runs = { .first = first, .last = last, .fn = fn, .arg = arg };
	uint32_t block = first / BLKCAST_MAP_STAMPS;
	int ret;

	ret = bc_meta_map_walk(meta, block, last / BLKCAST_MAP_STAMPS - block + 1,
			       take_block, &runs, error);
	run_end(&runs);
	return ret;
}
