/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The primary's offer, as JSON and checked against a copy.
 */
#ifndef BC_OFFER_H
#define BC_OFFER_H

#include <json-c/json.h>
#include <stdbool.h>

#include "kernel.h"

/**
 * struct offer - what a primary says of its volume
 * @uuid: of the volume
 * @flags, @timeout_ms: of the link
 * @wire_version, @wire_features: the highest version, all features it can
 */
struct offer {
	uint8_t uuid[16];
	uint64_t bytes, wire_features;
	uint32_t region_shift, block, term, flags, timeout_ms, wire_version;
	struct blkcast_reign history[BLKCAST_HISTORY_MAX];
	uint32_t reigns;
};

/* From the kernel's state of a primary. */
int offer_fill(struct offer *offer, const struct bc_volume *volume,
	       struct bc_error *error);
void offer_encode(const struct offer *offer, struct json_object *message);
/* -EBADMSG: something is missing or out of range. */
int offer_decode(struct offer *offer, struct json_object *message,
		 struct bc_error *error);

/*
 * May @copy, a volume here on @node, follow @peer?  0, or a refusal in
 * @error; *permanent: trying again does not help.
 */
int offer_check(const struct offer *offer, const struct bc_volume *copy,
		const char *node, const char *peer, bool *permanent,
		struct bc_error *error);

#endif /* BC_OFFER_H */
