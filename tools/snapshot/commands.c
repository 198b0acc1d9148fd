// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the subcommands share (see commands.h).
 */
#include <stdio.h>
#include <json-c/json.h>

#include "../lib/util.h"
#include "commands.h"

void json_add_text(struct json_object *object, const char *key, const char *value)
{
	json_object_object_add(object, key, json_object_new_string(value));
}

void json_add_u64(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

void json_add_bool(struct json_object *object, const char *key, int value)
{
	json_object_object_add(object, key, json_object_new_boolean(value));
}

void json_print(struct json_object *object)
{
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
						    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}

void report_rate(const char *what, uint64_t bytes, double seconds)
{
	char size[BC_SIZE_TEXT], rate[BC_SIZE_TEXT];

	fprintf(stderr, "%s: %s, %.1f s, %s/s", what, bc_size_format(bytes, size), seconds,
		bc_size_format(bytes / (seconds + 1e-9), rate));
}
