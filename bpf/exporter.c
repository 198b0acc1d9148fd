// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast-exporter: the figures of "blkcast lag" for Prometheus, over HTTP.
 *
 * This file owns the command line, the HTTP server and the end; libmicrohttpd has
 * one thread, in which requests are answered one after the other: a look at the
 * figures, then metrics.c writes them.
 *
 * 1. The main thread waits for a signal and touches nothing else until the server
 *    has stopped: no lock is needed.
 * 2. Without the kernel module there is an answer all the same (blkcast_up 0), and
 *    each request tries anew.
 * 3. Whatever ends this process, the kernel detaches the probes.
 */
#include <errno.h>
#include <getopt.h>
#include <microhttpd.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "figures.h"
#include "metrics.h"

#define LISTEN_DEFAULT "localhost:7791"
#define CLIENTS_MAX 16
#define CLIENT_TIMEOUT 10	/* seconds */

enum exit_code { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };

struct exporter {
	struct figures_want want;
	struct figures figures;
	bool opened;
	char note[FIGURES_NOTE];	/* the last complaint, said once */
};

/* ---- the figures ---- */

static void complain(struct exporter *e, const char *text)
{
	if (!strcmp(e->note, text))
		return;
	snprintf(e->note, sizeof(e->note), "%s", text);
	if (*text)
		fprintf(stderr, "blkcast-exporter: %s\n", text);
}

/* The figures as they are now; NULL: the kernel does not answer. */
static const struct figures *look(struct exporter *e)
{
	struct bc_error error;
	int err;

	if (e->opened) {
		err = figures_update(&e->figures, &error);
	} else {
		err = figures_open(&e->figures, NULL, &e->want, &error);
		e->opened = !err;
	}
	if (!err) {
		e->figures.total = true;
		complain(e, e->figures.note);
		return &e->figures;
	}
	complain(e, error.text);
	if (e->opened)
		figures_close(&e->figures);
	e->opened = false;
	return NULL;
}

/* ---- requests ---- */

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned int status,
			      const char *type, char *text, size_t size,
			      enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(size, text, mode);
	enum MHD_Result result;

	if (!response) {
		if (mode == MHD_RESPMEM_MUST_FREE)
			free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned int status,
				   const char *type, const char *text)
{
	return answer(connection, status, type, (char *)text, strlen(text),
		      MHD_RESPMEM_PERSISTENT);
}

static void write_all(struct exporter *e, bool open, FILE *out)
{
	struct bc_expiry expiry;

	bc_expiry_load(&expiry);
	metrics_write(look(e), &expiry, open, out);
}

static enum MHD_Result answer_metrics(struct exporter *e, struct MHD_Connection *connection)
{
	const char *accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
							 MHD_HTTP_HEADER_ACCEPT);
	bool open = accept && strstr(accept, "application/openmetrics-text");
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return MHD_NO;
	write_all(e, open, out);
	if (fclose(out)) {
		free(text);
		return MHD_NO;
	}
	return answer(connection, MHD_HTTP_OK, open ? METRICS_OPEN_TYPE : METRICS_TEXT_TYPE, text,
		      size, MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_size, void **context)
{
	static const char page[] =
		"<html><head><title>blkcast-exporter</title></head>"
		"<body><a href=\"/metrics\">Metrics</a></body></html>\n";
	static int seen;

	(void)version;
	(void)upload;
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD)) {
		*upload_size = 0;
		return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain",
				   "only GET and HEAD\n");
	}
	/* Called first with the header alone. */
	if (!*context) {
		*context = &seen;
		return MHD_YES;
	}
	if (!strcmp(url, "/metrics"))
		return answer_metrics(arg, connection);
	if (!strcmp(url, "/"))
		return answer_text(connection, MHD_HTTP_OK, "text/html", page);
	return answer_text(connection, MHD_HTTP_NOT_FOUND, "text/plain", "try /metrics\n");
}

/* ---- the server ---- */

static int socket_try(const struct addrinfo *address)
{
	int on = 1, fd;

	fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, address->ai_addr, address->ai_addrlen) || listen(fd, CLIENTS_MAX)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/* More digits would be another port to the resolver. */
static bool port_valid(const char *port)
{
	char *end;
	long value = strtol(port, &end, 10);

	return *port >= '0' && *port <= '9' && !*end && value >= 1 && value <= 65535;
}

/* "HOST:PORT", "[V6]:PORT" or ":PORT"; returns a listening socket, or -1: said why. */
static int socket_open(const char *where)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM }, *found;
	char host[NI_MAXHOST];
	const char *colon = strrchr(where, ':'), *begin = where;
	size_t length = colon ? (size_t)(colon - where) : 0;
	int fd = -EADDRNOTAVAIL, err;

	if (!colon || !port_valid(colon + 1) || length >= sizeof(host)) {
		fprintf(stderr, "blkcast-exporter: --listen %s: want HOST:PORT, a port from 1 to 65535\n",
			where);
		return -1;
	}
	if (length > 1 && *begin == '[' && begin[length - 1] == ']') {
		begin++;
		length -= 2;
	}
	snprintf(host, sizeof(host), "%.*s", (int)length, begin);
	err = getaddrinfo(*host ? host : NULL, colon + 1, &hints, &found);
	if (err) {
		fprintf(stderr, "blkcast-exporter: --listen %s: %s\n", where, gai_strerror(err));
		return -1;
	}
	for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next)
		fd = socket_try(a);
	freeaddrinfo(found);
	if (fd < 0)
		fprintf(stderr, "blkcast-exporter: cannot listen on %s: %s\n", where,
			strerror(-fd));
	return fd < 0 ? -1 : fd;
}

/* Serve until a signal asks for the end. */
static int serve(struct exporter *e, int fd)
{
	struct MHD_Daemon *server;
	sigset_t set;
	int got;

	/* Before there is a second thread, so that it has them blocked too. */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	server = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL,
				  handle, e, MHD_OPTION_LISTEN_SOCKET, fd,
				  MHD_OPTION_CONNECTION_LIMIT, CLIENTS_MAX,
				  MHD_OPTION_CONNECTION_TIMEOUT, CLIENT_TIMEOUT, MHD_OPTION_END);
	if (!server) {
		fputs("blkcast-exporter: cannot start the HTTP server\n", stderr);
		close(fd);
		return EXIT_FAILED;
	}
	sigwait(&set, &got);
	MHD_stop_daemon(server);
	return EXIT_DONE;
}

static void usage(FILE *out)
{
	fputs("usage: blkcast-exporter [--listen HOST:PORT] [--no-bpf]\n"
	      "\n"
	      "Serve the state and the lag of all volumes to Prometheus, at /metrics.\n"
	      "\n"
	      "  -l, --listen HOST:PORT   where (" LISTEN_DEFAULT "); :PORT is every address\n"
	      "      --no-bpf             no probes: no histograms\n"
	      "      --once               write the metrics to standard output and end\n"
	      "  -h, --help               this text\n", out);
}

enum { OPTION_NO_BPF = 256, OPTION_ONCE };

static const struct option long_options[] = {
	{ "listen", required_argument, NULL, 'l' },
	{ "no-bpf", no_argument, NULL, OPTION_NO_BPF },
	{ "once", no_argument, NULL, OPTION_ONCE },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

int main(int argc, char **argv)
{
	static struct exporter e = { .want = { .probes = true } };
	const char *where = LISTEN_DEFAULT;
	bool once = false;
	int option, fd, code = EXIT_DONE;

	while ((option = getopt_long(argc, argv, "l:h", long_options, NULL)) != -1) {
		if (option == 'h') {
			usage(stdout);
			return EXIT_DONE;
		}
		if (option == '?')
			return EXIT_USAGE;
		if (option == 'l')
			where = optarg;
		once |= option == OPTION_ONCE;
		if (option == OPTION_NO_BPF)
			e.want.probes = false;
	}
	if (optind < argc) {
		fprintf(stderr, "blkcast-exporter: %s: no arguments are wanted\n", argv[optind]);
		return EXIT_USAGE;
	}
	if (once) {
		write_all(&e, false, stdout);
	} else {
		fd = socket_open(where);
		code = fd < 0 ? EXIT_FAILED : serve(&e, fd);
	}
	if (e.opened)
		figures_close(&e.figures);
	return code;
}
