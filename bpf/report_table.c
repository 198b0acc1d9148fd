// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The live table of "blkcast lag": one row a volume, one row a link.
 *
 * "?" is unknown, "-" is nothing to show (no write came by, or the figure is
 * not of this end).  A replica's row shows the latencies of its own end: from
 * the arrival of a frame to written, and to flushed.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "format.h"
#include "report.h"
#include "table.h"

#define SPARK_WIDTH 24
/* Where the window is no wider than this: as much as its heading takes. */
#define SPARK_WIDTH_NARROW 15
#define NARROW 100
#define SPARK_SECONDS 120
#define BAR_WIDTH 20
/* Lags below this do not fill the sparkline's height. */
#define SPARK_FLOOR_NS 10000000ULL

#define LAG_WARN_NS 1000000000ULL
#define LAG_BAD_NS 10000000000ULL

static const char group_local[] = "LOCAL WRITE";
static const char group_total[] = "COMPLETED";
static const char group_flush[] = "FLUSH";
static const char group_applied[] = "APPLIED";
static const char group_durable[] = "DURABLE";

enum volume_column {
	V_NAME, V_ROLE, V_WRITES, V_BYTES,
	V_LOCAL_P50, V_LOCAL_P99, V_LOCAL_MAX,
	V_TOTAL_P50, V_TOTAL_P99, V_TOTAL_MAX,
	V_FLUSH_P50, V_FLUSH_P99, V_FLUSH_MAX,
	V_COLUMNS,
};

static const struct table_column volume_columns[V_COLUMNS] = {
	[V_NAME] = { NULL, "VOLUME", true, 0 },
	[V_ROLE] = { NULL, "ROLE", true, 0 },
	[V_WRITES] = { NULL, "WRITES/s", false, 0 },
	[V_BYTES] = { NULL, "BYTES/s", false, 0 },
	[V_LOCAL_P50] = { group_local, "p50", false, 6 },
	[V_LOCAL_P99] = { group_local, "p99", false, 5 },
	[V_LOCAL_MAX] = { group_local, "max", false, 4 },
	[V_TOTAL_P50] = { group_total, "p50", false, 0 },
	[V_TOTAL_P99] = { group_total, "p99", false, 0 },
	[V_TOTAL_MAX] = { group_total, "max", false, 0 },
	[V_FLUSH_P50] = { group_flush, "p50", false, 3 },
	[V_FLUSH_P99] = { group_flush, "p99", false, 2 },
	[V_FLUSH_MAX] = { group_flush, "max", false, 1 },
};

enum link_column {
	L_VOLUME, L_PEER, L_STATE, L_LAG, L_WRITES, L_BYTES, L_DIRTY, L_RTT,
	L_APPLIED_P50, L_APPLIED_P99, L_APPLIED_MAX,
	L_DURABLE_P50, L_DURABLE_P99, L_DURABLE_MAX,
	L_PEAK, L_SPARK, L_BREAKDOWN,
	L_COLUMNS,
};

static const char group_history[] = "LAG, LAST 2 MIN";

static const struct table_column link_columns[L_COLUMNS] = {
	[L_VOLUME] = { NULL, "VOLUME", true, 0 },
	[L_PEER] = { NULL, "PEER", true, 0 },
	[L_STATE] = { NULL, "STATE", true, 0 },
	[L_LAG] = { NULL, "LAG", false, 0 },
	[L_WRITES] = { NULL, "WRITES", false, 0 },
	[L_BYTES] = { NULL, "BYTES", false, 0 },
	[L_DIRTY] = { NULL, "DIRTY", false, 7 },
	[L_RTT] = { NULL, "RTT", false, 1 },
	[L_APPLIED_P50] = { group_applied, "p50", false, 8 },
	[L_APPLIED_P99] = { group_applied, "p99", false, 3 },
	[L_APPLIED_MAX] = { group_applied, "max", false, 6 },
	[L_DURABLE_P50] = { group_durable, "p50", false, 11 },
	[L_DURABLE_P99] = { group_durable, "p99", false, 9 },
	[L_DURABLE_MAX] = { group_durable, "max", false, 10 },
	[L_PEAK] = { group_history, "peak", false, 5 },
	[L_SPARK] = { group_history, "", true, 2 },
	[L_BREAKDOWN] = { NULL, "WHERE THE TIME GOES", true, 4 },
};

/* Three neighbouring cells: p50, p99, max. */
static void set_latency(struct table *table, unsigned int column, const struct histogram *h)
{
	const uint64_t values[] = {
		h ? histogram_percentile(h, 50) : 0,
		h ? histogram_percentile(h, 99) : 0,
		h ? h->max : 0,
	};
	char text[FORMAT_MAX];

	for (unsigned int i = 0; i < 3; i++) {
		if (!h || !h->count)
			table_set(table, column + i, TABLE_DIM, h ? "-" : "?");
		else
			table_set(table, column + i, TABLE_PLAIN, "%s",
				  format_duration(text, values[i]));
	}
}

static void set_rate(struct table *table, unsigned int column, const struct figures *figures,
		     bool known, uint64_t amount, char *(*format)(char *, uint64_t))
{
	char text[FORMAT_MAX];
	double seconds = (double)figures_span(figures) / 1e9;

	if (!known || !figures_span(figures))
		table_set(table, column, TABLE_DIM, "?");
	else
		table_set(table, column, TABLE_PLAIN, "%s",
			  format(text, (uint64_t)((double)amount / seconds + 0.5)));
}

static void fill_volume(struct table *table, const struct figures *figures,
			const struct figures_volume *v)
{
	uint32_t minor = v->volume->minor;

	table_set(table, V_NAME, TABLE_PLAIN, "%s", v->volume->name);
	table_set(table, V_ROLE, TABLE_PLAIN, "%s", bc_known(v->volume, BLKCAST_A_ROLE) ?
		  bc_role_name(v->volume->role) : "?");
	set_rate(table, V_WRITES, figures, v->rates, v->writes, format_count);
	set_rate(table, V_BYTES, figures, v->rates, v->bytes, format_bytes);
	set_latency(table, V_LOCAL_P50,
		    figures_latency(figures, minor, LAG_LINK_NONE, LAG_STAGE_LOCAL));
	set_latency(table, V_TOTAL_P50,
		    figures_latency(figures, minor, LAG_LINK_NONE, LAG_STAGE_TOTAL));
	set_latency(table, V_FLUSH_P50,
		    figures_latency(figures, minor, LAG_LINK_NONE, LAG_STAGE_FLUSH));
}

static bool is_primary(const struct figures_link *l)
{
	return bc_known(l->volume, BLKCAST_A_ROLE) && l->volume->role == BLKCAST_ROLE_PRIMARY;
}

/* A figure of the primary's end that may be unknown. */
static void set_known(struct table *table, unsigned int column, const struct figures_link *l,
		      unsigned int attribute, uint64_t value, enum table_colour colour,
		      char *(*format)(char *, uint64_t))
{
	char text[FORMAT_MAX];

	if (bc_known(l->lag, attribute))
		table_set(table, column, colour, "%s", format(text, value));
	else
		table_set(table, column, TABLE_DIM, is_primary(l) ? "?" : "-");
}

static enum table_colour lag_colour(uint64_t ns)
{
	if (ns >= LAG_BAD_NS)
		return TABLE_BAD;
	return ns >= LAG_WARN_NS ? TABLE_WARN : TABLE_GOOD;
}

static enum table_colour state_colour(const struct figures_link *l)
{
	if (!l->link || !bc_known(l->link, BLKCAST_L_STATE))
		return TABLE_BAD;
	return l->link->state == BLKCAST_LINK_IN_SYNC ? TABLE_GOOD : TABLE_WARN;
}

static void fill_position(struct table *table, const struct figures_link *l)
{
	const struct bc_link *link = l->lag;

	set_known(table, L_LAG, l, BLKCAST_L_LAG_NS, link->lag_ns, lag_colour(link->lag_ns),
		  format_duration);
	set_known(table, L_WRITES, l, BLKCAST_L_LAG_WRITES, link->lag_writes, TABLE_PLAIN,
		  format_count);
	set_known(table, L_BYTES, l, BLKCAST_L_LAG_BYTES, link->lag_bytes, TABLE_PLAIN,
		  format_bytes);
	set_known(table, L_DIRTY, l, BLKCAST_L_DIRTY_BYTES, link->dirty_bytes,
		  link->dirty_bytes ? TABLE_WARN : TABLE_PLAIN, format_bytes);
	set_known(table, L_RTT, l, BLKCAST_L_RTT_NS, link->rtt_ns, TABLE_PLAIN, format_duration);
}

static void fill_history(struct table *table, const struct figures_link *l,
			 const struct report_style *style)
{
	unsigned int width = style->screen->width > NARROW ? SPARK_WIDTH : SPARK_WIDTH_NARROW;
	unsigned int samples = (unsigned int)(SPARK_SECONDS / style->interval / width);
	char line[HISTORY_LINE_BYTES(SPARK_WIDTH)], text[FORMAT_MAX];
	uint64_t peak;

	if (!samples)
		samples = 1;
	if (samples > HISTORY_SAMPLES / width)
		samples = HISTORY_SAMPLES / width;
	peak = history_peak(&l->track->lag, samples * width);
	if (peak == HISTORY_UNKNOWN)
		table_set(table, L_PEAK, TABLE_DIM, is_primary(l) ? "?" : "-");
	else
		table_set(table, L_PEAK, lag_colour(peak), "%s", format_duration(text, peak));
	history_sparkline(&l->track->lag, line, width, samples, SPARK_FLOOR_NS,
			  style->screen->utf8);
	table_set(table, L_SPARK, TABLE_PLAIN, "%s", is_primary(l) ? line : "");
}

static void fill_latency(struct table *table, const struct figures *figures,
			 const struct figures_link *l)
{
	bool primary = is_primary(l);
	uint32_t minor = l->volume->minor, id;
	const struct histogram *applied = NULL, *durable = NULL;

	if (l->link && bc_known(l->link, BLKCAST_L_ID)) {
		id = l->link->id;
		applied = figures_latency(figures, minor, id, primary ?
					  LAG_STAGE_APPLIED : LAG_STAGE_REPLICA_APPLIED);
		durable = figures_latency(figures, minor, id, primary ?
					  LAG_STAGE_DURABLE : LAG_STAGE_REPLICA_FLUSH);
	}
	set_latency(table, L_APPLIED_P50, applied);
	set_latency(table, L_DURABLE_P50, durable);
}

static void fill_breakdown(struct table *table, const struct figures *figures,
			   const struct figures_link *l, const struct report_style *style)
{
	char line[BREAKDOWN_BAR_BYTES(BAR_WIDTH)];
	struct breakdown b;

	figures_breakdown(figures, l, &b);
	breakdown_bar(&b, line, BAR_WIDTH, style->screen->utf8);
	table_set(table, L_BREAKDOWN, TABLE_PLAIN, "%s", is_primary(l) ? line : "");
}

static void fill_link(struct table *table, const struct figures *figures,
		      const struct report_style *style, const struct figures_link *l)
{
	table_set(table, L_VOLUME, TABLE_PLAIN, "%s", l->volume->name);
	table_set(table, L_PEER, TABLE_PLAIN, "%s %s", is_primary(l) ? "->" : "<-", l->peer);
	table_set(table, L_STATE, state_colour(l), "%s", figures_state(l));
	fill_position(table, l);
	fill_latency(table, figures, l);
	fill_history(table, l, style);
	fill_breakdown(table, figures, l, style);
}

static void print_note(const struct report_style *style, FILE *out, enum table_colour colour,
		       const char *text)
{
	table_paint(out, colour, style->screen->colours, text);
	fputc('\n', out);
}

static void print_volumes(const struct figures *figures, const struct report_style *style,
			  FILE *out)
{
	struct table *table = table_alloc(volume_columns, V_COLUMNS);

	for (unsigned int i = 0; table && i < figures->volumes; i++)
		if (table_row(table))
			fill_volume(table, figures, &figures->volume[i]);
	if (table && !figures->probes)
		table_hide(table, V_LOCAL_P50, V_COLUMNS - V_LOCAL_P50);
	if (table)
		table_print(table, out, style->screen->width, style->screen->colours);
	table_free(table);
}

static void print_links(const struct figures *figures, const struct report_style *style,
			FILE *out)
{
	struct table *table = table_alloc(link_columns, L_COLUMNS);

	for (unsigned int i = 0; table && i < figures->links; i++)
		if (table_row(table))
			fill_link(table, figures, style, &figures->link[i]);
	if (table && !figures->probes)
		table_hide(table, L_APPLIED_P50, L_PEAK - L_APPLIED_P50);
	if (table)
		table_print(table, out, style->screen->width, style->screen->colours);
	if (table && table_shown(table, L_BREAKDOWN))
		print_note(style, out, TABLE_DIM, breakdown_legend(style->screen->utf8));
	table_free(table);
}

void report_heading(const struct figures *figures, const struct report_style *style, FILE *out)
{
	char text[128], clock[16], duration[FORMAT_MAX];
	struct tm tm;

	strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&figures->wall.tv_sec, &tm));
	if (figures->total)
		snprintf(text, sizeof(text), "blkcast lag  %s  latencies of the whole run, %s",
			 clock, format_duration(duration, figures_span(figures)));
	else if (figures->elapsed)
		snprintf(text, sizeof(text), "blkcast lag  %s  every %gs", clock,
			 style->interval);
	else
		snprintf(text, sizeof(text), "blkcast lag  %s", clock);
	table_paint(out, TABLE_DIM, style->screen->colours, text);
	fputs("\n\n", out);
}

void report_notes(const struct figures *figures, const struct report_style *style, FILE *out)
{
	uint64_t lost = figures_lost(figures);
	uint64_t partial = figures->causes ? causes_partial(figures->causes) : 0;
	char text[FIGURES_NOTE + 64];

	if (figures->probes && figures->volumes)
		print_note(style, out, TABLE_DIM,
			   "p50 and p99 are upper bounds, at most 25% above.");
	if (lost) {
		snprintf(text, sizeof(text), "%" PRIu64 " events were lost, hence not counted.",
			 lost);
		print_note(style, out, TABLE_BAD, text);
	}
	if (partial) {
		snprintf(text, sizeof(text),
			 "Slow writes not shown, for their beginning was not seen: %" PRIu64 ".",
			 partial);
		print_note(style, out, TABLE_DIM, text);
	}
	if (figures->note[0]) {
		snprintf(text, sizeof(text), "No latencies: %s.", figures->note);
		print_note(style, out, TABLE_WARN, text);
	}
	if (figures->config_note[0])
		print_note(style, out, TABLE_WARN, figures->config_note);
}

void report_table(const struct figures *figures, const struct report_style *style, FILE *out)
{
	report_heading(figures, style, out);
	if (!figures->volumes) {
		fputs("No volume is up.\n\n", out);
	} else {
		print_volumes(figures, style, out);
		fputc('\n', out);
	}
	if (figures->links) {
		print_links(figures, style, out);
		fputc('\n', out);
	} else if (figures->volumes) {
		fputs("No links.\n\n", out);
	}
	report_causes(figures, style, out);
	report_notes(figures, style, out);
}
