/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef _BLKCAST_NETLINK_H
#define _BLKCAST_NETLINK_H

#include <net/genetlink.h>

#include "volume.h"

#define put_u64(msg, attr, value) \
	nla_put_u64_64bit(msg, attr, value, BLKCAST_A_PAD)

/* netlink.c */
int blkcast_nl_need(struct genl_info *info, int attr);
int blkcast_nl_name(struct genl_info *info, int attr, const char **name);
int blkcast_nl_admin(struct sk_buff *skb, struct genl_info *info);
struct blkcast_volume *blkcast_nl_volume(struct genl_info *info);
void *blkcast_nl_head(struct sk_buff *msg, struct genl_info *info, int cmd);

/* netlink_map.c */
int blkcast_nl_stamps(struct sk_buff *skb, struct genl_info *info);
int blkcast_nl_differing(struct sk_buff *skb, struct genl_info *info);

/* netlink_state.c */
int blkcast_state_put(struct sk_buff *msg, struct blkcast_volume *v);

#endif /* _BLKCAST_NETLINK_H */
