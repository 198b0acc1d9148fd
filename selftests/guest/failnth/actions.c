// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The actions, one after the other; what each does: see failnth.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/tls.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "actions.h"
#include "sockets.h"

#define STORE_BYTES (8 << 20)	/* of a view */
#define PATIENCE 300		/* seconds, in a slow guest */

struct bc_kernel *kernel;

static uint32_t disk(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		stop("%s: %s", path, strerror(errno));
	return BLKCAST_DEV(major(st.st_rdev), minor(st.st_rdev));
}

/* ---- a volume ---- */

static int run_up(char **args, struct bc_error *error)
{
	struct bc_up up = { .name = args[0], .backing = disk(args[1]), .meta = disk(args[1]),
			    .meta_end = args[2] ? strtoull(args[2], NULL, 10) : 0 };
	uint32_t minor;

	return bc_kernel_up(kernel, &up, &minor, error);
}

static int run_down(char **args, struct bc_error *error)
{
	return bc_kernel_down(kernel, args[0], error);
}

/* The term and the size of a volume. */
static int look(const char *name, uint32_t *term, uint64_t *sectors, struct bc_error *error)
{
	struct bc_volume volume;
	int ret = bc_kernel_get(kernel, name, &volume, error);

	if (ret)
		return ret;
	*term = volume.term;
	*sectors = volume.sectors;
	bc_volume_release(&volume);
	return 0;
}

static int promote(const char *name, uint32_t flags, struct bc_error *error)
{
	uint64_t sectors;
	uint32_t term;
	int ret = look(name, &term, &sectors, error);

	if (ret)
		return ret;
	term++;
	return bc_kernel_primary(kernel, name, term, ((uint64_t)term << 32) + random(), 0,
				 flags, error);
}

static int run_primary(char **args, struct bc_error *error)
{
	return promote(args[0], 0, error);
}

static int run_force(char **args, struct bc_error *error)
{
	int ret = promote(args[0], BLKCAST_F_FORCE, error);

	return ret == -EALREADY ? 0 : ret;
}

static int run_replica(char **args, struct bc_error *error)
{
	return bc_kernel_replica(kernel, args[0], args[1], 0, error);
}

static int run_depose(char **args, struct bc_error *error)
{
	uint64_t sectors;
	uint32_t term;
	int ret = look(args[0], &term, &sectors, error);

	return ret ? ret : bc_kernel_depose(kernel, args[0], term + 1, error);
}

static int run_get(char **args, struct bc_error *error)
{
	uint64_t sectors;
	uint32_t term;

	return look(args[0], &term, &sectors, error);
}

static int run_set(char **args, struct bc_error *error)
{
	struct bc_set set = {
		.ack = -1, .on_loss = -1, .max_lag_ms = -1, .membership = -1, .on_io_error = -1,
	};
	uint64_t number = strtoull(args[2], NULL, 10);

	if (!strcmp(args[1], "ack"))
		set.ack = number;
	else if (!strcmp(args[1], "min-isr"))
		set.min_isr = number;
	else if (!strcmp(args[1], "on-loss"))
		set.on_loss = number;
	else if (!strcmp(args[1], "max-lag"))
		set.max_lag_ms = number;
	else if (!strcmp(args[1], "rate"))
		set.resync_rate = number;
	else if (!strcmp(args[1], "active"))
		set.active_max = number;
	else if (!strcmp(args[1], "membership"))
		set.membership = number;
	else if (!strcmp(args[1], "on-io-error"))
		set.on_io_error = number;
	return bc_kernel_set(kernel, args[0], &set, error);
}

static int run_suspend(char **args, struct bc_error *error)
{
	return bc_kernel_suspend(kernel, args[0], error);
}

static int run_resume(char **args, struct bc_error *error)
{
	return bc_kernel_resume(kernel, args[0], error);
}

static int run_detach(char **args, struct bc_error *error)
{
	return bc_kernel_detach(kernel, args[0], error);
}

static int run_grow(char **args, struct bc_error *error)
{
	uint64_t sectors;
	uint32_t term;
	int ret = look(args[0], &term, &sectors, error);

	return ret ? ret : bc_kernel_grow(kernel, args[0], sectors + atoi(args[1]), error);
}

/* The same moment every time: a picture of it is the same, too. */
static int run_lease(char **args, struct bc_error *error)
{
	static time_t begin;
	struct timespec now;
	int seconds = atoi(args[1]);

	clock_gettime(CLOCK_BOOTTIME, &now);
	if (!begin)
		begin = now.tv_sec;
	return bc_kernel_lease(kernel, args[0],
			       seconds ? (uint64_t)(begin + seconds) * 1000000000 : 0, error);
}

static int run_stamps(char **args, struct bc_error *error)
{
	uint64_t stamps[64];

	return bc_kernel_stamps(kernel, args[0], NULL, 0, 64, stamps, error);
}

/* ---- waiting ---- */

/* A little while; false: it has been too long. */
static bool wait_more(int *times)
{
	usleep(10000);
	return ++*times < PATIENCE * 100;
}

/* A link; one without a name: it is not there. */
static int link_get(const char *name, const char *link, struct bc_link *found,
		    struct bc_error *error)
{
	struct bc_volume volume;
	int ret = bc_kernel_get(kernel, name, &volume, error);
	uint32_t i;

	if (ret)
		return ret;
	memset(found, 0, sizeof(*found));
	for (i = 0; i < volume.links; i++)
		if (!strcmp(volume.link[i].name, link))
			*found = volume.link[i];
	bc_volume_release(&volume);
	return 0;
}

/* ---- links ---- */

/* A TLS of its own: both ends have the same key, each its direction. */
static int tls_put(int fd, struct bc_error *error)
{
	struct tls12_crypto_info_chacha20_poly1305 crypto = {
		.info = { TLS_1_3_VERSION, TLS_CIPHER_CHACHA20_POLY1305 },
	};

	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) ||
	    setsockopt(fd, SOL_TLS, TLS_TX, &crypto, sizeof(crypto)) ||
	    setsockopt(fd, SOL_TLS, TLS_RX, &crypto, sizeof(crypto)))
		return bc_fail_errno(error, -errno, "TLS");
	return 0;
}

static int ends_get(int ends[2], const char *how, struct bc_error *error)
{
	int ret = socket_ends(ends, error);

	if (ret || !how)
		return ret;
	ret = tls_put(ends[0], error);
	return ret ? ret : tls_put(ends[1], error);
}

static void ends_close(const int ends[2])
{
	close(ends[0]);
	close(ends[1]);
}

static int replica_link(const char *name, const struct bc_volume *primary, int end,
			struct bc_error *error)
{
	struct bc_link_add add = {
		.name = name, .link = primary->name, .socket = end, .flags = BLKCAST_F_READS,
		.term = primary->term, .history = primary->history, .reigns = primary->reigns,
	};

	return bc_kernel_link_add(kernel, &add, error);
}

static int primary_link(const struct bc_volume *primary, const struct bc_volume *replica,
			int end, struct bc_error *error)
{
	struct bc_link_add add = {
		.name = primary->name, .link = replica->name, .node = replica->node,
		.socket = end, .flags = BLKCAST_F_READS, .term = primary->term,
	};

	return bc_kernel_link_add(kernel, &add, error);
}

static int run_part(char **args, struct bc_error *error)
{
	int ret, other;

	ret = bc_kernel_link_del(kernel, args[0], args[1], error);
	other = bc_kernel_link_del(kernel, args[1], args[0], error);
	if (ret == -ENOENT)
		ret = 0;
	return ret ? ret : other == -ENOENT ? 0 : other;
}

/* Where only one end has come about, it goes. */
static int links_begin(char **args, const int ends[2], struct bc_error *error)
{
	struct bc_volume primary, replica;
	struct bc_error ignored;
	int ret = bc_kernel_get(kernel, args[0], &primary, error);

	if (ret)
		return ret;
	ret = bc_kernel_get(kernel, args[1], &replica, error);
	if (!ret) {
		ret = replica_link(args[1], &primary, ends[0], error);
		if (!ret)
			ret = primary_link(&primary, &replica, ends[1], error);
		if (ret)
			run_part(args, &ignored);
		bc_volume_release(&replica);
	}
	bc_volume_release(&primary);
	return ret;
}

static int run_pair(char **args, struct bc_error *error)
{
	int ends[2], ret = ends_get(ends, args[2], error);

	if (ret)
		return ret;
	ret = links_begin(args, ends, error);
	ends_close(ends);
	return ret;
}

static int open_ends[2];

static int run_follow(char **args, struct bc_error *error)
{
	struct bc_volume primary;
	int ret = bc_kernel_get(kernel, args[1], &primary, error);

	if (ret)
		return ret;
	if (!open_ends[0])
		ret = socket_ends(open_ends, error);
	if (!ret)
		ret = replica_link(args[0], &primary, open_ends[0], error);
	bc_volume_release(&primary);
	return ret;
}

static int run_unfollow(char **args, struct bc_error *error)
{
	int ret = bc_kernel_link_del(kernel, args[0], args[1], error);

	ends_close(open_ends);
	open_ends[0] = 0;
	return ret;
}

/* It has to be caught up for that. */
static int run_member(char **args, struct bc_error *error)
{
	int ret, times = 0;

	do
		ret = bc_kernel_member(kernel, args[0], args[1], atoi(args[2]), error);
	while (ret == -EAGAIN && wait_more(&times));
	return ret;
}

/* ---- in sync ---- */

static bool link_in_sync(const struct bc_link *link)
{
	return link->state == BLKCAST_LINK_IN_SYNC && !link->lag_writes;
}

static int run_synced(char **args, struct bc_error *error)
{
	struct bc_link link;
	int ret, times = 0;

	do {
		ret = link_get(args[0], args[1], &link, error);
		if (ret || link_in_sync(&link))
			return ret;
	} while (wait_more(&times));
	return bc_fail(error, -ETIMEDOUT, "%s: link %s does not come in sync", args[0], args[1]);
}

static int run_parted(char **args, struct bc_error *error)
{
	struct bc_link link;
	int ret, times = 0;

	do {
		ret = link_get(args[0], args[1], &link, error);
		if (ret || !link.name[0])
			return ret;
	} while (wait_more(&times));
	return bc_fail(error, -ETIMEDOUT, "%s: link %s stays", args[0], args[1]);
}

/* The one end may know already that the link is over, and the other not yet. */
static int run_mend(char **args, struct bc_error *error)
{
	struct bc_error why = { .text = "" };
	struct bc_link link;
	int ret, times = 0;

	do {
		ret = link_get(args[0], args[1], &link, error);
		if (ret || link_in_sync(&link))
			return ret;
		if (!link.name[0]) {
			run_part(args, &why);
			run_pair(args, &why);
		}
	} while (wait_more(&times));
	return bc_fail(error, -ETIMEDOUT, "%s: link %s does not come in sync; last: %s", args[0],
		       args[1], why.text);
}

/* ---- verify ---- */

static int run_verify(char **args, struct bc_error *error)
{
	return bc_kernel_verify(kernel, args[0], args[1], 0, error);
}

/* No verify runs any more; what it has compared is equal. */
static int run_verified(char **args, struct bc_error *error)
{
	struct bc_link link;
	int ret, times = 0;
	bool known;

	do {
		ret = link_get(args[0], args[1], &link, error);
		if (ret)
			return ret;
		known = bc_known(&link, BLKCAST_L_VERIFY_STATE);
		if (known && link.verify_differ)
			stop("a verify takes equal copies for different ones");
	} while (known && link.verify_state == BLKCAST_VERIFY_RUNNING && wait_more(&times));
	return 0;
}

static int run_compare(char **args, struct bc_error *error)
{
	int ret = run_verify(args, error);

	return ret ? ret : run_verified(args, error);
}

static int run_differing(char **args, struct bc_error *error)
{
	struct bc_range *ranges;
	size_t count;
	int ret = bc_kernel_differing(kernel, args[0], args[1], &ranges, &count, error);

	if (!ret)
		free(ranges);
	return ret;
}

/* ---- views ---- */

static int run_view(char **args, struct bc_error *error)
{
	struct bc_view_create create = { .name = args[0], .view = args[1],
					 .store_bytes = STORE_BYTES, .store_fd = -1,
					 .flags = BLKCAST_F_REPLACE };
	int ret;

	if (strcmp(args[2], "m"))
		create.store_dev = disk(args[2]);
	ret = bc_kernel_view_create(kernel, &create, NULL, error);
	if (!ret)
		content_freeze();
	return ret;
}

static int run_unview(char **args, struct bc_error *error)
{
	return bc_kernel_view_remove(kernel, args[0], args[1], error);
}

static int run_pass(char **args, struct bc_error *error)
{
	return bc_kernel_view_pass(kernel, args[0], args[1], 0, error);
}

/* It shows what it has to; a broken one may show nothing. */
static int run_seen(char **args, struct bc_error *error)
{
	struct bc_volume volume;
	int ret = bc_kernel_get(kernel, args[0], &volume, error);
	const struct bc_view *view;

	if (ret)
		return ret;
	view = bc_volume_view(&volume, args[1]);
	ret = view ? content_frozen(view->minor, error) : -ENOENT;
	if (view && view->state)
		ret = 0;
	bc_volume_release(&volume);
	return ret;
}

/* ---- I/O, and what else has to be done in between ---- */

static int run_sh(char **args, struct bc_error *error)
{
	return system(args[0]) ? bc_fail(error, -EIO, "%s", args[0]) : 0;
}

static int run_write(char **args, struct bc_error *error)
{
	return content_write(args[0], error);
}

static int run_holds(char **args, struct bc_error *error)
{
	return content_holds(args[0], error);
}

/* ---- the module ---- */

static int run_load(char **args, struct bc_error *error)
{
	int fd = open(args[0], O_RDONLY | O_CLOEXEC), ret = 0;

	if (syscall(SYS_finit_module, fd, "", 0))
		ret = bc_fail_errno(error, -errno, "%s", args[0]);
	close(fd);
	return ret;
}

static int run_unload(char **args, struct bc_error *error)
{
	(void)args;
	if (syscall(SYS_delete_module, "blkcast", O_NONBLOCK))
		return bc_fail_errno(error, -errno, "unloading");
	return 0;
}

bool action_loads(const struct action *action)
{
	return action->run == run_load;
}

/* ---- their names ---- */

#define ACTION(name) { #name, run_##name, { NULL } }

static const struct action actions[] = {
	ACTION(up), ACTION(down), ACTION(primary), ACTION(force), ACTION(replica),
	ACTION(depose), ACTION(get), ACTION(set), ACTION(suspend), ACTION(resume),
	ACTION(detach), ACTION(grow), ACTION(lease), ACTION(stamps),
	ACTION(pair), ACTION(part), ACTION(follow), ACTION(unfollow), ACTION(member),
	ACTION(synced), ACTION(parted), ACTION(mend),
	ACTION(verify), ACTION(verified), ACTION(compare), ACTION(differing),
	ACTION(view), ACTION(unview), ACTION(pass), ACTION(seen),
	ACTION(write), ACTION(holds), ACTION(sh), ACTION(load), ACTION(unload),
};

bool action_parse(struct action *action, char *text)
{
	char *word = strtok(text, ":");
	size_t i;

	for (i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
		if (strcmp(actions[i].name, word))
			continue;
		*action = actions[i];
		for (i = 0; i < 3; i++)
			action->args[i] = strtok(NULL, ":");
		return true;
	}
	return false;
}

/* ---- what a volume looks like ---- */

__attribute__((format(printf, 2, 3)))
static void add(char text[PICTURE], const char *fmt, ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, fmt);
	vsnprintf(text + used, PICTURE - used, fmt, args);
	va_end(args);
}

static void add_id(char text[PICTURE], const char *what, const uint8_t id[16])
{
	int i;

	add(text, " %s ", what);
	for (i = 0; i < 16; i++)
		add(text, "%02x", id[i]);
}

void picture(char text[PICTURE], const char *name)
{
	struct bc_error error;
	struct bc_volume v;
	uint32_t i;

	strcpy(text, "not up");
	if (!kernel || bc_kernel_get(kernel, name, &v, &error))
		return;
	strcpy(text, "");
	add(text, "role %u term %u deposed %u reigns %u reign %" PRIx64 " flags %x",
	    v.role, v.term, v.deposed, v.reigns, v.reign, v.super_flags);
	add(text, " sectors %" PRIu64 " regions %u device %u", v.sectors, v.regions, v.device);
	add(text, " ack %u min-isr %u on-loss %u on-io-error %u max-lag %u rate %" PRIu64
	    " active %" PRIu64, v.ack, v.min_isr, v.on_loss, v.on_io_error, v.max_lag_ms,
	    v.resync_rate, v.active_max);
	add(text, " suspended %u lease %" PRIu64, v.suspended, v.lease);
	add_id(text, "heir", v.heir);
	for (i = 0; i < v.members; i++)
		add_id(text, "member", v.member[i]);
	for (i = 0; i < v.links; i++)
		add(text, " link %s %x", v.link[i].name, v.link[i].flags);
	for (i = 0; i < v.views; i++)
		add(text, " view %s %u", v.view[i].name, v.view[i].state);
	bc_volume_release(&v);
}
