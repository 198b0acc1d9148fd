// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reads that a primary's device fails, and where they are answered.
 *
 * Read capacity, on a primary: what is read from its replicas against what they
 * are said to be able to serve. Shown as soon as every replica's capacity is
 * stated; a replica without a link has none.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "status.h"
#include "util.h"

static const struct bc_link *live_link(const struct bc_volume *live, const char *peer)
{
	for (uint32_t i = 0; i < live->links; i++)
		if (!strcmp(live->link[i].name, peer))
			return &live->link[i];
	return NULL;
}

/* Number of replicas; -1: something is not stated or not known yet. */
static int collect(const struct status_volume *volume, struct advice_copy *copies)
{
	const struct bc_volume_config *config = volume->config;
	int count = 0;

	for (size_t i = 0; i < config->links; i++) {
		const struct bc_link *link = live_link(volume->live, config->link[i].peer);

		if (!config->link[i].read_capacity)
			return -1;
		if (!link)
			continue;
		if (!bc_known(link, BLKCAST_L_READ_RATE))
			return -1;
		copies[count++] = (struct advice_copy){
			config->link[i].peer, link->read_rate, config->link[i].read_capacity
		};
	}
	return count;
}

/* False: there is nothing to say. */
static bool reads_advice(const struct status_volume *volume, struct advice *advice, int *count)
{
	struct advice_copy *copies;
	bool given;

	if (!volume->config || !volume->live || volume->live->role != BLKCAST_ROLE_PRIMARY)
		return false;
	copies = calloc(volume->config->links + 1, sizeof(*copies));
	if (!copies)
		return false;
	*count = collect(volume, copies);
	given = *count > 0 && advice_give(copies, *count, advice);
	free(copies);
	return given;
}

/* With two replicas always, else if a loss would be too much for the rest. */
void status_print_reads(const struct status_volume *volume)
{
	struct advice advice;
	int count;

	if (!reads_advice(volume, &advice, &count) || (advice.survives && count != 2))
		return;
	printf("  reads: %d replica%s at %.0f%%", count, count == 1 ? "" : "s",
	       100 * advice.load);
	if (isinf(advice.after))
		printf("; without %s there is none", advice.worst);
	else
		printf("; without %s the rest is at %.0f%%", advice.worst, 100 * advice.after);
	if (advice.survives)
		printf(": one loss is survived\n");
	else
		printf(": A LOSS IS NOT SURVIVED; %u would\n", advice.enough);
}

/* Reads that this primary's own device has failed, if any. */
void status_print_read_fails(const struct bc_volume *live)
{
	const struct blkcast_read_fails *fails = &live->read_fails;
	char text[BC_SIZE_TEXT];

	if (!fails->served && !fails->failed && !fails->bad)
		return;
	printf("  device: %" PRIu64 " reads came from a replica, %" PRIu64
	       " pieces repaired", (uint64_t)fails->served, (uint64_t)fails->repaired);
	if (fails->failed)
		printf("; %" PRIu64 " READS FAILED", (uint64_t)fails->failed);
	if (fails->bad)
		printf("; %s CANNOT BE WRITTEN", bc_size_format(fails->bad, text));
	printf("\n");
}

/* NULL: there is nothing to say. */
struct json_object *status_json_reads(const struct status_volume *volume)
{
	struct json_object *to;
	struct advice advice;
	int count;

	if (!reads_advice(volume, &advice, &count))
		return NULL;
	to = json_object_new_object();
	json_object_object_add(to, "replicas", json_object_new_int(count));
	json_object_object_add(to, "reads_per_second", json_object_new_uint64(advice.rate));
	json_object_object_add(to, "capacity_per_second",
			       json_object_new_uint64(advice.capacity));
	json_object_object_add(to, "load", json_object_new_double(advice.load));
	json_object_object_add(to, "worst_loss", json_object_new_string(advice.worst));
	json_object_object_add(to, "load_after_loss", isinf(advice.after) ? NULL :
			       json_object_new_double(advice.after));
	json_object_object_add(to, "survives_loss", json_object_new_boolean(advice.survives));
	json_object_object_add(to, "replicas_enough", json_object_new_int(advice.enough));
	return to;
}
