// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The generic netlink family: commands in, state (netlink_state.c), dumps of regions
 * (netlink_map.c) and events out.  The messages are described in
 * uapi/blkcast_netlink.h.
 *
 * A command finds its volume by name, takes vol->admin and checks that the
 * volume is not on its way out; GET and STAMPS take no more than vol->lock, so
 * they answer while a command is waiting for something.
 */
#include <linux/sched/mm.h>
#include <net/genetlink.h>

#include "link.h"
#include "netlink.h"
#include "view.h"

static struct genl_family family;

static const struct nla_policy policy[__BLKCAST_A_MAX] = {
	[BLKCAST_A_NAME] = { .type = NLA_NUL_STRING, .len = BLKCAST_NAME_MAX - 1 },
	[BLKCAST_A_BACKING] = { .type = NLA_U32 },
	[BLKCAST_A_META] = { .type = NLA_U32 },
	[BLKCAST_A_BACKLOG] = { .type = NLA_U64 },
	[BLKCAST_A_TERM] = { .type = NLA_U32 },
	[BLKCAST_A_REIGN] = { .type = NLA_U64 },
	[BLKCAST_A_FLAGS] = { .type = NLA_U32 },
	[BLKCAST_A_ACK] = NLA_POLICY_MAX(NLA_U8, BLKCAST_ACK_MEMORY),
	[BLKCAST_A_LINK] = { .type = NLA_NUL_STRING, .len = BLKCAST_NAME_MAX - 1 },
	[BLKCAST_A_SOCKET] = { .type = NLA_U32 },
	[BLKCAST_A_TIMEOUT] = { .type = NLA_U32 },
	[BLKCAST_A_HISTORY] = { .type = NLA_BINARY, .len = BLKCAST_HISTORY_MAX *
				sizeof(struct blkcast_reign) },
	[BLKCAST_A_FIRST] = { .type = NLA_U32 },
	[BLKCAST_A_COUNT] = { .type = NLA_U32 },
	[BLKCAST_A_META_END] = { .type = NLA_U64 },
	[BLKCAST_A_SECTORS] = { .type = NLA_U64 },
	[BLKCAST_A_RESYNC_RATE] = { .type = NLA_U64 },
	[BLKCAST_A_MAX_LAG] = { .type = NLA_U32 },
	[BLKCAST_A_ACTIVE_MAX] = { .type = NLA_U64 },
	[BLKCAST_A_NODE] = NLA_POLICY_EXACT_LEN(16),
	[BLKCAST_A_MIN_ISR] = NLA_POLICY_RANGE(NLA_U32, 1, BLKCAST_MEMBERS_MAX + 1),
	[BLKCAST_A_ON_LOSS] = NLA_POLICY_MAX(NLA_U8, BLKCAST_ON_LOSS_ERROR),
	[BLKCAST_A_VIEW] = { .type = NLA_NUL_STRING, .len = BLKCAST_NAME_MAX - 1 },
	[BLKCAST_A_STORE_BYTES] = { .type = NLA_U64 },
	[BLKCAST_A_STORE_FD] = { .type = NLA_U32 },
	[BLKCAST_A_STORE_DEV] = { .type = NLA_U32 },
	[BLKCAST_A_LEASE] = { .type = NLA_U64 },
	[BLKCAST_A_MEMBERSHIP] = NLA_POLICY_MAX(NLA_U8, BLKCAST_MEMBERSHIP_MANAGED),
	[BLKCAST_A_MEMBER] = NLA_POLICY_MAX(NLA_U8, 1),
	[BLKCAST_A_ON_IO_ERROR] = NLA_POLICY_MAX(NLA_U8, BLKCAST_ON_IO_ERROR_DETACH),
};

/* ---- what the handlers share ---- */

int blkcast_nl_need(struct genl_info *info, int attr)
{
	if (info->attrs[attr])
		return 0;
	NL_SET_ERR_MSG(info->extack, "an attribute is missing");
	return -EINVAL;
}

int blkcast_nl_admin(struct sk_buff *skb, struct genl_info *info)
{
	if (netlink_capable(skb, CAP_SYS_ADMIN))
		return 0;
	NL_SET_ERR_MSG(info->extack, "needs CAP_SYS_ADMIN");
	return -EPERM;
}

static bool name_valid(const char *name)
{
	const char *p;

	for (p = name; *p; p++)
		if (!isalnum(*p) && !strchr("._-", *p))
			return false;
	return p > name && *name != '.' && *name != '-';
}

int blkcast_nl_name(struct genl_info *info, int attr, const char **name)
{
	int err = blkcast_nl_need(info, attr);

	if (err)
		return err;
	*name = nla_data(info->attrs[attr]);
	if (name_valid(*name))
		return 0;
	NL_SET_ERR_MSG(info->extack, "names are made of A-Z a-z 0-9 . _ -");
	return -EINVAL;
}

/* The named volume with a reference. */
struct blkcast_volume *blkcast_nl_volume(struct genl_info *info)
{
	struct blkcast_volume *v;
	const char *name;
	int err = blkcast_nl_name(info, BLKCAST_A_NAME, &name);

	if (err)
		return ERR_PTR(err);
	v = blkcast_volume_find(name);
	if (v)
		return v;
	NL_SET_ERR_MSG(info->extack, "no such volume is up");
	return ERR_PTR(-ENODEV);
}

static void volume_unlock(struct blkcast_volume *v)
{
	unsigned int noio = v->admin_noio;

	mutex_unlock(&v->admin);
	memalloc_noio_restore(noio);
	blkcast_volume_put(v);
}

/*
 * ... for a command: permission, vol->admin held, not going down.  Until it is over
 * no memory is asked for that writeback to the volume would have to free: it may be
 * this command, or one that waits for it, that lets writes go on.
 */
static struct blkcast_volume *volume_lock(struct sk_buff *skb,
					  struct genl_info *info)
{
	int err = blkcast_nl_admin(skb, info);
	struct blkcast_volume *v;
	unsigned int noio;

	if (err)
		return ERR_PTR(err);
	v = blkcast_nl_volume(info);
	if (IS_ERR(v))
		return v;
	noio = memalloc_noio_save();
	mutex_lock(&v->admin);
	v->admin_noio = noio;
	if (!v->gone)
		return v;
	volume_unlock(v);
	NL_SET_ERR_MSG(info->extack, "the volume is going down");
	return ERR_PTR(-ENODEV);
}

static u32 flags_get(struct genl_info *info)
{
	return info->attrs[BLKCAST_A_FLAGS] ?
	       nla_get_u32(info->attrs[BLKCAST_A_FLAGS]) : 0;
}

/* The head of an answer in @msg; NULL: no room. */
void *blkcast_nl_head(struct sk_buff *msg, struct genl_info *info, int cmd)
{
	return genlmsg_put_reply(msg, info, &family, 0, cmd);
}

static struct sk_buff *reply_new(struct genl_info *info, int cmd, void **head)
{
	struct sk_buff *msg = nlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);

	if (!msg)
		return NULL;
	*head = blkcast_nl_head(msg, info, cmd);
	if (*head)
		return msg;
	nlmsg_free(msg);
	return NULL;
}

/* ---- commands ---- */

static dev_t dev_get(struct genl_info *info, int attr)
{
	return new_decode_dev(nla_get_u32(info->attrs[attr]));
}

static int cmd_up(struct sk_buff *skb, struct genl_info *info)
{
	struct blkcast_volume_params p = { .backlog = BLKCAST_BACKLOG_DEFAULT };
	struct sk_buff *msg;
	void *head;
	u32 minor;
	int err;

	err = blkcast_nl_admin(skb, info) ?:
	      blkcast_nl_name(info, BLKCAST_A_NAME, &p.name) ?:
	      blkcast_nl_need(info, BLKCAST_A_BACKING) ?: blkcast_nl_need(info, BLKCAST_A_META);
	if (err)
		return err;
	p.backing = dev_get(info, BLKCAST_A_BACKING);
	p.meta = dev_get(info, BLKCAST_A_META);
	if (info->attrs[BLKCAST_A_BACKLOG])
		p.backlog = nla_get_u64(info->attrs[BLKCAST_A_BACKLOG]);
	if (info->attrs[BLKCAST_A_META_END])
		p.meta_end = nla_get_u64(info->attrs[BLKCAST_A_META_END]);
	if (p.backlog < BLKCAST_BACKLOG_MIN || p.backlog > BLKCAST_BACKLOG_MAX) {
		NL_SET_ERR_MSG(info->extack, "backlog must be 1 MiB to 4 GiB");
		return -ERANGE;
	}
	msg = reply_new(info, BLKCAST_CMD_UP, &head);
	if (!msg)
		return -ENOMEM;
	err = blkcast_volume_up(&p, &minor, info->extack);
	if (err) {
		nlmsg_free(msg);
		return err;
	}
	nla_put_u32(msg, BLKCAST_A_MINOR, minor);
	genlmsg_end(msg, head);
	return genlmsg_reply(msg, info);
}

static int cmd_down(struct sk_buff *skb, struct genl_info *info)
{
	struct blkcast_volume *v = volume_lock(skb, info);
	int err;

	if (IS_ERR(v))
		return PTR_ERR(v);
	err = blkcast_volume_down(v, info->extack);
	volume_unlock(v);
	return err;
}

static int cmd_primary(struct sk_buff *skb, struct genl_info *info)
{
	struct blkcast_promotion p = { .force = flags_get(info) & BLKCAST_F_FORCE };
	struct blkcast_volume *v;
	int err;

	err = blkcast_nl_need(info, BLKCAST_A_TERM) ?: blkcast_nl_need(info, BLKCAST_A_REIGN);
	if (err)
		return err;
	p.term = nla_get_u32(info->attrs[BLKCAST_A_TERM]);
	p.reign = nla_get_u64(info->attrs[BLKCAST_A_REIGN]);
	if (info->attrs[BLKCAST_A_LEASE])
		p.lease = nla_get_u64(info->attrs[BLKCAST_A_LEASE]);
	v = volume_lock(skb, info);
	if (IS_ERR(v))
		return PTR_ERR(v);
	err = blkcast_volume_promote(v, &p, info->extack);
	volume_unlock(v);
	return err;
}

static int cmd_replica(struct sk_buff *skb, struct genl_info *info)
{
	struct blkcast_volume *v = volume_lock(skb, info);
	const char *heir = NULL;
	int err;

	if (IS_ERR(v))
		return PTR_ERR(v);
	if (info->attrs[BLKCAST_A_LINK])
		heir = nla_data(info->attrs[BLKCAST_A_LINK]);
	err = blkcast_volume_demote(v, heir, flags_get(info) & BLKCAST_F_DISCARD,
				    info->extack);
	volume_unlock(v);
	return err;
}

static int cmd_depose(struct sk_buff *skb, struct genl_info *info)
{
	struct blkcast_volume *v;
	int err = blkcast_nl_need(info, BLKCAST_A_TERM);

	if (err)
		return err;
	v = volume_lock(skb, info);
	if (IS_ERR(v))
		return PTR_ERR(v);
	err = blkcast_reign_depose(v, nla_get_u32(info->attrs[BLKCAST_A_TERM]),
				   info->extack);
	volume_unlock(v);
	return err;
}

/* An optional u64 within its range: *value stays 0 without it. */
static int range_get(struct genl_info *info, int attr, u64 min, u64 max,
		     const char *refusal, u64 *value)
{
	if (!info->attrs[attr])
		return 0;
	*value = nla_get_u64(info->attrs[attr]);
	if (*value >= min && *value <= max)
		return 0;
	info->extack->_msg = refusal;
	return -ERANGE;
}

struct settings {
	struct nlattr *ack, *min_isr, *on_loss, *membership, *max_lag, *on_io_error;
	u64 resync_rate, active_max;
};

static bool max_lag_valid(u32 ms)
{
	return !ms || (ms >= BLKCAST_MAX_LAG_MIN && ms <= BLKCAST_MAX_LAG_MAX);
}

static int settings_get(struct genl_info *info, struct settings *s)
{
	s->ack = info->attrs[BLKCAST_A_ACK];
	s->min_isr = info->attrs[BLKCAST_A_MIN_ISR];
	s->on_loss = info->attrs[BLKCAST_A_ON_LOSS];
	s->on_io_error = info->attrs[BLKCAST_A_ON_IO_ERROR];
	s->max_lag = info->attrs[BLKCAST_A_MAX_LAG];
	if (s->max_lag && !max_lag_valid(nla_get_u32(s->max_lag))) {
		NL_SET_ERR_MSG(info->extack, "max lag must be 100 ms to 24 hours, or 0");
		return -ERANGE;
	}
	s->membership = info->attrs[BLKCAST_A_MEMBERSHIP];
	return range_get(info, BLKCAST_A_RESYNC_RATE, BLKCAST_RESYNC_RATE_MIN,
			 BLKCAST_RESYNC_RATE_MAX,
			 "resync rate must be 64 KiB/s to 1 TiB/s",
			 &s->resync_rate) ?:
	       range_get(info, BLKCAST_A_ACTIVE_MAX, BLKCAST_ACTIVE_MIN,
			 BLKCAST_ACTIVE_MAX,
			 "active limit must be 64 MiB to 64 TiB", &s->active_max);
}

/* Who holds all that was acknowledged is known with ack=disk alone: members.c, inv. 4. */
static int settings_check(const struct blkcast_volume *v, const struct settings *s,
			  struct netlink_ext_ack *extack)
{
	bool managed = s->membership ? nla_get_u8(s->membership) : v->managed;
	u8 ack = s->ack ? nla_get_u8(s->ack) : v->ack;

	if (v->detached && ack != BLKCAST_ACK_DISK) {
		NL_SET_ERR_MSG(extack, "its device has been detached: only ack=disk is left");
		return -EINVAL;
	}
	if (!managed || ack == BLKCAST_ACK_DISK || !(s->membership || s->ack))
		return 0;
	NL_SET_ERR_MSG(extack, "membership=managed goes with ack=disk");
	return -EINVAL;
}

static int settings_record(struct blkcast_volume *v, const struct settings *s)
{
	int err = 0;

	/* To managed with ack=disk, from managed before another. */
	if (s->membership && !nla_get_u8(s->membership))
		err = blkcast_members_manage(v, false);
	if (s->ack && !err)
		err = blkcast_members_set_ack(v, nla_get_u8(s->ack));
	if (s->membership && nla_get_u8(s->membership) && !err)
		err = blkcast_members_manage(v, true);
	return err;
}

static int cmd_set(struct sk_buff *skb, struct genl_info *info)
{
	struct settings s = {};
	struct blkcast_volume *v;
	int err = settings_get(info, &s);

	if (err)
		return err;
	v = volume_lock(skb, info);
	if (IS_ERR(v))
		return PTR_ERR(v);
	err = settings_check(v, &s, info->extack);
	if (err) {
		volume_unlock(v);
		return err;
	}
	err = settings_record(v, &s);
	if (err)
		NL_SET_ERR_MSG(info->extack, "cannot write the metadata");
	spin_lock_irq(&v->lock);
	if (s.resync_rate && !err)
		v->resync_rate = s.resync_rate;
	if (s.active_max && !err)
		v->map.active_max = s.active_max;
	if (s.max_lag && !err)
		WRITE_ONCE(v->max_lag, nla_get_u32(s.max_lag) * (u64)NSEC_PER_MSEC);
	spin_unlock_irq(&v->lock);
	if ((s.min_isr || s.on_loss) && !err)
		blkcast_policy_set(v, s.min_isr ? nla_get_u32(s.min_isr) : 0,
				   s.on_loss ? nla_get_u8(s.on_loss) : -1);
	if (s.on_io_error && !err) {
		err = blkcast_detach_hold(v, nla_get_u8(s.on_io_error) ==
					     BLKCAST_ON_IO_ERROR_DETACH);
		if (err)
			NL_SET_ERR_MSG(info->extack, "the backing device fails a flush");
	}
	volume_unlock(v);
	return err;
}

static int cmd_detach(struct sk_buff *skb, struct genl_info *info)
{
	struct blkcast_volume *v = volume_lock(skb, info);
	int err;

	if (IS_ERR(v))
		return PTR_ERR(v);
	err = blkcast_detach(v, info->extack);
	volume_unlock(v);
	return err;
}

static int cmd_suspend(struct sk_buff *skb, struct genl_info *info)
{
	struct blkcast_volume *v = volume_lock(skb, info);
	int err;

	if (IS_ERR(v))
		return PTR_ERR(v);
	err = blkcast_policy_halt(v, info->genlhdr->cmd == BLKCAST_CMD_SUSPEND,
				  info->extack);
	volume_unlock(v);
	return err;
}

static int cmd_member(struct sk_buff *skb, struct genl_info *info)
{
	struct blkcast_volume *v;
	const char *name;
	int err = blkcast_nl_need(info, BLKCAST_A_MEMBER) ?:
		  blkcast_nl_name(info, BLKCAST_A_LINK, &name);

	if (err)
		return err;
	v = volume_lock(skb, info);
	if (IS_ERR(v))
		return PTR_ERR(v);
	err = nla_get_u8(info->attrs[BLKCAST_A_MEMBER]) ?
	      blkcast_member_in(v, name, info->extack) :
	      blkcast_member_out(v, name, info->extack);
	volume_unlock(v);
	return err;
}

static int cmd_lease(struct sk_buff *skb, struct genl_info *info)
{
	struct blkcast_volume *v;
	int err = blkcast_nl_need(info, BLKCAST_A_LEASE);

	if (err)
		return err;
	v = volume_lock(skb, info);
	if (IS_ERR(v))
		return PTR_ERR(v);
	err = blkcast_lease_set(v, nla_get_u64(info->attrs[BLKCAST_A_LEASE]),
				info->extack);
	volume_unlock(v);
	return err;
}

static int cmd_grow(struct sk_buff *skb, struct genl_info *info)
{
	struct blkcast_volume *v;
	int err = blkcast_nl_need(info, BLKCAST_A_SECTORS);

	if (err)
		return err;
	v = volume_lock(skb, info);
	if (IS_ERR(v))
		return PTR_ERR(v);
	err = blkcast_grow(v, nla_get_u64(info->attrs[BLKCAST_A_SECTORS]),
			   info->extack);
	volume_unlock(v);
	return err;
}

static int link_params(struct genl_info *info, struct blkcast_link_params *p)
{
	struct nlattr *history = info->attrs[BLKCAST_A_HISTORY];
	int err;

	err = blkcast_nl_name(info, BLKCAST_A_LINK, &p->name) ?:
	      blkcast_nl_need(info, BLKCAST_A_SOCKET) ?: blkcast_nl_need(info, BLKCAST_A_TERM);
	if (err)
		return err;
	p->fd = nla_get_u32(info->attrs[BLKCAST_A_SOCKET]);
	p->term = nla_get_u32(info->attrs[BLKCAST_A_TERM]);
	p->flags = flags_get(info);
	if (info->attrs[BLKCAST_A_NODE])
		p->node = nla_data(info->attrs[BLKCAST_A_NODE]);
	if (info->attrs[BLKCAST_A_TIMEOUT])
		p->timeout = nla_get_u32(info->attrs[BLKCAST_A_TIMEOUT]);
	if (p->timeout < 1000 || p->timeout > 600000) {
		NL_SET_ERR_MSG(info->extack, "timeout must be 1 s to 600 s");
		return -ERANGE;
	}
	if (!history)
		return 0;
	if (nla_len(history) % sizeof(*p->history)) {
		NL_SET_ERR_MSG(info->extack, "history is cut short");
		return -EINVAL;
	}
	p->history = nla_data(history);
	p->reigns = nla_len(history) / sizeof(*p->history);
	return 0;
}

static int cmd_link_add(struct sk_buff *skb, struct genl_info *info)
{
	struct blkcast_link_params p = { .timeout = 10000 };
	struct blkcast_volume *v;
	int err = link_params(info, &p);

	if (err)
		return err;
	v = volume_lock(skb, info);
	if (IS_ERR(v))
		return PTR_ERR(v);
	err = blkcast_link_add(v, &p, info->extack);
	volume_unlock(v);
	return err;
}

static int cmd_link_del(struct sk_buff *skb, struct genl_info *info)
{
	struct blkcast_volume *v;
	const char *name;
	int err = blkcast_nl_name(info, BLKCAST_A_LINK, &name);

	if (err)
		return err;
	v = volume_lock(skb, info);
	if (IS_ERR(v))
		return PTR_ERR(v);
	err = blkcast_link_del(v, name);
	if (err)
		NL_SET_ERR_MSG(info->extack, "no such link");
	volume_unlock(v);
	return err;
}

static int cmd_verify(struct sk_buff *skb, struct genl_info *info)
{
	u32 flags = flags_get(info);
	struct blkcast_volume *v;
	const char *name;
	int err = blkcast_nl_name(info, BLKCAST_A_LINK, &name);

	if (err)
		return err;
	v = volume_lock(skb, info);
	if (IS_ERR(v))
		return PTR_ERR(v);
	err = flags & BLKCAST_F_STOP ?
	      blkcast_verify_stop(v, name, info->extack) :
	      blkcast_verify_start(v, name, flags & BLKCAST_F_REPAIR,
				   info->extack);
	volume_unlock(v);
	return err;
}

static int view_params(struct genl_info *info, struct blkcast_view_params *p)
{
	p->replace = flags_get(info) & BLKCAST_F_REPLACE;
	if (flags_get(info) & BLKCAST_F_OWNED)
		p->owner = info->snd_portid;
	p->net = genl_info_net(info);
	p->timeout = BLKCAST_VIEW_WAIT_DEFAULT;
	if (info->attrs[BLKCAST_A_TIMEOUT])
		p->timeout = nla_get_u32(info->attrs[BLKCAST_A_TIMEOUT]);
	if (p->timeout < BLKCAST_VIEW_WAIT_MIN || p->timeout > BLKCAST_VIEW_WAIT_MAX) {
		NL_SET_ERR_MSG(info->extack, "timeout must be 0.1 s to 600 s");
		return -ERANGE;
	}
	if (info->attrs[BLKCAST_A_STORE_FD]) {
		p->kind = BLKCAST_STORE_FILE;
		p->fd = nla_get_u32(info->attrs[BLKCAST_A_STORE_FD]);
	} else if (info->attrs[BLKCAST_A_STORE_DEV]) {
		p->kind = BLKCAST_STORE_DEVICE;
		p->dev = dev_get(info, BLKCAST_A_STORE_DEV);
	}
	return blkcast_nl_name(info, BLKCAST_A_VIEW, &p->name) ?:
	       blkcast_nl_need(info, BLKCAST_A_STORE_BYTES) ?:
	       range_get(info, BLKCAST_A_STORE_BYTES, BLKCAST_VIEW_BYTES_MIN,
			 BLKCAST_VIEW_BYTES_MAX, "a store is of 1 MiB to 4 TiB",
			 &p->bytes);
}

static int cmd_view_create(struct sk_buff *skb, struct genl_info *info)
{
	struct blkcast_view_params p = {};
	struct blkcast_view_made made;
	struct blkcast_volume *v;
	struct sk_buff *msg;
	void *head;
	int err = view_params(info, &p);

	if (err)
		return err;
	msg = reply_new(info, BLKCAST_CMD_VIEW_CREATE, &head);
	if (!msg)
		return -ENOMEM;
	v = volume_lock(skb, info);
	err = PTR_ERR_OR_ZERO(v);
	if (!err) {
		err = blkcast_view_create(v, &p, &made, info->extack);
		volume_unlock(v);
	}
	if (err) {
		nlmsg_free(msg);
		return err;
	}
	nla_put_u32(msg, BLKCAST_A_MINOR, made.minor);
	put_u64(msg, BLKCAST_A_LSN, made.lsn);
	genlmsg_end(msg, head);
	return genlmsg_reply(msg, info);
}

static int cmd_view_remove(struct sk_buff *skb, struct genl_info *info)
{
	struct blkcast_volume *v;
	const char *name;
	int err = blkcast_nl_name(info, BLKCAST_A_VIEW, &name);

	if (err)
		return err;
	v = volume_lock(skb, info);
	if (IS_ERR(v))
		return PTR_ERR(v);
	err = blkcast_view_remove(v, name, info->extack);
	volume_unlock(v);
	return err;
}

static int cmd_view_pass(struct sk_buff *skb, struct genl_info *info)
{
	struct blkcast_volume *v;
	const char *name;
	int err;

	err = blkcast_nl_admin(skb, info) ?: blkcast_nl_name(info, BLKCAST_A_VIEW, &name) ?:
	      blkcast_nl_need(info, BLKCAST_A_FIRST);
	if (err)
		return err;
	v = blkcast_nl_volume(info);
	if (IS_ERR(v))
		return PTR_ERR(v);
	err = blkcast_view_pass(v, name, nla_get_u32(info->attrs[BLKCAST_A_FIRST]));
	if (err)
		NL_SET_ERR_MSG(info->extack, "no such view");
	blkcast_volume_put(v);
	return err;
}

/* ---- state ---- */

/*
 * Room for the history and a good number of links; and what is to be had when memory is
 * short, which is when links have to be made anew: 16 KiB in all.
 */
#define GET_MSG_SIZE	(32U << 10)
#define GET_MSG_LEAST	(SKB_WITH_OVERHEAD(16U << 10) - NLMSG_HDRLEN - GENL_HDRLEN)

static int cmd_get(struct sk_buff *skb, struct genl_info *info)
{
	struct blkcast_volume *v = blkcast_nl_volume(info);
	struct sk_buff *msg;
	void *head;
	int err = -EMSGSIZE;

	if (IS_ERR(v))
		return PTR_ERR(v);
	msg = genlmsg_new(GET_MSG_SIZE, GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN) ?:
	      genlmsg_new(GET_MSG_LEAST, GFP_KERNEL);
	if (!msg) {
		err = -ENOMEM;
		goto out_put;
	}
	head = genlmsg_put_reply(msg, info, &family, 0, BLKCAST_CMD_GET);
	if (head)
		err = blkcast_state_put(msg, v);
	if (err) {
		nlmsg_free(msg);
		goto out_put;
	}
	genlmsg_end(msg, head);
	err = genlmsg_reply(msg, info);
out_put:
	blkcast_volume_put(v);
	return err;
}

/* As much as the reader has room for, to 32 KiB, is tried first. */
static int dump_start(struct netlink_callback *cb)
{
	cb->min_dump_alloc = GET_MSG_LEAST;
	return 0;
}

/* The volume at a place in the list, with a reference; NULL: there is none. */
static struct blkcast_volume *volume_at(long place)
{
	struct blkcast_volume *v, *found = NULL;

	mutex_lock(&blkcast_volumes_lock);
	list_for_each_entry(v, &blkcast_volumes, node) {
		if (place--)
			continue;
		kref_get(&v->refs);
		found = v;
		break;
	}
	mutex_unlock(&blkcast_volumes_lock);
	return found;
}

static int volume_dump(struct sk_buff *msg, struct netlink_callback *cb,
		       struct blkcast_volume *v)
{
	void *head = genlmsg_put(msg, NETLINK_CB(cb->skb).portid,
				 cb->nlh->nlmsg_seq, &family, NLM_F_MULTI,
				 BLKCAST_CMD_GET);

	if (!head)
		return -EMSGSIZE;
	if (blkcast_state_put(msg, v)) {
		genlmsg_cancel(msg, head);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, head);
	return 0;
}

static int dump_get(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct blkcast_volume *v;
	int err = 0;

	while (!err && (v = volume_at(cb->args[0]))) {
		err = volume_dump(msg, cb, v);
		blkcast_volume_put(v);
		cb->args[0] += !err;
	}
	return msg->len ?: err;
}

/* ---- events ---- */

/* A message for who listens to events; NULL: no room. */
void *blkcast_event_begin(struct sk_buff *msg)
{
	return genlmsg_put(msg, 0, 0, &family, 0, BLKCAST_CMD_EVENT);
}

/* ... goes out.  Any context. */
void blkcast_event_end(struct sk_buff *msg, void *head)
{
	genlmsg_end(msg, head);
	genlmsg_multicast_allns(&family, msg, 0, 0);
}

static const struct genl_ops ops[] = {
	{ .cmd = BLKCAST_CMD_UP, .doit = cmd_up },
	{ .cmd = BLKCAST_CMD_DOWN, .doit = cmd_down },
	{ .cmd = BLKCAST_CMD_PRIMARY, .doit = cmd_primary },
	{ .cmd = BLKCAST_CMD_REPLICA, .doit = cmd_replica },
	{ .cmd = BLKCAST_CMD_SET, .doit = cmd_set },
	{ .cmd = BLKCAST_CMD_GROW, .doit = cmd_grow },
	{ .cmd = BLKCAST_CMD_LINK_ADD, .doit = cmd_link_add },
	{ .cmd = BLKCAST_CMD_LINK_DEL, .doit = cmd_link_del },
	{ .cmd = BLKCAST_CMD_GET, .doit = cmd_get,
	  .start = dump_start, .dumpit = dump_get },
	{ .cmd = BLKCAST_CMD_STAMPS, .doit = blkcast_nl_stamps },
	{ .cmd = BLKCAST_CMD_VERIFY, .doit = cmd_verify },
	{ .cmd = BLKCAST_CMD_DIFFERING, .doit = blkcast_nl_differing },
	{ .cmd = BLKCAST_CMD_SUSPEND, .doit = cmd_suspend },
	{ .cmd = BLKCAST_CMD_RESUME, .doit = cmd_suspend },
	{ .cmd = BLKCAST_CMD_DEPOSE, .doit = cmd_depose },
	{ .cmd = BLKCAST_CMD_VIEW_CREATE, .doit = cmd_view_create },
	{ .cmd = BLKCAST_CMD_VIEW_REMOVE, .doit = cmd_view_remove },
	{ .cmd = BLKCAST_CMD_VIEW_PASS, .doit = cmd_view_pass },
	{ .cmd = BLKCAST_CMD_MEMBER, .doit = cmd_member },
	{ .cmd = BLKCAST_CMD_LEASE, .doit = cmd_lease },
	{ .cmd = BLKCAST_CMD_DETACH, .doit = cmd_detach },
};

static const struct genl_multicast_group groups[] = {
	{ .name = BLKCAST_GENL_EVENTS },
};

static struct genl_family family __ro_after_init = {
	.name = BLKCAST_GENL_NAME,
	.version = BLKCAST_GENL_VERSION,
	.maxattr = __BLKCAST_A_MAX - 1,
	.policy = policy,
	.netnsok = true,
	.parallel_ops = true,
	.module = THIS_MODULE,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.mcgrps = groups,
	.n_mcgrps = ARRAY_SIZE(groups),
	.resv_start_op = __BLKCAST_CMD_MAX,
};

static int socket_closed(struct notifier_block *nb, unsigned long event, void *data)
{
	const struct netlink_notify *n = data;

	if (event == NETLINK_URELEASE && n->protocol == NETLINK_GENERIC && n->portid)
		blkcast_views_disown(n->net, n->portid);
	return NOTIFY_DONE;
}

static struct notifier_block socket_notifier = { .notifier_call = socket_closed };

int __init blkcast_netlink_init(void)
{
	int err = netlink_register_notifier(&socket_notifier);

	if (err)
		return err;
	err = genl_register_family(&family);
	if (err)
		netlink_unregister_notifier(&socket_notifier);
	return err;
}

void blkcast_netlink_exit(void)
{
	genl_unregister_family(&family);
	netlink_unregister_notifier(&socket_notifier);
}
