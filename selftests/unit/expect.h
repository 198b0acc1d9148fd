/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For unit tests that are functions: EXPECT() notes a failure and goes on;
 * run_tests() reports each function of a list as one KTAP result, REPORT() one by
 * its name.
 */
#ifndef UNIT_EXPECT_H
#define UNIT_EXPECT_H

#include "kselftest.h"

static unsigned int __attribute__((unused)) expect_failures;

#define EXPECT(condition) do {						\
	if (!(condition)) {						\
		ksft_print_msg("line %d: %s\n", __LINE__, #condition);	\
		expect_failures++;					\
	}								\
} while (0)

/* A sentence must hold a word; says what it holds otherwise. */
#define EXPECT_SAYS(text, word) do {					\
	if (!strstr(text, word)) {					\
		ksft_print_msg("line %d: '%s' does not say '%s'\n",	\
			       __LINE__, text, word);			\
		expect_failures++;					\
	}								\
} while (0)

#define REPORT(test) do {						\
	expect_failures = 0;						\
	test();								\
	ksft_test_result(!expect_failures, "%s\n", #test);		\
} while (0)

struct unit_test {
	const char *name;
	void (*fn)(void);
};

static int __attribute__((noreturn, unused)) run_tests(const struct unit_test *tests,
						       unsigned int count)
{
	ksft_print_header();
	ksft_set_plan(count);
	for (unsigned int i = 0; i < count; i++) {
		expect_failures = 0;
		tests[i].fn();
		if (expect_failures)
			ksft_test_result_fail("%s\n", tests[i].name);
		else
			ksft_test_result_pass("%s\n", tests[i].name);
	}
	if (ksft_get_fail_cnt())
		ksft_exit_fail();
	ksft_exit_pass();
}

#endif /* UNIT_EXPECT_H */
