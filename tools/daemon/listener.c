// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Connections from primaries.  At most INCOMING_MAX are agreed upon at a time.  When there
 * are as many, one more has the place of another whose peer has not proved anything yet, of
 * the network that has the most such ones: the oldest of them.  If that is the new one's own
 * it is sent away at once.  So whoever floods the port does it to himself.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon.h"
#include "log.h"
#include "util.h"

#define INCOMING_MAX	64
#define BACKLOG		64
#define LOG_EVERY_NS	(10ULL * 1000000000)
#define LOG_MAX		8	/* lines in that time */

/* @network: where it comes from: an address of IPv4, or 64 bits of one of IPv6. */
struct caller {
	struct session *session;
	uint64_t network;
};

/* @callers: in the order in which they came. */
struct listener {
	struct daemon *daemon;
	int fd;
	struct watch watch;
	struct caller callers[INCOMING_MAX];
	unsigned int count;
	uint64_t logged_at;	/* a refusal; repeated ones are not worth a line */
	unsigned int lines, left_out;
	char logged[BC_ERROR_MAX];
};

static void listen_on(struct listener *listener)
{
	if (loop_watch(listener->daemon->loop, &listener->watch, listener->fd, POLLIN))
		log_error("out of memory: no more connections are taken");
}

/* Where it comes from, which is all that is known of a stranger. */
static const char *address_of(const struct session *session, char text[BC_HOST_MAX])
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);

	if (session->channel.fd < 0 ||
	    getpeername(session->channel.fd, (struct sockaddr *)&address, &len) ||
	    getnameinfo((struct sockaddr *)&address, len, text, BC_HOST_MAX, NULL, 0,
			NI_NUMERICHOST))
		strcpy(text, "?");	/* it has hung up */
	return text;
}

static void log_refused(struct listener *listener, const struct session *session)
{
	const struct handshake *handshake = &session->handshake;
	char address[BC_HOST_MAX];
	uint64_t now = bc_now_ns();

	if (now - listener->logged_at >= LOG_EVERY_NS) {
		if (listener->left_out)
			log_warning("%u more connections were refused", listener->left_out);
		listener->logged_at = now;
		listener->logged[0] = 0;
		listener->left_out = 0;
		listener->lines = 0;
	}
	if (!strcmp(listener->logged, handshake->error.text) || listener->lines == LOG_MAX) {
		listener->left_out++;
		return;
	}
	memcpy(listener->logged, handshake->error.text, sizeof(listener->logged));
	listener->lines++;
	log_warning("volume %s: link from %s at %s: %s",
		    handshake->volume[0] ? handshake->volume : "(not said)",
		    handshake->peer_node[0] ? handshake->peer_node : "(not said)",
		    address_of(session, address), handshake->error.text);
}

static void forget(struct listener *listener, unsigned int i)
{
	listener->count--;
	memmove(&listener->callers[i], &listener->callers[i + 1],
		(listener->count - i) * sizeof(listener->callers[0]));
}

static void incoming_done(struct session *session, bool linked, void *owner)
{
	struct listener *listener = owner;
	const struct handshake *handshake = &session->handshake;

	for (unsigned int i = 0; i < listener->count; i++) {
		if (listener->callers[i].session != session)
			continue;
		forget(listener, i);
		break;
	}
	if (linked) {
		log_info("volume %s: link from %s: up, term %u", handshake->volume,
			 handshake->link, handshake->term);
		expiry_linked(listener->daemon, handshake);
	} else if (handshake->state != HANDSHAKE_DONE) {
		log_refused(listener, session);
	}
	if (!listener->watch.slot)	/* there was no memory for it */
		listen_on(listener);
}

/* --- room for one more ------------------------------------------------------------- */

union address {
	struct sockaddr any;
	struct sockaddr_in four;
	struct sockaddr_in6 six;
};

static uint64_t network_of(const union address *address)
{
	const struct in6_addr *six = &address->six.sin6_addr;
	uint64_t network = 0;

	if (address->any.sa_family == AF_INET)
		return address->four.sin_addr.s_addr;
	if (IN6_IS_ADDR_V4MAPPED(six))
		memcpy(&network, &six->s6_addr[12], 4);
	else
		memcpy(&network, six->s6_addr, sizeof(network));
	return network;
}

static unsigned int strangers_from(const struct listener *listener, uint64_t network)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < listener->count; i++)
		n += listener->callers[i].network == network &&
		     !listener->callers[i].session->handshake.proved;
	return n;
}

/* False: nobody makes way for one from there. */
static bool make_room(struct listener *listener, uint64_t network)
{
	unsigned int most = strangers_from(listener, network), who = INCOMING_MAX;
	struct session *session;

	if (listener->count < INCOMING_MAX)
		return true;
	for (unsigned int i = 0; i < listener->count; i++) {
		const struct caller *caller = &listener->callers[i];
		unsigned int n = strangers_from(listener, caller->network);

		if (n > most && !caller->session->handshake.proved) {
			most = n;
			who = i;
		}
	}
	if (who == INCOMING_MAX)
		return false;
	session = listener->callers[who].session;
	handshake_fail(&session->handshake, false, "it makes way for another connection");
	log_refused(listener, session);
	forget(listener, who);
	session_abort(session);
	return true;
}

static void take_socket(struct listener *listener, int fd, uint64_t network)
{
	struct daemon *daemon = listener->daemon;
	struct session *session;

	session = session_new(daemon->loop, incoming_done, listener);
	if (!session || handshake_init(&session->handshake, &daemon->secrets.ring.key[0],
				       daemon->config.node, &daemon->ops, NULL, NULL)) {
		log_error("out of memory: a connection is dropped");
		if (session)
			session_abort(session);
		close(fd);
		return;
	}
	listener->callers[listener->count++] = (struct caller){ session, network };
	session->plain = daemon->config.plain;
	session->secrets = &daemon->secrets;
	session_talk(session, fd);
}

static void accept_ready(void *owner, uint32_t events)
{
	struct listener *listener = owner;

	(void)events;
	/* A number of them, then others' turn. */
	for (int i = 0; i < BACKLOG; i++) {
		union address address = { 0 };
		socklen_t len = sizeof(address);
		int fd = accept4(listener->fd, &address.any, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			break;
		if (make_room(listener, network_of(&address))) {
			take_socket(listener, fd, network_of(&address));
		} else {
			listener->left_out++;
			close(fd);
		}
	}
	listen_on(listener);
}

static int bind_to(int fd, const struct addrinfo *address)
{
	int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, address->ai_addr, address->ai_addrlen) || listen(fd, BACKLOG))
		return -errno;
	return 0;
}

static int open_socket(const struct bc_address *address, struct bc_error *error)
{
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE
	};
	struct addrinfo *list;
	int fd, ret;

	ret = getaddrinfo(address->host, address->port, &hints, &list);
	if (ret)
		return bc_fail(error, -EINVAL, "listen = %s: %s", address->host,
			       gai_strerror(ret));
	fd = socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ret = fd < 0 ? -errno : bind_to(fd, list);
	freeaddrinfo(list);
	if (!ret)
		return fd;
	if (fd >= 0)
		close(fd);
	return bc_fail_errno(error, ret, "cannot listen on %s port %s",
			     address->host, address->port);
}

int listener_start(struct daemon *daemon, struct bc_error *error)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	if (!listener)
		return bc_fail(error, -ENOMEM, "out of memory");
	listener->daemon = daemon;
	listener->watch.fn = accept_ready;
	listener->watch.owner = listener;
	listener->fd = open_socket(&daemon->config.listen, error);
	if (listener->fd < 0) {
		int ret = listener->fd;

		free(listener);
		return ret;
	}
	daemon->listener = listener;
	listen_on(listener);
	return 0;
}

void listener_stop(struct daemon *daemon)
{
	struct listener *listener = daemon->listener;

	if (!listener)
		return;
	for (unsigned int i = 0; i < listener->count; i++)
		session_abort(listener->callers[i].session);
	loop_unwatch(daemon->loop, &listener->watch);
	close(listener->fd);
	free(listener);
	daemon->listener = NULL;
}
