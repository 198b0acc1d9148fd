/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's log: stderr, a line a message; under systemd with the priority
 * in front, as its journal understands.
 */
#ifndef BC_LOG_H
#define BC_LOG_H

#include <syslog.h>

void log_init(void);
void log_print(int priority, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...)	log_print(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_print(LOG_WARNING, __VA_ARGS__)
#define log_info(...)	log_print(LOG_INFO, __VA_ARGS__)

#endif /* BC_LOG_H */
