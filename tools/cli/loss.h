/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What may be lost if a copy begins a reign that nobody has handed over to it. */
#ifndef BC_LOSS_H
#define BC_LOSS_H

#include <stdbool.h>
#include <stdio.h>

#include "kernel.h"

/* Will the kernel want force? */
bool loss_possible(const struct bc_volume *volume);

/* For the operator: what this copy is, what it may lack. */
void loss_print(const struct bc_volume *volume, FILE *out);

#endif /* BC_LOSS_H */
