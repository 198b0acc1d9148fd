// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The replica's end of a link: receive, apply, acknowledge.
 *
 * The receiver takes frames in order.  For a write it sets the region's stamp
 * at once (what has arrived is applied, or its region is in doubt: rule 2),
 * queues it for its range and the pen, and goes on; writes that overlap are
 * applied in order, others side by side.  Positions are cumulative: the sender
 * thread acknowledges how far *all* frames have come.  What the primary asks of
 * this copy's content is answered in answer.c.
 *
 *  1. A frame not newer than its region's stamp is acknowledged, not applied.
 *  2. A FLUSH waits for all before it, flushes, and only then lets anything
 *     behind it in: after a loss of power this copy is crash-consistent.
 *  3. GAP marks the copy inconsistent, durably, before any later frame.
 *  4. From its first piece until it is whole a copied region is in doubt.
 *  5. A write that fails here puts its region in doubt and ends the link.
 *  6. vol->position is an LSN up to which this copy is the stream and nothing
 *     else (0: not known): set by DONE and by what is applied while in sync,
 *     cleared by GAP.  A returning link starts with it (POSITION).
 *  7. This copy has the size that the primary has said last (SIZE), and nothing of
 *     another size is under way when it changes.
 */
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "link.h"
#include "trace.h"

static void apply_commit(struct blkcast_op *op);

/* ---- applying ---- */

/*
 * While it is in sync this copy is the stream up to what is applied.  Caller
 * holds vol->lock.
 */
static void position_advance(struct blkcast_link *l)
{
	if (l->state == BLKCAST_LINK_IN_SYNC)
		l->vol->position = l->applied;
}

/* Let go of what is applied, in order of arrival.  Caller holds vol->lock. */
void blkcast_applied_advance(struct blkcast_link *l)
{
	struct blkcast_op *op, *next;

	list_for_each_entry_safe(op, next, &l->applying, apply_node) {
		if (!op->applied)
			break;
		/* Inv. 5: nothing from a failure on is acknowledged. */
		if (!l->local_error) {
			l->seq_applied = op->seq;
			l->applied = max(l->applied, op->lsn);
			position_advance(l);
			if (op->as_of)
				WRITE_ONCE(l->vol->fresh_as_of, op->as_of);
		}
		l->applying_bytes -= blkcast_op_memory(op);
		list_del_init(&op->apply_node);
		blkcast_op_put(op);
		l->ack_due = true;
	}
	wake_up_all(&l->wake);
}

static void apply_end(struct blkcast_op *op, int error)
{
	struct blkcast_volume *v = op->vol;
	struct blkcast_link *l = op->link;
	u64 now = ktime_get_ns();
	unsigned long flags;

	trace_blkcast_replica_applied(v->minor, l->id, op->lsn,
				      blkcast_op_bytes(op), op->start, now);
	spin_lock_irqsave(&v->lock, flags);
	blkcast_range_leave(op);
	if (error) {
		blkcast_view_failed(op, error);
		blkcast_map_stamp(v, op->region, BLKCAST_LSN_DOUBT);
		l->local_error = error;
		blkcast_event_error(v, error);
	}
	blkcast_map_end(op);
	l->apply_ns = now - op->start;
	op->applied = true;
	blkcast_applied_advance(l);
	spin_unlock_irqrestore(&v->lock, flags);
}

static void apply_granted(struct blkcast_op *op)
{
	op->step = apply_commit;
	if (blkcast_map_ready(op))
		apply_commit(op);
}

static void apply_commit(struct blkcast_op *op)
{
	op->end = apply_end;
	if (op->error || op->kind == BLKCAST_OP_LOCK)
		apply_end(op, op->error);
	else
		blkcast_view_submit(op, 0);
}

/* Queue an op for its range.  @stamp: what its region gets with its arrival. */
static void apply_start(struct blkcast_op *op, u64 stamp)
{
	struct blkcast_volume *v = op->vol;
	struct blkcast_link *l = op->link;
	bool mine;

	op->step = apply_granted;
	spin_lock_irq(&v->lock);
	list_add_tail(&op->apply_node, &l->applying);
	l->applying_bytes += blkcast_op_memory(op);
	v->writes += blkcast_op_writes(op);
	v->write_bytes += blkcast_op_writes(op) ? blkcast_op_bytes(op) : 0;
	/* Inv. 5 outlives the frames that come before the link's end. */
	blkcast_map_stamp(v, op->region,
			  l->local_error ? BLKCAST_LSN_DOUBT : stamp);
	blkcast_view_enlist(op);
	blkcast_map_begin(op);
	mine = blkcast_range_enter(op);
	spin_unlock_irq(&v->lock);
	if (mine)
		apply_granted(op);
}

/* A frame that leaves nothing to apply but has a place in the order. */
static void apply_nothing(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;
	struct blkcast_link *l = op->link;

	spin_lock_irq(&v->lock);
	list_add_tail(&op->apply_node, &l->applying);
	l->applying_bytes += blkcast_op_memory(op);
	op->applied = true;
	blkcast_applied_advance(l);
	spin_unlock_irq(&v->lock);
}

static bool applying_below(struct blkcast_link *l, u32 bytes)
{
	bool below;

	spin_lock_irq(&l->vol->lock);
	below = bytes ? l->applying_bytes < bytes : list_empty(&l->applying);
	spin_unlock_irq(&l->vol->lock);
	return below;
}

/* Everything that has arrived is applied.  Local I/O always ends. */
static void drain(struct blkcast_link *l)
{
	l->rx_late = true;
	wait_event(l->wake, applying_below(l, 0));
}

/* ---- frames ---- */

/* An op for what a frame brings, with its place in the order. */
struct blkcast_op *blkcast_frame_op(struct blkcast_link *l,
				    const struct blkcast_frame *f,
				    enum blkcast_op_kind kind)
{
	struct blkcast_op *op;

	if (!applying_below(l, BLKCAST_APPLYING_MAX)) {
		l->rx_late = true;
		wait_event(l->wake, applying_below(l, BLKCAST_APPLYING_MAX));
	}
	op = blkcast_op_alloc(l->vol, kind, &l->vol->op_pool);
	op->link = l;
	op->lsn = le64_to_cpu(f->lsn);
	op->seq = le64_to_cpu(f->seq);
	return op;
}

/* Move the stream on; its LSNs rise and belong to terms up to the link's. */
static int stream_pass(struct blkcast_link *l, const struct blkcast_frame *f)
{
	bool receipt = le16_to_cpu(f->flags) & BLKCAST_FRAME_RECEIPT;
	struct blkcast_volume *v = l->vol;
	u64 lsn = le64_to_cpu(f->lsn);
	int err = 0;

	spin_lock_irq(&v->lock);
	if (lsn <= l->received || blkcast_lsn_term(lsn) != l->term) {
		err = -EPROTO;
	} else {
		l->received = lsn;
		v->lsn = max(v->lsn, lsn);
		l->ack_due = true;
		if (receipt)
			wake_up_all(&l->wake);
	}
	spin_unlock_irq(&v->lock);
	return err;
}

/* Is its range one of the volume's, within one region, in whole blocks? */
bool blkcast_frame_range_valid(struct blkcast_volume *v,
			       const struct blkcast_frame *f)
{
	u64 sector = le64_to_cpu(f->sector);
	u32 sectors = le32_to_cpu(f->sectors);
	u32 block = bdev_logical_block_size(v->backing.bdev) >> SECTOR_SHIFT;

	return sectors && sector < v->sectors && sectors <= v->sectors - sector &&
	       sectors <= 1U << v->region_shift &&
	       blkcast_region(v, sector) == blkcast_region(v, sector + sectors - 1) &&
	       IS_ALIGNED(sector | sectors, block);
}

/* A WRITE or REGION with its data, checked, in an op. */
static struct blkcast_op *data_recv(struct blkcast_link *l,
				    const struct blkcast_frame *f)
{
	u32 sectors = le32_to_cpu(f->sectors);
	struct blkcast_op *op;
	int err;

	if (!blkcast_frame_range_valid(l->vol, f) || sectors > BLKCAST_OP_SECTORS_MAX ||
	    le32_to_cpu(f->length) != sectors << SECTOR_SHIFT)
		return ERR_PTR(-EPROTO);
	op = blkcast_frame_op(l, f, BLKCAST_OP_WRITE);
	blkcast_op_set_range(op, le64_to_cpu(f->sector), sectors);
	blkcast_op_alloc_pages(op);
	err = blkcast_frame_recv_op(l, f, op);
	if (err) {
		blkcast_op_put(op);
		return ERR_PTR(err);
	}
	op->start = ktime_get_ns();
	trace_blkcast_replica_received(l->vol->minor, l->id, op->lsn,
				       blkcast_op_bytes(op), op->start, op->start);
	return op;
}

/* Inv. 1.  Nothing streams into a region in doubt: something failed here. */
static int stream_apply(struct blkcast_op *op)
{
	struct blkcast_volume *v = op->vol;
	u64 stamp;

	spin_lock_irq(&v->lock);
	stamp = blkcast_map_get(v, op->region);
	spin_unlock_irq(&v->lock);
	if (stamp == BLKCAST_LSN_DOUBT) {
		blkcast_op_put(op);
		return -EIO;
	}
	if (op->lsn <= stamp)
		apply_nothing(op);
	else
		apply_start(op, op->lsn);
	return 0;
}

static int write_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	struct blkcast_op *op = data_recv(l, f);
	int err;

	if (IS_ERR(op))
		return PTR_ERR(op);
	err = stream_pass(l, f);
	if (err) {
		blkcast_op_put(op);
		return err;
	}
	return stream_apply(op);
}

static int zeroes_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	struct blkcast_op *op;
	int err;

	if (!blkcast_frame_range_valid(l->vol, f) || f->length)
		return -EPROTO;
	err = stream_pass(l, f);
	if (err)
		return err;
	op = blkcast_frame_op(l, f, BLKCAST_OP_ZEROES);
	blkcast_op_set_range(op, le64_to_cpu(f->sector), le32_to_cpu(f->sectors));
	return stream_apply(op);
}

static int nop_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	int err = f->length ? -EPROTO : stream_pass(l, f);

	if (!err)
		apply_nothing(blkcast_frame_op(l, f, BLKCAST_OP_NOP));
	return err;
}

/* A frame that is applied, as all before it are. */
static void seq_pass(struct blkcast_link *l, const struct blkcast_frame *f)
{
	spin_lock_irq(&l->vol->lock);
	l->seq_applied = le64_to_cpu(f->seq);
	l->ack_due = true;
	wake_up_all(&l->wake);
	spin_unlock_irq(&l->vol->lock);
}

static int backing_flush(struct blkcast_link *l)
{
	struct blkcast_volume *v = l->vol;
	u64 start = ktime_get_ns();
	int err;

	drain(l);
	if (READ_ONCE(l->local_error))
		return l->local_error;
	err = blkcast_flush(v);
	if (err) {
		l->local_error = err;
		wake_up_all(&l->wake);
		return err;
	}
	spin_lock_irq(&v->lock);
	l->flush_ns = ktime_get_ns() - start;
	/* Another's flush may have failed just before, and taken the data. */
	err = l->local_error;
	if (!err)
		l->durable = l->applied;
	spin_unlock_irq(&v->lock);
	return err;
}

/* Inv. 2.  Applied and durable are one thing for a flush: one step, one ack. */
static int flush_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	u64 lsn = le64_to_cpu(f->lsn), start = l->rx_when;
	int err;

	err = f->length ? -EPROTO : stream_pass(l, f) ?: backing_flush(l);
	if (err)
		return err;
	trace_blkcast_replica_durable(l->vol->minor, l->id, lsn, 0, start,
				      ktime_get_ns());
	spin_lock_irq(&l->vol->lock);
	l->applied = lsn;
	l->durable = lsn;
	position_advance(l);
	spin_unlock_irq(&l->vol->lock);
	seq_pass(l, f);
	return 0;
}

/* Inv. 3. */
static int gap_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	int err = f->length ? -EPROTO :
		  blkcast_super_set_flags(l->vol, BLKCAST_SUPER_INCONSISTENT, 0);

	drain(l);
	spin_lock_irq(&l->vol->lock);
	l->vol->position = 0;
	WRITE_ONCE(l->vol->fresh_as_of, 0);
	if (l->state == BLKCAST_LINK_IN_SYNC)
		blkcast_link_set_state(l, BLKCAST_LINK_RESYNC);
	spin_unlock_irq(&l->vol->lock);
	seq_pass(l, f);
	return err;
}

/* The first frame of a copy opens it; Inv. 4 wants the rest in order. */
static bool copy_begin(struct blkcast_link *l, const struct blkcast_frame *f)
{
	u64 sector = le64_to_cpu(f->sector), stamp = le64_to_cpu(f->lsn);
	struct blkcast_volume *v = l->vol;
	u32 region;

	if (l->copy_open || sector >= v->sectors || stamp == BLKCAST_LSN_NEVER ||
	    blkcast_lsn_term(stamp) > l->term)
		return false;
	region = blkcast_region(v, sector);
	if (sector != blkcast_region_start(v, region))
		return false;
	l->copy_region = region;
	l->copy_left = blkcast_region_sectors(v, region);
	l->copy_next = sector;
	l->copy_stamp = stamp;
	l->copy_sparse = le16_to_cpu(f->flags) & BLKCAST_FRAME_SPARSE;
	return true;
}

/* Take a piece out of what is to come. */
static bool copy_piece(struct blkcast_link *l, const struct blkcast_frame *f)
{
	u64 sector = le64_to_cpu(f->sector), gap;
	u32 sectors = le32_to_cpu(f->sectors);
	bool last = le16_to_cpu(f->flags) & BLKCAST_FRAME_LAST;

	if (!blkcast_frame_range_valid(l->vol, f) || sector < l->copy_next)
		return false;
	gap = sector - l->copy_next;
	if ((gap && !l->copy_sparse) || gap > l->copy_left ||
	    sectors > l->copy_left - gap)
		return false;
	l->copy_left -= gap + sectors;
	l->copy_next = sector + sectors;
	return l->copy_sparse ? !last : last == !l->copy_left;
}

static int region_data_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	struct blkcast_op *op;

	if (!copy_piece(l, f))
		return -EPROTO;
	op = data_recv(l, f);
	if (IS_ERR(op))
		return PTR_ERR(op);
	/* Its stamp is no position in the stream. */
	op->lsn = 0;
	l->copy_open = l->copy_sparse || l->copy_left;
	apply_start(op, l->copy_open ? BLKCAST_LSN_DOUBT : l->copy_stamp);
	return 0;
}

/*
 * The first and the last frame of a sparse copy have no content: the region is
 * in doubt in between.  The last goes through the pen like a write, so that the
 * new stamp gets to disk.
 */
static int region_bound_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	u16 flags = le16_to_cpu(f->flags);
	struct blkcast_volume *v = l->vol;
	struct blkcast_op *op;

	if (!l->copy_sparse || f->length ||
	    !(flags & BLKCAST_FRAME_FIRST) == !(flags & BLKCAST_FRAME_LAST))
		return -EPROTO;
	op = blkcast_frame_op(l, f, BLKCAST_OP_LOCK);
	op->lsn = 0;
	blkcast_op_set_range(op, blkcast_region_start(v, l->copy_region),
			     blkcast_region_sectors(v, l->copy_region));
	l->copy_open = !(flags & BLKCAST_FRAME_LAST);
	if (!l->copy_open)
		l->copy_left = 0;
	apply_start(op, l->copy_open ? BLKCAST_LSN_DOUBT : l->copy_stamp);
	return 0;
}

static int region_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	u16 flags = le16_to_cpu(f->flags);

	if (flags & BLKCAST_FRAME_FIRST ? !copy_begin(l, f) :
					  !l->copy_open)
		return -EPROTO;
	if (le64_to_cpu(f->lsn) != l->copy_stamp ||
	    le64_to_cpu(f->sector) >= l->vol->sectors ||
	    blkcast_region(l->vol, le64_to_cpu(f->sector)) != l->copy_region)
		return -EPROTO;
	return f->sectors ? region_data_recv(l, f) : region_bound_recv(l, f);
}

static int forget_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	u64 region = le64_to_cpu(f->sector);
	int err;

	if (f->length || region >= l->vol->regions)
		return -EPROTO;
	drain(l);
	blkcast_view_forget(l->vol, region);
	err = blkcast_map_forget(l->vol, region);
	if (err)
		l->local_error = err;
	seq_pass(l, f);
	return err;
}

static int done_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	struct blkcast_volume *v = l->vol;
	int err;

	if (f->length)
		return -EPROTO;
	err = backing_flush(l);
	if (!err && blkcast_map_in_doubt(v))
		err = -EPROTO;
	if (!err)
		err = blkcast_super_set_flags(v, 0, BLKCAST_SUPER_INCONSISTENT);
	if (err)
		return err;
	spin_lock_irq(&v->lock);
	l->done_due = le64_to_cpu(f->lsn);
	v->position = l->applied;
	/* The sender may not have come to say that its map is out. */
	if (!l->error && l->map_sent && l->state == BLKCAST_LINK_COMPARING)
		blkcast_link_set_state(l, BLKCAST_LINK_RESYNC);
	if (!l->error)
		blkcast_link_set_state(l, BLKCAST_LINK_IN_SYNC);
	spin_unlock_irq(&v->lock);
	seq_pass(l, f);
	return 0;
}

/* The in-sync set, for an operator who finds this copy without its primary. */
static int members_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	u32 n = le32_to_cpu(f->sectors);
	u8 member[BLKCAST_MEMBERS_MAX][16];
	int err;

	if (n > BLKCAST_MEMBERS_MAX ||
	    le32_to_cpu(f->length) != n * sizeof(*member))
		return -EPROTO;
	err = n ? blkcast_frame_recv_data(l, f, member) : 0;
	err = err ?: blkcast_super_set_members(l->vol, member[0], n);
	seq_pass(l, f);
	return err;
}

/*
 * The reign is over.  This copy has all of it: it follows the stream, nothing is
 * in doubt, and content and exact stamps are on stable storage before that is
 * recorded, so that it can prove what it inherits.  reign.c, inv. 3.
 */
static int handover_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	struct blkcast_volume *v = l->vol;
	u64 lsn = le64_to_cpu(f->lsn);
	u8 heir[16];
	int err;

	if (le32_to_cpu(f->length) != sizeof(heir) || !lsn || lsn != l->received ||
	    l->state != BLKCAST_LINK_IN_SYNC)
		return -EPROTO;
	err = blkcast_frame_recv_data(l, f, heir) ?: backing_flush(l) ?:
	      blkcast_map_clean(v);
	if (!err && (blkcast_map_in_doubt(v) ||
		     blkcast_super_flags(v) & BLKCAST_SUPER_INCONSISTENT))
		err = -EPROTO;
	if (!err)
		err = blkcast_super_set_heir(v, heir);
	if (err)
		return err;
	l->over = true;
	spin_lock_irq(&v->lock);
	l->handed_due = lsn;
	spin_unlock_irq(&v->lock);
	seq_pass(l, f);
	return 0;
}

static int ping_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	struct blkcast_op *op;

	if (f->length || f->lsn)
		return -EPROTO;
	op = blkcast_frame_op(l, f, BLKCAST_OP_NOP);
	op->as_of = blkcast_fresh_told(le64_to_cpu(f->sector));
	apply_nothing(op);
	spin_lock_irq(&l->vol->lock);
	l->ack_due = true;
	l->room_due = true;
	wake_up_all(&l->wake);
	spin_unlock_irq(&l->vol->lock);
	return 0;
}

/*
 * Inv. 7.  Not while the map is being sent: the primary waits for its end.
 */
static int size_recv(struct blkcast_link *l, const struct blkcast_frame *f)
{
	int err;

	if (f->length || f->lsn ||
	    (READ_ONCE(l->map_asked) && !READ_ONCE(l->map_sent)))
		return -EPROTO;
	drain(l);
	err = READ_ONCE(l->local_error) ?:
	      blkcast_grow_follow(l->vol, le64_to_cpu(f->sector));
	if (err && err != -EPROTO)
		l->local_error = err;
	seq_pass(l, f);
	return err;
}

static int map_asked(struct blkcast_link *l, const struct blkcast_frame *f)
{
	if (f->length || l->map_asked)
		return -EPROTO;
	spin_lock_irq(&l->vol->lock);
	l->map_asked = true;
	wake_up_all(&l->wake);
	spin_unlock_irq(&l->vol->lock);
	return 0;
}

static int frame_handle(struct blkcast_link *l, const struct blkcast_frame *f)
{
	u16 type = le16_to_cpu(f->type);

	if (l->copy_open && type != BLKCAST_FRAME_REGION)
		return -EPROTO;
	if (l->over && type != BLKCAST_FRAME_PING &&
	    type != BLKCAST_FRAME_COMPARE && type != BLKCAST_FRAME_MEMBERS)
		return -EPROTO;
	switch (type) {
	case BLKCAST_FRAME_WRITE:
		return write_recv(l, f);
	case BLKCAST_FRAME_ZEROES:
		return zeroes_recv(l, f);
	case BLKCAST_FRAME_FLUSH:
		return flush_recv(l, f);
	case BLKCAST_FRAME_NOP:
		return nop_recv(l, f);
	case BLKCAST_FRAME_GAP:
		return gap_recv(l, f);
	case BLKCAST_FRAME_REGION:
		return region_recv(l, f);
	case BLKCAST_FRAME_FORGET:
		return forget_recv(l, f);
	case BLKCAST_FRAME_DONE:
		return done_recv(l, f);
	case BLKCAST_FRAME_COMPARE:
		return blkcast_compare_recv(l, f);
	case BLKCAST_FRAME_READ:
		return blkcast_read_recv(l, f);
	case BLKCAST_FRAME_MAP:
		return map_asked(l, f);
	case BLKCAST_FRAME_SIZE:
		return size_recv(l, f);
	case BLKCAST_FRAME_MEMBERS:
		return members_recv(l, f);
	case BLKCAST_FRAME_HANDOVER:
		return handover_recv(l, f);
	case BLKCAST_FRAME_PING:
		return ping_recv(l, f);
	default:
		return -EPROTO;
	}
}

static int frame_take(struct blkcast_link *l)
{
	struct blkcast_frame f;
	int err = blkcast_frame_recv(l, &f);

	if (err)
		return err;
	err = frame_handle(l, &f);
	if (err == -EPROTO)
		blkcast_frame_refused(l, &f);
	return err;
}

int blkcast_replica_rx(void *data)
{
	unsigned int noio = memalloc_noio_save();
	struct blkcast_link *l = data;
	int err;

	do
		err = READ_ONCE(l->error) ?: READ_ONCE(l->local_error) ?: frame_take(l);
	while (!err);
	memalloc_noio_restore(noio);
	return blkcast_link_park(l, err);
}

/* ---- answers ---- */

/* Send a piece of the map, as it is now. */
static int stamps_send(struct blkcast_link *l, __le64 *buf)
{
	struct blkcast_volume *v = l->vol;
	u32 first = l->stamps_done, i;
	u32 n = min_t(u32, v->regions - first, BLKCAST_STAMPS_MAX);
	struct blkcast_frame f = {
		.type = cpu_to_le16(BLKCAST_FRAME_STAMPS),
		.sector = cpu_to_le64(first),
		.sectors = cpu_to_le32(n),
		.length = cpu_to_le32(n * sizeof(*buf)),
	};

	for (i = 0; i < n; i += 1024) {
		u32 end = min(i + 1024, n), k;

		spin_lock_irq(&v->lock);
		for (k = i; k < end; k++)
			buf[k] = cpu_to_le64(blkcast_map_get(v, first + k));
		spin_unlock_irq(&v->lock);
	}
	l->stamps_done += n;
	if (l->stamps_done == v->regions) {
		f.flags = cpu_to_le16(BLKCAST_FRAME_LAST);
		/* The primary may answer with another size (inv. 7). */
		WRITE_ONCE(l->map_sent, true);
	}
	return blkcast_frame_send(l, &f, buf, false);
}

static int map_send(struct blkcast_link *l)
{
	__le64 *buf = kvmalloc(BLKCAST_PAYLOAD_MAX, GFP_KERNEL);
	int err = buf ? 0 : -ENOMEM;

	while (!err && !l->map_sent)
		err = READ_ONCE(l->error) ?: stamps_send(l, buf);
	kvfree(buf);
	if (err)
		return err;
	spin_lock_irq(&l->vol->lock);
	if (l->state == BLKCAST_LINK_COMPARING)
		blkcast_link_set_state(l, BLKCAST_LINK_RESYNC);
	spin_unlock_irq(&l->vol->lock);
	return 0;
}

static int ack_send(struct blkcast_link *l)
{
	struct blkcast_frame f = {
		.type = cpu_to_le16(BLKCAST_FRAME_ACK),
		.length = cpu_to_le32(sizeof(struct blkcast_ack)),
		.sectors = cpu_to_le32(blkcast_fresh_wish(l->vol)),
	};
	struct blkcast_ack a = { .reads = cpu_to_le64(blkcast_reads(l->vol)) };

	if (READ_ONCE(l->room_due)) {
		WRITE_ONCE(l->room_due, false);
		a.room = cpu_to_le64(blkcast_grow_room(l->vol));
	}
	spin_lock_irq(&l->vol->lock);
	l->ack_due = false;
	a.received = cpu_to_le64(l->received);
	a.applied = cpu_to_le64(l->applied);
	a.durable = cpu_to_le64(l->durable);
	a.seq_applied = cpu_to_le64(l->seq_applied);
	a.held_ns = cpu_to_le64(ktime_get_ns() - l->echo_when);
	a.apply_ns = cpu_to_le64(l->apply_ns);
	a.flush_ns = cpu_to_le64(l->flush_ns);
	f.time = cpu_to_le64(l->echo_time);
	f.sector = cpu_to_le64(ktime_get_ns());
	spin_unlock_irq(&l->vol->lock);
	return blkcast_frame_send(l, &f, &a, false);
}

static int done_ok_send(struct blkcast_link *l)
{
	struct blkcast_frame f = { .type = cpu_to_le16(BLKCAST_FRAME_DONE_OK) };

	spin_lock_irq(&l->vol->lock);
	f.lsn = cpu_to_le64(l->done_due);
	l->done_due = 0;
	spin_unlock_irq(&l->vol->lock);
	return blkcast_frame_send(l, &f, NULL, false);
}

static int handed_send(struct blkcast_link *l)
{
	struct blkcast_frame f = { .type = cpu_to_le16(BLKCAST_FRAME_HANDED) };

	spin_lock_irq(&l->vol->lock);
	f.lsn = cpu_to_le64(l->handed_due);
	l->handed_due = 0;
	spin_unlock_irq(&l->vol->lock);
	return blkcast_frame_send(l, &f, NULL, false);
}

static int error_send(struct blkcast_link *l)
{
	struct blkcast_frame f = {
		.type = cpu_to_le16(BLKCAST_FRAME_ERROR),
		.lsn = cpu_to_le64(-l->local_error),
	};

	vol_warn(l->vol, "link %s: cannot apply here: %d\n", l->name,
		 l->local_error);
	return blkcast_frame_send(l, &f, NULL, false) ?: l->local_error;
}

/* Where this copy stands, if it is the stream up to there and nothing else. */
static int position_send(struct blkcast_link *l)
{
	struct blkcast_volume *v = l->vol;
	struct blkcast_frame f = {
		.type = cpu_to_le16(BLKCAST_FRAME_POSITION),
		.sector = cpu_to_le64(blkcast_super_sectors(v)),
	};

	if (!(blkcast_super_flags(v) & BLKCAST_SUPER_INCONSISTENT) &&
	    !blkcast_map_in_doubt(v))
		f.lsn = cpu_to_le64(v->position);
	return blkcast_frame_send(l, &f, NULL, false);
}

static bool map_due(struct blkcast_link *l)
{
	return READ_ONCE(l->map_asked) && !l->map_sent;
}

static bool answer_due(struct blkcast_link *l)
{
	return map_due(l) || blkcast_answers_due(l) ||
	       READ_ONCE(l->error) || READ_ONCE(l->ack_due) ||
	       READ_ONCE(l->done_due) || READ_ONCE(l->handed_due) ||
	       READ_ONCE(l->local_error);
}

int blkcast_replica_tx(void *data)
{
	unsigned int noio = memalloc_noio_save();
	struct blkcast_link *l = data;
	int err;

	err = position_send(l);
	while (!err) {
		wait_event(l->wake, answer_due(l));
		err = READ_ONCE(l->error);
		if (!err && map_due(l))
			err = map_send(l);
		if (!err)
			err = blkcast_answers_send(l);
		if (!err && l->local_error)
			err = error_send(l);
		if (!err && l->done_due)
			err = done_ok_send(l);
		if (!err && l->ack_due)
			err = ack_send(l);
		if (!err && l->handed_due)
			err = handed_send(l);
	}
	memalloc_noio_restore(noio);
	return blkcast_link_park(l, err);
}
