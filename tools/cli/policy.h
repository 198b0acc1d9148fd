/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Presets: names for what --ack, --min-isr and --on-loss say together.
 *
 *	consistent	disk, 2, suspend: nothing that was acknowledged is on one
 *			copy alone; without a replica writes wait
 *	balanced	disk, 1: the same while a replica is there; without one the
 *			primary goes on alone
 *	available	local, 1: no writer ever waits for a replica
 */
#ifndef BC_POLICY_H
#define BC_POLICY_H

#include "kernel.h"

#define POLICY_NAMES "consistent|balanced|available"

/* Set ack, min_isr and on_loss of @set; -EINVAL: no such preset. */
int policy_preset(const char *name, struct bc_set *set);
/* The preset that a volume's settings are, or "own". */
const char *policy_name(const struct bc_volume *volume);
/* How many copies, whichever, can be lost now without an acknowledged write. */
uint32_t policy_losses(const struct bc_volume *volume);
/* Does user space alone change the in-sync set? */
bool policy_managed(const struct bc_volume *volume);
/* ... and could it put this one in? */
bool policy_caught_up(const struct bc_link *link);
/* bc_link_state_name(), but "caught-up" for such a one. */
const char *policy_link_state(const struct bc_link *link);
/* ns; of a volume that has a lease. */
int64_t policy_lease_left(const struct bc_volume *volume);
/* Why a link is not in sync, or NULL. */
const char *policy_behind(const struct bc_link *link);

#endif /* BC_POLICY_H */
