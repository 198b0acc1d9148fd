/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Certificates: this host's own, and what is thought of a peer's.
 *
 * A host is who its certificate says, by the DNS names in its subjectAltName: a node
 * is NODE or NODE.DOMAIN ('certificate-domain').  No wildcards, no common name.  Whose
 * it is is said by the authorities of one file, none of the system's; a certificate that
 * stands in that file itself is taken as well.
 */
#ifndef BC_CERTS_H
#define BC_CERTS_H

#include <gnutls/gnutls.h>
#include <stdbool.h>

#include "config.h"
#include "error.h"

#define CERTS_NAMES_MAX	1024

struct certs;

/**
 * struct certs_peer - who a peer is by its certificate
 * @known: it has shown one, which is good; false: it has the key
 * @ends: until when it is good, in seconds since 1970
 * @names: DNS names in lower case and addresses, a blank between them
 * @domain: of this host's configuration
 */
struct certs_peer {
	bool known;
	long long ends;
	char names[CERTS_NAMES_MAX], domain[BC_HOST_MAX];
};

/* From the files of the configuration, which are checked as that of a key is. */
int certs_load(struct certs **certs, const struct bc_daemon_config *config,
	       struct bc_error *error);
/* Sessions and whoever loaded it have a reference each. */
struct certs *certs_get(struct certs *certs);
void certs_put(struct certs *certs);

/* Will peers like this host's own?  True: no, or not for long, as @error says. */
bool certs_complain(const struct certs *certs, const char *node, struct bc_error *error);

/* Until when it is good, in seconds since 1970. */
long long certs_ends(const struct certs *certs);
/* Of those above it the first that ends; 0: none is known here. */
long long certs_authority_ends(const struct certs *certs);

gnutls_certificate_credentials_t certs_credentials(const struct certs *certs);

/*
 * Judge the chain that the peer of @session has shown.  @client: it has dialed.
 * 0 and @peer, or -EKEYREJECTED and a sentence that begins with "the certificate of".
 */
int certs_judge(const struct certs *certs, gnutls_session_t session, bool client,
		struct certs_peer *peer, struct bc_error *error);

/* Is it that node, or the host at that address? */
bool certs_is_node(const struct certs_peer *peer, const char *node);
bool certs_is_host(const struct certs_peer *peer, const char *host);
/* Its names for a sentence. */
const char *certs_names(const struct certs_peer *peer);

#endif /* BC_CERTS_H */
