// SPDX-License-Identifier: GPL-2.0-or-later
/* Where the blocks of text go; see screen.h. */
#include <errno.h>
#include <langinfo.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "screen.h"
#include "table.h"

/* While a block is drawn: no cursor, and a long line is cut, not wrapped. */
#define DRAW_BEGIN	"\033[?25l\033[?7l"
#define DRAW_END	"\033[?7h\033[?25h"
#define CLEAR_LINE	"\033[K"
#define CLEAR_BELOW	"\033[J"

static bool colours_wanted(void)
{
	const char *none = getenv("NO_COLOR"), *term = getenv("TERM");

	return !(none && *none) && term && strcmp(term, "dumb");
}

void screen_measure(struct screen *screen)
{
	struct winsize size;

	if (!screen->terminal)
		return;
	screen->width = 80;
	screen->height = 24;
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col && size.ws_row) {
		screen->width = size.ws_col;
		screen->height = size.ws_row;
	}
}

void screen_open(struct screen *screen, bool redraw)
{
	memset(screen, 0, sizeof(*screen));
	screen->terminal = redraw && isatty(STDOUT_FILENO);
	screen->colours = screen->terminal && colours_wanted();
	screen->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	screen->width = TABLE_WIDTH_ANY;
	screen_measure(screen);
}

/* Print line by line over what stood there, at most so many lines. */
static void redraw(struct screen *screen, const char *block, unsigned int most)
{
	unsigned int lines = 0;

	fputs(DRAW_BEGIN, stdout);
	if (screen->drawn)
		printf("\033[%uA\r", screen->drawn);
	while (*block && lines < most) {
		size_t length = strcspn(block, "\n");

		printf("%.*s" CLEAR_LINE "\n", (int)length, block);
		block += length + (block[length] == '\n');
		lines++;
	}
	fputs(CLEAR_BELOW DRAW_END, stdout);
	screen->drawn = lines;
}

int screen_show(struct screen *screen, const char *block, bool last)
{
	if (screen->terminal)
		redraw(screen, block, last ? UINT_MAX : screen->height - 1);
	else
		fputs(block, stdout);
	return fflush(stdout) ? -errno : 0;
}

void screen_close(struct screen *screen)
{
	if (screen->terminal)
		fputs(DRAW_END, stdout);
	fflush(stdout);
}
