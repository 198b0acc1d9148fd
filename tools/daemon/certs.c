// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "certs.h"
#include "expiry.h"
#include "key.h"
#include "util.h"

#define CHAIN_MAX	8
#define FILE_MAX	(4U << 20)	/* a CRL may be large */

struct certs {
	unsigned int references;
	gnutls_certificate_credentials_t credentials;
	char path[BC_PATH_MAX], ca[BC_PATH_MAX];
	time_t begins, ends, authority_ends;
	struct certs_peer own;
};

gnutls_certificate_credentials_t certs_credentials(const struct certs *certs)
{
	return certs->credentials;
}

long long certs_ends(const struct certs *certs)
{
	return certs->ends;
}

long long certs_authority_ends(const struct certs *certs)
{
	return certs->authority_ends;
}

struct certs *certs_get(struct certs *certs)
{
	if (certs)
		certs->references++;
	return certs;
}

void certs_put(struct certs *certs)
{
	if (!certs || --certs->references)
		return;
	if (certs->credentials)
		gnutls_certificate_free_credentials(certs->credentials);
	free(certs);
}

/* --- names ------------------------------------------------------------------- */

/* What stands in a certificate goes to logs and terminals. */
static bool name_clean(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!isascii(name[i]) || (!isalnum(name[i]) && !strchr("-._:", name[i])))
			return false;
	}
	return len;
}

static void add_name(struct certs_peer *peer, const char *name, size_t len)
{
	size_t at = strlen(peer->names);

	if (!name_clean(name, len) || at + len + 2 > sizeof(peer->names))
		return;
	if (at)
		peer->names[at++] = ' ';
	for (size_t i = 0; i < len; i++)
		peer->names[at++] = tolower(name[i]);
	peer->names[at] = 0;
}

static void add_address(struct certs_peer *peer, const void *bytes, size_t len)
{
	char text[INET6_ADDRSTRLEN];

	if (len != 4 && len != 16)
		return;
	if (inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes, text, sizeof(text)))
		add_name(peer, text, strlen(text));
}

static void take_names(struct certs_peer *peer, gnutls_x509_crt_t crt)
{
	char name[BC_HOST_MAX];
	unsigned int type, i;
	size_t len;
	int ret;

	for (i = 0; i < CERTS_NAMES_MAX; i++) {
		len = sizeof(name);
		ret = gnutls_x509_crt_get_subject_alt_name2(crt, i, name, &len, &type, NULL);
		if (ret == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		if (ret < 0)
			continue;
		if (type == GNUTLS_SAN_DNSNAME)
			add_name(peer, name, len);
		else if (type == GNUTLS_SAN_IPADDRESS)
			add_address(peer, name, len);
	}
}

static bool has_name(const struct certs_peer *peer, const char *name)
{
	const char *at = peer->names;
	size_t len = strlen(name), here;

	for (; *at; at += here + (at[here] == ' ')) {
		here = strcspn(at, " ");
		if (here == len && !strncasecmp(at, name, len))
			return true;
	}
	return false;
}

bool certs_is_node(const struct certs_peer *peer, const char *node)
{
	char full[BC_HOST_MAX + BLKCAST_NAME_MAX + 1];

	if (has_name(peer, node))
		return true;
	snprintf(full, sizeof(full), "%s.%s", node, peer->domain);
	return peer->domain[0] && has_name(peer, full);
}

bool certs_is_host(const struct certs_peer *peer, const char *host)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t bytes[16];
	int family = strchr(host, ':') ? AF_INET6 : AF_INET;

	/* An IPv6 address may be written in many ways. */
	if (inet_pton(family, host, bytes) == 1 && inet_ntop(family, bytes, text, sizeof(text)))
		host = text;
	return certs_is_node(peer, host);
}

const char *certs_names(const struct certs_peer *peer)
{
	return peer->names[0] ? peer->names : "nobody";
}

/* --- loading ------------------------------------------------------------------- */

static int read_all(int fd, gnutls_datum_t *text, const char *path, struct bc_error *error)
{
	struct stat st;
	ssize_t n = -1;

	if (fstat(fd, &st))
		return bc_fail_errno(error, -errno, "%s", path);
	if (!st.st_size || st.st_size > FILE_MAX)
		return bc_fail(error, -EINVAL, "%s is empty or larger than %u MiB", path,
			       FILE_MAX >> 20);
	text->data = malloc(st.st_size);
	if (!text->data)
		return bc_fail(error, -ENOMEM, "out of memory");
	n = read(fd, text->data, st.st_size);
	text->size = n < 0 ? 0 : n;
	return n < 0 ? bc_fail_errno(error, -errno, "cannot read %s", path) : 0;
}

/* @text is to be freed in any case. */
static int read_file(const char *path, bool secret, const char *what, gnutls_datum_t *text,
		     struct bc_error *error)
{
	int fd, ret;

	fd = key_open(path, secret ? 077 : 022, what,
		      secret ? "chmod 600 it, and make a new one if somebody may have read it" :
			       "chmod 644 it", error);
	if (fd < 0)
		return fd;
	ret = read_all(fd, text, path, error);
	close(fd);
	return ret;
}

static void forget_text(gnutls_datum_t *text)
{
	if (text->data)
		explicit_bzero(text->data, text->size);
	free(text->data);
}

/* Who this host is, and for how long. */
static int take_own(struct certs *certs, const gnutls_datum_t *text, struct bc_error *error)
{
	gnutls_x509_crt_t chain[CHAIN_MAX];
	unsigned int count = CHAIN_MAX;
	int ret;

	ret = gnutls_x509_crt_list_import(chain, &count, text, GNUTLS_X509_FMT_PEM, 0);
	if (ret < 0)
		return bc_fail(error, -EINVAL, "%s: no certificates in PEM, at most %d: %s",
			       certs->path, CHAIN_MAX, gnutls_strerror(ret));
	certs->begins = gnutls_x509_crt_get_activation_time(chain[0]);
	certs->ends = gnutls_x509_crt_get_expiration_time(chain[0]);
	take_names(&certs->own, chain[0]);
	while (count)
		gnutls_x509_crt_deinit(chain[--count]);
	return 0;
}

static int load_own(struct certs *certs, const struct bc_daemon_config *config,
		    struct bc_error *error)
{
	gnutls_datum_t text = { 0 }, key = { 0 };
	int ret;

	ret = read_file(config->certificate, false, "the certificate", &text, error);
	if (!ret)
		ret = read_file(config->private_key, true, "the private key", &key, error);
	if (!ret)
		ret = take_own(certs, &text, error);
	if (ret)
		goto cleanup;
	ret = gnutls_certificate_set_x509_key_mem(certs->credentials, &text, &key,
						  GNUTLS_X509_FMT_PEM);
	if (ret == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
		ret = bc_fail(error, -EINVAL, "%s is not the private key of the certificate %s",
			      config->private_key, config->certificate);
	else if (ret < 0)
		ret = bc_fail(error, -EINVAL,
			      "%s: no private key in PEM without a passphrase: %s",
			      config->private_key, gnutls_strerror(ret));
	else
		ret = 0;
cleanup:
	forget_text(&text);
	forget_text(&key);
	return ret;
}

static bool is_signed_by(gnutls_x509_crt_t crt, gnutls_x509_crt_t authority)
{
	unsigned int status;

	return !gnutls_x509_crt_verify(crt, &authority, 1, GNUTLS_VERIFY_DISABLE_TIME_CHECKS,
				       &status) && !status;
}

/* The newest of those that have signed the last of this host's own, and all between. */
static void take_authorities(struct certs *certs, const gnutls_datum_t *ca)
{
	gnutls_x509_crt_t *own = NULL, *known = NULL;
	unsigned int links = 0, count = 0, i;
	time_t ends, newest = 0;

	if (gnutls_certificate_get_x509_crt(certs->credentials, 0, &own, &links) || !links ||
	    gnutls_x509_crt_list_import2(&known, &count, ca, GNUTLS_X509_FMT_PEM, 0) < 0)
		count = 0;
	for (i = 0; i < count; i++) {
		ends = gnutls_x509_crt_get_expiration_time(known[i]);
		if (ends > newest && is_signed_by(own[links - 1], known[i]))
			newest = ends;
		gnutls_x509_crt_deinit(known[i]);
	}
	certs->authority_ends = newest;
	for (i = 0; i < links; i++) {
		ends = gnutls_x509_crt_get_expiration_time(own[i]);
		if (i && (!certs->authority_ends || ends < certs->authority_ends))
			certs->authority_ends = ends;
		gnutls_x509_crt_deinit(own[i]);
	}
	gnutls_free(known);
	gnutls_free(own);
}

static int load_trust(struct certs *certs, const struct bc_daemon_config *config,
		      struct bc_error *error)
{
	gnutls_datum_t ca = { 0 }, crl = { 0 };
	int ret, n;

	ret = read_file(config->ca, false, "the file of authorities", &ca, error);
	if (!ret && config->crl[0])
		ret = read_file(config->crl, false, "the revocation list", &crl, error);
	if (ret)
		goto cleanup;
	n = gnutls_certificate_set_x509_trust_mem(certs->credentials, &ca,
						  GNUTLS_X509_FMT_PEM);
	if (n <= 0)
		ret = bc_fail(error, -EINVAL, "%s: no certificates in PEM: %s", config->ca,
			      gnutls_strerror(n));
	else
		take_authorities(certs, &ca);
	n = 1;
	if (!ret && crl.size)
		n = gnutls_certificate_set_x509_crl_mem(certs->credentials, &crl,
							GNUTLS_X509_FMT_PEM);
	if (n <= 0)
		ret = bc_fail(error, -EINVAL,
			      "%s: no revocation list in PEM by an authority of %s: %s",
			      config->crl, config->ca, gnutls_strerror(n));
cleanup:
	forget_text(&ca);
	forget_text(&crl);
	return ret;
}

int certs_load(struct certs **ret, const struct bc_daemon_config *config,
	       struct bc_error *error)
{
	struct certs *certs = calloc(1, sizeof(*certs));
	int err;

	if (!certs)
		return bc_fail(error, -ENOMEM, "out of memory");
	certs->references = 1;
	strcpy(certs->path, config->certificate);
	strcpy(certs->ca, config->ca);
	strcpy(certs->own.domain, config->domain);
	err = gnutls_certificate_allocate_credentials(&certs->credentials) ?
	      bc_fail(error, -ENOMEM, "out of memory") : 0;
	if (!err)
		err = load_own(certs, config, error);
	if (!err)
		err = load_trust(certs, config, error);
	if (!err)
		*ret = certs;
	else
		certs_put(certs);
	return err;
}

/* --- judging --------------------------------------------------------------------- */

static const char *when(time_t at, char text[32])
{
	struct tm tm;

	strftime(text, 32, "%Y-%m-%d %H:%M UTC", gmtime_r(&at, &tm));
	return text;
}

bool certs_complain(const struct certs *certs, const char *node, struct bc_error *error)
{
	time_t now = time(NULL);
	char text[32];

	if (certs->begins > now)
		bc_fail(error, 0, "%s is not valid before %s: no peer takes it until then",
			certs->path, when(certs->begins, text));
	else if (certs->ends < now)
		bc_fail(error, 0, "%s has expired on %s: no peer takes it any more",
			certs->path, when(certs->ends, text));
	else if (certs->authority_ends && certs->authority_ends < now)
		bc_fail(error, 0, "%s is by an authority whose own has expired on %s: no peer takes it any more",
			certs->path, when(certs->authority_ends, text));
	else if (!certs_is_node(&certs->own, node))
		bc_fail(error, 0, "%s is for %s, not for this node, %s: no peer takes it",
			certs->path, certs_names(&certs->own), node);
	else if (certs->ends - now < BC_EXPIRY_SOON_S)
		bc_fail(error, 0, "%s expires on %s: renew it, then systemctl reload blkcastd",
			certs->path, when(certs->ends, text));
	else if (certs->authority_ends && certs->authority_ends - now < BC_EXPIRY_SOON_S)
		bc_fail(error, 0, "%s is by an authority whose own expires on %s: renew both, then systemctl reload blkcastd",
			certs->path, when(certs->authority_ends, text));
	else
		return false;
	return true;
}

/* What is wrong with a chain, the worst first; the leaf's dates are the likely ones. */
static void explain(const struct certs *certs, unsigned int status, gnutls_x509_crt_t leaf,
		    const char *who, bool client, struct bc_error *error)
{
	time_t now = time(NULL), ends = gnutls_x509_crt_get_expiration_time(leaf);
	time_t begins = gnutls_x509_crt_get_activation_time(leaf);
	gnutls_datum_t text;
	char date[32];

	if (status & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNER_NOT_CA))
		bc_fail(error, 0, "the certificate of %s is not by an authority that is known here (%s)",
			who, certs->ca);
	else if (status & GNUTLS_CERT_REVOKED)
		bc_fail(error, 0, "the certificate of %s has been revoked", who);
	else if (status & GNUTLS_CERT_EXPIRED && ends < now)
		bc_fail(error, 0, "the certificate of %s has expired on %s: renew it there, or set the clocks",
			who, when(ends, date));
	else if (status & GNUTLS_CERT_NOT_ACTIVATED && begins > now)
		bc_fail(error, 0, "the certificate of %s is not valid before %s: wait, or set the clocks",
			who, when(begins, date));
	else if (status & GNUTLS_CERT_EXPIRED)
		bc_fail(error, 0, "the certificate of %s is by an authority whose own has expired",
			who);
	else if (status & GNUTLS_CERT_PURPOSE_MISMATCH)
		bc_fail(error, 0, "the certificate of %s is not for TLS %s (extended key usage): a host needs both",
			who, client ? "clients" : "servers");
	else if (!gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0)) {
		bc_fail(error, 0, "the certificate of %s is not good: %s", who, text.data);
		gnutls_free(text.data);
	}
}

static int import_leaf(gnutls_session_t session, gnutls_x509_crt_t *leaf)
{
	const gnutls_datum_t *chain;
	unsigned int count;

	chain = gnutls_certificate_get_peers(session, &count);
	if (!chain || !count || gnutls_x509_crt_init(leaf))
		return -ENOKEY;
	if (!gnutls_x509_crt_import(*leaf, chain, GNUTLS_X509_FMT_DER))
		return 0;
	gnutls_x509_crt_deinit(*leaf);
	return -ENOKEY;
}

int certs_judge(const struct certs *certs, gnutls_session_t session, bool client,
		struct certs_peer *peer, struct bc_error *error)
{
	gnutls_typed_vdata_st purpose = {
		.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (unsigned char *)(client ? GNUTLS_KP_TLS_WWW_CLIENT :
						   GNUTLS_KP_TLS_WWW_SERVER),
	};
	unsigned int status;
	gnutls_x509_crt_t leaf;

	memset(peer, 0, sizeof(*peer));
	strcpy(peer->domain, certs->own.domain);
	if (gnutls_certificate_type_get(session) != GNUTLS_CRT_X509 ||
	    import_leaf(session, &leaf))
		return bc_fail(error, -EKEYREJECTED, "the certificate of the peer is none");
	take_names(peer, leaf);
	peer->ends = gnutls_x509_crt_get_expiration_time(leaf);
	peer->known = !gnutls_certificate_verify_peers(session, &purpose, 1, &status) && !status;
	if (!peer->known)
		explain(certs, status, leaf, certs_names(peer), client, error);
	gnutls_x509_crt_deinit(leaf);
	return peer->known ? 0 : -EKEYREJECTED;
}
