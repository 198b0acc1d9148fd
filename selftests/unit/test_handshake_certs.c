// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Links by certificates: who is let in, who is not and how it is said.  The sockets do
 * not encrypt: what would be given to the kernel is taken by this program, so that both
 * ends go on in the clear once hands are shaken.
 */
/* links: tools/daemon/session.c tools/daemon/tls.c tools/daemon/certs.c tools/daemon/key.c tools/daemon/secrets.c tools/daemon/handshake.c tools/daemon/offer.c tools/daemon/proof.c tools/daemon/channel.c */
/* links: tools/daemon/loop.c tools/daemon/resolve.c tools/daemon/json.c */
/* links: tools/lib/kernel_parse.c tools/lib/config.c tools/lib/kernel_names.c tools/lib/util.c tools/lib/error.c */
/* libs: json-c gnutls liburing libmnl inih uuid */
/* flags: -lm -pthread -Wno-format-truncation -Wl,--wrap=setsockopt */
#include <fcntl.h>
#include <gnutls/x509.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <time.h>

#include "test_handshake.h"

#define SOL_TLS	282
#define DAY	(24 * 3600)

static unsigned int handed_over;	/* keys that the kernel would have got */

int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if (level == SOL_TLS)
		handed_over++;
	if (level == SOL_TLS || (level == IPPROTO_TCP && name == TCP_ULP))
		return 0;
	return __real_setsockopt(fd, level, name, value, len);
}

/* --- an authority, and what it signs ------------------------------------------------- */

struct identity {
	gnutls_x509_crt_t crt;
	gnutls_x509_privkey_t key;
};

/**
 * struct wish - how a certificate shall be
 * @names: DNS names, a blank between them
 * @from, @to: days from now
 * @purpose: of the extended key usage, NULL: none
 * @common: its common name
 * @address: in its subjectAltName, or NULL
 * @algorithm, @bits: of its key, 0: ECDSA, P-256
 */
struct wish {
	const char *names;
	int from, to;
	const char *purpose, *common, *address;
	bool authority;
	gnutls_pk_algorithm_t algorithm;
	unsigned int bits;
};

static char folder[] = "/tmp/blkcast-certs-XXXXXX";
static struct identity authority, other;
static struct bc_error error;

static const char *path_of(const char *name)
{
	static char paths[8][128];
	static unsigned int at;
	char *path = paths[at++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static void put_file(const char *name, const gnutls_datum_t *text, mode_t mode)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	EXPECT(fd >= 0 && write(fd, text->data, text->size) == (ssize_t)text->size);
	EXPECT(!fchmod(fd, mode));
	close(fd);
}

static void set_names(gnutls_x509_crt_t crt, const struct wish *wish)
{
	char text[256], *rest = text, *name;
	uint8_t bytes[4] = { 192, 0, 2, 7 };

	snprintf(text, sizeof(text), "%s", wish->names);
	while ((name = strsep(&rest, " ")))
		EXPECT(!*name || !gnutls_x509_crt_set_subject_alt_name(crt,
				GNUTLS_SAN_DNSNAME, name, strlen(name), GNUTLS_FSAN_APPEND));
	if (wish->address)
		EXPECT(!gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, bytes,
							     4, GNUTLS_FSAN_APPEND));
}

/* @by NULL: by itself. */
static void issue(struct identity *id, const struct wish *wish, const struct identity *by)
{
	static uint8_t serial = 1;
	const char *common = wish->common ? wish->common : "x";

	serial++;
	EXPECT(!gnutls_x509_crt_init(&id->crt) && !gnutls_x509_privkey_init(&id->key));
	EXPECT(!gnutls_x509_privkey_generate(id->key, wish->algorithm ? wish->algorithm :
					     GNUTLS_PK_ECDSA, wish->bits ? wish->bits :
					     GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1),
					     0));
	EXPECT(!gnutls_x509_crt_set_version(id->crt, 3));
	EXPECT(!gnutls_x509_crt_set_serial(id->crt, &serial, 1));
	EXPECT(!gnutls_x509_crt_set_dn_by_oid(id->crt, GNUTLS_OID_X520_COMMON_NAME, 0, common,
					      strlen(common)));
	EXPECT(!gnutls_x509_crt_set_activation_time(id->crt, time(NULL) + wish->from * DAY));
	EXPECT(!gnutls_x509_crt_set_expiration_time(id->crt, time(NULL) + wish->to * DAY));
	EXPECT(!gnutls_x509_crt_set_basic_constraints(id->crt, wish->authority, -1));
	if (wish->authority)
		EXPECT(!gnutls_x509_crt_set_key_usage(id->crt, GNUTLS_KEY_KEY_CERT_SIGN |
						      GNUTLS_KEY_CRL_SIGN));
	set_names(id->crt, wish);
	if (wish->purpose)
		EXPECT(!gnutls_x509_crt_set_key_purpose_oid(id->crt, wish->purpose, 0));
	EXPECT(!gnutls_x509_crt_set_key(id->crt, id->key));
	by = by ? by : id;
	EXPECT(!gnutls_x509_crt_sign2(id->crt, by->crt, by->key,
				      gnutls_x509_privkey_get_pk_algorithm(by->key) ==
				      GNUTLS_PK_EDDSA_ED25519 ? GNUTLS_DIG_SHA512 :
				      GNUTLS_DIG_SHA256, 0));
}

static void put_identity(const struct identity *id, const char *name)
{
	char file[64];
	gnutls_datum_t text;

	EXPECT(!gnutls_x509_crt_export2(id->crt, GNUTLS_X509_FMT_PEM, &text));
	snprintf(file, sizeof(file), "%s.crt", name);
	put_file(file, &text, 0644);
	gnutls_free(text.data);
	EXPECT(!gnutls_x509_privkey_export2_pkcs8(id->key, GNUTLS_X509_FMT_PEM, NULL,
						  GNUTLS_PKCS_PLAIN, &text));
	snprintf(file, sizeof(file), "%s.pem", name);
	put_file(file, &text, 0600);
	gnutls_free(text.data);
}

static void drop_identity(struct identity *id)
{
	gnutls_x509_crt_deinit(id->crt);
	gnutls_x509_privkey_deinit(id->key);
}

static struct bc_daemon_config config_of(const char *name)
{
	struct bc_daemon_config config = { 0 };

	snprintf(config.certificate, BC_PATH_MAX, "%s/%s.crt", folder, name);
	snprintf(config.private_key, BC_PATH_MAX, "%s/%s.pem", folder, name);
	snprintf(config.ca, BC_PATH_MAX, "%s/ca.crt", folder);
	return config;
}

static void certify_by(struct side *side, const struct wish *wish, const struct identity *by,
		       const char *domain, const char *crl)
{
	struct bc_daemon_config config = config_of("host");
	struct identity id;

	issue(&id, wish, by);
	put_identity(&id, "host");
	drop_identity(&id);
	snprintf(config.domain, sizeof(config.domain), "%s", domain);
	if (crl)
		snprintf(config.crl, BC_PATH_MAX, "%s/%s", folder, crl);
	certs_put(side->secrets.certs);
	side->secrets.certs = NULL;
	if (certs_load(&side->secrets.certs, &config, &error))
		ksft_print_msg("%s\n", error.text);
	EXPECT(side->secrets.certs);
	side->secrets.takes_key = false;
	side->plain = false;
}

static void certify(struct side *side, const struct wish *wish)
{
	certify_by(side, wish, &authority, "", NULL);
}

static void pair_init(void)
{
	certs_put(primary.secrets.certs);
	certs_put(replica.secrets.certs);
	sides_init();
	handed_over = 0;
	certify(&primary, &(struct wish){ .names = "g1", .to = 9 });
	certify(&replica, &(struct wish){ .names = "g2", .to = 9 });
}

/* --- who is let in ------------------------------------------------------------------- */

static void expect_linked(void)
{
	converse();
	EXPECT(primary.linked && replica.linked && primary.proved && replica.proved);
	EXPECT(handed_over == 4);
}

static void right_ones(void)
{
	pair_init();
	expect_linked();
	/* There need not be a key. */
	pair_init();
	primary.key.len = 0;
	replica.key.len = 0;
	expect_linked();
	/* Other keys are no hindrance. */
	pair_init();
	primary.key.bytes[5] = 'x';
	expect_linked();
	/* Several names, in any case. */
	pair_init();
	certify(&primary, &(struct wish){ .names = "db.example.com G1", .to = 9 });
	expect_linked();
}

static void names_in_a_domain(void)
{
	pair_init();
	certify_by(&primary, &(struct wish){ .names = "g1.example.com", .to = 9 }, &authority,
		   "example.com", NULL);
	certify_by(&replica, &(struct wish){ .names = "g2.example.com", .to = 9 }, &authority,
		   "example.com", NULL);
	expect_linked();
}

/* An address that was configured is who it is, for the end that dials it. */
static void by_address(void)
{
	pair_init();
	certify(&replica, &(struct wish){ .names = "g2", .to = 9, .address = "192.0.2.7" });
	strcpy(link_config.peer, "backup");
	expect_linked();
	pair_init();
	converse();
	strcpy(link_config.peer, "g2");
	EXPECT(!primary.linked);
	EXPECT_SAYS(primary.reason, "the host at 192.0.2.7 is for g2, not for backup");
}

static void kinds_of_keys(void)
{
	static const struct wish kinds[] = {
		{ .names = "g1", .to = 9, .algorithm = GNUTLS_PK_RSA, .bits = 2048 },
		{ .names = "g1", .to = 9, .algorithm = GNUTLS_PK_EDDSA_ED25519,
		  .bits = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_ED25519) },
		{ .names = "g1", .to = 9, .algorithm = GNUTLS_PK_ECDSA,
		  .bits = GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1) },
	};
	struct wish weak = kinds[0];

	for (size_t i = 0; i < BC_ARRAY_SIZE(kinds); i++) {
		pair_init();
		certify(&primary, &kinds[i]);
		expect_linked();
	}
	/* One that is too short. */
	weak.bits = 1024;
	pair_init();
	certify(&primary, &weak);
	converse();
	EXPECT(!primary.linked && !replica.linked);
}

/* What stands between the host and the authority comes along, or is missed. */
static void chain(void)
{
	const struct wish g1 = { .names = "g1", .to = 9 };
	struct bc_daemon_config config = config_of("host");
	struct identity between, host;
	gnutls_datum_t text;
	FILE *file;

	issue(&between, &(struct wish){ .names = "", .to = 9, .common = "between",
					.authority = true, .algorithm = GNUTLS_PK_RSA,
					.bits = 2048 }, &authority);
	pair_init();
	certify_by(&primary, &g1, &between, "", NULL);
	converse();
	EXPECT(!primary.linked && !replica.linked);
	EXPECT_SAYS(replica.reason, "not by an authority that is known");
	pair_init();
	issue(&host, &g1, &between);
	put_identity(&host, "host");
	EXPECT(!gnutls_x509_crt_export2(between.crt, GNUTLS_X509_FMT_PEM, &text));
	file = fopen(path_of("host.crt"), "a");
	EXPECT(file && fwrite(text.data, text.size, 1, file) == 1 && !fclose(file));
	gnutls_free(text.data);
	certs_put(primary.secrets.certs);
	EXPECT(!certs_load(&primary.secrets.certs, &config, &error));
	expect_linked();
	drop_identity(&host);
	drop_identity(&between);
}

/* --- who is not ------------------------------------------------------------------------ */

/* The end that listens gives nothing to the kernel, and knows why. */
static void expect_client_refused(const char *says)
{
	converse();
	EXPECT(!primary.linked && !replica.linked && !replica.fake.added && !replica.proved);
	EXPECT_SAYS(replica.reason, says);
	/* The end that dialed has given it its keys. */
	EXPECT(handed_over <= 2);
}

/* The end that dials ends it before it says who it is. */
static void expect_server_refused(const char *says, const char *there)
{
	converse();
	EXPECT(!primary.linked && !replica.linked && !primary.fake.added && !handed_over);
	EXPECT_SAYS(primary.reason, says);
	EXPECT_SAYS(replica.reason, there);
	EXPECT(primary.permanent);
}

static void out_of_date(void)
{
	pair_init();
	certify(&primary, &(struct wish){ .names = "g1", .from = -9, .to = -2 });
	expect_client_refused("the certificate of g1 has expired on 20");
	pair_init();
	certify(&replica, &(struct wish){ .names = "g2", .from = -9, .to = -2 });
	expect_server_refused("the certificate of g2 has expired on 20",
			      "does not take the certificate of this host");
	pair_init();
	certify(&primary, &(struct wish){ .names = "g1", .from = 3, .to = 9 });
	expect_client_refused("the certificate of g1 is not valid before 20");
	pair_init();
	certify(&replica, &(struct wish){ .names = "g2", .from = 3, .to = 9 });
	expect_server_refused("is not valid before", "");
}

static void unknown_authority(void)
{
	const struct wish g1 = { .names = "g1", .to = 9 }, g2 = { .names = "g2", .to = 9 };

	pair_init();
	certify_by(&primary, &g1, &other, "", NULL);
	expect_client_refused("the certificate of g1 is not by an authority that is known here");
	pair_init();
	certify_by(&replica, &g2, &other, "", NULL);
	expect_server_refused("the certificate of g2 is not by an authority", "");
	/* By nobody but themselves. */
	pair_init();
	certify_by(&primary, &g1, NULL, "", NULL);
	expect_client_refused("is not by an authority that is known here");
	pair_init();
	certify_by(&replica, &g2, NULL, "", NULL);
	expect_server_refused("is not by an authority that is known here", "");
	/* One host vouches for another. */
	pair_init();
	{
		struct identity host;

		issue(&host, &g2, &authority);
		certify_by(&primary, &g1, &host, "", NULL);
		drop_identity(&host);
	}
	expect_client_refused("is not by an authority that is known here");
}

static void wrong_name(void)
{
	/* Another host of the same authority at that address. */
	pair_init();
	certify(&replica, &(struct wish){ .names = "g3", .to = 9 });
	expect_server_refused("the certificate of the host at 192.0.2.7 is for g3, not for g2", "");
	/* Or one that says it was g1. */
	pair_init();
	certify(&primary, &(struct wish){ .names = "g3", .to = 9 });
	converse();
	EXPECT(!primary.linked && !replica.linked && !replica.proved && !replica.fake.added);
	EXPECT_SAYS(replica.reason, "the certificate of g1 is for g3, not for this node");
	EXPECT_SAYS(primary.reason, "the certificate of g1 is for g3, not for this node");
	EXPECT(primary.permanent);
	/* The right address, but it says it was somebody else. */
	pair_init();
	replica_name = "g4";
	converse();
	replica_name = "g2";
	EXPECT(!primary.linked && !primary.proved && !primary.fake.added);
	EXPECT_SAYS(primary.reason, "the certificate of g4 is for g2, not for this node");
}

/* What is like a name is none. */
static void near_names(void)
{
	static const struct wish wishes[] = {
		{ .names = "", .to = 9, .common = "g2" },
		{ .names = "*", .to = 9 },
		{ .names = "g2.example.org", .to = 9 },
		{ .names = "g22 xg2 g", .to = 9 },
		{ .names = "*.example.com", .to = 9 },
	};

	for (size_t i = 0; i < BC_ARRAY_SIZE(wishes); i++) {
		pair_init();
		certify_by(&primary, &(struct wish){ .names = "g1", .to = 9 }, &authority,
			   "example.com", NULL);
		certify(&replica, &wishes[i]);
		expect_server_refused(" not for g2", "");
	}
}

static void wrong_purpose(void)
{
	pair_init();
	certify(&primary, &(struct wish){ .names = "g1", .to = 9,
					  .purpose = GNUTLS_KP_TLS_WWW_SERVER });
	expect_client_refused("is not for TLS clients");
	pair_init();
	certify(&replica, &(struct wish){ .names = "g2", .to = 9,
					  .purpose = GNUTLS_KP_TLS_WWW_CLIENT });
	expect_server_refused("is not for TLS servers", "");
}

static void revoked(void)
{
	gnutls_datum_t text;
	gnutls_x509_crl_t crl;
	struct identity id;
	struct bc_daemon_config config = config_of("host");

	pair_init();
	issue(&id, &(struct wish){ .names = "g1", .to = 9 }, &authority);
	put_identity(&id, "host");
	certs_put(primary.secrets.certs);
	EXPECT(!certs_load(&primary.secrets.certs, &config, &error));
	EXPECT(!gnutls_x509_crl_init(&crl) && !gnutls_x509_crl_set_version(crl, 2));
	EXPECT(!gnutls_x509_crl_set_this_update(crl, time(NULL) - DAY));
	EXPECT(!gnutls_x509_crl_set_next_update(crl, time(NULL) + DAY));
	EXPECT(!gnutls_x509_crl_set_number(crl, "\1", 1));
	EXPECT(!gnutls_x509_crl_set_crt(crl, id.crt, time(NULL) - DAY));
	EXPECT(!gnutls_x509_crl_sign2(crl, authority.crt, authority.key, GNUTLS_DIG_SHA256, 0));
	EXPECT(!gnutls_x509_crl_export2(crl, GNUTLS_X509_FMT_PEM, &text));
	put_file("crl", &text, 0644);
	gnutls_free(text.data);
	gnutls_x509_crl_deinit(crl);
	drop_identity(&id);
	certify_by(&replica, &(struct wish){ .names = "g2", .to = 9 }, &authority, "", "crl");
	expect_client_refused("the certificate of g1 has been revoked");
}

/* --- the key, and nothing, against certificates ------------------------------------------ */

static void without_certificates(struct side *side)
{
	certs_put(side->secrets.certs);
	side->secrets.certs = NULL;
}

static void key_against_certificates(void)
{
	pair_init();
	without_certificates(&primary);
	expect_client_refused("the peer comes with the key, this host takes certificates");
	EXPECT(primary.permanent && !handed_over);
	/* But where both are to be taken. */
	pair_init();
	without_certificates(&primary);
	replica.secrets.takes_key = true;
	expect_linked();
	/* With the right one, of course; no key at all is none. */
	pair_init();
	without_certificates(&primary);
	replica.secrets.takes_key = true;
	replica.key.bytes[7] = 'x';
	converse();
	EXPECT(!primary.linked && !handed_over);
	EXPECT_SAYS(replica.reason, "wrong key");
	pair_init();
	without_certificates(&primary);
	primary.key.len = 0;
	replica.key.len = 0;
	replica.secrets.takes_key = true;
	converse();
	EXPECT(!primary.linked && !replica.proved && !handed_over);
	/* Who takes the key takes certificates all the same. */
	pair_init();
	replica.secrets.takes_key = true;
	expect_linked();
}

static void certificates_against_key(void)
{
	pair_init();
	without_certificates(&replica);
	expect_client_refused("the peer does not come with the key");
	EXPECT(primary.permanent && !handed_over);
	EXPECT_SAYS(primary.reason, "it takes no certificates");
}

static void plain_against_certificates(void)
{
	pair_init();
	primary.plain = true;
	expect_refused("g2 takes links by TLS only", true);
	/* Allowed, but nothing proves anything without a key. */
	pair_init();
	primary.plain = true;
	replica.plain = true;
	replica.key.len = 0;
	expect_refused("g2 takes links by TLS only", true);
	pair_init();
	primary.plain = true;
	primary.key.len = 0;
	converse();
	EXPECT(!primary.linked && primary.permanent);
	EXPECT_SAYS(primary.reason, "a plain link needs the key");
}

static ssize_t after;	/* bytes that came behind the handshake */

/* Somebody with a good certificate who speaks as @priority says. */
static int shake_hands(const char *priority)
{
	uint8_t more;
	gnutls_session_t session;
	int fds[2], ret = GNUTLS_E_AGAIN;

	socket_pair(fds);
	side_start(&replica, fds[1]);
	EXPECT(!gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL));
	EXPECT(!gnutls_priority_set_direct(session, priority, NULL));
	EXPECT(!gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE,
				       certs_credentials(primary.secrets.certs)));
	gnutls_transport_set_int(session, fds[0]);
	for (int i = 0; i < 300 && ret == GNUTLS_E_AGAIN; i++) {
		bool never = false;

		ret = gnutls_handshake(session);
		turn_until(&never, 10);
	}
	after = recv(fds[0], &more, 1, MSG_DONTWAIT);
	gnutls_deinit(session);
	close(fds[0]);
	turn_until(&replica.done, 3000);
	return ret;
}

/* Does the first message of who dials have an extension of this type? (RFC 8446, 4.1.2) */
static bool hello_has(const uint8_t *hello, size_t len, unsigned int type)
{
	size_t at = 5 + 4 + 2 + 32;	/* heads of record and message, version, random */

	at += 1 + hello[at];		/* session */
	at += 2 + (hello[at] << 8 | hello[at + 1]);	/* ciphers */
	at += 1 + hello[at] + 2;	/* compression */
	for (; at + 4 <= len; at += 4 + (hello[at + 2] << 8 | hello[at + 3])) {
		if ((unsigned int)(hello[at] << 8 | hello[at + 1]) == type)
			return true;
	}
	return false;
}

/* Who dials does not ask for one: neither as before TLS 1.3 nor as since. */
static void no_ticket_wanted(void)
{
	uint8_t hello[2048];
	int fds[2];
	ssize_t len;

	pair_init();
	socket_pair(fds);
	side_start(&primary, fds[0]);
	len = recv(fds[1], hello, sizeof(hello), MSG_DONTWAIT);
	EXPECT(len > 100 && hello_has(hello, len, 43));	/* supported_versions */
	EXPECT(!hello_has(hello, len, 35) && !hello_has(hello, len, 45));
	session_abort(primary.session);
	close(fds[1]);
}

/*
 * Hands are shaken, and whoever listens says nothing more until he is spoken to: no
 * ticket by which the next connection could do without what this one has proved.
 */
static void no_ticket(void)
{
	pair_init();
	EXPECT(!shake_hands("NORMAL:-VERS-ALL:+VERS-TLS1.3") && handed_over == 2);
	EXPECT(after < 0);
}

static void downgraded(void)
{
	pair_init();
	EXPECT(!shake_hands("NORMAL:-VERS-ALL:+VERS-TLS1.3") && handed_over == 2);
	pair_init();
	EXPECT(shake_hands("NORMAL:-VERS-ALL:+VERS-TLS1.2") && !handed_over);
	EXPECT_SAYS(replica.reason, "TLS");
	pair_init();
	EXPECT(shake_hands("NORMAL:-VERS-ALL:+VERS-TLS1.3:-CHACHA20-POLY1305") &&
	       !handed_over);
}

/* --- who may have to do with a volume ------------------------------------------------------ */

static void volume_of_others(void)
{
	pair_init();
	replica.fake.stranger = true;
	expect_refused("volume data on g2 is not for g1 ('allow'", true);
	EXPECT(!replica.fake.offered && !replica.fake.added);
	pair_init();
	replica.fake.stranger = true;
	question = "fetch";
	converse();
	question = NULL;
	EXPECT(!replica.fake.asked && !replica.fake.streamed);
	pair_init();
	replica.fake.stranger = true;
	forget = true;
	converse();
	forget = false;
	EXPECT(!replica.fake.forgotten);
}

/* Whoever has a certificate has his own links made, not those of others. */
static void links_of_others(void)
{
	static const char * const peers[] = { "g1", "g9" };

	for (int i = 0; i < 4; i++) {
		bool by_key = i / 2, refused = !by_key && i % 2;

		pair_init();
		if (by_key) {
			without_certificates(&primary);
			without_certificates(&replica);
		}
		about = peers[i % 2];
		question = "describe";
		converse();
		about = NULL;
		question = NULL;
		EXPECT(primary.answered == !refused && replica.fake.asked == !refused);
		if (refused)
			EXPECT_SAYS(primary.reason, "g1 may ask for a link to itself only");
	}
}

/* --- one key after the other ------------------------------------------------------------------ */

static void set_keys(struct side *side, char first, char next)
{
	memset(side->key.bytes, first, side->key.len);
	side->next.len = next ? side->key.len : 0;
	memset(side->next.bytes, next, side->next.len);
}

static void keys_change(void)
{
	/* The old key o, the new one n: as the files are while hosts change, one by one. */
	static const char * const files[][2] = {
		{ "o", "on" }, { "on", "o" }, { "on", "no" }, { "no", "on" }, { "no", "n" },
		{ "n", "no" }, { "n", "n" },
	};

	for (size_t i = 0; i < 2 * BC_ARRAY_SIZE(files); i++) {
		const char * const *file = files[i / 2];

		pair_init();
		without_certificates(&primary);
		without_certificates(&replica);
		primary.plain = i % 2;
		replica.plain = i % 2;
		set_keys(&primary, file[0][0], file[0][1]);
		set_keys(&replica, file[1][0], file[1][1]);
		converse();
		EXPECT(primary.linked && replica.linked && handed_over == (i % 2 ? 0 : 4));
	}
	for (int plain = 0; plain < 2; plain++) {
		pair_init();
		without_certificates(&primary);
		without_certificates(&replica);
		primary.plain = plain;
		replica.plain = plain;
		set_keys(&primary, 'o', 0);
		set_keys(&replica, 'n', 'm');
		expect_refused("wrong key", true);
		EXPECT(!replica.proved && !handed_over);
	}
}

/* --- files ---------------------------------------------------------------------------------- */

static void expect_load(const char *says)
{
	struct bc_daemon_config config = config_of("host");
	struct certs *certs = NULL;

	EXPECT(certs_load(&certs, &config, &error) && !certs);
	EXPECT_SAYS(error.text, says);
}

static void files(void)
{
	static const gnutls_datum_t rubbish = { (unsigned char *)"rubbish\n", 8 };
	struct identity id;

	issue(&id, &(struct wish){ .names = "g1", .to = 9 }, &authority);
	put_identity(&id, "host");
	EXPECT(!chmod(path_of("host.pem"), 0640));
	expect_load("the private key");
	EXPECT_SAYS(error.text, "chmod 600 it");
	put_identity(&id, "host");
	EXPECT(!chmod(path_of("host.crt"), 0664));
	expect_load("chmod 644 it");
	put_identity(&id, "host");
	EXPECT(!chmod(path_of("ca.crt"), 0666));
	expect_load("the file of authorities");
	EXPECT(!chmod(path_of("ca.crt"), 0644));
	put_identity(&other, "another");
	EXPECT(!rename(path_of("another.pem"), path_of("host.pem")));
	expect_load("is not the private key of the certificate");
	put_file("host.pem", &rubbish, 0600);
	expect_load("no private key in PEM");
	put_identity(&id, "host");
	put_file("host.crt", &rubbish, 0644);
	expect_load("no certificates in PEM");
	EXPECT(!unlink(path_of("host.crt")));
	expect_load("cannot open the certificate");
	drop_identity(&id);
}

static void complaint(const struct wish *wish, const char *says)
{
	bool any;

	certify(&primary, wish);
	any = certs_complain(primary.secrets.certs, "g1", &error);
	EXPECT(any == !!says);
	if (says && any)
		EXPECT_SAYS(error.text, says);
}

/* Before peers refuse it the administrator has heard. */
static void own_certificate(void)
{
	pair_init();
	complaint(&(struct wish){ .names = "g1", .to = 31 }, NULL);
	complaint(&(struct wish){ .names = "g1", .to = 29 }, "expires on 20");
	complaint(&(struct wish){ .names = "g1", .from = -3, .to = -1 }, "has expired on 20");
	complaint(&(struct wish){ .names = "g1", .from = 1, .to = 30 }, "not valid before");
	complaint(&(struct wish){ .names = "g5", .to = 30 }, "not for this node, g1");
}

static bool in_days(long long ends, int days)
{
	long long left = ends - time(NULL);

	return left <= days * DAY && left > days * DAY - 300;
}

static void add_to_file(const char *name, const struct identity *id)
{
	gnutls_datum_t text;
	FILE *file = fopen(path_of(name), "a");

	EXPECT(!gnutls_x509_crt_export2(id->crt, GNUTLS_X509_FMT_PEM, &text));
	EXPECT(file && fwrite(text.data, text.size, 1, file) == 1 && !fclose(file));
	gnutls_free(text.data);
}

/* What is in use here, what is above it, and what the other has shown. */
static void ends_of_all(void)
{
	struct bc_daemon_config config = config_of("host");
	struct identity between, host;

	pair_init();
	certify(&replica, &(struct wish){ .names = "g2", .to = 7 });
	expect_linked();
	EXPECT(in_days(certs_ends(primary.secrets.certs), 9));
	EXPECT(in_days(certs_authority_ends(primary.secrets.certs), 99));
	EXPECT(in_days(primary.certificate_ends, 7) && in_days(replica.certificate_ends, 9));
	/* One that only has its name is another; renewed, the newer one counts. */
	issue(&host, &(struct wish){ .names = "", .to = 200, .common = "an authority",
				     .authority = true }, NULL);
	add_to_file("ca.crt", &host);
	drop_identity(&host);
	certify(&primary, &(struct wish){ .names = "g1", .to = 9 });
	EXPECT(in_days(certs_authority_ends(primary.secrets.certs), 99));
	host = authority;
	EXPECT(!gnutls_x509_crt_set_expiration_time(host.crt, time(NULL) + 200 * DAY));
	EXPECT(!gnutls_x509_crt_sign2(host.crt, host.crt, host.key, GNUTLS_DIG_SHA256, 0));
	add_to_file("ca.crt", &host);
	certify(&primary, &(struct wish){ .names = "g1", .to = 9 });
	EXPECT(in_days(certs_authority_ends(primary.secrets.certs), 200));
	put_identity(&authority, "ca");
	/* What is between counts as well. */
	issue(&between, &(struct wish){ .names = "", .to = 8, .common = "between",
					.authority = true }, &authority);
	issue(&host, &(struct wish){ .names = "g1", .to = 50 }, &between);
	put_identity(&host, "host");
	add_to_file("host.crt", &between);
	certs_put(primary.secrets.certs);
	EXPECT(!certs_load(&primary.secrets.certs, &config, &error));
	EXPECT(in_days(certs_authority_ends(primary.secrets.certs), 8));
	EXPECT(certs_complain(primary.secrets.certs, "g1", &error));
	EXPECT_SAYS(error.text, "by an authority whose own expires on 20");
	/* Of somebody who is not known here. */
	certify_by(&primary, &(struct wish){ .names = "g1", .to = 50 }, &other, "", NULL);
	EXPECT(!certs_authority_ends(primary.secrets.certs));
	EXPECT(!certs_complain(primary.secrets.certs, "g1", &error));
	drop_identity(&host);
	drop_identity(&between);
}

static void certs_of_the_configuration(void)
{
	struct bc_daemon_config config = config_of("host");
	struct secrets secrets;

	certify(&primary, &(struct wish){ .names = "g1", .to = 9 });
	snprintf(config.key, BC_PATH_MAX, "%s/no-key", folder);
	EXPECT(!secrets_load(&secrets, &config, &error));
	EXPECT(secrets.certs && !secrets.takes_key && !secrets.ring.count);
	secrets_release(&secrets);
	config.accept_key = true;
	EXPECT(secrets_load(&secrets, &config, &error) == -ENOENT);
	config = (struct bc_daemon_config){ 0 };
	snprintf(config.key, BC_PATH_MAX, "%s/no-key", folder);
	EXPECT(secrets_load(&secrets, &config, &error) == -ENOENT);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "right certificates, with a key or without", right_ones },
		{ "names in a domain", names_in_a_domain },
		{ "an address in a certificate", by_address },
		{ "keys of other kinds", kinds_of_keys },
		{ "a chain of certificates", chain },
		{ "expired, or not valid yet", out_of_date },
		{ "by an unknown authority, by itself, by another host", unknown_authority },
		{ "of another node", wrong_name },
		{ "what is like a name", near_names },
		{ "not for that side of TLS", wrong_purpose },
		{ "revoked", revoked },
		{ "the key against certificates", key_against_certificates },
		{ "certificates against the key", certificates_against_key },
		{ "in the clear against certificates", plain_against_certificates },
		{ "an older TLS, or another cipher", downgraded },
		{ "no ticket for the next time", no_ticket },
		{ "nor is one asked for", no_ticket_wanted },
		{ "a volume that is for others", volume_of_others },
		{ "a link for another host", links_of_others },
		{ "keys change, host by host", keys_change },
		{ "files that are not taken", files },
		{ "what is said of one's own", own_certificate },
		{ "until when they are good", ends_of_all },
		{ "with certificates there need not be a key", certs_of_the_configuration },
	};

	if (!mkdtemp(folder) || loop_new(&loop, &error))
		ksft_exit_fail_msg("%s\n", error.text);
	issue(&authority, &(struct wish){ .names = "", .to = 99, .common = "an authority",
					  .authority = true }, NULL);
	issue(&other, &(struct wish){ .names = "", .to = 99, .common = "another",
				      .authority = true }, NULL);
	put_identity(&authority, "ca");
	run_tests(tests, BC_ARRAY_SIZE(tests));
}
