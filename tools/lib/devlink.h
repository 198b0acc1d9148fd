/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /dev/blkcast/NAME, the link to a volume's node. */
#ifndef BC_DEVLINK_H
#define BC_DEVLINK_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

/* Wait for the node and the link, and make the link if udev does not. */
int devlink_settle(const char *name, uint32_t minor, struct bc_error *error);
/* Let udev look at the node again, if there is one. */
void devlink_poke(uint32_t minor);
/*
 * A command on a volume or view gave @ret; @tries begins with 0.  If that is -EBUSY it
 * may be udev, which has a device open for a moment after each of its events: wait a
 * little and return true, to have it tried again, for some seconds in all.
 */
bool devlink_retry(int ret, unsigned int *tries);
/* Remove the link if it is still there. */
void devlink_remove(const char *name);

#endif /* BC_DEVLINK_H */
