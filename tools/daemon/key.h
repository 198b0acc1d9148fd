/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pre-shared keys: at least 32 printable characters each, one a line, in a file
 * that its owner, root or the daemon's user, alone can read.
 *
 * The first is what this host proves itself by.  While the hosts change from one key
 * to the next the file holds both, and either is taken from others: whoever dials says
 * by its id which one it has.
 */
#ifndef BC_KEY_H
#define BC_KEY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"

#define KEY_MIN 32
#define KEY_MAX 512
#define KEYS_MAX 4
#define KEY_ID	17	/* with its final 0 */

struct key {
	uint8_t bytes[KEY_MAX];
	size_t len;
};

struct keyring {
	struct key key[KEYS_MAX];
	unsigned int count;
};

int keyring_load(struct keyring *ring, const char *path, struct bc_error *error);
/* NULL: none with that id. */
const struct key *keyring_find(const struct keyring *ring, const char *id);

/* A name that tells nothing else of the key; "" without memory. */
const char *key_id(const struct key *key, char id[KEY_ID]);

/*
 * Open a file that has to be root's, or this user's, and of which @forbidden, bits of
 * its mode, are not set.  @what: "the key file"; @advice: what to do about the mode.
 */
int key_open(const char *path, mode_t forbidden, const char *what, const char *advice,
	     struct bc_error *error);

#endif /* BC_KEY_H */
