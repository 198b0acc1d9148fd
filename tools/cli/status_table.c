// SPDX-License-Identifier: GPL-2.0-or-later
/* The table for people. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "expiry.h"
#include "policy.h"
#include "status.h"
#include "util.h"
#include "view.h"

static void print_lease(const struct bc_volume *live)
{
	int64_t left = policy_lease_left(live);
	char text[BC_SIZE_TEXT];

	if (left > 0)
		printf("  lease for %s more\n", bc_duration_format(left, text));
	else
		printf("  LEASE OVER for %s: reads fail; 'blkcast lease %s --for SECONDS' renews it\n",
		       bc_duration_format(-left, text), live->name);
}

/* Whom writes wait for, and what ends that. */
static void print_missing(const struct bc_volume *live)
{
	for (uint32_t i = 0; i < live->missings; i++)
		printf(" %s is in the in-sync set and not there, waits for it or for 'blkcast member %s %s out';",
		       live->missing[i], live->name, live->missing[i]);
}

/* What the policy makes of the links there are. */
static void print_policy(const struct bc_volume *live)
{
	uint32_t losses = policy_losses(live);
	char text[BC_SIZE_TEXT];

	printf("  policy %s: %u %s in sync, min-isr %u (%s); ", policy_name(live),
	       live->isr, live->isr == 1 ? "copy" : "copies", live->min_isr,
	       bc_on_loss_name(live->on_loss));
	if (losses)
		printf("survives the loss of %u", losses);
	else
		printf("survives no loss");
	printf("%s\n", policy_managed(live) ? "; managed" : "");
	if (bc_known(live, BLKCAST_A_LEASE))
		print_lease(live);
	if (!bc_known(live, BLKCAST_A_SUSPENDED_NS))
		return;
	printf("  SUSPENDED for %s:", bc_duration_format(live->suspended_ns, text));
	if (live->suspended & BLKCAST_SUSPENDED_HAND)
		printf(" by hand;");
	if (live->suspended & BLKCAST_SUSPENDED_ISR)
		printf(" fewer than %u copies;", live->min_isr);
	if (live->suspended & BLKCAST_SUSPENDED_MEMBER)
		print_missing(live);
	if (live->suspended & BLKCAST_SUSPENDED_LEASE)
		printf(" the lease is over;");
	if (!(live->suspended & BLKCAST_SUSPENDED_HAND) &&
	    live->on_loss == BLKCAST_ON_LOSS_ERROR)
		printf(" writes fail\n");
	else
		printf(" %u writes wait\n", live->parked);
}

/* What readers of a replica get. */
static void print_age(const struct bc_volume *live)
{
	char age[BC_SIZE_TEXT], limit[BC_SIZE_TEXT];
	bool known = bc_known(live, BLKCAST_A_AGE_NS);

	bc_duration_format(live->max_lag_ms * 1000000ULL, limit);
	printf("  shows what is %s old: readers %s (max-lag %s; %" PRIu64 " reads turned away)\n",
	       known ? bc_duration_format(live->age_ns, age) : "nobody knows how",
	       known && live->age_ns <= live->max_lag_ms * 1000000ULL ? "are served" :
	       "are turned away", limit, live->turned_away);
}

/* It fails, or is given up: what to do. */
static void print_device(const struct bc_volume *live)
{
	if (live->device == BLKCAST_DEVICE_FAILING)
		printf("  DEVICE FAILS: %u writes wait until blkcastd gives it up, with replicas in sync, or for 'blkcast set %s --on-io-error pass'\n",
		       live->parked, live->name);
	else if (live->role == BLKCAST_ROLE_PRIMARY)
		printf("  DETACHED: the replicas alone have the volume; 'blkcast replica %s' hands over to one\n",
		       live->name);
	else
		printf("  DETACHED: 'blkcast down %s', then 'blkcast replace', or 'blkcast up %s' if the device is well again\n",
		       live->name, live->name);
}

static void print_volume(const struct status_volume *volume)
{
	const struct bc_volume *live = volume->live;
	char size[BC_SIZE_TEXT];

	printf("%-12s ", volume->name);
	if (!live) {
		printf("down      on %s\n", volume->config->backing);
		return;
	}
	printf("%-9s %-9s term %-4u ack %-6s /dev/blkcast/%s\n",
	       bc_role_name(live->role), bc_size_format(live->sectors * 512, size),
	       live->term, bc_ack_name(live->ack), volume->name);
	if (live->role == BLKCAST_ROLE_PRIMARY)
		print_policy(live);
	if (live->device != BLKCAST_DEVICE_IN_USE)
		print_device(live);
	else if (live->super_flags & BLKCAST_SUPER_INCONSISTENT)
		printf("  INCONSISTENT: under resync, not usable until that is done\n");
	if (bc_known(live, BLKCAST_A_DEPOSED))
		printf("  DEPOSED: a primary of term %u reigns elsewhere; no more writes here: close the device, then 'blkcast replica %s'\n",
		       live->deposed, volume->name);
	if (live->role == BLKCAST_ROLE_REPLICA &&
	    !memcmp(live->heir, live->node, sizeof(live->heir)))
		printf("  holds all of the last reign and may begin the next: 'blkcast primary %s'\n",
		       volume->name);
	if (live->role == BLKCAST_ROLE_REPLICA && live->max_lag_ms)
		print_age(live);
	if (live->super_flags & BLKCAST_SUPER_DISCARD)
		printf("  gives up what it alone has for the next primary's content\n");
	if (live->active_groups)
		printf("  metadata: %" PRIu64 " writes, %u groups active: %s to compare after a crash\n",
		       live->meta_writes, live->active_groups,
		       bc_size_format((uint64_t)live->exposed << live->region_shift,
				      size));
	if (live->doubt)
		printf("  %u regions in doubt after an unclean end\n", live->doubt);
}

static void print_lag(const struct bc_link *link)
{
	char text[BC_SIZE_TEXT];

	if (bc_known(link, BLKCAST_L_LAG_NS))
		printf(" lag %-9s", bc_duration_format(link->lag_ns, text));
	else
		printf(" lag unknown  ");
	if (bc_known(link, BLKCAST_L_LAG_WRITES))
		printf(" %" PRIu64 " writes", link->lag_writes);
	if (bc_known(link, BLKCAST_L_LAG_BYTES))
		printf("  %s", bc_size_format(link->lag_bytes, text));
}

static void print_heard(const struct bc_link *link)
{
	char text[BC_SIZE_TEXT];

	printf("  heard %s ago ", bc_duration_format(link->contact_ns, text));
}

static void print_contact(const struct bc_link *link)
{
	char text[BC_SIZE_TEXT];

	if (bc_known(link, BLKCAST_L_CONTACT_NS))
		printf(" follows it, heard %s ago",
		       bc_duration_format(link->contact_ns, text));
}

/* How far the resync is, and when it ends if it goes on as it did. */
static void print_resync(const struct bc_volume *volume, const struct bc_link *link)
{
	double done = link->resynced, all = done + link->dirty;
	char text[BC_SIZE_TEXT];

	printf("  resync %.0f%%, %s left", all ? 100 * done / all : 100.0,
	       bc_size_format((uint64_t)link->dirty << volume->region_shift, text));
	if (link->resynced && link->dirty)
		printf(", about %s",
		       bc_duration_format(link->dirty * (link->resync_ns / done), text));
}

/* While it runs, and after that if there is anything to do about it. */
static void print_verify(const struct bc_link *link)
{
	uint32_t total = link->verify_total;

	if (link->verify_state == BLKCAST_VERIFY_RUNNING)
		printf("  verify %.0f%%", total ? 100.0 * (total - link->verify_left) /
				      total : 100.0);
	if (link->verify_differ && !(link->verify_flags & BLKCAST_F_REPAIR))
		printf("  %u REGIONS DIFFER", link->verify_differ);
}

static void print_sender(const struct bc_volume *volume, const struct bc_link *link)
{
	char text[BC_SIZE_TEXT];

	print_lag(link);
	if (bc_known(link, BLKCAST_L_RESYNC_NS))
		print_resync(volume, link);
	else if (link->dirty)
		printf("  dirty %u regions (%s)", link->dirty,
		       bc_size_format((uint64_t)link->dirty << volume->region_shift,
				      text));
	if (bc_known(link, BLKCAST_L_RTT_NS))
		printf("  rtt %s", bc_duration_format(link->rtt_ns, text));
	printf("  sent %s", bc_size_format(link->sent_bytes, text));
	if (link->flags & BLKCAST_F_ASYNC)
		printf("  async");
	else if (policy_caught_up(link))
		printf("  not waited for: 'blkcast member %s %s in' changes that",
		       volume->name, link->name);
	else if (bc_known(link, BLKCAST_L_BEHIND_NS))
		printf("  not in sync for %s",
		       bc_duration_format(link->behind_ns, text));
	if (bc_known(link, BLKCAST_L_VERIFY_STATE))
		print_verify(link);
}

static void print_live(const struct bc_volume *volume, const struct bc_link *link)
{
	printf("%-10s", policy_link_state(link));
	if (volume->role == BLKCAST_ROLE_PRIMARY)
		print_sender(volume, link);
	else
		print_contact(link);
	if (!(link->flags & BLKCAST_F_TLS))
		printf("  plain");
	printf("\n");
}

static void print_link(const struct status_volume *volume,
		       const struct status_link *link, void *arg)
{
	char address[BC_HOST_MAX + 16], text[BC_SIZE_TEXT];

	(void)arg;
	printf("  %-10s ", link->peer);
	if (link->live) {
		print_live(volume->live, link->live);
		return;
	}
	bc_address_format(&link->config->address, address, sizeof(address));
	if (!volume->live || volume->live->role != BLKCAST_ROLE_PRIMARY) {
		printf("%-10s %s, used while this host is primary\n", "-", address);
		return;
	}
	printf("%-10s", "down");
	if (link->away) {
		print_lag(link->away);
		print_heard(link->away);
	}
	printf(" %s", address);
	if (link->reason)
		printf(": %s", link->reason);
	if (link->down_ms >= 0)
		printf(" (for %s)", bc_duration_format(link->down_ms * 1000000ULL, text));
	if (link->retry_ms >= 0)
		printf("; next try in %.1f s", link->retry_ms / 1e3);
	printf("\n");
}

static void print_link_and_expiry(const struct status_volume *volume,
				  const struct status_link *link, void *arg)
{
	time_t ends = link->certificate_ends, now = time(NULL);
	struct tm tm;
	char text[32];

	print_link(volume, link, arg);
	if (!ends || ends - now >= BC_EXPIRY_SOON_S)
		return;
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", gmtime_r(&ends, &tm));
	printf("  warning: the certificate of %s %s on %s: renew it there, then 'blkcast reconnect %s' on the primary\n",
	       link->peer, ends < now ? "has expired" : "expires", text, volume->name);
}

static void print_complaint(struct json_object *daemon)
{
	struct json_object *text;

	if (json_object_object_get_ex(daemon, "certificate_complaint", &text))
		printf("warning: the certificate %s\n", json_object_get_string(text));
}

void status_print_table(const struct status_volume *volumes, size_t count,
			struct json_object *daemon)
{
	if (!count)
		printf("No volumes here; 'blkcast create' makes one.\n");
	for (size_t i = 0; i < count; i++) {
		print_volume(&volumes[i]);
		status_each_link(&volumes[i], daemon, print_link_and_expiry, NULL);
		status_print_reads(&volumes[i]);
		if (!volumes[i].live)
			continue;
		status_print_read_fails(volumes[i].live);
		view_list_print(volumes[i].live, "  ");
	}
	print_complaint(daemon);
}
