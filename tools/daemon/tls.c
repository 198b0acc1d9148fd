// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls.h"
#include "util.h"

#define COMMON	 "NONE:+VERS-TLS1.3:+CHACHA20-POLY1305:+AEAD:+GROUP-X25519"
/* No signature is made with a pre-shared key, but GnuTLS wants a kind named. */
#define BY_KEY	 COMMON ":+ECDHE-PSK:+SIGN-EDDSA-ED25519"
/* The signatures of a handshake, then those that authorities give too. */
#define BY_CERTS COMMON ":+ECDHE-ECDSA:+ECDHE-RSA:+CTYPE-X509:%PROFILE_MEDIUM" \
	":+SIGN-EDDSA-ED25519:+SIGN-EDDSA-ED448:+SIGN-ECDSA-SECP256R1-SHA256" \
	":+SIGN-ECDSA-SECP384R1-SHA384:+SIGN-ECDSA-SECP521R1-SHA512" \
	":+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-PSS-RSAE-SHA384:+SIGN-RSA-PSS-RSAE-SHA512" \
	":+SIGN-ECDSA-SHA256:+SIGN-ECDSA-SHA384:+SIGN-ECDSA-SHA512" \
	":+SIGN-RSA-SHA256:+SIGN-RSA-SHA384:+SIGN-RSA-SHA512"
#define IDENTITY "blkcast-"	/* the key's id */
#define LABEL	 "blkcast tls 1"	/* its final 0 is part of it */
#define CODES	 "EXPORTER-blkcast-control-1"
#define SECRET	 32

/**
 * struct tls - one handshake
 * @certs: this host's, NULL: it has a key only
 * @ring: the keys
 * @used: the one of them that is
 * @takes_key: a key may be used, too
 * @asked: who dialed has come with a key
 * @expected: who was dialed; NULL at the end that listens
 * @peer: by its certificate
 * @refused: what is wrong with that, or empty
 */
struct tls {
	gnutls_session_t session;
	gnutls_psk_client_credentials_t client;
	gnutls_psk_server_credentials_t server;
	struct certs *certs;
	const struct tls_expected *expected;
	struct certs_peer peer;
	struct bc_error refused;
	struct keyring ring;
	const struct key *used;
	bool takes_key, asked;
	int fd;
};

/* --- the key ------------------------------------------------------------------- */

static int derive(uint8_t secret[SECRET], const struct key *key)
{
	gnutls_hash_hd_t hash;

	if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256))
		return -ENOMEM;
	gnutls_hash(hash, LABEL, sizeof(LABEL));
	gnutls_hash(hash, key->bytes, key->len);
	gnutls_hash_deinit(hash, secret);
	return 0;
}

/* GnuTLS frees what it is given. */
static int find_secret(gnutls_session_t session, const char *identity,
		       gnutls_datum_t *secret)
{
	struct tls *tls = gnutls_session_get_ptr(session);

	tls->asked = true;
	if (!tls->takes_key || strncmp(identity, IDENTITY, strlen(IDENTITY)))
		return -1;
	tls->used = keyring_find(&tls->ring, identity + strlen(IDENTITY));
	secret->data = tls->used ? gnutls_malloc(SECRET) : NULL;
	if (!secret->data)
		return -1;
	secret->size = SECRET;
	return derive(secret->data, tls->used);
}

static int be_server(struct tls *tls)
{
	if (gnutls_psk_allocate_server_credentials(&tls->server))
		return -ENOMEM;
	gnutls_psk_set_server_credentials_function(tls->server, find_secret);
	if (gnutls_credentials_set(tls->session, GNUTLS_CRD_PSK, tls->server))
		return -ENOMEM;
	return 0;
}

static int be_client(struct tls *tls)
{
	char identity[sizeof(IDENTITY) + KEY_ID], id[KEY_ID];
	uint8_t bytes[SECRET];
	const gnutls_datum_t secret = { bytes, SECRET };
	int ret;

	tls->used = &tls->ring.key[0];
	snprintf(identity, sizeof(identity), IDENTITY "%s", key_id(tls->used, id));
	ret = derive(bytes, tls->used);
	if (!ret && (gnutls_psk_allocate_client_credentials(&tls->client) ||
		     gnutls_psk_set_client_credentials(tls->client, identity, &secret,
						       GNUTLS_PSK_KEY_RAW) ||
		     gnutls_credentials_set(tls->session, GNUTLS_CRD_PSK, tls->client)))
		ret = -ENOMEM;
	explicit_bzero(bytes, sizeof(bytes));
	return ret;
}

/* --- certificates ----------------------------------------------------------------- */

static bool is_expected(const struct tls_expected *expected, const struct certs_peer *peer)
{
	return (expected->node && expected->node[0] && certs_is_node(peer, expected->node)) ||
	       (expected->host && expected->host[0] && certs_is_host(peer, expected->host));
}

/* The end that dials: is that who it wants? */
static int judge_server(gnutls_session_t session)
{
	struct tls *tls = gnutls_session_get_ptr(session);
	const struct tls_expected *expected = tls->expected;

	if (certs_judge(tls->certs, session, false, &tls->peer, &tls->refused))
		return GNUTLS_E_CERTIFICATE_ERROR;
	if (is_expected(expected, &tls->peer))
		return 0;
	bc_fail(&tls->refused, 0, "the certificate of the host at %s is for %s, not for %s",
		expected->host ? expected->host : "that address", certs_names(&tls->peer),
		expected->node && expected->node[0] ? expected->node : expected->host);
	return GNUTLS_E_CERTIFICATE_ERROR;
}

/* What an authority is called is nobody's business, and would keep a stranger silent. */
static int use_certificates(struct tls *tls)
{
	if (gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE,
				   certs_credentials(tls->certs)))
		return -ENOMEM;
	if (tls->expected) {
		gnutls_session_set_verify_function(tls->session, judge_server);
	} else {
		gnutls_certificate_server_set_request(tls->session, GNUTLS_CERT_REQUIRE);
		gnutls_certificate_send_x509_rdn_sequence(tls->session, 1);
	}
	return 0;
}

/* The end that listens knows the key even if it takes none: to say so. */
static int use_credentials(struct tls *tls)
{
	if (tls->certs && use_certificates(tls))
		return -ENOMEM;
	if (!tls->expected)
		return be_server(tls);
	return tls->certs ? 0 : be_client(tls);
}

static const char *priorities(const struct tls *tls)
{
	if (!tls->certs)
		return BY_KEY;
	return tls->expected ? BY_CERTS : BY_CERTS ":+ECDHE-PSK";
}

int tls_new(struct tls **ret, const struct secrets *secrets,
	    const struct tls_expected *expected, int fd)
{
	struct tls *tls = calloc(1, sizeof(*tls));

	if (!tls)
		return -ENOMEM;
	tls->fd = fd;
	tls->expected = expected;
	tls->certs = certs_get(secrets->certs);
	tls->takes_key = secrets->takes_key && secrets->ring.count;
	tls->ring = secrets->ring;
	if (gnutls_init(&tls->session, (expected ? GNUTLS_CLIENT : GNUTLS_SERVER) |
			GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS |
			GNUTLS_NO_AUTO_REKEY) ||
	    gnutls_priority_set_direct(tls->session, priorities(tls), NULL) ||
	    use_credentials(tls)) {
		tls_free(tls);
		return -ENOMEM;
	}
	gnutls_session_set_ptr(tls->session, tls);
	gnutls_transport_set_int(tls->session, fd);
	*ret = tls;
	return 0;
}

void tls_proven(const struct tls *tls, struct certs_peer *peer, struct key *key)
{
	*peer = tls->peer;
	if (!tls->peer.known) {
		*key = *tls->used;
		return;
	}
	key->len = SECRET;
	/* It cannot fail once hands are shaken; with a key of nothing it is no code. */
	if (gnutls_prf_rfc5705(tls->session, strlen(CODES), CODES, 0, NULL, SECRET,
			       (char *)key->bytes))
		bc_random(key->bytes, SECRET);
}

void tls_say(struct tls *tls, const void *data, size_t len)
{
	if (gnutls_record_send(tls->session, data, len) == (ssize_t)len)
		gnutls_bye(tls->session, GNUTLS_SHUT_WR);
}

void tls_free(struct tls *tls)
{
	if (!tls)
		return;
	if (tls->session)
		gnutls_deinit(tls->session);
	if (tls->client)
		gnutls_psk_free_client_credentials(tls->client);
	if (tls->server)
		gnutls_psk_free_server_credentials(tls->server);
	certs_put(tls->certs);
	explicit_bzero(&tls->ring, sizeof(tls->ring));
	free(tls);
}

/* --- to the kernel ---------------------------------------------------------------- */

static int attach(int fd, struct bc_error *error)
{
	if (!setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")))
		return 0;
	return bc_fail_errno(error, -errno,
			     "this kernel's TLS does not take the connection (modprobe tls)");
}

static int give_key(int fd, bool receive,
		    struct tls12_crypto_info_chacha20_poly1305 *crypto,
		    struct bc_error *error)
{
	crypto->info.version = TLS_1_3_VERSION;
	crypto->info.cipher_type = TLS_CIPHER_CHACHA20_POLY1305;
	if (!setsockopt(fd, SOL_TLS, receive ? TLS_RX : TLS_TX, crypto, sizeof(*crypto)))
		return 0;
	return bc_fail_errno(error, -errno,
			     "this kernel's TLS does not take the key (modprobe chacha20poly1305)");
}

static int give_state(struct tls *tls, bool receive, struct bc_error *error)
{
	struct tls12_crypto_info_chacha20_poly1305 crypto = { 0 };
	gnutls_datum_t mac, iv, key;
	int ret;

	if (gnutls_record_get_state(tls->session, receive, &mac, &iv, &key, crypto.rec_seq) ||
	    iv.size != sizeof(crypto.iv) || key.size != sizeof(crypto.key))
		return bc_fail(error, -EPROTO, "TLS: another cipher than was agreed upon");
	memcpy(crypto.iv, iv.data, sizeof(crypto.iv));
	memcpy(crypto.key, key.data, sizeof(crypto.key));
	ret = give_key(tls->fd, receive, &crypto, error);
	explicit_bzero(&crypto, sizeof(crypto));
	return ret;
}

static enum tls_progress hand_over(struct tls *tls, struct bc_error *error)
{
	/* What GnuTLS had read beyond the handshake would be lost. */
	if (gnutls_record_check_pending(tls->session)) {
		bc_fail(error, -EPROTO, "TLS: the peer talks out of turn");
		return TLS_FAILED;
	}
	if (attach(tls->fd, error) || give_state(tls, false, error) ||
	    give_state(tls, true, error))
		return TLS_FAILED;
	return TLS_DONE;
}

/* A connection to an address of this host's own: @fd is the end that dialed. */
static int connect_to_self(int listener, int fd)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
	socklen_t len = sizeof(address);

	if (bind(listener, (struct sockaddr *)&address, len) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&address, &len) ||
	    connect(fd, (struct sockaddr *)&address, len))
		return -errno;
	return 0;
}

int tls_prepare(struct bc_error *error)
{
	struct tls12_crypto_info_chacha20_poly1305 nothing = { 0 };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ret = listener < 0 || fd < 0 ? -errno : connect_to_self(listener, fd);

	if (ret)
		bc_fail_errno(error, ret, "cannot connect to 127.0.0.1");
	if (!ret)
		ret = attach(fd, error);
	if (!ret)
		ret = give_key(fd, false, &nothing, error);
	if (!ret)
		ret = give_key(fd, true, &nothing, error);
	if (listener >= 0)
		close(listener);
	if (fd >= 0)
		close(fd);
	return ret;
}

/* --- the handshake ------------------------------------------------------------------- */

/* Between two blkcastd that use the key any alert is about that. */
static bool is_wrong_key(int ret)
{
	switch (ret) {
	case GNUTLS_E_FATAL_ALERT_RECEIVED:
	case GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER:
	case GNUTLS_E_INSUFFICIENT_CREDENTIALS:
	case GNUTLS_E_DECRYPTION_FAILED:
	case GNUTLS_E_NO_CIPHER_SUITES:
	case GNUTLS_E_KEYFILE_ERROR:	/* by find_secret() */
		return true;
	default:
		return false;
	}
}

static enum tls_progress stranger(struct bc_error *error, const char *sentence)
{
	bc_fail(error, 0, "%s", sentence);
	return TLS_STRANGER;
}

/* The end that listens, with certificates or to somebody without the key. */
static enum tls_progress explain_server(const struct tls *tls, int ret, struct bc_error *error)
{
	if (tls->asked && !tls->takes_key)
		return stranger(error, "the peer comes with the key, this host takes certificates ('certificate' for the peer's blkcast.conf, or 'accept-key = yes' for this host's)");
	if (!tls->certs)
		return stranger(error, "the peer does not come with the key: this host takes no certificates ('certificate' for its blkcast.conf)");
	if (ret == GNUTLS_E_FATAL_ALERT_RECEIVED) {
		const char *name = gnutls_alert_get_name(gnutls_alert_get(tls->session));

		bc_fail(error, 0, "the peer does not take the certificate of this host: %s (its log has more)",
			name ? name : "it does not say why");
		return TLS_STRANGER;
	}
	if (ret == GNUTLS_E_NO_CERTIFICATE_FOUND || ret == GNUTLS_E_CERTIFICATE_REQUIRED)
		return stranger(error, "the peer shows no certificate");
	bc_fail(error, 0, "TLS: %s", gnutls_strerror(ret));
	return TLS_STRANGER;
}

static bool is_about_trust(const struct tls *tls, int ret)
{
	return is_wrong_key(ret) || (tls->certs && (ret == GNUTLS_E_NO_CERTIFICATE_FOUND ||
						     ret == GNUTLS_E_CERTIFICATE_REQUIRED));
}

static enum tls_progress failed(struct tls *tls, int ret, struct bc_error *error)
{
	/* Best effort: the peer may hear why. */
	gnutls_alert_send_appropriate(tls->session, ret);
	if (tls->refused.text[0])
		return stranger(error, tls->refused.text);
	if (is_about_trust(tls, ret)) {
		bool by_key = tls->expected ? !tls->certs : tls->asked && tls->takes_key;

		if (by_key)
			return TLS_WRONG_KEY;
		if (!tls->expected)
			return explain_server(tls, ret, error);
		return stranger(error, "it takes no certificates: they have to be in the blkcast.conf of both hosts");
	}
	if (ret == GNUTLS_E_PREMATURE_TERMINATION || ret == GNUTLS_E_PULL_ERROR ||
	    ret == GNUTLS_E_PUSH_ERROR)
		bc_fail(error, -ECONNRESET, "the peer closes the connection during the TLS handshake");
	else
		bc_fail(error, -EPROTO, "TLS: %s", gnutls_strerror(ret));
	return TLS_FAILED;
}

/* Hands are shaken: by the end that listens the peer's certificate is judged now. */
static enum tls_progress judge_client(struct tls *tls, struct bc_error *error)
{
	if (tls->expected || gnutls_auth_get_type(tls->session) != GNUTLS_CRD_CERTIFICATE)
		return TLS_DONE;
	return certs_judge(tls->certs, tls->session, true, &tls->peer, error) ? TLS_STRANGER :
	       TLS_DONE;
}

enum tls_progress tls_step(struct tls *tls, struct bc_error *error)
{
	int ret;

	do {
		ret = gnutls_handshake(tls->session);
	} while (ret == GNUTLS_E_INTERRUPTED);
	if (ret == GNUTLS_E_AGAIN)
		return gnutls_record_get_direction(tls->session) ? TLS_WANTS_WRITE :
		       TLS_WANTS_READ;
	if (ret)
		return failed(tls, ret, error);
	ret = judge_client(tls, error);
	return ret ? ret : hand_over(tls, error);
}
