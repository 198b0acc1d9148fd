/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decoding what the family "blkcast" sends: libmnl callbacks that fill the
 * structs of kernel.h.  An attribute of a wrong length is left unknown.
 */
#ifndef BC_KERNEL_PARSE_H
#define BC_KERNEL_PARSE_H

#include "kernel.h"

struct nlmsghdr;

struct bc_family {
	uint16_t id;
	uint32_t events_group;
};

struct bc_stamps {
	uint64_t *stamps;
	uint32_t room, got;
};

struct bc_ranges {
	struct bc_range *range;
	uint32_t room, got;
};

/* @arg: struct bc_family, bc_volume, bc_stamps, bc_ranges */
int bc_parse_family(const struct nlmsghdr *message, void *arg);
int bc_parse_volume(const struct nlmsghdr *message, void *arg);
int bc_parse_stamps(const struct nlmsghdr *message, void *arg);
int bc_parse_ranges(const struct nlmsghdr *message, void *arg);

/* False: not an event. */
bool bc_parse_event(const struct nlmsghdr *message, struct bc_event *event);

#endif /* BC_KERNEL_PARSE_H */
