// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See ask.h: the primary's side of the daemons' handshake, one step after the
 * other, each bounded by time.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../daemon/handshake.h"
#include "../daemon/json.h"
#include "../daemon/tls.h"
#include "ask.h"
#include "util.h"

#define STEP_MS 10000

struct json_object *ask_question(const char *type)
{
	struct json_object *question = json_object_new_object();

	json_put_text(question, "type", type);
	return question;
}

void asked_release(struct asked *asked)
{
	json_object_put(asked->answer);
	if (asked->socket >= 0)
		close(asked->socket);
	*asked = (struct asked){ .socket = -1 };
}

/* --- the connection ---------------------------------------------------------- */

static int connect_within(int fd, const struct addrinfo *address)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int err = 0;

	if (!connect(fd, address->ai_addr, address->ai_addrlen))
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	if (poll(&poll_fd, 1, STEP_MS) <= 0)
		return -ETIMEDOUT;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return -err;
}

static int connect_any(const struct addrinfo *list)
{
	int fd, ret = -EADDRNOTAVAIL;

	for (; list; list = list->ai_next) {
		fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd < 0)
			return -errno;
		ret = connect_within(fd, list);
		if (!ret)
			return fd;
		close(fd);
	}
	return ret;
}

static int dial(const struct bc_address *address, struct bc_error *error)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list;
	int ret;

	ret = getaddrinfo(address->host, address->port, &hints, &list);
	if (ret)
		return bc_fail(error, -EHOSTUNREACH, "%s: %s", address->host,
			       gai_strerror(ret));
	ret = connect_any(list);
	freeaddrinfo(list);
	if (ret < 0)
		return bc_fail(error, ret, "cannot connect to %s port %s: %s%s", address->host,
			       address->port, strerror(-ret),
			       ret == -ECONNREFUSED ? " (does blkcastd run there?)" : "");
	return ret;
}

static void take_local(int fd, struct asked *asked)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);

	asked->local[0] = 0;
	if (!getsockname(fd, (struct sockaddr *)&address, &len))
		getnameinfo((struct sockaddr *)&address, len, asked->local,
			    sizeof(asked->local), NULL, 0, NI_NUMERICHOST);
}

/* For a stream: wait as long as the other host lives, no longer. */
static int make_stream(int fd, struct bc_error *error)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 10 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 5 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 3 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, 25000 },
	};
	size_t i;

	if (fcntl(fd, F_SETFL, 0))
		return bc_fail_errno(error, -errno, "connection");
	for (i = 0; i < BC_ARRAY_SIZE(options); i++) {
		if (setsockopt(fd, options[i].level, options[i].name, &options[i].value,
			       sizeof(options[i].value)))
			return bc_fail_errno(error, -errno, "connection");
	}
	return 0;
}

/* The other host's daemon takes TLS in any case.  @tls is to be freed. */
static int secure(int fd, const struct secrets *secrets, const struct tls_expected *expected,
		  struct tls **tls, struct bc_error *error)
{
	struct pollfd poll_fd = { .fd = fd };
	enum tls_progress progress;

	if (tls_new(tls, secrets, expected, fd))
		return bc_fail(error, -ENOMEM, "out of memory");
	while ((progress = tls_step(*tls, error)) > TLS_DONE) {
		poll_fd.events = progress == TLS_WANTS_READ ? POLLIN : POLLOUT;
		if (poll(&poll_fd, 1, STEP_MS) > 0)
			continue;
		bc_fail(error, -ETIMEDOUT, "no answer within %d s", STEP_MS / 1000);
		progress = TLS_FAILED;
		break;
	}
	if (progress == TLS_WRONG_KEY)
		return bc_fail(error, -EPERM,
			       "wrong key: this host and that one do not have the same key (compare /etc/blkcast/key on both), or that one takes certificates only");
	if (progress == TLS_STRANGER)
		return -EPERM;
	return progress == TLS_DONE ? 0 : -EAGAIN;
}

/* --- the conversation ---------------------------------------------------------- */

static int wait_for(int fd, short events, struct handshake *handshake)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };
	int n;

	do {
		n = poll(&poll_fd, 1, STEP_MS);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return 0;
	handshake_fail(handshake, false, "no answer within %d s", STEP_MS / 1000);
	return -ETIMEDOUT;
}

static int flush(struct handshake *handshake, struct channel *channel)
{
	int ret;

	while ((ret = channel_write(channel)) == 0) {
		ret = wait_for(channel->fd, POLLOUT, handshake);
		if (ret)
			return ret;
	}
	return ret < 0 ? ret : 0;
}

static int receive(struct handshake *handshake, struct channel *channel)
{
	struct frame frame;
	int ret;

	while (!(ret = channel_read(channel, handshake_wants_mac(handshake), &frame))) {
		ret = wait_for(channel->fd, POLLIN, handshake);
		if (ret)
			return ret;
	}
	if (ret < 0)
		return ret;
	handshake_take(handshake, channel, &frame);
	return 0;
}

static int converse(struct handshake *handshake, struct channel *channel,
		    struct bc_error *error)
{
	int ret = 0;

	handshake_start(handshake, channel);
	while (!ret && handshake->state != HANDSHAKE_DONE &&
	       handshake->state != HANDSHAKE_FAILED) {
		ret = flush(handshake, channel);
		if (!ret)
			ret = receive(handshake, channel);
	}
	if (handshake->state == HANDSHAKE_DONE)
		return 0;
	if (handshake->state == HANDSHAKE_FAILED) {
		flush(handshake, channel);
		*error = handshake->error;
		return handshake->permanent ? -EPERM : -EAGAIN;
	}
	return bc_fail(error, ret, "the connection ended: %s", strerror(-ret));
}

static int talk(const struct bc_daemon_config *config, const struct key *key,
		const struct tls *tls, const char *volume, struct json_object *question, int fd,
		struct channel *channel, struct asked *asked, struct bc_error *error)
{
	static const struct handshake_ops none;
	const struct bc_link_config link = { .peer = "" };
	struct handshake handshake;
	int ret;

	if (handshake_init(&handshake, key, config->node, &none, volume, &link) ||
	    channel_init(channel, fd))
		return bc_fail(error, -ENOMEM, "out of memory");
	handshake_certified(&handshake, tls);
	handshake.question = json_object_get(question);
	ret = converse(&handshake, channel, error);
	if (!ret) {
		asked->answer = json_object_get(handshake.answer);
		strcpy(asked->node, handshake.peer_node);
	}
	handshake_release(&handshake);
	return ret;
}

static int ask_with(const struct bc_daemon_config *config, const struct secrets *secrets,
		    const struct bc_address *address, const struct tls_expected *expected,
		    const char *volume, struct json_object *question, bool keep,
		    struct asked *asked, struct bc_error *error)
{
	struct channel channel = { .fd = -1 };
	struct tls *tls = NULL;
	int fd = dial(address, error), ret;

	if (fd < 0)
		return fd;
	take_local(fd, asked);
	channel.fd = fd;
	ret = secure(fd, secrets, expected, &tls, error);
	if (!ret)
		ret = talk(config, &secrets->ring.key[0], tls, volume, question, fd, &channel, asked, error);
	if (!ret && keep)
		ret = make_stream(fd, error);
	if (!ret && keep)
		asked->socket = channel_detach(&channel);
	channel_release(&channel);
	tls_free(tls);
	if (ret)
		bc_error_prefix(error, "%s port %s", address->host, address->port);
	return ret;
}

int ask_host(const struct bc_address *address, const char *node, const char *volume,
	     struct json_object *question, bool keep, struct asked *asked,
	     struct bc_error *error)
{
	struct bc_daemon_config config;
	struct secrets secrets;
	int ret;

	*asked = (struct asked){ .socket = -1 };
	ret = bc_daemon_config_load(&config, error);
	if (!ret)
		ret = secrets_load(&secrets, &config, error);
	if (!ret) {
		const struct tls_expected expected = { .node = node, .host = address->host };

		ret = ask_with(&config, &secrets, address, &expected, volume, question, keep,
			       asked, error);
		secrets_release(&secrets);
	}
	json_object_put(question);
	if (ret)
		asked_release(asked);
	return ret;
}
