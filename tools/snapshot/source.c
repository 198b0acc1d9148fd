// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a snapshot is taken of (see source.h).
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../cli/cli.h"
#include "../lib/util.h"
#include "../lib/viewstore.h"
#include "head.h"
#include "source.h"
#include "writer.h"

static int source_ask(void *arg, uint32_t first, uint32_t count, uint64_t *stamps,
		      struct bc_error *error)
{
	struct source *source = arg;

	return bc_kernel_stamps(source->kernel, source->name,
				source->view[0] ? source->view : NULL, first, count, stamps,
				error);
}

static int source_open_path(struct source *source, struct bc_error *error)
{
	char where[256];
	int err = bc_blockdev_open(&source->blockdev, source->name,
				   BC_BLOCKDEV_DIRECT | BC_BLOCKDEV_FILE, error);

	if (err)
		return err;
	source->mounted = bc_blockdev_mounted(source->name, where, sizeof(where));
	return head_refuse(source->blockdev.fd, source->name, error);
}

static int source_open_device(struct source *source, uint32_t minor,
			      struct bc_error *error)
{
	char path[64];
	int err;

	snprintf(path, sizeof(path), "/dev/blkcast%u", minor);
	err = bc_blockdev_open(&source->blockdev, path, BC_BLOCKDEV_DIRECT, error);
	if (err)
		return err;
	if (source->blockdev.bytes != source->begin.sectors * 512)
		return bc_fail(error, -EIO, "volume %s has %llu bytes, its device %s has %llu",
			       source->name, (unsigned long long)source->begin.sectors * 512,
			       path, (unsigned long long)source->blockdev.bytes);
	return 0;
}

static bool same_history(const struct bc_volume *a, const struct bc_volume *b)
{
	return !memcmp(a->uuid, b->uuid, sizeof(a->uuid)) && a->reigns == b->reigns &&
	       (!a->reigns || !memcmp(a->history, b->history, a->reigns * sizeof(*a->history)));
}

static int new_reign(const struct source *source, struct bc_error *error)
{
	return bc_fail(error, -EAGAIN,
		       "a new reign of volume %s began while it was being read; take the snapshot again",
		       source->name);
}

/* The history before and after is the history of the moment in between. */
static int source_make_view(struct source *source, const char *store, uint32_t *minor,
			    struct bc_error *error)
{
	struct bc_view_create create = { .name = source->name, .view = source->view,
					 .flags = BLKCAST_F_OWNED };
	struct bc_volume now;
	struct bc_view made;
	int err = viewstore_open(&create, store, error);

	if (err)
		return err;
	snprintf(source->view, sizeof(source->view), "snapshot-%ld", (long)getpid());
	err = bc_kernel_view_create(source->kernel, &create, &made, error);
	viewstore_close(&create);
	if (!err)
		err = bc_kernel_get(source->kernel, source->name, &now, error);
	if (err)
		return err;
	if (!same_history(&source->begin, &now))
		err = new_reign(source, error);
	bc_volume_release(&now);
	source->begin.lsn = made.lsn;
	source->owned = true;
	*minor = made.minor;
	return err;
}

/* Its stamps are of reigns up to the one that was the newest when it was made. */
static int cut_history(struct bc_volume *volume, const struct bc_view *view)
{
	uint32_t i = volume->reigns;

	while (i && view->reign && le64toh(volume->history[i - 1].reign) != view->reign)
		i--;
	if (!i && view->reign)
		return -ESTALE;
	volume->reigns = view->reign ? i : 0;
	if (volume->reigns)
		volume->term = le32toh(volume->history[i - 1].term);
	return 0;
}

/* One that is there already. */
static int source_take_view(struct source *source, uint32_t *minor, struct bc_error *error)
{
	const struct bc_view *view = bc_volume_view(&source->begin, source->view);

	if (!view)
		return bc_fail(error, -ENOENT, "volume %s has no view %s", source->name,
			       source->view);
	if (view->state != BLKCAST_VIEW_WHOLE)
		return bc_fail(error, -EIO, "view %s@%s is broken: %s", source->name,
			       source->view, bc_view_state_name(view->state));
	if (cut_history(&source->begin, view))
		return bc_fail(error, -ESTALE,
			       "view %s@%s shows a reign that the volume has given up: its content is on /dev/blkcast/%s@%s all the same",
			       source->name, source->view, source->name, source->view);
	source->begin.lsn = view->lsn;
	source->begin.sectors = view->sectors;
	*minor = view->minor;
	return 0;
}

static int source_open_volume(struct source *source, const char *store,
			      struct bc_error *error)
{
	int err = bc_kernel_open(&source->kernel, error);
	uint32_t minor;

	if (!err)
		err = bc_kernel_get(source->kernel, source->name, &source->begin, error);
	if (err) {
		bc_error_prefix(error, "volume %s (to read a plain file, name it with a '/')",
				source->name);
		return err;
	}
	source->volume = true;
	minor = source->begin.minor;
	if (source->view[0])
		err = source_take_view(source, &minor, error);
	else if (store)
		err = source_make_view(source, store, &minor, error);
	if (!err)
		err = source_open_device(source, minor, error);
	if (err)
		return err;
	source->stamps.ask = source_ask;
	source->stamps.arg = source;
	return stamps_init(&source->stamps, source->blockdev.bytes, source->begin.region_shift,
			   error);
}

/* VOLUME@VIEW.  One that is too long is none that there is. */
static void name_view(struct source *source, const char *name)
{
	const char *at = strchr(name, '@');

	snprintf(source->volume_name, sizeof(source->volume_name), "%.*s", (int)(at - name),
		 name);
	snprintf(source->view, sizeof(source->view), "%s", at[1] ? at + 1 : "?");
	source->name = source->volume_name;
}

int source_open(struct source *source, const char *name, const char *store,
		struct bc_error *error)
{
	int err;

	memset(source, 0, sizeof(*source));
	source->name = name;
	source->blockdev.fd = source->live.fd = -1;
	if (!strchr(name, '/') && strchr(name, '@'))
		name_view(source, name);
	err = strchr(name, '/') ? source_open_path(source, error) :
				  source_open_volume(source, store, error);
	if (err)
		source_close(source);
	return err;
}

int source_open_send(struct source *source, const char *name, const char *store,
		     struct bc_error *error)
{
	struct bc_error why;
	char path[64];

	if (source_open(source, name, store, &why)) {
		cli_failf("%s; read without a view", why.text);
		return source_open(source, name, NULL, error);
	}
	snprintf(path, sizeof(path), "/dev/blkcast%u", source->begin.minor);
	if (bc_blockdev_open(&source->live, path, BC_BLOCKDEV_DIRECT, &why))
		source->live.fd = -1;
	return 0;
}

int source_fall_back(void *arg)
{
	struct source *source = arg;
	struct bc_error why;

	if (!source->owned || source->live.fd < 0)
		return -1;
	source->owned = false;
	bc_fail(&why, -EIO, "volume %s: its view cannot be read", source->name);
	source_explain(source, &why);
	cli_failf("%s; read on without it", why.text);
	source->view[0] = 0;
	return source->live.fd;
}

void source_close(struct source *source)
{
	stamps_release(&source->stamps);
	bc_volume_release(&source->begin);
	bc_blockdev_close(&source->blockdev);
	bc_blockdev_close(&source->live);
	/* And with it the view. */
	bc_kernel_close(source->kernel);
	source->kernel = NULL;
}

static void describe_volume(const struct source *source, struct snap_super *super)
{
	const struct bc_volume *volume = &source->begin;

	memcpy(super->volume, volume->uuid, sizeof(super->volume));
	memcpy(super->node, volume->node, sizeof(super->node));
	super->lsn = htole64(volume->lsn);
	super->region_shift = htole32(volume->region_shift);
	super->flags = htole32(SNAP_SUPER_STAMPS);
	super->term = htole32(volume->term);
	super->reigns = htole32(volume->reigns);
}

void source_describe(const struct source *source, struct snap_super *super)
{
	const char *slash = strrchr(source->name, '/');

	memset(super, 0, sizeof(*super));
	bc_uuid_generate(super->id);
	super->bytes = htole64(source->blockdev.bytes);
	super->created = htole64(writer_wall_clock());
	super->chunk_size = htole32(SNAP_CHUNK_SIZE);
	snprintf((char *)super->name, sizeof(super->name), "%s",
		 slash ? slash + 1 : source->name);
	if (source->volume)
		describe_volume(source, super);
}

/* Nothing the view shows may have been lost by the time that all is read. */
static int view_check(const struct source *source, const struct bc_volume *now,
		      struct bc_error *error)
{
	const struct bc_view *view = bc_volume_view(now, source->view);

	if (view && view->state == BLKCAST_VIEW_WHOLE)
		return 0;
	return bc_fail(error, -EIO, "volume %s: its view for this snapshot broke: %s%s",
		       source->name, view ? bc_view_state_name(view->state) : "it is gone",
		       source->owned && view && view->state == BLKCAST_VIEW_FULL ?
		       "; give it a larger --store, or read the volume --live" : "");
}

void source_explain(struct source *source, struct bc_error *error)
{
	struct bc_error ignored;
	struct bc_volume now;

	if (!source->view[0] || bc_kernel_get(source->kernel, source->name, &now, &ignored))
		return;
	view_check(source, &now, error);
	bc_volume_release(&now);
}

void source_pass(void *arg, uint64_t start)
{
	struct source *source = arg;
	uint32_t region = start >> source->begin.region_shift;
	struct bc_error ignored;

	if (!source->owned || region <= source->passed)
		return;
	source->passed = region;
	bc_kernel_view_pass(source->kernel, source->name, source->view, region, &ignored);
}

/* Its own device was read: what has become of the volume meanwhile? */
static int live_check(const struct source *source, const struct bc_volume *now,
		      struct source_end *end, struct bc_error *error)
{
	const struct bc_volume *begin = &source->begin;

	end->lsn = now->lsn;
	end->fuzzy |= source->stamps.changed || now->lsn != begin->lsn ||
		      ((now->super_flags | begin->super_flags) & BLKCAST_SUPER_INCONSISTENT);
	if (!same_history(begin, now))
		return new_reign(source, error);
	if (now->sectors != begin->sectors && source->stamps.fixed)
		return bc_fail(error, -EAGAIN,
			       "volume %s has grown while it was being read; take the snapshot again",
			       source->name);
	return 0;
}

/*
 * What a device has lost, it shows until a flush fails.  A primary that may go on without
 * its device does not restamp it then: what was read is only worth its stamps once a
 * flush has gone well.  If that fails the view breaks.
 */
static int settle(const struct source *source, struct bc_error *error)
{
	char path[BLKCAST_NAME_MAX + 16];
	int fd, ret = 0;

	if (source->begin.role != BLKCAST_ROLE_PRIMARY ||
	    source->begin.on_io_error != BLKCAST_ON_IO_ERROR_DETACH)
		return 0;
	snprintf(path, sizeof(path), "/dev/blkcast/%s", source->name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		ret = bc_fail_errno(error, -errno, "cannot flush %s", path);
	if (fd >= 0)
		close(fd);
	return ret;
}

int source_finish(struct source *source, struct source_end *end, struct bc_error *error)
{
	const struct bc_volume *begin = &source->begin;
	bool view = source->view[0];
	struct bc_volume now;
	int err;

	*end = (struct source_end) { .lsn = begin->lsn, .fuzzy = source->mounted };
	if (!source->volume)
		return 0;
	err = settle(source, error);
	if (err)
		return err;
	err = bc_kernel_get(source->kernel, source->name, &now, error);
	if (err)
		return err;
	/* What was read of one that has failed since is worth nothing. */
	if (now.device != begin->device || now.device == BLKCAST_DEVICE_FAILING)
		err = bc_fail(error, -EIO, "volume %s: its device has failed; take the snapshot again",
			      source->name);
	if (err) {
		bc_volume_release(&now);
		return err;
	}
	/* The volume has grown: its last region was a short one that went on. */
	if (!view && now.sectors != begin->sectors && !source->stamps.fixed)
		stamps_doubt_last(&source->stamps);
	end->fuzzy = stamps_finish(&source->stamps);
	err = view ? view_check(source, &now, error) : live_check(source, &now, end, error);
	bc_volume_release(&now);
	return err;
}
