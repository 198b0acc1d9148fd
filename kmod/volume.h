/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A volume's copy on this host, and who may touch what of it.
 *
 * Locks, outermost first:
 *
 *	vol->admin		commands that change a volume, one at a time
 *	  vol->members_lock	the in-sync set (members.c)
 *	  blkcast_volumes_lock	the list of volumes
 *	  map.pen		writers of map blocks
 *	    vol->super_lock	writers of the superblock
 *	      vol->lock		everything in memory that I/O touches; irq-safe,
 *				never held across anything that sleeps
 *		event_lock	the order of events (event.c)
 *		pages_lock	pages that are kept (op.c)
 *
 * Threads: vol->thread runs the steps of ops, if no writer does it itself (write.c); the
 * map's ordered workqueue holds the pen; each link has a sender and a receiver (link.h).
 */
#ifndef _BLKCAST_VOLUME_H
#define _BLKCAST_VOLUME_H

#include <linux/kref.h>
#include <linux/mempool.h>
#include <linux/netlink.h>

#include "compat.h"
#include "map.h"
#include "op.h"
#include "uapi/blkcast_netlink.h"

#undef pr_fmt
#define pr_fmt(fmt) "blkcast: " fmt

#define vol_info(v, fmt, ...) pr_info("%s: " fmt, (v)->name, ##__VA_ARGS__)
#define vol_warn(v, fmt, ...) pr_warn("%s: " fmt, (v)->name, ##__VA_ARGS__)
#define vol_err_ratelimited(v, fmt, ...) \
	pr_err_ratelimited("%s: " fmt, (v)->name, ##__VA_ARGS__)

#define BLKCAST_BACKLOG_MIN	(1ULL << 20)
#define BLKCAST_BACKLOG_MAX	(4ULL << 30)
#define BLKCAST_BACKLOG_DEFAULT	(64ULL << 20)
#define BLKCAST_MAX_LAG_MIN	100U		/* ms */
#define BLKCAST_MAX_LAG_MAX	(24U * 3600 * 1000)
#define BLKCAST_AGE_UNKNOWN	U64_MAX

#define BLKCAST_RESYNC_RATE_MIN	(64ULL << 10)
#define BLKCAST_RESYNC_RATE_MAX	(1ULL << 40)
#define BLKCAST_RESYNC_RATE_DEFAULT (8ULL << 20)

/**
 * struct blkcast_volume - one volume's copy on this host
 *
 * References: one for the list of volumes, one for each command that has looked
 * it up, one for each link.  blkcast_volume_down() takes it off the list and
 * stops all activity; the last reference frees it.
 *
 * I set before it is seen by others; A vol->admin; L vol->lock; T vol->thread
 */
struct blkcast_volume {
	char			name[BLKCAST_NAME_MAX];	/* I */
	struct kref		refs;
	struct list_head	node;		/* blkcast_volumes_lock */
	struct mutex		admin;
	unsigned int		admin_noio;	/* A: of who holds it: netlink.c */
	spinlock_t		lock;

	struct blkcast_bdev	backing;	/* I */
	struct blkcast_bdev	meta;		/* I: the same when internal */
	bool			meta_internal;	/* I */
	u64			meta_end;	/* map.pen and super_lock: metadata end here */
	dev_t			backing_dev;	/* I */
	dev_t			meta_dev;	/* I */
	u32			block;		/* I: logical block size in bytes */
	struct gendisk		*disk;		/* I */
	int			minor;		/* I */
	sector_t		sectors;	/* L; changed with the pen held: grow.c */
	sector_t		data_start;	/* I: on the backing device */
	u32			region_shift;	/* I: log2 sectors */
	u32			regions;	/* L, as sectors */
	bool			growing;	/* L: links keep still, see grow.c */

	struct mutex		super_lock;
	struct blkcast_super	*super;		/* super_lock; A for reading */
	bool			super_stale;	/* super_lock: a write failed */
	bool			super_over;	/* super_lock: detach.c, inv. 5 */
	struct blkcast_super	*shown;		/* L: as it was written last */
	u64			shown_end;	/* L: vol->meta_end at that time */
	struct blkcast_map	map;

	enum blkcast_role	role;		/* A and L */
	u32			term;		/* A and L: of the newest reign */
	u32			deposed;	/* L: primary: a newer term reigns */
	u8			heir[16];	/* L: who is handed over to: reign.c */
	bool			heir_told;	/* L: and knows it */
	u64			lsn;		/* L: newest LSN given or received */
	enum blkcast_ack_mode	ack;		/* L */
	struct mutex		members_lock;	/* writers of the in-sync set */
	struct delayed_work	members_work;
	bool			members_hold;	/* L: members.c, inv. 3 */
	u32			members_seq;	/* L: counts who left */
	u32			min_isr;	/* L: copies: policy.c */
	enum blkcast_on_loss	on_loss;	/* L */
	bool			halted;		/* L: by hand */
	u32			lacking;	/* L: BLKCAST_SUSPENDED_ISR, _MEMBER */
	u64			closed_since;	/* L: ktime_get_ns(); 0: writes go on */
	struct list_head	parked;		/* L: ops that came while it was closed */
	u32			parked_count;	/* L */
	struct work_struct	policy_work;
	u32			members;	/* L: how many are in the set on disk */
	u8			member[BLKCAST_MEMBERS_MAX][16]; /* L: these */
	char			member_name[BLKCAST_MEMBERS_MAX][BLKCAST_NAME_MAX]; /* L */
	char			member_next[BLKCAST_MEMBERS_MAX][BLKCAST_NAME_MAX]; /* L */
	bool			managed;	/* A and L: members.c, inv. 6 */
	const char		*member_out;	/* L: who is being put out */
	u64			lease;		/* L, read without: lease.c */
	bool			lease_told;	/* L: that it is over */
	struct list_head	held;		/* L: ops that ended after it was */
	struct delayed_work	lease_work;
	bool			hold_errors;	/* L: on_io_error=detach */
	bool			copies_sure;	/* L, read without: detach.c, inv. 7 */
	bool			failing;	/* L, read without: what failed here is held */
	u32			restamping;	/* L: failures that are being dealt with */
	bool			flush_held;	/* L: a flush is */
	u8			flush_fate;	/* L: enum blkcast_fate: of one that was */
	unsigned long		flush_began;	/* who has flush_busy: jiffies */
	unsigned long		flush_good;	/* L: began the newest one that went well */
	bool			detaching;	/* L, read without: detach.c, inv. 2 */
	bool			detached;	/* L, read without: inv. 3 */
	struct list_head	failed;		/* L: ops that are held */
	u64			resync_rate;	/* L: bytes a second under load */
	u64			max_lag;	/* L for writing: ns; 0: readers are welcome */
	u64			fresh_as_of;	/* L for writing: fresh.c; 0: not known */
	atomic64_t		turned_away;	/* reads, by max_lag */
	u64			write_when;	/* L: ktime_get_ns() of the last write */
	u64			position;	/* L: replica: see replica.c, inv. 6 */
	bool			accepting;	/* L: primary: takes writes */
	bool			gone;		/* L: going down, refuse to open */
	u32			openers;	/* L */

	struct task_struct	*thread;	/* I */
	bool			turn;		/* L: somebody runs steps */
	struct list_head	ready;		/* L: ops whose step is due */
	wait_queue_head_t	wake;		/* something for the thread */
	wait_queue_head_t	idle;		/* an op, a link or log space is gone */
	struct list_head	*ranges;	/* L: range.c */
	u32			ops;		/* L: primary: ops not finished */

	struct list_head	log;		/* L: backlog.c */
	u64			log_bytes;	/* L */
	u64			logged_writes;	/* L: appended ever */
	u64			logged_bytes;	/* L: of data, appended ever */
	u64			log_budget;	/* I */
	u64			log_waited;	/* the thread's: ns: backlog.c */
	u64			log_floor;	/* L: all above is in the log */
	bool			log_keeps;	/* L: entries stay for who returns */
	u32			starving;	/* L: how many wait for memory */
	struct list_head	waiting;	/* L: ops that await replicas */
	struct list_head	links;		/* L; changed under A or by reaping */

	u64 __percpu		*reads;		/* reads.c */
	struct blkcast_repairs	*repairs;	/* A; then constant: repair.c */
	struct list_head	away;		/* L: lag.c: replicas without a link */
	struct list_head	views;		/* L; changed under A */
	struct blkcast_view	*view_new;	/* L: its stamps are being copied */
	u32			view_seq;	/* L: view.c, inv. 1 */
	u32			view_older;	/* L: ops that the newest view waits for */
	struct workqueue_struct	*view_wq;	/* A: NULL before the first view */
	struct bio_set		view_bios;	/* A: the same */
	struct work_struct	view_reap;
	u32			views_ending;	/* L: their stores are let go */

	u64			writes;		/* L */
	u64			write_bytes;	/* L */
	u64			errors;		/* event.c */
	u64			error_when;	/* event.c */

	struct list_head	flush_asked;	/* L: flush.c: for the next one */
	struct list_head	flush_served;	/* L: by the one in flight */
	bool			flush_busy;	/* L: one is in flight or dealt with */
	bool			flush_lost;	/* L: one failed, no application knows */
	u64			flush_told;	/* L: ktime_get_ns(): when one was told last */
	u32			flush_fails;	/* L: counts them */
	int			flush_error;	/* who has flush_busy: of the last one */
	struct work_struct	flush_work;
	struct bio		flush_bio;	/* the one in flight */

	mempool_t		op_pool;	/* for what comes in */
	mempool_t		aux_pool;	/* for what that needs in turn */
	mempool_t		page_pool;
	spinlock_t		pages_lock;
	struct list_head	pages;		/* pages_lock: used ones, kept: op.c */
	u32			pages_count;	/* pages_lock */
	struct bio_set		split_bios;
	struct bio_set		io_bios;
	struct bio_set		read_bios;
};

struct blkcast_volume_params {
	const char *name;
	dev_t backing, meta;
	u64 backlog;
	u64 meta_end;
};

/* What PRIMARY of uapi/blkcast_netlink.h takes. */
struct blkcast_promotion {
	u32 term;
	u64 reign;
	u64 lease;	/* ns of CLOCK_BOOTTIME; 0: none */
	bool force;
};

extern struct mutex blkcast_volumes_lock;
extern struct list_head blkcast_volumes;
extern struct workqueue_struct *blkcast_wq;

/* volume.c */
bool blkcast_turn_take(struct blkcast_volume *v);
void blkcast_turn_over(struct blkcast_volume *v);
int blkcast_volume_up(const struct blkcast_volume_params *params, u32 *minor,
		      struct netlink_ext_ack *extack);
int blkcast_volume_down(struct blkcast_volume *v, struct netlink_ext_ack *extack);
int blkcast_volume_promote(struct blkcast_volume *v, const struct blkcast_promotion *p,
			   struct netlink_ext_ack *extack);
int blkcast_volume_demote(struct blkcast_volume *v, const char *heir,
			  bool discard, struct netlink_ext_ack *extack);
struct blkcast_volume *blkcast_volume_find(const char *name);
void blkcast_volume_put(struct blkcast_volume *v);
int blkcast_minor_get(struct gendisk *disk);
void blkcast_minor_put(int minor);
int blkcast_volumes_init(void);
void blkcast_volumes_exit(void);

/* super.c */
int blkcast_super_load(struct blkcast_volume *v, u64 known,
		       struct netlink_ext_ack *extack);
int blkcast_super_settle(struct blkcast_volume *v);
int blkcast_super_move(struct blkcast_volume *v, u64 map_offset, u64 meta_end);
u64 blkcast_super_sectors(struct blkcast_volume *v);
int blkcast_super_resize(struct blkcast_volume *v, u64 sectors, u32 regions);
int blkcast_super_set_flags(struct blkcast_volume *v, u32 set, u32 clear);
u32 blkcast_super_flags(struct blkcast_volume *v);
int blkcast_super_set_position(struct blkcast_volume *v, u64 lsn);
int blkcast_super_set_members(struct blkcast_volume *v, const u8 *member,
			      u32 count);
bool blkcast_super_is_heir(struct blkcast_volume *v);
int blkcast_super_set_heir(struct blkcast_volume *v, const u8 *heir);
int blkcast_super_lay_down(struct blkcast_volume *v, const u8 *heir);
int blkcast_super_see_term(struct blkcast_volume *v, u32 term);
int blkcast_super_begin_reign(struct blkcast_volume *v, u32 term, u64 reign,
			      u64 inherited);
int blkcast_super_adopt(struct blkcast_volume *v, u32 term,
			const struct blkcast_reign *history, u32 count);
u64 blkcast_super_branch(struct blkcast_volume *v,
			 const struct blkcast_reign *history, u32 count);
u32 blkcast_super_common_term(struct blkcast_volume *v,
			      const struct blkcast_reign *history, u32 count);

/* What sizes are a multiple of. */
#define BLKCAST_GROW_SECTORS	(BLKCAST_BLOCK_SIZE >> SECTOR_SHIFT)

/* grow_map.c */
u64 blkcast_grow_room(struct blkcast_volume *v);
int blkcast_grow_prepare(struct blkcast_volume *v, u64 sectors);

/* grow.c */
int blkcast_grow(struct blkcast_volume *v, u64 sectors,
		 struct netlink_ext_ack *extack);
int blkcast_grow_follow(struct blkcast_volume *v, u64 sectors);

/* fresh.c */
u32 blkcast_fresh_wish(const struct blkcast_volume *v);
u64 blkcast_fresh_age(const struct blkcast_volume *v);
bool blkcast_fresh_refuse(struct blkcast_volume *v);
u64 blkcast_fresh_told(u64 as_of);

/* disk.c */
int blkcast_disk_rw(struct block_device *bdev, blk_opf_t opf, u64 pos,
		    void *buf, size_t len);
u32 blkcast_block_crc(const void *block, size_t crc_offset);

/* write.c */
void blkcast_submit_bio(struct bio *bio);
void blkcast_write_flush(struct blkcast_volume *v);
void blkcast_write_reached(struct blkcast_volume *v);
void blkcast_write_abort(struct blkcast_volume *v, int error);
void blkcast_write_refuse(struct blkcast_op *op, int error);
void blkcast_write_complete(struct blkcast_op *op);

/* flush.c */
void blkcast_flush_init(struct blkcast_volume *v);
void blkcast_flush_stop(struct blkcast_volume *v);
void blkcast_flush_ask(struct blkcast_volume *v, struct blkcast_flush *f);
int blkcast_flush(struct blkcast_volume *v);
u32 blkcast_flush_mark(struct blkcast_volume *v);
int blkcast_flush_since(struct blkcast_volume *v, u32 mark);
bool __blkcast_flush_sure(struct blkcast_volume *v, u32 region);
void blkcast_flush_again(struct blkcast_volume *v);
int blkcast_flush_meta(struct blkcast_volume *v, u32 mark);
int blkcast_flushes_init(void);
void blkcast_flushes_exit(void);

/* reads.c */
void blkcast_read(struct blkcast_volume *v, struct bio *bio);
void blkcast_read_done(struct bio *clone);
int blkcast_reads_init(struct blkcast_volume *v);
void blkcast_reads_free(struct blkcast_volume *v);
u64 blkcast_reads(const struct blkcast_volume *v);

/* repair.c, bad.c: reads that fail here */
bool blkcast_repair_guards(struct blkcast_volume *v);
void blkcast_repair_read(struct blkcast_volume *v, struct bio *clone);
bool blkcast_repair_bad(struct blkcast_volume *v, sector_t sector, u32 sectors);
bool blkcast_repair_bads(struct blkcast_volume *v);
u32 blkcast_bads_ever(struct blkcast_volume *v);
void __blkcast_repair_written(struct blkcast_op *op);
bool blkcast_repair_settle(struct blkcast_volume *v);
int blkcast_repair_load(struct blkcast_volume *v, u32 region, void *buf);
void blkcast_repair_status(struct blkcast_volume *v, struct blkcast_read_fails *f);
int blkcast_repairs_init(struct blkcast_volume *v);
void blkcast_repairs_stop(struct blkcast_volume *v);
void blkcast_repairs_free(struct blkcast_volume *v);
int blkcast_repair_init(void);
void blkcast_repair_exit(void);

/* lag.c */
void blkcast_lag_forget(struct blkcast_volume *v);

/**
 * struct blkcast_policy_status - how writes fare
 * @isr: copies in sync, the primary's counted
 * @suspended: BLKCAST_SUSPENDED_*
 * @since: ktime_get_ns()
 * @parked: ops that wait for it to end
 */
struct blkcast_policy_status {
	u32 isr, suspended, parked;
	u64 since;
};

/* policy.c */
enum blkcast_gate { BLKCAST_GATE_OPEN, BLKCAST_GATE_PARK, BLKCAST_GATE_FAIL };
enum blkcast_verdict { BLKCAST_WAIT, BLKCAST_DONE, BLKCAST_FAIL };

void blkcast_policy_init(struct blkcast_volume *v);
void blkcast_policy_stop(struct blkcast_volume *v);
enum blkcast_gate blkcast_policy_gate(struct blkcast_volume *v);
void blkcast_policy_park(struct blkcast_op *op);
void blkcast_policy_update(struct blkcast_volume *v);
enum blkcast_verdict blkcast_policy_judge(const struct blkcast_op *op);
void blkcast_policy_set(struct blkcast_volume *v, u32 min_isr, int on_loss);
int blkcast_policy_halt(struct blkcast_volume *v, bool halt,
			struct netlink_ext_ack *extack);
void blkcast_policy_status(struct blkcast_volume *v,
			   struct blkcast_policy_status *s);

/* lease.c */
void blkcast_lease_init(struct blkcast_volume *v);
void blkcast_lease_stop(struct blkcast_volume *v);
int blkcast_lease_set(struct blkcast_volume *v, u64 until,
		      struct netlink_ext_ack *extack);
int blkcast_lease_check(u64 until, struct netlink_ext_ack *extack);
void blkcast_lease_begin(struct blkcast_volume *v, u64 until);
bool blkcast_lease_keep(struct blkcast_op *op);

/* detach.c */
enum blkcast_fate {
	BLKCAST_FATE_OPEN,	/* not decided */
	BLKCAST_FATE_FAILED,	/* fail it */
	BLKCAST_FATE_SPARED,	/* detached: the device's part is over */
	BLKCAST_FATE_HELD,	/* ask again when told to */
};

enum blkcast_fate __blkcast_detach_fate(struct blkcast_volume *v);
enum blkcast_fate blkcast_detach_fate(struct blkcast_op *op);
enum blkcast_fate blkcast_detach_flush_fate(struct blkcast_volume *v);
enum blkcast_fate blkcast_detach_super_fate(struct blkcast_volume *v);
u32 blkcast_detach_held(struct blkcast_volume *v);
bool blkcast_detach_last(struct blkcast_volume *v);
void blkcast_detach_update(struct blkcast_volume *v);
void blkcast_detach_restamped(struct blkcast_volume *v);
int blkcast_detach_hold(struct blkcast_volume *v, bool hold);
int blkcast_detach_sure(struct blkcast_volume *v, u32 region);
int blkcast_detach(struct blkcast_volume *v, struct netlink_ext_ack *extack);

/* reign.c */
int blkcast_reign_hand_over(struct blkcast_volume *v, const char *heir,
			    struct netlink_ext_ack *extack);
int blkcast_reign_lay_down(struct blkcast_volume *v);
int blkcast_reign_depose(struct blkcast_volume *v, u32 term,
			 struct netlink_ext_ack *extack);

/* view.c, view_save.c: what they want to know of I/O (view.h has the rest) */
void __blkcast_view_submit(struct blkcast_op *op, blk_opf_t opf);
void __blkcast_view_stamping(struct blkcast_volume *v, u32 region);
void __blkcast_view_left(struct blkcast_op *op);
void blkcast_view_forget(struct blkcast_volume *v, u32 region);
void blkcast_view_failed(struct blkcast_op *op, int error);
void blkcast_views_flush_failed(struct blkcast_volume *v);
void blkcast_views_unreadable(struct blkcast_volume *v);
void blkcast_views_shrunk(struct blkcast_volume *v, sector_t sectors);
bool blkcast_views_open(struct blkcast_volume *v);
void blkcast_views_close(struct blkcast_volume *v);
void blkcast_views_drop(struct blkcast_volume *v);
void blkcast_views_free(struct blkcast_volume *v);
void blkcast_views_setup(struct blkcast_volume *v);
void blkcast_views_disown(const struct net *net, u32 port);
int blkcast_views_init(void);
void blkcast_views_exit(void);

/* members.c */
void blkcast_members_init(struct blkcast_volume *v);
void blkcast_members_stop(struct blkcast_volume *v);
void blkcast_members_policy(struct blkcast_volume *v);
const char *blkcast_member_missing(struct blkcast_volume *v, u32 i);
int blkcast_members_manage(struct blkcast_volume *v, bool managed);
int blkcast_member_in(struct blkcast_volume *v, const char *name,
		      struct netlink_ext_ack *extack);
int blkcast_member_out(struct blkcast_volume *v, const char *name,
		       struct netlink_ext_ack *extack);
int blkcast_members_set_ack(struct blkcast_volume *v, enum blkcast_ack_mode ack);

/* backlog.c */
bool blkcast_log_room(struct blkcast_volume *v, u64 bytes);
void blkcast_log_reserve(struct blkcast_volume *v, u64 bytes);
void blkcast_log_append(struct blkcast_op *op);
void blkcast_log_trim(struct blkcast_volume *v);
void blkcast_log_starve(struct blkcast_volume *v, int n);
void blkcast_log_keep(struct blkcast_volume *v, bool keep);

/* event.c */
void blkcast_event(struct blkcast_volume *v, enum blkcast_event event,
		   const char *link, int error);
void blkcast_event_error(struct blkcast_volume *v, int error);
u64 blkcast_event_seq(void);

/* netlink.c */
void *blkcast_event_begin(struct sk_buff *msg);
void blkcast_event_end(struct sk_buff *msg, void *head);
int blkcast_netlink_init(void);
void blkcast_netlink_exit(void);

static inline u32 blkcast_region(const struct blkcast_volume *v, sector_t sector)
{
	return sector >> v->region_shift;
}

static inline sector_t blkcast_region_start(const struct blkcast_volume *v,
					    u32 region)
{
	return (sector_t)region << v->region_shift;
}

/* Sectors of a region; the last one may be short. */
static inline u32 blkcast_region_sectors(const struct blkcast_volume *v,
					 u32 region)
{
	return min_t(sector_t, 1U << v->region_shift,
		     v->sectors - blkcast_region_start(v, region));
}

/* Was the region ever written?  Any context. */
static inline bool blkcast_map_touched(struct blkcast_volume *v, u32 region)
{
	bool touched;

	rcu_read_lock();
	touched = test_bit(region, rcu_dereference(v->map.touched));
	rcu_read_unlock();
	return touched;
}

static inline u32 blkcast_map_groups(const struct blkcast_volume *v)
{
	return DIV_ROUND_UP(v->regions, BLKCAST_MAP_STAMPS);
}

/* Caller holds vol->lock, or nobody else knows the volume yet. */
static inline unsigned long *blkcast_map_touched_bits(struct blkcast_volume *v)
{
	return rcu_dereference_protected(v->map.touched,
					 lockdep_is_held(&v->lock));
}

static inline u64 *__blkcast_map_slot(struct blkcast_volume *v, u32 region)
{
	return &v->map.stamps[region / BLKCAST_STAMP_PAGE]
			     [region % BLKCAST_STAMP_PAGE];
}

/* A region's stamp.  Caller holds vol->lock. */
static inline u64 blkcast_map_get(struct blkcast_volume *v, u32 region)
{
	lockdep_assert_held(&v->lock);
	return *__blkcast_map_slot(v, region);
}

/* Rule 23.  Any context; without a lease one look at one word. */
static inline bool blkcast_lease_over(const struct blkcast_volume *v)
{
	u64 until = READ_ONCE(v->lease);

	return unlikely(until) && ktime_get_boottime_ns() >= until;
}

/* As blkcast_op_submit(), but what views show is saved first. */
static inline void blkcast_view_submit(struct blkcast_op *op, blk_opf_t opf)
{
	if (list_empty(&op->vol->views))
		blkcast_op_submit(op, opf);
	else
		__blkcast_view_submit(op, opf);
}

/* A write has its place in the order.  Caller holds vol->lock. */
static inline void blkcast_view_enlist(struct blkcast_op *op)
{
	op->view_seq = op->vol->view_seq;
}

#endif /* _BLKCAST_VOLUME_H */
