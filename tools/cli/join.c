// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the hosts that have a volume say of it (see join.h).
 */
#include <errno.h>
#include <string.h>

#include "../daemon/json.h"
#include "join.h"
#include "util.h"

static int take_text(char *to, size_t size, struct json_object *from, const char *key)
{
	const char *text = json_get_text(from, key);

	if (!text || strlen(text) >= size)
		return -EBADMSG;
	strcpy(to, text);
	return 0;
}

static int take_peer(struct join_peer *peer, struct json_object *from, struct bc_error *error)
{
	const char *address = json_get_text(from, "address");

	if (take_text(peer->name, sizeof(peer->name), from, "name") ||
	    take_text(peer->state, sizeof(peer->state), from, "state") || !address)
		return -EBADMSG;
	/* Not there without a link. */
	json_get_number(from, "dirty_bytes", INT64_MAX, &peer->dirty);
	json_get_number(from, "resync_bytes", INT64_MAX, &peer->resynced);
	return bc_address_parse(&peer->address, address, error);
}

static int take_peers(struct described *described, struct json_object *answer,
		      struct bc_error *error)
{
	struct json_object *peers;
	size_t i, count;

	if (!json_object_object_get_ex(answer, "peers", &peers) ||
	    !json_object_is_type(peers, json_type_array))
		return -EBADMSG;
	count = json_object_array_length(peers);
	for (i = 0; i < count && i < JOIN_PEERS_MAX; i++) {
		int ret = take_peer(&described->peer[i], json_object_array_get_idx(peers, i),
				    error);

		if (ret)
			return ret;
		described->peers++;
	}
	return 0;
}

static int take_answer(struct described *described, struct json_object *answer,
		       struct bc_error *error)
{
	const char *uuid = json_get_text(answer, "uuid");
	const char *role = json_get_text(answer, "role");
	uint64_t shift;

	if (!uuid || bc_uuid_parse(uuid, described->uuid) || !role ||
	    json_get_number(answer, "bytes", INT64_MAX, &described->bytes) ||
	    json_get_number(answer, "region_shift", BLKCAST_REGION_SHIFT_MAX, &shift))
		return -EBADMSG;
	described->region_shift = shift;
	described->is_primary = !strcmp(role, "primary");
	if (json_get_text(answer, "primary") &&
	    take_text(described->primary, sizeof(described->primary), answer, "primary"))
		return -EBADMSG;
	return take_peers(described, answer, error);
}

int describe(const struct bc_address *address, const char *node, const char *volume,
	     struct described *described, struct bc_error *error)
{
	struct asked asked;
	int ret;

	memset(described, 0, sizeof(*described));
	ret = ask_host(address, node, volume, ask_question("describe"), false, &asked,
		       error);
	if (ret)
		return ret;
	strcpy(described->node, asked.node);
	strcpy(described->local, asked.local);
	if (take_answer(described, asked.answer, error))
		ret = bc_fail(error, -EBADMSG, "%s describes volume %s in a way that is not understood",
			      asked.node, volume);
	asked_release(&asked);
	return ret;
}

const struct join_peer *described_peer(const struct described *described, const char *name)
{
	for (unsigned int i = 0; i < described->peers; i++) {
		if (!strcmp(described->peer[i].name, name))
			return &described->peer[i];
	}
	return NULL;
}
