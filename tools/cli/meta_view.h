/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What 'meta dump' and 'meta check' show, for people and for programs: an output
 * is one of two tables of functions.  Regions and findings come one at a time and
 * are printed as they come, so that a map of any size needs no memory.
 */
#ifndef BC_META_VIEW_H
#define BC_META_VIEW_H

#include "meta_check.h"

/**
 * struct meta_view - metadata that are looked at
 * @backing: path of the backing device
 * @copies: the two superblocks
 * @chosen: the one that counts, -1: none, and @why
 * @map: counts
 * @findings: how many there have been, by level
 */
struct meta_view {
	const char *backing;
	struct bc_meta meta;
	struct bc_super_copy copies[2];
	int chosen;
	struct bc_error why;
	struct bc_map_summary map;
	unsigned int findings[BC_FINDING_FATAL + 1];
};

/**
 * struct meta_output - one way to print
 * @dump, @dump_end: around the runs, if they are wanted
 * @check, @check_end: around the findings
 */
struct meta_output {
	void (*dump)(const struct meta_view *view, bool runs);
	void (*run)(const struct meta_view *view, const struct bc_map_run *run);
	void (*dump_end)(const struct meta_view *view, bool runs);
	void (*check)(const struct meta_view *view);
	void (*finding)(const struct bc_finding *finding);
	void (*check_end)(const struct meta_view *view);
};

extern const struct meta_output meta_output_table, meta_output_json;

/* Words for both: meta_words.c. */
const char *meta_copy_word(const struct meta_view *view, int copy);
const char *meta_region_word(enum bc_region_state state);
const char *meta_level_word(enum bc_finding_level level);

#endif /* BC_META_VIEW_H */
