/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the time goes between a write and its copy: the mean of each stage, and a
 * bar of them.
 */
#ifndef _BLKCAST_BREAKDOWN_H
#define _BLKCAST_BREAKDOWN_H

#include <stdbool.h>
#include <stdint.h>

enum breakdown_part {
	BREAKDOWN_QUEUED,	/* from the write's arrival until it was sent */
	BREAKDOWN_NETWORK,	/* there, and back with the news */
	BREAKDOWN_APPLY,	/* until it was written there */
	BREAKDOWN_PARTS,
};

/**
 * struct breakdown - the stages of a link
 * @known: false: no write came by, nothing to show
 * @ns: mean of each
 */
struct breakdown {
	bool known;
	uint64_t ns[BREAKDOWN_PARTS];
};

/* Bytes that hold a bar of @width characters. */
#define BREAKDOWN_BAR_BYTES(width) (3 * (width) + 1)

/**
 * breakdown_of_means() - from the means of times since the arrival
 * @b: result
 * @sent: mean until sent
 * @received: mean until its receipt was acknowledged, without what the replica had it for
 * @applied: mean until its being written was
 *
 * The means are of writes that came by each stage in the interval, not of the same
 * writes: what would be below 0 is 0.
 */
void breakdown_of_means(struct breakdown *b, uint64_t sent, uint64_t received,
			uint64_t applied);

/**
 * breakdown_bar() - draw it
 * @b: stages
 * @line: result, BREAKDOWN_BAR_BYTES(@width) bytes
 * @width: characters; a stage that is not 0 has one at least
 * @utf8: block elements, else the first letters of the stages
 */
void breakdown_bar(const struct breakdown *b, char *line, unsigned int width, bool utf8);

/* What the characters of the bar mean, in a line. */
const char *breakdown_legend(bool utf8);

#endif /* _BLKCAST_BREAKDOWN_H */
