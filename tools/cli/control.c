// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client of the daemon's control socket: one JSON object a line, a
 * question and its answer, each bounded by time.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli.h"
#include "util.h"

#define ANSWER_MAX	(1U << 20)
#define ASK_MS		15000

struct control {
	int fd;
};

static int connect_to(int fd, struct bc_error *error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int len;

	len = snprintf(address.sun_path, sizeof(address.sun_path), "%s/control",
		       bc_run_dir());
	if (len < 0 || (size_t)len >= sizeof(address.sun_path))
		return bc_fail(error, -ENAMETOOLONG, "%s: path too long", bc_run_dir());
	if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return 0;
	if (errno == ENOENT || errno == ECONNREFUSED)
		return bc_fail(error, -errno,
			       "blkcastd is not running (systemctl start blkcastd)");
	return bc_fail_errno(error, -errno, "cannot reach blkcastd at %s",
			     address.sun_path);
}

int control_open(struct control **out, struct bc_error *error)
{
	struct control *control = malloc(sizeof(*control));
	int ret;

	if (!control)
		return bc_fail(error, -ENOMEM, "out of memory");
	control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (control->fd < 0)
		ret = bc_fail_errno(error, -errno, "cannot open a socket");
	else
		ret = connect_to(control->fd, error);
	if (ret) {
		control_close(control);
		return ret;
	}
	*out = control;
	return 0;
}

void control_close(struct control *control)
{
	if (!control)
		return;
	if (control->fd >= 0)
		close(control->fd);
	free(control);
}

static int send_line(struct control *control, struct json_object *request,
		     struct bc_error *error)
{
	const char *text;
	int ret;

	text = json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN);
	ret = bc_write_full(control->fd, text, strlen(text));
	if (!ret)
		ret = bc_write_full(control->fd, "\n", 1);
	return ret ? bc_fail_errno(error, ret, "cannot write to blkcastd") : 0;
}

/* Read up to the newline, which becomes the terminator. */
static int receive_line(struct control *control, char *line, size_t size,
			unsigned int timeout_ms, struct bc_error *error)
{
	uint64_t until = bc_now_ns() + timeout_ms * 1000000ULL, now;
	struct pollfd wait = { .fd = control->fd, .events = POLLIN };
	size_t len = 0;
	ssize_t n;

	while ((now = bc_now_ns()) < until && len < size) {
		if (poll(&wait, 1, (until - now) / 1000000 + 1) <= 0)
			continue;
		n = read(control->fd, line + len, size - len);
		if (n <= 0)
			return bc_fail(error, -ECONNRESET,
				       "blkcastd closed the connection; see its log");
		len += n;
		if (line[len - 1] == '\n') {
			line[len - 1] = 0;
			return 0;
		}
	}
	return bc_fail(error, -ETIMEDOUT, "blkcastd does not answer");
}

static int take_answer(const char *line, struct json_object **answer,
		       struct bc_error *error)
{
	struct json_object *object = json_tokener_parse(line), *sentence;

	if (!json_object_is_type(object, json_type_object)) {
		json_object_put(object);
		return bc_fail(error, -EPROTO, "blkcastd answers with garbage");
	}
	if (json_object_object_get_ex(object, "error", &sentence)) {
		bc_fail(error, -EREMOTEIO, "%s", json_object_get_string(sentence));
		json_object_put(object);
		return -EREMOTEIO;
	}
	if (answer)
		*answer = object;
	else
		json_object_put(object);
	return 0;
}

int control_ask(struct control *control, struct json_object *request,
		unsigned int timeout_ms, struct json_object **answer,
		struct bc_error *error)
{
	char *line = malloc(ANSWER_MAX);
	int ret;

	if (!line)
		ret = bc_fail(error, -ENOMEM, "out of memory");
	else
		ret = send_line(control, request, error);
	if (!ret)
		ret = receive_line(control, line, ANSWER_MAX, timeout_ms, error);
	if (!ret)
		ret = take_answer(line, answer, error);
	json_object_put(request);
	free(line);
	return ret;
}

struct json_object *control_request(const char *request, const char *volume)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "request", json_object_new_string(request));
	if (volume)
		json_object_object_add(object, "volume",
				       json_object_new_string(volume));
	return object;
}

static int drop_links(struct bc_kernel *kernel, const char *name,
		      struct bc_error *error)
{
	struct bc_volume volume;
	int ret;

	ret = bc_kernel_get(kernel, name, &volume, error);
	if (ret)
		return ret;
	for (uint32_t i = 0; i < volume.links && !ret; i++) {
		ret = bc_kernel_link_del(kernel, name, volume.link[i].name, error);
		if (ret == -ENOENT)	/* it has just gone by itself */
			ret = 0;
	}
	bc_volume_release(&volume);
	return ret;
}

int control_hold(struct control **control, struct bc_kernel *kernel,
		 const char *volume, struct bc_error *error)
{
	int ret;

	*control = NULL;
	ret = control_open(control, error);
	if (ret == -ENOENT || ret == -ECONNREFUSED)
		return drop_links(kernel, volume, error);
	if (!ret)
		ret = control_ask(*control, control_request("hold", volume), ASK_MS,
				  NULL, error);
	if (!ret)
		ret = drop_links(kernel, volume, error);
	if (ret) {
		control_close(*control);
		*control = NULL;
	}
	return ret;
}

int control_reload(struct bc_error *error)
{
	struct control *control;
	int ret;

	ret = control_open(&control, error);
	if (ret == -ENOENT || ret == -ECONNREFUSED)
		return 0;
	if (ret)
		return ret;
	ret = control_ask(control, control_request("reload", NULL), ASK_MS, NULL,
			  error);
	control_close(control);
	return ret;
}
