// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a snapshot is unpacked onto (see target.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/util.h"
#include "blkcast_lsn.h"
#include "folder.h"
#include "target.h"

#define FILE_ALIGN	4096
#define RAW_FLAGS	(BC_BLOCKDEV_WRITE | BC_BLOCKDEV_EXCL | BC_BLOCKDEV_DIRECT | \
			 BC_BLOCKDEV_FILE | BC_BLOCKDEV_WAIT)

unsigned int target_journal_ms = 3000;

/* ---- a raw image ---- */

static const char fuzzy_text[] =
	"the snapshot was taken of a volume that was being written to: its image is not of one moment; restore it to a volume, which a connection completes, or use --force";

/* What a device must hold back for: a volume's copy that is down. */
static int check_device(const struct target *target, bool force, struct bc_error *error)
{
	struct bc_error none;
	struct bc_meta meta;

	if (force || bc_meta_open(&meta, target->raw.fd, target->raw.bytes, target->name, &none))
		return 0;
	return bc_fail(error, -EEXIST, "%s holds a copy of volume %s; --force overwrites it",
		       target->name, meta.super.name);
}

static int open_device(struct target *target, uint64_t bytes, bool force,
		       struct bc_error *error)
{
	int err = bc_blockdev_open(&target->raw, target->name, RAW_FLAGS, error);

	if (err)
		return err;
	target->align = target->raw.logical;
	target->resumed = head_found(target->raw.fd);
	if (target->raw.bytes < bytes)
		return bc_fail(error, -ENOSPC, "%s is too small: it has %llu bytes, the image has %llu",
			       target->name, (unsigned long long)target->raw.bytes,
			       (unsigned long long)bytes);
	return check_device(target, force, error);
}

static int open_file(struct target *target, bool exists, unsigned int flags,
		     struct bc_error *error)
{
	int err;

	target->align = FILE_ALIGN;
	target->zeroed = true;
	if (!exists)
		return 0;
	err = bc_blockdev_open(&target->raw, target->name, RAW_FLAGS, error);
	if (err)
		return err;
	target->resumed = head_found(target->raw.fd);
	if (!target->resumed && !(flags & (TARGET_FORCE | TARGET_UPDATE)))
		return bc_fail(error, -EEXIST, "%s exists; --force overwrites it", target->name);
	target->zeroed = !target->resumed && !(flags & TARGET_UPDATE);
	return 0;
}

static int open_raw(struct target *target, const struct reader *reader, unsigned int flags,
		    struct bc_error *error)
{
	bool exists = true, force = flags & TARGET_FORCE;
	struct stat st;

	target->verify = flags & TARGET_VERIFY;
	target->update = flags & TARGET_UPDATE;
	if (reader_delta(reader))
		return bc_fail(error, -EINVAL,
			       "%s is a delta: name the snapshots that it builds on before it, the full one first",
			       reader->input.name);

	if (reader->trailer_known && reader_fuzzy(reader) && !force)
		return bc_fail(error, -EINVAL, "%s: %s", target->name, fuzzy_text);
	if (stat(target->name, &st)) {
		if (errno != ENOENT)
			return bc_fail_errno(error, -errno, "%s", target->name);
		exists = false;
	}
	if (exists && S_ISBLK(st.st_mode))
		return open_device(target, reader_bytes(reader), force, error);
	if (exists && !S_ISREG(st.st_mode))
		return bc_fail(error, -EINVAL, "%s is neither a block device nor a file",
			       target->name);
	return open_file(target, exists, flags, error);
}

static int create_file(struct target *target, struct bc_error *error)
{
	int fd = open(target->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

	if (fd < 0)
		return bc_fail_errno(error, -errno, "cannot create %s", target->name);
	close(fd);
	return folder_sync_of(target->name, error) ?:
	       bc_blockdev_open(&target->raw, target->name, RAW_FLAGS, error);
}

/* From nothing, so that all of it is a hole, or what is beyond the image's end. */
static int size_file(struct target *target, uint64_t bytes, struct bc_error *error)
{
	return ftruncate(target->fd, bytes) ?
		bc_fail_errno(error, -errno, "%s: cannot make it %llu bytes long", target->name,
			      (unsigned long long)bytes) : 0;
}

static int begin_raw(struct target *target, const struct reader *reader, struct bc_error *error)
{
	uint64_t bytes = reader_bytes(reader);
	int err = target->raw.fd < 0 ? create_file(target, error) : 0;
	bool file = target->raw.is_file;

	if (err)
		return err;
	target->fd = target->raw.fd;
	if (file && target->zeroed)
		err = size_file(target, 0, error);
	if (!err)
		err = head_init(&target->head, &target->raw, target->name, bytes,
				reader->super->id, target->update, error);
	target->started = true;
	if (!err && (!target->update || (file && target->raw.bytes != bytes)))
		err = head_mark(&target->head, error);
	if (!err && file)
		err = size_file(target, bytes, error);
	return err;
}

/* The beginning comes last, when nothing else is missing. */
static int finish_raw(struct target *target, const struct reader *reader, bool force,
		      struct bc_error *error)
{
	int err;

	/* From a pipe this is known at the end only. */
	if (reader_fuzzy(reader) && !force)
		return bc_fail(error, -EINVAL, "%s", fuzzy_text);
	/* The last write was rounded up. */
	if (target->raw.is_file && ftruncate(target->fd, reader_bytes(reader)))
		return bc_fail_errno(error, -errno, "%s", target->name);
	if (fsync(target->fd))
		return bc_fail_errno(error, -errno, "%s: cannot flush", target->name);
	err = head_finish(&target->head, target->verify, error);
	if (err < 0)
		return err;
	target->head_written = err;
	target->started = false;
	return 0;
}

/* ---- the copy of a volume ---- */

static int check_identity(const struct target *target, const struct reader *reader,
			  struct bc_error *error)
{
	const struct bc_super *copy = &target->copy.meta.super;
	const struct snap_super *super = reader->super;
	char have[BC_UUID_TEXT], want[BC_UUID_TEXT];

	if (memcmp(copy->volume, super->volume, sizeof(copy->volume)))
		return bc_fail(error, -EINVAL,
			       "volume %s has uuid %s, the snapshot is of volume %s (%s); make a copy for it with 'blkcast create --uuid %s --size %llu'",
			       target->name, bc_uuid_format(copy->volume, have),
			       (const char *)super->name, bc_uuid_format(super->volume, want), want,
			       (unsigned long long)reader_bytes(reader));
	if (copy->sectors * 512 != reader_bytes(reader))
		return bc_fail(error, -EINVAL,
			       "volume %s has %llu bytes here, the snapshot has %llu; create the copy with --size %llu",
			       target->name, (unsigned long long)copy->sectors * 512,
			       (unsigned long long)reader_bytes(reader),
			       (unsigned long long)reader_bytes(reader));
	if (copy->region_shift != le32toh(super->region_shift))
		return bc_fail(error, -EINVAL,
			       "volume %s has regions of %u KiB here, the snapshot of %u KiB; create the copy with --region-size %uK",
			       target->name, 1U << (copy->region_shift - 10),
			       1U << (le32toh(super->region_shift) - 10),
			       1U << (le32toh(super->region_shift) - 10));
	return 0;
}

/* The delta goes forward: no region of the copy is newer than what it holds. */
static bool is_older(const struct target *target, const struct reader *reader)
{
	uint32_t r;

	for (r = 0; r < reader->regions; r++) {
		if (snap_held(reader->holds, r) && target->have.stamp[r] > reader->stamps[r])
			return false;
	}
	return true;
}

/* A copy that a restore has left half-done holds nothing to lose. */
static int check_content(const struct target *target, const struct reader *reader, bool force,
			 struct bc_error *error)
{
	const struct bc_super *copy = &target->copy.meta.super;

	if (force || !copy->reigns || target->resumed ||
	    (reader_delta(reader) && is_older(target, reader)))
		return 0;
	return bc_fail(error, -EEXIST,
		       "volume %s holds content of its own here; --force replaces it by the snapshot's",
		       target->name);
}

static void take_run(const struct bc_map_run *run, void *arg)
{
	struct have *have = arg;
	uint32_t i;

	for (i = 0; i < run->count; i++)
		have->stamp[run->first + i] = run->state == BC_REGION_NEVER ? BLKCAST_LSN_NEVER :
			run->state == BC_REGION_WRITTEN ? run->stamp : BLKCAST_LSN_DOUBT;
}

static int read_have(struct target *target, struct bc_error *error)
{
	const struct bc_super *super = &target->copy.meta.super;
	struct have *have = &target->have;

	*have = (struct have) {
		.name = target->name, .bytes = super->sectors * 512,
		.region_shift = super->region_shift, .regions = super->regions,
		.reigns = super->reigns,
		.stamp = malloc(super->regions * sizeof(*have->stamp)),
	};
	if (!have->stamp)
		return bc_fail(error, -ENOMEM, "out of memory for %u stamps", super->regions);
	bc_uuid_generate(have->id);
	memcpy(have->volume, super->volume, sizeof(have->volume));
	memcpy(have->history, super->history, sizeof(have->history));
	return bc_meta_map_runs(&target->copy.meta, 0, super->regions - 1, take_run, have, error);
}

int target_open_copy(struct target *target, const char *name, struct bc_error *error)
{
	int err;

	memset(target, 0, sizeof(*target));
	target->name = name;
	target->raw.fd = -1;
	err = bc_volume_config_load(&target->config, target->name, error);
	if (err == -ENOENT)
		return bc_fail(error, err,
			       "there is no volume %s on this host (to restore to a plain file, name it with a '/')",
			       target->name);
	if (!err)
		err = bc_copy_open(&target->copy, &target->config, error);
	if (err)
		return err;
	target->volume = target->copy_open = true;
	target->resumed = target->copy.meta.super.flags & BLKCAST_SUPER_INCOMPLETE;
	target->fd = target->copy.backing.fd;
	target->base = target->copy.meta.super.data_start * 512;
	target->align = target->copy.backing.logical;
	return read_have(target, error);
}

int target_check(struct target *target, const struct reader *reader, bool force,
		 struct bc_error *error)
{
	int err = check_identity(target, reader, error);

	if (!err && reader_delta(reader))
		err = have_fits(&target->have, reader, error);
	return err ? err : check_content(target, reader, force, error);
}

static int open_volume(struct target *target, const struct reader *reader, bool force,
		       struct bc_error *error)
{
	int err;

	if (!reader_has_stamps(reader))
		return bc_fail(error, -EINVAL,
			       "volume %s: the snapshot is of a plain device and carries no stamps; it can only be restored to a path",
			       target->name);
	err = target_open_copy(target, target->name, error);
	return err ? err : target_check(target, reader, force, error);
}

/* What will be overwritten is there no more. */
static int forget_held(struct target *target, const struct reader *reader,
		       struct bc_error *error)
{
	uint32_t r;

	for (r = 0; r < reader->regions; r++) {
		if (!reader_delta(reader) || snap_held(reader->holds, r))
			target->have.stamp[r] = BLKCAST_LSN_NEVER;
	}
	return bc_meta_map_write(&target->copy.meta, target->have.stamp, error);
}

/* The copy follows the snapshot's history now; what it still has, it has in both. */
static int adopt_history(struct target *target, const struct reader *reader,
			 struct bc_error *error)
{
	const struct snap_super *from = reader->super;
	struct bc_super *super = &target->copy.meta.super;
	uint32_t term = le32toh(from->term);

	if (super->term < term)
		super->term = term;
	super->reigns = le32toh(from->reigns);
	memset(super->history, 0, sizeof(super->history));
	memcpy(super->history, from->history, super->reigns * sizeof(*from->history));
	/* Another content is another copy: nobody may take it for the old one. */
	bc_uuid_generate(super->node);
	super->position = 0;
	super->members = 0;
	memset(super->heir, 0, sizeof(super->heir));
	super->flags &= ~(BLKCAST_SUPER_PRIMARY | BLKCAST_SUPER_OWN | BLKCAST_SUPER_DISCARD);
	return bc_meta_super_write(&target->copy.meta, error);
}

static int begin_volume(struct target *target, const struct reader *reader,
			struct bc_error *error)
{
	int err;

	target->started = true;
	target->journaled = 0;
	target->journaled_bytes = 0;
	target->journaled_at = bc_now_ns() + target_journal_ms * 1000000ULL;
	err = bc_meta_set_flags(&target->copy.meta,
				BLKCAST_SUPER_INCOMPLETE | BLKCAST_SUPER_INCONSISTENT, 0, error);
	if (!err)
		err = forget_held(target, reader, error);
	return err ? err : adopt_history(target, reader, error);
}

int target_go_on(struct target *target, const struct reader *reader, struct bc_error *error)
{
	int err;

	target->zeroed = false;
	target->journaled = 0;
	target->journaled_bytes = 0;
	if (!target->volume)
		return 0;
	err = forget_held(target, reader, error);
	return err ? err : adopt_history(target, reader, error);
}

/* Regions that end by @bytes are there. */
static void enter_regions(struct target *target, const struct reader *reader, uint64_t bytes)
{
	uint32_t shift = target->have.region_shift, r;

	for (r = target->journaled; r < reader->regions; r++) {
		if (((uint64_t)r << shift) + snap_region_bytes(reader->super, r) > bytes)
			break;
		if (snap_held(reader->holds, r) && reader->stamps[r] != BLKCAST_LSN_DOUBT)
			target->have.stamp[r] = reader->stamps[r];
	}
	target->journaled = r;
}

int target_journal(struct target *target, const struct reader *reader, uint64_t bytes,
		   bool last, struct bc_error *error)
{
	uint64_t begun = bc_now_ns();
	int err;

	if (!target->volume || !reader_delta(reader) || (begun < target->journaled_at && !last) ||
	    bytes < target->journaled_bytes + ((uint64_t)1 << target->have.region_shift))
		return 0;
	if (fsync(target->fd))
		return bc_fail_errno(error, -errno, "volume %s: cannot flush %s", target->name,
				     target->config.backing);
	enter_regions(target, reader, bytes);
	err = bc_meta_map_write(&target->copy.meta, target->have.stamp, error);
	target->journaled_bytes = bytes;
	/* It is to take a twentieth of the time at most. */
	target->journaled_at = bc_now_ns() + target_journal_ms * 1000000ULL +
			       20 * (bc_now_ns() - begun);
	return err;
}

/* The copy is complete. */
static int complete_super(struct target *target, const struct reader *reader,
			  struct bc_error *error)
{
	struct bc_super *super = &target->copy.meta.super;

	super->flags &= ~BLKCAST_SUPER_INCOMPLETE;
	if (!reader_fuzzy(reader))
		super->flags &= ~BLKCAST_SUPER_INCONSISTENT;
	return bc_meta_super_write(&target->copy.meta, error);
}

static int finish_volume(struct target *target, const struct reader *reader,
			 struct bc_error *error)
{
	int err;

	if (fsync(target->fd))
		return bc_fail_errno(error, -errno, "volume %s: cannot flush %s", target->name,
				     target->config.backing);
	err = bc_meta_map_write(&target->copy.meta, reader->stamps, error);
	return err ? err : complete_super(target, reader, error);
}

/* ---- both ---- */

int target_open(struct target *target, const char *name, const struct reader *reader,
		unsigned int flags, struct bc_error *error)
{
	int err;

	memset(target, 0, sizeof(*target));
	target->name = name;
	target->fd = target->raw.fd = -1;
	err = strchr(name, '/') ? open_raw(target, reader, flags, error) :
				  open_volume(target, reader, flags & TARGET_FORCE, error);
	if (err)
		target_close(target);
	return err;
}

void target_close(struct target *target)
{
	if (target->raw.fd >= 0)
		bc_blockdev_close(&target->raw);
	target->fd = -1;
	if (target->copy_open)
		bc_copy_close(&target->copy);
	bc_volume_config_release(&target->config);
	have_release(&target->have);
	head_release(&target->head);
	target->raw.fd = -1;
	target->copy_open = false;
}

int target_begin(struct target *target, const struct reader *reader, struct bc_error *error)
{
	return target->volume ? begin_volume(target, reader, error) :
				begin_raw(target, reader, error);
}

int target_finish(struct target *target, const struct reader *reader, bool force,
		  struct bc_error *error)
{
	return target->volume ? finish_volume(target, reader, error) :
				finish_raw(target, reader, force, error);
}
