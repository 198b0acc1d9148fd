// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The distributions as text bars: for each volume and link, each stage that
 * anything came by.  A row is a bucket, or an octave where there would be more
 * than ROWS_MAX of them; rows run from the first to the last that holds
 * anything, empty ones between included.
 */
#include <inttypes.h>
#include <string.h>

#include "format.h"
#include "report.h"
#include "table.h"

#define ROWS_MAX 20
#define BAR_WIDTH 40

struct stage_name {
	enum lag_stage stage;
	const char *name;
};

static const struct stage_name volume_stages[] = {
	{ LAG_STAGE_LOCAL, "written locally" },
	{ LAG_STAGE_TOTAL, "completed to the writer" },
	{ LAG_STAGE_FLUSH, "flush completed" },
};

static const struct stage_name link_stages[] = {
	{ LAG_STAGE_SENT, "sent" },
	{ LAG_STAGE_RECEIVED, "received there" },
	{ LAG_STAGE_APPLIED, "applied there" },
	{ LAG_STAGE_DURABLE, "flush durable there" },
	{ LAG_STAGE_REPLICA_APPLIED, "applied here, since its arrival" },
	{ LAG_STAGE_REPLICA_FLUSH, "flushed here" },
};

/* A run of buckets that make one row. */
struct row {
	unsigned int first;
	unsigned int end;
};

/* Buckets 1 to LAG_SUB are the first octave; the row of bucket 0 is its own. */
static struct row row_at(unsigned int bucket, bool octaves)
{
	struct row row = { bucket, bucket + 1 };

	if (octaves && bucket && bucket < LAG_BUCKETS - 1) {
		row.first = bucket - (bucket - 1) % LAG_SUB;
		row.end = row.first + LAG_SUB;
	}
	return row;
}

static uint64_t row_count(const struct histogram *h, struct row row)
{
	uint64_t count = 0;

	for (unsigned int i = row.first; i < row.end; i++)
		count += h->buckets[i];
	return count;
}

static void print_bar(FILE *out, uint64_t count, uint64_t most, bool utf8)
{
	unsigned int length = (unsigned int)((double)count / (double)most * BAR_WIDTH + 0.5);

	if (count && !length)
		length = 1;
	for (unsigned int i = 0; i < BAR_WIDTH; i++)
		fputs(i >= length ? " " : utf8 ? "█" : "#", out);
}

static void print_row(const struct histogram *h, struct row row, uint64_t most, bool utf8,
		      FILE *out)
{
	char lower[FORMAT_MAX], upper[FORMAT_MAX];
	uint64_t count = row_count(h, row);

	format_duration(lower, histogram_lower(row.first));
	if (row.end == LAG_BUCKETS)
		strcpy(upper, "");
	else
		format_duration(upper, histogram_lower(row.end));
	fprintf(out, "  %7s .. %-7s |", lower, upper);
	print_bar(out, count, most, utf8);
	fprintf(out, "| %" PRIu64 "  %.1f%%\n", count, 100.0 * (double)count / (double)h->count);
}

/* First and last bucket that hold anything. */
static struct row histogram_span(const struct histogram *h)
{
	struct row span = { 0, LAG_BUCKETS };

	while (!h->buckets[span.first])
		span.first++;
	while (!h->buckets[span.end - 1])
		span.end--;
	return span;
}

static void print_rows(const struct histogram *h, bool utf8, FILE *out)
{
	struct row span = histogram_span(h), row;
	bool octaves = span.end - span.first > ROWS_MAX;
	uint64_t most = 0;

	for (unsigned int i = span.first; i < span.end; i = row.end) {
		row = row_at(i, octaves);
		if (row_count(h, row) > most)
			most = row_count(h, row);
	}
	for (unsigned int i = span.first; i < span.end; i = row.end) {
		row = row_at(i, octaves);
		print_row(h, row, most, utf8, out);
	}
}

static void print_stage(const struct histogram *h, const char *title, const char *stage,
			const struct report_style *style, FILE *out)
{
	char text[256], mean[FORMAT_MAX], p50[FORMAT_MAX], p99[FORMAT_MAX], max[FORMAT_MAX];

	if (!h || !h->count)
		return;
	snprintf(text, sizeof(text), "%s  %s", title, stage);
	table_paint(out, TABLE_HEAD, style->screen->colours, text);
	fprintf(out, "  %" PRIu64 " in all, mean %s, p50 %s, p99 %s, max %s\n", h->count,
		format_duration(mean, histogram_mean(h)),
		format_duration(p50, histogram_percentile(h, 50)),
		format_duration(p99, histogram_percentile(h, 99)),
		format_duration(max, h->max));
	print_rows(h, style->screen->utf8, out);
	fputc('\n', out);
}

static void print_volume(const struct figures *figures, const struct figures_volume *v,
			 const struct report_style *style, FILE *out)
{
	for (unsigned int i = 0; i < sizeof(volume_stages) / sizeof(*volume_stages); i++)
		print_stage(figures_latency(figures, v->volume->minor, LAG_LINK_NONE,
					    volume_stages[i].stage),
			    v->volume->name, volume_stages[i].name, style, out);
}

static void print_link(const struct figures *figures, const struct figures_link *l,
		       const struct report_style *style, FILE *out)
{
	bool primary = l->volume->role == BLKCAST_ROLE_PRIMARY;
	char title[2 * BLKCAST_NAME_MAX + 8];

	if (!l->link || !bc_known(l->link, BLKCAST_L_ID))
		return;
	snprintf(title, sizeof(title), "%s %s %s", l->volume->name, primary ? "->" : "<-",
		 l->peer);
	for (unsigned int i = 0; i < sizeof(link_stages) / sizeof(*link_stages); i++)
		print_stage(figures_latency(figures, l->volume->minor, l->link->id,
					    link_stages[i].stage),
			    title, link_stages[i].name, style, out);
}

void report_histogram(const struct figures *figures, const struct report_style *style, FILE *out)
{
	report_heading(figures, style, out);
	if (!figures->volumes)
		fputs("No volume is up.\n\n", out);
	for (unsigned int i = 0; i < figures->volumes; i++)
		print_volume(figures, &figures->volume[i], style, out);
	for (unsigned int i = 0; i < figures->links; i++)
		print_link(figures, &figures->link[i], style, out);
	report_notes(figures, style, out);
}
