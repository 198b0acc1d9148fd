/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One daemon a host (a run directory): a locked file that holds the pid. */
#ifndef BC_LOCK_H
#define BC_LOCK_H

#include "error.h"

/* The descriptor to keep open; -EBUSY: another one runs. */
int lock_take(struct bc_error *error);

#endif /* BC_LOCK_H */
