// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define DEPTH_MAX 8

void json_put_text(struct json_object *to, const char *key, const char *text)
{
	json_object_object_add(to, key, json_object_new_string(text));
}

void json_put_number(struct json_object *to, const char *key, uint64_t value)
{
	json_object_object_add(to, key, json_object_new_uint64(value));
}

void json_put_hex64(struct json_object *to, const char *key, uint64_t value)
{
	char text[20];

	snprintf(text, sizeof(text), "%016" PRIx64, value);
	json_put_text(to, key, text);
}

void json_put_bytes(struct json_object *to, const char *key, const void *data,
		    size_t len)
{
	const uint8_t *bytes = data;
	char text[129];

	for (size_t i = 0; i < len && 2 * i + 2 < sizeof(text); i++)
		sprintf(text + 2 * i, "%02x", bytes[i]);
	json_put_text(to, key, text);
}

const char *json_get_text(struct json_object *from, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(from, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return NULL;
	if (strlen(json_object_get_string(value)) !=
	    (size_t)json_object_get_string_len(value))
		return NULL;
	return json_object_get_string(value);
}

int json_get_number(struct json_object *from, const char *key, uint64_t max,
		    uint64_t *value)
{
	struct json_object *number;

	if (!json_object_object_get_ex(from, key, &number) ||
	    !json_object_is_type(number, json_type_int) ||
	    json_object_get_int64(number) < 0)
		return -EBADMSG;
	*value = json_object_get_uint64(number);
	return *value > max ? -EBADMSG : 0;
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? at - digits : -1;
}

int json_get_bytes(struct json_object *from, const char *key, void *data,
		   size_t len)
{
	const char *text = json_get_text(from, key);
	uint8_t *bytes = data;

	if (!text || strlen(text) != 2 * len)
		return -EBADMSG;
	for (size_t i = 0; i < len; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EBADMSG;
		bytes[i] = high << 4 | low;
	}
	return 0;
}

int json_get_hex64(struct json_object *from, const char *key, uint64_t *value)
{
	uint8_t bytes[8];

	if (json_get_bytes(from, key, bytes, sizeof(bytes)))
		return -EBADMSG;
	*value = 0;
	for (size_t i = 0; i < sizeof(bytes); i++)
		*value = *value << 8 | bytes[i];
	return 0;
}

struct json_object *json_parse(const char *text, size_t len)
{
	struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
	struct json_object *object;

	if (!tokener)
		return NULL;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT |
			       JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tokener, text, len);
	if (json_tokener_get_error(tokener) != json_tokener_success ||
	    json_tokener_get_parse_end(tokener) != len ||
	    !json_object_is_type(object, json_type_object)) {
		json_object_put(object);
		object = NULL;
	}
	json_tokener_free(tokener);
	return object;
}
