/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why a link to us has ended, by the kernel's log.
 */
#ifndef SELFTESTS_TOLD_H
#define SELFTESTS_TOLD_H

#include <stdint.h>

/**
 * struct told - why links ended
 * @log: /dev/kmsg, to be read from where we are
 * @why: the newest one's, or empty
 * @when_us: it was told, by the log's clock
 * @error: of its link
 * @whys: how many were told
 */
struct told {
	int log;
	char why[256];
	uint64_t when_us;
	int error;
	unsigned int whys;
};

int told_open(struct told *told);
/* Read on until the link is down. */
int told_read(struct told *told);
void told_skip(struct told *told);

#endif /* SELFTESTS_TOLD_H */
