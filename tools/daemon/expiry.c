// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Until when certificates are good (lib/expiry.h): this host's own since it was loaded, a
 * peer's since its link was made.
 */
#include <string.h>

#include "daemon.h"
#include "log.h"

static void save(struct daemon *daemon)
{
	struct bc_error error;

	if (bc_expiry_save(&daemon->expiry, &error))
		log_error("%s", error.text);
}

void expiry_loaded(struct daemon *daemon)
{
	const struct certs *certs = daemon->secrets.certs;
	struct bc_expiry *expiry = &daemon->expiry;

	if (certs) {
		if (!expiry->own)
			bc_expiry_load(expiry);
		expiry->own = certs_ends(certs);
		expiry->authority = certs_authority_ends(certs);
	} else {
		memset(expiry, 0, sizeof(*expiry));
	}
	save(daemon);
}

void expiry_linked(struct daemon *daemon, const struct handshake *handshake)
{
	const struct certs_peer *peer = &handshake->certified;
	long long ends = peer->known ? peer->ends : 0;

	if (ends == bc_expiry_peer(&daemon->expiry, handshake->link))
		return;
	bc_expiry_set_peer(&daemon->expiry, handshake->link, ends);
	save(daemon);
}
