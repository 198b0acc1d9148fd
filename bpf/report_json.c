// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The figures as JSON, one object a line; blkcast-lag(8) lists the fields.
 * Times are in seconds, as numbers; what is not known is null.
 */
#include <errno.h>
#include <inttypes.h>

#include <json-c/json.h>

#include "report.h"

#define NS_SECOND 1000000000ULL

/* Out of memory in json-c shows as NULL; add() then stores null, checked last. */
static void add(struct json_object *object, const char *key, struct json_object *value)
{
	json_object_object_add(object, key, value);
}

static void add_string(struct json_object *object, const char *key, const char *value)
{
	add(object, key, json_object_new_string(value));
}

static void add_count(struct json_object *object, const char *key, bool known, uint64_t value)
{
	add(object, key, known ? json_object_new_uint64(value) : NULL);
}

/* Printed from the integer, so that no nanosecond is lost or invented. */
static struct json_object *seconds_new(uint64_t ns)
{
	char text[40];

	snprintf(text, sizeof(text), "%" PRIu64 ".%09u", (uint64_t)(ns / NS_SECOND),
		 (unsigned int)(ns % NS_SECOND));
	return json_object_new_double_s((double)ns / 1e9, text);
}

static void add_seconds(struct json_object *object, const char *key, bool known, uint64_t ns)
{
	add(object, key, known ? seconds_new(ns) : NULL);
}

static struct json_object *buckets_new(const struct histogram *h)
{
	struct json_object *buckets = json_object_new_array();

	for (unsigned int i = 0; i < LAG_BUCKETS; i++) {
		struct json_object *pair;

		if (!h->buckets[i])
			continue;
		pair = json_object_new_array();
		json_object_array_add(pair, i == LAG_BUCKETS - 1 ? NULL :
				      seconds_new(histogram_upper(i)));
		json_object_array_add(pair, json_object_new_uint64(h->buckets[i]));
		json_object_array_add(buckets, pair);
	}
	return buckets;
}

static void add_latency(struct json_object *object, const char *key, const struct histogram *h,
			const struct report_style *style)
{
	struct json_object *latency;
	bool any;

	if (!h) {
		add(object, key, NULL);
		return;
	}
	any = h->count;
	latency = json_object_new_object();
	add_count(latency, "count", true, h->count);
	add_seconds(latency, "mean", any, histogram_mean(h));
	add_seconds(latency, "p50", any, histogram_percentile(h, 50));
	add_seconds(latency, "p90", any, histogram_percentile(h, 90));
	add_seconds(latency, "p99", any, histogram_percentile(h, 99));
	add_seconds(latency, "max", any, h->max);
	if (style->buckets)
		add(latency, "buckets", buckets_new(h));
	add(object, key, latency);
}

struct stage_key {
	enum lag_stage stage;
	const char *key;
};

static const struct stage_key volume_stages[] = {
	{ LAG_STAGE_LOCAL, "local" },
	{ LAG_STAGE_TOTAL, "completed" },
	{ LAG_STAGE_FLUSH, "flush" },
	{ 0, NULL },
};

static const struct stage_key primary_stages[] = {
	{ LAG_STAGE_SENT, "sent" },
	{ LAG_STAGE_RECEIVED, "received" },
	{ LAG_STAGE_APPLIED, "applied" },
	{ LAG_STAGE_DURABLE, "durable" },
	{ 0, NULL },
};

static const struct stage_key replica_stages[] = {
	{ LAG_STAGE_REPLICA_APPLIED, "replica_applied" },
	{ LAG_STAGE_REPLICA_FLUSH, "replica_flush" },
	{ 0, NULL },
};

static struct json_object *latencies_new(const struct figures *figures, uint32_t minor,
					 uint32_t link, const struct stage_key *stages,
					 const struct report_style *style)
{
	struct json_object *object;

	if (!figures->probes)
		return NULL;
	object = json_object_new_object();
	for (; stages->key; stages++)
		add_latency(object, stages->key,
			    figures_latency(figures, minor, link, stages->stage), style);
	return object;
}

static void add_position(struct json_object *object, const struct figures_link *l)
{
	const struct bc_link *link = l->lag;
	bool in_sync = bc_known(link, BLKCAST_L_STATE) && link->state == BLKCAST_LINK_IN_SYNC;

	add_count(object, "id", bc_known(link, BLKCAST_L_ID), link->id);
	add_seconds(object, "lag_seconds", bc_known(link, BLKCAST_L_LAG_NS), link->lag_ns);
	add_count(object, "lag_writes", bc_known(link, BLKCAST_L_LAG_WRITES), link->lag_writes);
	add_count(object, "lag_bytes", bc_known(link, BLKCAST_L_LAG_BYTES), link->lag_bytes);
	add_seconds(object, "unsent_seconds", bc_known(link, BLKCAST_L_UNSENT_NS), link->unsent_ns);
	add_count(object, "unsent_writes", bc_known(link, BLKCAST_L_UNSENT_WRITES),
		  link->unsent_writes);
	add_count(object, "unsent_bytes", bc_known(link, BLKCAST_L_UNSENT_BYTES), link->unsent_bytes);
	add_seconds(object, "unreceived_seconds", bc_known(link, BLKCAST_L_UNRECEIVED_NS), link->unreceived_ns);
	add_count(object, "unreceived_writes", bc_known(link, BLKCAST_L_UNRECEIVED_WRITES),
		  link->unreceived_writes);
	add_count(object, "unreceived_bytes", bc_known(link, BLKCAST_L_UNRECEIVED_BYTES), link->unreceived_bytes);
	add_seconds(object, "undurable_seconds", bc_known(link, BLKCAST_L_UNDURABLE_NS), link->undurable_ns);
	add_count(object, "undurable_writes", bc_known(link, BLKCAST_L_UNDURABLE_WRITES),
		  link->undurable_writes);
	add_count(object, "undurable_bytes", bc_known(link, BLKCAST_L_UNDURABLE_BYTES), link->undurable_bytes);
	add_count(object, "dirty_bytes", bc_known(link, BLKCAST_L_DIRTY_BYTES),
		  link->dirty_bytes);
	add_seconds(object, "behind_seconds", in_sync || bc_known(link, BLKCAST_L_BEHIND_NS),
		    bc_known(link, BLKCAST_L_BEHIND_NS) ? link->behind_ns : 0);
	add_seconds(object, "queue_seconds", bc_known(link, BLKCAST_L_QUEUE_NS),
		    link->queue_ns);
	add_seconds(object, "rtt_seconds", bc_known(link, BLKCAST_L_RTT_NS), link->rtt_ns);
	add_seconds(object, "apply_seconds", bc_known(link, BLKCAST_L_APPLY_NS), link->apply_ns);
	add_seconds(object, "flush_seconds", bc_known(link, BLKCAST_L_FLUSH_NS), link->flush_ns);
	add_seconds(object, "contact_seconds", bc_known(link, BLKCAST_L_CONTACT_NS),
		    link->contact_ns);
	add_count(object, "sent_bytes", bc_known(link, BLKCAST_L_SENT_BYTES), link->sent_bytes);
	add_count(object, "resync_bytes", bc_known(link, BLKCAST_L_RESYNC_BYTES),
		  link->resync_bytes);
}

static struct json_object *link_new(const struct figures *figures, const struct figures_link *l,
				    const struct report_style *style)
{
	bool primary = l->volume->role == BLKCAST_ROLE_PRIMARY;
	struct json_object *object = json_object_new_object();

	add_string(object, "peer", l->peer);
	add_string(object, "state", figures_state(l));
	add_position(object, l);
	add(object, "latency", l->link && bc_known(l->link, BLKCAST_L_ID) ?
	    latencies_new(figures, l->volume->minor, l->link->id,
			  primary ? primary_stages : replica_stages, style) : NULL);
	return object;
}

static struct json_object *links_new(const struct figures *figures,
				     const struct bc_volume *volume,
				     const struct report_style *style)
{
	struct json_object *links = json_object_new_array();

	for (unsigned int i = 0; i < figures->links; i++)
		if (figures->link[i].volume == volume)
			json_object_array_add(links, link_new(figures, &figures->link[i], style));
	return links;
}

static struct json_object *volume_new(const struct figures *figures,
				      const struct figures_volume *v,
				      const struct report_style *style)
{
	const struct bc_volume *volume = v->volume;
	struct json_object *object = json_object_new_object();

	add_string(object, "name", volume->name);
	add_count(object, "minor", bc_known(volume, BLKCAST_A_MINOR), volume->minor);
	add(object, "role", bc_known(volume, BLKCAST_A_ROLE) ?
	    json_object_new_string(bc_role_name(volume->role)) : NULL);
	add_count(object, "writes", bc_known(volume, BLKCAST_A_WRITES), volume->writes);
	add_count(object, "write_bytes", bc_known(volume, BLKCAST_A_WRITE_BYTES),
		  volume->write_bytes);
	add(object, "latency", latencies_new(figures, volume->minor, LAG_LINK_NONE,
					     volume_stages, style));
	add(object, "links", links_new(figures, volume, style));
	return object;
}

static struct json_object *figures_new(const struct figures *figures,
				       const struct report_style *style)
{
	struct json_object *object = json_object_new_object(), *volumes;

	add_seconds(object, "time", true, (uint64_t)figures->wall.tv_sec * NS_SECOND +
		    (uint64_t)figures->wall.tv_nsec);
	add_seconds(object, "interval_seconds", true, figures_span(figures));
	add(object, "total", json_object_new_boolean(figures->total));
	add(object, "probes", json_object_new_boolean(figures->probes != NULL));
	add(object, "note", figures->note[0] ? json_object_new_string(figures->note) : NULL);
	add_count(object, "lost", figures->probes != NULL,
		  figures->probes ? probes_lost(figures->probes) : 0);
	volumes = json_object_new_array();
	for (unsigned int i = 0; i < figures->volumes; i++)
		json_object_array_add(volumes, volume_new(figures, &figures->volume[i], style));
	add(object, "volumes", volumes);
	return object;
}

int report_json(const struct figures *figures, const struct report_style *style, FILE *out)
{
	struct json_object *object = figures_new(figures, style);
	const char *text = object ? json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
							JSON_C_TO_STRING_NOSLASHESCAPE) : NULL;

	if (text)
		fprintf(out, "%s\n", text);
	json_object_put(object);
	return text ? 0 : -ENOMEM;
}
