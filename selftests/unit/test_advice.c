// SPDX-License-Identifier: GPL-2.0-or-later
/* Whether the replicas that are left would serve the reads if one were lost. */
/* links: tools/cli/advice.c */
/* flags: -lm */
#include <math.h>
#include <string.h>

#include "expect.h"
#include "../../tools/cli/advice.h"
#include "util.h"

static void none(void)
{
	struct advice_copy copy = { "a", 10, 0 };
	struct advice a;

	EXPECT(!advice_give(NULL, 0, &a));
	EXPECT(!advice_give(&copy, 1, &a));
}

/* Three replicas at 53% survive one loss, two do not. */
static void three_or_two(void)
{
	struct advice_copy copies[] = { { "a", 53, 100 }, { "b", 53, 100 }, { "c", 53, 100 } };
	struct advice a;

	EXPECT(advice_give(copies, 3, &a));
	EXPECT(a.survives && fabs(a.load - 0.53) < 1e-9 && fabs(a.after - 0.795) < 1e-9);
	EXPECT(advice_give(copies, 2, &a));
	EXPECT(!a.survives && fabs(a.after - 1.06) < 1e-9 && a.enough == 3);
}

/* The largest is missed the most, however little is read from it. */
static void unequal(void)
{
	struct advice_copy copies[] = { { "small", 90, 100 }, { "large", 0, 400 },
					{ "medium", 60, 200 } };
	struct advice a;

	EXPECT(advice_give(copies, 3, &a));
	EXPECT(!strcmp(a.worst, "large") && fabs(a.after - 0.5) < 1e-9 && a.survives);
}

static void the_only_one(void)
{
	struct advice_copy copy = { "a", 0, 100 };
	struct advice a;

	EXPECT(advice_give(&copy, 1, &a));
	EXPECT(isinf(a.after) && !a.survives && a.enough == 2);
}

static void just_enough(void)
{
	struct advice_copy copies[] = { { "a", 50, 100 }, { "b", 50, 100 } };
	struct advice a;

	EXPECT(advice_give(copies, 2, &a));
	EXPECT(a.survives && a.after == 1 && a.enough == 2);
	copies[0].rate++;
	EXPECT(advice_give(copies, 2, &a));
	EXPECT(!a.survives && a.enough == 3);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "nothing known", none },
		{ "three survive, two do not", three_or_two },
		{ "unequal capacities", unequal },
		{ "the only one", the_only_one },
		{ "at the limit", just_enough },
	};

	run_tests(tests, BC_ARRAY_SIZE(tests));
}
