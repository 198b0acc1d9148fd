/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A table of text: columns as wide as their cells, two lines of headings.
 * Where the width does not suffice, columns are left out, those with the
 * highest @drop first.  A group is as wide as its heading at least.
 */
#ifndef _BLKCAST_TABLE_H
#define _BLKCAST_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#define TABLE_CELL_BYTES 160
#define TABLE_WIDTH_ANY (~0U)

enum table_colour {
	TABLE_PLAIN,
	TABLE_GOOD,
	TABLE_WARN,
	TABLE_BAD,
	TABLE_DIM,
	TABLE_HEAD,
};

/**
 * struct table_column - one column
 * @group: heading above the title, shared by neighbours that name the same
 *	string; NULL: none
 * @title: heading
 * @left: align left, else right
 * @drop: 0: always shown
 */
struct table_column {
	const char *group;
	const char *title;
	bool left;
	int drop;
};

struct table;

struct table *table_alloc(const struct table_column *columns, unsigned int count);
void table_free(struct table *table);

/* Start a row; cells that are not set are empty.  False: out of memory. */
bool table_row(struct table *table);

/* Set a cell of the newest row. */
void table_set(struct table *table, unsigned int column, enum table_colour colour,
	       const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Leave out @count columns from @first on, whatever there is room for. */
void table_hide(struct table *table, unsigned int first, unsigned int count);

/* Print within @width characters, in colours if @colours. */
void table_print(struct table *table, FILE *out, unsigned int width, bool colours);

/* Was there room for this column? */
bool table_shown(const struct table *table, unsigned int column);

/* Characters that a UTF-8 text takes on the screen (all of width one). */
unsigned int table_text_width(const char *text);

/* Print @text in @colour if @colours. */
void table_paint(FILE *out, enum table_colour colour, bool colours, const char *text);

#endif /* _BLKCAST_TABLE_H */
