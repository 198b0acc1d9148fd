// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * crc32c: a byte table made at first use, or SSE4.2's instruction.  The table
 * is the reflected polynomial 0x82f63b78 (RFC 3720, appendix B.4 has vectors).
 */
#include <pthread.h>
#include <string.h>

#include "crc32c.h"

#define POLYNOMIAL 0x82f63b78U

static uint32_t table[256];

static void table_init(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
		table[i] = crc;
	}
}

static uint32_t update_table(uint32_t crc, const uint8_t *data, size_t len)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, table_init);
	while (len--)
		crc = crc >> 8 ^ table[(crc ^ *data++) & 0xff];
	return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2")))
static uint32_t update_sse42(uint32_t crc, const uint8_t *data, size_t len)
{
	uint64_t wide = crc, word;

	for (; len >= sizeof(word); data += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, data, sizeof(word));
		wide = __builtin_ia32_crc32di(wide, word);
	}
	crc = wide;
	while (len--)
		crc = __builtin_ia32_crc32qi(crc, *data++);
	return crc;
}
#endif

uint32_t bc_crc32c_update(uint32_t crc, const void *data, size_t len)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return update_sse42(crc, data, len);
#endif
	return update_table(crc, data, len);
}

uint32_t bc_crc32c(const void *data, size_t len)
{
	return ~bc_crc32c_update(~0U, data, len);
}
