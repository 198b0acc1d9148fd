/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looks for damage in the metadata of a volume that is down.  Reads only.
 *
 * What is held against what:
 *  1. both superblocks against their checksums and against each other;
 *  2. the superblock against itself, the devices and the rules of a history;
 *  3. both slots of each map block against their checksums, their place, and each
 *     other: a writer takes turns, so their generations differ by one;
 *  4. the stamps of each group that is not active against the history (RULES 1
 *     and 22), the touched marks (3) and the doubts (7).
 *
 * States of ordinary life are no findings: an active group, a region in doubt
 * in it, a copy under resync.
 */
#ifndef BC_META_CHECK_H
#define BC_META_CHECK_H

#include "meta.h"

enum bc_finding_level {
	BC_FINDING_WARNING,	/* the other copy or slot counts: nothing is lost */
	BC_FINDING_ERROR,	/* what is known of some regions is lost or wrong */
	BC_FINDING_FATAL,	/* the volume cannot be brought up */
};

/**
 * struct bc_finding - something that is not as it should be
 * @level: how bad it is
 * @kind: a word for programs, such as "slot-torn"
 * @offset: where on the metadata device, in bytes
 * @of_map: it is about the map: @first_block .. @last_region mean something
 * @text: what was found, and what it means; no newline
 */
struct bc_finding {
	enum bc_finding_level level;
	const char *kind;
	uint64_t offset;
	bool of_map;
	uint32_t first_block, last_block, first_region, last_region;
	char text[BC_ERROR_MAX];
};

/**
 * struct bc_map_summary - counts over the whole map
 * @blocks: of the map, each a group of regions
 * @active: of these, with the active bit
 * @bad_slots: torn, damaged, unreadable or foreign slots
 * @lost: blocks whose newest slot may be lost
 * @regions: by enum bc_region_state
 * @touched: regions with the touched mark
 * @newest: the newest stamp
 */
struct bc_map_summary {
	uint32_t blocks, active, bad_slots, lost, touched;
	uint32_t regions[BC_REGION_BAD + 1];
	uint64_t newest;
};

void bc_map_summary_add(struct bc_map_summary *summary,
			const struct bc_map_block *block);

/* A slot that should hold a block and does not. */
bool bc_map_slot_bad(const struct bc_map_block *block, int slot);

/**
 * struct bc_meta_checked - what is to be checked
 * @meta, @copies: from bc_meta_copies(); @meta->super is filled here
 * @backing_bytes, @logical: size and logical block size of the backing device
 * @internal: the metadata were looked for on the backing device
 */
struct bc_meta_checked {
	struct bc_meta *meta;
	const struct bc_super_copy *copies;
	uint64_t backing_bytes;
	uint32_t logical;
	bool internal;
};

/*
 * Call @report for each finding, those of the map in its order, neighbours of
 * one kind as one.  The map is not looked at if no superblock says where it is;
 * @summary is zero then.  -ENOMEM is the only failure.
 */
int bc_meta_check(const struct bc_meta_checked *checked,
		  void (*report)(const struct bc_finding *finding, void *arg),
		  void *arg, struct bc_map_summary *summary,
		  struct bc_error *error);

#endif /* BC_META_CHECK_H */
