// SPDX-License-Identifier: GPL-2.0-or-later
/* What a comparison of copies has found, for people and for programs. */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>

#include "util.h"
#include "verify.h"

static const char * const outcome_names[] = {
	[VERIFY_EQUAL] = "equal",
	[VERIFY_REPAIRED] = "repaired",
	[VERIFY_DIFFERS] = "differs",
	[VERIFY_UNREADABLE] = "unreadable",
	[VERIFY_STOPPED] = "stopped",
	[VERIFY_LOST] = "interrupted",
};

enum verify_outcome verify_outcome(const struct verify_copy *copy)
{
	const struct bc_link *link = &copy->link;

	if (copy->lost)
		return VERIFY_LOST;
	if (link->verify_state == BLKCAST_VERIFY_STOPPED)
		return VERIFY_STOPPED;
	if (link->verify_unreadable)
		return VERIFY_UNREADABLE;
	if (!link->verify_differ)
		return VERIFY_EQUAL;
	return link->verify_flags & BLKCAST_F_REPAIR ? VERIFY_REPAIRED : VERIFY_DIFFERS;
}

static uint64_t range_offset(const struct verify *verify, const struct bc_range *range)
{
	return range->first * verify->region;
}

/* The last region may be short. */
static uint64_t range_length(const struct verify *verify, const struct bc_range *range)
{
	uint64_t end = ((uint64_t)range->first + range->count) * verify->region;

	return (end < verify->bytes ? end : verify->bytes) - range_offset(verify, range);
}

static double percent(const struct bc_link *link)
{
	return link->verify_total ? 100.0 * (link->verify_total - link->verify_left) /
				    link->verify_total : 100.0;
}

static void print_ranges(const struct verify *verify, const struct verify_copy *copy)
{
	for (size_t i = 0; i < copy->range_count; i++)
		printf("  offset %" PRIu64 " length %" PRIu64 "\n",
		       range_offset(verify, &copy->ranges[i]),
		       range_length(verify, &copy->ranges[i]));
}

static void print_differing(const struct verify_copy *copy)
{
	uint32_t n = copy->link.verify_differ;
	char size[BC_SIZE_TEXT];

	if (n)
		printf("; %u region%s differed by %s", n, n == 1 ? "" : "s",
		       bc_size_format(copy->link.verify_bytes, size));
}

static void print_copy(const struct verify *verify, const struct verify_copy *copy)
{
	const struct bc_link *link = &copy->link;
	uint32_t compared = link->verify_total - link->verify_left;
	char size[BC_SIZE_TEXT], time[BC_SIZE_TEXT];

	printf("%s: ", copy->peer);
	switch (verify_outcome(copy)) {
	case VERIFY_LOST:
		if (bc_known(link, BLKCAST_L_VERIFY_STATE))
			printf("interrupted: the link was lost when %.0f%% was compared",
			       percent(link));
		else
			printf("not compared: no link");
		break;
	case VERIFY_STOPPED:
		printf("stopped when %.0f%% was compared", percent(link));
		break;
	case VERIFY_UNREADABLE:
		printf("%u regions were not compared: this host cannot read them",
		       link->verify_unreadable);
		break;
	case VERIFY_REPAIRED:
		printf("made equal");
		break;
	case VERIFY_DIFFERS:
		printf("differs");
		break;
	case VERIFY_EQUAL:
		printf("equal");
		break;
	}
	if (verify_outcome(copy) != VERIFY_LOST)
		printf(", %s compared in %s",
		       bc_size_format(compared * verify->region, size),
		       bc_duration_format(link->verify_ns, time));
	print_differing(copy);
	putchar('\n');
	print_ranges(verify, copy);
}

static void print_advice(const struct verify *verify, const struct verify_copy *copy)
{
	bool differs = copy->range_count &&
		       !(copy->link.verify_flags & BLKCAST_F_REPAIR);

	if (differs)
		fprintf(stderr, "blkcast: 'blkcast verify %s --peer %s --repair' copies to %s what this host has\n",
			verify->name, copy->peer, copy->peer);
	if (verify_outcome(copy) == VERIFY_LOST)
		fprintf(stderr, "blkcast: when the link to %s is there ('blkcast status %s'), run it again\n",
			copy->peer, verify->name);
	if (verify_outcome(copy) == VERIFY_UNREADABLE)
		fprintf(stderr, "blkcast: this host's device fails: look into the kernel's log, consider another primary\n");
}

void verify_print_text(const struct verify *verify)
{
	for (size_t i = 0; i < verify->count; i++)
		print_copy(verify, &verify->copies[i]);
	fflush(stdout);
	for (size_t i = 0; i < verify->count; i++)
		print_advice(verify, &verify->copies[i]);
}

static void add_number(struct json_object *to, const char *key, uint64_t value)
{
	json_object_object_add(to, key, json_object_new_uint64(value));
}

static struct json_object *copy_object(const struct verify *verify,
				       const struct verify_copy *copy)
{
	struct json_object *to = json_object_new_object();
	struct json_object *ranges = json_object_new_array();
	const struct bc_link *link = &copy->link;
	char seconds[32];

	snprintf(seconds, sizeof(seconds), "%.6f", link->verify_ns / 1e9);
	json_object_object_add(to, "peer", json_object_new_string(copy->peer));
	json_object_object_add(to, "result", json_object_new_string(
			       outcome_names[verify_outcome(copy)]));
	add_number(to, "bytes", link->verify_total * verify->region);
	add_number(to, "left_bytes", link->verify_left * verify->region);
	add_number(to, "differing_regions", link->verify_differ);
	add_number(to, "differing_bytes", link->verify_bytes);
	add_number(to, "unreadable_regions", link->verify_unreadable);
	json_object_object_add(to, "seconds", json_object_new_double_s(
			       link->verify_ns / 1e9, seconds));
	for (size_t i = 0; i < copy->range_count; i++) {
		struct json_object *range = json_object_new_object();

		add_number(range, "offset", range_offset(verify, &copy->ranges[i]));
		add_number(range, "length", range_length(verify, &copy->ranges[i]));
		json_object_array_add(ranges, range);
	}
	json_object_object_add(to, "ranges", ranges);
	return to;
}

void verify_print_json(const struct verify *verify)
{
	struct json_object *root = json_object_new_object();
	struct json_object *copies = json_object_new_array();

	for (size_t i = 0; i < verify->count; i++)
		json_object_array_add(copies, copy_object(verify, &verify->copies[i]));
	json_object_object_add(root, "volume", json_object_new_string(verify->name));
	json_object_object_add(root, "copies", copies);
	printf("%s\n", json_object_to_json_string_ext(root,
						      JSON_C_TO_STRING_PRETTY |
						      JSON_C_TO_STRING_SPACED |
						      JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(root);
}
