/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers by lot, for programs that make things wrong; who seeds random() gets the same
 * ones again.
 */
#ifndef SELFTESTS_LOT_H
#define SELFTESTS_LOT_H

#include <stdint.h>
#include <stdlib.h>

/* 0: of all 64 bits. */
static inline uint64_t lot(uint64_t below)
{
	uint64_t n = (uint64_t)random() << 62 ^ (uint64_t)random() << 31 ^ random();

	return below ? n % below : n;
}

static inline int one_in(unsigned int n)
{
	return !(random() % n);
}

/* In place of @now, a value at which bounds of any field may be wrong. */
static inline uint64_t lot_bound(uint64_t now)
{
	uint64_t power = 1ULL << lot(64);

	switch (lot(8)) {
	case 0: return 0;
	case 1: return now + 1;
	case 2: return now - 1;
	case 3: return power;
	case 4: return power - 1;
	case 5: return -power;
	case 6: return now ^ power;
	default: return lot(0);
	}
}

#endif /* SELFTESTS_LOT_H */
