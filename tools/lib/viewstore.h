/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --store of a view: where the kernel keeps old content.
 *
 *	memory:SIZE	memory of the kernel
 *	FILE:SIZE	a file that is made, preallocated, and has no name any more
 *			once it is open: it goes with the view
 *	DEVICE[:SIZE]	a block device that nobody else uses
 */
#ifndef BC_VIEWSTORE_H
#define BC_VIEWSTORE_H

#include "error.h"
#include "kernel.h"

#define VIEWSTORE_DEFAULT "memory:64M"

/*
 * Set @create->store_*.  The kernel takes an open file of its own:
 * viewstore_close() when the view is made.  -EINVAL: not of a form above.
 */
int viewstore_open(struct bc_view_create *create, const char *text,
		   struct bc_error *error);
void viewstore_close(struct bc_view_create *create);

#endif /* BC_VIEWSTORE_H */
