/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Giving up the device of a primary that fails.
 *
 * A copy that is detached lacks what is written from then on, and its own superblock may
 * be out of reach.  So this host remembers it, in DIR/volumes.d/NAME.detached, before the
 * kernel is asked: the file holds the id of the copy, which is marked inconsistent when
 * it is used again.
 */
#ifndef BC_DETACH_H
#define BC_DETACH_H

#include "config.h"
#include "kernel.h"

/*
 * Let a primary go on without its device.  -ENOLINK: too few replicas are in sync;
 * -ETIMEDOUT: they do not catch up; -EALREADY: it is detached.
 */
int bc_detach(struct bc_kernel *kernel, const char *name, struct bc_error *error);

/* A volume that is up and not detached: forget a file that an interrupted one has left. */
void bc_detached_forget(struct bc_kernel *kernel, const char *name);

/*
 * A volume that is down: if this copy was detached, mark it so durably in its own
 * superblock and forget the file.
 */
int bc_detached_settle(const struct bc_volume_config *config, struct bc_error *error);

#endif /* BC_DETACH_H */
