// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A mutator for inputs that are lines, with JSON objects behind one character or of
 * any other text: it changes a value, takes a key away, repeats, drops or changes one
 * line, so that most of what comes out still is JSON.  Every third time it leaves all
 * to libFuzzer's own.
 */
#include <json-c/json.h>

#include "fuzz.h"

#define LINES_MAX 32

struct line {
	const uint8_t *text;
	size_t len;
};

static unsigned int random_below(unsigned int *seed, unsigned int n)
{
	return rand_r(seed) % n;
}

static struct json_object *number(unsigned int *seed)
{
	static const uint64_t edges[] = {
		0, 1, 2, 3, 4, 15, 16, 22, 23, 63, 64, 511, 512, 4096, 600000, 600001,
		(1 << 20) - 1, 1 << 20, (1 << 24) - 1, 1 << 24, INT32_MAX, UINT32_MAX,
		1ULL << 32, INT64_MAX - 511, INT64_MAX, 1ULL << 63, UINT64_MAX,
	};

	if (!random_below(seed, 8))
		return json_object_new_int64(-(int64_t)random_below(seed, 3));
	return json_object_new_uint64(edges[random_below(seed, BC_ARRAY_SIZE(edges))]);
}

static struct json_object *text(unsigned int *seed, struct json_object *old, size_t max)
{
	static const char * const words[] = {
		"", "data", "g1", "g2", "..", "-", "0000000000000000", "ffffffffffffffff",
		"0000000000000001", "hello", "proof", "offer", "accept", "refuse", "forget",
		"forgotten", "describe", "fetch", "adopt", "answer", "primary", "replica",
		"status", "reload", "hold", "wait-link", "\xc3\xa4\xc3\xa4\xc3\xa4", "\a\033[2J",
	};
	char copy[256];
	size_t len;

	if (!json_object_is_type(old, json_type_string) || !random_below(seed, 2))
		return json_object_new_string(words[random_below(seed, BC_ARRAY_SIZE(words))]);
	len = json_object_get_string_len(old);
	if (len > sizeof(copy) / 2)
		len = sizeof(copy) / 2;
	memcpy(copy, json_object_get_string(old), len);
	if (len && random_below(seed, 2))	/* a digit of a number in hex */
		copy[random_below(seed, len)] = "0123456789abcdefg"[random_below(seed, 17)];
	else
		len = LLVMFuzzerMutate((uint8_t *)copy, len,
				       max < sizeof(copy) ? max : sizeof(copy));
	return json_object_new_string_len(copy, len);
}

static struct json_object *value(unsigned int *seed, struct json_object *old, size_t max)
{
	switch (random_below(seed, 8)) {
	case 0:
		return json_object_new_array();
	case 1:
		return json_object_new_boolean(random_below(seed, 2));
	case 2:
		return NULL;
	case 3:
		return number(seed);
	case 4:
		return text(seed, old, max);
	default:
		return json_object_is_type(old, json_type_int) ? number(seed) :
		       text(seed, old, max);
	}
}

/* Repeat, drop or change an element. */
static void mutate_array(struct json_object *array, unsigned int *seed, size_t max);

static void mutate_object(struct json_object *object, unsigned int *seed, size_t max)
{
	int at = random_below(seed, json_object_object_length(object) + 1);

	json_object_object_foreach(object, key, old) {
		if (at--)
			continue;
		if (json_object_is_type(old, json_type_array) && random_below(seed, 4))
			mutate_array(old, seed, max);
		else if (!random_below(seed, 8))
			json_object_object_del(object, key);
		else
			json_object_object_add(object, key, value(seed, old, max));
		return;
	}
	json_object_object_add(object, "type", text(seed, NULL, max));
}

static void mutate_array(struct json_object *array, unsigned int *seed, size_t max)
{
	size_t count = json_object_array_length(array), at;
	struct json_object *entry, *copy = NULL;

	if (!count)
		return;
	at = random_below(seed, count);
	entry = json_object_array_get_idx(array, at);
	if (!random_below(seed, 4)) {
		json_object_array_del_idx(array, at, 1);
	} else if (!random_below(seed, 3)) {
		json_object_deep_copy(entry, &copy, NULL);
		json_object_array_add(array, copy);
	} else if (json_object_is_type(entry, json_type_object)) {
		mutate_object(entry, seed, max);
	} else {
		json_object_array_put_idx(array, at, value(seed, entry, max));
	}
}

static size_t split(const uint8_t *data, size_t size, struct line *lines)
{
	size_t count = 0, at = 0;

	while (at < size && count < LINES_MAX) {
		const uint8_t *end = memchr(data + at, '\n', size - at);
		size_t len = end ? (size_t)(end - data) - at : size - at;

		lines[count++] = (struct line){ data + at, len };
		at += len + 1;
	}
	return count;
}

/* The line's object changed, or NULL. */
static struct json_object *mutate_line(const struct line *line, unsigned int *seed, size_t max)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *object = NULL;

	if (line->len > 2)
		object = json_tokener_parse_ex(tokener, (char *)line->text + 1, line->len - 1);
	json_tokener_free(tokener);
	if (!json_object_is_type(object, json_type_object)) {
		json_object_put(object);
		return NULL;
	}
	mutate_object(object, seed, max);
	return object;
}

static void put_line(FILE *out, const struct line *line)
{
	fwrite(line->text, 1, line->len, out);
	fputc('\n', out);
}

static void put_changed(FILE *out, const struct line *line, unsigned int *seed, size_t max)
{
	struct json_object *object = mutate_line(line, seed, max);
	uint8_t copy[512];
	size_t len;

	if (object) {
		fprintf(out, "%c%s\n", *line->text,
			json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	} else {	/* no JSON, but a line */
		len = line->len < sizeof(copy) / 2 ? line->len : sizeof(copy) / 2;
		memcpy(copy, line->text, len);
		len = LLVMFuzzerMutate(copy, len, max < sizeof(copy) ? max : sizeof(copy));
		put_line(out, &(struct line){ copy, len });
	}
	json_object_put(object);
}

static void put_lines(FILE *out, const struct line *lines, size_t count, unsigned int *seed,
		      size_t max)
{
	size_t chosen = 1 + random_below(seed, count - 1);
	unsigned int what = random_below(seed, 12);

	for (size_t i = 0; i < count; i++) {
		if (i != chosen)
			put_line(out, &lines[i]);
		else if (what > 2)
			put_changed(out, &lines[i], seed, max);
		else if (what)	/* 0: drop it, 1: twice, 2: in place of another */
			put_line(out, &lines[i]);
		if (i == chosen && what && what < 3)
			put_line(out, &lines[what == 1 ? i : random_below(seed, count)]);
	}
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	struct line lines[LINES_MAX];
	size_t count, len;
	char *text;
	FILE *out;

	count = split(data, size, lines);
	if (count < 2 || !random_below(&seed, 3))
		return LLVMFuzzerMutate(data, size, max);
	out = open_memstream(&text, &len);
	MUST(out);
	put_lines(out, lines, count, &seed, max);
	fclose(out);
	len = len < max ? len : max;
	memcpy(data, text, len);
	free(text);
	return len;
}
