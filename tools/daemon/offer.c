// SPDX-License-Identifier: GPL-2.0-or-later
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blkcast_wire.h"
#include "json.h"
#include "offer.h"
#include "util.h"

int offer_fill(struct offer *offer, const struct bc_volume *volume,
	       struct bc_error *error)
{
	if (volume->role != BLKCAST_ROLE_PRIMARY)
		return bc_fail(error, -EAGAIN, "volume %s is no longer primary here",
			       volume->name);
	if (volume->reigns > BLKCAST_HISTORY_MAX)
		return bc_fail(error, -EPROTO, "volume %s: history too long",
			       volume->name);
	memset(offer, 0, sizeof(*offer));
	memcpy(offer->uuid, volume->uuid, sizeof(offer->uuid));
	offer->bytes = volume->sectors * 512;
	offer->region_shift = volume->region_shift;
	offer->block = volume->block;
	offer->term = volume->term;
	offer->wire_version = BLKCAST_WIRE_VERSION;
	offer->wire_features = bc_wire_features(volume);
	offer->reigns = volume->reigns;
	if (volume->reigns)
		memcpy(offer->history, volume->history,
		       volume->reigns * sizeof(offer->history[0]));
	return 0;
}

static void encode_history(const struct offer *offer, struct json_object *message)
{
	struct json_object *list = json_object_new_array();

	for (uint32_t i = 0; i < offer->reigns; i++) {
		const struct blkcast_reign *reign = &offer->history[i];
		struct json_object *entry = json_object_new_object();

		json_put_number(entry, "term", le32toh(reign->term));
		json_put_hex64(entry, "reign", le64toh(reign->reign));
		json_put_hex64(entry, "inherited", le64toh(reign->inherited));
		json_put_bytes(entry, "copy", reign->copy, sizeof(reign->copy));
		json_object_array_add(list, entry);
	}
	json_object_object_add(message, "history", list);
}

void offer_encode(const struct offer *offer, struct json_object *message)
{
	char uuid[BC_UUID_TEXT];

	json_put_text(message, "uuid", bc_uuid_format(offer->uuid, uuid));
	json_put_number(message, "bytes", offer->bytes);
	json_put_number(message, "region_shift", offer->region_shift);
	json_put_number(message, "block", offer->block);
	json_put_number(message, "term", offer->term);
	json_put_number(message, "flags", offer->flags);
	json_put_number(message, "timeout_ms", offer->timeout_ms);
	json_put_number(message, "wire_version", offer->wire_version);
	json_put_hex64(message, "wire_features", offer->wire_features);
	encode_history(offer, message);
}

static int decode_reign(struct blkcast_reign *reign, struct json_object *entry)
{
	uint64_t term, id, inherited;
	uint8_t copy[sizeof(reign->copy)];

	if (json_get_number(entry, "term", BLKCAST_TERM_MAX, &term) || !term ||
	    json_get_hex64(entry, "reign", &id) || !id ||
	    json_get_hex64(entry, "inherited", &inherited) ||
	    json_get_bytes(entry, "copy", copy, sizeof(copy)))
		return -EBADMSG;
	*reign = (struct blkcast_reign){
		.term = htole32(term),
		.reign = htole64(id),
		.inherited = htole64(inherited),
	};
	memcpy(reign->copy, copy, sizeof(copy));
	return 0;
}

/* Terms rise, and the last one is the offer's. */
static bool history_ordered(const struct offer *offer)
{
	uint32_t last = 0;

	for (uint32_t i = 0; i < offer->reigns; i++) {
		if (le32toh(offer->history[i].term) <= last)
			return false;
		last = le32toh(offer->history[i].term);
	}
	return last == offer->term;
}

static int decode_history(struct offer *offer, struct json_object *message)
{
	struct json_object *list;

	if (!json_object_object_get_ex(message, "history", &list) ||
	    !json_object_is_type(list, json_type_array) ||
	    json_object_array_length(list) > BLKCAST_HISTORY_MAX)
		return -EBADMSG;
	offer->reigns = json_object_array_length(list);
	for (uint32_t i = 0; i < offer->reigns; i++) {
		if (decode_reign(&offer->history[i],
				 json_object_array_get_idx(list, i)))
			return -EBADMSG;
	}
	return history_ordered(offer) ? 0 : -EBADMSG;
}

static int decode_fields(struct offer *offer, struct json_object *message)
{
	uint64_t shift, block, term, flags, timeout, version;
	const char *uuid = json_get_text(message, "uuid");

	if (!uuid || bc_uuid_parse(uuid, offer->uuid) ||
	    json_get_number(message, "bytes", INT64_MAX, &offer->bytes) ||
	    !offer->bytes || offer->bytes % 512 ||
	    json_get_number(message, "region_shift", 63, &shift) ||
	    json_get_number(message, "block", BLKCAST_BLOCK_SIZE, &block) ||
	    block < 512 ||
	    json_get_number(message, "term", BLKCAST_TERM_MAX, &term) || !term ||
	    json_get_number(message, "flags", UINT32_MAX, &flags) ||
	    json_get_number(message, "timeout_ms", 600000, &timeout) ||
	    json_get_number(message, "wire_version", UINT32_MAX, &version) ||
	    json_get_hex64(message, "wire_features", &offer->wire_features))
		return -EBADMSG;
	offer->region_shift = shift;
	offer->block = block;
	offer->term = term;
	offer->flags = flags & BLKCAST_F_ASYNC;
	offer->timeout_ms = timeout;
	offer->wire_version = version;
	return 0;
}

int offer_decode(struct offer *offer, struct json_object *message,
		 struct bc_error *error)
{
	memset(offer, 0, sizeof(*offer));
	if (decode_fields(offer, message) || decode_history(offer, message))
		return bc_fail(error, -EBADMSG, "the offer lacks a field or has one out of range");
	return 0;
}

/* --- may this copy follow? --------------------------------------------- */

static int check_identity(const struct offer *offer, const struct bc_volume *copy,
			  const char *node, const char *peer,
			  struct bc_error *error)
{
	char here[BC_UUID_TEXT], there[BC_UUID_TEXT];

	if (!memcmp(offer->uuid, copy->uuid, sizeof(offer->uuid)))
		return 0;
	return bc_fail(error, -EXDEV,
		       "wrong volume: %s on %s has the uuid %s, on %s %s; a copy is made with 'blkcast create %s --uuid %s ...'",
		       copy->name, peer, bc_uuid_format(offer->uuid, there), node,
		       bc_uuid_format(copy->uuid, here), copy->name, there);
}

static int check_shape(const struct offer *offer, const struct bc_volume *copy,
		       const char *node, const char *peer, struct bc_error *error)
{
	if (copy->region_shift != offer->region_shift)
		return bc_fail(error, -EINVAL,
			       "the copy of %s on %s has regions of %u KiB, on %s of %u KiB; create it anew with --region-size %uK",
			       copy->name, node, 1U << (copy->region_shift - 10), peer,
			       1U << (offer->region_shift - 10),
			       1U << (offer->region_shift - 10));
	if (copy->block > offer->block)
		return bc_fail(error, -EINVAL,
			       "the device of %s on %s has blocks of %u bytes and cannot take all writes of %s, whose has blocks of %u",
			       copy->name, node, copy->block, peer, offer->block);
	return 0;
}

/* The kernel makes the copy as large as the primary's, if its devices are. */
static int check_room(const struct offer *offer, const struct bc_volume *copy,
		      const char *node, const char *peer, struct bc_error *error)
{
	uint64_t room = copy->room * 512;

	if (room >= offer->bytes)
		return 0;
	return bc_fail(error, -ENOSPC,
		       "the devices of %s on %s have room for %" PRIu64 " bytes, the volume on %s has %" PRIu64 ": enlarge them on %s",
		       copy->name, node, room, peer, offer->bytes, node);
}

static int check_role(const struct offer *offer, const struct bc_volume *copy,
		      const char *node, const char *peer, struct bc_error *error)
{
	if (copy->role == BLKCAST_ROLE_REPLICA)
		return 0;
	return bc_fail(error, -EISCONN,
		       "both hosts are primary of %s: %s with term %u, %s with term %u; 'blkcast replica %s --discard-mine' on the one whose writes shall go ends that",
		       copy->name, peer, offer->term, node, copy->term, copy->name);
}

/* --- whose writes are they? ---------------------------------------------- */

static int split_brain(struct bc_error *error, const struct bc_volume *copy,
		       const char *node, const char *peer, const char *what)
{
	return bc_fail(error, -EBADR,
		       "split brain: %s. To keep what %s has: 'blkcast replica %s --discard-mine' on %s; to keep what %s has: the same on %s, then 'blkcast primary %s --force' on %s",
		       what, peer, copy->name, node, node, peer, copy->name, node);
}

static const struct blkcast_reign *find_reign(const struct offer *offer,
					      const struct blkcast_reign *reign)
{
	for (uint32_t i = 0; i < offer->reigns; i++) {
		if (offer->history[i].term == reign->term)
			return &offer->history[i];
	}
	return NULL;
}

/* One term under two reign ids. */
static int check_terms(const struct offer *offer, const struct bc_volume *copy,
		       const char *node, const char *peer, struct bc_error *error)
{
	char what[200];

	for (uint32_t i = 0; i < copy->reigns; i++) {
		const struct blkcast_reign *here = &copy->history[i];
		const struct blkcast_reign *there = find_reign(offer, here);

		if (!there || there->reign == here->reign)
			continue;
		snprintf(what, sizeof(what), "term %u of %s was reigned twice, %016" PRIx64 " on %s and %016" PRIx64 " on %s",
			 le32toh(here->term), copy->name,
			 (uint64_t)le64toh(there->reign), peer,
			 (uint64_t)le64toh(here->reign), node);
		return split_brain(error, copy, node, peer, what);
	}
	return 0;
}

/* The least that a reign of @a that @b does not know has inherited. */
static uint64_t inherited(const struct blkcast_reign *a, uint32_t count_a,
			  const struct blkcast_reign *b, uint32_t count_b)
{
	uint64_t lsn = UINT64_MAX;

	while (count_a--) {
		for (uint32_t i = 0; i < count_b; i++) {
			if (b[i].term == a[count_a].term)
				return lsn;
		}
		if (le64toh(a[count_a].inherited) < lsn)
			lsn = le64toh(a[count_a].inherited);
	}
	return lsn;
}

/* The newest LSN that the two may share. */
static uint64_t branch_lsn(const struct offer *offer, const struct bc_volume *copy)
{
	uint64_t there = inherited(offer->history, offer->reigns,
				   copy->history, copy->reigns);
	uint64_t here = inherited(copy->history, copy->reigns,
				  offer->history, offer->reigns);

	return there < here ? there : here;
}

/* Was the reign begun by a copy of this one's in-sync set? */
static bool by_member(const struct bc_volume *copy, const struct blkcast_reign *reign)
{
	for (uint32_t i = 0; i < copy->members; i++) {
		if (!memcmp(copy->member[i], reign->copy, sizeof(reign->copy)))
			return true;
	}
	return false;
}

/* The reign after @own in the offered history, if that knows @own; else NULL. */
static const struct blkcast_reign *successor(const struct offer *offer,
					     const struct blkcast_reign *own)
{
	for (uint32_t i = 0; i + 1 < offer->reigns; i++) {
		if (offer->history[i].term == own->term)
			return &offer->history[i + 1];
	}
	return NULL;
}

/* Does every reign after it hold something of this one, hence all before it? */
static bool carried_on(const struct offer *offer, const struct blkcast_reign *reign)
{
	const struct blkcast_reign *end = offer->history + offer->reigns, *later;

	for (later = reign + 1; later < end; later++) {
		if (blkcast_lsn_term(le64toh(later->inherited)) < le32toh(reign->term))
			return false;
	}
	return true;
}

/*
 * This copy was primary, and somebody else is now.  It follows if it has nothing
 * beyond what the other has inherited, or if none of that was acknowledged: its
 * successor was in the in-sync set to the end, and who came later had it from there
 * (RULES 20 and 22).
 */
static int check_deposed(const struct offer *offer, const struct bc_volume *copy,
			 const char *node, const char *peer, struct bc_error *error)
{
	bool known = !(copy->super_flags & BLKCAST_SUPER_PRIMARY) && !copy->doubt;
	const struct blkcast_reign *own, *next;
	char what[256];

	if (!(copy->super_flags & BLKCAST_SUPER_OWN) || !copy->reigns)
		return 0;
	own = &copy->history[copy->reigns - 1];
	if (known && copy->lsn <= branch_lsn(offer, copy))
		return 0;
	next = successor(offer, own);
	if (next && by_member(copy, next) && carried_on(offer, next))
		return 0;
	snprintf(what, sizeof(what), "%s was primary of %s (term %u) and may hold acknowledged writes that %s (term %u) lacks",
		 node, copy->name, le32toh(own->term), peer, offer->term);
	return split_brain(error, copy, node, peer, what);
}

static int check_term(const struct offer *offer, const struct bc_volume *copy,
		      const char *node, const char *peer, struct bc_error *error)
{
	if (offer->term >= copy->term)
		return 0;
	return bc_fail(error, -ESTALE,
		       "stale primary: %s is primary of %s with term %u, but %s has followed term %u; end the old reign with 'blkcast replica %s' there",
		       peer, copy->name, offer->term, node, copy->term, copy->name);
}

static int check_history(const struct offer *offer, const struct bc_volume *copy,
			 const char *node, const char *peer, struct bc_error *error)
{
	int ret;

	/* The operator has decided. */
	if (copy->super_flags & BLKCAST_SUPER_DISCARD)
		return 0;
	ret = check_terms(offer, copy, node, peer, error);
	if (!ret)
		ret = check_deposed(offer, copy, node, peer, error);
	return ret ? ret : check_term(offer, copy, node, peer, error);
}

int offer_check(const struct offer *offer, const struct bc_volume *copy,
		const char *node, const char *peer, bool *permanent,
		struct bc_error *error)
{
	int ret;

	*permanent = true;
	if (offer->wire_version < 1)
		return bc_fail(error, -EPROTONOSUPPORT,
			       "%s speaks no version of the wire protocol known on %s",
			       peer, node);
	if (offer->region_shift < BLKCAST_REGION_SHIFT_MIN ||
	    offer->region_shift > BLKCAST_REGION_SHIFT_MAX)
		return bc_fail(error, -EBADMSG, "%s offers regions of 2^%u bytes",
			       peer, offer->region_shift);
	ret = check_identity(offer, copy, node, peer, error);
	if (!ret)
		ret = check_shape(offer, copy, node, peer, error);
	if (ret)
		return ret;
	*permanent = false;
	ret = check_room(offer, copy, node, peer, error);
	if (ret)
		return ret;
	ret = check_role(offer, copy, node, peer, error);
	if (ret)
		return ret;
	*permanent = true;
	return check_history(offer, copy, node, peer, error);
}
