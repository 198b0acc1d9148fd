// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The figures as JSON, one object a line; blkcast-lag(8) lists the fields.
 * Times are in seconds, as numbers; what is not known is null.
 */
#include <errno.h>
#include <inttypes.h>

#include <json-c/json.h>

#include "blkcast_lsn.h"
#include "report.h"

#define NS_SECOND 1000000000ULL
#define TOP_MAX 20

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

static struct json_object *slow_new(const struct figures *figures,
				    const struct causes_slow *slow)
{
	const char *volume = figures_volume_name(figures, slow->minor);
	const char *peer = figures_peer_name(figures, slow->minor, slow->link);
	struct json_object *object = json_object_new_object();
	char lsn[48];

	snprintf(lsn, sizeof(lsn), "%u.%" PRIu64, blkcast_lsn_term(slow->lsn),
		 (uint64_t)blkcast_lsn_seq(slow->lsn));
	add(object, "volume", volume ? json_object_new_string(volume) : NULL);
	add(object, "peer", peer ? json_object_new_string(peer) : NULL);
	add_string(object, "until", slow->link == LAG_LINK_NONE ? "completed" : "applied");
	add_string(object, "lsn", lsn);
	add_count(object, "offset", true, slow->sector * 512);
	add_count(object, "bytes", true, slow->bytes);
	add_count(object, "pid", true, slow->pid);
	add(object, "process", *slow->comm ? json_object_new_string(slow->comm) : NULL);
	add_seconds(object, "seconds", true, slow->total);
	for (unsigned int i = 0; i < CAUSES_PARTS; i++) {
		char key[32];

		snprintf(key, sizeof(key), "%s_seconds", report_parts(slow)[i]);
		add_seconds(object, key, true, slow->part[i]);
	}
	return object;
}

static struct json_object *origin_new(const struct figures *figures,
				      const struct causes_origin *o)
{
	const char *volume = figures_volume_name(figures, o->key.minor);
	struct json_object *object = json_object_new_object();

	add(object, "volume", volume ? json_object_new_string(volume) : NULL);
	if (o->key.kind == CAUSES_PROCESS) {
		add_count(object, "pid", true, o->key.id);
		add(object, "process", *o->sum.comm ? json_object_new_string(o->sum.comm) : NULL);
	} else {
		add_count(object, "offset", true, o->key.id << CAUSES_EXTENT_SHIFT << 9);
		add_count(object, "size", true, 512ULL << CAUSES_EXTENT_SHIFT);
	}
	add_count(object, "writes", true, o->sum.writes);
	add_count(object, "bytes", true, o->sum.bytes);
	add_seconds(object, "seconds", true, o->sum.ns);
	add_seconds(object, "max_seconds", true, o->sum.max);
	return object;
}

static void add_origins(struct json_object *object, const char *key,
			const struct figures *figures, enum causes_kind kind)
{
	struct json_object *list = json_object_new_array();
	const struct causes_origin *origin;
	size_t count;

	origin = causes_top(figures->causes, kind, &count);
	for (size_t i = 0; i < count && i < TOP_MAX; i++)
		json_object_array_add(list, origin_new(figures, &origin[i]));
	add(object, key, list);
}

/* What was asked for; null: it cannot be had. */
static void add_causes(struct json_object *object, const struct figures *figures)
{
	struct json_object *list = NULL;
	const struct causes_slow *slow;
	uint64_t seen = 0;
	size_t count;

	if (figures->want.slow_ns) {
		if (figures->causes) {
			list = json_object_new_array();
			slow = causes_slow(figures->causes, &count, &seen);
			for (size_t i = 0; i < count; i++)
				json_object_array_add(list, slow_new(figures, &slow[i]));
		}
		add_count(object, "slow_seen", figures->causes != NULL, seen);
		add_count(object, "slow_partial", figures->causes != NULL,
			  figures->causes ? causes_partial(figures->causes) : 0);
		add(object, "slow", list);
	}
	if (figures->want.top && figures->causes) {
		add_origins(object, "top_regions", figures, CAUSES_EXTENT);
		add_origins(object, "top_processes", figures, CAUSES_PROCESS);
	}
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
	add_count(object, "lost", figures->probes != NULL, figures_lost(figures));
	add_causes(object, figures);
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
