// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a snapshot is unpacked onto (see target.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/util.h"
#include "target.h"

#define FILE_ALIGN	4096
#define RAW_FLAGS	(BC_BLOCKDEV_WRITE | BC_BLOCKDEV_EXCL | BC_BLOCKDEV_DIRECT | \
			 BC_BLOCKDEV_FILE)

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
	if (target->raw.bytes < bytes)
		return bc_fail(error, -ENOSPC, "%s is too small: it has %llu bytes, the image has %llu",
			       target->name, (unsigned long long)target->raw.bytes,
			       (unsigned long long)bytes);
	return check_device(target, force, error);
}

static int open_file(struct target *target, bool exists, bool force, struct bc_error *error)
{
	target->align = FILE_ALIGN;
	target->zeroed = true;
	if (!exists)
		return 0;
	if (!force)
		return bc_fail(error, -EEXIST, "%s exists; --force overwrites it", target->name);
	return bc_blockdev_open(&target->raw, target->name, RAW_FLAGS, error);
}

static int open_raw(struct target *target, const struct reader *reader, bool force,
		    struct bc_error *error)
{
	bool exists = true;
	struct stat st;

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
	return open_file(target, exists, force, error);
}

static int create_file(struct target *target, struct bc_error *error)
{
	int fd = open(target->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

	if (fd < 0)
		return bc_fail_errno(error, -errno, "cannot create %s", target->name);
	close(fd);
	return bc_blockdev_open(&target->raw, target->name, RAW_FLAGS, error);
}

static int begin_raw(struct target *target, uint64_t bytes, struct bc_error *error)
{
	int err = target->raw.fd < 0 ? create_file(target, error) : 0;

	if (err)
		return err;
	target->started = true;
	target->fd = target->raw.fd;
	/* From nothing, so that all of it is a hole. */
	if (target->raw.is_file && (ftruncate(target->fd, 0) || ftruncate(target->fd, bytes)))
		return bc_fail_errno(error, -errno, "%s: cannot make it %llu bytes long",
				     target->name, (unsigned long long)bytes);
	return 0;
}

static int finish_raw(struct target *target, const struct reader *reader, bool force,
		      struct bc_error *error)
{
	/* The last write was rounded up. */
	if (target->raw.is_file && ftruncate(target->fd, reader_bytes(reader)))
		return bc_fail_errno(error, -errno, "%s", target->name);
	if (fsync(target->fd))
		return bc_fail_errno(error, -errno, "%s: cannot flush", target->name);
	target->started = false;
	/* From a pipe this is known at the end only. */
	if (reader_fuzzy(reader) && !force)
		return bc_fail(error, -EINVAL, "%s is written, but %s", target->name, fuzzy_text);
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

/* A copy that a restore has left half-done holds nothing to lose. */
static int check_content(const struct target *target, bool force, struct bc_error *error)
{
	const struct bc_super *copy = &target->copy.meta.super;

	if (force || !copy->reigns || copy->flags & BLKCAST_SUPER_INCOMPLETE)
		return 0;
	return bc_fail(error, -EEXIST,
		       "volume %s holds content of its own here; --force replaces it by the snapshot's",
		       target->name);
}

static int open_volume(struct target *target, const struct reader *reader, bool force,
		       struct bc_error *error)
{
	int err;

	if (!reader_has_stamps(reader))
		return bc_fail(error, -EINVAL,
			       "volume %s: the snapshot is of a plain device and carries no stamps; it can only be restored to a path",
			       target->name);
	err = bc_volume_config_load(&target->config, target->name, error);
	if (err == -ENOENT)
		return bc_fail(error, err,
			       "there is no volume %s on this host (to restore to a plain file, name it with a '/')",
			       target->name);
	if (err)
		return err;
	err = bc_copy_open(&target->copy, &target->config, error);
	if (err)
		return err;
	target->volume = target->copy_open = true;
	target->fd = target->copy.backing.fd;
	target->base = target->copy.meta.super.data_start * 512;
	target->align = target->copy.backing.logical;
	err = check_identity(target, reader, error);
	return err ? err : check_content(target, force, error);
}

static int begin_volume(struct target *target, struct bc_error *error)
{
	target->started = true;
	return bc_meta_set_flags(&target->copy.meta,
				 BLKCAST_SUPER_INCOMPLETE | BLKCAST_SUPER_INCONSISTENT, 0, error);
}

/* The copy follows the snapshot's history now and is complete. */
static int write_super(struct target *target, const struct reader *reader,
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
	super->flags &= ~(BLKCAST_SUPER_INCOMPLETE | BLKCAST_SUPER_PRIMARY |
			  BLKCAST_SUPER_OWN | BLKCAST_SUPER_DISCARD);
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
	return err ? err : write_super(target, reader, error);
}

/* ---- both ---- */

int target_open(struct target *target, const char *name, const struct reader *reader,
		bool force, struct bc_error *error)
{
	int err;

	memset(target, 0, sizeof(*target));
	target->name = name;
	target->fd = target->raw.fd = -1;
	err = strchr(name, '/') ? open_raw(target, reader, force, error) :
				  open_volume(target, reader, force, error);
	if (err)
		target_close(target);
	return err;
}

void target_close(struct target *target)
{
	if (target->raw.fd >= 0)
		bc_blockdev_close(&target->raw);
	if (target->copy_open)
		bc_copy_close(&target->copy);
	bc_volume_config_release(&target->config);
	target->raw.fd = -1;
	target->copy_open = false;
}

int target_begin(struct target *target, const struct reader *reader, struct bc_error *error)
{
	return target->volume ? begin_volume(target, error) :
				begin_raw(target, reader_bytes(reader), error);
}

int target_finish(struct target *target, const struct reader *reader, bool force,
		  struct bc_error *error)
{
	return target->volume ? finish_volume(target, reader, error) :
				finish_raw(target, reader, force, error);
}
