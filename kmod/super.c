// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The superblock and the term history in it.
 *
 * The one copy in memory is the block itself, little-endian.  A change is made
 * in memory and written under super_lock, to the first place and then, once
 * that is on stable storage, to the second: at any moment one of the two is
 * whole.
 *
 * Both stand before vol->meta_end, which is the end of the metadata device when
 * the copy is made.  A device that is enlarged later does not move it; growing the
 * volume does (grow.c).
 */
#include "link.h"

/* Where a copy of the superblock stands in metadata that end at @end. */
static u64 super_pos(u64 end, int copy)
{
	return copy ? end - BLKCAST_BLOCK_SIZE : end - BLKCAST_SUPER_AREA;
}

static bool super_valid(const struct blkcast_super *s)
{
	return !memcmp(s->magic, BLKCAST_SUPER_MAGIC, sizeof(s->magic)) &&
	       le32_to_cpu(s->crc) ==
	       blkcast_block_crc(s, offsetof(struct blkcast_super, crc));
}

/* Every field that is used later without a look is bounded here. */
static const char *super_check(struct blkcast_volume *v)
{
	const struct blkcast_super *s = v->super;
	u64 sectors = le64_to_cpu(s->sectors);
	u64 start = le64_to_cpu(s->data_start);
	u64 map = le64_to_cpu(s->map_offset);
	u32 shift = le32_to_cpu(s->region_shift);
	u32 regions = le32_to_cpu(s->regions);
	u32 blocks = le32_to_cpu(s->map_blocks);
	u64 have = bdev_nr_sectors(v->backing.bdev);
	u64 map_end = super_pos(v->meta_end, 0);

	if (le32_to_cpu(s->version) != BLKCAST_DISK_VERSION)
		return "metadata of an unknown version";
	if (le32_to_cpu(s->flags) & ~BLKCAST_SUPER_KNOWN_FLAGS)
		return "metadata with unknown flags";
	if (!(le32_to_cpu(s->flags) & BLKCAST_SUPER_INTERNAL) == v->meta_internal)
		return "metadata internal on one side, external on the other";
	if (shift < BLKCAST_REGION_SHIFT_MIN || shift > BLKCAST_REGION_SHIFT_MAX)
		return "superblock: region size out of range";
	if (!sectors || start > have || sectors > have - start)
		return "backing device is smaller than the volume";
	if (!regions || regions > BLKCAST_REGIONS_MAX ||
	    regions != DIV_ROUND_UP_ULL(sectors, 1ULL << (shift - SECTOR_SHIFT)) ||
	    blocks != DIV_ROUND_UP(regions, BLKCAST_MAP_STAMPS))
		return "superblock: number of regions does not fit the size";
	if (!IS_ALIGNED(map, BLKCAST_BLOCK_SIZE) || map > map_end ||
	    2ULL * blocks * BLKCAST_BLOCK_SIZE > map_end - map)
		return "superblock: map out of range";
	if (v->meta_internal && (start + sectors) << SECTOR_SHIFT > map)
		return "superblock: map overlaps the data";
	if (!IS_ALIGNED(start | sectors,
			bdev_logical_block_size(v->backing.bdev) >> SECTOR_SHIFT))
		return "volume is not a multiple of the device's block size";
	if (le64_to_cpu(s->generation) >= BLKCAST_GENERATION_END)
		return "superblock: generation out of range";
	if (le32_to_cpu(s->reigns) > BLKCAST_HISTORY_MAX)
		return "superblock: history out of range";
	if (le32_to_cpu(s->term) > BLKCAST_TERM_MAX)
		return "superblock: term out of range";
	if (le32_to_cpu(s->members) > BLKCAST_MEMBERS_MAX)
		return "superblock: in-sync set out of range";
	return NULL;
}

/* The newer of the two copies in metadata that end at @end; -EINVAL: neither. */
static int super_read(struct blkcast_volume *v, u64 end,
		      struct blkcast_super *best)
{
	struct blkcast_super *s = kmalloc(BLKCAST_BLOCK_SIZE, GFP_KERNEL);
	int i, bad = -1, found = 0, err = 0, failed = -EINVAL;

	if (!s)
		return -ENOMEM;
	for (i = 0; i < 2; i++) {
		err = blkcast_disk_rw(v->meta.bdev, REQ_OP_READ, super_pos(end, i),
				      s, BLKCAST_BLOCK_SIZE);
		failed = err ?: failed;
		if (err || !super_valid(s)) {
			bad = i;
			continue;
		}
		if (!found++ || le64_to_cpu(s->generation) >
				le64_to_cpu(best->generation))
			memcpy(best, s, BLKCAST_BLOCK_SIZE);
	}
	kfree(s);
	if (found && bad >= 0)
		vol_warn(v, "superblock copy %d is bad\n", bad);
	return found ? 0 : failed;
}

static bool super_newer(const struct blkcast_super *a,
			const struct blkcast_super *b)
{
	return !memcmp(a->volume, b->volume, sizeof(a->volume)) &&
	       !memcmp(a->node, b->node, sizeof(a->node)) &&
	       le64_to_cpu(a->generation) > le64_to_cpu(b->generation);
}

/*
 * Find the superblock: where metadata were known to end, and, in case they have
 * moved since or nobody knew, at the end of the device.  What is there may be
 * left from an older life of the device, so it counts only if it is of the same
 * copy and newer.
 */
static int super_find(struct blkcast_volume *v, u64 known)
{
	u64 end = round_down(bdev_nr_bytes(v->meta.bdev), BLKCAST_BLOCK_SIZE);
	struct blkcast_super *s;
	int err = -EINVAL, at_end;

	if (known >= BLKCAST_META_DEVICE_MIN && known < end &&
	    IS_ALIGNED(known, BLKCAST_BLOCK_SIZE))
		err = super_read(v, known, v->super);
	if (err && err != -EINVAL)
		return err;	/* nobody knows what is there */
	if (!err)
		v->meta_end = known;
	s = kmalloc(BLKCAST_BLOCK_SIZE, GFP_KERNEL);
	if (!s)
		return -ENOMEM;
	at_end = super_read(v, end, s);
	if (!at_end && (err || super_newer(s, v->super))) {
		memcpy(v->super, s, BLKCAST_BLOCK_SIZE);
		v->meta_end = end;
	}
	kfree(s);
	/* That says nothing of what is there. */
	if (at_end == -ENOMEM)
		return at_end;
	return v->meta_end ? 0 : at_end;
}

/* What is on disk now may be told without waiting for the next change. */
static void super_show(struct blkcast_volume *v)
{
	spin_lock_irq(&v->lock);
	memcpy(v->shown, v->super, BLKCAST_BLOCK_SIZE);
	v->shown_end = v->meta_end;
	spin_unlock_irq(&v->lock);
}

/**
 * blkcast_super_load() - read and check the superblock, fill the volume's sizes
 * @v: its devices are open
 * @known: byte at which the metadata ended when last seen, 0: not known
 * @extack: takes the reason of a refusal
 *
 * Return: 0; -EINVAL no valid superblock or nonsense in it; -EUCLEAN a restore
 * did not finish; an I/O error.
 */
int blkcast_super_load(struct blkcast_volume *v, u64 known,
		       struct netlink_ext_ack *extack)
{
	const char *wrong;
	int err;

	if (bdev_nr_bytes(v->meta.bdev) < BLKCAST_META_DEVICE_MIN) {
		NL_SET_ERR_MSG(extack, "metadata device is too small");
		return -EINVAL;
	}
	err = super_find(v, known);
	if (err == -ENOMEM)
		return err;
	if (err) {
		NL_SET_ERR_MSG(extack, "no valid superblock on the metadata device");
		return err;
	}
	wrong = super_check(v);
	if (wrong) {
		/* Messages are constants of super_check(). */
		if (extack)
			extack->_msg = wrong;
		return -EINVAL;
	}
	if (le32_to_cpu(v->super->flags) & BLKCAST_SUPER_INCOMPLETE) {
		NL_SET_ERR_MSG(extack, "a restore into this copy did not finish");
		return -EUCLEAN;
	}
	v->sectors = le64_to_cpu(v->super->sectors);
	v->data_start = le64_to_cpu(v->super->data_start);
	v->region_shift = le32_to_cpu(v->super->region_shift) - SECTOR_SHIFT;
	v->regions = le32_to_cpu(v->super->regions);
	v->term = le32_to_cpu(v->super->term);
	v->position = le64_to_cpu(v->super->position);
	v->managed = le32_to_cpu(v->super->flags) & BLKCAST_SUPER_MANAGED;
	super_show(v);
	return 0;
}

static int super_write_locked(struct blkcast_volume *v)
{
	struct blkcast_super *s = v->super;
	u32 mark = blkcast_flush_mark(v);
	int i, err = 0;

	lockdep_assert_held(&v->super_lock);
	/* What fails may take its time: once is enough. */
	if (v->super_over) {
		super_show(v);
		return 0;
	}
	if (READ_ONCE(v->detached))
		s->flags |= cpu_to_le32(BLKCAST_SUPER_INCONSISTENT);
	le64_add_cpu(&s->generation, 1);
	s->crc = cpu_to_le32(blkcast_block_crc(s, offsetof(struct blkcast_super,
							   crc)));
	for (i = 0; i < 2 && !err; i++)
		err = blkcast_disk_rw(v->meta.bdev, REQ_OP_WRITE | REQ_META | REQ_SYNC,
				      super_pos(v->meta_end, i), s,
				      BLKCAST_BLOCK_SIZE) ?:
		      blkcast_flush_meta(v, mark);
	spin_lock_irq(&v->lock);
	v->map.writes += 2;
	spin_unlock_irq(&v->lock);
	/* What the disk holds after a failure is not known: write again. */
	v->super_stale = err;
	if (err) {
		vol_err_ratelimited(v, "cannot write the superblock: %d\n", err);
		blkcast_event_error(v, err);
		/* detach.c, inv. 5. */
		v->super_over = READ_ONCE(v->detached);
		if (v->super_over || READ_ONCE(v->detaching))
			err = 0;
	}
	if (!err)
		super_show(v);
	return err;
}

/* Make sure that the disk holds what memory does, if a write has failed. */
int blkcast_super_settle(struct blkcast_volume *v)
{
	int err = 0;

	mutex_lock(&v->super_lock);
	if (v->super_stale)
		err = super_write_locked(v);
	mutex_unlock(&v->super_lock);
	return err;
}

/**
 * blkcast_super_move() - durably say that the map is elsewhere
 * @v: the volume; the caller holds the pen
 * @map_offset: where a copy of all blocks is, in bytes
 * @meta_end: before which the superblocks are from now on, in bytes
 *
 * If this fails, the map is where it was: nobody writes a block of it before the
 * superblock has been written there again (blkcast_super_settle()).
 */
int blkcast_super_move(struct blkcast_volume *v, u64 map_offset, u64 meta_end)
{
	__le64 old_offset;
	u64 old_end;
	int err;

	lockdep_assert_held(&v->map.pen);
	mutex_lock(&v->super_lock);
	old_offset = v->super->map_offset;
	old_end = v->meta_end;
	v->super->map_offset = cpu_to_le64(map_offset);
	v->meta_end = meta_end;
	err = super_write_locked(v);
	if (err) {
		v->super->map_offset = old_offset;
		v->meta_end = old_end;
	}
	mutex_unlock(&v->super_lock);
	return err;
}

/* Its size on disk: larger than vol->sectors if a replica has failed to shrink. */
u64 blkcast_super_sectors(struct blkcast_volume *v)
{
	return le64_to_cpu(READ_ONCE(v->super->sectors));
}

/* Durably change the volume's size; its map is there already. */
int blkcast_super_resize(struct blkcast_volume *v, u64 sectors, u32 regions)
{
	struct blkcast_super *s = v->super;
	__le64 old_sectors;
	u32 old_regions;
	int err;

	mutex_lock(&v->super_lock);
	old_sectors = s->sectors;
	old_regions = le32_to_cpu(s->regions);
	s->sectors = cpu_to_le64(sectors);
	s->regions = cpu_to_le32(regions);
	s->map_blocks = cpu_to_le32(DIV_ROUND_UP(regions, BLKCAST_MAP_STAMPS));
	err = super_write_locked(v);
	if (err) {
		s->sectors = old_sectors;
		s->regions = cpu_to_le32(old_regions);
		s->map_blocks = cpu_to_le32(DIV_ROUND_UP(old_regions,
							 BLKCAST_MAP_STAMPS));
	}
	mutex_unlock(&v->super_lock);
	return err;
}

/* Durably change flags; no I/O if they stand on disk already. */
int blkcast_super_set_flags(struct blkcast_volume *v, u32 set, u32 clear)
{
	u32 old, new;
	int err = 0;

	mutex_lock(&v->super_lock);
	old = le32_to_cpu(v->super->flags);
	new = (old & ~clear) | set;
	if (new != old || v->super_stale) {
		v->super->flags = cpu_to_le32(new);
		err = super_write_locked(v);
		if (err)
			v->super->flags = cpu_to_le32(old);
	}
	mutex_unlock(&v->super_lock);
	return err;
}

/**
 * blkcast_super_set_position() - durably say what this copy is, or is no more
 * @v: the volume
 * @lsn: it is the stream up to here and nothing else; 0: that is not known
 *
 * 0 comes before any change, another value after all of them are durable.
 */
int blkcast_super_set_position(struct blkcast_volume *v, u64 lsn)
{
	__le64 old;
	int err = 0;

	mutex_lock(&v->super_lock);
	old = v->super->position;
	if (old != cpu_to_le64(lsn) || v->super_stale) {
		v->super->position = cpu_to_le64(lsn);
		err = super_write_locked(v);
		/* Which of the two stands on disk now is not known. */
		if (err)
			v->super->position = old;
	}
	mutex_unlock(&v->super_lock);
	return err;
}

/**
 * blkcast_super_set_members() - durably record the in-sync set
 * @v: a primary, or a replica that its primary has told
 * @member: ids of the copies, one behind the other
 * @count: how many, at most BLKCAST_MEMBERS_MAX
 */
int blkcast_super_set_members(struct blkcast_volume *v, const u8 *member,
			      u32 count)
{
	struct blkcast_super *s = v->super;
	size_t bytes = count * sizeof(s->member[0]);
	int err = 0;

	mutex_lock(&v->super_lock);
	if (le32_to_cpu(s->members) != count || v->super_stale ||
	    memcmp(s->member, member, bytes)) {
		memset(s->member, 0, sizeof(s->member));
		memcpy(s->member, member, bytes);
		s->members = cpu_to_le32(count);
		err = super_write_locked(v);
	}
	mutex_unlock(&v->super_lock);
	return err;
}

/* NULL: nobody is. */
static void super_put_heir(struct blkcast_super *s, const u8 *heir)
{
	if (heir)
		memcpy(s->heir, heir, sizeof(s->heir));
	else
		memset(s->heir, 0, sizeof(s->heir));
}

static bool super_has_heir(const struct blkcast_super *s)
{
	return memchr_inv(s->heir, 0, sizeof(s->heir));
}

/* Is this copy the one that may begin the next reign?  Caller holds vol->admin. */
bool blkcast_super_is_heir(struct blkcast_volume *v)
{
	return !memcmp(v->super->heir, v->super->node, sizeof(v->super->heir));
}

/**
 * blkcast_super_set_heir() - durably record who may begin the next reign
 * @v: the volume
 * @heir: id of a copy; NULL: nobody that this copy knows of
 */
int blkcast_super_set_heir(struct blkcast_volume *v, const u8 *heir)
{
	struct blkcast_super *s = v->super;
	u8 old[sizeof(s->heir)];
	int err = 0;

	mutex_lock(&v->super_lock);
	memcpy(old, s->heir, sizeof(old));
	super_put_heir(s, heir);
	if (memcmp(old, s->heir, sizeof(old)) || v->super_stale) {
		err = super_write_locked(v);
		/* Who may have been named on disk is not named again. */
		if (err)
			super_put_heir(s, heir ? NULL : old);
	}
	mutex_unlock(&v->super_lock);
	return err;
}

/**
 * blkcast_super_lay_down() - durably end this copy's reign
 * @v: a primary; all it wrote is durable, its stamps are exact on disk
 * @heir: as in blkcast_super_set_heir()
 */
int blkcast_super_lay_down(struct blkcast_volume *v, const u8 *heir)
{
	struct blkcast_super *s = v->super;
	__le32 flags;
	int err;

	mutex_lock(&v->super_lock);
	flags = s->flags;
	s->flags &= ~cpu_to_le32(BLKCAST_SUPER_PRIMARY);
	super_put_heir(s, heir);
	err = super_write_locked(v);
	if (err) {
		s->flags = flags;
		super_put_heir(s, NULL);
	}
	mutex_unlock(&v->super_lock);
	return err;
}

/* Durably promise nothing to terms below. */
int blkcast_super_see_term(struct blkcast_volume *v, u32 term)
{
	__le32 old;
	int err = 0;

	mutex_lock(&v->super_lock);
	old = v->super->term;
	if (le32_to_cpu(old) < term) {
		v->super->term = cpu_to_le32(term);
		err = super_write_locked(v);
		if (err)
			v->super->term = old;
	}
	mutex_unlock(&v->super_lock);
	return err;
}

/* Reign id of a term in a history, 0 if it is not there. */
static u64 super_reign_id(const struct blkcast_reign *history, u32 count,
			   u32 term)
{
	while (count--)
		if (le32_to_cpu(history[count].term) == term)
			return le64_to_cpu(history[count].reign);
	return 0;
}

/* The least that a reign of @a that @b does not know has inherited. */
static u64 reigns_inherited(const struct blkcast_reign *a, u32 count_a,
			    const struct blkcast_reign *b, u32 count_b)
{
	u64 lsn = BLKCAST_LSN_DOUBT;

	while (count_a--) {
		if (super_reign_id(b, count_b, le32_to_cpu(a[count_a].term)) ==
		    le64_to_cpu(a[count_a].reign))
			break;
		lsn = min(lsn, le64_to_cpu(a[count_a].inherited));
	}
	return lsn;
}

/* The newest LSN that this copy and a primary of that history may share. */
u64 blkcast_super_branch(struct blkcast_volume *v,
			 const struct blkcast_reign *history, u32 count)
{
	const struct blkcast_super *s = v->super;
	u32 mine = le32_to_cpu(s->reigns);

	return min(reigns_inherited(history, count, s->history, mine),
		   reigns_inherited(s->history, mine, history, count));
}

static void super_clear_members(struct blkcast_super *s)
{
	memset(s->member, 0, sizeof(s->member));
	s->members = 0;
}

u32 blkcast_super_flags(struct blkcast_volume *v)
{
	return le32_to_cpu(READ_ONCE(v->super->flags));
}

/*
 * The newest term that a history shares with this copy's: this one and all before
 * it are the same reigns, though the oldest may have fallen out of either.
 */
u32 blkcast_super_common_term(struct blkcast_volume *v,
			      const struct blkcast_reign *history, u32 count)
{
	const struct blkcast_super *s = v->super;

	while (count--) {
		u32 term = le32_to_cpu(history[count].term);

		if (super_reign_id(s->history, le32_to_cpu(s->reigns), term) ==
		    le64_to_cpu(history[count].reign))
			return term;
	}
	return 0;
}

/**
 * blkcast_super_begin_reign() - durably record that this copy is primary
 * @v: the volume
 * @term: above all that were seen
 * @reign: random id
 * @inherited: newest LSN up to which this copy holds all of the reign before; 0:
 *	not known
 */
int blkcast_super_begin_reign(struct blkcast_volume *v, u32 term, u64 reign,
			      u64 inherited)
{
	struct blkcast_super *s = v->super, *saved;
	u32 n, flags;
	int err;

	saved = kmemdup(s, sizeof(*s), GFP_KERNEL);
	if (!saved)
		return -ENOMEM;
	mutex_lock(&v->super_lock);
	n = le32_to_cpu(s->reigns);
	if (n == BLKCAST_HISTORY_MAX)
		memmove(s->history, s->history + 1, --n * sizeof(*s->history));
	s->history[n] = (struct blkcast_reign){
		.term = cpu_to_le32(term),
		.reign = cpu_to_le64(reign),
		.inherited = cpu_to_le64(inherited),
	};
	memcpy(s->history[n].copy, s->node, sizeof(s->history[n].copy));
	s->reigns = cpu_to_le32(n + 1);
	s->term = cpu_to_le32(term);
	flags = le32_to_cpu(s->flags);
	flags &= ~(BLKCAST_SUPER_INCONSISTENT | BLKCAST_SUPER_DISCARD);
	s->flags = cpu_to_le32(flags | BLKCAST_SUPER_PRIMARY | BLKCAST_SUPER_OWN);
	s->position = 0;
	super_clear_members(s);
	super_put_heir(s, s->node);
	err = super_write_locked(v);
	if (err) {
		/* The term may be on disk: forget the reign, never the count. */
		saved->generation = s->generation;
		memcpy(s, saved, sizeof(*s));
	}
	mutex_unlock(&v->super_lock);
	kfree(saved);
	return err;
}

/**
 * blkcast_super_adopt() - durably follow a primary's history
 * @v: the volume
 * @term: the primary's term, the last one of @history
 * @history: its reigns, oldest first
 * @count: how many
 *
 * The regions whose reign the two do not share are in doubt on stable storage
 * already (rule 22).  What this copy wrote in a reign of its own, and its
 * position, count no more: the link that follows changes the copy.
 */
int blkcast_super_adopt(struct blkcast_volume *v, u32 term,
			const struct blkcast_reign *history, u32 count)
{
	const __le32 own = cpu_to_le32(BLKCAST_SUPER_PRIMARY | BLKCAST_SUPER_OWN |
				       BLKCAST_SUPER_DISCARD);
	struct blkcast_super *s = v->super;
	int err = 0;

	mutex_lock(&v->super_lock);
	if (le32_to_cpu(s->term) != term || le32_to_cpu(s->reigns) != count ||
	    memcmp(s->history, history, count * sizeof(*history)) ||
	    s->flags & own || s->position || super_has_heir(s) ||
	    v->super_stale) {
		memset(s->history, 0, sizeof(s->history));
		memcpy(s->history, history, count * sizeof(*history));
		s->reigns = cpu_to_le32(count);
		s->term = cpu_to_le32(term);
		s->flags &= ~own;
		s->position = 0;
		super_clear_members(s);
		super_put_heir(s, NULL);
		err = super_write_locked(v);
	}
	mutex_unlock(&v->super_lock);
	return err;
}
