/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What meta.c and meta_map.c have of each other; for others there is meta.h. */
#ifndef BC_META_MAP_H
#define BC_META_MAP_H

#include "meta.h"

int bc_meta_flush(struct bc_meta *meta, struct bc_error *error);

/*
 * Write all blocks of the map, durably, from @stamps (NULL: all never written).
 * @fresh: without a look at what stands there.
 */
int bc_map_write_all(struct bc_meta *meta, const uint64_t *stamps, bool fresh,
		     struct bc_error *error);

#endif /* BC_META_MAP_H */
