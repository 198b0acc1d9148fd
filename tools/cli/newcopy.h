/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making a copy of a volume on devices that hold none yet, for 'create' and
 * 'replace'.
 *
 *	newcopy_open()		looks at everything and refuses or goes on; nothing
 *				has changed but that a missing metadata file is made
 *	(the caller writes the configuration, which can fail without harm)
 *	newcopy_write()		wipes what stood there, writes the metadata
 *	newcopy_close()
 */
#ifndef BC_NEWCOPY_H
#define BC_NEWCOPY_H

#include "copy.h"

/**
 * struct newcopy - a copy that is to be
 * @config: its devices, name and uuid
 * @size: of the volume in bytes, 0: all there is
 * @max_size: to which it may grow, 0: by size
 * @region_shift: 0: by size
 * @flags: BLKCAST_SUPER_* it begins with
 * @term: the highest seen
 * @keep_data: what the device holds becomes the volume's content
 * @further: one more copy of a volume that exists
 * @replaces: this host's lost one: what describes that one on a metadata device
 *	of its own may be overwritten
 * @force: overwrite what the devices hold
 * @copy, @layout: filled by newcopy_open(); @copy.meta by newcopy_write()
 * @made_meta: the metadata file is ours
 */
struct newcopy {
	const struct bc_volume_config *config;
	uint64_t size, max_size;
	uint32_t region_shift, flags, term;
	bool keep_data, further, replaces, force;

	struct bc_copy copy;
	struct bc_layout layout;
	bool made_meta;
};

int newcopy_open(struct newcopy *new, struct bc_error *error);
int newcopy_write(struct newcopy *new, struct bc_error *error);
/* @failed: the metadata file that was made is removed again. */
void newcopy_close(struct newcopy *new, bool failed);

#endif /* BC_NEWCOPY_H */
