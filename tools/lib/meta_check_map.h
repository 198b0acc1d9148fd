/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The part of bc_meta_check() that looks at the map. */
#ifndef BC_META_CHECK_MAP_H
#define BC_META_CHECK_MAP_H

#include "meta_check.h"

int bc_meta_check_map(struct bc_meta *meta,
		      void (*report)(const struct bc_finding *finding, void *arg),
		      void *arg, struct bc_map_summary *summary,
		      struct bc_error *error);

#endif /* BC_META_CHECK_MAP_H */
