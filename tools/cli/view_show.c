// SPDX-License-Identifier: GPL-2.0-or-later
/* Views, for people and for programs (see view.h). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util.h"
#include "view.h"

static const char *lsn_format(uint64_t lsn, char text[BC_SIZE_TEXT])
{
	snprintf(text, BC_SIZE_TEXT, "%u.%" PRIu64, blkcast_lsn_term(lsn),
		 (uint64_t)blkcast_lsn_seq(lsn));
	return text;
}

static struct json_object *view_json(const struct bc_volume *volume,
				     const struct bc_view *view)
{
	struct json_object *to = json_object_new_object();
	bool broken = view->state != BLKCAST_VIEW_WHOLE;
	char device[2 * BLKCAST_NAME_MAX + 16], text[BC_SIZE_TEXT];
	bool replaced = view->flags & BLKCAST_F_REPLACE;

	snprintf(device, sizeof(device), "/dev/blkcast/%s@%s", volume->name, view->name);
	if (replaced)
		snprintf(device, sizeof(device), "/dev/blkcast%u", view->minor);
	json_object_object_add(to, "name", json_object_new_string(view->name));
	json_object_object_add(to, "device", json_object_new_string(device));
	json_object_object_add(to, "minor", json_object_new_uint64(view->minor));
	json_object_object_add(to, "lsn", json_object_new_uint64(view->lsn));
	json_object_object_add(to, "lsn_text",
			       json_object_new_string(lsn_format(view->lsn, text)));
	snprintf(text, sizeof(text), "%.6f", view->age_ns / 1e9);
	json_object_object_add(to, "age_seconds",
			       json_object_new_double_s(view->age_ns / 1e9, text));
	json_object_object_add(to, "bytes", json_object_new_uint64(view->sectors * 512));
	json_object_object_add(to, "broken", json_object_new_boolean(broken));
	if (broken) {
		json_object_object_add(to, "reason", json_object_new_string(
				       bc_view_state_name(view->state)));
		json_object_object_add(to, "error", json_object_new_string(
				       strerror(view->error)));
	}
	json_object_object_add(to, "doubt_regions", json_object_new_uint64(view->doubt));
	json_object_object_add(to, "passed_regions", json_object_new_uint64(view->passed));
	json_object_object_add(to, "replaced", json_object_new_boolean(replaced));
	json_object_object_add(to, "openers", json_object_new_uint64(view->openers));
	json_object_object_add(to, "store",
			       json_object_new_string(bc_store_name(view->store)));
	json_object_object_add(to, "store_bytes", json_object_new_uint64(view->store_bytes));
	json_object_object_add(to, "store_used_bytes",
			       json_object_new_uint64(view->store_used));
	return to;
}

struct json_object *view_list_json(const struct bc_volume *volume)
{
	struct json_object *list = json_object_new_array();

	for (uint32_t i = 0; i < volume->views; i++)
		json_object_array_add(list, view_json(volume, &volume->view[i]));
	return list;
}

static void view_print(const struct bc_volume *volume, const struct bc_view *view)
{
	char age[BC_SIZE_TEXT], lsn[BC_SIZE_TEXT], used[BC_SIZE_TEXT], room[BC_SIZE_TEXT];

	if (view->flags & BLKCAST_F_REPLACE)
		printf("/dev/blkcast%u (%s)  ", view->minor, view->name);
	else
		printf("/dev/blkcast/%s@%s  ", volume->name, view->name);
	if (view->state != BLKCAST_VIEW_WHOLE) {
		printf("BROKEN: %s\n", bc_view_state_name(view->state));
		return;
	}
	printf("at %s, %s old, keeps %s of %s (%s)", lsn_format(view->lsn, lsn),
	       bc_duration_format(view->age_ns, age),
	       bc_size_format(view->store_used, used),
	       bc_size_format(view->store_bytes, room), bc_store_name(view->store));
	if (view->doubt)
		printf(", %u regions in doubt", view->doubt);
	if (view->flags & BLKCAST_F_REPLACE)
		printf(", replaced: goes when it is closed");
	else if (view->openers)
		printf(", open");
	printf("\n");
}

void view_list_print(const struct bc_volume *volume, const char *indent)
{
	for (uint32_t i = 0; i < volume->views; i++) {
		fputs(indent, stdout);
		view_print(volume, &volume->view[i]);
	}
}
