// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control socket, /run/blkcast/control, for root alone (by its mode, and by who
 * has connected): one JSON object a line, a request and its answer.
 *
 *	{"request": "status"}		{"node": ..., "links": [...]}; with certificates
 *		{"certificate_ends", "certificate_authority_ends",
 *		"peer_certificates": {PEER: ends}} too, in seconds since 1970
 *	{"request": "reload"}		{}
 *	{"request": "hold", "volume"}	{}: links of the volume are dropped and not
 *					made anew until the client disconnects
 *	{"request": "wait-link", "volume", "peer", "timeout_ms"}
 *		{"state": "linked"}, {"state": "idle", "reason"} or
 *		{"state": "failed", "reason", "permanent"}; comes when it is known
 *	{"request": "reconnect", "volume", "peer", "timeout_ms"}
 *		the same, when the link is there by a new connection; "failed" if
 *		none could be made: the old one is still there then
 *	{"request": "forget", "volume", "peer"}		the peer gives its copy up
 *		{"state": "forgotten"}, {"state": "refused", "reason"} or
 *		{"state": "unreachable", "reason"}; comes when it is known
 *	{"request": "offer", "volume"}	{}, or what a primary has offered lately:
 *		{"peer", "term", "uuid", "bytes", "region_shift"}
 *
 * An error is {"error": "sentence"}.  What a client asks while it waits, or does not
 * read what it was answered, is answered afterwards.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon.h"
#include "forget.h"
#include "json.h"
#include "log.h"
#include "util.h"

#define REQUEST_MAX	4096
#define CLIENTS_MAX	32
#define WAIT_MAX_MS	(3600 * 1000)

/**
 * struct client - a connection
 * @in, @have: the request that is coming in
 * @out, @out_len: what is still to be written
 * @renews: waits for a link by a new connection
 * @hold: volume to be left alone, or empty
 * @forget: asks a peer to give its copy up
 * @wait_volume, @wait_peer, @failures: wait-link, and how often the link had
 *	failed when it began
 */
struct client {
	struct client *next;
	struct daemon *daemon;
	int fd;
	struct watch watch;
	struct timer timeout;
	char in[REQUEST_MAX];
	size_t have;
	char *out;
	size_t out_len;
	char hold[BLKCAST_NAME_MAX];
	char wait_volume[BLKCAST_NAME_MAX], wait_peer[BLKCAST_NAME_MAX];
	uint64_t failures;
	struct session *forget;
	bool waits, renews, gone;
};

static struct {
	int fd;
	struct watch watch;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
} server = { .fd = -1 };

/* --- writing --------------------------------------------------------------------- */

static void client_close(struct client *client);

static void client_flush(struct client *client)
{
	ssize_t n;

	while (client->out_len) {
		n = send(client->fd, client->out, client->out_len,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0) {
			client->gone = true;
			return;
		}
		memmove(client->out, client->out + n, client->out_len - n);
		client->out_len -= n;
	}
}

static void client_answer(struct client *client, struct json_object *answer)
{
	const char *text;
	size_t len;
	char *out;

	text = json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN);
	len = strlen(text);
	out = realloc(client->out, client->out_len + len + 1);
	if (out) {
		memcpy(out + client->out_len, text, len);
		out[client->out_len + len] = '\n';
		client->out = out;
		client->out_len += len + 1;
		client_flush(client);
	} else {
		client->gone = true;
	}
	json_object_put(answer);
}

static void client_error(struct client *client, const char *sentence)
{
	struct json_object *answer = json_object_new_object();

	json_put_text(answer, "error", sentence);
	client_answer(client, answer);
}

/* --- requests --------------------------------------------------------------------- */

static void add_link(const struct peer_report *report, void *arg)
{
	struct json_object *links = arg, *entry = json_object_new_object();

	json_put_text(entry, "volume", report->volume);
	json_put_text(entry, "peer", report->peer);
	json_put_text(entry, "state", report->state);
	if (report->reason)
		json_put_text(entry, "reason", report->reason);
	if (report->retry_ms >= 0)
		json_put_number(entry, "retry_ms", report->retry_ms);
	if (report->down_ms >= 0)
		json_put_number(entry, "down_ms", report->down_ms);
	json_object_object_add(entry, "permanent",
			       json_object_new_boolean(report->permanent));
	json_object_array_add(links, entry);
}

static void add_certificate(struct json_object *answer, const struct daemon *daemon)
{
	const struct certs *certs = daemon->secrets.certs;
	const struct bc_expiry *expiry = &daemon->expiry;
	struct json_object *peers;
	struct bc_error complaint;

	if (!certs)
		return;
	json_put_number(answer, "certificate_ends", certs_ends(certs));
	if (expiry->authority)
		json_put_number(answer, "certificate_authority_ends", expiry->authority);
	if (certs_complain(certs, daemon->config.node, &complaint))
		json_put_text(answer, "certificate_complaint", complaint.text);
	peers = json_object_new_object();
	for (unsigned int i = 0; i < expiry->peers; i++)
		json_put_number(peers, expiry->peer[i].name, expiry->peer[i].ends);
	json_object_object_add(answer, "peer_certificates", peers);
}

static void request_status(struct client *client, struct json_object *request)
{
	struct json_object *answer = json_object_new_object();
	struct json_object *links = json_object_new_array();

	(void)request;
	json_put_text(answer, "node", client->daemon->config.node);
	add_certificate(answer, client->daemon);
	peers_report(client->daemon, add_link, links);
	json_object_object_add(answer, "links", links);
	client_answer(client, answer);
}

static void request_reload(struct client *client, struct json_object *request)
{
	struct bc_error error;

	(void)request;
	daemon_reload_secrets(client->daemon);
	if (daemon_reload(client->daemon, &error))
		client_error(client, error.text);
	else
		client_answer(client, json_object_new_object());
}

static bool take_name(struct json_object *request, const char *key,
		      char to[BLKCAST_NAME_MAX])
{
	const char *name = json_get_text(request, key);

	if (!name || !bc_name_valid(name))
		return false;
	strcpy(to, name);
	return true;
}

static void drop_links(struct daemon *daemon, const char *name)
{
	struct bc_volume volume;
	struct bc_error error;

	if (!daemon->kernel || bc_kernel_get(daemon->kernel, name, &volume, &error))
		return;
	for (uint32_t i = 0; i < volume.links; i++)
		bc_kernel_link_del(daemon->kernel, name, volume.link[i].name, &error);
	bc_volume_release(&volume);
}

static void request_hold(struct client *client, struct json_object *request)
{
	if (!take_name(request, "volume", client->hold)) {
		client_error(client, "hold: no volume is named");
		return;
	}
	peers_apply(client->daemon);
	drop_links(client->daemon, client->hold);
	client_answer(client, json_object_new_object());
}

static void answer_state(struct client *client, const char *state,
			 const char *reason, bool permanent)
{
	struct json_object *answer = json_object_new_object();

	client->waits = false;
	loop_timer_stop(client->daemon->loop, &client->timeout);
	json_put_text(answer, "state", state);
	if (reason)
		json_put_text(answer, "reason", reason);
	json_object_object_add(answer, "permanent",
			       json_object_new_boolean(permanent));
	client_answer(client, answer);
	/* What it has asked meanwhile has its turn as soon as it can be answered. */
	if (client->have && loop_watch(client->daemon->loop, &client->watch, client->fd,
				       POLLIN | POLLOUT))
		client->gone = true;
}

/* Is it known by now what becomes of the link? */
static void check_wait(struct client *client, bool time_is_up)
{
	struct peer_report report;

	if (!peers_find(client->daemon, client->wait_volume, client->wait_peer,
			&report))
		answer_state(client, "failed", "no such link in the configuration",
			     false);
	else if (client->renews && report.renewing && time_is_up)
		answer_state(client, "failed", "is still being made anew", false);
	else if (client->renews && report.renewing)
		return;
	else if (client->renews && report.not_renewed)
		answer_state(client, "failed", report.not_renewed, false);
	else if (report.linked)
		answer_state(client, "linked", NULL, false);
	else if (report.idle)
		answer_state(client, "idle",
			     "the volume is not up as primary on this host", false);
	else if (report.permanent && report.failures > client->failures)
		answer_state(client, "failed", report.reason, true);
	else if (time_is_up)
		answer_state(client, "failed", report.reason ? report.reason :
			     "no answer yet", false);
}

static void wait_over(void *owner)
{
	struct client *client = owner;

	check_wait(client, true);
}

static void wait_link(struct client *client, uint64_t timeout_ms, bool renews)
{
	struct peer_report report;

	client->waits = true;
	client->renews = renews;
	client->failures = 0;
	if (peers_find(client->daemon, client->wait_volume, client->wait_peer, &report))
		client->failures = report.failures;
	peers_hurry(client->daemon, client->wait_volume, client->wait_peer);
	loop_timer(client->daemon->loop, &client->timeout, timeout_ms);
	check_wait(client, false);
}

static bool take_link(struct client *client, struct json_object *request,
		      uint64_t *timeout_ms)
{
	if (!take_name(request, "volume", client->wait_volume) ||
	    !take_name(request, "peer", client->wait_peer) ||
	    json_get_number(request, "timeout_ms", WAIT_MAX_MS, timeout_ms)) {
		client_error(client, "wait-link, reconnect: a field is missing");
		return false;
	}
	return true;
}

static void request_wait_link(struct client *client, struct json_object *request)
{
	uint64_t timeout_ms;

	if (take_link(client, request, &timeout_ms))
		wait_link(client, timeout_ms, false);
}

static void request_reconnect(struct client *client, struct json_object *request)
{
	struct bc_error error;
	uint64_t timeout_ms;

	if (!take_link(client, request, &timeout_ms))
		return;
	if (peers_renew(client->daemon, client->wait_volume, client->wait_peer, &error))
		client_error(client, error.text);
	else
		wait_link(client, timeout_ms, true);
}

static void forget_done(struct session *session, bool linked, void *owner)
{
	const struct handshake *handshake = &session->handshake;
	struct client *client = owner;

	(void)linked;
	client->forget = NULL;
	if (handshake->state == HANDSHAKE_DONE)
		answer_state(client, "forgotten", NULL, false);
	else
		answer_state(client, handshake->proved ? "refused" : "unreachable",
			     handshake->error.text, handshake->permanent);
}

static void request_forget(struct client *client, struct json_object *request)
{
	char volume[BLKCAST_NAME_MAX], peer[BLKCAST_NAME_MAX];
	struct bc_error error;

	if (!take_name(request, "volume", volume) || !take_name(request, "peer", peer)) {
		client_error(client, "forget: a field is missing");
		return;
	}
	client->waits = true;
	if (!forget_ask(client->daemon, volume, peer, &client->forget, forget_done,
			client, &error))
		return;
	client->waits = false;
	client_error(client, error.text);
}

static void request_offer(struct client *client, struct json_object *request)
{
	struct json_object *answer = json_object_new_object();
	const struct offered *offered;
	char name[BLKCAST_NAME_MAX], uuid[BC_UUID_TEXT];

	if (!take_name(request, "volume", name)) {
		json_object_put(answer);
		client_error(client, "offer: no volume is named");
		return;
	}
	offered = offers_find(client->daemon, name);
	if (offered) {
		json_put_text(answer, "peer", offered->peer);
		json_put_number(answer, "term", offered->term);
		json_put_text(answer, "uuid", bc_uuid_format(offered->uuid, uuid));
		json_put_number(answer, "bytes", offered->bytes);
		json_put_number(answer, "region_shift", offered->region_shift);
	}
	client_answer(client, answer);
}

static void client_request(struct client *client, const char *line, size_t len)
{
	static const struct {
		const char *name;
		void (*fn)(struct client *client, struct json_object *request);
	} requests[] = {
		{ "status", request_status },
		{ "reload", request_reload },
		{ "hold", request_hold },
		{ "wait-link", request_wait_link },
		{ "reconnect", request_reconnect },
		{ "offer", request_offer },
		{ "forget", request_forget },
	};
	struct json_object *request = json_parse(line, len);
	const char *name = request ? json_get_text(request, "request") : NULL;

	for (size_t i = 0; name && i < BC_ARRAY_SIZE(requests); i++) {
		if (strcmp(name, requests[i].name))
			continue;
		requests[i].fn(client, request);
		json_object_put(request);
		return;
	}
	client_error(client, "no such request");
	json_object_put(request);
}

/* --- reading ----------------------------------------------------------------------- */

/* Take whole lines while no answer is owed, nor one that is not read. */
static void client_lines(struct client *client)
{
	char *end;

	while (!client->waits && !client->gone && !client->out_len &&
	       (end = memchr(client->in, '\n', client->have))) {
		size_t len = end - client->in;

		client_request(client, client->in, len);
		client->have -= len + 1;
		memmove(client->in, end + 1, client->have);
	}
	if (client->have == sizeof(client->in) && !client->out_len)
		client->gone = true;
}

static void client_read(struct client *client)
{
	ssize_t n;

	n = recv(client->fd, client->in + client->have,
		 sizeof(client->in) - client->have, MSG_DONTWAIT);
	if (n > 0)
		client->have += n;
	else if (!n || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		client->gone = true;
	client_lines(client);
}

static void client_settle(struct client *client)
{
	/* Who does not read his answers is not heard; that he is gone shows all the same. */
	uint32_t events = client->out_len ? POLLOUT : POLLIN;

	if (client->gone ||
	    loop_watch(client->daemon->loop, &client->watch, client->fd, events))
		client_close(client);
}

static void client_ready(void *owner, uint32_t events)
{
	struct client *client = owner;

	if (events & POLLOUT) {
		client_flush(client);
		client_lines(client);
	}
	if (events & POLLIN)
		client_read(client);
	else if (events & ~POLLOUT)
		client->gone = true;
	client_settle(client);
}

static void client_free(struct client *client)
{
	struct client **at = &client->daemon->clients;

	while (*at != client)
		at = &(*at)->next;
	*at = client->next;
	loop_unwatch(client->daemon->loop, &client->watch);
	loop_timer_stop(client->daemon->loop, &client->timeout);
	if (client->forget)
		session_abort(client->forget);
	close(client->fd);
	free(client->out);
	free(client);
}

static void client_close(struct client *client)
{
	struct daemon *daemon = client->daemon;
	bool held = client->hold[0];

	client_free(client);
	if (held)
		peers_apply(daemon);
}

/* --- the socket --------------------------------------------------------------------- */

static unsigned int client_count(const struct daemon *daemon)
{
	unsigned int count = 0;

	for (const struct client *client = daemon->clients; client;
	     client = client->next)
		count++;
	return count;
}

static void client_new(struct daemon *daemon, int fd)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client || client_count(daemon) >= CLIENTS_MAX) {
		free(client);
		close(fd);
		return;
	}
	client->daemon = daemon;
	client->fd = fd;
	client->watch.fn = client_ready;
	client->watch.owner = client;
	client->timeout.fn = wait_over;
	client->timeout.owner = client;
	client->next = daemon->clients;
	daemon->clients = client;
	client_settle(client);
}

/* The socket's mode says the same; whoever has loosened that meant something else. */
static bool may_ask(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) &&
	       (!peer.uid || peer.uid == geteuid());
}

static void server_ready(void *owner, uint32_t events)
{
	struct daemon *daemon = owner;
	int fd;

	(void)events;
	fd = accept4(server.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0 && may_ask(fd))
		client_new(daemon, fd);
	else if (fd >= 0)
		close(fd);
	if (loop_watch(daemon->loop, &server.watch, server.fd, POLLIN))
		log_error("out of memory: the control socket is closed");
}

int control_start(struct daemon *daemon, struct bc_error *error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int len;

	len = snprintf(address.sun_path, sizeof(address.sun_path), "%s/control",
		       bc_run_dir());
	if (len < 0 || (size_t)len >= sizeof(address.sun_path))
		return bc_fail(error, -ENAMETOOLONG, "%s: path too long", bc_run_dir());
	strcpy(server.path, address.sun_path);
	server.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (server.fd < 0)
		return bc_fail_errno(error, -errno, "cannot open a socket");
	/* The lock is ours, so what stands there is left over. */
	unlink(server.path);
	umask(0077);
	if (bind(server.fd, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(server.fd, CLIENTS_MAX))
		return bc_fail_errno(error, -errno, "cannot listen on %s", server.path);
	server.watch.fn = server_ready;
	server.watch.owner = daemon;
	if (loop_watch(daemon->loop, &server.watch, server.fd, POLLIN))
		return bc_fail(error, -ENOMEM, "out of memory");
	return 0;
}

void control_stop(struct daemon *daemon)
{
	while (daemon->clients)
		/* analyzer: their daemon is this one, so none stays in the list */
		client_free(daemon->clients);
	if (server.fd < 0)
		return;
	loop_unwatch(daemon->loop, &server.watch);
	close(server.fd);
	server.fd = -1;
	unlink(server.path);
}

bool control_holds(const struct daemon *daemon, const char *volume)
{
	for (const struct client *client = daemon->clients; client;
	     client = client->next) {
		if (!strcmp(client->hold, volume))
			return true;
	}
	return false;
}

/* Answers are written at once; a client that is gone shows when it is read. */
void control_links_changed(struct daemon *daemon)
{
	for (struct client *client = daemon->clients; client; client = client->next) {
		if (client->waits && !client->forget)
			check_wait(client, false);
	}
}
