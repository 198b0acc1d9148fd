// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast prune: the rules on known days; random chains and policies against a model
 * of their own; real folders, with damaged and foreign files in them; killed at work.
 */
/* links: tools/snapshot/prune.c tools/snapshot/writer.c tools/snapshot/output.c tools/snapshot/folder.c */
/* links: tools/snapshot/format.c tools/snapshot/seektable.c */
/* links: tools/lib/util.c tools/lib/error.c tools/lib/crc32c.c */
/* libs: libzstd uuid */
/* flags: -lxxhash -Wno-format-truncation */
#include <dirent.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <time.h>
#include <zstd.h>

#include "test_snapshot.h"

#include "tools/snapshot/prune.h"
#include "tools/snapshot/writer.h"

#define SET_MAX		40
#define CASES		4000
#define FOLDERS		8
#define KILLS		8
#define DAY		86400ULL
/* With a clock that is put forward and back. */
#define ZONE		"CET-1CEST,M3.5.0/2,M10.5.0/3"
#define MONDAY		1792969200ULL	/* 2026-10-26 00:00:00 in ZONE, a day after it was */

static char folder[] = "/tmp/test_prune.XXXXXX", blkcast[PATH_MAX];

/* ---- sets in memory ---- */

static struct prune_snapshot *add(struct prune_set *set, uint64_t seconds)
{
	struct prune_snapshot *snapshot = prune_add(set);
	char name[32];

	MUST(snapshot);
	snprintf(name, sizeof(name), "s%03zu.snap", set->count - 1);
	snapshot->name = strdup(name);
	snapshot->state = PRUNE_WHOLE;
	snapshot->created = seconds * 1000000000;
	snapshot->root = random_next();
	memset(snapshot->volume, 1, 16);
	bc_uuid_generate(snapshot->id);
	return snapshot;
}

static void build_on(struct prune_snapshot *snapshot, const struct prune_snapshot *base)
{
	snapshot->delta = true;
	snapshot->parent_root = base->root;
	memcpy(snapshot->parent, base->id, 16);
}

/* The names that stay, without ".snap", newest first. */
static const char *staying(struct prune_set *set, enum prune_rule rule, uint32_t number)
{
	static char names[SET_MAX * 8];
	uint32_t keep[PRUNE_RULES] = { 0 };
	struct bc_error error;
	size_t i;

	keep[rule] = number;
	MUST(!prune_decide(set, keep, &error));
	names[0] = 0;
	for (i = 0; i < set->count; i++) {
		if (set->snapshot[i].verdict != PRUNE_DELETE)
			snprintf(names + strlen(names), 8, "%.4s ", set->snapshot[i].name);
	}
	return names;
}

#define STAYS(set, rule, number, names) do {					\
	const char *stays_ = staying(set, rule, number);			\
										\
	if (strcmp(stays_, names))						\
		ksft_print_msg("%s stay\n", stays_);				\
	EXPECT(!strcmp(stays_, names));						\
} while (0)

static void rules_on_known_days(void)
{
	struct prune_set set = { 0 };

	add(&set, MONDAY - 25 * 3600 + 60);		/* 0: Sunday, 00:01 */
	add(&set, MONDAY - 23 * 3600 + 600);		/* 1: 02:10, summer time */
	add(&set, MONDAY - 23 * 3600 + 1200);		/* 2: 02:20, summer time */
	add(&set, MONDAY - 22 * 3600 + 900);		/* 3: 02:15, winter time */
	add(&set, MONDAY - 60);				/* 4: 23:59 */
	add(&set, MONDAY + 60);				/* 5: Monday 00:01 */
	add(&set, MONDAY + 5 * DAY + 3600);		/* 6: Saturday, 31st */
	add(&set, MONDAY + 6 * DAY + 3600);		/* 7: Sunday, 1st of November */
	add(&set, MONDAY + 67 * DAY);			/* 8: Friday, 1st of January 2027 */
	STAYS(&set, PRUNE_LAST, 1, "s008 ");
	STAYS(&set, PRUNE_LAST, 3, "s008 s007 s006 ");
	STAYS(&set, PRUNE_LAST, 99, "s008 s007 s006 s005 s004 s003 s002 s001 s000 ");
	STAYS(&set, PRUNE_HOURLY, 7, "s008 s007 s006 s005 s004 s003 s002 ");
	STAYS(&set, PRUNE_HOURLY, 8, "s008 s007 s006 s005 s004 s003 s002 s000 ");
	STAYS(&set, PRUNE_DAILY, 9, "s008 s007 s006 s005 s004 ");
	STAYS(&set, PRUNE_WEEKLY, 9, "s008 s007 s004 ");
	STAYS(&set, PRUNE_MONTHLY, 9, "s008 s007 s006 ");
	STAYS(&set, PRUNE_YEARLY, 1, "s008 ");
	STAYS(&set, PRUNE_YEARLY, 2, "s008 s007 ");
	prune_release(&set);
}

static void chains_stay_whole(void)
{
	struct prune_set set = { 0 };
	struct bc_error error;
	unsigned int i;

	/* A full one, three deltas in a row, and a branch off the first. */
	for (i = 0; i < 5; i++)
		add(&set, MONDAY + i * DAY);
	for (i = 1; i < 4; i++)
		build_on(&set.snapshot[i], &set.snapshot[i - 1]);
	build_on(&set.snapshot[4], &set.snapshot[1]);
	STAYS(&set, PRUNE_LAST, 1, "s004 s001 s000 ");
	EXPECT(!strcmp(set.snapshot[3].needed_by->name, "s004.snap"));
	STAYS(&set, PRUNE_LAST, 2, "s004 s003 s002 s001 s000 ");
	prune_release(&set);

	/* The newest have lost what they build on: they count for nothing. */
	for (i = 0; i < 5; i++)
		add(&set, MONDAY + i * DAY);
	build_on(&set.snapshot[3], &set.snapshot[2]);
	build_on(&set.snapshot[4], &set.snapshot[3]);
	set.snapshot[2].root++;
	STAYS(&set, PRUNE_LAST, 1, "s004 s003 s002 ");
	EXPECT(set.snapshot[2].rules == 1 && set.snapshot[0].verdict == PRUNE_LEAVE);
	prune_release(&set);

	/* A damaged one takes nothing with it and nobody's place. */
	for (i = 0; i < 4; i++)
		add(&set, MONDAY + i * DAY);
	build_on(&set.snapshot[3], &set.snapshot[0]);
	set.snapshot[3].state = PRUNE_DAMAGED;
	STAYS(&set, PRUNE_LAST, 1, "s003 s002 s000 ");
	prune_release(&set);

	/* One that builds on itself ends the walk. */
	add(&set, MONDAY);
	add(&set, MONDAY + DAY);
	build_on(&set.snapshot[0], &set.snapshot[1]);
	build_on(&set.snapshot[1], &set.snapshot[0]);
	STAYS(&set, PRUNE_LAST, 1, "s001 s000 ");
	prune_release(&set);

	/* The same one twice. */
	add(&set, MONDAY);
	add(&set, MONDAY + DAY);
	memcpy(set.snapshot[1].id, set.snapshot[0].id, 16);
	EXPECT(prune_decide(&set, (uint32_t[PRUNE_RULES]){ 1 }, &error));
	EXPECT(strstr(error.text, "the same snapshot"));
	prune_release(&set);
}

/* ---- a model ---- */

/* Written from prune.h alone, as definitions: nothing is walked in an order. */
static const struct prune_snapshot *model_base(const struct prune_set *set,
					       const struct prune_snapshot *s)
{
	size_t i;

	for (i = 0; s->delta && i < set->count; i++) {
		if (set->snapshot[i].state != PRUNE_FOREIGN &&
		    !memcmp(set->snapshot[i].id, s->parent, 16))
			return &set->snapshot[i];
	}
	return NULL;
}

static bool model_counts(const struct prune_set *set, const struct prune_snapshot *s)
{
	const struct prune_snapshot *base = model_base(set, s);

	if (s->state != PRUNE_WHOLE)
		return false;
	return !s->delta || (base && base->root == s->parent_root && model_counts(set, base));
}

static bool model_newer(const struct prune_snapshot *a, const struct prune_snapshot *b)
{
	return a->created > b->created ||
	       (a->created == b->created && strcmp(a->name, b->name) < 0);
}

/* Of each snapshot of the set at hand; model_learn(). */
static struct model {
	bool counts, heads[PRUNE_RULES];
	char period[PRUNE_RULES][32];
} model[SET_MAX];

static bool model_same_period(size_t a, size_t b, enum prune_rule rule)
{
	return rule == PRUNE_LAST ? a == b : !strcmp(model[a].period[rule], model[b].period[rule]);
}

/* It counts and nothing that counts is newer in its period. */
static bool model_heads(const struct prune_set *set, size_t at, enum prune_rule rule)
{
	size_t i;

	for (i = 0; i < set->count; i++) {
		if (i != at && model[i].counts && model_same_period(i, at, rule) &&
		    model_newer(&set->snapshot[i], &set->snapshot[at]))
			return false;
	}
	return model[at].counts;
}

static void model_learn(const struct prune_set *set)
{
	static const char *const format[PRUNE_RULES] = {
		"", "%Y %m %d %H %z", "%Y %m %d", "%G %V", "%Y %m", "%Y"
	};
	unsigned int rule;
	struct tm tm;
	size_t i;

	for (i = 0; i < set->count; i++) {
		time_t seconds = set->snapshot[i].created / 1000000000;

		localtime_r(&seconds, &tm);
		model[i].counts = model_counts(set, &set->snapshot[i]);
		for (rule = 1; rule < PRUNE_RULES; rule++)
			strftime(model[i].period[rule], sizeof(model[i].period[rule]),
				 format[rule], &tm);
	}
	for (i = 0; i < set->count; i++) {
		for (rule = 0; rule < PRUNE_RULES; rule++)
			model[i].heads[rule] = model_heads(set, i, rule);
	}
}

static bool model_kept(const struct prune_set *set, size_t at, enum prune_rule rule,
		       uint32_t number)
{
	uint32_t before = 0;
	size_t i;

	for (i = 0; i < set->count; i++)
		before += model[i].heads[rule] &&
			  model_newer(&set->snapshot[i], &set->snapshot[at]);
	return before < number && model[at].heads[rule];
}

static bool model_stays(const struct prune_set *set, const struct prune_snapshot *s,
			const uint32_t *keep)
{
	unsigned int rule;
	size_t i;

	if (!model[s - set->snapshot].counts)
		return true;
	for (rule = 0; rule < PRUNE_RULES; rule++) {
		if (model_kept(set, s - set->snapshot, rule, keep[rule]))
			return true;
	}
	for (i = 0; i < set->count; i++) {
		const struct prune_snapshot *child = &set->snapshot[i];

		if (child->state != PRUNE_FOREIGN && model_base(set, child) == s &&
		    model_stays(set, child, keep))
			return true;
	}
	return false;
}

/* ---- random sets ---- */

static uint64_t random_step(void)
{
	static const uint64_t step[] = { 0, 60, 1800, 3600, 21600, DAY, 2 * DAY, 9 * DAY };

	return step[random_below(BC_ARRAY_SIZE(step))] + random_below(600);
}

static void random_set(struct prune_set *set, unsigned int most)
{
	uint64_t seconds = MONDAY - random_below(400 * DAY);
	unsigned int n = 1 + random_below(most), delta = random_below(10), i;

	*set = (struct prune_set) { 0 };
	for (i = 0; i < n; i++) {
		struct prune_snapshot *snapshot = add(set, seconds);

		seconds += random_step();
		/* A clock that was wrong. */
		if (!random_below(20))
			seconds -= random_below(20 * DAY);
		if (!random_below(40))
			snapshot->created = set->snapshot[random_below(i + 1)].created;
		if (i && random_below(10) < delta)
			build_on(snapshot, &set->snapshot[random_below(3) ?
							  i - 1 : random_below(i)]);
	}
}

static void damage_some(struct prune_set *set)
{
	size_t i;

	for (i = 0; i < set->count; i++) {
		struct prune_snapshot *snapshot = &set->snapshot[i];

		switch (random_below(60)) {
		case 0:
			snapshot->state = PRUNE_DAMAGED;
			break;
		case 1:
			snapshot->state = PRUNE_FOREIGN;
			break;
		case 2:
			snapshot->root++;
			break;
		case 3:
			snapshot->parent[3]++;
			break;
		}
	}
}

static void random_policy(uint32_t *keep)
{
	unsigned int rule;

	for (rule = 0; rule < PRUNE_RULES; rule++)
		keep[rule] = random_below(3) ? 0 : random_below(8);
	if (!keep[PRUNE_LAST])
		keep[random_below(PRUNE_RULES)] += 1;
}

/* What is there without the first @gone of the order has all that it builds on. */
static bool closed_without(const struct prune_set *set, struct prune_snapshot **order,
			   size_t gone)
{
	size_t i, j;

	for (i = 0; i < set->count; i++) {
		const struct prune_snapshot *s = &set->snapshot[i];
		bool stays = true, base_stays = true;

		for (j = 0; j < gone; j++) {
			stays = stays && order[j] != s;
			base_stays = base_stays && order[j] != s->base;
		}
		if (stays && s->base && !base_stays)
			return false;
	}
	return true;
}

/* Also where a power cut loses any of what was deleted in one generation. */
static bool order_is_safe(const struct prune_set *set)
{
	struct prune_snapshot **order;
	size_t count, i, j;
	bool safe = true;

	order = prune_order(set, &count);
	MUST(order);
	for (i = 0; i <= count; i++)
		safe = safe && closed_without(set, order, i);
	for (i = 0; i < count; i++) {
		for (j = 0; j < i; j++)
			safe = safe && !(order[i]->depth == order[j]->depth &&
					 (order[i]->base == order[j] || order[j]->base == order[i]));
	}
	free(order);
	return safe;
}

static void random_chains_against_the_model(void)
{
	unsigned int i, deleted = 0, bases = 0;

	for (i = 0; i < CASES && !expect_failures; i++) {
		uint32_t keep[PRUNE_RULES];
		struct prune_set set;
		struct bc_error error;
		size_t j;

		random_set(&set, SET_MAX);
		damage_some(&set);
		random_policy(keep);
		MUST(!prune_decide(&set, keep, &error));
		model_learn(&set);
		for (j = 0; j < set.count; j++) {
			const struct prune_snapshot *s = &set.snapshot[j];

			EXPECT((s->verdict != PRUNE_DELETE) == model_stays(&set, s, keep));
			deleted += s->verdict == PRUNE_DELETE;
			bases += s->verdict == PRUNE_KEEP && !s->rules;
		}
		EXPECT(order_is_safe(&set));
		prune_release(&set);
	}
	ksft_print_msg("%u deleted, %u kept for others\n", deleted, bases);
	EXPECT(deleted > CASES && bases > CASES / 4);
}

/* ---- real folders ---- */

static const char *path_of(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

/* The image is one region; its content tells the snapshot. */
static void write_chunk(struct writer *writer, uint64_t content)
{
	uint8_t data[512] = { 0 }, packed[1024];
	const struct writer_extent extent = { .bytes = sizeof(data) };
	struct writer_chunk chunk = { .data = packed, .extents = 1, .extent = &extent };
	struct bc_error error;
	ZSTD_CCtx *cctx = ZSTD_createCCtx();

	memcpy(data, &content, sizeof(content));
	ZSTD_CCtx_setParameter(cctx, ZSTD_c_checksumFlag, 1);
	chunk.stored = ZSTD_compress2(cctx, packed, sizeof(packed), data, sizeof(data));
	chunk.bytes = sizeof(data);
	chunk.digest = XXH64(data, sizeof(data), 0);
	ZSTD_freeCCtx(cctx);
	MUST(!writer_segment(writer, &chunk, 1, &error));
}

/* Write the file; its root hash is known then. */
static void write_snapshot(struct prune_snapshot *snapshot)
{
	const struct blkcast_reign reign = { .term = htole32(1), .reign = htole64(11) };
	struct snap_super super = {
		.bytes = htole64(512), .chunk_size = htole32(SNAP_CHUNK_SIZE),
		.flags = htole32(SNAP_SUPER_STAMPS | (snapshot->delta ? SNAP_SUPER_DELTA : 0)),
		.region_shift = htole32(16), .reigns = htole32(1), .term = htole32(1),
		.created = htole64(snapshot->created), .name = "data",
		.parent_root = htole64(snapshot->parent_root),
	};
	struct output output = { .path = snapshot->name };
	static uint64_t stamp = 1ULL << 40;
	const uint8_t holds = 1;
	struct bc_error error;
	struct writer writer;

	memcpy(super.id, snapshot->id, 16);
	memcpy(super.volume, snapshot->volume, 16);
	memcpy(super.parent, snapshot->parent, 16);
	output.fd = open(path_of(snapshot->name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	MUST(output.fd >= 0 && !writer_open(&writer, &output, &error));
	MUST(!writer_super(&writer, &super, &reign, &error));
	stamp++;
	if (snapshot->delta)
		MUST(!writer_stamps(&writer, &stamp, 1, &error) &&
		     !writer_holds(&writer, &holds, 1, &error));
	write_chunk(&writer, snapshot->root);
	if (!snapshot->delta)
		MUST(!writer_stamps(&writer, &stamp, 1, &error));
	MUST(!writer_trailer(&writer, &error));
	snapshot->root = le64toh(writer.trailer.root);
	writer_close(&writer);
	close(output.fd);
}

static void empty_folder(void)
{
	char command[PATH_MAX];

	snprintf(command, sizeof(command), "rm -rf %s && mkdir %s", folder, folder);
	MUST(!system(command));
}

/* Files for a random set; what each builds on is written before it. */
static void write_set(struct prune_set *set)
{
	size_t i, j;

	empty_folder();
	for (i = 0; i < set->count; i++) {
		struct prune_snapshot *snapshot = &set->snapshot[i];

		for (j = 0; j < i; j++) {
			if (!memcmp(set->snapshot[j].id, snapshot->parent, 16))
				snapshot->parent_root = set->snapshot[j].root;
		}
		write_snapshot(snapshot);
	}
}

static bool exists(const char *name)
{
	return !access(path_of(name), F_OK);
}

/* Run blkcast in the folder; what it says goes to folder.words. */
static int run(const char *words)
{
	char command[2 * PATH_MAX];

	snprintf(command, sizeof(command), "cd %s && %s %s > %s.words 2>&1", folder, blkcast,
		 words, folder);
	return system(command);
}

static bool words_say(const char *text)
{
	char command[2 * PATH_MAX];

	snprintf(command, sizeof(command), "grep -qF -- '%s' %s.words || { cat %s.words; false; }",
		 text, folder, folder);
	return !system(command);
}

static const char *policy_words(const uint32_t *keep)
{
	static char words[256];
	unsigned int rule;

	strcpy(words, "prune .");
	for (rule = 0; rule < PRUNE_RULES; rule++) {
		if (keep[rule])
			sprintf(words + strlen(words), " --keep-%s %u", prune_rule_name[rule],
				keep[rule]);
	}
	return words;
}

/* Whatever is there and builds on something, has it; what counts restores. */
static void check_folder(const struct prune_set *set, bool restore)
{
	char words[SET_MAX * 16 + 64], chain[SET_MAX * 16];
	size_t i;

	for (i = 0; i < set->count; i++) {
		const struct prune_snapshot *s = &set->snapshot[i], *base = model_base(set, s);

		if (!exists(s->name))
			continue;
		EXPECT(s->state == PRUNE_FOREIGN || !base || exists(base->name));
		if (!restore || !model_counts(set, s) || random_below(6))
			continue;
		snprintf(chain, sizeof(chain), "%s", s->name);
		for (; base; base = model_base(set, base)) {
			char longer[sizeof(chain)];

			snprintf(longer, sizeof(longer), "%s %s", base->name, chain);
			strcpy(chain, longer);
		}
		snprintf(words, sizeof(words), "restore --force --quiet %s ./out", chain);
		EXPECT(!run(words));
	}
}

static void cut_off_end(const char *name)
{
	struct stat st;

	MUST(!stat(path_of(name), &st) && !truncate(path_of(name), st.st_size - 8));
}

/* Make the files bear out the states that they are given. */
static void damage_files(struct prune_set *set)
{
	size_t i;

	for (i = 0; i < set->count; i++) {
		struct prune_snapshot *snapshot = &set->snapshot[i];

		switch (random_below(15)) {
		case 0:
			snapshot->state = PRUNE_DAMAGED;
			cut_off_end(snapshot->name);
			break;
		case 1:
			snapshot->state = PRUNE_FOREIGN;
			MUST(!truncate(path_of(snapshot->name), random_below(40)));
			break;
		case 2:
			snapshot->state = PRUNE_FOREIGN;
			memset(snapshot->volume, random_below(3) ? 0 : 1, 16);
			snapshot->volume[0] ^= 7;
			write_snapshot(snapshot);
			break;
		}
	}
}

static void folders_are_pruned(void)
{
	unsigned int i;
	size_t j;

	for (i = 0; i < FOLDERS; i++) {
		uint32_t keep[PRUNE_RULES];
		struct prune_set set;
		char words[512];

		random_set(&set, SET_MAX);
		write_set(&set);
		damage_files(&set);
		random_policy(keep);
		snprintf(words, sizeof(words), "%s --volume 01010101-0101-0101-0101-010101010101",
			 policy_words(keep));
		strcat(words, " --dry-run");
		/* It may be that none is left whole. */
		if (run(words)) {
			EXPECT(words_say("there is no whole snapshot of volume"));
			prune_release(&set);
			continue;
		}
		for (j = 0; j < set.count; j++)
			EXPECT(exists(set.snapshot[j].name));
		EXPECT(!exists(".blkcast.lock"));
		*strstr(words, " --dry-run") = 0;
		EXPECT(!run(words));
		model_learn(&set);
		for (j = 0; j < set.count; j++)
			EXPECT(exists(set.snapshot[j].name) ==
			       model_stays(&set, &set.snapshot[j], keep));
		check_folder(&set, true);
		prune_release(&set);
	}
}

static void what_is_unclear_deletes_nothing(void)
{
	struct prune_set set = { 0 };
	char twin[PATH_MAX];
	unsigned int i;
	int lock;

	strcpy(twin, path_of("twin.snap"));
	for (i = 0; i < 4; i++)
		add(&set, MONDAY + i * DAY);
	write_set(&set);
	EXPECT(WEXITSTATUS(run("prune .")) == 2 && words_say("say what to keep"));
	EXPECT(WEXITSTATUS(run("prune . --keep-last 0")) == 2);
	EXPECT(run("prune no/where --keep-last 1") && words_say("cannot open no/where"));
	EXPECT(run("prune . --keep-last 1 --volume other") &&
	       words_say("there is no whole snapshot of volume other"));

	/* Two volumes. */
	memset(set.snapshot[0].volume, 2, 16);
	write_snapshot(&set.snapshot[0]);
	EXPECT(run("prune . --keep-last 1") && words_say("say which is meant"));
	EXPECT(run("prune . --keep-last 1 --volume data") && words_say("say which is meant"));
	EXPECT(exists("s000.snap") && exists("s001.snap") && exists("s002.snap"));
	memset(set.snapshot[0].volume, 1, 16);
	write_snapshot(&set.snapshot[0]);

	/* The same one twice. */
	MUST(!link(path_of("s001.snap"), twin));
	EXPECT(run("prune . --keep-last 1") && words_say("are the same snapshot"));
	EXPECT(exists("s000.snap") && exists("s001.snap") && exists("s002.snap"));
	MUST(!unlink(twin));

	EXPECT(!run("snapshot --quiet ./s003.snap plain.snap"));
	MUST(!mkfifo(path_of("pipe.snap"), 0600));
	MUST(!mkdir(path_of("dir.snap"), 0700));

	/* A delta in the making. */
	lock = open(path_of(".blkcast.lock"), O_RDWR | O_CREAT, 0600);
	MUST(lock >= 0 && !flock(lock, LOCK_SH));
	EXPECT(run("prune . --keep-last 1") && words_say("a delta is being made"));
	EXPECT(exists("s000.snap") && exists("s001.snap") && exists("s002.snap"));
	MUST(!flock(lock, LOCK_EX));
	EXPECT(run("snapshot ./s003.snap d.snap --since s003.snap") &&
	       words_say("snapshots are being deleted"));
	close(lock);

	/* And clear: images of no volume, pipes and folders are left alone. */
	EXPECT(!run("prune . --keep-last 1 --volume data") && words_say("not a regular file"));
	EXPECT(words_say("of another volume"));
	EXPECT(!exists("s000.snap") && !exists("s002.snap") && exists("s003.snap"));
	EXPECT(exists("plain.snap") && exists("pipe.snap") && exists("dir.snap"));
	prune_release(&set);
}

static void says_what_and_why(void)
{
	struct prune_set set = { 0 };
	unsigned int i;

	for (i = 0; i < 3; i++)
		add(&set, MONDAY + i * DAY);
	build_on(&set.snapshot[2], &set.snapshot[1]);
	write_set(&set);
	cut_off_end("s000.snap");
	add(&set, MONDAY - DAY);
	write_snapshot(&set.snapshot[3]);
	EXPECT(!run("prune . --keep-last 1 --keep-daily 1 --dry-run"));
	EXPECT(words_say("keep    2026-10-28 00:00:00  s002.snap  last, daily"));
	EXPECT(words_say("keep    2026-10-27 00:00:00  s001.snap  s002.snap builds on it"));
	EXPECT(words_say("left    2026-10-26 00:00:00  s000.snap  ./s000.snap is truncated"));
	EXPECT(words_say("delete  2026-10-25 01:00:00  s003.snap"));
	EXPECT(words_say("2 kept, 1 would be deleted"));
	EXPECT(!run("prune . --keep-last 1 --json"));
	EXPECT(words_say("\"needed_by\":\"s002.snap\"") && words_say("\"dry_run\":false"));
	EXPECT(words_say("\"verdict\":\"delete\"") && !exists("s003.snap"));
	prune_release(&set);
}

/* ---- killed ---- */

static void wait_deletions(int watch, unsigned int number)
{
	char events[4096];

	while (number) {
		struct pollfd poller = { .fd = watch, .events = POLLIN };
		ssize_t n, at;

		/* It may be done before. */
		if (poll(&poller, 1, 2000) < 1)
			return;
		n = read(watch, events, sizeof(events));
		for (at = 0; at < n && number; number--)
			at += sizeof(struct inotify_event) +
			      ((struct inotify_event *)(events + at))->len;
	}
}

static void kill_prune(const char *number, unsigned int after)
{
	int watch = inotify_init1(IN_CLOEXEC), status;
	pid_t pid;

	MUST(watch >= 0 && inotify_add_watch(watch, folder, IN_DELETE) >= 0);
	pid = fork();
	if (!pid) {
		if (!freopen("/dev/null", "w", stdout))
			_exit(8);
		execl(blkcast, blkcast, "prune", folder, "--keep-last", number, NULL);
		_exit(9);
	}
	wait_deletions(watch, after);
	kill(pid, SIGKILL);
	MUST(waitpid(pid, &status, 0) == pid);
	EXPECT(WIFSIGNALED(status) || !WEXITSTATUS(status));
	close(watch);
}

static void killed_at_work(void)
{
	unsigned int i, midway = 0, there, depth;
	struct prune_set set;
	char number[8];
	size_t j;

	for (i = 0; i < KILLS; i++) {
		uint32_t keep[PRUNE_RULES] = { 1 + random_below(3) };

		set = (struct prune_set) { 0 };
		for (j = 0, depth = 0; j < SET_MAX; j++) {
			add(&set, MONDAY + j * DAY);
			if (depth)
				build_on(&set.snapshot[j], &set.snapshot[j - 1]);
			depth = random_below(9) ? depth + 1 : 0;
		}
		write_set(&set);
		snprintf(number, sizeof(number), "%u", keep[PRUNE_LAST]);
		kill_prune(number, random_below(25));
		model_learn(&set);
		check_folder(&set, false);
		for (j = 0, there = 0; j < set.count; j++) {
			there += exists(set.snapshot[j].name);
			EXPECT(exists(set.snapshot[j].name) ||
			       !model_stays(&set, &set.snapshot[j], keep));
		}
		EXPECT(!run(policy_words(keep)));
		for (j = 0; j < set.count; j++) {
			bool stays = model_stays(&set, &set.snapshot[j], keep);

			EXPECT(exists(set.snapshot[j].name) == stays);
			there -= stays;
		}
		midway += there && there < SET_MAX - 1;
		prune_release(&set);
	}
	ksft_print_msg("killed midway %u times of %d\n", midway, KILLS);
	EXPECT(midway > 0);
}

int main(void)
{
	ssize_t n = readlink("/proc/self/exe", blkcast, sizeof(blkcast) - 32);
	char clean[PATH_MAX];

	MUST(n > 0);
	blkcast[n] = 0;
	strcat(dirname(dirname(dirname(blkcast))), "/tools/blkcast");
	if (access(blkcast, X_OK))
		ksft_exit_skip("%s is not built\n", blkcast);
	MUST(mkdtemp(folder) && !setenv("TZ", ZONE, 1));
	tzset();
	ksft_print_header();
	ksft_set_plan(7);
	REPORT(rules_on_known_days);
	REPORT(chains_stay_whole);
	REPORT(random_chains_against_the_model);
	REPORT(folders_are_pruned);
	REPORT(what_is_unclear_deletes_nothing);
	REPORT(says_what_and_why);
	REPORT(killed_at_work);
	snprintf(clean, sizeof(clean), "rm -r %s %s.words", folder, folder);
	MUST(!system(clean));
	ksft_finished();
}
