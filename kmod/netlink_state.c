// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * State by netlink: what GET says of a volume, its links and its views.  The attributes
 * are described in uapi/blkcast_netlink.h.  vol->lock is all that is taken, so there is
 * an answer while a command is waiting for something.
 */
#include <net/genetlink.h>

#include "lag.h"
#include "netlink.h"
#include "view.h"

#define AWAY_MAX	32

/* Attributes of one stage: NS, WRITES, BYTES in a row; none if it is unknown. */
static int stage_put(struct sk_buff *msg, int attr, const struct blkcast_lag *lag)
{
	if (lag->known && (put_u64(msg, attr, lag->ns) ||
			   put_u64(msg, attr + 1, lag->writes) ||
			   put_u64(msg, attr + 2, lag->bytes)))
		return -EMSGSIZE;
	return 0;
}

static int lag_put(struct sk_buff *msg, struct blkcast_link *l, u64 now)
{
	struct blkcast_lag lags[BLKCAST_LAG_STAGES];

	blkcast_lag_get(l, now, lags);
	return stage_put(msg, BLKCAST_L_UNSENT_NS, &lags[BLKCAST_LAG_SENT]) ?:
	       stage_put(msg, BLKCAST_L_UNRECEIVED_NS,
			 &lags[BLKCAST_LAG_RECEIVED]) ?:
	       stage_put(msg, BLKCAST_L_LAG_NS, &lags[BLKCAST_LAG_APPLIED]) ?:
	       stage_put(msg, BLKCAST_L_UNDURABLE_NS, &lags[BLKCAST_LAG_DURABLE]);
}

static int away_put(struct sk_buff *msg, struct blkcast_volume *v,
		    const struct blkcast_away *a, u64 now)
{
	struct nlattr *nest = nla_nest_start(msg, BLKCAST_A_AWAY);
	struct blkcast_lag lag;

	blkcast_lag_get_away(v, a, now, &lag);
	if (!nest || nla_put_string(msg, BLKCAST_L_NAME, a->name) ||
	    put_u64(msg, BLKCAST_L_APPLIED, a->applied) ||
	    put_u64(msg, BLKCAST_L_CONTACT_NS, now - a->heard))
		return -EMSGSIZE;
	if (a->spilled ? put_u64(msg, BLKCAST_L_LAG_NS, lag.ns) :
			 stage_put(msg, BLKCAST_L_LAG_NS, &lag))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int verify_put(struct sk_buff *msg, struct blkcast_link *l)
{
	struct blkcast_verify_status s;

	if (!blkcast_verify_status(l, &s))
		return 0;
	if (nla_put_u8(msg, BLKCAST_L_VERIFY_STATE, s.state) ||
	    nla_put_u32(msg, BLKCAST_L_VERIFY_FLAGS,
			s.repair ? BLKCAST_F_REPAIR : 0) ||
	    nla_put_u32(msg, BLKCAST_L_VERIFY_TOTAL, s.total) ||
	    nla_put_u32(msg, BLKCAST_L_VERIFY_LEFT, s.left) ||
	    nla_put_u32(msg, BLKCAST_L_VERIFY_DIFFER, s.differ) ||
	    put_u64(msg, BLKCAST_L_VERIFY_BYTES, s.differ_bytes) ||
	    nla_put_u32(msg, BLKCAST_L_VERIFY_UNREADABLE, s.unreadable) ||
	    put_u64(msg, BLKCAST_L_VERIFY_NS, s.ns))
		return -EMSGSIZE;
	return 0;
}

static int link_put_primary(struct sk_buff *msg, struct blkcast_link *l, u64 now)
{
	if (nla_put_u32(msg, BLKCAST_L_DIRTY, l->dirty_count) ||
	    put_u64(msg, BLKCAST_L_DIRTY_BYTES, blkcast_lag_dirty_bytes(l)) ||
	    put_u64(msg, BLKCAST_L_SENT, l->sent) ||
	    put_u64(msg, BLKCAST_L_RESYNC_BYTES, READ_ONCE(l->resync_bytes)) ||
	    put_u64(msg, BLKCAST_L_QUEUE_NS, READ_ONCE(l->queue_ns)) ||
	    lag_put(msg, l, now))
		return -EMSGSIZE;
	if (l->read_rate.known &&
	    put_u64(msg, BLKCAST_L_READ_RATE, l->read_rate.a_second))
		return -EMSGSIZE;
	if (l->state == BLKCAST_LINK_RESYNC &&
	    (nla_put_u32(msg, BLKCAST_L_RESYNCED, l->resynced) ||
	     put_u64(msg, BLKCAST_L_RESYNC_NS, now - l->resync_start)))
		return -EMSGSIZE;
	if (l->behind_since &&
	    put_u64(msg, BLKCAST_L_BEHIND_NS, now - l->behind_since))
		return -EMSGSIZE;
	if (l->rtt_ns && put_u64(msg, BLKCAST_L_RTT_NS, l->rtt_ns))
		return -EMSGSIZE;
	if (l->room && put_u64(msg, BLKCAST_L_ROOM, l->room))
		return -EMSGSIZE;
	return verify_put(msg, l);
}

static int link_put(struct sk_buff *msg, struct blkcast_link *l)
{
	struct nlattr *nest = nla_nest_start(msg, BLKCAST_A_LINKS);
	u64 now = ktime_get_ns();

	if (!nest ||
	    nla_put_string(msg, BLKCAST_L_NAME, l->name) ||
	    nla_put_u8(msg, BLKCAST_L_STATE, l->state) ||
	    nla_put_u32(msg, BLKCAST_L_FLAGS,
			l->flags | (l->apart ? BLKCAST_F_APART : 0)) ||
	    nla_put_u32(msg, BLKCAST_L_ID, l->id) ||
	    put_u64(msg, BLKCAST_L_RECEIVED, l->received) ||
	    put_u64(msg, BLKCAST_L_APPLIED, l->applied) ||
	    put_u64(msg, BLKCAST_L_DURABLE, l->durable) ||
	    put_u64(msg, BLKCAST_L_SENT_BYTES, READ_ONCE(l->sent_bytes)) ||
	    put_u64(msg, BLKCAST_L_APPLY_NS, l->apply_ns) ||
	    put_u64(msg, BLKCAST_L_FLUSH_NS, l->flush_ns) ||
	    put_u64(msg, BLKCAST_L_CONTACT_NS, now - l->rx_when) ||
	    (l->dirty && link_put_primary(msg, l, now)))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

/* Caller holds vol->lock. */
static int view_put(struct sk_buff *msg, struct blkcast_view *view)
{
	struct nlattr *nest = nla_nest_start(msg, BLKCAST_A_VIEWS);

	if (!nest ||
	    nla_put_string(msg, BLKCAST_V_NAME, view->name) ||
	    nla_put_u32(msg, BLKCAST_V_MINOR, view->minor) ||
	    nla_put_u8(msg, BLKCAST_V_STATE, READ_ONCE(view->state)) ||
	    nla_put_u32(msg, BLKCAST_V_ERROR, -READ_ONCE(view->error)) ||
	    put_u64(msg, BLKCAST_V_LSN, view->lsn) ||
	    put_u64(msg, BLKCAST_V_REIGN, view->reign) ||
	    put_u64(msg, BLKCAST_V_AGE_NS, ktime_get_boottime_ns() - view->born) ||
	    put_u64(msg, BLKCAST_V_SECTORS, view->sectors) ||
	    nla_put_u32(msg, BLKCAST_V_DOUBT, view->doubts) ||
	    nla_put_u32(msg, BLKCAST_V_OPENERS, view->openers) ||
	    put_u64(msg, BLKCAST_V_STORE_BYTES,
		    (u64)view->store.capacity << BLKCAST_VIEW_SHIFT) ||
	    put_u64(msg, BLKCAST_V_STORE_USED,
		    (u64)READ_ONCE(view->store.used) << BLKCAST_VIEW_SHIFT) ||
	    nla_put_u32(msg, BLKCAST_V_PASSED, view->passed) ||
	    nla_put_u8(msg, BLKCAST_V_STORE, view->store.kind) ||
	    nla_put_u32(msg, BLKCAST_V_FLAGS,
			view->retired ? BLKCAST_F_REPLACE : 0))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

/* One that begins is not there yet.  Caller holds vol->lock. */
static int views_put(struct sk_buff *msg, struct blkcast_volume *v)
{
	struct blkcast_view *view;

	list_for_each_entry(view, &v->views, node)
		if (view->disk && view_put(msg, view))
			return -EMSGSIZE;
	return 0;
}

/* What the superblock says.  Caller holds vol->lock. */
static int super_put(struct sk_buff *msg, struct blkcast_volume *v)
{
	const struct blkcast_super *s = v->shown;
	u32 n = le32_to_cpu(s->reigns);
	u64 newest = n ? le64_to_cpu(s->history[n - 1].reign) : 0;

	return nla_put_u32(msg, BLKCAST_A_SUPER_FLAGS, le32_to_cpu(s->flags)) ?:
	       put_u64(msg, BLKCAST_A_META_END, v->shown_end) ?:
	       put_u64(msg, BLKCAST_A_REIGN, newest) ?:
	       nla_put(msg, BLKCAST_A_MEMBERS,
		       le32_to_cpu(s->members) * sizeof(s->member[0]), s->member) ?:
	       nla_put(msg, BLKCAST_A_HEIR, sizeof(s->heir), s->heir) ?:
	       nla_put(msg, BLKCAST_A_HISTORY, n * sizeof(s->history[0]),
		       s->history);
}

static int missing_put(struct sk_buff *msg, struct blkcast_volume *v)
{
	const char *name;
	u32 i;

	for (i = 0; i < v->members; i++) {
		name = blkcast_member_missing(v, i);
		if (name && nla_put_string(msg, BLKCAST_A_MISSING, name))
			return -EMSGSIZE;
	}
	return v->lease ? put_u64(msg, BLKCAST_A_LEASE, v->lease) : 0;
}

/* What the policy makes of the links.  Caller holds vol->lock. */
static int policy_put(struct sk_buff *msg, struct blkcast_volume *v)
{
	struct blkcast_policy_status s;

	if (nla_put_u8(msg, BLKCAST_A_ACK, v->ack) ||
	    nla_put_u32(msg, BLKCAST_A_MIN_ISR, v->min_isr) ||
	    nla_put_u8(msg, BLKCAST_A_ON_LOSS, v->on_loss))
		return -EMSGSIZE;
	if (v->role != BLKCAST_ROLE_PRIMARY)
		return 0;
	blkcast_policy_status(v, &s);
	if (nla_put_u32(msg, BLKCAST_A_ISR, s.isr) ||
	    nla_put_u32(msg, BLKCAST_A_SUSPENDED, s.suspended) ||
	    nla_put_u32(msg, BLKCAST_A_PARKED, s.parked) ||
	    missing_put(msg, v))
		return -EMSGSIZE;
	return s.since ? put_u64(msg, BLKCAST_A_SUSPENDED_NS,
				 ktime_get_ns() - s.since) : 0;
}

/* The newest of them: more than there is room for are hardly meant. */
static int aways_put(struct sk_buff *msg, struct blkcast_volume *v)
{
	u64 now = ktime_get_ns();
	struct blkcast_away *a;
	u32 n = 0;

	if (v->role != BLKCAST_ROLE_PRIMARY)
		return 0;
	list_for_each_entry(a, &v->away, node)
		if (n++ < AWAY_MAX && away_put(msg, v, a, now))
			return -EMSGSIZE;
	return 0;
}

static int fails_put(struct sk_buff *msg, struct blkcast_volume *v)
{
	struct blkcast_read_fails f;

	blkcast_repair_status(v, &f);
	return nla_put(msg, BLKCAST_A_READ_FAILS, sizeof(f), &f);
}

static int age_put(struct sk_buff *msg, struct blkcast_volume *v)
{
	u64 age = blkcast_fresh_age(v);

	if (v->role == BLKCAST_ROLE_PRIMARY || age == BLKCAST_AGE_UNKNOWN)
		return 0;
	return put_u64(msg, BLKCAST_A_AGE_NS, age);
}

/* What I/O changes.  Caller holds vol->lock. */
static int volume_put_live(struct sk_buff *msg, struct blkcast_volume *v)
{
	u32 doubt = 0, g;
	struct blkcast_link *l;

	for (g = 0; g < DIV_ROUND_UP(v->regions, BLKCAST_MAP_STAMPS); g++)
		doubt += v->map.groups[g].doubts;
	if (nla_put_u8(msg, BLKCAST_A_ROLE, v->role) ||
	    nla_put_u32(msg, BLKCAST_A_TERM, v->term) ||
	    policy_put(msg, v) ||
	    put_u64(msg, BLKCAST_A_RESYNC_RATE, v->resync_rate) ||
	    put_u64(msg, BLKCAST_A_ACTIVE_MAX, v->map.active_max) ||
	    nla_put_u32(msg, BLKCAST_A_MAX_LAG, v->max_lag / NSEC_PER_MSEC) ||
	    nla_put_u8(msg, BLKCAST_A_ON_IO_ERROR, v->hold_errors) ||
	    nla_put_u8(msg, BLKCAST_A_DEVICE, v->detached ? BLKCAST_DEVICE_DETACHED :
		       v->failing ? BLKCAST_DEVICE_FAILING : BLKCAST_DEVICE_IN_USE) ||
	    put_u64(msg, BLKCAST_A_TURNED_AWAY, atomic64_read(&v->turned_away)) ||
	    put_u64(msg, BLKCAST_A_LSN, v->lsn) ||
	    put_u64(msg, BLKCAST_A_SECTORS, v->sectors) ||
	    nla_put_u32(msg, BLKCAST_A_REGIONS, v->regions) ||
	    nla_put_u32(msg, BLKCAST_A_TOUCHED, v->map.touched_count) ||
	    nla_put_u32(msg, BLKCAST_A_OPENERS, v->openers) ||
	    put_u64(msg, BLKCAST_A_BACKLOG_USED, v->log_bytes) ||
	    put_u64(msg, BLKCAST_A_META_WRITES, v->map.writes) ||
	    nla_put_u32(msg, BLKCAST_A_ACTIVE_GROUPS, v->map.active) ||
	    nla_put_u32(msg, BLKCAST_A_DOUBT, doubt) ||
	    put_u64(msg, BLKCAST_A_WRITES, v->writes) ||
	    put_u64(msg, BLKCAST_A_WRITE_BYTES, v->write_bytes) ||
	    put_u64(msg, BLKCAST_A_READS, blkcast_reads(v)) ||
	    fails_put(msg, v) ||
	    (v->deposed && nla_put_u32(msg, BLKCAST_A_DEPOSED, v->deposed)))
		return -EMSGSIZE;
	list_for_each_entry(l, &v->links, node)
		if (link_put(msg, l))
			return -EMSGSIZE;
	return age_put(msg, v) ?: aways_put(msg, v) ?: views_put(msg, v);
}

/**
 * blkcast_state_put() - what GET says of a volume
 * @msg: takes it
 * @v: the volume; no lock is held
 *
 * Return: 0; -EMSGSIZE: there is no room.
 */
int blkcast_state_put(struct sk_buff *msg, struct blkcast_volume *v)
{
	int err;

	if (nla_put_string(msg, BLKCAST_A_NAME, v->name) ||
	    nla_put_u32(msg, BLKCAST_A_BACKING, new_encode_dev(v->backing_dev)) ||
	    nla_put_u32(msg, BLKCAST_A_META, new_encode_dev(v->meta_dev)) ||
	    put_u64(msg, BLKCAST_A_BACKLOG, v->log_budget) ||
	    nla_put_u32(msg, BLKCAST_A_MINOR, v->minor) ||
	    nla_put_u32(msg, BLKCAST_A_FLAGS, BLKCAST_F_READS) ||
	    nla_put(msg, BLKCAST_A_UUID, 16, v->super->volume) ||
	    nla_put(msg, BLKCAST_A_NODE, 16, v->super->node) ||
	    put_u64(msg, BLKCAST_A_EVENT_SEQ, blkcast_event_seq()) ||
	    put_u64(msg, BLKCAST_A_ERRORS, READ_ONCE(v->errors)) ||
	    nla_put_u32(msg, BLKCAST_A_REGION_SHIFT,
			v->region_shift + SECTOR_SHIFT) ||
	    put_u64(msg, BLKCAST_A_ROOM, blkcast_grow_room(v)) ||
	    nla_put_u32(msg, BLKCAST_A_BLOCK, v->block) ||
	    nla_put_u32(msg, BLKCAST_A_EXPOSED, blkcast_map_exposed(v)))
		return -EMSGSIZE;
	spin_lock_irq(&v->lock);
	err = super_put(msg, v) ?: volume_put_live(msg, v);
	spin_unlock_irq(&v->lock);
	return err;
}
