// SPDX-License-Identifier: GPL-2.0-or-later
/* A table of text; see table.h. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

#define COLUMNS_MAX 32
#define GAP 2

struct cell {
	char text[TABLE_CELL_BYTES];
	enum table_colour colour;
};

/* What is shown of a table, and how wide. */
struct layout {
	bool shown[COLUMNS_MAX];
	unsigned int width[COLUMNS_MAX];
};

struct table {
	const struct table_column *columns;
	unsigned int count;
	unsigned int rows;
	struct cell *cells;	/* rows of @count */
	bool hidden[COLUMNS_MAX];
	struct layout layout;	/* as it was printed last */
};

struct table *table_alloc(const struct table_column *columns, unsigned int count)
{
	struct table *table;

	if (count > COLUMNS_MAX)
		return NULL;
	table = calloc(1, sizeof(*table));
	if (!table)
		return NULL;
	table->columns = columns;
	table->count = count;
	return table;
}

void table_free(struct table *table)
{
	if (!table)
		return;
	free(table->cells);
	free(table);
}

static struct cell *cell_at(const struct table *table, unsigned int row, unsigned int column)
{
	return &table->cells[(size_t)row * table->count + column];
}

bool table_row(struct table *table)
{
	struct cell *cells = reallocarray(table->cells, (size_t)table->rows + 1,
					  table->count * sizeof(*cells));

	if (!cells)
		return false;
	table->cells = cells;
	memset(cell_at(table, table->rows, 0), 0, table->count * sizeof(*cells));
	table->rows++;
	return true;
}

void table_set(struct table *table, unsigned int column, enum table_colour colour,
	       const char *format, ...)
{
	struct cell *cell = cell_at(table, table->rows - 1, column);
	va_list args;

	va_start(args, format);
	vsnprintf(cell->text, sizeof(cell->text), format, args);
	va_end(args);
	cell->colour = colour;
}

void table_hide(struct table *table, unsigned int first, unsigned int count)
{
	for (unsigned int c = first; c < first + count; c++)
		table->hidden[c] = true;
}

unsigned int table_text_width(const char *text)
{
	unsigned int width = 0;

	for (; *text; text++)
		width += (*text & 0xc0) != 0x80;
	return width;
}

void table_paint(FILE *out, enum table_colour colour, bool colours, const char *text)
{
	static const char *const codes[] = {
		[TABLE_GOOD] = "32", [TABLE_WARN] = "33", [TABLE_BAD] = "31;1",
		[TABLE_DIM] = "2", [TABLE_HEAD] = "1",
	};

	if (colours && colour != TABLE_PLAIN)
		fprintf(out, "\033[%sm%s\033[0m", codes[colour], text);
	else
		fputs(text, out);
}

static void layout_measure(const struct table *table, struct layout *layout)
{
	for (unsigned int c = 0; c < table->count; c++) {
		layout->shown[c] = !table->hidden[c];
		layout->width[c] = table_text_width(table->columns[c].title);
		for (unsigned int r = 0; r < table->rows; r++) {
			unsigned int width = table_text_width(cell_at(table, r, c)->text);

			if (width > layout->width[c])
				layout->width[c] = width;
		}
	}
}

static unsigned int layout_width(const struct table *table, const struct layout *layout)
{
	unsigned int width = 0;

	for (unsigned int c = 0; c < table->count; c++)
		if (layout->shown[c])
			width += layout->width[c] + (width ? GAP : 0);
	return width;
}

/* The group of columns that begins at @first: its end and its width. */
static unsigned int group_end(const struct table *table, const struct layout *layout,
			      unsigned int first, unsigned int *width)
{
	const char *group = table->columns[first].group;
	unsigned int c;

	*width = 0;
	for (c = first; c < table->count; c++) {
		if (table->columns[c].group != group || (!group && c > first))
			break;
		if (layout->shown[c])
			*width += layout->width[c] + (*width ? GAP : 0);
	}
	return c;
}

/* The last column of a group gives what its heading lacks. */
static void layout_fit(const struct table *table, struct layout *layout)
{
	unsigned int width, end, last, want;

	for (unsigned int c = 0; c < table->count; c = end) {
		end = group_end(table, layout, c, &width);
		if (!width || !table->columns[c].group)
			continue;
		want = table_text_width(table->columns[c].group);
		for (last = end - 1; !layout->shown[last]; last--)
			;
		if (width < want)
			layout->width[last] += want - width;
	}
}

/* Leave out the column that matters least; false when none can go. */
static bool layout_drop(const struct table *table, struct layout *layout)
{
	int victim = -1;

	for (unsigned int c = 0; c < table->count; c++)
		if (layout->shown[c] && table->columns[c].drop > 0 &&
		    (victim < 0 || table->columns[c].drop > table->columns[victim].drop))
			victim = (int)c;
	if (victim < 0)
		return false;
	layout->shown[victim] = false;
	return true;
}

static void print_spaces(FILE *out, unsigned int count)
{
	fprintf(out, "%*s", (int)count, "");
}

static bool groups_shown(const struct table *table, const struct layout *layout)
{
	for (unsigned int c = 0; c < table->count; c++)
		if (layout->shown[c] && table->columns[c].group)
			return true;
	return false;
}

static void print_groups(const struct table *table, const struct layout *layout,
			 FILE *out, bool colours)
{
	unsigned int width, end, pending = 0;

	if (!groups_shown(table, layout))
		return;
	for (unsigned int c = 0; c < table->count; c = end) {
		end = group_end(table, layout, c, &width);
		if (!width)
			continue;
		if (!table->columns[c].group) {
			pending += width + GAP;
			continue;
		}
		print_spaces(out, pending + width - table_text_width(table->columns[c].group));
		table_paint(out, TABLE_HEAD, colours, table->columns[c].group);
		pending = GAP;
	}
	fputc('\n', out);
}

/* Print one line; @text and @colour say what stands in a column. */
static void print_cell(FILE *out, const struct table_column *column, unsigned int width,
		       bool last, const char *text, enum table_colour colour, bool colours)
{
	unsigned int pad = width - table_text_width(text);

	if (!column->left)
		print_spaces(out, pad);
	table_paint(out, colour, colours, text);
	if (column->left && !last)
		print_spaces(out, pad);
	if (!last)
		print_spaces(out, GAP);
}

static unsigned int layout_last(const struct table *table, const struct layout *layout)
{
	unsigned int last = table->count - 1;

	while (last && !layout->shown[last])
		last--;
	return last;
}

static void print_line(const struct table *table, const struct layout *layout, FILE *out,
		       const struct cell *cells, bool colours)
{
	unsigned int last = layout_last(table, layout);

	for (unsigned int c = 0; c <= last; c++) {
		const struct table_column *column = &table->columns[c];

		if (!layout->shown[c])
			continue;
		print_cell(out, column, layout->width[c], c == last,
			   cells ? cells[c].text : column->title,
			   cells ? cells[c].colour : TABLE_HEAD, colours);
	}
	fputc('\n', out);
}

void table_print(struct table *table, FILE *out, unsigned int width, bool colours)
{
	struct layout *layout = &table->layout;

	layout_measure(table, layout);
	layout_fit(table, layout);
	while (width != TABLE_WIDTH_ANY && layout_width(table, layout) > width) {
		if (!layout_drop(table, layout))
			break;
		layout_fit(table, layout);
	}
	print_groups(table, layout, out, colours);
	print_line(table, layout, out, NULL, colours);
	for (unsigned int r = 0; r < table->rows; r++)
		print_line(table, layout, out, cell_at(table, r, 0), colours);
}

bool table_shown(const struct table *table, unsigned int column)
{
	return table->layout.shown[column];
}
