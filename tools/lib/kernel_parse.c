// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Attributes into structs, by tables: for each attribute, where it goes and
 * how many bytes it has.
 */
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_parse.h"

enum field_kind { FIELD_NONE, FIELD_FIXED, FIELD_STRING };

struct field {
	enum field_kind kind;
	uint16_t offset, size;
};

#define FIXED(type, member) \
	{ FIELD_FIXED, offsetof(type, member), sizeof(((type *)0)->member) }
#define STRING(type, member) \
	{ FIELD_STRING, offsetof(type, member), sizeof(((type *)0)->member) }

static const struct field volume_fields[__BLKCAST_A_MAX] = {
	[BLKCAST_A_NAME] = STRING(struct bc_volume, name),
	[BLKCAST_A_BACKING] = FIXED(struct bc_volume, backing),
	[BLKCAST_A_META] = FIXED(struct bc_volume, meta),
	[BLKCAST_A_BACKLOG] = FIXED(struct bc_volume, backlog),
	[BLKCAST_A_MINOR] = FIXED(struct bc_volume, minor),
	[BLKCAST_A_TERM] = FIXED(struct bc_volume, term),
	[BLKCAST_A_REIGN] = FIXED(struct bc_volume, reign),
	[BLKCAST_A_ACK] = FIXED(struct bc_volume, ack),
	[BLKCAST_A_ROLE] = FIXED(struct bc_volume, role),
	[BLKCAST_A_UUID] = FIXED(struct bc_volume, uuid),
	[BLKCAST_A_NODE] = FIXED(struct bc_volume, node),
	[BLKCAST_A_SECTORS] = FIXED(struct bc_volume, sectors),
	[BLKCAST_A_REGION_SHIFT] = FIXED(struct bc_volume, region_shift),
	[BLKCAST_A_REGIONS] = FIXED(struct bc_volume, regions),
	[BLKCAST_A_SUPER_FLAGS] = FIXED(struct bc_volume, super_flags),
	[BLKCAST_A_LSN] = FIXED(struct bc_volume, lsn),
	[BLKCAST_A_OPENERS] = FIXED(struct bc_volume, openers),
	[BLKCAST_A_BACKLOG_USED] = FIXED(struct bc_volume, backlog_used),
	[BLKCAST_A_META_WRITES] = FIXED(struct bc_volume, meta_writes),
	[BLKCAST_A_ACTIVE_GROUPS] = FIXED(struct bc_volume, active_groups),
	[BLKCAST_A_DOUBT] = FIXED(struct bc_volume, doubt),
	[BLKCAST_A_TOUCHED] = FIXED(struct bc_volume, touched),
	[BLKCAST_A_WRITES] = FIXED(struct bc_volume, writes),
	[BLKCAST_A_ACTIVE_MAX] = FIXED(struct bc_volume, active_max),
	[BLKCAST_A_EXPOSED] = FIXED(struct bc_volume, exposed),
	[BLKCAST_A_RESYNC_RATE] = FIXED(struct bc_volume, resync_rate),
	[BLKCAST_A_WRITE_BYTES] = FIXED(struct bc_volume, write_bytes),
	[BLKCAST_A_MAX_LAG] = FIXED(struct bc_volume, max_lag_ms),
	[BLKCAST_A_AGE_NS] = FIXED(struct bc_volume, age_ns),
	[BLKCAST_A_TURNED_AWAY] = FIXED(struct bc_volume, turned_away),
	[BLKCAST_A_READS] = FIXED(struct bc_volume, reads),
	[BLKCAST_A_META_END] = FIXED(struct bc_volume, meta_end),
	[BLKCAST_A_MIN_ISR] = FIXED(struct bc_volume, min_isr),
	[BLKCAST_A_ON_LOSS] = FIXED(struct bc_volume, on_loss),
	[BLKCAST_A_ON_IO_ERROR] = FIXED(struct bc_volume, on_io_error),
	[BLKCAST_A_DEVICE] = FIXED(struct bc_volume, device),
	[BLKCAST_A_ISR] = FIXED(struct bc_volume, isr),
	[BLKCAST_A_SUSPENDED] = FIXED(struct bc_volume, suspended),
	[BLKCAST_A_SUSPENDED_NS] = FIXED(struct bc_volume, suspended_ns),
	[BLKCAST_A_PARKED] = FIXED(struct bc_volume, parked),
	[BLKCAST_A_HEIR] = FIXED(struct bc_volume, heir),
	[BLKCAST_A_DEPOSED] = FIXED(struct bc_volume, deposed),
	[BLKCAST_A_EVENT_SEQ] = FIXED(struct bc_volume, event_seq),
	[BLKCAST_A_ERRORS] = FIXED(struct bc_volume, errors),
	[BLKCAST_A_ROOM] = FIXED(struct bc_volume, room),
	[BLKCAST_A_BLOCK] = FIXED(struct bc_volume, block),
	[BLKCAST_A_FLAGS] = FIXED(struct bc_volume, flags),
	[BLKCAST_A_READ_FAILS] = FIXED(struct bc_volume, read_fails),
	[BLKCAST_A_LEASE] = FIXED(struct bc_volume, lease),
};

static const struct field link_fields[__BLKCAST_L_MAX] = {
	[BLKCAST_L_NAME] = STRING(struct bc_link, name),
	[BLKCAST_L_STATE] = FIXED(struct bc_link, state),
	[BLKCAST_L_FLAGS] = FIXED(struct bc_link, flags),
	[BLKCAST_L_ID] = FIXED(struct bc_link, id),
	[BLKCAST_L_SENT] = FIXED(struct bc_link, sent),
	[BLKCAST_L_RECEIVED] = FIXED(struct bc_link, received),
	[BLKCAST_L_APPLIED] = FIXED(struct bc_link, applied),
	[BLKCAST_L_DURABLE] = FIXED(struct bc_link, durable),
	[BLKCAST_L_SENT_BYTES] = FIXED(struct bc_link, sent_bytes),
	[BLKCAST_L_RESYNC_BYTES] = FIXED(struct bc_link, resync_bytes),
	[BLKCAST_L_DIRTY] = FIXED(struct bc_link, dirty),
	[BLKCAST_L_LAG_NS] = FIXED(struct bc_link, lag_ns),
	[BLKCAST_L_LAG_WRITES] = FIXED(struct bc_link, lag_writes),
	[BLKCAST_L_LAG_BYTES] = FIXED(struct bc_link, lag_bytes),
	[BLKCAST_L_BEHIND_NS] = FIXED(struct bc_link, behind_ns),
	[BLKCAST_L_RTT_NS] = FIXED(struct bc_link, rtt_ns),
	[BLKCAST_L_APPLY_NS] = FIXED(struct bc_link, apply_ns),
	[BLKCAST_L_FLUSH_NS] = FIXED(struct bc_link, flush_ns),
	[BLKCAST_L_ROOM] = FIXED(struct bc_link, room),
	[BLKCAST_L_CONTACT_NS] = FIXED(struct bc_link, contact_ns),
	[BLKCAST_L_VERIFY_STATE] = FIXED(struct bc_link, verify_state),
	[BLKCAST_L_VERIFY_FLAGS] = FIXED(struct bc_link, verify_flags),
	[BLKCAST_L_VERIFY_TOTAL] = FIXED(struct bc_link, verify_total),
	[BLKCAST_L_VERIFY_LEFT] = FIXED(struct bc_link, verify_left),
	[BLKCAST_L_VERIFY_DIFFER] = FIXED(struct bc_link, verify_differ),
	[BLKCAST_L_VERIFY_BYTES] = FIXED(struct bc_link, verify_bytes),
	[BLKCAST_L_VERIFY_UNREADABLE] = FIXED(struct bc_link, verify_unreadable),
	[BLKCAST_L_VERIFY_NS] = FIXED(struct bc_link, verify_ns),
	[BLKCAST_L_RESYNCED] = FIXED(struct bc_link, resynced),
	[BLKCAST_L_RESYNC_NS] = FIXED(struct bc_link, resync_ns),
	[BLKCAST_L_UNSENT_NS] = FIXED(struct bc_link, unsent_ns),
	[BLKCAST_L_UNSENT_WRITES] = FIXED(struct bc_link, unsent_writes),
	[BLKCAST_L_UNSENT_BYTES] = FIXED(struct bc_link, unsent_bytes),
	[BLKCAST_L_UNRECEIVED_NS] = FIXED(struct bc_link, unreceived_ns),
	[BLKCAST_L_UNRECEIVED_WRITES] = FIXED(struct bc_link, unreceived_writes),
	[BLKCAST_L_UNRECEIVED_BYTES] = FIXED(struct bc_link, unreceived_bytes),
	[BLKCAST_L_UNDURABLE_NS] = FIXED(struct bc_link, undurable_ns),
	[BLKCAST_L_UNDURABLE_WRITES] = FIXED(struct bc_link, undurable_writes),
	[BLKCAST_L_UNDURABLE_BYTES] = FIXED(struct bc_link, undurable_bytes),
	[BLKCAST_L_QUEUE_NS] = FIXED(struct bc_link, queue_ns),
	[BLKCAST_L_DIRTY_BYTES] = FIXED(struct bc_link, dirty_bytes),
	[BLKCAST_L_READ_RATE] = FIXED(struct bc_link, read_rate),
};

static const struct field view_fields[__BLKCAST_V_MAX] = {
	[BLKCAST_V_NAME] = STRING(struct bc_view, name),
	[BLKCAST_V_MINOR] = FIXED(struct bc_view, minor),
	[BLKCAST_V_STATE] = FIXED(struct bc_view, state),
	[BLKCAST_V_ERROR] = FIXED(struct bc_view, error),
	[BLKCAST_V_LSN] = FIXED(struct bc_view, lsn),
	[BLKCAST_V_REIGN] = FIXED(struct bc_view, reign),
	[BLKCAST_V_AGE_NS] = FIXED(struct bc_view, age_ns),
	[BLKCAST_V_SECTORS] = FIXED(struct bc_view, sectors),
	[BLKCAST_V_DOUBT] = FIXED(struct bc_view, doubt),
	[BLKCAST_V_OPENERS] = FIXED(struct bc_view, openers),
	[BLKCAST_V_STORE_BYTES] = FIXED(struct bc_view, store_bytes),
	[BLKCAST_V_STORE_USED] = FIXED(struct bc_view, store_used),
	[BLKCAST_V_STORE] = FIXED(struct bc_view, store),
	[BLKCAST_V_FLAGS] = FIXED(struct bc_view, flags),
	[BLKCAST_V_PASSED] = FIXED(struct bc_view, passed),
};

static const struct field event_fields[__BLKCAST_A_MAX] = {
	[BLKCAST_A_NAME] = STRING(struct bc_event, name),
	[BLKCAST_A_LINK] = STRING(struct bc_event, link),
	[BLKCAST_A_EVENT] = FIXED(struct bc_event, event),
	[BLKCAST_A_ROLE] = FIXED(struct bc_event, role),
	[BLKCAST_A_ERROR] = FIXED(struct bc_event, error),
	[BLKCAST_A_TERM] = FIXED(struct bc_event, term),
	[BLKCAST_A_EVENT_SEQ] = FIXED(struct bc_event, seq),
	[BLKCAST_A_EVENT_TIME] = FIXED(struct bc_event, time_ns),
	[BLKCAST_A_ERRORS] = FIXED(struct bc_event, errors),
};

/* Store one attribute; false: not in the table, or not of its form. */
static bool field_take(const struct field *fields, size_t count, void *object,
		       const struct nlattr *attr)
{
	uint16_t type = mnl_attr_get_type(attr), len = mnl_attr_get_payload_len(attr);
	const struct field *field = type < count ? &fields[type] : NULL;
	uint8_t *to;

	if (!field || field->kind == FIELD_NONE)
		return false;
	to = (uint8_t *)object + field->offset;
	if (field->kind == FIELD_STRING) {
		if (!len || len > field->size)
			return false;
		memcpy(to, mnl_attr_get_payload(attr), len);
		to[len - 1] = 0;
		return true;
	}
	if (len != field->size)
		return false;
	memcpy(to, mnl_attr_get_payload(attr), len);
	return true;
}

static int take_group_attr(const struct nlattr *attr, void *data)
{
	const struct nlattr **table = data;

	if (mnl_attr_get_type(attr) <= CTRL_ATTR_MCAST_GRP_MAX)
		table[mnl_attr_get_type(attr)] = attr;
	return MNL_CB_OK;
}

static bool is_events_group(const struct nlattr *name, const struct nlattr *id)
{
	return name && mnl_attr_validate(name, MNL_TYPE_NUL_STRING) >= 0 &&
	       id && mnl_attr_validate(id, MNL_TYPE_U32) >= 0 &&
	       !strcmp(mnl_attr_get_str(name), BLKCAST_GENL_EVENTS);
}

static void take_groups(const struct nlattr *groups, struct bc_family *family)
{
	const struct nlattr *group;

	mnl_attr_for_each_nested(group, groups) {
		const struct nlattr *table[CTRL_ATTR_MCAST_GRP_MAX + 1] = { NULL };
		const struct nlattr *id;

		mnl_attr_parse_nested(group, take_group_attr, table);
		id = table[CTRL_ATTR_MCAST_GRP_ID];
		if (is_events_group(table[CTRL_ATTR_MCAST_GRP_NAME], id))
			family->events_group = mnl_attr_get_u32(id);
	}
}

int bc_parse_family(const struct nlmsghdr *message, void *arg)
{
	struct bc_family *family = arg;
	const struct nlattr *attr;

	mnl_attr_for_each(attr, message, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID &&
		    mnl_attr_validate(attr, MNL_TYPE_U16) >= 0)
			family->id = mnl_attr_get_u16(attr);
		else if (mnl_attr_get_type(attr) == CTRL_ATTR_MCAST_GROUPS)
			take_groups(attr, family);
	}
	return MNL_CB_OK;
}

static int take_history(struct bc_volume *volume, const struct nlattr *attr)
{
	uint16_t len = mnl_attr_get_payload_len(attr);

	if (len % sizeof(*volume->history))
		return MNL_CB_OK;
	free(volume->history);
	volume->history = malloc(len ? len : 1);
	if (!volume->history)
		return MNL_CB_ERROR;
	memcpy(volume->history, mnl_attr_get_payload(attr), len);
	volume->reigns = len / sizeof(*volume->history);
	volume->known |= BC_ATTR(BLKCAST_A_HISTORY);
	return MNL_CB_OK;
}

static bool take_members(uint8_t member[BLKCAST_MEMBERS_MAX][16], uint32_t *members,
			 const struct nlattr *attr)
{
	uint16_t len = mnl_attr_get_payload_len(attr);

	if (len % sizeof(*member) || len > BLKCAST_MEMBERS_MAX * sizeof(*member))
		return false;
	memcpy(member, mnl_attr_get_payload(attr), len);
	*members = len / sizeof(*member);
	return true;
}

/* Add a nest of BLKCAST_L_* to one of the volume's arrays. */
static int take_link(struct bc_link **links, uint32_t *count, const struct nlattr *nest)
{
	const struct nlattr *attr;
	struct bc_link *link;

	link = reallocarray(*links, *count + 1, sizeof(*link));
	if (!link)
		return MNL_CB_ERROR;
	*links = link;
	link += (*count)++;
	memset(link, 0, sizeof(*link));
	mnl_attr_for_each_nested(attr, nest) {
		if (field_take(link_fields, __BLKCAST_L_MAX, link, attr))
			link->known |= BC_ATTR(mnl_attr_get_type(attr));
	}
	return MNL_CB_OK;
}

static int take_view(struct bc_volume *volume, const struct nlattr *nest)
{
	const struct nlattr *attr;
	struct bc_view *view;

	view = reallocarray(volume->view, volume->views + 1, sizeof(*view));
	if (!view)
		return MNL_CB_ERROR;
	volume->view = view;
	view += volume->views++;
	memset(view, 0, sizeof(*view));
	mnl_attr_for_each_nested(attr, nest) {
		if (field_take(view_fields, __BLKCAST_V_MAX, view, attr))
			view->known |= BC_ATTR(mnl_attr_get_type(attr));
	}
	volume->known |= BC_ATTR(BLKCAST_A_VIEWS);
	return MNL_CB_OK;
}

static void take_missing(struct bc_volume *volume, const struct nlattr *attr)
{
	uint16_t len = mnl_attr_get_payload_len(attr);
	char *to = volume->missing[volume->missings];

	if (volume->missings == BC_MISSING_MAX || !len || len > sizeof(*volume->missing))
		return;
	memcpy(to, mnl_attr_get_payload(attr), len);
	to[len - 1] = 0;
	volume->missings++;
}

int bc_parse_volume(const struct nlmsghdr *message, void *arg)
{
	struct bc_volume *volume = arg;
	const struct nlattr *attr;
	int ret = MNL_CB_OK;

	mnl_attr_for_each(attr, message, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(attr) == BLKCAST_A_HISTORY)
			ret = take_history(volume, attr);
		else if (mnl_attr_get_type(attr) == BLKCAST_A_MEMBERS &&
			 take_members(volume->member, &volume->members, attr))
			volume->known |= BC_ATTR(BLKCAST_A_MEMBERS);
		else if (mnl_attr_get_type(attr) == BLKCAST_A_LINKS)
			ret = take_link(&volume->link, &volume->links, attr);
		else if (mnl_attr_get_type(attr) == BLKCAST_A_AWAY)
			ret = take_link(&volume->away, &volume->aways, attr);
		else if (mnl_attr_get_type(attr) == BLKCAST_A_MISSING)
			take_missing(volume, attr);
		else if (mnl_attr_get_type(attr) == BLKCAST_A_VIEWS)
			ret = take_view(volume, attr);
		else if (field_take(volume_fields, __BLKCAST_A_MAX, volume, attr))
			volume->known |= BC_ATTR(mnl_attr_get_type(attr));
		if (ret != MNL_CB_OK)
			break;
	}
	return ret;
}

/* Take the array that attribute @type is; returns its length, at most @room. */
static uint32_t take_array(const struct nlmsghdr *message, uint16_t type, void *to,
			   uint32_t room, size_t size)
{
	const struct nlattr *attr;
	uint32_t got = 0;

	mnl_attr_for_each(attr, message, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(attr) != type)
			continue;
		got = mnl_attr_get_payload_len(attr) / size;
		if (got > room)
			got = room;
		memcpy(to, mnl_attr_get_payload(attr), got * size);
	}
	return got;
}

int bc_parse_stamps(const struct nlmsghdr *message, void *arg)
{
	struct bc_stamps *stamps = arg;

	stamps->got = take_array(message, BLKCAST_A_STAMPS, stamps->stamps,
				 stamps->room, sizeof(*stamps->stamps));
	return MNL_CB_OK;
}

int bc_parse_ranges(const struct nlmsghdr *message, void *arg)
{
	struct bc_ranges *ranges = arg;

	ranges->got = take_array(message, BLKCAST_A_RANGES, ranges->range,
				 ranges->room, sizeof(*ranges->range));
	return MNL_CB_OK;
}

bool bc_parse_event(const struct nlmsghdr *message, struct bc_event *event)
{
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;

	memset(event, 0, sizeof(*event));
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*genl) ||
	    genl->cmd != BLKCAST_CMD_EVENT)
		return false;
	mnl_attr_for_each(attr, message, sizeof(*genl)) {
		bool taken = mnl_attr_get_type(attr) == BLKCAST_A_MEMBERS ?
			     take_members(event->member, &event->members, attr) :
			     field_take(event_fields, __BLKCAST_A_MAX, event, attr);

		if (taken)
			event->known |= BC_ATTR(mnl_attr_get_type(attr));
	}
	return event->event != BLKCAST_EVENT_UNSPEC;
}

void bc_volume_release(struct bc_volume *volume)
{
	free(volume->history);
	free(volume->link);
	free(volume->away);
	free(volume->view);
	memset(volume, 0, sizeof(*volume));
}

void bc_volumes_free(struct bc_volume *volumes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		bc_volume_release(&volumes[i]);
	free(volumes);
}
