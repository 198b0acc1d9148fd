// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Volumes: up, down, primary, replica; the block device they offer.
 *
 * A volume comes up as a replica, read-only, from what its metadata say.  It
 * becomes primary when it is told to, with a term above all it has seen
 * (rule 1), and starts its reign with a flush (rule 21).  Going down, and going
 * back to replica, takes in no more writes, waits for those under way, flushes.
 * Partitions are there while it is primary.
 */
#include <linux/idr.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "link.h"

#define HANDOVER_WAIT	(10 * HZ)	/* for replicas to take the last writes */

DEFINE_MUTEX(blkcast_volumes_lock);
LIST_HEAD(blkcast_volumes);
struct workqueue_struct *blkcast_wq;

static DEFINE_MUTEX(up_lock);	/* volumes come up one at a time */
static int blkcast_major;
static DEFINE_IDA(minors);

/* ---- the block device ---- */

BLKCAST_DISK_OPEN(volume_open)
{
	struct blkcast_volume *v = blkcast_open_disk()->private_data;
	int err = 0;

	spin_lock_irq(&v->lock);
	if (v->gone)
		err = -ENXIO;
	else if (blkcast_open_writes() && !v->accepting)
		err = -EROFS;
	else
		v->openers++;
	spin_unlock_irq(&v->lock);
	return err;
}

BLKCAST_DISK_RELEASE(volume_release)
{
	struct blkcast_volume *v = disk->private_data;

	spin_lock_irq(&v->lock);
	v->openers--;
	spin_unlock_irq(&v->lock);
}

static const struct block_device_operations volume_fops = {
	.owner = THIS_MODULE,
	.submit_bio = blkcast_submit_bio,
	.open = volume_open,
	.release = volume_release,
};

/* /sys/block/blkcastN/volume: the name, for udev. */
static ssize_t volume_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	struct blkcast_volume *v = dev_to_disk(dev)->private_data;

	return sysfs_emit(buf, "%s\n", v->name);
}
static DEVICE_ATTR_RO(volume);

static struct attribute *volume_attrs[] = { &dev_attr_volume.attr, NULL };
ATTRIBUTE_GROUPS(volume);

/* Number and name a disk.  Return: the number, or a negative errno. */
int blkcast_minor_get(struct gendisk *disk)
{
	int minor = ida_alloc_max(&minors, MINORMASK, GFP_KERNEL);

	if (minor < 0)
		return minor;
	disk->major = blkcast_major;
	disk->first_minor = minor;
	disk->minors = 1;
	snprintf(disk->disk_name, DISK_NAME_LEN, "blkcast%d", minor);
	return minor;
}

void blkcast_minor_put(int minor)
{
	ida_free(&minors, minor);
}

static int volume_disk_add(struct blkcast_volume *v)
{
	int err;

	v->disk = blkcast_disk_alloc(v->backing.bdev);
	if (IS_ERR(v->disk))
		return PTR_ERR(v->disk);
	v->minor = blkcast_minor_get(v->disk);
	if (v->minor < 0) {
		err = v->minor;
		goto out_put_disk;
	}
	v->disk->fops = &volume_fops;
	v->disk->private_data = v;
	set_capacity(v->disk, v->sectors);
	set_disk_ro(v->disk, true);
	set_bit(GD_SUPPRESS_PART_SCAN, &v->disk->state);
	err = device_add_disk(NULL, v->disk, volume_groups);
	if (!err)
		return 0;
	blkcast_minor_put(v->minor);
out_put_disk:
	put_disk(v->disk);
	return err;
}

static void volume_disk_del(struct blkcast_volume *v)
{
	del_gendisk(v->disk);
	put_disk(v->disk);
	blkcast_minor_put(v->minor);
}

/*
 * A primary has the partitions that its table tells of now; a replica none, for
 * its table changes beneath it.  While a partition is open they stay, until the
 * device is next opened.
 */
static void volume_show_partitions(struct blkcast_volume *v, bool show)
{
	struct gendisk *disk = v->disk;

	assign_bit(GD_SUPPRESS_PART_SCAN, &disk->state, !show);
	set_bit(GD_NEED_PART_SCAN, &disk->state);
	mutex_lock(&disk->open_mutex);
	bdev_disk_changed(disk, false);
	mutex_unlock(&disk->open_mutex);
}

/* ---- the turn: who runs the steps of ops, one at a time ---- */

/**
 * blkcast_turn_take() - run an op's step here and now?
 * @v: the volume; caller holds vol->lock
 *
 * That spares a change of context.  Who has the turn beside vol->thread must not wait for
 * what other ops hold: they may need the turn to give it back.
 *
 * Return: true if nobody runs a step and none is due; then blkcast_turn_over() is due.
 */
bool blkcast_turn_take(struct blkcast_volume *v)
{
	lockdep_assert_held(&v->lock);
	if (v->turn || !list_empty(&v->ready))
		return false;
	v->turn = true;
	return true;
}

/* What has become due meanwhile is the thread's. */
void blkcast_turn_over(struct blkcast_volume *v)
{
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	v->turn = false;
	if (!list_empty(&v->ready))
		wake_up(&v->wake);
	spin_unlock_irqrestore(&v->lock, flags);
}

/* Take the turn for all ops whose step is due. */
static bool turn_take_all(struct blkcast_volume *v, struct list_head *ops)
{
	bool due;

	if (list_empty_careful(&v->ready))
		return false;
	spin_lock_irq(&v->lock);
	due = !v->turn && !list_empty(&v->ready);
	if (due) {
		v->turn = true;
		list_splice_init(&v->ready, ops);
	}
	spin_unlock_irq(&v->lock);
	return due;
}

static struct blkcast_op *op_pop(struct list_head *ops)
{
	struct blkcast_op *op;

	op = list_first_entry_or_null(ops, struct blkcast_op, node);
	if (op)
		list_del_init(&op->node);
	return op;
}

static int volume_thread(void *data)
{
	unsigned int noio = memalloc_noio_save();
	struct blkcast_volume *v = data;
	struct blk_plug plug;
	struct blkcast_op *op;
	LIST_HEAD(ops);

	while (!kthread_should_stop()) {
		wait_event_interruptible(v->wake, turn_take_all(v, &ops) ||
					 kthread_should_stop());
		if (list_empty(&ops))
			continue;
		blk_start_plug(&plug);
		while ((op = op_pop(&ops)))
			op->step(op);
		blk_finish_plug(&plug);
		blkcast_turn_over(v);
	}
	memalloc_noio_restore(noio);
	return 0;
}

/* ---- up ---- */

static const char *backing_refusal(struct block_device *bdev)
{
	if (bdev_is_zoned(bdev))
		return "zoned backing devices are not supported";
	if (blk_queue_dax(bdev_get_queue(bdev)))
		return "DAX backing devices are not supported";
	if (bdev_get_integrity(bdev))
		return "integrity-protected backing devices are not supported";
	if (bdev_logical_block_size(bdev) > BLKCAST_BLOCK_SIZE)
		return "backing device has blocks larger than 4 KiB";
	if (bdev_read_only(bdev))
		return "backing device is read-only";
	return NULL;
}

static int volume_open_devices(struct blkcast_volume *v,
			       const struct blkcast_volume_params *p,
			       struct netlink_ext_ack *extack)
{
	const char *refusal;
	int err;

	err = blkcast_bdev_open(&v->backing, p->backing, v, true);
	if (err) {
		NL_SET_ERR_MSG(extack, "cannot open the backing device for itself");
		return err;
	}
	refusal = backing_refusal(v->backing.bdev);
	if (refusal) {
		if (extack)
			extack->_msg = refusal;
		err = -EOPNOTSUPP;
		goto out_close_backing;
	}
	v->block = bdev_logical_block_size(v->backing.bdev);
	v->meta_internal = p->meta == p->backing;
	v->meta = v->backing;
	if (v->meta_internal)
		return 0;
	err = blkcast_bdev_open(&v->meta, p->meta, v, false);
	if (err) {
		NL_SET_ERR_MSG(extack, "cannot open the metadata device for itself");
		goto out_close_backing;
	}
	return 0;

out_close_backing:
	blkcast_bdev_close(&v->backing);
	return err;
}

/* Who asks for the state of the volume may still be around: they go together. */
static void volume_close_devices(struct blkcast_volume *v)
{
	struct blkcast_bdev backing = v->backing, meta = v->meta;

	spin_lock_irq(&v->lock);
	v->backing.bdev = NULL;
	v->meta.bdev = NULL;
	spin_unlock_irq(&v->lock);
	if (!v->meta_internal)
		blkcast_bdev_close(&meta);
	blkcast_bdev_close(&backing);
}

/* All that needs no device.  Freed by volume_free(). */
static struct blkcast_volume *volume_alloc(const struct blkcast_volume_params *p)
{
	struct blkcast_volume *v = kzalloc(sizeof(*v), GFP_KERNEL);

	if (!v)
		return NULL;
	if (!try_module_get(THIS_MODULE)) {
		kfree(v);
		return NULL;
	}
	strscpy(v->name, p->name, sizeof(v->name));
	kref_init(&v->refs);
	mutex_init(&v->admin);
	mutex_init(&v->super_lock);
	spin_lock_init(&v->lock);
	init_waitqueue_head(&v->wake);
	init_waitqueue_head(&v->idle);
	INIT_LIST_HEAD(&v->ready);
	INIT_LIST_HEAD(&v->log);
	INIT_LIST_HEAD(&v->waiting);
	INIT_LIST_HEAD(&v->links);
	INIT_LIST_HEAD(&v->away);
	spin_lock_init(&v->pages_lock);
	INIT_LIST_HEAD(&v->pages);
	blkcast_views_setup(v);
	blkcast_members_init(v);
	blkcast_policy_init(v);
	blkcast_lease_init(v);
	blkcast_flush_init(v);
	v->log_budget = p->backlog;
	v->resync_rate = BLKCAST_RESYNC_RATE_DEFAULT;
	v->backing_dev = p->backing;
	v->meta_dev = p->meta;
	return v;
}

static int volume_alloc_pools(struct blkcast_volume *v)
{
	int err;

	v->super = kmalloc(BLKCAST_BLOCK_SIZE, GFP_KERNEL);
	v->ranges = kvmalloc_array(BLKCAST_RANGE_BUCKETS, sizeof(*v->ranges),
				   GFP_KERNEL);
	v->shown = kmalloc(BLKCAST_BLOCK_SIZE, GFP_KERNEL);
	if (!v->super || !v->shown || !v->ranges)
		return -ENOMEM;
	blkcast_range_init(v);
	err = blkcast_reads_init(v) ?: blkcast_op_pools_init(v);
	if (!err)
		err = bioset_init(&v->split_bios, BIO_POOL_SIZE, 0, 0);
	if (!err)
		err = bioset_init(&v->io_bios, BIO_POOL_SIZE, 0,
				  BIOSET_NEED_BVECS);
	return err;
}

static void volume_free(struct blkcast_volume *v)
{
	blkcast_lag_forget(v);
	blkcast_reads_free(v);
	blkcast_views_free(v);
	blkcast_map_free(v);
	blkcast_repairs_free(v);
	bioset_exit(&v->io_bios);
	bioset_exit(&v->split_bios);
	blkcast_op_pools_exit(v);
	kvfree(v->ranges);
	kfree(v->shown);
	kfree(v->super);
	kfree(v);
	module_put(THIS_MODULE);
}

static void volume_release_ref(struct kref *refs)
{
	volume_free(container_of(refs, struct blkcast_volume, refs));
}

void blkcast_volume_put(struct blkcast_volume *v)
{
	kref_put(&v->refs, volume_release_ref);
}

static int volume_start(struct blkcast_volume *v,
			const struct blkcast_volume_params *p,
			struct netlink_ext_ack *extack)
{
	int err;

	err = volume_alloc_pools(v);
	if (err)
		return err;
	err = blkcast_super_load(v, p->meta_end, extack);
	if (err)
		return err;
	err = blkcast_map_load(v);
	if (err) {
		NL_SET_ERR_MSG(extack, "no memory for the stamp map");
		return err;
	}
	/* What was never written reads as zeros no more. */
	if (v->map.damaged)
		err = blkcast_super_set_flags(v, BLKCAST_SUPER_INCONSISTENT, 0);
	/* A block that cannot be written either fails the writes that need it. */
	if (v->map.damaged && !err)
		blkcast_map_keep_doubts(v);
	if (err) {
		NL_SET_ERR_MSG(extack, "cannot write the metadata");
		return err;
	}
	v->thread = kthread_create(volume_thread, v, "blkcast/%s", v->name);
	if (IS_ERR(v->thread))
		return PTR_ERR(v->thread);
	err = volume_disk_add(v);
	if (err) {
		kthread_stop(v->thread);
		return err;
	}
	wake_up_process(v->thread);
	queue_delayed_work(v->map.wq, &v->map.clean_work, HZ);
	return 0;
}

static struct blkcast_volume *volume_lookup(const char *name)
{
	struct blkcast_volume *v;

	lockdep_assert_held(&blkcast_volumes_lock);
	list_for_each_entry(v, &blkcast_volumes, node)
		if (!strcmp(v->name, name))
			return v;
	return NULL;
}

/* Find by name and take a reference, or NULL. */
struct blkcast_volume *blkcast_volume_find(const char *name)
{
	struct blkcast_volume *v;

	mutex_lock(&blkcast_volumes_lock);
	v = volume_lookup(name);
	if (v)
		kref_get(&v->refs);
	mutex_unlock(&blkcast_volumes_lock);
	return v;
}

/**
 * blkcast_volume_up() - bring a volume up as a replica
 * @p: names, devices, sizes
 * @minor: set to N of /dev/blkcastN
 * @extack: takes the reason of a refusal
 *
 * Errors: see UP in uapi/blkcast_netlink.h.
 */
int blkcast_volume_up(const struct blkcast_volume_params *p, u32 *minor,
		      struct netlink_ext_ack *extack)
{
	struct blkcast_volume *v;
	int err;

	mutex_lock(&up_lock);
	v = blkcast_volume_find(p->name);
	if (v) {
		blkcast_volume_put(v);
		NL_SET_ERR_MSG(extack, "the volume is up already");
		err = -EEXIST;
		goto out_unlock;
	}
	v = volume_alloc(p);
	if (!v) {
		err = -ENOMEM;
		goto out_unlock;
	}
	err = volume_open_devices(v, p, extack);
	if (err)
		goto out_free;
	err = volume_start(v, p, extack);
	if (err)
		goto out_close;
	*minor = v->minor;
	vol_info(v, "up: %llu sectors, term %u\n", (u64)v->sectors, v->term);
	blkcast_event(v, BLKCAST_EVENT_VOLUME_UP, NULL, 0);
	/* Once it is on the list it may go down at any moment. */
	mutex_lock(&blkcast_volumes_lock);
	list_add_tail(&v->node, &blkcast_volumes);
	mutex_unlock(&blkcast_volumes_lock);
	mutex_unlock(&up_lock);
	return 0;

out_close:
	blkcast_flush_stop(v);
	volume_close_devices(v);
out_free:
	volume_free(v);
out_unlock:
	mutex_unlock(&up_lock);
	return err;
}

/* ---- down ---- */

static bool ops_gone(struct blkcast_volume *v)
{
	bool gone;

	spin_lock_irq(&v->lock);
	gone = !v->ops;
	spin_unlock_irq(&v->lock);
	return gone;
}

static bool links_caught_up(struct blkcast_volume *v)
{
	struct blkcast_link *l;
	bool behind = false;

	spin_lock_irq(&v->lock);
	list_for_each_entry(l, &v->links, node)
		behind |= l->state >= BLKCAST_LINK_JOINING && l->unapplied;
	spin_unlock_irq(&v->lock);
	return !behind;
}

/* No more writes come in: bring those under way to their end, everywhere. */
static void volume_drain(struct blkcast_volume *v)
{
	spin_lock_irq(&v->lock);
	blkcast_policy_update(v);
	spin_unlock_irq(&v->lock);
	/* A replica that does not answer is not waited for any longer than that. */
	if (!wait_event_timeout(v->idle, ops_gone(v), HANDOVER_WAIT))
		blkcast_links_drop(v);
	wait_event(v->idle, ops_gone(v));
	/* Their last writes reach the replicas that follow closely. */
	wait_event_timeout(v->idle, links_caught_up(v), HANDOVER_WAIT);
}

static void volume_quiesce(struct blkcast_volume *v)
{
	volume_drain(v);
	blkcast_links_drop(v);
	/* A link that came in sync meanwhile has put a flush on its way. */
	wait_event(v->idle, ops_gone(v));
	spin_lock_irq(&v->lock);
	blkcast_log_keep(v, false);
	spin_unlock_irq(&v->lock);
}

/* A replica that comes back goes on where it was (replica.c, inv. 6). */
static void volume_keep_position(struct blkcast_volume *v)
{
	if (v->role == BLKCAST_ROLE_REPLICA && v->position &&
	    !(blkcast_super_flags(v) & BLKCAST_SUPER_INCONSISTENT) &&
	    !blkcast_map_in_doubt(v) &&
	    blkcast_super_set_position(v, v->position))
		vol_warn(v, "its position is lost: stamps will be compared\n");
}

/* Nobody has it open, and nobody can open it for writing from now on. */
static bool volume_claim(struct blkcast_volume *v, bool gone)
{
	bool free;

	spin_lock_irq(&v->lock);
	free = !v->openers && !(gone && blkcast_views_open(v));
	if (free) {
		v->accepting = false;
		v->gone = gone;
		if (gone)
			blkcast_views_close(v);
	}
	spin_unlock_irq(&v->lock);
	return free;
}

/* Who has it open may be a writer that waits for ever: say how to end that. */
static int refuse_open(struct blkcast_volume *v, struct netlink_ext_ack *extack)
{
	if (READ_ONCE(v->closed_since))
		NL_SET_ERR_MSG(extack,
			       "the volume's device is open and its writes wait: set --on-loss error, or resume, ends that");
	else if (!READ_ONCE(v->openers))
		NL_SET_ERR_MSG(extack, "the device of a view is open");
	else
		NL_SET_ERR_MSG(extack, "the volume's device is open");
	return -EBUSY;
}

/* Caller holds vol->admin.  Errors: see DOWN in uapi/blkcast_netlink.h. */
int blkcast_volume_down(struct blkcast_volume *v, struct netlink_ext_ack *extack)
{
	bool bad;
	int err;

	lockdep_assert_held(&v->admin);
	if (!volume_claim(v, true))
		return refuse_open(v, extack);
	mutex_lock(&blkcast_volumes_lock);
	list_del(&v->node);
	mutex_unlock(&blkcast_volumes_lock);
	volume_quiesce(v);
	blkcast_members_stop(v);
	blkcast_views_drop(v);
	blkcast_lease_stop(v);
	blkcast_policy_stop(v);
	volume_disk_del(v);
	blkcast_repairs_stop(v);
	bad = blkcast_repair_settle(v) || v->detached;
	err = blkcast_map_close(v);
	if (err)
		vol_warn(v, "stamps not written: active groups will be in doubt\n");
	else
		volume_keep_position(v);
	if (v->role == BLKCAST_ROLE_PRIMARY &&
	    (err || bad || blkcast_reign_lay_down(v)))
		vol_warn(v, "the reign could not be laid down\n");
	blkcast_flush_stop(v);
	kthread_stop(v->thread);
	volume_close_devices(v);
	vol_info(v, "down\n");
	blkcast_event(v, BLKCAST_EVENT_VOLUME_DOWN, NULL, 0);
	blkcast_volume_put(v);
	return 0;
}

/* ---- primary and replica ---- */

static int promote_check(struct blkcast_volume *v, const struct blkcast_promotion *p,
			 struct netlink_ext_ack *extack)
{
	if (v->role == BLKCAST_ROLE_PRIMARY) {
		NL_SET_ERR_MSG(extack, "is primary already");
		return -EALREADY;
	}
	if (v->detached) {
		NL_SET_ERR_MSG(extack, "its device has been detached: take it down");
		return -ENODEV;
	}
	if (!p->reign || p->term > BLKCAST_TERM_MAX) {
		NL_SET_ERR_MSG(extack, "term or reign id out of range");
		return -ERANGE;
	}
	if (p->term <= le32_to_cpu(v->super->term) ||
	    p->term <= blkcast_lsn_term(v->lsn)) {
		NL_SET_ERR_MSG(extack, "the term is not above all this copy has seen");
		return -ESTALE;
	}
	if (!volume_claim(v, false)) {
		/* What readers have in the page cache may be old. */
		NL_SET_ERR_MSG(extack, "the volume's device is open");
		return -EBUSY;
	}
	if (blkcast_super_flags(v) & BLKCAST_SUPER_INCONSISTENT && !p->force) {
		NL_SET_ERR_MSG(extack,
			       "this copy is inconsistent: a resync did not finish, or its map is damaged");
		return -EUCLEAN;
	}
	if (v->managed && v->ack != BLKCAST_ACK_DISK) {
		NL_SET_ERR_MSG(extack, "membership=managed goes with ack=disk");
		return -EINVAL;
	}
	/* Rule 20. */
	if (!blkcast_super_is_heir(v) && !p->force) {
		NL_SET_ERR_MSG(extack,
			       "the last reign was not handed over to this copy: it may have been left behind");
		return -ENOTUNIQ;
	}
	if (p->lease && p->lease <= ktime_get_boottime_ns()) {
		NL_SET_ERR_MSG(extack, "its lease is over already: it takes a later one");
		return -ETIME;
	}
	return blkcast_lease_check(p->lease, extack);
}

/*
 * Nothing can be claimed where a region is in doubt: its newest write may be the
 * one that failed here.
 */
static u64 reign_inherits(struct blkcast_volume *v)
{
	if (blkcast_super_flags(v) & BLKCAST_SUPER_INCONSISTENT ||
	    blkcast_map_in_doubt(v))
		return 0;
	return v->lsn;
}

/* Caller holds vol->admin.  Errors: see PRIMARY in uapi/blkcast_netlink.h. */
int blkcast_volume_promote(struct blkcast_volume *v, const struct blkcast_promotion *p,
			   struct netlink_ext_ack *extack)
{
	u64 first = blkcast_lsn(p->term, 1);
	int err;

	lockdep_assert_held(&v->admin);
	err = promote_check(v, p, extack);
	if (err)
		return err;
	blkcast_links_drop(v);
	/* What came last may have changed the answer. */
	err = promote_check(v, p, extack);
	if (err)
		return err;
	err = blkcast_flush(v) ?:
	      blkcast_super_begin_reign(v, p->term, p->reign, reign_inherits(v));
	if (err)
		return err;
	blkcast_lag_forget(v);
	/* From here on a failed flush restamps; then the doubts there are. */
	spin_lock_irq(&v->lock);
	v->role = BLKCAST_ROLE_PRIMARY;
	v->term = p->term;
	v->lsn = first;
	v->log_floor = first;
	v->position = 0;
	v->deposed = 0;
	v->members = 0;
	v->members_hold = false;
	v->flush_lost = false;
	v->halted = false;
	blkcast_lease_begin(v, p->lease);
	blkcast_policy_update(v);
	spin_unlock_irq(&v->lock);
	blkcast_map_settle_doubt(v, first);
	invalidate_bdev(v->disk->part0);
	set_disk_ro(v->disk, false);
	/* Rule 21: ahead of all writes. */
	blkcast_write_flush(v);
	spin_lock_irq(&v->lock);
	v->accepting = true;
	spin_unlock_irq(&v->lock);
	volume_show_partitions(v, true);
	vol_info(v, "primary, term %u\n", p->term);
	blkcast_event(v, BLKCAST_EVENT_ROLE, NULL, 0);
	return 0;
}

/*
 * @heir: name of the link to the copy that may begin the next reign; NULL: this
 * one.  -ENOLINK: not ended.  Another error: ended all the same.
 */
static int reign_end(struct blkcast_volume *v, const char *heir,
		     struct netlink_ext_ack *extack)
{
	int err = 0;
	bool bad;

	if (!volume_claim(v, false))
		return refuse_open(v, extack);
	set_disk_ro(v->disk, true);
	volume_drain(v);
	if (heir)
		err = blkcast_reign_hand_over(v, heir, extack);
	if (err == -ENOLINK) {
		set_disk_ro(v->disk, false);
		spin_lock_irq(&v->lock);
		v->accepting = true;
		blkcast_policy_update(v);
		spin_unlock_irq(&v->lock);
		return err;
	}
	volume_quiesce(v);
	blkcast_members_stop(v);
	bad = blkcast_repair_settle(v) || v->detached;
	/* A flush that fails here still restamps: it is a primary's. */
	if (!heir && (blkcast_map_clean(v) || bad || blkcast_reign_lay_down(v)))
		vol_warn(v, "the reign could not be laid down: it counts as crashed\n");
	spin_lock_irq(&v->lock);
	v->role = BLKCAST_ROLE_REPLICA;
	v->term = le32_to_cpu(v->super->term);
	v->deposed = 0;
	v->halted = false;
	blkcast_lease_begin(v, 0);
	blkcast_policy_update(v);
	spin_unlock_irq(&v->lock);
	volume_show_partitions(v, false);
	blkcast_map_newest(v);
	vol_info(v, "replica\n");
	blkcast_event(v, BLKCAST_EVENT_ROLE, NULL, 0);
	return err;
}

/*
 * What a copy that gives its own up has counts no more, as long as nobody has
 * replaced it.
 */
static int volume_discard(struct blkcast_volume *v)
{
	return blkcast_super_set_heir(v, NULL) ?:
	       blkcast_super_set_flags(v, BLKCAST_SUPER_DISCARD, 0);
}

/* Caller holds vol->admin.  Errors: see REPLICA in uapi/blkcast_netlink.h. */
int blkcast_volume_demote(struct blkcast_volume *v, const char *heir,
			  bool discard, struct netlink_ext_ack *extack)
{
	int err = 0;

	lockdep_assert_held(&v->admin);
	if (v->role == BLKCAST_ROLE_PRIMARY)
		err = reign_end(v, heir, extack);
	if (err || discard)
		return err ?: volume_discard(v);
	return 0;
}

int __init blkcast_volumes_init(void)
{
	blkcast_wq = alloc_workqueue("blkcast", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!blkcast_wq)
		return -ENOMEM;
	blkcast_major = register_blkdev(0, "blkcast");
	if (blkcast_major < 0) {
		destroy_workqueue(blkcast_wq);
		return blkcast_major;
	}
	return 0;
}

void blkcast_volumes_exit(void)
{
	unregister_blkdev(blkcast_major, "blkcast");
	destroy_workqueue(blkcast_wq);
	ida_destroy(&minors);
}
