/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * By what this host proves itself, and what it takes from others: the key that all have,
 * or certificates.
 */
#ifndef BC_SECRETS_H
#define BC_SECRETS_H

#include <stdbool.h>

#include "certs.h"
#include "config.h"
#include "key.h"

/**
 * struct secrets - what links are made with
 * @ring: the keys, the first is this host's; may be none
 * @certs: NULL: links by the key
 * @takes_key: connections by the key are taken
 */
struct secrets {
	struct keyring ring;
	struct certs *certs;
	bool takes_key;
};

int secrets_load(struct secrets *secrets, const struct bc_daemon_config *config,
		 struct bc_error *error);
void secrets_release(struct secrets *secrets);

#endif /* BC_SECRETS_H */
