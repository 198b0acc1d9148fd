// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target: metadata on disk, of which 'meta dump' and 'meta check' are made,
 * as tables and as JSON, and which then are written again.
 *
 * An input is a byte of options and blocks of 4 KiB: both superblocks, then the map's
 * slots, which the target lays where they belong on a device of DEVICE_BYTES.  Unless
 * an option says otherwise each block gets its right checksum and each slot the
 * volume's uuid, so that what the fuzzer changes are lies, not damage.
 *
 * Invariants: what is accepted is in range; findings name places that exist; runs
 * cover the map once; what is written is read back as the same; output is a line of
 * ASCII each, or JSON.
 */
/* links: tools/lib/meta.c tools/lib/meta_map.c tools/lib/meta_block.c tools/lib/meta_check.c */
/* links: tools/lib/meta_check_map.c tools/lib/meta_runs.c tools/lib/meta_known.c tools/lib/layout.c */
/* links: tools/lib/crc32c.c tools/lib/util.c tools/lib/error.c tools/cli/meta_json.c */
/* links: tools/cli/meta_table.c tools/cli/meta_words.c tools/snapshot/commands.c */
/* libs: json-c uuid */
/* flags: -fsanitize=fuzzer -lm */
/* max_len: 32769 */
#include <endian.h>
#include <stddef.h>
#include <sys/mman.h>

#include <json-c/json.h>

#include "crc32c.h"
#include "fuzz.h"
#include "meta_block.h"
#include "tools/cli/meta_view.h"

#define DEVICE_BYTES	(4U << 20)
#define SLOTS_MAX	6

enum option {
	OPTION_BAD_SUMS = 1,	/* as they are in the input */
	OPTION_ANY_UUID = 2,
	OPTION_EXTERNAL = 4,
	OPTION_KNOWN = 8,	/* the device has been enlarged by a block since */
	OPTION_JSON = 16,
	OPTION_CHECK = 32,	/* 'meta check', else dump, and write again */
};

static struct bc_error error;
static int fd;

/* --- the device --------------------------------------------------------------------- */

static void seal(uint8_t block[BLKCAST_BLOCK_SIZE], size_t crc_at)
{
	uint32_t crc;

	memset(block + crc_at, 0, sizeof(crc));
	crc = htole32(bc_crc32c(block, BLKCAST_BLOCK_SIZE));
	memcpy(block + crc_at, &crc, sizeof(crc));
}

static void put_block(const uint8_t block[BLKCAST_BLOCK_SIZE], uint64_t offset)
{
	if (offset <= DEVICE_BYTES - BLKCAST_BLOCK_SIZE)
		MUST(!bc_pwrite_full(fd, block, BLKCAST_BLOCK_SIZE, offset));
}

/* The last generation that there is nobody can follow, hence not write again. */
static void step_back(uint8_t block[BLKCAST_BLOCK_SIZE], size_t at)
{
	const uint64_t last = htole64(BLKCAST_GENERATION_END - 1);
	const uint64_t before = htole64(BLKCAST_GENERATION_END - 2);

	if (!memcmp(block + at, &last, sizeof(last)))
		memcpy(block + at, &before, sizeof(before));
}

/* Block @i of the input goes to its place. */
static void lay(const uint8_t *from, size_t i, uint8_t options, struct blkcast_super *first)
{
	uint8_t block[BLKCAST_BLOCK_SIZE] __attribute__((aligned(8)));
	uint64_t end = DEVICE_BYTES - (options & OPTION_KNOWN ? BLKCAST_BLOCK_SIZE : 0);
	bool super = i < 2, empty;

	memcpy(block, from, sizeof(block));
	empty = !block[0] && !memcmp(block, block + 1, sizeof(block) - 1);
	if (!super && !empty && !(options & OPTION_ANY_UUID))
		memcpy(block + offsetof(struct blkcast_map_block, volume), first->volume,
		       sizeof(first->volume));
	if (!empty)
		step_back(block, super ? offsetof(struct blkcast_super, generation) :
					 offsetof(struct blkcast_map_block, generation));
	if (!empty && !(options & OPTION_BAD_SUMS))
		seal(block, super ? offsetof(struct blkcast_super, crc) :
				    offsetof(struct blkcast_map_block, crc));
	if (!i)
		memcpy(first, block, sizeof(*first));
	if (super)
		put_block(block, end - (i ? BLKCAST_BLOCK_SIZE : BLKCAST_SUPER_AREA));
	else
		put_block(block, le64toh(first->map_offset) + (i - 2) * BLKCAST_BLOCK_SIZE);
}

/* --- what must hold -------------------------------------------------------------------- */

static void check_super(const struct bc_super *super)
{
	uint64_t map_end = super->map_offset + (uint64_t)super->map_blocks * BC_SLOTS_BYTES;

	MUST(super->region_shift >= BLKCAST_REGION_SHIFT_MIN);
	MUST(super->region_shift <= BLKCAST_REGION_SHIFT_MAX);
	MUST(super->regions && super->regions <= BLKCAST_REGIONS_MAX);
	MUST(((uint64_t)super->regions - 1) << super->region_shift < super->sectors * 512);
	MUST((uint64_t)super->regions << super->region_shift >= super->sectors * 512);
	MUST((uint64_t)super->map_blocks * BLKCAST_MAP_STAMPS >= super->regions);
	MUST(super->map_offset <= DEVICE_BYTES && map_end <= DEVICE_BYTES - BLKCAST_SUPER_AREA);
	MUST(super->reigns <= BLKCAST_HISTORY_MAX && super->members <= BLKCAST_MEMBERS_MAX);
	MUST(super->term <= BLKCAST_TERM_MAX && fuzz_printable(super->name));
	MUST(bc_super_region_bytes(super, super->regions - 1) > 0);
}

struct seen {
	const struct meta_output *output;
	struct meta_view *view;
	uint32_t next;
	uint64_t *stamps;
};

static void take_finding(const struct bc_finding *finding, void *arg)
{
	const struct seen *seen = arg;
	const struct bc_super *super = &seen->view->meta.super;

	MUST(finding->kind && finding->level <= BC_FINDING_FATAL);
	MUST(fuzz_printable(finding->text) && finding->offset <= DEVICE_BYTES);
	if (finding->of_map) {
		MUST(finding->first_block <= finding->last_block);
		MUST(finding->last_block < super->map_blocks);
		MUST(finding->first_region <= finding->last_region);
		MUST(finding->last_region < super->regions);
	}
	seen->view->findings[finding->level]++;
	seen->output->finding(finding);
}

static void take_run(const struct bc_map_run *run, void *arg)
{
	struct seen *seen = arg;

	MUST(run->first == seen->next && run->count);
	seen->next += run->count;
	seen->output->run(seen->view, run);
}

static int take_block(const struct bc_map_block *block, void *arg)
{
	struct seen *seen = arg;

	bc_map_summary_add(&seen->view->map, block);
	MUST(block->count && block->count <= BLKCAST_MAP_STAMPS);
	for (uint32_t i = 0; i < block->count; i++) {
		MUST(block->touched[i] || !block->stamps[i]);
		MUST(!block->active || !block->touched[i] || block->stamps[i] == BLKCAST_LSN_DOUBT);
		seen->stamps[block->first + i] = block->stamps[i];
	}
	return 0;
}

/* In a block with one region in doubt all that were touched are. */
static int take_again(const struct bc_map_block *block, void *arg)
{
	const struct seen *seen = arg;

	MUST(block->current >= 0);
	for (uint32_t i = 0; i < block->count; i++) {
		uint64_t before = seen->stamps[block->first + i];

		MUST(block->stamps[i] == before ||
		     (block->active && before && block->stamps[i] == BLKCAST_LSN_DOUBT));
		MUST(before != BLKCAST_LSN_DOUBT || block->stamps[i] == BLKCAST_LSN_DOUBT);
	}
	return 0;
}

/* What lists and names have behind their ends is not kept. */
static void cut_ends(struct bc_super *super)
{
	size_t len = strlen(super->name);

	memset(super->name + len, 0, sizeof(super->name) - len);
	memset(super->history + super->reigns, 0,
	       (BLKCAST_HISTORY_MAX - super->reigns) * sizeof(super->history[0]));
	memset(super->member + super->members, 0,
	       (BLKCAST_MEMBERS_MAX - super->members) * sizeof(super->member[0]));
}

static void write_again(struct bc_meta *meta, struct seen *seen)
{
	struct bc_meta again;

	MUST(!bc_meta_map_write(meta, seen->stamps, &error));
	MUST(!bc_meta_super_write(meta, &error));
	MUST(!bc_meta_open(&again, fd, meta->size, "image", &error));
	cut_ends(&meta->super);
	cut_ends(&again.super);
	MUST(!again.bad_copies && !memcmp(&again.super, &meta->super, sizeof(again.super)));
	MUST(!bc_meta_map_walk(&again, 0, again.super.map_blocks, take_again, seen, &error));
}

/* --- dump and check ----------------------------------------------------------------------- */

static void dump(struct meta_view *view, struct seen *seen)
{
	int chosen;

	if (bc_meta_choose(&view->meta, view->copies, &chosen, &view->why)) {
		MUST(fuzz_printable(view->why.text));
		seen->output->dump(view, false);
		seen->output->dump_end(view, false);
		return;
	}
	view->chosen = chosen;
	check_super(&view->meta.super);
	seen->stamps = calloc(view->meta.super.regions, sizeof(*seen->stamps));
	MUST(seen->stamps);
	MUST(!bc_meta_map_walk(&view->meta, 0, view->meta.super.map_blocks, take_block, seen,
			       &error));
	MUST(view->map.blocks == view->meta.super.map_blocks);
	seen->output->dump(view, true);
	MUST(!bc_meta_map_runs(&view->meta, 0, view->meta.super.regions - 1, take_run, seen,
			       &error));
	MUST(seen->next == view->meta.super.regions);
	seen->output->dump_end(view, true);
}

static void check(struct meta_view *view, struct seen *seen, uint8_t options)
{
	const struct bc_meta_checked checked = {
		.meta = &view->meta, .copies = view->copies, .logical = 512,
		.backing_bytes = options & OPTION_EXTERNAL ? 1ULL << 40 : DEVICE_BYTES,
		.internal = !(options & OPTION_EXTERNAL),
	};

	memset(&view->map, 0, sizeof(view->map));
	seen->output->check(view);
	MUST(!bc_meta_check(&checked, take_finding, seen, &view->map, &error));
	seen->output->check_end(view);
}

static void check_output(const char *text, size_t len, bool json)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *object = NULL;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	if (json) {
		object = json_tokener_parse_ex(tokener, text, len);
		MUST(json_object_is_type(object, json_type_object));
	}
	for (size_t i = 0; i < len; i++)
		MUST(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'));
	json_object_put(object);
	json_tokener_free(tokener);
}

/* One of the commands, with what it prints kept. */
static void look(uint8_t options)
{
	bool json = options & OPTION_JSON, checks = options & OPTION_CHECK;
	struct meta_view *view = calloc(1, sizeof(*view));
	struct seen seen = { json ? &meta_output_json : &meta_output_table, view, 0, NULL };
	FILE *terminal = stdout;
	char *text;
	size_t len;
	uint64_t end;

	MUST(view);
	view->backing = "image";
	view->chosen = -1;
	end = bc_meta_end(fd, DEVICE_BYTES, DEVICE_BYTES - BLKCAST_BLOCK_SIZE, "image");
	MUST(!bc_meta_copies(&view->meta, fd, end, "image", view->copies, &error));
	stdout = open_memstream(&text, &len);
	MUST(stdout);
	if (checks)
		check(view, &seen, options);
	else
		dump(view, &seen);
	fclose(stdout);
	stdout = terminal;
	check_output(text, len, json);
	if (view->chosen >= 0)
		write_again(&view->meta, &seen);
	free(seen.stamps);
	free(text);
	free(view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct blkcast_super first = { 0 };
	uint8_t options;

	if (size < 1 + 2 * BLKCAST_BLOCK_SIZE)
		return 0;
	options = *data++;
	MUST(!ftruncate(fd, 0) && !ftruncate(fd, DEVICE_BYTES));
	for (size_t i = 0; i < 2 + SLOTS_MAX && (i + 1) * BLKCAST_BLOCK_SIZE < size; i++)
		lay(data + i * BLKCAST_BLOCK_SIZE, i, options, &first);
	look(options);
	return 0;
}

/* --- a mutator: fields, not bytes of 32 KiB ------------------------------------------------- */

static uint64_t edge(unsigned int *seed)
{
	static const uint64_t edges[] = {
		0, 1, 2, 3, 5, 6, 15, 16, 22, 23, 31, 32, 33, 127, 128, 129, 480, 4095, 4096, 8192,
		BLKCAST_REGIONS_MAX, BLKCAST_TERM_MAX, BLKCAST_LSN_DOUBT, UINT32_MAX, INT64_MAX,
		UINT64_MAX, DEVICE_BYTES - BLKCAST_SUPER_AREA, DEVICE_BYTES,
	};

	return edges[rand_r(seed) % BC_ARRAY_SIZE(edges)];
}

/* Change a field near the start of a block, or of its lists. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	size_t block, at, len = rand_r(&seed) % 2 ? sizeof(uint64_t) : sizeof(uint32_t);
	uint64_t value = edge(&seed), old = 0;

	if (size < 1 + 2 * BLKCAST_BLOCK_SIZE || !(rand_r(&seed) % 3))
		return LLVMFuzzerMutate(data, size, max);
	if (!(rand_r(&seed) % 8))
		data[0] ^= 1 << rand_r(&seed) % 8;
	block = rand_r(&seed) % ((size - 1) / BLKCAST_BLOCK_SIZE);
	at = rand_r(&seed) % (rand_r(&seed) % 3 ? 112 : BLKCAST_BLOCK_SIZE - 8) / len * len;
	at += 1 + block * BLKCAST_BLOCK_SIZE;
	memcpy(&old, data + at, len);
	if (rand_r(&seed) % 3 == 0)
		value = old + (rand_r(&seed) % 2 ? 1 : -1);
	memcpy(data + at, &value, len);
	return size;
}

/* --- seeds --------------------------------------------------------------------------------- */

static void put_seed(const char *name, uint8_t options, const struct bc_super *super)
{
	static uint8_t text[1 + (2 + SLOTS_MAX) * BLKCAST_BLOCK_SIZE];
	size_t slots = 2 * super->map_blocks * BLKCAST_BLOCK_SIZE;

	text[0] = options;
	MUST(!bc_pread_full(fd, text + 1, BLKCAST_BLOCK_SIZE, DEVICE_BYTES - BLKCAST_SUPER_AREA));
	MUST(!bc_pread_full(fd, text + 1 + BLKCAST_BLOCK_SIZE, BLKCAST_BLOCK_SIZE,
			    DEVICE_BYTES - BLKCAST_BLOCK_SIZE));
	MUST(slots <= SLOTS_MAX * BLKCAST_BLOCK_SIZE);
	MUST(!bc_pread_full(fd, text + 1 + 2 * BLKCAST_BLOCK_SIZE, slots, super->map_offset));
	fuzz_put_seed(name, text, 1 + 2 * BLKCAST_BLOCK_SIZE + slots);
}

static void fill(struct bc_super *super, uint64_t bytes)
{
	memset(super, 0, sizeof(*super));
	memset(super->volume, 0x11, sizeof(super->volume));
	memset(super->node, 0x22, sizeof(super->node));
	super->sectors = bytes / 512;
	super->region_shift = 16;
	super->regions = bytes >> 16;
	super->map_blocks = (super->regions + BLKCAST_MAP_STAMPS - 1) / BLKCAST_MAP_STAMPS;
	super->map_offset = DEVICE_BYTES - BLKCAST_SUPER_AREA - 16 * BLKCAST_BLOCK_SIZE;
	super->flags = BLKCAST_SUPER_INTERNAL;
	super->term = 5;
	super->reigns = 2;
	super->history[0] = (struct blkcast_reign){ htole32(3), { 1 }, htole64(33), 0 };
	super->history[1] = (struct blkcast_reign){
		htole32(5), { 2 }, htole64(55), htole64(blkcast_lsn(3, 70))
	};
	super->members = 1;
	strcpy(super->name, "data");
}

/* For each command. */
static void put_seeds(const char *name, uint8_t options, const struct bc_super *super)
{
	char path[32];

	for (uint8_t look = 0; look < 4; look++) {
		snprintf(path, sizeof(path), "%s-%u", name, look);
		put_seed(path, options | look * OPTION_JSON, super);
	}
}

static void make_seed(const char *name, uint64_t bytes, uint8_t options, uint32_t flags,
		      bool doubt)
{
	struct bc_meta meta = { 0 };
	uint64_t *stamps;

	MUST(!ftruncate(fd, 0) && !ftruncate(fd, DEVICE_BYTES));
	fill(&meta.super, bytes);
	meta.super.flags |= flags;
	stamps = calloc(meta.super.regions, sizeof(*stamps));
	MUST(stamps);
	for (uint32_t i = 0; i < meta.super.regions; i++)
		stamps[i] = i % 3 ? blkcast_lsn(i % 2 ? 3 : 5, i) : BLKCAST_LSN_NEVER;
	if (doubt)
		stamps[7] = BLKCAST_LSN_DOUBT;
	MUST(!bc_meta_format(&meta, fd, DEVICE_BYTES, "image", stamps, &error));
	MUST(!bc_meta_map_write(&meta, stamps, &error));
	put_seeds(name, options, &meta.super);
	free(stamps);
}

static void make_seeds(void)
{
	make_seed("small", 1 << 20, 0, 0, false);
	make_seed("blocks", 90 << 20, OPTION_EXTERNAL, 0, true);
	make_seed("primary", 2 << 20, OPTION_KNOWN, BLKCAST_SUPER_PRIMARY | BLKCAST_SUPER_OWN, false);
	make_seed("raw", 2 << 20, OPTION_BAD_SUMS | OPTION_ANY_UUID, BLKCAST_SUPER_INCOMPLETE, true);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fd = memfd_create("fuzz", 0);
	MUST(fd >= 0);
	fuzz_make_seeds(make_seeds);
	return 0;
}
