// SPDX-License-Identifier: GPL-2.0-or-later
/* What the module sends: absent stays unknown, malformed stays unknown. */
/* links: tools/lib/kernel_parse.c tools/lib/kernel_names.c */
/* libs: libmnl */
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"
#include "kernel_parse.h"
#include "util.h"

static char buffer[8192];

static struct nlmsghdr *message_new(uint8_t cmd)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *genl = mnl_nlmsg_put_extra_header(message, sizeof(*genl));

	genl->cmd = cmd;
	return message;
}

static void link_put(struct nlmsghdr *message, uint16_t list, const char *name,
		     bool lag_known)
{
	struct nlattr *nest = mnl_attr_nest_start(message, list);

	mnl_attr_put_strz(message, BLKCAST_L_NAME, name);
	mnl_attr_put_u8(message, BLKCAST_L_STATE, BLKCAST_LINK_RESYNC);
	if (lag_known)
		mnl_attr_put_u64(message, BLKCAST_L_LAG_NS, 0);
	mnl_attr_nest_end(message, nest);
}

static void view_put(struct nlmsghdr *message, const char *name, uint32_t flags)
{
	struct nlattr *nest = mnl_attr_nest_start(message, BLKCAST_A_VIEWS);

	mnl_attr_put_strz(message, BLKCAST_V_NAME, name);
	mnl_attr_put_u8(message, BLKCAST_V_STATE, BLKCAST_VIEW_FULL);
	mnl_attr_put_u32(message, BLKCAST_V_FLAGS, flags);
	mnl_attr_put_u64(message, BLKCAST_V_LSN, blkcast_lsn(5, 7));
	mnl_attr_nest_end(message, nest);
}

static void views(void)
{
	struct nlmsghdr *message = message_new(BLKCAST_CMD_GET);
	struct bc_volume volume = { 0 };

	view_put(message, "old", BLKCAST_F_REPLACE);
	view_put(message, "one", 0);
	EXPECT(bc_parse_volume(message, &volume) == MNL_CB_OK);
	EXPECT(volume.views == 2 && !strcmp(volume.view[1].name, "one"));
	EXPECT(volume.view[1].lsn == blkcast_lsn(5, 7));
	EXPECT(bc_known(&volume.view[1], BLKCAST_V_LSN));
	EXPECT(!bc_known(&volume.view[1], BLKCAST_V_MINOR));
	EXPECT(!strcmp(bc_view_state_name(volume.view[1].state), "its store is full"));
	bc_volume_release(&volume);
}

static void volume_whole(void)
{
	struct nlmsghdr *message = message_new(BLKCAST_CMD_GET);
	struct blkcast_reign history[3] = { { .term = 1 }, { .term = 2 }, { .term = 5 } };
	struct bc_volume volume = { 0 };

	mnl_attr_put_strz(message, BLKCAST_A_NAME, "data");
	mnl_attr_put_u8(message, BLKCAST_A_ROLE, BLKCAST_ROLE_PRIMARY);
	mnl_attr_put_u64(message, BLKCAST_A_LSN, blkcast_lsn(5, 9));
	mnl_attr_put(message, BLKCAST_A_HISTORY, sizeof(history), history);
	link_put(message, BLKCAST_A_LINKS, "g2", true);
	link_put(message, BLKCAST_A_AWAY, "g4", true);
	link_put(message, BLKCAST_A_LINKS, "g3", false);
	EXPECT(bc_parse_volume(message, &volume) == MNL_CB_OK);
	EXPECT(!strcmp(volume.name, "data") && volume.lsn == blkcast_lsn(5, 9));
	EXPECT(bc_known(&volume, BLKCAST_A_LSN) && !bc_known(&volume, BLKCAST_A_TERM));
	EXPECT(volume.reigns == 3 && volume.history[2].term == 5);
	EXPECT(volume.links == 2 && !strcmp(volume.link[1].name, "g3"));
	EXPECT(bc_known(&volume.link[0], BLKCAST_L_LAG_NS) && !volume.link[0].lag_ns);
	EXPECT(!bc_known(&volume.link[1], BLKCAST_L_LAG_NS));
	EXPECT(volume.aways == 1 && !strcmp(volume.away[0].name, "g4"));
	EXPECT(!strcmp(bc_link_state_name(volume.link[1].state), "resync"));
	bc_volume_release(&volume);
}

static void volume_malformed(void)
{
	struct nlmsghdr *message = message_new(BLKCAST_CMD_GET);
	struct bc_volume volume = { 0 };
	char long_name[100];

	memset(long_name, 'x', sizeof(long_name));
	mnl_attr_put(message, BLKCAST_A_NAME, sizeof(long_name), long_name);
	mnl_attr_put(message, BLKCAST_A_TERM, 3, "abc");
	mnl_attr_put(message, BLKCAST_A_UUID, 15, long_name);
	mnl_attr_put(message, BLKCAST_A_HISTORY, 25, long_name);
	mnl_attr_put(message, 1000, 4, "none");
	mnl_attr_put(message, BLKCAST_A_LINKS, 0, NULL);
	EXPECT(bc_parse_volume(message, &volume) == MNL_CB_OK);
	EXPECT(!volume.known);
	EXPECT(!volume.reigns && volume.links == 1 && !volume.link[0].known);
	bc_volume_release(&volume);
}

static void stamps_bounded(void)
{
	struct nlmsghdr *message = message_new(BLKCAST_CMD_STAMPS);
	uint64_t sent[4] = { 1, 2, 3, 4 }, got[3] = { 0 };
	struct bc_stamps stamps = { got, 2, 0 };

	mnl_attr_put(message, BLKCAST_A_STAMPS, sizeof(sent), sent);
	EXPECT(bc_parse_stamps(message, &stamps) == MNL_CB_OK);
	EXPECT(stamps.got == 2 && got[0] == 1 && got[1] == 2 && !got[2]);
}

static void ranges_bounded(void)
{
	struct nlmsghdr *message = message_new(BLKCAST_CMD_DIFFERING);
	uint32_t sent[7] = { 1, 2, 5, 1, 9, 4, 77 };	/* and a half */
	struct bc_range got[4] = { 0 };
	struct bc_ranges ranges = { got, 4, 0 };

	mnl_attr_put(message, BLKCAST_A_RANGES, sizeof(sent), sent);
	EXPECT(bc_parse_ranges(message, &ranges) == MNL_CB_OK);
	EXPECT(ranges.got == 3 && got[2].first == 9 && got[2].count == 4);
	EXPECT(!got[3].first);
	ranges.room = 1;
	EXPECT(bc_parse_ranges(message, &ranges) == MNL_CB_OK && ranges.got == 1);
	ranges.got = 9;
	EXPECT(bc_parse_ranges(message_new(BLKCAST_CMD_DIFFERING), &ranges) == MNL_CB_OK);
	EXPECT(!ranges.got);
}

static void events(void)
{
	struct nlmsghdr *message = message_new(BLKCAST_CMD_EVENT);
	struct bc_event event;

	mnl_attr_put_strz(message, BLKCAST_A_NAME, "data");
	mnl_attr_put_strz(message, BLKCAST_A_LINK, "g2");
	mnl_attr_put_u8(message, BLKCAST_A_EVENT, BLKCAST_EVENT_LINK_DOWN);
	mnl_attr_put_u32(message, BLKCAST_A_ERROR, 104);
	EXPECT(bc_parse_event(message, &event));
	EXPECT(!strcmp(event.name, "data") && !strcmp(event.link, "g2"));
	EXPECT(event.event == BLKCAST_EVENT_LINK_DOWN && event.error == 104);
	EXPECT(!bc_parse_event(message_new(BLKCAST_CMD_GET), &event));
	EXPECT(!bc_parse_event(message_new(BLKCAST_CMD_EVENT), &event));
}

/* With something behind it that is no part of it (libmnl is built without ASan). */
static void take_family(const struct nlmsghdr *message, struct bc_family *family)
{
	struct nlmsghdr *copy = malloc(message->nlmsg_len + sizeof(uint64_t));

	memset(family, 0, sizeof(*family));
	memset((char *)copy + message->nlmsg_len, 0xee, sizeof(uint64_t));
	memcpy(copy, message, message->nlmsg_len);
	EXPECT(bc_parse_family(copy, family) == MNL_CB_OK);
	free(copy);
}

/* A family with one group, whose id has @len bytes. */
static void take_group(const char *name, uint16_t len, struct bc_family *family)
{
	struct nlmsghdr *message = message_new(CTRL_CMD_NEWFAMILY);
	struct nlattr *groups = mnl_attr_nest_start(message, CTRL_ATTR_MCAST_GROUPS);
	struct nlattr *group = mnl_attr_nest_start(message, 1);
	uint32_t id = 7;

	mnl_attr_put_strz(message, CTRL_ATTR_MCAST_GRP_NAME, name);
	mnl_attr_put(message, CTRL_ATTR_MCAST_GRP_ID, len, &id);
	mnl_attr_nest_end(message, group);
	mnl_attr_nest_end(message, groups);
	take_family(message, family);
}

static void family(void)
{
	struct nlmsghdr *message = message_new(CTRL_CMD_NEWFAMILY);
	struct bc_family family;

	mnl_attr_put_u16(message, CTRL_ATTR_FAMILY_ID, 30);
	take_family(message, &family);
	EXPECT(family.id == 30 && !family.events_group);
	take_group(BLKCAST_GENL_EVENTS, sizeof(uint32_t), &family);
	EXPECT(!family.id && family.events_group == 7);
	take_group("others", sizeof(uint32_t), &family);
	EXPECT(!family.events_group);
	take_group(BLKCAST_GENL_EVENTS, 0, &family);
	EXPECT(!family.events_group);
	message = message_new(CTRL_CMD_NEWFAMILY);
	mnl_attr_put(message, CTRL_ATTR_FAMILY_ID, 0, NULL);
	take_family(message, &family);
	EXPECT(!family.id);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "a volume with its links and history", volume_whole },
		{ "a volume with its views", views },
		{ "attributes of a wrong form are left unknown", volume_malformed },
		{ "more stamps than asked for are cut", stamps_bounded },
		{ "more ranges than there is room for are cut", ranges_bounded },
		{ "events", events },
		{ "the family and its group, of a right form only", family },
	};

	run_tests(tests, BC_ARRAY_SIZE(tests));
}
