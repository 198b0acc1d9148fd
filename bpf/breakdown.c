// SPDX-License-Identifier: GPL-2.0-or-later
/* Where the time goes between a write and its copy; see breakdown.h. */
#include <string.h>

#include "breakdown.h"

static const char *const marks_utf8[BREAKDOWN_PARTS] = { "░", "▒", "█" };
static const char *const marks_ascii[BREAKDOWN_PARTS] = { "q", "n", "a" };

void breakdown_of_means(struct breakdown *b, uint64_t sent, uint64_t received,
			uint64_t applied)
{
	b->known = true;
	b->ns[BREAKDOWN_QUEUED] = sent;
	b->ns[BREAKDOWN_NETWORK] = received > sent ? received - sent : 0;
	b->ns[BREAKDOWN_APPLY] = applied > received ? applied - received : 0;
}

/* Characters of each stage: in proportion, the largest gives what others lack. */
static void bar_divide(const struct breakdown *b, unsigned int width, unsigned int *chars)
{
	unsigned int used = 0, largest = 0;
	double total = 0;

	for (unsigned int i = 0; i < BREAKDOWN_PARTS; i++) {
		total += (double)b->ns[i];
		if (b->ns[i] > b->ns[largest])
			largest = i;
	}
	for (unsigned int i = 0; i < BREAKDOWN_PARTS; i++) {
		chars[i] = b->ns[i] ? (unsigned int)((double)b->ns[i] / total * width + 0.5) : 0;
		if (b->ns[i] && !chars[i])
			chars[i] = 1;
		used += chars[i];
	}
	if (total > 0)
		chars[largest] += width - used;
}

void breakdown_bar(const struct breakdown *b, char *line, unsigned int width, bool utf8)
{
	const char *const *marks = utf8 ? marks_utf8 : marks_ascii;
	unsigned int chars[BREAKDOWN_PARTS] = { 0 };

	*line = '\0';
	if (!b->known)
		return;
	bar_divide(b, width, chars);
	for (unsigned int i = 0; i < BREAKDOWN_PARTS; i++)
		for (unsigned int n = 0; n < chars[i]; n++)
			line = stpcpy(line, marks[i]);
}

const char *breakdown_legend(bool utf8)
{
	return utf8 ? "░ queued here  ▒ network, there and back  █ applying there" :
		      "q queued here  n network, there and back  a applying there";
}
