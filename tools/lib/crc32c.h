/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crc32c (Castagnoli), as in blkcast_disk.h: initial value ~0, inverted at the
 * end.  Uses the CPU's instruction where there is one.
 */
#ifndef BC_CRC32C_H
#define BC_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of @len bytes. */
uint32_t bc_crc32c(const void *data, size_t len);

/* For data in pieces: start with ~0U, invert the last result. */
uint32_t bc_crc32c_update(uint32_t crc, const void *data, size_t len);

#endif /* BC_CRC32C_H */
