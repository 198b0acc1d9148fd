// SPDX-License-Identifier: GPL-2.0-or-later
/* Checks 1 and 2 of meta_check.h: the superblocks; meta_check_map.c has the map. */
#include <endian.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "meta_check.h"
#include "meta_check_map.h"

/**
 * struct check - a check under way
 * @offset: of the superblock that is looked at
 */
struct check {
	const struct bc_meta_checked *of;
	void (*report)(const struct bc_finding *finding, void *arg);
	void *arg;
	uint64_t offset;
};

static void found(const struct check *check, enum bc_finding_level level,
		  const char *kind, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void found(const struct check *check, enum bc_finding_level level,
		  const char *kind, const char *fmt, ...)
{
	struct bc_finding finding = {
		.level = level, .kind = kind, .offset = check->offset,
	};
	va_list args;

	va_start(args, fmt);
	vsnprintf(finding.text, sizeof(finding.text), fmt, args);
	va_end(args);
	check->report(&finding, check->arg);
}

/* --- both copies (check 1) ---------------------------------------------- */

static void check_bad_copy(struct check *check, int bad)
{
	static const char * const words[] = {
		[BC_BLOCK_NONE] = "is not there",
		[BC_BLOCK_UNREADABLE] = "cannot be read",
		[BC_BLOCK_DAMAGED] = "has a wrong checksum",
	};
	const struct bc_super_copy *copies = check->of->copies;

	check->offset = copies[bad].offset;
	found(check, BC_FINDING_WARNING, "super-damaged",
	      "superblock %d %s: superblock %d, generation %" PRIu64
	      ", counts; nothing is lost, and the next change writes both",
	      bad, words[copies[bad].state], !bad, copies[!bad].super.generation);
}

static void check_generations(struct check *check)
{
	const struct bc_super *super0 = &check->of->copies[0].super;
	const struct bc_super *super1 = &check->of->copies[1].super;
	uint64_t gen0 = super0->generation, gen1 = super1->generation;

	check->offset = check->of->copies[gen0 >= gen1].offset;
	if (gen0 == gen1 && memcmp(super0, super1, sizeof(*super0)))
		found(check, BC_FINDING_ERROR, "super-differ",
		      "both superblocks have generation %" PRIu64
		      " and yet differ: somebody else has written here; superblock 0 counts",
		      gen0);
	else if (gen0 == gen1 + 1)
		found(check, BC_FINDING_WARNING, "super-older",
		      "superblock 1 has generation %" PRIu64
		      ", superblock 0 one more: power failed between the two writes; superblock 0 counts, nothing is lost",
		      gen1);
	else if (gen0 != gen1)
		found(check, BC_FINDING_ERROR, "super-lost-write",
		      "superblock 0 has generation %" PRIu64 ", superblock 1 %" PRIu64
		      ": writes to the older one have failed or were lost, and the device may have lost others",
		      gen0, gen1);
}

static void check_copies(struct check *check)
{
	const struct bc_super_copy *copies = check->of->copies;

	if (copies[0].state == BC_BLOCK_GOOD && copies[1].state == BC_BLOCK_GOOD)
		check_generations(check);
	else if (copies[0].state == BC_BLOCK_GOOD)
		check_bad_copy(check, 1);
	else if (copies[1].state == BC_BLOCK_GOOD)
		check_bad_copy(check, 0);
}

/* --- the one that counts (check 2) -------------------------------------- */

static void check_place(struct check *check)
{
	const struct bc_meta *meta = check->of->meta;
	bool internal = meta->super.flags & BLKCAST_SUPER_INTERNAL;

	if (meta->size < BLKCAST_META_DEVICE_MIN)
		found(check, BC_FINDING_FATAL, "device-small",
		      "%s has %" PRIu64 " bytes: the kernel takes no metadata device below %u",
		      meta->path, meta->size, BLKCAST_META_DEVICE_MIN);
	if (internal && !check->of->internal)
		found(check, BC_FINDING_FATAL, "not-external",
		      "the metadata of %s are internal, the end of a backing device, but are taken for those of another device",
		      meta->path);
	else if (!internal && check->of->internal)
		found(check, BC_FINDING_FATAL, "not-internal",
		      "%s is the metadata device of a volume whose data are elsewhere, but is taken for its backing device",
		      meta->path);
}

static void check_backing(struct check *check)
{
	const struct bc_super *super = &check->of->meta->super;
	uint64_t have = check->of->backing_bytes / 512, unit = check->of->logical / 512;

	if (super->data_start > have || super->sectors > have - super->data_start) {
		found(check, BC_FINDING_FATAL, "backing-small",
		      "the volume has %" PRIu64 " bytes from byte %" PRIu64
		      " on, %u regions; the backing device has %" PRIu64
		      " bytes: it has shrunk, or is another one",
		      super->sectors * 512, super->data_start * 512, super->regions,
		      check->of->backing_bytes);
		return;
	}
	if (super->flags & BLKCAST_SUPER_INTERNAL && check->of->internal &&
	    (super->data_start + super->sectors) * 512 > super->map_offset)
		found(check, BC_FINDING_FATAL, "overlap",
		      "the data end at byte %" PRIu64
		      ", the stamp map begins before, at %" PRIu64
		      ": they overwrite each other",
		      (super->data_start + super->sectors) * 512, super->map_offset);
	if (unit && (super->data_start % unit || super->sectors % unit))
		found(check, BC_FINDING_FATAL, "alignment",
		      "the volume is no multiple of the backing device's blocks of %u bytes",
		      check->of->logical);
}

static void check_reign(struct check *check, uint32_t i)
{
	const struct bc_super *super = &check->of->meta->super;
	const struct blkcast_reign *reign = &super->history[i];
	uint32_t term = le32toh(reign->term);
	uint32_t before = i ? le32toh(super->history[i - 1].term) : 0;

	if (!reign->reign)
		found(check, BC_FINDING_ERROR, "history",
		      "history: term %u has no reign id, so no other copy can tell whether it is the same reign: the copy should be replaced",
		      term);
	if (term <= before)
		found(check, BC_FINDING_ERROR, "history",
		      "history: term %u comes after term %u: the order of the reigns is lost, the copy should be replaced",
		      term, before);
	if (term > super->term)
		found(check, BC_FINDING_ERROR, "history",
		      "history: term %u is above the highest term seen, %u: a primary of an older term may be followed",
		      term, super->term);
	if (blkcast_lsn_term(le64toh(reign->inherited)) >= term)
		found(check, BC_FINDING_ERROR, "history",
		      "history: term %u inherits writes of term %u: the copy should be replaced",
		      term, blkcast_lsn_term(le64toh(reign->inherited)));
}

static void check_state(struct check *check)
{
	const struct bc_super *super = &check->of->meta->super;

	for (uint32_t i = 0; i < super->reigns; i++)
		check_reign(check, i);
	if (super->flags & BLKCAST_SUPER_PRIMARY && !super->reigns)
		found(check, BC_FINDING_ERROR, "history",
		      "marked as primary, but the history has no reign");
	if (blkcast_lsn_term(super->position) > super->term)
		found(check, BC_FINDING_ERROR, "position",
		      "the position in the stream is of term %u, above the highest term seen, %u: the copy should be replaced",
		      blkcast_lsn_term(super->position), super->term);
	if (super->flags & BLKCAST_SUPER_INCOMPLETE)
		found(check, BC_FINDING_FATAL, "incomplete",
		      "a restore into this copy did not finish: restore again");
}

int bc_meta_check(const struct bc_meta_checked *checked,
		  void (*report)(const struct bc_finding *finding, void *arg),
		  void *arg, struct bc_map_summary *summary,
		  struct bc_error *error)
{
	struct check check = { checked, report, arg, checked->copies[0].offset };
	struct bc_error why;
	int chosen;

	memset(summary, 0, sizeof(*summary));
	check_copies(&check);
	check.offset = checked->copies[0].offset;
	if (bc_meta_choose(checked->meta, checked->copies, &chosen, &why)) {
		found(&check, BC_FINDING_FATAL, "super-unusable", "%s", why.text);
		return 0;
	}
	check.offset = checked->copies[chosen].offset;
	check_place(&check);
	check_backing(&check);
	check_state(&check);
	return bc_meta_check_map(checked->meta, report, arg, summary, error);
}
