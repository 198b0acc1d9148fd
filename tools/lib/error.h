/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One way to report what went wrong: functions of tools/lib return 0 (or a
 * useful value >= 0) or a negative errno, and leave a whole sentence in a
 * struct bc_error that the caller owns.  The sentence says which volume or
 * file, what was expected and found, and what to do; it carries no program
 * name and no newline.
 */
#ifndef BC_ERROR_H
#define BC_ERROR_H

#define BC_ERROR_MAX 512

struct bc_error {
	char text[BC_ERROR_MAX];
};

/* Store a sentence and return @err (negative), so that it can be returned. */
int bc_fail(struct bc_error *error, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same, with ": strerror(-err)" appended. */
int bc_fail_errno(struct bc_error *error, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Put "fmt: " before the sentence that stands there. */
void bc_error_prefix(struct bc_error *error, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* For clang's analyzer, which does not look into functions like these: they return @err. */
#ifdef __clang_analyzer__
#define bc_fail(error, err, ...) \
	({ int err_ = (err); bc_fail(error, err_, __VA_ARGS__); err_; })
#define bc_fail_errno(error, err, ...) \
	({ int err_ = (err); bc_fail_errno(error, err_, __VA_ARGS__); err_; })
#endif

#endif /* BC_ERROR_H */
