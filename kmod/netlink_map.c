// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The netlink commands that dump what a volume knows of its regions: their stamps, and
 * what a verify has found.  The messages are described in uapi/blkcast_netlink.h.
 */
#include "link.h"
#include "netlink.h"
#include "view.h"

/* ---- STAMPS ---- */

static void stamps_copy(struct blkcast_volume *v, u32 first, u32 count, u64 *to)
{
	u32 i;

	spin_lock_irq(&v->lock);
	for (i = 0; i < count; i++)
		to[i] = blkcast_range_busy(v, first + i) ? BLKCAST_LSN_DOUBT :
			blkcast_map_get(v, first + i);
	spin_unlock_irq(&v->lock);
}

/* A view's, or the volume's as they are now. */
static int stamps_get(struct blkcast_volume *v, struct genl_info *info, u32 first,
		      u32 count, u64 *to)
{
	struct nlattr *view = info->attrs[BLKCAST_A_VIEW];
	int err = 0;

	if (!view)
		stamps_copy(v, first, count, to);
	else
		err = blkcast_view_stamps(v, nla_data(view), first, count, to);
	if (err == -ENOENT)
		NL_SET_ERR_MSG(info->extack, "no such view");
	return err;
}

static int stamps_reply(struct blkcast_volume *v, struct genl_info *info,
			u32 first, u32 count)
{
	struct nlattr *attr;
	struct sk_buff *msg;
	void *head;
	int err;

	msg = genlmsg_new(nla_total_size(count * sizeof(u64)), GFP_KERNEL);
	if (!msg)
		return -ENOMEM;
	head = blkcast_nl_head(msg, info, BLKCAST_CMD_STAMPS);
	attr = head ? nla_reserve(msg, BLKCAST_A_STAMPS, count * sizeof(u64)) :
		      NULL;
	err = attr ? stamps_get(v, info, first, count, nla_data(attr)) : -EMSGSIZE;
	if (err) {
		nlmsg_free(msg);
		return err;
	}
	genlmsg_end(msg, head);
	return genlmsg_reply(msg, info);
}

int blkcast_nl_stamps(struct sk_buff *skb, struct genl_info *info)
{
	u32 first, count, regions;
	struct blkcast_volume *v;
	int err;

	err = blkcast_nl_admin(skb, info) ?: blkcast_nl_need(info, BLKCAST_A_FIRST) ?:
	      blkcast_nl_need(info, BLKCAST_A_COUNT);
	if (err)
		return err;
	v = blkcast_nl_volume(info);
	if (IS_ERR(v))
		return PTR_ERR(v);
	first = nla_get_u32(info->attrs[BLKCAST_A_FIRST]);
	count = nla_get_u32(info->attrs[BLKCAST_A_COUNT]);
	/* A replica's primary may say another size just now; there is memory for either. */
	regions = READ_ONCE(v->regions);
	if (!count || count > BLKCAST_STAMPS_QUERY_MAX || first >= regions ||
	    count > regions - first) {
		NL_SET_ERR_MSG(info->extack, "regions out of range");
		err = -ERANGE;
	} else {
		err = stamps_reply(v, info, first, count);
	}
	blkcast_volume_put(v);
	return err;
}

/* ---- DIFFERING ---- */

static int ranges_reply(struct blkcast_volume *v, struct genl_info *info,
			const char *name, u32 first)
{
	const u32 size = 2 * sizeof(u32);
	u32 *ranges;
	struct sk_buff *msg;
	void *head;
	int n;

	ranges = kmalloc_array(BLKCAST_RANGES_QUERY_MAX, size, GFP_KERNEL);
	if (!ranges)
		return -ENOMEM;
	n = blkcast_verify_ranges(v, name, first, ranges,
				  BLKCAST_RANGES_QUERY_MAX);
	if (n < 0) {
		NL_SET_ERR_MSG(info->extack, "no such link, or it was not verified");
		goto out_free;
	}
	msg = genlmsg_new(nla_total_size(n * size), GFP_KERNEL);
	if (!msg) {
		n = -ENOMEM;
		goto out_free;
	}
	head = blkcast_nl_head(msg, info, BLKCAST_CMD_DIFFERING);
	if (!head || nla_put(msg, BLKCAST_A_RANGES, n * size, ranges)) {
		nlmsg_free(msg);
		n = -EMSGSIZE;
		goto out_free;
	}
	genlmsg_end(msg, head);
	n = genlmsg_reply(msg, info);
out_free:
	kfree(ranges);
	return n;
}

int blkcast_nl_differing(struct sk_buff *skb, struct genl_info *info)
{
	struct blkcast_volume *v;
	const char *name;
	int err;

	err = blkcast_nl_admin(skb, info) ?: blkcast_nl_name(info, BLKCAST_A_LINK, &name) ?:
	      blkcast_nl_need(info, BLKCAST_A_FIRST);
	if (err)
		return err;
	v = blkcast_nl_volume(info);
	if (IS_ERR(v))
		return PTR_ERR(v);
	err = ranges_reply(v, info, name,
			   nla_get_u32(info->attrs[BLKCAST_A_FIRST]));
	blkcast_volume_put(v);
	return err;
}
