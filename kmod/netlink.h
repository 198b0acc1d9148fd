/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef _BLKCAST_NETLINK_H
#define _BLKCAST_NETLINK_H

#include <net/netlink.h>

#include "volume.h"

#define put_u64(msg, attr, value) \
	nla_put_u64_64bit(msg, attr, value, BLKCAST_A_PAD)

/* netlink_state.c */
int blkcast_state_put(struct sk_buff *msg, struct blkcast_volume *v);

#endif /* _BLKCAST_NETLINK_H */
