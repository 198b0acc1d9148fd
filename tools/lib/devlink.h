/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /dev/blkcast/NAME, the link to a volume's node. */
#ifndef BC_DEVLINK_H
#define BC_DEVLINK_H

#include <stdint.h>

#include "error.h"

/* Wait for the node and the link, and make the link if udev does not. */
int devlink_settle(const char *name, uint32_t minor, struct bc_error *error);
/* Let udev look at the node again, if there is one. */
void devlink_poke(uint32_t minor);
/* Remove the link if it is still there. */
void devlink_remove(const char *name);

#endif /* BC_DEVLINK_H */
