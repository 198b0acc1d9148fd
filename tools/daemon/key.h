/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pre-shared key: at least 32 printable characters in a file that its
 * owner, root or the daemon's user, alone can read.
 */
#ifndef BC_KEY_H
#define BC_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define KEY_MIN 32
#define KEY_MAX 512

struct key {
	uint8_t bytes[KEY_MAX];
	size_t len;
};

int key_load(struct key *key, const char *path, struct bc_error *error);

#endif /* BC_KEY_H */
