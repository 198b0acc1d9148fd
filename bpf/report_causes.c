// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The slow writes of the last interval, each with its time in parts, and the
 * regions and processes that keep the replicas behind, summed up since the start.
 */
#include <inttypes.h>
#include <string.h>

#include "blkcast_lsn.h"
#include "format.h"
#include "report.h"
#include "table.h"

/* Lines on a terminal, where a screen is all there is. */
#define SLOW_LINES 10
#define TOP_LINES 5

enum slow_column {
	S_VOLUME, S_END, S_LSN, S_OFFSET, S_SIZE, S_TOTAL, S_PART0, S_PART1, S_PART2, S_PROCESS,
	S_COLUMNS,
};

static const char group_parts[] = "OF THAT";

static const struct table_column slow_columns[S_COLUMNS] = {
	[S_VOLUME] = { NULL, "VOLUME", true, 0 },
	[S_END] = { NULL, "UNTIL", true, 0 },
	[S_LSN] = { NULL, "LSN", false, 2 },
	[S_OFFSET] = { NULL, "OFFSET", false, 0 },
	[S_SIZE] = { NULL, "SIZE", false, 1 },
	[S_TOTAL] = { NULL, "TOOK", false, 0 },
	[S_PART0] = { group_parts, "", false, 0 },
	[S_PART1] = { group_parts, "", false, 0 },
	[S_PART2] = { group_parts, "", false, 0 },
	[S_PROCESS] = { NULL, "PROCESS", true, 0 },
};

static const char *const volume_parts[CAUSES_PARTS] = { "waited", "local", "ack" };
static const char *const link_parts[CAUSES_PARTS] = { "queued", "network", "apply" };

const char *const *report_parts(const struct causes_slow *slow)
{
	return slow->link == LAG_LINK_NONE ? volume_parts : link_parts;
}

static void set_process(struct table *table, unsigned int column, const char *comm, uint32_t pid)
{
	table_set(table, column, TABLE_PLAIN, "%.*s %u", CAUSES_COMM, *comm ? comm : "?", pid);
}

static void fill_slow(struct table *table, const struct figures *figures,
		      const struct causes_slow *slow)
{
	const char *volume = figures_volume_name(figures, slow->minor);
	const char *peer = figures_peer_name(figures, slow->minor, slow->link);
	char text[FORMAT_MAX];

	table_set(table, S_VOLUME, TABLE_PLAIN, "%s", volume ? volume : "?");
	if (slow->link == LAG_LINK_NONE)
		table_set(table, S_END, TABLE_PLAIN, "completed");
	else
		table_set(table, S_END, TABLE_PLAIN, "applied on %s", peer ? peer : "?");
	table_set(table, S_LSN, TABLE_PLAIN, "%u.%" PRIu64, blkcast_lsn_term(slow->lsn),
		  (uint64_t)blkcast_lsn_seq(slow->lsn));
	table_set(table, S_OFFSET, TABLE_PLAIN, "%" PRIu64, (uint64_t)slow->sector * 512);
	table_set(table, S_SIZE, TABLE_PLAIN, "%s", format_bytes(text, slow->bytes));
	table_set(table, S_TOTAL, TABLE_WARN, "%s", format_duration(text, slow->total));
	for (unsigned int i = 0; i < CAUSES_PARTS; i++)
		table_set(table, S_PART0 + i, TABLE_PLAIN, "%s %s", report_parts(slow)[i],
			  format_duration(text, slow->part[i]));
	set_process(table, S_PROCESS, slow->comm, slow->pid);
}

static void print_slow(const struct figures *figures, const struct report_style *style,
		       FILE *out)
{
	struct table *table = table_alloc(slow_columns, S_COLUMNS);
	const struct causes_slow *slow;
	uint64_t seen;
	size_t count;

	slow = causes_slow(figures->causes, &count, &seen);
	if (style->screen->terminal && count > SLOW_LINES)
		count = SLOW_LINES;
	fprintf(out, "SLOW WRITES: %" PRIu64 "%s\n", seen,
		seen > count ? ", of which the slowest" : "");
	for (size_t i = 0; table && i < count; i++)
		if (table_row(table))
			fill_slow(table, figures, &slow[i]);
	if (table && count)
		table_print(table, out, style->screen->width, style->screen->colours);
	table_free(table);
	fputc('\n', out);
}

enum top_column { T_VOLUME, T_ORIGIN, T_WRITES, T_BYTES, T_MEAN, T_MAX, T_SHARE, T_COLUMNS };

static const struct table_column top_columns[T_COLUMNS] = {
	[T_VOLUME] = { NULL, "VOLUME", true, 0 },
	[T_ORIGIN] = { NULL, "ORIGIN", true, 0 },
	[T_WRITES] = { NULL, "WRITES", false, 0 },
	[T_BYTES] = { NULL, "BYTES", false, 0 },
	[T_MEAN] = { NULL, "MEAN", false, 0 },
	[T_MAX] = { NULL, "MAX", false, 1 },
	[T_SHARE] = { NULL, "SHARE OF LAG", false, 0 },
};

static void fill_top(struct table *table, const struct figures *figures,
		     const struct causes_origin *o, double total)
{
	const char *volume = figures_volume_name(figures, o->key.minor);
	uint64_t start = o->key.id << CAUSES_EXTENT_SHIFT << 9;
	char text[FORMAT_MAX];

	table_set(table, T_VOLUME, TABLE_PLAIN, "%s", volume ? volume : "?");
	if (o->key.kind == CAUSES_PROCESS)
		set_process(table, T_ORIGIN, o->sum.comm, (uint32_t)o->key.id);
	else
		table_set(table, T_ORIGIN, TABLE_PLAIN, "1 MiB at %s",
			  format_bytes(text, start));
	table_set(table, T_WRITES, TABLE_PLAIN, "%s", format_count(text, o->sum.writes));
	table_set(table, T_BYTES, TABLE_PLAIN, "%s", format_bytes(text, o->sum.bytes));
	table_set(table, T_MEAN, TABLE_PLAIN, "%s",
		  format_duration(text, o->sum.writes ? o->sum.ns / o->sum.writes : 0));
	table_set(table, T_MAX, TABLE_PLAIN, "%s", format_duration(text, o->sum.max));
	table_set(table, T_SHARE, TABLE_PLAIN, "%.1f%%",
		  total > 0 ? 100 * (double)o->sum.ns / total : 0);
}

static void print_top(const struct figures *figures, const struct report_style *style,
		      enum causes_kind kind, const char *title, FILE *out)
{
	struct table *table = table_alloc(top_columns, T_COLUMNS);
	const struct causes_origin *origin;
	double total = 0;
	size_t count;

	origin = causes_top(figures->causes, kind, &count);
	for (size_t i = 0; i < count; i++)
		total += (double)origin[i].sum.ns;
	fprintf(out, "%s\n", title);
	for (size_t i = 0; table && i < count && i < TOP_LINES; i++)
		if (table_row(table))
			fill_top(table, figures, &origin[i], total);
	if (table && count)
		table_print(table, out, style->screen->width, style->screen->colours);
	table_free(table);
	fputc('\n', out);
}

void report_causes(const struct figures *figures, const struct report_style *style, FILE *out)
{
	if (!figures->causes)
		return;
	if (figures->want.slow_ns)
		print_slow(figures, style, out);
	if (!figures->want.top)
		return;
	print_top(figures, style, CAUSES_EXTENT, "REGIONS THAT LAG MOST, SINCE THE START", out);
	print_top(figures, style, CAUSES_PROCESS, "PROCESSES WHOSE WRITES LAG MOST, SINCE THE START",
		  out);
}
