// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The figures as metrics; see metrics.h.
 *
 * Samples of a metric have to stand together, so each is a loop over all volumes
 * or links; tables say which metric is which attribute of the kernel.  Names of
 * volumes and peers have no character that would have to be escaped.
 */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "metrics.h"
#include "util.h"

#define NS_SECOND 1000000000ULL

enum type { GAUGE, COUNTER, HISTOGRAM, INFO, STATESET };

struct metrics {
	const struct figures *figures;
	bool open;
	FILE *out;
};

struct metric {
	const char *name;	/* without _total, _info */
	enum type type;
	const char *unit;	/* with which the name ends; NULL: none */
	const char *help;
};

/* ---- one metric ---- */

static const char *suffix(enum type type)
{
	return type == COUNTER ? "_total" : type == INFO ? "_info" : "";
}

static void metric_begin(const struct metrics *m, const struct metric *metric)
{
	static const char *const open_types[] = {
		"gauge", "counter", "histogram", "info", "stateset",
	};
	static const char *const text_types[] = {
		"gauge", "counter", "histogram", "gauge", "gauge",
	};
	const char *end = m->open ? "" : suffix(metric->type);

	fprintf(m->out, "# HELP %s%s %s\n", metric->name, end, metric->help);
	fprintf(m->out, "# TYPE %s%s %s\n", metric->name, end,
		(m->open ? open_types : text_types)[metric->type]);
	if (m->open && metric->unit)
		fprintf(m->out, "# UNIT %s %s\n", metric->name, metric->unit);
}

static void seconds_write(FILE *out, uint64_t ns)
{
	fprintf(out, "%" PRIu64 ".%09" PRIu64 "\n", (uint64_t)(ns / NS_SECOND),
		(uint64_t)(ns % NS_SECOND));
}

static void value_write(const struct metrics *m, const struct metric *metric, uint64_t value)
{
	if (metric->unit && !strcmp(metric->unit, "seconds"))
		seconds_write(m->out, value);
	else
		fprintf(m->out, "%" PRIu64 "\n", value);
}

/* ---- volumes ---- */

/* A number that the kernel tells: 32 or 64 bits at @offset. */
struct number {
	struct metric metric;
	unsigned int attr;
	size_t offset, size;
};

#define VOLUME(name, type, unit, attr, member, help) \
	{ { "blkcast_volume_" name, type, unit, help }, BLKCAST_A_##attr, \
	  offsetof(struct bc_volume, member), sizeof(((struct bc_volume *)0)->member) }

static const struct number volume_numbers[] = {
	VOLUME("term", GAUGE, NULL, TERM, term, "Term of the newest reign."),
	VOLUME("writes", COUNTER, NULL, WRITES, writes,
	       "Writes accepted on a primary, applied on a replica."),
	VOLUME("reads", COUNTER, NULL, READS, reads, "Reads of the device on this host."),
	VOLUME("reads_elsewhere", COUNTER, NULL, READ_FAILS, read_fails.served,
	       "Reads that failed on a primary's own device and were served by a replica."),
	VOLUME("reads_failed", COUNTER, NULL, READ_FAILS, read_fails.failed,
	       "Reads that failed there and were not."),
	VOLUME("device_errors", COUNTER, NULL, ERRORS, errors,
	       "Failures of this host's devices."),
	VOLUME("bad_bytes", GAUGE, "bytes", READ_FAILS, read_fails.bad,
	       "Bytes that cannot be read there and could not be written anew."),
	VOLUME("written_bytes", COUNTER, "bytes", WRITE_BYTES, write_bytes,
	       "Bytes of these writes."),
	VOLUME("backlog_bytes", GAUGE, "bytes", BACKLOG_USED, backlog_used,
	       "Memory in use for recent writes."),
	VOLUME("backlog_limit_bytes", GAUGE, "bytes", BACKLOG, backlog,
	       "Memory that recent writes may use."),
	VOLUME("doubt_regions", GAUGE, NULL, DOUBT, doubt,
	       "Regions whose content an unclean end has left in doubt."),
	VOLUME("copies_required", GAUGE, NULL, MIN_ISR, min_isr,
	       "Copies that have to be in sync for writes to go on, the primary's included."),
	VOLUME("suspended_seconds", GAUGE, "seconds", SUSPENDED_NS, suspended_ns,
	       "Time since writes have been waiting, or failing; absent: they do not."),
	VOLUME("suspended_writes", GAUGE, NULL, PARKED, parked,
	       "Writes and flushes that wait for that to end."),
	VOLUME("openers", GAUGE, NULL, OPENERS, openers, "Openers of the device."),
};

static uint64_t number_of(const struct number *number, const void *object)
{
	const char *at = (const char *)object + number->offset;
	uint64_t wide;
	uint32_t narrow;

	if (number->size == sizeof(wide)) {
		memcpy(&wide, at, sizeof(wide));
		return wide;
	}
	memcpy(&narrow, at, sizeof(narrow));
	return narrow;
}

static void volume_numbers_write(const struct metrics *m)
{
	for (size_t i = 0; i < BC_ARRAY_SIZE(volume_numbers); i++) {
		const struct number *number = &volume_numbers[i];

		metric_begin(m, &number->metric);
		for (unsigned int j = 0; j < m->figures->volumes; j++) {
			const struct bc_volume *v = m->figures->volume[j].volume;

			if (!bc_known(v, number->attr))
				continue;
			fprintf(m->out, "%s%s{volume=\"%s\"} ", number->metric.name,
				suffix(number->metric.type), v->name);
			value_write(m, &number->metric, number_of(number, v));
		}
	}
}

static void volume_info_write(const struct metrics *m)
{
	static const struct metric metric = {
		"blkcast_volume", INFO, NULL, "What a volume is."
	};
	char uuid[BC_UUID_TEXT], node[BC_UUID_TEXT];

	metric_begin(m, &metric);
	for (unsigned int i = 0; i < m->figures->volumes; i++) {
		const struct bc_volume *v = m->figures->volume[i].volume;

		fprintf(m->out,
			"blkcast_volume_info{volume=\"%s\",uuid=\"%s\",node=\"%s\",device=\"blkcast%u\",ack=\"%s\"} 1\n",
			v->name, bc_uuid_format(v->uuid, uuid), bc_uuid_format(v->node, node),
			v->minor, bc_ack_name(v->ack));
	}
}

static void volume_role_write(const struct metrics *m)
{
	static const struct metric metric = {
		"blkcast_volume_role", STATESET, NULL, "Role of this host's copy."
	};

	metric_begin(m, &metric);
	for (unsigned int i = 0; i < m->figures->volumes; i++) {
		const struct bc_volume *v = m->figures->volume[i].volume;

		for (uint8_t role = 0; role <= BLKCAST_ROLE_PRIMARY; role++)
			fprintf(m->out,
				"blkcast_volume_role{volume=\"%s\",blkcast_volume_role=\"%s\"} %d\n",
				v->name, bc_role_name(role), v->role == role);
	}
}

static void volume_device_write(const struct metrics *m)
{
	static const struct metric metric = {
		"blkcast_volume_device", STATESET, NULL, "State of this host's own device."
	};

	metric_begin(m, &metric);
	for (unsigned int i = 0; i < m->figures->volumes; i++) {
		const struct bc_volume *v = m->figures->volume[i].volume;

		for (uint8_t state = 0; state <= BLKCAST_DEVICE_DETACHED; state++)
			fprintf(m->out,
				"blkcast_volume_device{volume=\"%s\",blkcast_volume_device=\"%s\"} %d\n",
				v->name, bc_device_name(state), v->device == state);
	}
}

static void volume_gauge(const struct metrics *m, const char *name, const char *unit,
			 const char *help, uint64_t (*get)(const struct metrics *m,
							   const struct bc_volume *v),
			 bool primary)
{
	const struct metric metric = { name, GAUGE, unit, help };

	metric_begin(m, &metric);
	for (unsigned int i = 0; i < m->figures->volumes; i++) {
		const struct bc_volume *v = m->figures->volume[i].volume;

		if (primary && v->role != BLKCAST_ROLE_PRIMARY)
			continue;
		fprintf(m->out, "%s{volume=\"%s\"} %" PRIu64 "\n", name, v->name, get(m, v));
	}
}

static uint64_t volume_size(const struct metrics *m, const struct bc_volume *v)
{
	(void)m;
	return v->sectors * 512;
}

static uint64_t volume_exposed(const struct metrics *m, const struct bc_volume *v)
{
	(void)m;
	return (uint64_t)v->exposed << v->region_shift;
}

static uint64_t volume_inconsistent(const struct metrics *m, const struct bc_volume *v)
{
	(void)m;
	return !!(v->super_flags & BLKCAST_SUPER_INCONSISTENT);
}

static uint64_t copies_in_sync(const struct metrics *m, const struct bc_volume *v)
{
	uint64_t copies = v->device != BLKCAST_DEVICE_DETACHED;

	for (unsigned int i = 0; i < m->figures->links; i++) {
		const struct figures_link *l = &m->figures->link[i];

		copies += l->volume == v && l->link && l->link->state == BLKCAST_LINK_IN_SYNC;
	}
	return copies;
}

static uint64_t copies_known(const struct metrics *m, const struct bc_volume *v)
{
	uint64_t copies = 1;

	for (unsigned int i = 0; i < m->figures->links; i++)
		copies += m->figures->link[i].volume == v;
	return copies;
}

static void volumes_write(const struct metrics *m)
{
	volume_info_write(m);
	volume_role_write(m);
	volume_device_write(m);
	volume_numbers_write(m);
	volume_gauge(m, "blkcast_volume_size_bytes", "bytes", "Size of the device.",
		     volume_size, false);
	volume_gauge(m, "blkcast_volume_exposed_bytes", "bytes",
		     "What would have to be compared after a crash now.", volume_exposed, false);
	volume_gauge(m, "blkcast_volume_inconsistent", NULL,
		     "1 if this host's copy is under resync and cannot be used.",
		     volume_inconsistent, false);
	volume_gauge(m, "blkcast_volume_copies", NULL,
		     "Copies that there should be, the primary's included; on a primary.",
		     copies_known, true);
	volume_gauge(m, "blkcast_volume_copies_in_sync", NULL,
		     "Copies that are in sync, the primary's included unless detached; on a primary.",
		     copies_in_sync, true);
}

/* ---- links ---- */

static bool is_primary(const struct figures_link *l)
{
	return l->volume->role == BLKCAST_ROLE_PRIMARY;
}

#define LINK(name, type, unit, attr, member, help) \
	{ { "blkcast_link_" name, type, unit, help }, BLKCAST_L_##attr, \
	  offsetof(struct bc_link, member), sizeof(((struct bc_link *)0)->member) }

static const struct number link_numbers[] = {
	LINK("dirty_bytes", GAUGE, "bytes", DIRTY_BYTES, dirty_bytes,
	     "Size of the regions that differ, or may, and will be copied."),
	LINK("behind_seconds", GAUGE, "seconds", BEHIND_NS, behind_ns,
	     "Age of the oldest write that is missing there while it is not in sync."),
	LINK("round_trip_seconds", GAUGE, "seconds", RTT_NS, rtt_ns,
	     "Newest round trip, without the time that the replica held the answer."),
	LINK("queue_seconds", GAUGE, "seconds", QUEUE_NS, queue_ns,
	     "Newest write, from its arrival until it was sent."),
	LINK("apply_seconds", GAUGE, "seconds", APPLY_NS, apply_ns,
	     "Newest write, from its receipt until it was written there."),
	LINK("flush_seconds", GAUGE, "seconds", FLUSH_NS, flush_ns, "Newest flush there."),
	LINK("silence_seconds", GAUGE, "seconds", CONTACT_NS, contact_ns,
	     "Time since the peer was last heard."),
	LINK("sent_bytes", COUNTER, "bytes", SENT_BYTES, sent_bytes,
	     "Bytes sent on the link, headers included."),
	LINK("resync_bytes", COUNTER, "bytes", RESYNC_BYTES, resync_bytes,
	     "Of these, content of regions copied."),
	LINK("resync_seconds", GAUGE, "seconds", RESYNC_NS, resync_ns,
	     "Time since the resync began that is under way."),
	LINK("reads_rate", GAUGE, NULL, READ_RATE, read_rate,
	     "Reads a second that the replica serves, as it has told."),
	LINK("verify_differing_regions", GAUGE, NULL, VERIFY_DIFFER, verify_differ,
	     "Regions that the newest verify has found to differ."),
};

static void link_numbers_write(const struct metrics *m)
{
	for (size_t i = 0; i < BC_ARRAY_SIZE(link_numbers); i++) {
		const struct number *number = &link_numbers[i];

		metric_begin(m, &number->metric);
		for (unsigned int j = 0; j < m->figures->links; j++) {
			const struct figures_link *l = &m->figures->link[j];

			if (!bc_known(l->lag, number->attr))
				continue;
			fprintf(m->out, "%s%s{volume=\"%s\",peer=\"%s\"} ", number->metric.name,
				suffix(number->metric.type), l->volume->name, l->peer);
			value_write(m, &number->metric, number_of(number, l->lag));
		}
	}
}

/* What has not passed a stage, in three units. */
struct lag_stages {
	struct metric metric;
	struct {
		const char *stage;
		unsigned int attr;
		size_t offset;
	} at[4];
};

#define LAG_STAGE(stage, ATTR, member, UNIT, unit) \
	{ stage, BLKCAST_L_##ATTR##_##UNIT, offsetof(struct bc_link, member##_##unit) }
#define LAG_STAGES_OF(UNIT, unit) { \
	LAG_STAGE("sent", UNSENT, unsent, UNIT, unit), \
	LAG_STAGE("received", UNRECEIVED, unreceived, UNIT, unit), \
	LAG_STAGE("applied", LAG, lag, UNIT, unit), \
	LAG_STAGE("durable", UNDURABLE, undurable, UNIT, unit) }

static const struct lag_stages lag_metrics[] = {
	{ { "blkcast_link_lag_seconds", GAUGE, "seconds",
	    "Age of the oldest write that has not come so far; applied is the lag." },
	  LAG_STAGES_OF(NS, ns) },
	{ { "blkcast_link_lag_writes", GAUGE, NULL,
	    "Writes in the backlog that have not come so far." },
	  LAG_STAGES_OF(WRITES, writes) },
	{ { "blkcast_link_lag_bytes", GAUGE, "bytes", "Bytes of these writes." },
	  LAG_STAGES_OF(BYTES, bytes) },
};

static void lag_stages_write(const struct metrics *m, const struct lag_stages *lag)
{
	metric_begin(m, &lag->metric);
	for (unsigned int i = 0; i < m->figures->links; i++) {
		const struct figures_link *l = &m->figures->link[i];

		for (size_t j = 0; j < BC_ARRAY_SIZE(lag->at); j++) {
			uint64_t value;

			if (!bc_known(l->lag, lag->at[j].attr))
				continue;
			memcpy(&value, (const char *)l->lag + lag->at[j].offset, sizeof(value));
			fprintf(m->out, "%s{volume=\"%s\",peer=\"%s\",stage=\"%s\"} ",
				lag->metric.name, l->volume->name, l->peer, lag->at[j].stage);
			value_write(m, &lag->metric, value);
		}
	}
}

static void lag_known_write(const struct metrics *m)
{
	static const struct metric metric = {
		"blkcast_link_lag_known", GAUGE, NULL,
		"0 if nobody knows how far the replica trails; on a primary."
	};

	metric_begin(m, &metric);
	for (unsigned int i = 0; i < m->figures->links; i++) {
		const struct figures_link *l = &m->figures->link[i];

		if (is_primary(l))
			fprintf(m->out, "blkcast_link_lag_known{volume=\"%s\",peer=\"%s\"} %d\n",
				l->volume->name, l->peer, bc_known(l->lag, BLKCAST_L_LAG_NS) != 0);
	}
}

static void link_state_write(const struct metrics *m)
{
	static const struct metric metric = {
		"blkcast_link_state", STATESET, NULL, "State of the link to a peer."
	};

	metric_begin(m, &metric);
	for (unsigned int i = 0; i < m->figures->links; i++) {
		const struct figures_link *l = &m->figures->link[i];
		uint8_t state = l->link ? l->link->state : BLKCAST_LINK_DOWN;

		for (uint8_t s = BLKCAST_LINK_DOWN; s <= BLKCAST_LINK_IN_SYNC; s++)
			fprintf(m->out,
				"blkcast_link_state{volume=\"%s\",peer=\"%s\",blkcast_link_state=\"%s\"} %d\n",
				l->volume->name, l->peer, bc_link_state_name(s), s == state);
	}
}

static void links_write(const struct metrics *m)
{
	link_state_write(m);
	lag_known_write(m);
	for (size_t i = 0; i < BC_ARRAY_SIZE(lag_metrics); i++)
		lag_stages_write(m, &lag_metrics[i]);
	link_numbers_write(m);
}

/* ---- histograms ---- */

/* @labels without the closing brace. */
static void histogram_write(const struct metrics *m, const char *name, const char *labels,
			    const struct histogram *h)
{
	uint64_t seen = 0;

	for (unsigned int i = 0; i < LAG_BUCKETS - 1; i++) {
		seen += h->buckets[i];
		/* Octaves: bucket 0, then each LAG_SUB that end one. */
		if (i % LAG_SUB)
			continue;
		fprintf(m->out, "%s_bucket{%s,le=\"%.9g\"} %" PRIu64 "\n", name, labels,
			(double)histogram_upper(i) / 1e9, seen);
	}
	fprintf(m->out, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name, labels, h->count);
	fprintf(m->out, "%s_sum{%s} ", name, labels);
	seconds_write(m->out, h->sum);
	fprintf(m->out, "%s_count{%s} %" PRIu64 "\n", name, labels, h->count);
}

struct latency {
	enum lag_stage stage;
	const char *name;
};

static void volume_latencies_write(const struct metrics *m, const struct metric *metric,
				   const struct latency *latencies, size_t count)
{
	char labels[128 + BLKCAST_NAME_MAX];

	metric_begin(m, metric);
	for (unsigned int i = 0; i < m->figures->volumes; i++) {
		const struct bc_volume *v = m->figures->volume[i].volume;

		for (size_t j = 0; j < count; j++) {
			snprintf(labels, sizeof(labels), "volume=\"%s\",stage=\"%s\"", v->name,
				 latencies[j].name);
			histogram_write(m, metric->name, labels,
					figures_latency(m->figures, v->minor, LAG_LINK_NONE,
							latencies[j].stage));
		}
	}
}

static void link_latencies_write(const struct metrics *m, const struct metric *metric,
				 const struct latency *latencies, size_t count, bool primary)
{
	char labels[128 + 2 * BLKCAST_NAME_MAX];

	metric_begin(m, metric);
	for (unsigned int i = 0; i < m->figures->links; i++) {
		const struct figures_link *l = &m->figures->link[i];

		if (!l->link || !bc_known(l->link, BLKCAST_L_ID) || is_primary(l) != primary)
			continue;
		for (size_t j = 0; j < count; j++) {
			snprintf(labels, sizeof(labels),
				 "volume=\"%s\",peer=\"%s\",stage=\"%s\"", l->volume->name,
				 l->peer, latencies[j].name);
			histogram_write(m, metric->name, labels,
					figures_latency(m->figures, l->volume->minor, l->link->id,
							latencies[j].stage));
		}
	}
}

static void latencies_write(const struct metrics *m)
{
	static const struct metric of_volume = {
		"blkcast_write_duration_seconds", HISTOGRAM, "seconds",
		"From the arrival of a write, or flush, until it was here, or its caller was told."
	};
	static const struct latency volume_stages[] = {
		{ LAG_STAGE_LOCAL, "local" }, { LAG_STAGE_TOTAL, "completed" },
		{ LAG_STAGE_FLUSH, "flushed" },
	};
	static const struct metric of_link = {
		"blkcast_link_duration_seconds", HISTOGRAM, "seconds",
		"From the arrival of a write, or flush, on the primary until it had come so far."
	};
	static const struct latency link_stages[] = {
		{ LAG_STAGE_SENT, "sent" }, { LAG_STAGE_RECEIVED, "received" },
		{ LAG_STAGE_APPLIED, "applied" }, { LAG_STAGE_DURABLE, "durable" },
	};
	static const struct metric of_replica = {
		"blkcast_replica_duration_seconds", HISTOGRAM, "seconds",
		"On a replica: from the arrival of a write, or flush, until it was done."
	};
	static const struct latency replica_stages[] = {
		{ LAG_STAGE_REPLICA_APPLIED, "applied" }, { LAG_STAGE_REPLICA_FLUSH, "durable" },
	};

	volume_latencies_write(m, &of_volume, volume_stages, BC_ARRAY_SIZE(volume_stages));
	link_latencies_write(m, &of_link, link_stages, BC_ARRAY_SIZE(link_stages), true);
	link_latencies_write(m, &of_replica, replica_stages, BC_ARRAY_SIZE(replica_stages),
			     false);
}

/* ---- certificates ---- */

/* Each peer once, whatever it has copies of; only those that are peers still. */
static void peer_expiry_write(const struct metrics *m, const char *name,
			      const struct bc_expiry *expiry)
{
	for (unsigned int i = 0; i < expiry->peers; i++) {
		const struct bc_expiry_peer *peer = &expiry->peer[i];

		for (unsigned int j = 0; j < m->figures->links; j++) {
			if (strcmp(m->figures->link[j].peer, peer->name))
				continue;
			fprintf(m->out, "%s{role=\"peer\",peer=\"%s\"} %lld\n", name, peer->name,
				peer->ends);
			break;
		}
	}
}

static void expiry_write(const struct metrics *m, const struct bc_expiry *expiry)
{
	static const struct metric metric = {
		"blkcast_certificate_expiry_timestamp_seconds", GAUGE, "seconds",
		"When a certificate that links are made by expires, in seconds since 1970."
	};

	metric_begin(m, &metric);
	if (expiry->own)
		fprintf(m->out, "%s{role=\"own\"} %lld\n", metric.name, expiry->own);
	if (expiry->authority)
		fprintf(m->out, "%s{role=\"ca\"} %lld\n", metric.name, expiry->authority);
	if (m->figures)
		peer_expiry_write(m, metric.name, expiry);
}

/* ---- all ---- */

static void single_write(const struct metrics *m, const struct metric *metric, uint64_t value)
{
	metric_begin(m, metric);
	fprintf(m->out, "%s%s %" PRIu64 "\n", metric->name, suffix(metric->type), value);
}

static void probes_write(const struct metrics *m)
{
	static const struct metric attached = {
		"blkcast_probes_attached", GAUGE, NULL,
		"1 if the BPF probes run; without them there are no histograms."
	};
	static const struct metric lost = {
		"blkcast_probes_lost_events", COUNTER, NULL,
		"Events that the probes could not count."
	};

	single_write(m, &attached, m->figures->probes != NULL);
	single_write(m, &lost, figures_lost(m->figures));
}

void metrics_write(const struct figures *figures, const struct bc_expiry *expiry, bool open,
		   FILE *out)
{
	static const struct metric up = {
		"blkcast_up", GAUGE, NULL, "1 if the kernel module answers."
	};
	static const struct metric build = {
		"blkcast_exporter_build", INFO, NULL, "Version of the exporter."
	};
	const struct metrics m = { figures, open, out };

	metric_begin(&m, &build);
	fprintf(out, "blkcast_exporter_build_info{version=\"%s\"} 1\n", BLKCAST_VERSION);
	single_write(&m, &up, figures != NULL);
	expiry_write(&m, expiry);
	if (figures) {
		volumes_write(&m);
		links_write(&m);
		probes_write(&m);
		if (figures->probes)
			latencies_write(&m);
	}
	if (open)
		fputs("# EOF\n", out);
}
