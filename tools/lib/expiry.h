/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Until when the certificates in use are good: what the daemon knows, in a file that
 * everybody may read, for the exporter has no right to ask the daemon.
 *
 * It outlives the daemon, as do the links: one that is started anew has shaken no hands
 * with those that are linked already.
 */
#ifndef BC_EXPIRY_H
#define BC_EXPIRY_H

#include "blkcast_disk.h"
#include "error.h"

#define BC_EXPIRY_PEERS	64
#define BC_EXPIRY_SOON_S (30 * 24 * 3600)	/* from then on there are warnings */

/**
 * struct bc_expiry - ends of certificates, in seconds since 1970; 0: not known
 * @own: this host's
 * @authority: of those above it the first that ends
 * @peers, @peer: those that links of this host were made with, the newest last
 */
struct bc_expiry {
	long long own, authority;
	unsigned int peers;
	struct bc_expiry_peer {
		char name[BLKCAST_NAME_MAX];
		long long ends;
	} peer[BC_EXPIRY_PEERS];
};

/* @ends 0: it has none.  When there is no room the oldest goes. */
void bc_expiry_set_peer(struct bc_expiry *expiry, const char *name, long long ends);
long long bc_expiry_peer(const struct bc_expiry *expiry, const char *name);

/* Nothing known: nothing there. */
void bc_expiry_load(struct bc_expiry *expiry);
int bc_expiry_save(const struct bc_expiry *expiry, struct bc_error *error);

#endif /* BC_EXPIRY_H */
