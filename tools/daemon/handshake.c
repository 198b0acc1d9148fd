// SPDX-License-Identifier: GPL-2.0-or-later
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blkcast_wire.h"
#include "handshake.h"
#include "json.h"
#include "offer.h"
#include "util.h"

/* A replica's link that has been silent for so long makes way for a new one. */
#define STALE_LINK_NS (3ULL * 1000000000)

int handshake_init(struct handshake *handshake, const struct key *key,
		   const char *node, const struct handshake_ops *ops,
		   const char *volume, const struct bc_link_config *link)
{
	memset(handshake, 0, sizeof(*handshake));
	handshake->ops = ops;
	handshake->role = link ? PROOF_PRIMARY : PROOF_REPLICA;
	snprintf(handshake->node, sizeof(handshake->node), "%s", node);
	if (link) {
		snprintf(handshake->volume, sizeof(handshake->volume), "%s", volume);
		snprintf(handshake->link, sizeof(handshake->link), "%s", link->peer);
		handshake->flags = link->async ? BLKCAST_F_ASYNC : 0;
		handshake->timeout_ms = link->timeout_ms;
	}
	return proof_init(&handshake->proof, key);
}

void handshake_certified(struct handshake *handshake, const struct tls *tls)
{
	tls_proven(tls, &handshake->certified, &handshake->proof.key);
}

void handshake_release(struct handshake *handshake)
{
	proof_release(&handshake->proof);
	json_object_put(handshake->question);
	json_object_put(handshake->answer);
	handshake->question = handshake->answer = NULL;
}

static enum proof_role other_role(const struct handshake *handshake)
{
	return handshake->role == PROOF_PRIMARY ? PROOF_REPLICA : PROOF_PRIMARY;
}

/* What to call the other side before and after it has said its name. */
static const char *peer_name(const struct handshake *handshake)
{
	if (handshake->peer_node[0])
		return handshake->peer_node;
	return handshake->link[0] ? handshake->link : "the peer";
}

bool handshake_wants_mac(const struct handshake *handshake)
{
	return handshake->state != HANDSHAKE_HELLO;
}

/* --- sending ----------------------------------------------------------- */

/*
 * A sentence may hold what the peer says, who need not have the key: it goes to the
 * log and to terminals, and back to the peer as JSON, so it is made one line of ASCII.
 */
static void make_printable(char *text)
{
	for (; *text; text++) {
		if (*text < ' ' || *text > '~')
			*text = '?';
	}
}

static void fail_va(struct handshake *handshake, bool permanent, const char *fmt,
		    va_list args)
{
	handshake->state = HANDSHAKE_FAILED;
	handshake->permanent = permanent;
	vsnprintf(handshake->error.text, sizeof(handshake->error.text), fmt, args);
	make_printable(handshake->error.text);
}

void handshake_fail(struct handshake *handshake, bool permanent,
		    const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fail_va(handshake, permanent, fmt, args);
	va_end(args);
}

static int queue_frame(struct handshake *handshake, struct channel *channel,
		       const char *body, bool with_mac)
{
	uint32_t len = strlen(body), head = htole32(len);
	uint8_t mac[PROOF_MAC];
	int ret;

	ret = proof_absorb(&handshake->proof, &head, sizeof(head));
	if (!ret)
		ret = proof_absorb(&handshake->proof, body, len);
	if (!ret)
		ret = channel_queue(channel, &head, sizeof(head));
	if (!ret)
		ret = channel_queue(channel, body, len);
	if (ret || !with_mac)
		return ret;
	ret = proof_mac(&handshake->proof, handshake->role, mac);
	return ret ? ret : channel_queue(channel, mac, sizeof(mac));
}

/* Sends and puts @message; false: no memory. */
static bool send_message(struct handshake *handshake, struct channel *channel,
			 struct json_object *message, bool with_mac)
{
	const char *body;
	int ret;

	body = json_object_to_json_string_ext(message, JSON_C_TO_STRING_PLAIN);
	ret = body ? queue_frame(handshake, channel, body, with_mac) : -ENOMEM;
	json_object_put(message);
	return !ret;
}

static struct json_object *new_message(const char *type)
{
	struct json_object *message = json_object_new_object();

	json_put_text(message, "type", type);
	return message;
}

/* Send, then go on to @next; without memory, fail. */
static void send_and(struct handshake *handshake, struct channel *channel,
		     struct json_object *message, bool with_mac,
		     enum handshake_state next)
{
	if (send_message(handshake, channel, message, with_mac))
		handshake->state = next;
	else
		handshake_fail(handshake, false, "out of memory");
}

void handshake_refuse(struct handshake *handshake, struct channel *channel,
		      bool permanent, const char *fmt, ...)
{
	bool with_mac = handshake_wants_mac(handshake);
	struct json_object *message = new_message("refuse");
	va_list args;

	va_start(args, fmt);
	fail_va(handshake, permanent, fmt, args);
	va_end(args);
	json_put_text(message, "reason", handshake->error.text);
	json_object_object_add(message, "permanent",
			       json_object_new_boolean(permanent));
	json_put_number(message, "term", handshake->seen);
	send_message(handshake, channel, message, with_mac);
}

static void send_hello(struct handshake *handshake, struct channel *channel,
		       enum handshake_state next)
{
	struct json_object *message = new_message("hello");
	uint8_t nonce[PROOF_NONCE];
	char id[KEY_ID];

	bc_random(nonce, sizeof(nonce));
	json_put_number(message, "version", HANDSHAKE_VERSION);
	json_put_hex64(message, "features", 0);
	json_put_text(message, "role", handshake->role == PROOF_PRIMARY ?
		      "primary" : "replica");
	json_put_text(message, "node", handshake->node);
	if (handshake->role == PROOF_PRIMARY)
		json_put_text(message, "volume", handshake->volume);
	if (handshake->role == PROOF_PRIMARY && !handshake->certified.known)
		json_put_text(message, "key", key_id(&handshake->proof.key, id));
	json_put_bytes(message, "nonce", nonce, sizeof(nonce));
	send_and(handshake, channel, message, false, next);
}

void handshake_start(struct handshake *handshake, struct channel *channel)
{
	send_hello(handshake, channel, HANDSHAKE_HELLO);
}

static void send_proof(struct handshake *handshake, struct channel *channel,
		       enum handshake_state next)
{
	send_and(handshake, channel, new_message("proof"), true, next);
}

/* --- hello and proof ---------------------------------------------------- */

static bool take_name(char to[BLKCAST_NAME_MAX], struct json_object *message,
		      const char *key)
{
	const char *name = json_get_text(message, key);

	if (!name || !bc_name_valid(name))
		return false;
	strcpy(to, name);
	return true;
}

static bool hello_complete(struct handshake *handshake, struct json_object *message)
{
	bool from_primary = other_role(handshake) == PROOF_PRIMARY;
	const char *role = json_get_text(message, "role");
	uint8_t nonce[PROOF_NONCE];
	uint64_t features;

	return role && !strcmp(role, from_primary ? "primary" : "replica") &&
	       take_name(handshake->peer_node, message, "node") &&
	       (!from_primary || take_name(handshake->volume, message, "volume")) &&
	       !json_get_hex64(message, "features", &features) &&
	       !json_get_bytes(message, "nonce", nonce, sizeof(nonce));
}

/* Which key the peer has; one that is not here shows in its first code. */
static void take_key(struct handshake *handshake, struct json_object *message)
{
	const char *id = json_get_text(message, "key");
	const struct key *key = handshake->ring && id ?
				keyring_find(handshake->ring, id) : NULL;

	if (key)
		handshake->proof.key = *key;
}

static void take_hello(struct handshake *handshake, struct channel *channel,
		       struct json_object *message)
{
	uint64_t version;

	if (json_get_number(message, "version", UINT32_MAX, &version) ||
	    version != HANDSHAKE_VERSION) {
		handshake_refuse(handshake, channel, true,
				 "%s speaks another version of the control protocol than %d",
				 peer_name(handshake), HANDSHAKE_VERSION);
		return;
	}
	if (!hello_complete(handshake, message)) {
		handshake_refuse(handshake, channel, true,
				 "the hello lacks a field or has one out of range");
		return;
	}
	if (handshake->certified.known &&
	    !certs_is_node(&handshake->certified, handshake->peer_node)) {
		handshake_refuse(handshake, channel, true,
				 "the certificate of %s is for %s, not for this node ('node' in its blkcast.conf, 'certificate-domain')",
				 peer_name(handshake), certs_names(&handshake->certified));
		return;
	}
	if (handshake->role == PROOF_PRIMARY) {
		send_proof(handshake, channel, HANDSHAKE_PROOF);
		return;
	}
	snprintf(handshake->link, sizeof(handshake->link), "%s",
		 handshake->peer_node);
	take_key(handshake, message);
	send_hello(handshake, channel, HANDSHAKE_PROOF);
}

static void send_offer(struct handshake *handshake, struct channel *channel)
{
	struct json_object *message;
	struct bc_volume volume;
	struct bc_error error;
	struct offer offer;
	int ret;

	ret = handshake->ops->get(handshake->ops->arg, handshake->volume, &volume,
				  &error);
	if (!ret) {
		ret = offer_fill(&offer, &volume, &error);
		handshake->able = bc_wire_features(&volume);
		bc_volume_release(&volume);
	}
	if (ret) {
		handshake_refuse(handshake, channel, false, "%s", error.text);
		return;
	}
	offer.flags = handshake->flags;
	offer.timeout_ms = handshake->timeout_ms;
	handshake->term = offer.term;
	message = new_message(handshake->forget ? "forget" : "offer");
	if (handshake->renews)
		json_object_object_add(message, "again", json_object_new_boolean(true));
	offer_encode(&offer, message);
	send_and(handshake, channel, message, true, handshake->forget ?
		 HANDSHAKE_FORGOTTEN : HANDSHAKE_ACCEPT);
}

/* The old link makes way, unless that is refused. */
static void renew(struct handshake *handshake, struct channel *channel)
{
	const struct handshake_ops *ops = handshake->ops;
	struct bc_error error;

	if (ops->renew(ops->arg, handshake->volume, handshake->link, &error))
		handshake_refuse(handshake, channel, false, "%s", error.text);
	else
		send_offer(handshake, channel);
}

/* An address may be somebody else's by now, who is not to lose a copy. */
static bool is_meant(const struct handshake *handshake)
{
	return !handshake->forget || !strcmp(handshake->peer_node, handshake->link);
}

static bool is_allowed(const struct handshake *handshake)
{
	const struct handshake_ops *ops = handshake->ops;

	return !ops->allows || ops->allows(ops->arg, handshake->volume, handshake->peer_node);
}

static void take_proof(struct handshake *handshake, struct channel *channel)
{
	handshake->proved = true;
	if (handshake->role == PROOF_REPLICA && !is_allowed(handshake))
		handshake_refuse(handshake, channel, true,
				 "volume %s on %s is not for %s ('allow' in its configuration there)",
				 handshake->volume, handshake->node, handshake->peer_node);
	else if (handshake->role == PROOF_REPLICA)
		send_proof(handshake, channel, HANDSHAKE_OFFER);
	else if (!is_meant(handshake))
		handshake_refuse(handshake, channel, true,
				 "the host at the address of %s is %s", handshake->link,
				 handshake->peer_node);
	else if (handshake->question)
		send_and(handshake, channel, json_object_get(handshake->question), true,
			 HANDSHAKE_ANSWER);
	else if (handshake->renews)
		renew(handshake, channel);
	else
		send_offer(handshake, channel);
}

/* --- offer and accept ---------------------------------------------------- */

/* Make way for the new link: a replica follows one primary. */
static int clear_links(struct handshake *handshake, const struct offer *offer,
		       const struct bc_volume *copy, struct bc_error *error)
{
	for (uint32_t i = 0; i < copy->links; i++) {
		const struct bc_link *link = &copy->link[i];
		bool again = handshake->renews && !strcmp(link->name, handshake->link);
		int ret;

		if (offer->term <= copy->term && !again &&
		    bc_known(link, BLKCAST_L_CONTACT_NS) && link->contact_ns < STALE_LINK_NS)
			return bc_fail(error, -EBUSY,
				       "%s on %s has a live link from %s; trying again",
				       copy->name, handshake->node, link->name);
		ret = handshake->ops->link_del(handshake->ops->arg, copy->name,
					       link->name, error);
		if (ret && ret != -ENOENT)
			return ret;
	}
	return 0;
}

/* Of a primary and an offer of the same volume the older term gives way. */
static void compare_terms(struct handshake *handshake, const struct offer *offer,
			  const struct bc_volume *copy)
{
	const struct handshake_ops *ops = handshake->ops;

	if (memcmp(offer->uuid, copy->uuid, sizeof(offer->uuid)))
		return;
	if (copy->role == BLKCAST_ROLE_PRIMARY && offer->term > copy->term &&
	    ops->depose)
		ops->depose(ops->arg, handshake->volume, handshake->peer_node,
			    offer->term);
	if (copy->term > offer->term && !(copy->super_flags & BLKCAST_SUPER_DISCARD))
		handshake->seen = copy->term;
}

static int get_copy(struct handshake *handshake, const struct offer *offer,
		    struct bc_volume *copy, struct bc_error *error)
{
	const struct handshake_ops *ops = handshake->ops;
	int ret = ops->get(ops->arg, handshake->volume, copy, error);

	if (ret)
		return ret;
	compare_terms(handshake, offer, copy);
	if (copy->role != BLKCAST_ROLE_PRIMARY || offer->term <= copy->term)
		return 0;
	/* It may have become a replica. */
	bc_volume_release(copy);
	return ops->get(ops->arg, handshake->volume, copy, error);
}

static int check_offer(struct handshake *handshake, const struct offer *offer,
		       bool *permanent, struct bc_error *error)
{
	struct bc_volume copy;
	int ret;

	*permanent = false;
	ret = get_copy(handshake, offer, &copy, error);
	if (ret == -ENODEV)
		return bc_fail(error, ret, "volume %s is not up on %s ('blkcast up %s' there)",
			       handshake->volume, handshake->node, handshake->volume);
	if (ret)
		return ret;
	memcpy(handshake->copy, copy.node, sizeof(handshake->copy));
	handshake->able = bc_wire_features(&copy);
	ret = offer_check(offer, &copy, handshake->node, handshake->peer_node,
			  permanent, error);
	if (!ret) {
		*permanent = false;
		ret = clear_links(handshake, offer, &copy, error);
	}
	bc_volume_release(&copy);
	return ret;
}

static void take_offer(struct handshake *handshake, struct channel *channel,
		       struct json_object *message)
{
	char copy[BC_UUID_TEXT];
	struct json_object *answer, *again;
	struct bc_error error;
	struct offer offer;
	bool permanent = true;
	int ret;

	handshake->renews = json_object_object_get_ex(message, "again", &again) &&
			    json_object_get_boolean(again);
	ret = offer_decode(&offer, message, &error);
	if (!ret && handshake->ops->offered)
		handshake->ops->offered(handshake->ops->arg, handshake->volume,
					handshake->peer_node, &offer);
	if (!ret)
		ret = check_offer(handshake, &offer, &permanent, &error);
	if (ret) {
		handshake_refuse(handshake, channel, permanent, "%s", error.text);
		return;
	}
	handshake->flags = offer.flags;
	handshake->timeout_ms = offer.timeout_ms;
	handshake->term = offer.term;
	handshake->reigns = offer.reigns;
	memcpy(handshake->history, offer.history, sizeof(offer.history));
	handshake->wire = offer.wire_version < BLKCAST_WIRE_VERSION ?
			  offer.wire_version : BLKCAST_WIRE_VERSION;
	handshake->features = offer.wire_features & handshake->able;
	answer = new_message("accept");
	json_put_number(answer, "wire_version", handshake->wire);
	json_put_hex64(answer, "wire_features", handshake->features);
	json_put_text(answer, "copy", bc_uuid_format(handshake->copy, copy));
	send_and(handshake, channel, answer, true, HANDSHAKE_HANDOVER);
}

/* An offer that is to be answered by giving the copy up. */
static void take_forget(struct handshake *handshake, struct channel *channel,
			struct json_object *message)
{
	const struct handshake_ops *ops = handshake->ops;
	struct bc_error error;
	struct offer offer;
	int ret;

	ret = offer_decode(&offer, message, &error);
	if (!ret && !ops->forget)
		ret = bc_fail(&error, -EOPNOTSUPP, "%s gives no copies up",
			      handshake->node);
	if (!ret)
		ret = ops->forget(ops->arg, handshake->volume, handshake->peer_node,
				  &offer, &error);
	if (ret)
		handshake_refuse(handshake, channel, true, "%s", error.text);
	else
		send_and(handshake, channel, new_message("forgotten"), true,
			 HANDSHAKE_DONE);
}

/* With the key any name is as good as another. */
static bool speaks_for_itself(const struct handshake *handshake, struct json_object *question)
{
	const char *peer = json_get_text(question, "peer");

	return !handshake->certified.known || !peer || !strcmp(peer, handshake->peer_node);
}

/* Anything else in place of the offer; false: that is no question. */
static bool take_question(struct handshake *handshake, struct channel *channel,
			  const char *type, struct json_object *question)
{
	const struct handshake_ops *ops = handshake->ops;
	struct json_object *answer;
	struct bc_error error;
	bool stream = false;
	int ret;

	if (!ops->ask)
		return false;
	if (!speaks_for_itself(handshake, question)) {
		handshake_refuse(handshake, channel, true,
				 "%s may ask for a link to itself only", peer_name(handshake));
		return true;
	}
	answer = new_message("answer");
	ret = ops->ask(ops->arg, handshake->volume, type, question, answer, &stream, &error);
	if (!ret) {
		handshake->question = json_object_get(question);
		send_and(handshake, channel, answer, true,
			 stream ? HANDSHAKE_STREAM : HANDSHAKE_DONE);
		return true;
	}
	json_object_put(answer);
	if (ret != -ENOMSG)
		handshake_refuse(handshake, channel, false, "%s", error.text);
	return ret != -ENOMSG;
}

static void take_accept(struct handshake *handshake, struct channel *channel,
			struct json_object *message)
{
	const char *copy = json_get_text(message, "copy");
	uint64_t version;

	if (!copy || bc_uuid_parse(copy, handshake->copy) ||
	    json_get_number(message, "wire_version", BLKCAST_WIRE_VERSION, &version) ||
	    !version ||
	    json_get_hex64(message, "wire_features", &handshake->features) ||
	    handshake->features & ~handshake->able) {
		handshake_refuse(handshake, channel, true,
				 "%s accepts what was not offered, or says not which copy it is",
				 peer_name(handshake));
		return;
	}
	handshake->wire = version;
	handshake->state = HANDSHAKE_FIRST_FRAME;
}

/* Only what a peer with the key says counts. */
static void take_seen(struct handshake *handshake, struct json_object *message)
{
	const struct handshake_ops *ops = handshake->ops;
	uint64_t term;

	if (handshake->role == PROOF_PRIMARY && handshake->proved && ops->depose &&
	    !json_get_number(message, "term", BLKCAST_TERM_MAX, &term) &&
	    handshake->term && term > handshake->term)
		ops->depose(ops->arg, handshake->volume, peer_name(handshake), term);
}

static void take_refusal(struct handshake *handshake, struct json_object *message)
{
	const char *reason = json_get_text(message, "reason");
	struct json_object *permanent;

	take_seen(handshake, message);
	handshake_fail(handshake,
		       json_object_object_get_ex(message, "permanent", &permanent) &&
		       json_object_get_boolean(permanent),
		       "%s refuses: %s", peer_name(handshake),
		       reason ? reason : "no reason given");
}

/* --- a frame -------------------------------------------------------------- */

/* Which message a state waits for. */
static const char *expected_type(const struct handshake *handshake)
{
	static const char * const types[] = {
		[HANDSHAKE_HELLO] = "hello",
		[HANDSHAKE_PROOF] = "proof",
		[HANDSHAKE_OFFER] = "offer",
		[HANDSHAKE_ACCEPT] = "accept",
		[HANDSHAKE_FIRST_FRAME] = "refuse",
		[HANDSHAKE_FORGOTTEN] = "forgotten",
		[HANDSHAKE_ANSWER] = "answer",
	};

	return types[handshake->state];
}

static void dispatch(struct handshake *handshake, struct channel *channel,
		     struct json_object *message)
{
	const char *type = json_get_text(message, "type");

	if (type && !strcmp(type, "refuse")) {
		take_refusal(handshake, message);
		return;
	}
	if (type && handshake->state == HANDSHAKE_OFFER && !strcmp(type, "forget")) {
		take_forget(handshake, channel, message);
		return;
	}
	if (type && handshake->state == HANDSHAKE_OFFER && strcmp(type, "offer") &&
	    take_question(handshake, channel, type, message))
		return;
	if (!type || strcmp(type, expected_type(handshake))) {
		handshake_refuse(handshake, channel, false,
				 "%s expected from %s, not '%.20s'",
				 expected_type(handshake), peer_name(handshake),
				 type ? type : "");
		return;
	}
	switch (handshake->state) {
	case HANDSHAKE_HELLO:
		take_hello(handshake, channel, message);
		break;
	case HANDSHAKE_PROOF:
		take_proof(handshake, channel);
		break;
	case HANDSHAKE_OFFER:
		take_offer(handshake, channel, message);
		break;
	case HANDSHAKE_ACCEPT:
		take_accept(handshake, channel, message);
		break;
	case HANDSHAKE_FORGOTTEN:
		handshake->state = HANDSHAKE_DONE;
		break;
	case HANDSHAKE_ANSWER:
		handshake->answer = json_object_get(message);
		handshake->state = HANDSHAKE_DONE;
		break;
	default:
		break;
	}
}

/*
 * The sender's code.  One that does not match means another key: both sides
 * have absorbed the same bytes.  The refusal that follows carries a code of our
 * own key, which the peer cannot check either and takes for the same answer.
 */
static bool authentic(struct handshake *handshake, struct channel *channel,
		      const struct frame *frame)
{
	if (proof_absorb(&handshake->proof, frame->raw, frame->raw_len)) {
		handshake_fail(handshake, false, "out of memory");
		return false;
	}
	if (!handshake_wants_mac(handshake) ||
	    proof_check(&handshake->proof, other_role(handshake), frame->mac))
		return true;
	handshake_refuse(handshake, channel, true,
			 "wrong key: %s and %s do not have the same key (compare /etc/blkcast/key on both)",
			 handshake->node, peer_name(handshake));
	return false;
}

void handshake_take(struct handshake *handshake, struct channel *channel,
		    const struct frame *frame)
{
	struct json_object *message;

	if (!authentic(handshake, channel, frame))
		return;
	message = json_parse(frame->body, frame->body_len);
	if (!message) {
		handshake_refuse(handshake, channel, false,
				 "%s sends what is no control message",
				 peer_name(handshake));
		return;
	}
	dispatch(handshake, channel, message);
	json_object_put(message);
}

int handshake_hand_over(struct handshake *handshake, struct channel *channel)
{
	struct bc_link_add add = {
		.name = handshake->volume,
		.link = handshake->link,
		.node = handshake->role == PROOF_PRIMARY ? handshake->copy : NULL,
		.socket = channel->fd,
		.term = handshake->term,
		.flags = handshake->flags |
			 (handshake->features & BLKCAST_WIRE_READ ? BLKCAST_F_READS : 0),
		.timeout_ms = handshake->timeout_ms,
		.history = handshake->role == PROOF_REPLICA ? handshake->history :
			   NULL,
		.reigns = handshake->reigns,
	};
	struct bc_error error;
	int ret;

	ret = handshake->ops->link_add(handshake->ops->arg, &add, &error);
	if (!ret)
		return 0;
	if (handshake->role == PROOF_REPLICA)
		handshake_refuse(handshake, channel, false, "%s: %s",
				 handshake->node, error.text);
	else
		handshake_fail(handshake, false, "%s", error.text);
	return ret;
}
