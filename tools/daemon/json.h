/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Strict reading of JSON objects: a missing field, another type or a value out
 * of range is an error, never a default.
 */
#ifndef BC_JSON_H
#define BC_JSON_H

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

void json_put_text(struct json_object *to, const char *key, const char *text);
void json_put_number(struct json_object *to, const char *key, uint64_t value);
/* 64 bits as 16 hex digits: many readers take numbers as doubles. */
void json_put_hex64(struct json_object *to, const char *key, uint64_t value);
void json_put_bytes(struct json_object *to, const char *key, const void *data,
		    size_t len);

/* NULL: not there or no text. */
const char *json_get_text(struct json_object *from, const char *key);
/* 0..max, or -EBADMSG */
int json_get_number(struct json_object *from, const char *key, uint64_t max,
		    uint64_t *value);
int json_get_hex64(struct json_object *from, const char *key, uint64_t *value);
int json_get_bytes(struct json_object *from, const char *key, void *data,
		   size_t len);

/* One object and nothing behind it, not nested deeply; NULL otherwise. */
struct json_object *json_parse(const char *text, size_t len);

#endif /* BC_JSON_H */
