// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls.h"

/* No signature is made with a pre-shared key, but GnuTLS wants a kind named. */
#define PRIORITY "NONE:+VERS-TLS1.3:+CHACHA20-POLY1305:+AEAD:+ECDHE-PSK:+GROUP-X25519" \
		 ":+SIGN-EDDSA-ED25519"
#define IDENTITY "blkcast"
#define LABEL	 "blkcast tls 1"	/* its final 0 is part of it */
#define SECRET	 32

struct tls {
	gnutls_session_t session;
	gnutls_psk_client_credentials_t client;
	gnutls_psk_server_credentials_t server;
	uint8_t secret[SECRET];
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
	const struct tls *tls = gnutls_session_get_ptr(session);

	if (strcmp(identity, IDENTITY))
		return -1;
	secret->data = gnutls_malloc(SECRET);
	if (!secret->data)
		return -1;
	memcpy(secret->data, tls->secret, SECRET);
	secret->size = SECRET;
	return 0;
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
	const gnutls_datum_t secret = { tls->secret, SECRET };

	if (gnutls_psk_allocate_client_credentials(&tls->client) ||
	    gnutls_psk_set_client_credentials(tls->client, IDENTITY, &secret,
					      GNUTLS_PSK_KEY_RAW) ||
	    gnutls_credentials_set(tls->session, GNUTLS_CRD_PSK, tls->client))
		return -ENOMEM;
	return 0;
}

int tls_new(struct tls **ret, bool server, const struct key *key, int fd)
{
	struct tls *tls = calloc(1, sizeof(*tls));

	if (!tls)
		return -ENOMEM;
	tls->fd = fd;
	if (derive(tls->secret, key) ||
	    gnutls_init(&tls->session, (server ? GNUTLS_SERVER : GNUTLS_CLIENT) |
			GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS |
			GNUTLS_NO_AUTO_REKEY) ||
	    gnutls_priority_set_direct(tls->session, PRIORITY, NULL) ||
	    (server ? be_server(tls) : be_client(tls))) {
		tls_free(tls);
		return -ENOMEM;
	}
	gnutls_session_set_ptr(tls->session, tls);
	gnutls_transport_set_int(tls->session, fd);
	*ret = tls;
	return 0;
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
	explicit_bzero(tls->secret, sizeof(tls->secret));
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

/* Only the key can be wrong between two blkcastd, so any alert is about that. */
static bool is_wrong_key(int ret)
{
	switch (ret) {
	case GNUTLS_E_FATAL_ALERT_RECEIVED:
	case GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER:
	case GNUTLS_E_INSUFFICIENT_CREDENTIALS:
	case GNUTLS_E_DECRYPTION_FAILED:
	case GNUTLS_E_NO_CIPHER_SUITES:
		return true;
	default:
		return false;
	}
}

static enum tls_progress failed(struct tls *tls, int ret, struct bc_error *error)
{
	/* Best effort: the peer may hear why. */
	gnutls_alert_send_appropriate(tls->session, ret);
	if (is_wrong_key(ret))
		return TLS_WRONG_KEY;
	if (ret == GNUTLS_E_PREMATURE_TERMINATION || ret == GNUTLS_E_PULL_ERROR ||
	    ret == GNUTLS_E_PUSH_ERROR)
		bc_fail(error, -ECONNRESET, "the peer closes the connection during the TLS handshake");
	else
		bc_fail(error, -EPROTO, "TLS: %s", gnutls_strerror(ret));
	return TLS_FAILED;
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
	return ret ? failed(tls, ret, error) : hand_over(tls, error);
}
