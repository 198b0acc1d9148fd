// SPDX-License-Identifier: GPL-2.0-or-later
/* blkcast lag: buckets, percentiles, numbers for people, sparkline, table. */
/* links: bpf/histogram.c bpf/format.c bpf/history.c bpf/table.c bpf/breakdown.c */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"

#include "../../bpf/breakdown.h"
#include "../../bpf/format.h"
#include "../../bpf/histogram.h"
#include "../../bpf/history.h"
#include "../../bpf/table.h"

#define MS 1000000ULL
#define SECOND 1000000000ULL

/* The bucket of a value contains it, and its upper edge is within a quarter. */
static void bucket_contains_value(void)
{
	for (unsigned int bit = 0; bit < 64; bit++) {
		for (int off = -3; off <= 3; off++) {
			uint64_t ns = (1ULL << bit) + (uint64_t)(int64_t)off;
			unsigned int bucket = lag_bucket(ns);

			EXPECT(bucket < LAG_BUCKETS);
			EXPECT(histogram_lower(bucket) <= ns);
			if (bucket < LAG_BUCKETS - 1)
				EXPECT(histogram_upper(bucket) > ns);
			if (bucket > 0 && bucket < LAG_BUCKETS - 1)
				EXPECT(histogram_upper(bucket) - ns <= ns / 4 + 1);
		}
	}
}

static void buckets_adjoin(void)
{
	EXPECT(histogram_lower(0) == 0);
	EXPECT(histogram_upper(0) == 1024);
	for (unsigned int i = 0; i < LAG_BUCKETS - 1; i++) {
		EXPECT(histogram_lower(i + 1) == histogram_upper(i));
		EXPECT(lag_bucket(histogram_upper(i)) == i + 1);
		EXPECT(lag_bucket(histogram_upper(i) - 1) == i);
	}
	EXPECT(lag_bucket(UINT64_MAX) == LAG_BUCKETS - 1);
}

static void histogram_put(struct histogram *h, uint64_t ns, uint64_t times)
{
	h->buckets[lag_bucket(ns)] += times;
	h->count += times;
	h->sum += ns * times;
	if (times && ns > h->max)
		h->max = ns;
}

static void percentile_of_nothing(void)
{
	struct histogram h = { 0 };

	EXPECT(histogram_percentile(&h, 50) == 0);
	EXPECT(histogram_mean(&h) == 0);
}

/* 98 fast ones and two slow ones: only the 99th percentile sees them. */
static void percentile_bounds(void)
{
	struct histogram h = { 0 };

	histogram_put(&h, 1 * MS, 98);
	histogram_put(&h, 100 * MS, 2);
	EXPECT(histogram_percentile(&h, 50) >= 1 * MS);
	EXPECT(histogram_percentile(&h, 50) <= 1250000);
	EXPECT(histogram_percentile(&h, 98) <= 1250000);
	EXPECT(histogram_percentile(&h, 99) == 100 * MS);
	EXPECT(histogram_percentile(&h, 100) == 100 * MS);
	EXPECT(histogram_mean(&h) == (98 * MS + 200 * MS) / 100);
}

/* A single value: every percentile is the maximum, not the edge above it. */
static void percentile_never_above_max(void)
{
	struct histogram h = { 0 };

	histogram_put(&h, 1030000, 1);
	EXPECT(histogram_percentile(&h, 1) == 1030000);
	EXPECT(histogram_percentile(&h, 99) == 1030000);
}

static void percentile_large_counts(void)
{
	struct histogram h = { 0 };

	histogram_put(&h, 2000, UINT64_MAX / 4);
	EXPECT(histogram_percentile(&h, 99) <= 2500);
}

static void difference_is_the_interval(void)
{
	struct histogram before = { 0 }, now, diff;

	histogram_put(&before, 900 * MS, 7);
	now = before;
	now.max = 0;
	histogram_put(&now, 2 * MS, 3);
	histogram_difference(&diff, &now, &before);
	EXPECT(diff.count == 3);
	EXPECT(diff.sum == 6 * MS);
	EXPECT(diff.max == 2 * MS);
	histogram_difference(&diff, &now, &now);
	EXPECT(diff.count == 0);
	EXPECT(diff.max == 0);
}

/* A maximum that was read a moment too early or too late is brought into line. */
static void difference_max_fits_buckets(void)
{
	struct histogram before = { 0 }, now = { 0 }, diff;

	histogram_put(&now, 2 * MS, 1);
	now.max = 0;
	histogram_difference(&diff, &now, &before);
	EXPECT(diff.max == histogram_upper(lag_bucket(2 * MS)) - 1);
	now.max = 5 * SECOND;
	histogram_difference(&diff, &now, &before);
	EXPECT(diff.max == histogram_upper(lag_bucket(2 * MS)) - 1);
}

static void merge_adds_cpus_and_takes_the_epoch(void)
{
	struct lag_cell cells[2] = { 0 };
	struct histogram h;

	cells[0].buckets[5] = 3;
	cells[0].sum = 30;
	cells[0].epoch[1] = 7;
	cells[0].max[1] = 2000;
	cells[0].epoch[0] = 6;		/* of an interval long over */
	cells[0].max[0] = 900000;
	cells[1].buckets[5] = 1;
	cells[1].sum = 12;
	cells[1].epoch[0] = 8;		/* came while we read */
	cells[1].max[0] = 2010;
	histogram_merge(&h, cells, sizeof(cells[0]), 2, 7);
	EXPECT(h.count == 4);
	EXPECT(h.buckets[5] == 4);
	EXPECT(h.sum == 42);
	EXPECT(h.max == 2010);
}

static void add_sums_up(void)
{
	struct histogram total = { 0 }, one = { 0 };

	histogram_put(&one, 3 * MS, 2);
	histogram_add(&total, &one);
	histogram_add(&total, &one);
	EXPECT(total.count == 4);
	EXPECT(total.sum == 12 * MS);
	EXPECT(total.max == 3 * MS);
}

static void durations(void)
{
	static const struct { uint64_t ns; const char *text; } cases[] = {
		{ 0, "0" }, { 1, "1ns" }, { 999, "999ns" }, { 1000, "1.00us" },
		{ 12345, "12.3us" }, { 999499, "999us" }, { 999600, "1.00ms" },
		{ 1250000, "1.25ms" }, { 102 * MS, "102ms" }, { 4310 * MS, "4.31s" },
		{ 59900 * MS, "59.9s" }, { 60 * SECOND, "1m00s" }, { 125 * SECOND, "2m05s" },
		{ 11520 * SECOND, "3h12m" }, { 446400 * SECOND, "5d04h" },
		{ UINT64_MAX, "213503d23h" },
	};
	char text[FORMAT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		EXPECT(!strcmp(format_duration(text, cases[i].ns), cases[i].text));
}

static void bytes_and_counts(void)
{
	char text[FORMAT_MAX];

	EXPECT(!strcmp(format_bytes(text, 0), "0"));
	EXPECT(!strcmp(format_bytes(text, 512), "512B"));
	EXPECT(!strcmp(format_bytes(text, 4096), "4.00KiB"));
	EXPECT(!strcmp(format_bytes(text, 1 << 20), "1.00MiB"));
	EXPECT(!strcmp(format_bytes(text, 1000 * 1024 + 1024), "0.98MiB"));
	EXPECT(!strcmp(format_count(text, 999999), "999999"));
	EXPECT(!strcmp(format_count(text, 1230000), "1.23M"));
	EXPECT(FORMAT_MAX > strlen(format_bytes(text, UINT64_MAX)));
	EXPECT(FORMAT_MAX > strlen(format_count(text, UINT64_MAX)));
}

static void breakdown_in_proportion(void)
{
	struct breakdown b = { 0 };
	char line[BREAKDOWN_BAR_BYTES(10)];

	breakdown_bar(&b, line, 10, true);
	EXPECT(!strcmp(line, ""));
	breakdown_of_means(&b, 1 * MS, 6 * MS, 10 * MS);
	breakdown_bar(&b, line, 10, false);
	EXPECT(!strcmp(line, "qnnnnnaaaa"));
	breakdown_bar(&b, line, 10, true);
	EXPECT(!strcmp(line, "░▒▒▒▒▒████"));
}

/* What is small is seen all the same; what is not there is not; always full. */
static void breakdown_extremes(void)
{
	struct breakdown b = { 0 };
	char line[BREAKDOWN_BAR_BYTES(10)];

	breakdown_of_means(&b, 1, 1 + SECOND, 2 + SECOND);
	breakdown_bar(&b, line, 10, false);
	EXPECT(!strcmp(line, "qnnnnnnnna"));
	breakdown_of_means(&b, 0, 0, SECOND);
	breakdown_bar(&b, line, 10, false);
	EXPECT(!strcmp(line, "aaaaaaaaaa"));
	/* Means of different writes may seem to go back. */
	breakdown_of_means(&b, 5 * MS, 4 * MS, 4 * MS);
	EXPECT(b.ns[BREAKDOWN_NETWORK] == 0 && b.ns[BREAKDOWN_APPLY] == 0);
	breakdown_bar(&b, line, 10, false);
	EXPECT(!strcmp(line, "qqqqqqqqqq"));
}

static void sparkline_shape(void)
{
	struct history h = { 0 };
	char line[HISTORY_LINE_BYTES(6)];

	history_sparkline(&h, line, 6, 1, MS, false);
	EXPECT(!strcmp(line, "      "));
	EXPECT(history_peak(&h, 6) == HISTORY_UNKNOWN);
	history_add(&h, 0);
	history_add(&h, 80 * MS);
	history_add(&h, HISTORY_UNKNOWN);
	history_add(&h, 160 * MS);
	history_sparkline(&h, line, 6, 1, MS, false);
	EXPECT(!strcmp(line, "  _=?#"));
	history_sparkline(&h, line, 6, 1, MS, true);
	EXPECT(!strcmp(line, "  ▁▅?█"));
	EXPECT(history_peak(&h, 6) == 160 * MS);
}

/* Noise does not fill the height, and a lag above 0 never looks like none. */
static void sparkline_floor(void)
{
	struct history h = { 0 };
	char line[HISTORY_LINE_BYTES(2)];

	history_add(&h, 1);
	history_add(&h, MS);
	history_sparkline(&h, line, 2, 1, 10 * MS, false);
	EXPECT(!strcmp(line, ".."));
}

/* The samples that share a character stay together as the line moves on. */
static void sparkline_groups(void)
{
	struct history h = { 0 };
	char line[HISTORY_LINE_BYTES(3)];

	history_add(&h, 0);
	history_add(&h, 10 * MS);
	history_add(&h, 0);
	history_sparkline(&h, line, 3, 2, MS, false);
	EXPECT(!strcmp(line, " #_"));
	history_add(&h, 0);
	history_sparkline(&h, line, 3, 2, MS, false);
	EXPECT(!strcmp(line, " #_"));
}

static void history_wraps(void)
{
	struct history h = { 0 };
	char line[HISTORY_LINE_BYTES(8)];

	history_add(&h, SECOND);
	for (unsigned int i = 0; i < HISTORY_SAMPLES; i++)
		history_add(&h, 1);
	EXPECT(history_peak(&h, HISTORY_SAMPLES) == 1);
	history_sparkline(&h, line, 8, HISTORY_SAMPLES / 8, MS, false);
	EXPECT(!strcmp(line, "........"));
}

static char *table_text(struct table *table, unsigned int width)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	table_print(table, out, width, false);
	fclose(out);
	return text;
}

static const char group[] = "GROUP";

static const struct table_column columns[] = {
	{ NULL, "NAME", true, 0 },
	{ group, "a", false, 2 },
	{ group, "bb", false, 1 },
};

static void table_aligns(void)
{
	struct table *table = table_alloc(columns, 3);
	char *text;

	EXPECT(table);
	EXPECT(table_row(table));
	table_set(table, 0, TABLE_GOOD, "ä");
	table_set(table, 1, TABLE_PLAIN, "%d", 123);
	table_set(table, 2, TABLE_PLAIN, "1");
	text = table_text(table, TABLE_WIDTH_ANY);
	EXPECT(!strcmp(text, "        GROUP\n"
		     "NAME    a  bb\n"
		     "ä     123   1\n"));
	free(text);
	table_free(table);
}

/* What matters least goes first; what must stay does. */
static void table_drops_columns(void)
{
	struct table *table = table_alloc(columns, 3);
	char *text;

	EXPECT(table);
	EXPECT(table_row(table));
	table_set(table, 0, TABLE_PLAIN, "volume");
	table_set(table, 1, TABLE_PLAIN, "123");
	text = table_text(table, 13);
	EXPECT(!strcmp(text, "        GROUP\n"
		     "NAME       bb\n"
		     "volume       \n"));
	EXPECT(!table_shown(table, 1) && table_shown(table, 2));
	free(text);
	text = table_text(table, 12);
	EXPECT(!strcmp(text, "NAME\n"
		     "volume\n"));
	free(text);
	table_free(table);
}

/* However much room there is. */
static void table_hides_columns(void)
{
	struct table *table = table_alloc(columns, 3);
	char *text;

	EXPECT(table);
	EXPECT(table_row(table));
	table_hide(table, 0, 2);
	text = table_text(table, TABLE_WIDTH_ANY);
	EXPECT(!strcmp(text, "GROUP\n"
		     "   bb\n"
		     "     \n"));
	free(text);
	table_free(table);
}

static const struct unit_test tests[] = {
	{ "bucket contains value", bucket_contains_value },
	{ "buckets adjoin", buckets_adjoin },
	{ "percentile of nothing", percentile_of_nothing },
	{ "percentile bounds", percentile_bounds },
	{ "percentile never above max", percentile_never_above_max },
	{ "percentile large counts", percentile_large_counts },
	{ "difference is the interval", difference_is_the_interval },
	{ "difference max fits buckets", difference_max_fits_buckets },
	{ "merge adds cpus and takes the epoch", merge_adds_cpus_and_takes_the_epoch },
	{ "add sums up", add_sums_up },
	{ "durations", durations },
	{ "breakdown in proportion", breakdown_in_proportion },
	{ "breakdown, extremes", breakdown_extremes },
	{ "bytes and counts", bytes_and_counts },
	{ "sparkline shape", sparkline_shape },
	{ "sparkline floor", sparkline_floor },
	{ "sparkline groups", sparkline_groups },
	{ "history wraps", history_wraps },
	{ "table aligns", table_aligns },
	{ "table drops columns", table_drops_columns },
	{ "table hides columns", table_hides_columns },
};

int main(void)
{
	run_tests(tests, ARRAY_SIZE(tests));
}
