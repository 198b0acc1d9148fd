/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the blocks of text go: redrawn in place on a terminal, one after the
 * other elsewhere.  Decides once what the terminal and the locale allow.
 */
#ifndef _BLKCAST_SCREEN_H
#define _BLKCAST_SCREEN_H

#include <stdbool.h>

/**
 * struct screen - the terminal or the pipe
 * @terminal: standard output is a terminal on which blocks replace each other
 * @colours: terminal, and neither NO_COLOR nor TERM=dumb forbid it
 * @utf8: the locale's character set
 * @width: characters a line, TABLE_WIDTH_ANY in a pipe
 * @height: lines, 0 in a pipe
 * @drawn: lines of the block that stands on the terminal
 */
struct screen {
	bool terminal;
	bool colours;
	bool utf8;
	unsigned int width;
	unsigned int height;
	unsigned int drawn;
};

/* @redraw: blocks replace each other, where that is possible. */
void screen_open(struct screen *screen, bool redraw);

/* Ask for the size again; to be called before a block is composed. */
void screen_measure(struct screen *screen);

/*
 * Show a block in the place of the one before it.  On a terminal what does not
 * fit its height is left out, but not of the last block.  Returns 0 or a
 * negative errno.
 */
int screen_show(struct screen *screen, const char *block, bool last);

void screen_close(struct screen *screen);

#endif /* _BLKCAST_SCREEN_H */
