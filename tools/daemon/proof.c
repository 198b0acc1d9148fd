// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <gnutls/gnutls.h>
#include <string.h>

#include "proof.h"

#define LABEL "blkcast control 1"

int proof_init(struct proof *proof, const struct key *key)
{
	proof->key = *key;
	proof->transcript = NULL;
	return gnutls_hash_init(&proof->transcript, GNUTLS_DIG_SHA256) ? -ENOMEM : 0;
}

void proof_release(struct proof *proof)
{
	if (proof->transcript)
		gnutls_hash_deinit(proof->transcript, NULL);
	proof->transcript = NULL;
	explicit_bzero(&proof->key, sizeof(proof->key));
}

int proof_absorb(struct proof *proof, const void *data, size_t len)
{
	return gnutls_hash(proof->transcript, data, len) ? -EIO : 0;
}

int proof_mac(const struct proof *proof, enum proof_role sender,
	      uint8_t mac[PROOF_MAC])
{
	uint8_t text[sizeof(LABEL) + 1 + 32];
	gnutls_hash_hd_t copy;

	copy = gnutls_hash_copy(proof->transcript);
	if (!copy)
		return -ENOMEM;
	memcpy(text, LABEL, sizeof(LABEL));
	text[sizeof(LABEL)] = sender;
	gnutls_hash_deinit(copy, text + sizeof(LABEL) + 1);
	if (gnutls_hmac_fast(GNUTLS_MAC_SHA256, proof->key.bytes, proof->key.len,
			     text, sizeof(text), mac))
		return -EIO;
	return 0;
}

bool proof_check(const struct proof *proof, enum proof_role sender,
		 const uint8_t mac[PROOF_MAC])
{
	uint8_t expected[PROOF_MAC];

	return !proof_mac(proof, sender, expected) &&
	       !gnutls_memcmp(expected, mac, sizeof(expected));
}
