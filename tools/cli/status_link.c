// SPDX-License-Identifier: GPL-2.0-or-later
/* The links of a volume, from the kernel, the configuration and the daemon. */
#include <string.h>

#include "status.h"

static const char *text_of(struct json_object *object, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value))
		return NULL;
	return json_object_get_string(value);
}

static bool is_text(struct json_object *object, const char *key, const char *text)
{
	const char *value = text_of(object, key);

	return value && !strcmp(value, text);
}

/* What the daemon says about this link, if anything. */
static void ask_daemon(struct json_object *daemon, const char *volume,
		       struct status_link *link)
{
	struct json_object *links, *ms;

	if (!daemon) {
		link->reason = "blkcastd is not running";
		return;
	}
	if (!json_object_object_get_ex(daemon, "links", &links))
		return;
	for (size_t i = 0; i < json_object_array_length(links); i++) {
		struct json_object *entry = json_object_array_get_idx(links, i);

		if (!is_text(entry, "volume", volume) ||
		    !is_text(entry, "peer", link->peer))
			continue;
		link->reason = text_of(entry, "reason");
		if (json_object_object_get_ex(entry, "retry_ms", &ms))
			link->retry_ms = json_object_get_int64(ms);
		if (json_object_object_get_ex(entry, "down_ms", &ms))
			link->down_ms = json_object_get_int64(ms);
	}
}

/* Until when the certificate is good by which the peer was linked last. */
static long long certificate_of(struct json_object *daemon, const char *peer)
{
	struct json_object *peers, *ends;

	return json_object_object_get_ex(daemon, "peer_certificates", &peers) &&
	       json_object_object_get_ex(peers, peer, &ends) ? json_object_get_int64(ends) : 0;
}

static const struct bc_link_config *config_of(const struct bc_volume_config *config,
					      const char *peer)
{
	for (size_t i = 0; config && i < config->links; i++) {
		if (!strcmp(config->link[i].peer, peer))
			return &config->link[i];
	}
	return NULL;
}

static const struct bc_link *away_of(const struct bc_volume *live, const char *peer)
{
	for (uint32_t i = 0; live && i < live->aways; i++) {
		if (!strcmp(live->away[i].name, peer))
			return &live->away[i];
	}
	return NULL;
}

static bool is_live(const struct bc_volume *live, const char *peer)
{
	for (uint32_t i = 0; live && i < live->links; i++) {
		if (!strcmp(live->link[i].name, peer))
			return true;
	}
	return false;
}

void status_each_link(const struct status_volume *volume,
		      struct json_object *daemon,
		      void (*fn)(const struct status_volume *volume,
				 const struct status_link *link, void *arg),
		      void *arg)
{
	const struct bc_volume *live = volume->live;

	for (uint32_t i = 0; live && i < live->links; i++) {
		struct status_link link = {
			live->link[i].name, &live->link[i],
			config_of(volume->config, live->link[i].name), NULL,
			NULL, -1, -1, certificate_of(daemon, live->link[i].name)
		};

		fn(volume, &link, arg);
	}
	for (size_t i = 0; volume->config && i < volume->config->links; i++) {
		const struct bc_link_config *config = &volume->config->link[i];
		struct status_link link = {
			config->peer, NULL, config, away_of(live, config->peer),
			NULL, -1, -1, certificate_of(daemon, config->peer)
		};

		if (is_live(live, config->peer))
			continue;
		if (live && live->role == BLKCAST_ROLE_PRIMARY)
			ask_daemon(daemon, volume->name, &link);
		fn(volume, &link, arg);
	}
}
