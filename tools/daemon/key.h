/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pre-shared key: at least 32 printable characters in a file that its
 * owner, root or the daemon's user, alone can read.
 */
#ifndef BC_KEY_H
#define BC_KEY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"

#define KEY_MIN 32
#define KEY_MAX 512

struct key {
	uint8_t bytes[KEY_MAX];
	size_t len;
};

int key_load(struct key *key, const char *path, struct bc_error *error);

/*
 * Open a file that has to be root's, or this user's, and of which @forbidden, bits of
 * its mode, are not set.  @what: "the key file"; @advice: what to do about the mode.
 */
int key_open(const char *path, mode_t forbidden, const char *what, const char *advice,
	     struct bc_error *error);

#endif /* BC_KEY_H */
