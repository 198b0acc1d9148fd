/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Proving that both ends hold the key, and that nobody changed a message.
 *
 * Both ends absorb every frame, in the order in which it travels (they take
 * turns), into a running SHA-256.  A message's code is
 *
 *	HMAC-SHA256(key, "blkcast control 1" | 0 | sender's role | transcript)
 *
 * where the transcript ends with that very message.  It covers both hellos with
 * their 32-byte nonces and roles, so no code fits another conversation, another
 * place in this one, or the other direction (no reflection).  The key itself
 * never travels.  Codes are compared in constant time.
 */
#ifndef BC_PROOF_H
#define BC_PROOF_H

#include <gnutls/crypto.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "key.h"

#define PROOF_MAC	32
#define PROOF_NONCE	32

enum proof_role { PROOF_PRIMARY = 'P', PROOF_REPLICA = 'R' };

struct proof {
	struct key key;
	gnutls_hash_hd_t transcript;
};

/* @key is copied, and may be set to another one until the first code. */
int proof_init(struct proof *proof, const struct key *key);
void proof_release(struct proof *proof);

/* Add @len bytes of a frame to the transcript. */
int proof_absorb(struct proof *proof, const void *data, size_t len);

/* The code of a message by @sender that has just been absorbed. */
int proof_mac(const struct proof *proof, enum proof_role sender,
	      uint8_t mac[PROOF_MAC]);
bool proof_check(const struct proof *proof, enum proof_role sender,
		 const uint8_t mac[PROOF_MAC]);

#endif /* BC_PROOF_H */
