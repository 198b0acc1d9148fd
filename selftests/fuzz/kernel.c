// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target: what the kernel answers over netlink, decoded by kernel_parse.c.
 *
 * The first byte says as what the rest is taken.  Not a byte behind a message and
 * its padding is read (its memory ends there), and names are texts, counts what there
 * is memory for, whatever the attributes say.
 */
/* links: tools/lib/kernel_parse.c tools/lib/kernel_names.c tools/lib/util.c */
/* libs: libmnl uuid */
/* flags: -fsanitize=fuzzer -lm */
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>

#include "fuzz.h"
#include "kernel_parse.h"

#define ROOM 16	/* for stamps and ranges */

static void check_text(const char *text)
{
	MUST(memchr(text, 0, BLKCAST_NAME_MAX));
}

static void check_links(const struct bc_link *links, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		check_text(links[i].name);
		MUST(bc_link_state_name(links[i].state));
		MUST(bc_verify_state_name(links[i].verify_state));
	}
}

static void take_volume(const struct nlmsghdr *message)
{
	struct bc_volume volume = { 0 };
	uint32_t sum = 0;

	bc_parse_volume(message, &volume);
	check_text(volume.name);
	MUST(bc_role_name(volume.role) && bc_ack_name(volume.ack));
	MUST(bc_on_loss_name(volume.on_loss) && volume.members <= BLKCAST_MEMBERS_MAX);
	check_links(volume.link, volume.links);
	check_links(volume.away, volume.aways);
	for (uint32_t i = 0; i < volume.views; i++) {
		check_text(volume.view[i].name);
		MUST(bc_view_state_name(volume.view[i].state));
		MUST(bc_store_name(volume.view[i].store));
	}
	for (uint32_t i = 0; i < volume.reigns; i++)
		sum += volume.history[i].term;
	MUST(bc_known(&volume, BLKCAST_A_HISTORY) || (!volume.reigns && !sum));
	bc_volume_release(&volume);
}

static void take_event(const struct nlmsghdr *message)
{
	struct bc_event event;

	if (!bc_parse_event(message, &event))
		return;
	check_text(event.name);
	check_text(event.link);
	MUST(bc_event_name(event.event) && event.members <= BLKCAST_MEMBERS_MAX);
}

static void take_stamps(const struct nlmsghdr *message)
{
	uint64_t *stamps = malloc(ROOM * sizeof(*stamps));
	struct bc_stamps take = { .stamps = stamps, .room = ROOM };

	bc_parse_stamps(message, &take);
	MUST(take.got <= ROOM);
	free(stamps);
}

static void take_ranges(const struct nlmsghdr *message)
{
	struct bc_range *ranges = malloc(ROOM * sizeof(*ranges));
	struct bc_ranges take = { .range = ranges, .room = ROOM };

	bc_parse_ranges(message, &take);
	MUST(take.got <= ROOM);
	free(ranges);
}

static void take_family(const struct nlmsghdr *message)
{
	struct bc_family family = { 0 };

	bc_parse_family(message, &family);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const takes[])(const struct nlmsghdr *message) = {
		take_volume, take_event, take_stamps, take_ranges, take_family
	};
	struct nlmsghdr *message;

	if (!size)
		return 0;
	message = calloc(1, NLMSG_HDRLEN + NLMSG_ALIGN(size - 1));
	MUST(message);
	*message = (struct nlmsghdr){ .nlmsg_len = NLMSG_HDRLEN + size - 1 };
	memcpy(mnl_nlmsg_get_payload(message), data + 1, size - 1);
	takes[data[0] % BC_ARRAY_SIZE(takes)](message);
	free(message);
	return 0;
}

/* --- seeds: every attribute there is ------------------------------------------------- */

static char buffer[8192] __attribute__((aligned(NLMSG_ALIGNTO)));

static struct nlmsghdr *message_new(uint8_t cmd)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *genl = mnl_nlmsg_put_extra_header(message, sizeof(*genl));

	genl->cmd = cmd;
	return message;
}

static void put(const struct nlmsghdr *message, const char *name, uint8_t as)
{
	char *start = (char *)mnl_nlmsg_get_payload(message) - 1;

	*start = as;	/* over the header, which is not needed any more */
	fuzz_put_seed(name, start, 1 + mnl_nlmsg_get_payload_len(message));
}

/* Of each length that an attribute may have, all attributes. */
static void put_all(struct nlmsghdr *message, int max, size_t len)
{
	uint8_t value[48] = "1234567890123456789";

	for (int type = 1; type < max; type++)
		mnl_attr_put(message, type, len, value);
}

/* The id of the group before its name, or behind it. */
static void put_family(const char *name, bool behind)
{
	struct nlmsghdr *message = message_new(CTRL_CMD_NEWFAMILY);
	struct nlattr *groups, *group;

	groups = mnl_attr_nest_start(message, CTRL_ATTR_MCAST_GROUPS);
	group = mnl_attr_nest_start(message, 1);
	if (!behind)
		mnl_attr_put_u32(message, CTRL_ATTR_MCAST_GRP_ID, 7);
	mnl_attr_put_strz(message, CTRL_ATTR_MCAST_GRP_NAME, BLKCAST_GENL_EVENTS);
	if (behind)
		mnl_attr_put_u32(message, CTRL_ATTR_MCAST_GRP_ID, 7);
	mnl_attr_nest_end(message, group);
	mnl_attr_nest_end(message, groups);
	if (!behind)
		mnl_attr_put_u16(message, CTRL_ATTR_FAMILY_ID, 30);
	put(message, name, 4);
}

static void make_seeds(void)
{
	static const size_t lens[] = { 1, 4, 8, 16, 24 };
	static const uint16_t nests[] = { BLKCAST_A_LINKS, BLKCAST_A_AWAY, BLKCAST_A_VIEWS };
	struct nlmsghdr *message;
	struct nlattr *nest;
	char name[32];

	for (size_t i = 0; i < BC_ARRAY_SIZE(lens); i++) {
		for (uint8_t as = 0; as < 4; as++) {
			message = message_new(as == 1 ? BLKCAST_CMD_EVENT : BLKCAST_CMD_GET);
			put_all(message, __BLKCAST_A_MAX, lens[i]);
			snprintf(name, sizeof(name), "flat-%u-%zu", as, lens[i]);
			put(message, name, as);
		}
		message = message_new(BLKCAST_CMD_GET);
		for (size_t j = 0; j < BC_ARRAY_SIZE(nests); j++) {
			nest = mnl_attr_nest_start(message, nests[j]);
			put_all(message, __BLKCAST_L_MAX, lens[i]);
			mnl_attr_nest_end(message, nest);
		}
		snprintf(name, sizeof(name), "nests-%zu", lens[i]);
		put(message, name, 0);
	}
	put_family("family-id", false);
	put_family("family-group", true);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_make_seeds(make_seeds);
	return 0;
}
