// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The same for programs.  Unknown figures are absent.  Reign ids are strings
 * (many readers take numbers as doubles); LSNs are numbers and strings
 * "TERM.SEQ" beside them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "policy.h"
#include "status.h"
#include "util.h"
#include "view.h"

static void add_text(struct json_object *to, const char *key, const char *text)
{
	json_object_object_add(to, key, json_object_new_string(text));
}

static void add_number(struct json_object *to, const char *key, uint64_t value)
{
	json_object_object_add(to, key, json_object_new_uint64(value));
}

static void add_seconds(struct json_object *to, const char *key, uint64_t ns)
{
	char text[32];

	snprintf(text, sizeof(text), "%.6f", ns / 1e9);
	json_object_object_add(to, key, json_object_new_double_s(ns / 1e9, text));
}

static void add_uuid(struct json_object *to, const char *key, const uint8_t uuid[16])
{
	char text[BC_UUID_TEXT];

	add_text(to, key, bc_uuid_format(uuid, text));
}

static void add_lsn(struct json_object *to, const char *key, uint64_t lsn)
{
	char text[48], name[48];

	add_number(to, key, lsn);
	snprintf(name, sizeof(name), "%s_text", key);
	snprintf(text, sizeof(text), "%u.%" PRIu64, blkcast_lsn_term(lsn),
		 (uint64_t)blkcast_lsn_seq(lsn));
	add_text(to, name, text);
}

#define ADD_KNOWN(add, to, key, link, attr, value) do { \
	if (bc_known(link, attr)) \
		add(to, key, (link)->value); \
} while (0)

/* The newest verify of the link. */
static void add_verify(struct json_object *to, const struct bc_link *link,
		       uint64_t region)
{
	struct json_object *verify = json_object_new_object();

	add_text(verify, "state", bc_verify_state_name(link->verify_state));
	json_object_object_add(verify, "repair", json_object_new_boolean(
			       link->verify_flags & BLKCAST_F_REPAIR));
	add_number(verify, "bytes", link->verify_total * region);
	add_number(verify, "left_bytes", link->verify_left * region);
	add_number(verify, "differing_regions", link->verify_differ);
	add_number(verify, "differing_bytes", link->verify_bytes);
	add_number(verify, "unreadable_regions", link->verify_unreadable);
	add_seconds(verify, "seconds", link->verify_ns);
	json_object_object_add(to, "verify", verify);
}

/* What has not passed a stage: its oldest, how many, how much. */
static void add_lag(struct json_object *to, const struct bc_link *link)
{
	ADD_KNOWN(add_seconds, to, "lag_seconds", link, BLKCAST_L_LAG_NS, lag_ns);
	ADD_KNOWN(add_number, to, "lag_writes", link, BLKCAST_L_LAG_WRITES, lag_writes);
	ADD_KNOWN(add_number, to, "lag_bytes", link, BLKCAST_L_LAG_BYTES, lag_bytes);
	ADD_KNOWN(add_seconds, to, "unsent_seconds", link, BLKCAST_L_UNSENT_NS, unsent_ns);
	ADD_KNOWN(add_number, to, "unsent_writes", link, BLKCAST_L_UNSENT_WRITES,
		  unsent_writes);
	ADD_KNOWN(add_number, to, "unsent_bytes", link, BLKCAST_L_UNSENT_BYTES, unsent_bytes);
	ADD_KNOWN(add_seconds, to, "unreceived_seconds", link, BLKCAST_L_UNRECEIVED_NS, unreceived_ns);
	ADD_KNOWN(add_number, to, "unreceived_writes", link, BLKCAST_L_UNRECEIVED_WRITES,
		  unreceived_writes);
	ADD_KNOWN(add_number, to, "unreceived_bytes", link, BLKCAST_L_UNRECEIVED_BYTES, unreceived_bytes);
	ADD_KNOWN(add_seconds, to, "undurable_seconds", link, BLKCAST_L_UNDURABLE_NS, undurable_ns);
	ADD_KNOWN(add_number, to, "undurable_writes", link, BLKCAST_L_UNDURABLE_WRITES,
		  undurable_writes);
	ADD_KNOWN(add_number, to, "undurable_bytes", link, BLKCAST_L_UNDURABLE_BYTES, undurable_bytes);
	ADD_KNOWN(add_seconds, to, "contact_seconds", link, BLKCAST_L_CONTACT_NS,
		  contact_ns);
}

static void add_live_link(struct json_object *to, const struct bc_link *link)
{
	add_text(to, "state", policy_link_state(link));
	add_number(to, "id", link->id);
	json_object_object_add(to, "async",
			       json_object_new_boolean(link->flags & BLKCAST_F_ASYNC));
	json_object_object_add(to, "tls",
			       json_object_new_boolean(link->flags & BLKCAST_F_TLS));
	/* Only a primary knows. */
	if (bc_known(link, BLKCAST_L_SENT)) {
		const char *behind = policy_behind(link);

		json_object_object_add(to, "in_sync", json_object_new_boolean(!behind));
		if (behind)
			add_text(to, "not_in_sync", behind);
	}
	ADD_KNOWN(add_lsn, to, "sent", link, BLKCAST_L_SENT, sent);
	ADD_KNOWN(add_lsn, to, "received", link, BLKCAST_L_RECEIVED, received);
	ADD_KNOWN(add_lsn, to, "applied", link, BLKCAST_L_APPLIED, applied);
	ADD_KNOWN(add_lsn, to, "durable", link, BLKCAST_L_DURABLE, durable);
	ADD_KNOWN(add_number, to, "sent_bytes", link, BLKCAST_L_SENT_BYTES, sent_bytes);
	ADD_KNOWN(add_number, to, "resync_bytes", link, BLKCAST_L_RESYNC_BYTES,
		  resync_bytes);
	if (bc_known(link, BLKCAST_L_ROOM))
		add_number(to, "room_bytes", link->room * 512);
	ADD_KNOWN(add_number, to, "reads_per_second", link, BLKCAST_L_READ_RATE, read_rate);
	ADD_KNOWN(add_number, to, "dirty_regions", link, BLKCAST_L_DIRTY, dirty);
	ADD_KNOWN(add_number, to, "dirty_bytes", link, BLKCAST_L_DIRTY_BYTES, dirty_bytes);
	ADD_KNOWN(add_number, to, "resynced_regions", link, BLKCAST_L_RESYNCED,
		  resynced);
	ADD_KNOWN(add_seconds, to, "resync_seconds", link, BLKCAST_L_RESYNC_NS,
		  resync_ns);
	if (bc_known(link, BLKCAST_L_RESYNC_NS) && link->resynced)
		add_seconds(to, "resync_left_seconds",
			    link->dirty * ((double)link->resync_ns / link->resynced));
	add_lag(to, link);
	ADD_KNOWN(add_seconds, to, "behind_seconds", link, BLKCAST_L_BEHIND_NS,
		  behind_ns);
	ADD_KNOWN(add_seconds, to, "queue_seconds", link, BLKCAST_L_QUEUE_NS, queue_ns);
	ADD_KNOWN(add_seconds, to, "rtt_seconds", link, BLKCAST_L_RTT_NS, rtt_ns);
	ADD_KNOWN(add_seconds, to, "apply_seconds", link, BLKCAST_L_APPLY_NS, apply_ns);
	ADD_KNOWN(add_seconds, to, "flush_seconds", link, BLKCAST_L_FLUSH_NS, flush_ns);
}

static void add_down_link(struct json_object *to, const struct status_volume *volume,
			  const struct status_link *link)
{
	add_text(to, "state", "down");
	if (!volume->live || volume->live->role != BLKCAST_ROLE_PRIMARY)
		return;
	json_object_object_add(to, "in_sync", json_object_new_boolean(false));
	add_text(to, "not_in_sync", "no link");
	if (link->down_ms >= 0)
		add_seconds(to, "behind_seconds", link->down_ms * 1000000);
}

static void add_link(const struct status_volume *volume,
		     const struct status_link *link, void *arg)
{
	struct json_object *to = json_object_new_object();
	char address[BC_HOST_MAX + 16];

	add_text(to, "peer", link->peer);
	if (link->config) {
		bc_address_format(&link->config->address, address, sizeof(address));
		add_text(to, "address", address);
	}
	if (link->live)
		add_live_link(to, link->live);
	if (link->live && bc_known(link->live, BLKCAST_L_VERIFY_STATE))
		add_verify(to, link->live, 1ULL << volume->live->region_shift);
	if (!link->live)
		add_down_link(to, volume, link);
	if (link->away)
		add_lag(to, link->away);
	if (link->reason)
		add_text(to, "reason", link->reason);
	if (link->retry_ms >= 0)
		add_seconds(to, "retry_seconds", link->retry_ms * 1000000);
	if (link->certificate_ends)
		add_number(to, "certificate_ends", link->certificate_ends);
	json_object_array_add(arg, to);
}

/* The copies that hold every write that was acknowledged. */
static void add_members(struct json_object *to, const struct bc_volume *live)
{
	struct json_object *list = json_object_new_array();
	char text[BC_UUID_TEXT];

	for (uint32_t i = 0; i < live->members; i++)
		json_object_array_add(list, json_object_new_string(
				      bc_uuid_format(live->member[i], text)));
	json_object_object_add(to, "in_sync_nodes", list);
}

/* Who is in the in-sync set and not there, and what ends the wait for them. */
static void add_missing(struct json_object *to, const struct bc_volume *live)
{
	struct json_object *list = json_object_new_array();
	struct json_object *ends = json_object_new_array();
	char text[2 * BLKCAST_NAME_MAX + 32];

	for (uint32_t i = 0; i < live->missings; i++) {
		json_object_array_add(list, json_object_new_string(live->missing[i]));
		snprintf(text, sizeof(text), "blkcast member %s %s out", live->name,
			 live->missing[i]);
		json_object_array_add(ends, json_object_new_string(text));
	}
	json_object_object_add(to, "missing_members", list);
	json_object_object_add(to, "waits_for", ends);
}

static void add_lease(struct json_object *to, const struct bc_volume *live)
{
	int64_t left = policy_lease_left(live);

	add_seconds(to, "lease_seconds", left > 0 ? left : 0);
	json_object_object_add(to, "lease_over", json_object_new_boolean(left <= 0));
}

/* What the policy makes of the links there are. */
static void add_policy(struct json_object *to, const struct bc_volume *live)
{
	struct json_object *why = json_object_new_array();

	add_text(to, "policy", policy_name(live));
	add_text(to, "ack", bc_ack_name(live->ack));
	add_number(to, "min_isr", live->min_isr);
	add_text(to, "on_loss", bc_on_loss_name(live->on_loss));
	add_text(to, "membership", bc_membership_name(policy_managed(live)));
	add_text(to, "on_io_error", bc_on_io_error_name(live->on_io_error));
	if (live->role != BLKCAST_ROLE_PRIMARY) {
		json_object_put(why);
		return;
	}
	add_number(to, "in_sync_copies", live->isr);
	add_number(to, "losses_survived", policy_losses(live));
	if (live->suspended & BLKCAST_SUSPENDED_HAND)
		json_object_array_add(why, json_object_new_string("by-hand"));
	if (live->suspended & BLKCAST_SUSPENDED_ISR)
		json_object_array_add(why, json_object_new_string("min-isr"));
	if (live->suspended & BLKCAST_SUSPENDED_MEMBER)
		json_object_array_add(why, json_object_new_string("member"));
	if (live->suspended & BLKCAST_SUSPENDED_LEASE)
		json_object_array_add(why, json_object_new_string("lease"));
	json_object_object_add(to, "suspended", why);
	ADD_KNOWN(add_seconds, to, "suspended_seconds", live, BLKCAST_A_SUSPENDED_NS,
		  suspended_ns);
	add_number(to, "waiting_writes", live->parked);
	add_missing(to, live);
	if (bc_known(live, BLKCAST_A_LEASE))
		add_lease(to, live);
}

static void add_live(struct json_object *to, const struct bc_volume *live)
{
	uint32_t flags = live->super_flags;
	char reign[24], device[BLKCAST_NAME_MAX + 16];

	snprintf(device, sizeof(device), "/dev/blkcast/%s", live->name);
	snprintf(reign, sizeof(reign), "%016" PRIx64, live->reign);
	add_text(to, "role", bc_role_name(live->role));
	add_text(to, "device", device);
	add_number(to, "minor", live->minor);
	add_uuid(to, "uuid", live->uuid);
	add_uuid(to, "node", live->node);
	add_number(to, "bytes", live->sectors * 512);
	add_number(to, "room_bytes", live->room * 512);
	add_number(to, "region_bytes", 1ULL << live->region_shift);
	add_number(to, "regions", live->regions);
	add_number(to, "touched_regions", live->touched);
	add_number(to, "doubt_regions", live->doubt);
	add_number(to, "active_groups", live->active_groups);
	add_number(to, "active_max_bytes", live->active_max);
	add_number(to, "exposed_regions", live->exposed);
	json_object_object_add(to, "inconsistent", json_object_new_boolean(
			       flags & BLKCAST_SUPER_INCONSISTENT));
	add_text(to, "device_state", bc_device_name(live->device));
	json_object_object_add(to, "discards_own", json_object_new_boolean(
			       flags & BLKCAST_SUPER_DISCARD));
	add_number(to, "term", live->term);
	add_text(to, "reign", reign);
	add_lsn(to, "lsn", live->lsn);
	add_policy(to, live);
	add_number(to, "resync_rate_bytes", live->resync_rate);
	add_members(to, live);
	if (!bc_uuid_is_null(live->heir))
		add_uuid(to, "heir", live->heir);
	json_object_object_add(to, "is_heir", json_object_new_boolean(
			       !memcmp(live->heir, live->node, sizeof(live->heir))));
	ADD_KNOWN(add_number, to, "deposed_by_term", live, BLKCAST_A_DEPOSED, deposed);
	add_number(to, "openers", live->openers);
	add_number(to, "backlog_bytes", live->backlog);
	add_number(to, "backlog_used_bytes", live->backlog_used);
	add_number(to, "meta_writes", live->meta_writes);
	add_number(to, "device_errors", live->errors);
	add_number(to, "reads_elsewhere", live->read_fails.served);
	add_number(to, "reads_repaired", live->read_fails.repaired);
	add_number(to, "reads_failed", live->read_fails.failed);
	add_number(to, "bad_bytes", live->read_fails.bad);
	add_number(to, "writes", live->writes);
	add_number(to, "write_bytes", live->write_bytes);
	add_number(to, "reads", live->reads);
	add_number(to, "max_lag_ms", live->max_lag_ms);
	ADD_KNOWN(add_seconds, to, "age_seconds", live, BLKCAST_A_AGE_NS, age_ns);
	add_number(to, "reads_turned_away", live->turned_away);
	json_object_object_add(to, "views", view_list_json(live));
}

static struct json_object *volume_object(const struct status_volume *volume,
					 struct json_object *daemon)
{
	struct json_object *to = json_object_new_object();
	struct json_object *links = json_object_new_array(), *reads;

	add_text(to, "name", volume->name);
	json_object_object_add(to, "up", json_object_new_boolean(volume->live != NULL));
	if (volume->config) {
		add_text(to, "backing", volume->config->backing);
		if (volume->config->meta[0])
			add_text(to, "meta", volume->config->meta);
	}
	if (volume->live)
		add_live(to, volume->live);
	status_each_link(volume, daemon, add_link, links);
	json_object_object_add(to, "links", links);
	reads = status_json_reads(volume);
	if (reads)
		json_object_object_add(to, "replica_reads", reads);
	return to;
}

/* How this host proves itself, if the daemon tells. */
static void add_certificate(struct json_object *root, struct json_object *daemon)
{
	static const char * const keys[] = {
		"certificate_ends", "certificate_authority_ends", "certificate_complaint",
	};
	struct json_object *value;

	for (size_t i = 0; i < BC_ARRAY_SIZE(keys); i++) {
		if (json_object_object_get_ex(daemon, keys[i], &value))
			json_object_object_add(root, keys[i], json_object_get(value));
	}
}

void status_print_json(const struct status_volume *volumes, size_t count,
		       struct json_object *daemon)
{
	struct json_object *root = json_object_new_object();
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < count; i++)
		json_object_array_add(list, volume_object(&volumes[i], daemon));
	json_object_object_add(root, "volumes", list);
	json_object_object_add(root, "daemon", json_object_new_boolean(daemon != NULL));
	add_certificate(root, daemon);
	printf("%s\n", json_object_to_json_string_ext(root,
						      JSON_C_TO_STRING_PRETTY |
						      JSON_C_TO_STRING_SPACED |
						      JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(root);
}
