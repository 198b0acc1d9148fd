// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "session.h"

#define KEEPALIVE_IDLE_S	10
#define KEEPALIVE_INTERVAL_S	5
#define KEEPALIVE_PROBES	3

static void session_free(struct session *session)
{
	loop_unwatch(session->loop, &session->watch);
	loop_timer_stop(session->loop, &session->deadline);
	if (session->resolver >= 0)
		close(session->resolver);
	tls_free(session->tls);
	channel_release(&session->channel);
	handshake_release(&session->handshake);
	free(session);
}

void session_abort(struct session *session)
{
	session_free(session);
}

static void session_watch(struct session *session, int fd, uint32_t events)
{
	if (!loop_watch(session->loop, &session->watch, fd, events))
		return;
	/* No slot: the deadline ends it. */
	handshake_fail(&session->handshake, false, "out of memory");
}

/* --- the end --------------------------------------------------------------- */

/* Wait until the peer has closed, so that our last word is not reset away. */
static void linger(struct session *session)
{
	session->state = SESSION_LINGERING;
	if (session->channel.fd < 0 || shutdown(session->channel.fd, SHUT_WR)) {
		session_free(session);
		return;
	}
	loop_timer(session->loop, &session->deadline, LINGER_MS);
	session_watch(session, session->channel.fd, POLLIN);
}

static void drain(struct session *session)
{
	char nothing[4096];
	ssize_t n;

	do {
		n = recv(session->channel.fd, nothing, sizeof(nothing), MSG_DONTWAIT);
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		session_watch(session, session->channel.fd, POLLIN);
	else
		session_free(session);
}

static void finish(struct session *session, bool linked)
{
	loop_timer_stop(session->loop, &session->deadline);
	session->done(session, linked, session->owner);
	if (linked)
		session_free(session);
	else
		linger(session);
}

static void deadline_passed(void *owner)
{
	static const char * const waiting[] = {
		[SESSION_RESOLVING] = "the name is not resolved within 10 s",
		[SESSION_CONNECTING] = "cannot connect: no answer within 4 s",
		[SESSION_SECURING] = "the peer does not finish the TLS handshake within 10 s",
		[SESSION_TALKING] = "the peer does not go on talking within 10 s",
	};
	struct session *session = owner;

	if (session->state == SESSION_LINGERING) {
		session_free(session);
		return;
	}
	if (session->handshake.state != HANDSHAKE_FAILED)
		handshake_fail(&session->handshake, false, "%s",
			       waiting[session->state]);
	finish(session, false);
}

/* --- talking ---------------------------------------------------------------- */

static void channel_failed(struct session *session, int err)
{
	if (err == -ECONNRESET)
		handshake_fail(&session->handshake, false,
			       "the peer closes the connection while we agree");
	else if (err == -EMSGSIZE)
		handshake_refuse(&session->handshake, &session->channel, false,
				 "control message of a length out of range");
	else
		handshake_fail(&session->handshake, false, "connection: %s",
			       strerror(-err));
}

/* Take what has come: true: go on, false: wait. */
static bool session_receive(struct session *session)
{
	struct frame frame;
	int ret;

	ret = channel_read(&session->channel,
			   handshake_wants_mac(&session->handshake), &frame);
	if (ret < 0)
		channel_failed(session, ret);
	else if (ret > 0)
		handshake_take(&session->handshake, &session->channel, &frame);
	else
		session_watch(session, session->channel.fd, POLLIN);
	return ret != 0;
}

static bool session_peek(struct session *session)
{
	int ret = channel_peek(&session->channel);

	if (ret == 1)
		session->handshake.state = HANDSHAKE_HANDOVER;
	else if (ret == 2)
		return session_receive(session);
	else if (ret < 0)
		channel_failed(session, ret);
	else
		session_watch(session, session->channel.fd, POLLIN);
	return ret != 0;
}

/* True: go on, false: wait. */
static bool session_flush(struct session *session)
{
	int ret = channel_write(&session->channel);

	if (!ret)
		session_watch(session, session->channel.fd, POLLOUT);
	else if (ret < 0 && session->handshake.state != HANDSHAKE_FAILED)
		channel_failed(session, ret);
	return ret != 0;
}

/* True: go on, with the refusal; false: the session is no more. */
static bool hand_over(struct session *session)
{
	if (handshake_hand_over(&session->handshake, &session->channel))
		return true;
	close(channel_detach(&session->channel));
	finish(session, true);
	return false;
}

/* The socket is somebody else's from here on. */
static void session_stream(struct session *session)
{
	const struct handshake *handshake = &session->handshake;
	int fd = channel_detach(&session->channel);

	loop_unwatch(session->loop, &session->watch);
	handshake->ops->stream(handshake->ops->arg, handshake->volume,
			       handshake->peer_node, handshake->question, fd);
	session->handshake.state = HANDSHAKE_DONE;
	finish(session, false);
}

static void session_step(struct session *session)
{
	bool go_on = true;

	while (go_on) {
		if (!session_flush(session))
			return;
		switch (session->handshake.state) {
		case HANDSHAKE_FAILED:
		case HANDSHAKE_DONE:
			finish(session, false);
			return;
		case HANDSHAKE_STREAM:
			session_stream(session);
			return;
		case HANDSHAKE_HANDOVER:
			go_on = hand_over(session);
			break;
		case HANDSHAKE_FIRST_FRAME:
			go_on = session_peek(session);
			break;
		default:
			go_on = session_receive(session);
			break;
		}
	}
}

static void set_options(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES },
	};

	/* Niceties: a socket pair in a test has none of them. */
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		setsockopt(fd, options[i].level, options[i].name,
			   &options[i].value, sizeof(options[i].value));
}

static void start_talking(struct session *session)
{
	session->state = SESSION_TALKING;
	if (session->plain)
		session->handshake.ring = &session->secrets->ring;
	if (session->handshake.role == PROOF_PRIMARY)
		handshake_start(&session->handshake, &session->channel);
	session_step(session);
}

/* --- TLS -------------------------------------------------------------------- */

/* How a TLS connection begins: RFC 8446, 5.1. */
#define TLS_HANDSHAKE	22
#define TLS_MAJOR	3
#define TLS_PEEK	3

/*
 * A plain frame begins with a length of at most 64 KiB, whose third byte is 0; that
 * of a TLS record is the low byte of its version, which is not.
 * 1: TLS, 0: plain; -EAGAIN: not enough is there; or another error.
 */
static int peek_tls(int fd)
{
	uint8_t head[TLS_PEEK];
	ssize_t n;

	n = recv(fd, head, sizeof(head), MSG_PEEK | MSG_DONTWAIT);
	if (n < 0)
		return errno == EWOULDBLOCK || errno == EINTR ? -EAGAIN : -errno;
	if (!n)
		return -ECONNRESET;
	if (n < TLS_PEEK)
		return -EAGAIN;
	return head[0] == TLS_HANDSHAKE && head[1] == TLS_MAJOR && head[2];
}

static void secure_failed(struct session *session, const struct bc_error *error)
{
	handshake_fail(&session->handshake, false, "%s", error->text);
	finish(session, false);
}

/*
 * Not the one it should be, or this host is not to the peer.  At the end that listens
 * the peer takes the handshake for finished, and hears why it is refused.
 */
static void stranger(struct session *session, const struct bc_error *error)
{
	struct handshake *handshake = &session->handshake;
	struct channel *channel = &session->channel;

	if (handshake->role == PROOF_PRIMARY) {
		handshake_fail(handshake, true, "%s", error->text);
	} else {
		handshake_refuse(handshake, channel, true, "%s", error->text);
		tls_say(session->tls, channel->out + channel->out_at,
			channel->out_len - channel->out_at);
		channel->out_len = 0;
		channel->out_at = 0;
	}
	finish(session, false);
}

static void wrong_key(struct session *session)
{
	struct handshake *handshake = &session->handshake;
	bool primary = handshake->role == PROOF_PRIMARY;

	handshake_fail(handshake, primary,
		       "wrong key: %s and %s do not have the same key (compare /etc/blkcast/key on both)%s",
		       handshake->node, primary ? handshake->link : "the peer",
		       primary ? ", or that one takes certificates only" : "");
	finish(session, false);
}

/* The end that listens: does the peer talk TLS?  False: the session goes another way. */
static bool recognise(struct session *session)
{
	int ret = peek_tls(session->channel.fd);

	if (ret > 0)
		return true;
	if (ret == -EAGAIN) {
		session_watch(session, session->channel.fd, POLLIN);
	} else if (ret < 0) {
		channel_failed(session, ret);
		finish(session, false);
	} else if (session->plain && session->secrets->ring.count) {
		start_talking(session);
	} else {
		session->state = SESSION_TALKING;
		handshake_refuse(&session->handshake, &session->channel, true,
				 "%s takes links by TLS only: connect without --plain, or put 'plain = yes' into its blkcast.conf",
				 session->handshake.node);
		session_step(session);
	}
	return false;
}

static void secure_step(struct session *session)
{
	struct bc_error error;

	switch (tls_step(session->tls, &error)) {
	case TLS_DONE:
		handshake_certified(&session->handshake, session->tls);
		tls_free(session->tls);
		session->tls = NULL;
		start_talking(session);
		break;
	case TLS_WANTS_READ:
		session_watch(session, session->channel.fd, POLLIN);
		break;
	case TLS_WANTS_WRITE:
		session_watch(session, session->channel.fd, POLLOUT);
		break;
	case TLS_WRONG_KEY:
		wrong_key(session);
		break;
	case TLS_STRANGER:
		stranger(session, &error);
		break;
	case TLS_FAILED:
		secure_failed(session, &error);
		break;
	}
}

static void session_secure(struct session *session)
{
	bool listens = session->handshake.role == PROOF_REPLICA;

	if (!session->tls && listens && !recognise(session))
		return;
	if (!session->tls && tls_new(&session->tls, session->secrets,
				     listens ? NULL : &session->expected,
				     session->channel.fd)) {
		handshake_fail(&session->handshake, false, "out of memory");
		finish(session, false);
		return;
	}
	secure_step(session);
}

static void connected(struct session *session)
{
	loop_timer(session->loop, &session->deadline, SESSION_MS);
	set_options(session->channel.fd);
	session->state = SESSION_SECURING;
	session->expected.node = session->handshake.link;
	session->expected.host = session->host;
	if (!session->plain || session->handshake.role == PROOF_REPLICA) {
		session_secure(session);
	} else if (session->secrets->ring.count) {
		start_talking(session);
	} else {
		handshake_fail(&session->handshake, true,
			       "a plain link needs the key, which is not on this host");
		finish(session, false);
	}
}

/* --- dialing ---------------------------------------------------------------- */

static void try_address(struct session *session)
{
	const struct sockaddr_storage *address;
	int fd;

	address = &session->resolved.at[session->address_at].address;
	fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		handshake_fail(&session->handshake, false, "cannot open a socket: %s",
			       strerror(errno));
		finish(session, false);
		return;
	}
	session->state = SESSION_CONNECTING;
	session->channel.fd = fd;
	/* Whatever becomes of it, POLLOUT and SO_ERROR tell. */
	if (connect(fd, (const struct sockaddr *)address,
		    session->resolved.at[session->address_at].len) &&
	    errno != EINPROGRESS) {
		int err = errno;

		close(fd);
		session->channel.fd = -1;
		handshake_fail(&session->handshake, false, "cannot connect: %s",
			       strerror(err));
		finish(session, false);
		return;
	}
	loop_timer(session->loop, &session->deadline, CONNECT_MS);
	session_watch(session, fd, POLLOUT);
}

static void connect_done(struct session *session)
{
	socklen_t len = sizeof(int);
	int err = 0;

	getsockopt(session->channel.fd, SOL_SOCKET, SO_ERROR, &err, &len);
	if (!err) {
		connected(session);
		return;
	}
	close(session->channel.fd);
	session->channel.fd = -1;
	if (++session->address_at < session->resolved.count) {
		try_address(session);
		return;
	}
	handshake_fail(&session->handshake, false, "cannot connect: %s%s",
		       strerror(err),
		       err == ECONNREFUSED ? " (does blkcastd run there?)" : "");
	finish(session, false);
}

static void resolve_done(struct session *session)
{
	struct resolved *resolved = &session->resolved;
	ssize_t n;

	if (session->resolver >= 0) {
		n = read(session->resolver, resolved, sizeof(*resolved));
		close(session->resolver);
		session->resolver = -1;
		if (n != sizeof(*resolved))
			resolved->error = EAI_SYSTEM;
	}
	if (!resolved->error && resolved->count) {
		try_address(session);
		return;
	}
	handshake_fail(&session->handshake, false, "cannot find the address: %s",
		       gai_strerror(resolved->error));
	finish(session, false);
}

static void session_event(void *owner, uint32_t events)
{
	struct session *session = owner;

	(void)events;	/* errors show in what is done next */
	switch (session->state) {
	case SESSION_RESOLVING:
		resolve_done(session);
		break;
	case SESSION_CONNECTING:
		connect_done(session);
		break;
	case SESSION_SECURING:
		session_secure(session);
		break;
	case SESSION_TALKING:
		session_step(session);
		break;
	case SESSION_LINGERING:
		drain(session);
		break;
	}
}

/* --- the beginning ------------------------------------------------------------ */

struct session *session_new(struct loop *loop,
			    void (*done)(struct session *session, bool linked,
					 void *owner),
			    void *owner)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	if (channel_init(&session->channel, -1)) {
		free(session);
		return NULL;
	}
	session->loop = loop;
	session->resolver = -1;
	session->done = done;
	session->owner = owner;
	session->watch.fn = session_event;
	session->watch.owner = session;
	session->deadline.fn = deadline_passed;
	session->deadline.owner = session;
	return session;
}

void session_dial(struct session *session, const struct bc_address *address)
{
	session->state = SESSION_RESOLVING;
	snprintf(session->host, sizeof(session->host), "%s", address->host);
	loop_timer(session->loop, &session->deadline, SESSION_MS);
	if (resolve_numeric(&session->resolved, address)) {
		try_address(session);
		return;
	}
	session->resolver = resolve_start(address);
	if (session->resolver >= 0) {
		session_watch(session, session->resolver, POLLIN);
		return;
	}
	handshake_fail(&session->handshake, false, "cannot look up %s: %s",
		       address->host, strerror(-session->resolver));
	finish(session, false);
}

void session_talk(struct session *session, int fd)
{
	session->channel.fd = fd;
	connected(session);
}
