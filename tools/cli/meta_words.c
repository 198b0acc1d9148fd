// SPDX-License-Identifier: GPL-2.0-or-later
/* States of metadata in words, for people and for programs. */
#include "meta_view.h"

const char *meta_copy_word(const struct meta_view *view, int copy)
{
	static const char * const words[] = {
		[BC_BLOCK_NONE] = "missing",
		[BC_BLOCK_UNREADABLE] = "unreadable",
		[BC_BLOCK_DAMAGED] = "damaged",
	};

	if (view->copies[copy].state != BC_BLOCK_GOOD)
		return words[view->copies[copy].state];
	if (view->chosen < 0 || view->chosen == copy)
		return "valid";
	return view->copies[copy].super.generation ==
	       view->meta.super.generation ? "valid" : "older";
}

const char *meta_region_word(enum bc_region_state state)
{
	static const char * const words[] = {
		[BC_REGION_NEVER] = "never-written",
		[BC_REGION_WRITTEN] = "written",
		[BC_REGION_DOUBT] = "in-doubt",
		[BC_REGION_BAD] = "bad",
	};

	return words[state];
}

const char *meta_level_word(enum bc_finding_level level)
{
	static const char * const words[] = {
		[BC_FINDING_WARNING] = "warning",
		[BC_FINDING_ERROR] = "error",
		[BC_FINDING_FATAL] = "fatal",
	};

	return words[level];
}
