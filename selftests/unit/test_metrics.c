// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The metrics of figures that are made up: what is unknown is left out, states are
 * one-hot, histograms are cumulative. `test_metrics text|openmetrics|down` prints
 * them, for metrics.py to parse.
 */
/* links: bpf/metrics.c bpf/histogram.c tools/lib/kernel_names.c tools/lib/util.c tools/lib/error.c */
/* libs: uuid */
/* flags: -Ibpf -DBLKCAST_VERSION="test" -Wno-format-truncation */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"
#include "../../bpf/metrics.h"
#include "util.h"

#define MS 1000000ULL
#define KNOWN(attr) (1ULL << (attr))
#define ALL ~0ULL

static struct bc_link links[] = {
	{ .known = ALL, .state = BLKCAST_LINK_IN_SYNC, .id = 5, .rtt_ns = 3 * MS },
	{ .known = ALL & ~KNOWN(BLKCAST_L_RTT_NS), .state = BLKCAST_LINK_RESYNC, .id = 6,
	  .lag_ns = 1500 * MS, .lag_writes = 7, .lag_bytes = 28672, .dirty_bytes = 1 << 20 },
	{ .known = ALL, .state = BLKCAST_LINK_IN_SYNC, .id = 9 },
};

static const struct bc_link nothing;

static struct bc_volume volumes[] = {
	{ .known = ALL, .name = "data", .role = BLKCAST_ROLE_PRIMARY, .minor = 0,
	  .sectors = 2048, .writes = 12, .write_bytes = 49152, .lsn = 1, .region_shift = 16 },
	{ .known = ALL, .name = "copy", .role = BLKCAST_ROLE_REPLICA, .minor = 1,
	  .super_flags = BLKCAST_SUPER_INCONSISTENT },
	{ .known = ALL, .name = "lost", .role = BLKCAST_ROLE_PRIMARY, .minor = 2, .errors = 3,
	  .device = BLKCAST_DEVICE_DETACHED },
};

static struct figures_volume volume[] = {
	{ .volume = &volumes[0] }, { .volume = &volumes[1] }, { .volume = &volumes[2] },
};

static struct figures_link link_list[] = {
	{ .volume = &volumes[0], .link = &links[0], .lag = &links[0], .peer = "near" },
	{ .volume = &volumes[0], .link = &links[1], .lag = &links[1], .peer = "far" },
	{ .volume = &volumes[0], .link = NULL, .lag = &nothing, .peer = "gone" },
	{ .volume = &volumes[1], .link = &links[2], .lag = &links[2], .peer = "alpha" },
};

static struct figures figures = {
	.volumes = 3, .volume = volume, .links = 4, .link = link_list,
	.probes = (struct probes *)&figures,	/* nobody looks at it here */
};

/* What figures.c would tell: one latency in each of three buckets. */
const struct histogram *figures_latency(const struct figures *f, uint32_t minor, uint32_t link,
					enum lag_stage stage)
{
	static struct histogram h;

	(void)f;
	(void)minor;
	(void)link;
	(void)stage;
	memset(&h, 0, sizeof(h));
	for (unsigned int i = 0; i < 3; i++) {
		static const uint64_t ns[] = { 500, 2 * MS, ~0ULL >> 1 };

		h.buckets[lag_bucket(ns[i])]++;
		h.count++;
	}
	h.sum = 2 * MS + 500;
	return &h;
}

uint64_t figures_lost(const struct figures *f)
{
	(void)f;
	return 3;
}

/* "old" is no peer any more. */
static const struct bc_expiry expiry = {
	.own = 1795680000, .authority = 4102444800, .peers = 3,
	.peer = { { "near", 1790000000 }, { "old", 5 }, { "alpha", 1790000001 } },
};

static char *text_of(const struct figures *f, bool open)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	metrics_write(f, &expiry, open, out);
	fclose(out);
	return text;
}

static bool holds(const char *line)
{
	char *text = text_of(&figures, false), want[256];
	bool found;

	snprintf(want, sizeof(want), "\n%s\n", line);
	found = strstr(text, want);
	if (!found)
		ksft_print_msg("not there: %s\n", line);
	free(text);
	return found;
}

static bool mentions(const char *part)
{
	char *text = text_of(&figures, false);
	bool found = strstr(text, part);

	free(text);
	return found;
}

static void lag(void)
{
	EXPECT(holds("blkcast_link_lag_seconds{volume=\"data\",peer=\"near\",stage=\"applied\"} 0.000000000"));
	EXPECT(holds("blkcast_link_lag_seconds{volume=\"data\",peer=\"far\",stage=\"applied\"} 1.500000000"));
	EXPECT(holds("blkcast_link_lag_writes{volume=\"data\",peer=\"far\",stage=\"applied\"} 7"));
	EXPECT(holds("blkcast_link_lag_bytes{volume=\"data\",peer=\"far\",stage=\"applied\"} 28672"));
	EXPECT(holds("blkcast_link_dirty_bytes{volume=\"data\",peer=\"far\"} 1048576"));
}

static void unknown_is_left_out(void)
{
	EXPECT(!mentions("_lag_seconds{volume=\"data\",peer=\"gone\""));
	EXPECT(holds("blkcast_link_lag_known{volume=\"data\",peer=\"gone\"} 0"));
	EXPECT(holds("blkcast_link_lag_known{volume=\"data\",peer=\"far\"} 1"));
	EXPECT(!mentions("_round_trip_seconds{volume=\"data\",peer=\"far\""));
	EXPECT(holds("blkcast_link_round_trip_seconds{volume=\"data\",peer=\"near\"} 0.003000000"));
	EXPECT(!mentions("blkcast_link_lag_known{volume=\"copy\""));
}

static void states(void)
{
	EXPECT(holds("blkcast_link_state{volume=\"data\",peer=\"gone\",blkcast_link_state=\"down\"} 1"));
	EXPECT(holds("blkcast_link_state{volume=\"data\",peer=\"far\",blkcast_link_state=\"resync\"} 1"));
	EXPECT(holds("blkcast_link_state{volume=\"data\",peer=\"far\",blkcast_link_state=\"in-sync\"} 0"));
	EXPECT(holds("blkcast_volume_copies{volume=\"data\"} 4"));
	EXPECT(holds("blkcast_volume_copies_in_sync{volume=\"data\"} 2"));
	EXPECT(holds("blkcast_volume_inconsistent{volume=\"copy\"} 1"));
	EXPECT(holds("blkcast_volume_device{volume=\"data\",blkcast_volume_device=\"in-use\"} 1"));
	EXPECT(holds("blkcast_volume_device{volume=\"lost\",blkcast_volume_device=\"in-use\"} 0"));
	EXPECT(holds("blkcast_volume_device{volume=\"lost\",blkcast_volume_device=\"detached\"} 1"));
	EXPECT(holds("blkcast_volume_device_errors_total{volume=\"lost\"} 3"));
	EXPECT(holds("blkcast_volume_copies_in_sync{volume=\"lost\"} 0"));
}

static void histograms(void)
{
	EXPECT(holds("blkcast_write_duration_seconds_bucket{volume=\"data\",stage=\"local\",le=\"1.024e-06\"} 1"));
	EXPECT(holds("blkcast_write_duration_seconds_bucket{volume=\"data\",stage=\"local\",le=\"0.002097152\"} 2"));
	EXPECT(holds("blkcast_write_duration_seconds_bucket{volume=\"data\",stage=\"local\",le=\"0.001048576\"} 1"));
	EXPECT(holds("blkcast_write_duration_seconds_bucket{volume=\"data\",stage=\"local\",le=\"+Inf\"} 3"));
	EXPECT(holds("blkcast_write_duration_seconds_count{volume=\"data\",stage=\"local\"} 3"));
	EXPECT(holds("blkcast_link_duration_seconds_count{volume=\"data\",peer=\"far\",stage=\"sent\"} 3"));
	EXPECT(!mentions("blkcast_link_duration_seconds_count{volume=\"copy\""));
	EXPECT(holds("blkcast_replica_duration_seconds_count{volume=\"copy\",peer=\"alpha\",stage=\"applied\"} 3"));
	EXPECT(holds("blkcast_probes_lost_events_total 3"));
}

static void certificates(void)
{
	static const struct bc_expiry none;
	char *text = NULL;
	size_t size;
	FILE *out;

	EXPECT(holds("blkcast_certificate_expiry_timestamp_seconds{role=\"own\"} 1795680000"));
	EXPECT(holds("blkcast_certificate_expiry_timestamp_seconds{role=\"ca\"} 4102444800"));
	EXPECT(holds("blkcast_certificate_expiry_timestamp_seconds{role=\"peer\",peer=\"near\"} 1790000000"));
	EXPECT(holds("blkcast_certificate_expiry_timestamp_seconds{role=\"peer\",peer=\"alpha\"} 1790000001"));
	EXPECT(!mentions("peer=\"old\""));
	out = open_memstream(&text, &size);
	metrics_write(&figures, &none, false, out);
	fclose(out);
	EXPECT(!strstr(text, "blkcast_certificate_expiry_timestamp_seconds{"));
	free(text);
}

static void module_is_gone(void)
{
	char *text = text_of(NULL, true);

	EXPECT(strstr(text, "\nblkcast_up 0\n"));
	EXPECT(strstr(text, "_seconds{role=\"ca\"} 4102444800\n# EOF\n"));
	EXPECT(!strstr(text, "blkcast_volume"));
	free(text);
}

int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		{ "lag in three units", lag },
		{ "unknown is left out", unknown_is_left_out },
		{ "states and copies", states },
		{ "histograms are cumulative", histograms },
		{ "certificates", certificates },
		{ "no module", module_is_gone },
	};

	if (argc == 2) {
		metrics_write(strcmp(argv[1], "down") ? &figures : NULL, &expiry,
			      !strcmp(argv[1], "openmetrics"), stdout);
		return 0;
	}
	run_tests(tests, BC_ARRAY_SIZE(tests));
}
