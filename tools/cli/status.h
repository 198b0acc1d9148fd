/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What 'status' knows, from three sources: the kernel (what is), the
 * configuration (what shall be), the daemon (why a link is not).
 */
#ifndef BC_STATUS_H
#define BC_STATUS_H

#include <json-c/json.h>
#include <stdbool.h>

#include "config.h"
#include "kernel.h"

/**
 * struct status_volume - one volume
 * @live: of the kernel, NULL: down
 * @config: NULL: not configured here
 */
struct status_volume {
	const char *name;
	const struct bc_volume *live;
	const struct bc_volume_config *config;
};

/**
 * struct status_link - one link, live or only configured
 * @away: of the kernel: what a replica without a link lacks, or NULL
 * @reason: the daemon's word on a link that is down, or NULL
 * @retry_ms: until it tries again, -1: not known
 * @down_ms: since when there is none, -1: not known
 * @certificate_ends: the peer's, in seconds since 1970; 0: not known, or it has none
 */
struct status_link {
	const char *peer;
	const struct bc_link *live;
	const struct bc_link_config *config;
	const struct bc_link *away;
	const char *reason;
	long long retry_ms, down_ms, certificate_ends;
};

/* Calls @fn for each link of the volume: the live ones, then the others. */
void status_each_link(const struct status_volume *volume,
		      struct json_object *daemon,
		      void (*fn)(const struct status_volume *volume,
				 const struct status_link *link, void *arg),
		      void *arg);

/* What the loss of a replica would mean for those that are read from. */
void status_print_reads(const struct status_volume *volume);
void status_print_read_fails(const struct bc_volume *live);
struct json_object *status_json_reads(const struct status_volume *volume);

void status_print_table(const struct status_volume *volumes, size_t count,
			struct json_object *daemon);
void status_print_json(const struct status_volume *volumes, size_t count,
		       struct json_object *daemon);

#endif /* BC_STATUS_H */
