// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See join.h.
 *
 * Senders are forked twice, so that nobody has to wait for them; they run at a
 * lower priority than what serves the volume.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "join.h"
#include "json.h"
#include "log.h"
#include "steady.h"
#include "util.h"
#include "viewstore.h"

#define SENDER_NICE	5

static struct bc_volume_config *find_config(struct daemon *daemon, const char *volume)
{
	for (size_t i = 0; i < daemon->config_count; i++) {
		if (!strcmp(daemon->configs[i].name, volume))
			return &daemon->configs[i];
	}
	return NULL;
}

/* --- describe ------------------------------------------------------------------ */

static void put_address(struct json_object *to, const struct bc_address *address)
{
	char text[BC_HOST_MAX + 16];

	bc_address_format(address, text, sizeof(text));
	json_put_text(to, "address", text);
}

static const struct bc_link *find_link(const struct bc_volume *volume, const char *peer)
{
	for (uint32_t i = 0; i < volume->links; i++) {
		if (!strcmp(volume->link[i].name, peer))
			return &volume->link[i];
	}
	return NULL;
}

static struct json_object *describe_peer(const struct bc_volume *volume,
					 const struct bc_link_config *config)
{
	struct json_object *peer = json_object_new_object();
	const struct bc_link *link = find_link(volume, config->peer);

	json_put_text(peer, "name", config->peer);
	put_address(peer, &config->address);
	json_put_text(peer, "state", link ? bc_link_state_name(link->state) : "none");
	if (!link)
		return peer;
	json_put_number(peer, "dirty_bytes", (uint64_t)link->dirty << volume->region_shift);
	json_put_number(peer, "resync_bytes", link->resync_bytes);
	return peer;
}

static void describe_volume(const struct daemon *daemon, const struct bc_volume *volume,
			    const struct bc_volume_config *config, struct json_object *answer)
{
	struct json_object *peers = json_object_new_array();
	bool primary = volume->role == BLKCAST_ROLE_PRIMARY;
	char uuid[BC_UUID_TEXT];

	json_put_text(answer, "node", daemon->config.node);
	json_put_text(answer, "uuid", bc_uuid_format(volume->uuid, uuid));
	json_put_number(answer, "bytes", volume->sectors * 512);
	json_put_number(answer, "region_shift", volume->region_shift);
	json_put_text(answer, "role", bc_role_name(volume->role));
	/* A replica's link bears its primary's name. */
	if (primary || volume->links)
		json_put_text(answer, "primary", primary ? daemon->config.node :
			      volume->link[0].name);
	for (size_t i = 0; config && i < config->links; i++)
		json_object_array_add(peers, describe_peer(volume, &config->link[i]));
	json_object_object_add(answer, "peers", peers);
}

/* --- fetch ---------------------------------------------------------------------- */

static int check_source(const struct bc_volume *volume, struct bc_error *error)
{
	if (!(volume->super_flags & BLKCAST_SUPER_INCONSISTENT))
		return 0;
	return bc_fail(error, -EUCLEAN,
		       "volume %s: the copy here is itself being filled: fetch it from another host",
		       volume->name);
}

/* --- adopt ---------------------------------------------------------------------- */

static int take_address(struct json_object *question, char peer[BLKCAST_NAME_MAX],
			struct bc_address *address, struct bc_error *error)
{
	const char *name = json_get_text(question, "peer");
	const char *text = json_get_text(question, "address");

	if (!name || !text || !bc_name_valid(name))
		return bc_fail(error, -EBADMSG, "adopt: a field is missing or out of range");
	strcpy(peer, name);
	return bc_address_parse(address, text, error);
}

static int add_link(const char *volume, const char *peer, const struct bc_address *address,
		    struct bc_error *error)
{
	struct bc_volume_config config;
	struct bc_link_config *link;
	int ret;

	ret = bc_volume_config_load(&config, volume, error);
	if (ret)
		return ret;
	link = bc_volume_config_find_link(&config, peer);
	if (!link)
		link = bc_volume_config_add_link(&config, peer);
	if (link) {
		link->address = *address;
		ret = bc_volume_config_save(&config, error);
	} else {
		ret = bc_fail(error, -ENOMEM, "out of memory");
	}
	bc_volume_config_release(&config);
	return ret;
}

static int adopt(struct daemon *daemon, const struct bc_volume *volume,
		 struct json_object *question, struct bc_error *error)
{
	char peer[BLKCAST_NAME_MAX];
	struct bc_address address;
	int ret;

	if (volume->role != BLKCAST_ROLE_PRIMARY)
		return bc_fail(error, -EROFS, "volume %s: %s is not its primary", volume->name,
			       daemon->config.node);
	ret = take_address(question, peer, &address, error);
	if (!ret)
		ret = add_link(volume->name, peer, &address, error);
	if (!ret)
		ret = daemon_reload(daemon, error);
	if (ret)
		return ret;
	log_info("volume %s: %s joins, at %s port %s", volume->name, peer, address.host,
		 address.port);
	peers_hurry(daemon, volume->name, peer);
	return 0;
}

/* --- all ------------------------------------------------------------------------ */

static int answer_one(struct daemon *daemon, const struct bc_volume *volume,
		      const char *type, struct json_object *question,
		      struct json_object *answer, bool *stream, struct bc_error *error)
{
	if (!strcmp(type, "adopt"))
		return adopt(daemon, volume, question, error);
	if (!strcmp(type, "fetch")) {
		*stream = true;
		return check_source(volume, error);
	}
	describe_volume(daemon, volume, find_config(daemon, volume->name), answer);
	return 0;
}

int join_answer(void *arg, const char *volume, const char *type,
		struct json_object *question, struct json_object *answer, bool *stream,
		struct bc_error *error)
{
	struct daemon *daemon = arg;
	struct bc_volume state;
	int ret;

	if (strcmp(type, "describe") && strcmp(type, "fetch") && strcmp(type, "adopt"))
		return -ENOMSG;
	ret = daemon->ops.get(daemon, volume, &state, error);
	if (ret)
		return ret;
	ret = answer_one(daemon, &state, type, question, answer, stream, error);
	bc_volume_release(&state);
	return ret;
}

/* The program beside this one. */
static int sender_path(char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 16);

	if (n < 0)
		return -errno;
	path[n] = 0;
	strcat(dirname(path), "/blkcast");
	return 0;
}

static void sender_run(const char *path, const char *volume, uint64_t rate,
		       const char *store, int socket)
{
	char limit[24];
	sigset_t none;

	steady_end();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (setpriority(PRIO_PROCESS, 0, SENDER_NICE) < 0 || dup2(socket, 0) < 0 ||
	    dup2(socket, 1) < 0 || fcntl(0, F_SETFL, 0) < 0)
		_exit(1);
	snprintf(limit, sizeof(limit), "%" PRIu64, rate);
	execl(path, "blkcast", "send", volume, "--rate", limit, "--store", store, NULL);
	dprintf(2, "blkcastd: cannot run %s: %s\n", path, strerror(errno));
	_exit(1);
}

void join_stream(void *arg, const char *volume, const char *peer,
		 struct json_object *question, int socket)
{
	const struct daemon *daemon = arg;
	const char *store = daemon->config.send_store[0] ? daemon->config.send_store :
							  VIEWSTORE_DEFAULT;
	char path[PATH_MAX];
	uint64_t rate = 0;
	pid_t pid;

	json_get_number(question, "rate", INT64_MAX, &rate);
	if (sender_path(path)) {
		log_error("volume %s: blkcast is not found beside blkcastd", volume);
		close(socket);
		return;
	}
	log_info("volume %s: %s fetches its content", volume, peer);
	pid = fork();
	if (!pid) {
		pid = fork();
		if (!pid)
			sender_run(path, volume, rate, store, socket);
		_exit(pid < 0);
	}
	close(socket);
	if (pid < 0 || waitpid(pid, NULL, 0) < 0)
		log_error("volume %s: cannot start a sender: %s", volume, strerror(errno));
}
