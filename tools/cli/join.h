/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the hosts that have a volume say of it, for blkcast join.
 */
#ifndef BC_CLI_JOIN_H
#define BC_CLI_JOIN_H

#include <stdbool.h>
#include <stdint.h>

#include "ask.h"

#define JOIN_PEERS_MAX 64

/**
 * struct join_peer - a host that the described one keeps a copy on
 * @state: of that link: "in-sync", "resync" ...
 * @dirty: bytes that it still lacks
 * @resynced: bytes that it got as regions
 */
struct join_peer {
	char name[BLKCAST_NAME_MAX], state[16];
	struct bc_address address;
	uint64_t dirty, resynced;
};

/**
 * struct described - a volume, by a host that has it
 * @node: that host
 * @local: this host's address, as seen there
 * @primary: name of the volume's primary, empty if it is not known there
 * @is_primary: it is that host
 */
struct described {
	char node[BLKCAST_NAME_MAX], primary[BLKCAST_NAME_MAX], local[BC_HOST_MAX];
	uint8_t uuid[16];
	uint64_t bytes;
	uint32_t region_shift;
	bool is_primary;
	unsigned int peers;
	struct join_peer peer[JOIN_PEERS_MAX];
};

/* @node: who is expected there, as for ask_host(). */
int describe(const struct bc_address *address, const char *node, const char *volume,
	     struct described *described, struct bc_error *error);
/* NULL: it has no such peer. */
const struct join_peer *described_peer(const struct described *described, const char *name);

#endif /* BC_CLI_JOIN_H */
