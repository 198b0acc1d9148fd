/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ending a reign, for 'replica' and 'down'. */
#ifndef BC_ROLE_H
#define BC_ROLE_H

#include <stdint.h>

#include "kernel.h"

/*
 * Wait until the replicas that are in sync have everything, at most @wait_ms,
 * then end the reign, which drops the links.  Does nothing on a replica.
 * @heir: the peer that may begin the next reign; NULL: this host may.
 */
int role_end_reign(struct bc_kernel *kernel, const char *name, const char *heir,
		   unsigned int wait_ms, struct bc_error *error);

#endif /* BC_ROLE_H */
