/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * blkcast: the generic netlink family "blkcast", the module's only door.
 *
 * Every command names a volume in BLKCAST_A_NAME.  All that change anything
 * need CAP_SYS_ADMIN in the initial user namespace, and so do the dumps of
 * stamps.  A refusal is a negative errno with an extended-ack message: a fixed
 * short text that says what was found wrong; the caller knows volume and values.
 *
 * UP		bring a volume up, as a replica, from the metadata on its devices
 *	BLKCAST_A_NAME		string, [a-zA-Z0-9._-], 1..63 bytes
 *	BLKCAST_A_BACKING	u32, device number as stat(2)'s in the 12:20 form
 *				of makedev below
 *	BLKCAST_A_META		u32, the same; equal to BACKING when internal
 *	BLKCAST_A_BACKLOG	u64, optional: bytes, 1 MiB..4 GiB, default 64 MiB
 *	BLKCAST_A_META_END	u64, optional: as GET said last; finds the metadata
 *				if META has been enlarged since
 *	answer: BLKCAST_A_MINOR u32 of /dev/blkcastN
 *	EEXIST up already; EBUSY a device is in use; EINVAL bad metadata or size;
 *	EOPNOTSUPP zoned, DAX or integrity-protected device; EUCLEAN a restore
 *	into this copy did not finish
 *
 * DOWN		flush, write the map, let go of the devices
 *	BLKCAST_A_NAME
 *	Its links are dropped, its views go.  EBUSY the device is open, or that of
 *	a view
 *
 * PRIMARY	start a reign
 *	BLKCAST_A_NAME
 *	BLKCAST_A_TERM		u32, above every term this copy has seen
 *	BLKCAST_A_REIGN		u64, random, not 0
 *	BLKCAST_A_FLAGS		u32, optional: BLKCAST_F_FORCE: an inconsistent
 *				copy, or one that may have been left behind, too
 *	BLKCAST_A_LEASE		u64, optional: the reign begins with it, see LEASE
 *	An inbound link is dropped.  ESTALE the term is not above; EUCLEAN
 *	inconsistent; ENOTUNIQ the newest reign was not handed over to this copy;
 *	EBUSY the device is open; ERANGE see LEASE; ETIME the lease is over already
 *
 * REPLICA	end the reign: no more writes, drain, flush
 *	BLKCAST_A_NAME
 *	BLKCAST_A_LINK		string, optional: hand over to the copy at this
 *				link's other end: it may begin the next reign.
 *				Without it this copy may
 *	BLKCAST_A_FLAGS		u32, optional: BLKCAST_F_DISCARD: and give up what
 *				this copy alone has: the next primary's content
 *				replaces it, whatever its history; for a volume
 *				that is a replica already as well
 *	Its links are dropped.  A replica stays one.  EBUSY the device is open.
 *	ENOLINK that link is not in sync: the reign goes on.  ETIMEDOUT, EIO the
 *	reign is over, but nobody knows whether the other copy has been told, or it
 *	could not be laid down: nobody may begin the next one unasked
 *
 * DEPOSE	a reign of a newer term has begun elsewhere: stop at once
 *	BLKCAST_A_NAME
 *	BLKCAST_A_TERM		u32, the newer term
 *	A primary of an older term fails what writers wait for, takes in no more
 *	writes and drops its links; it ends its reign if its device is not open,
 *	else REPLICA has to do so later.  ESTALE the term is not above
 *
 * SET		change the policy, while writes run
 *	BLKCAST_A_NAME, and one or more of
 *	BLKCAST_A_ACK		u8 enum blkcast_ack_mode
 *	BLKCAST_A_RESYNC_RATE	u64, bytes a second that a resync may take while
 *				writers are at work, 64 KiB.. (an idle volume gives
 *				it all there is), default 8 MiB
 *	BLKCAST_A_ACTIVE_MAX	u64, bytes of the volume that may be active, hence
 *				in doubt after a crash, 64 MiB.., default 64 GiB;
 *				in whole groups, at least 64
 *	BLKCAST_A_MIN_ISR	u32, copies, the primary's counted, that have to be in
 *				sync for a write to be taken and, unless
 *				BLKCAST_ACK_LOCAL, acknowledged; 1.., default 1
 *	BLKCAST_A_ON_LOSS	u8 enum blkcast_on_loss
 *	BLKCAST_A_MAX_LAG	u32, ms; on a replica reads of the device fail while what
 *				it shows is older, or of unknown age: ETIMEDOUT;
 *				100..86400000, default 0: none
 *	BLKCAST_A_MEMBERSHIP	u8 enum blkcast_membership; kept in the superblock.
 *				EINVAL managed without BLKCAST_ACK_DISK
 *
 *	BLKCAST_A_ON_IO_ERROR	u8 enum blkcast_on_io_error, default pass.  SET that
 *				ends what waits for DETACH: it fails
 *
 * DETACH	a primary's device fails, or is to be taken away: go on without it.
 *		Its replicas serve and keep what is read and written; ack=disk
 *	BLKCAST_A_NAME
 *	Before, the caller has made durable on this host, elsewhere, that this copy
 *	lacks writes: it must be marked inconsistent before it is UP again, for its own
 *	superblock may be out of reach.  EINVAL a replica; EALREADY; ENOLINK too few
 *	replicas are connected; ETIMEDOUT they do not get in sync: it is not detached,
 *	and ACK is as it was if that can be recorded, else disk
 *
 * MEMBER	managed: put a replica into the in-sync set, or out of it.  When it
 *		is out, that is on stable storage; it is in once GET says so
 *	BLKCAST_A_NAME
 *	BLKCAST_A_LINK		name of its link; who is out of reach is out by the name
 *				that its link had
 *	BLKCAST_A_MEMBER	u8: 1 in, 0 out
 *	EINVAL a replica, not managed, or an asynchronous link; ENOENT no such link,
 *	or nobody of that name is in; EAGAIN it is not caught up; ENOSPC the set is
 *	full; ERANGE fewer than MIN_ISR would be left; EIO it could not be recorded,
 *	and is in
 *
 * LEASE	until when this primary may serve; judged at each completion.  After
 *		that nothing succeeds: reads fail, writes wait or fail (ON_LOSS), until
 *		there is a new deadline, or none
 *	BLKCAST_A_NAME
 *	BLKCAST_A_LEASE		u64, ns of CLOCK_BOOTTIME, at most a day from now;
 *				0: no lease
 *	EINVAL a replica; ESTALE a newer term has been seen; ERANGE too far away
 *
 * LINK_ADD	hand over a connected stream socket, both daemons having agreed
 *	BLKCAST_A_NAME
 *	BLKCAST_A_LINK		string as NAME: the peer's name
 *	BLKCAST_A_SOCKET	u32, file descriptor in the calling process
 *	BLKCAST_A_TERM		u32, the primary's term
 *	BLKCAST_A_FLAGS		u32: BLKCAST_F_ASYNC: never counts as in sync;
 *				BLKCAST_F_READS: both ends know READ and DATA
 *	BLKCAST_A_NODE		primary only, 16 bytes, optional: id of the
 *				replica's copy; without it the copy never counts
 *				as one that holds all that was acknowledged
 *	BLKCAST_A_TIMEOUT	u32, ms of silence after which the link is
 *				dropped, 1000..600000, default 10000
 *	BLKCAST_A_HISTORY	replica only: struct blkcast_reign[], the
 *				primary's history, adopted before the first frame
 *	The role of the volume says which end this is.
 *	ESTALE a term below what this copy has seen; EEXIST link of this name
 *
 * LINK_DEL	drop a link
 *	BLKCAST_A_NAME, BLKCAST_A_LINK
 *	ENOENT no such link
 *
 * GROW		make a primary's volume larger, while writes go on.  Its devices
 *		and those of its connected replicas have been enlarged before
 *	BLKCAST_A_NAME
 *	BLKCAST_A_SECTORS	u64, its new size, a multiple of 8
 *	EROFS a replica: it follows its primary; ESTALE deposed; ERANGE not larger;
 *	ENOSPC the devices here are too small, see BLKCAST_A_ROOM; ENOBUFS a
 *	replica's are, see BLKCAST_L_ROOM; EAGAIN a replica does not tell
 *
 * GET		state of one volume (BLKCAST_A_NAME) or of all (dump).  Answer,
 *		one message a volume:
 *	BLKCAST_A_NAME .. all attributes marked [GET] below, and for each link
 *	BLKCAST_A_LINKS { BLKCAST_L_* }, and for each view
 *	BLKCAST_A_VIEWS { BLKCAST_V_* }, repeated
 *
 *	and for each replica that had a link in this reign and has none
 *	BLKCAST_A_AWAY { NAME, APPLIED, CONTACT_NS, LAG_NS, LAG_WRITES, LAG_BYTES },
 *	repeated: what it lacks, by what it had acknowledged; absent unknown
 *
 * STAMPS	stamps of some regions
 *	BLKCAST_A_NAME
 *	BLKCAST_A_FIRST		u32, first region
 *	BLKCAST_A_COUNT		u32, 1..BLKCAST_STAMPS_QUERY_MAX
 *	BLKCAST_A_VIEW		optional: those that belong to what this view shows
 *	answer: BLKCAST_A_STAMPS, u64[COUNT] in host order; a region with a
 *	write under way, or in doubt, is BLKCAST_LSN_DOUBT.  Equal stamps before
 *	and after a read of the region prove that what was read belongs to them.
 *	ENOENT no such view
 *
 * VERIFY	compare a replica's copy with the primary's by checksum, while
 *		writes go on; GET tells how far it is
 *	BLKCAST_A_NAME
 *	BLKCAST_A_LINK
 *	BLKCAST_A_FLAGS		u32, optional: BLKCAST_F_REPAIR: at its end, copy the
 *				primary's content to what differs; BLKCAST_F_STOP:
 *				end the one that runs
 *	A verify goes on, whoever asked for it; it waits while the link is not in
 *	sync, and ends with the link.  EINVAL a replica; ENOENT no such link, or
 *	nothing to stop; EBUSY one runs
 *
 * DIFFERING	what the newest verify of a link has found so far
 *	BLKCAST_A_NAME, BLKCAST_A_LINK
 *	BLKCAST_A_FIRST		u32, region to begin at
 *	answer: BLKCAST_A_RANGES, u32[2 * n]: first region and number of regions of
 *	each run that differs, ascending; n < BLKCAST_RANGES_QUERY_MAX: there are
 *	no more.  ENOENT no such link, or never verified
 *
 * SUSPEND	take in no more writes: they wait; those on their way end.  Reads go on
 *	BLKCAST_A_NAME
 *	EINVAL a replica
 *
 * RESUME	end that.  Writes go on if enough copies are in sync
 *	BLKCAST_A_NAME
 *	EINVAL not suspended by SUSPEND
 *
 * VIEW_CREATE	a read-only device that shows the volume as it is now, while
 *		writes go on; GET tells what became of it
 *	BLKCAST_A_NAME
 *	BLKCAST_A_VIEW		string as NAME
 *	BLKCAST_A_STORE_BYTES	u64, old content that it may keep, 1 MiB..4 TiB;
 *				one that needs more breaks
 *	BLKCAST_A_STORE_FD	u32, optional: keep it in this regular file, which has
 *				that many bytes; nobody else may use it
 *	BLKCAST_A_STORE_DEV	u32, optional: keep it on this block device.  Without
 *				either in memory
 *	BLKCAST_A_TIMEOUT	u32, ms that a write may wait for the file or device,
 *				100..600000, default 5000; then the view breaks
 *	BLKCAST_A_FLAGS		u32, optional: BLKCAST_F_REPLACE: the view of this name
 *				gives its name to the new one, and goes when nobody has
 *				it open; BLKCAST_F_OWNED: the new one goes so when this
 *				netlink socket is closed
 *	answer: BLKCAST_A_MINOR u32 of its /dev/blkcastN; BLKCAST_A_LSN u64 of the
 *	newest write that it shows
 *	EEXIST there is a view of this name; ENOSPC too many views; EUCLEAN this
 *	copy is inconsistent; ENODEV its device fails or is detached; EIO a write that
 *	belongs to it failed; EBUSY the store
 *	is in use; EINVAL it cannot be one; EAGAIN the volume has just been resized
 *
 * VIEW_REMOVE	BLKCAST_A_NAME, BLKCAST_A_VIEW
 *	ENOENT no such view; EBUSY its device is open
 *
 * VIEW_PASS	give up what a view shows below a region: nothing is kept for it
 *		any more, and reads there fail
 *	BLKCAST_A_NAME, BLKCAST_A_VIEW
 *	BLKCAST_A_FIRST		u32, the first region that is still needed
 *	ENOENT no such view
 *
 * Events go to the multicast group "events" as messages of command EVENT with
 *	BLKCAST_A_EVENT_SEQ	their number, counted over all volumes, without a gap:
 *				who misses one, or finds a higher one in GET than it
 *				has heard, looks at the state anew
 *	BLKCAST_A_EVENT_TIME, BLKCAST_A_NAME, BLKCAST_A_EVENT, and what is said there
 */
#ifndef _UAPI_BLKCAST_NETLINK_H
#define _UAPI_BLKCAST_NETLINK_H

#include <linux/types.h>

#define BLKCAST_GENL_NAME	"blkcast"
#define BLKCAST_GENL_VERSION	1
#define BLKCAST_GENL_EVENTS	"events"

#define BLKCAST_STAMPS_QUERY_MAX 1024
#define BLKCAST_RANGES_QUERY_MAX 512

/* Device numbers: 12 bits of major, 20 of minor, as new_encode_dev() does. */
#define BLKCAST_DEV(major, minor) \
	(((minor) & 0xffU) | (((major) & 0xfffU) << 8) | (((minor) & ~0xffU) << 12))

enum blkcast_cmd {
	BLKCAST_CMD_UNSPEC,
	BLKCAST_CMD_UP,
	BLKCAST_CMD_DOWN,
	BLKCAST_CMD_PRIMARY,
	BLKCAST_CMD_REPLICA,
	BLKCAST_CMD_SET,
	BLKCAST_CMD_LINK_ADD,
	BLKCAST_CMD_LINK_DEL,
	BLKCAST_CMD_GET,
	BLKCAST_CMD_STAMPS,
	BLKCAST_CMD_EVENT,
	BLKCAST_CMD_VERIFY,
	BLKCAST_CMD_DIFFERING,
	BLKCAST_CMD_SUSPEND,
	BLKCAST_CMD_RESUME,
	BLKCAST_CMD_DEPOSE,
	BLKCAST_CMD_GROW,
	BLKCAST_CMD_VIEW_CREATE,
	BLKCAST_CMD_VIEW_REMOVE,
	BLKCAST_CMD_VIEW_PASS,
	BLKCAST_CMD_MEMBER,
	BLKCAST_CMD_LEASE,
	BLKCAST_CMD_DETACH,
	__BLKCAST_CMD_MAX,
};

#define BLKCAST_F_FORCE		(1U << 0)
#define BLKCAST_F_ASYNC		(1U << 1)
#define BLKCAST_F_DISCARD	(1U << 2)
#define BLKCAST_F_REPAIR	(1U << 3)
#define BLKCAST_F_STOP		(1U << 4)
#define BLKCAST_F_REPLACE	(1U << 5)
#define BLKCAST_F_OWNED		(1U << 6)
#define BLKCAST_F_READS		(1U << 7)	/* BLKCAST_WIRE_READ */
#define BLKCAST_F_TLS		(1U << 8)	/* the link's socket encrypts */
#define BLKCAST_F_APART		(1U << 9)	/* managed: not in the set; nobody waits for it */

enum blkcast_role {
	BLKCAST_ROLE_REPLICA,
	BLKCAST_ROLE_PRIMARY,
};

enum blkcast_ack_mode {
	BLKCAST_ACK_LOCAL,	/* completed when written here */
	BLKCAST_ACK_DISK,	/* ... and at every in-sync replica */
	BLKCAST_ACK_MEMORY,	/* ... and received by every in-sync replica */
};

/* While fewer than MIN_ISR copies are in sync. */
enum blkcast_on_loss {
	BLKCAST_ON_LOSS_SUSPEND, /* writes and flushes wait */
	BLKCAST_ON_LOSS_ERROR,	/* ... fail */
};

/* When a device of the primary fails what writes it. */
enum blkcast_on_io_error {
	BLKCAST_ON_IO_ERROR_PASS, /* writers are told */
	BLKCAST_ON_IO_ERROR_DETACH, /* they wait for DETACH, if replicas are in sync */
};

/* How the devices of a volume are. */
enum blkcast_device {
	BLKCAST_DEVICE_IN_USE,
	BLKCAST_DEVICE_FAILING,	/* what it failed waits for DETACH */
	BLKCAST_DEVICE_DETACHED,
};

/* Who decides who is in the in-sync set. */
enum blkcast_membership {
	BLKCAST_MEMBERSHIP_AUTO,
	BLKCAST_MEMBERSHIP_MANAGED, /* MEMBER alone; one that is lost is waited for */
};

/* Why writes do not go on (bits). */
#define BLKCAST_SUSPENDED_HAND	(1U << 0)	/* SUSPEND */
#define BLKCAST_SUSPENDED_ISR	(1U << 1)	/* fewer than MIN_ISR are in sync */
#define BLKCAST_SUSPENDED_MEMBER (1U << 2)	/* managed: see MISSING */
#define BLKCAST_SUSPENDED_LEASE	(1U << 3)	/* it is over */

/*
 * States of a link, as the primary sees it.  A replica's end is COMPARING until
 * its stamps are sent, then RESYNC while marked inconsistent, else IN_SYNC.
 *
 *	COMPARING -> RESYNC -> JOINING -> IN_SYNC
 *	                ^---------+----------'		falls behind, local error
 *	any -> DOWN					removed at once, not seen
 */
enum blkcast_link_state {
	BLKCAST_LINK_DOWN,
	BLKCAST_LINK_COMPARING,	/* waiting for the replica's stamps */
	BLKCAST_LINK_RESYNC,	/* some regions are dirty */
	BLKCAST_LINK_JOINING,	/* all equal, waited for, not durable or recorded yet */
	BLKCAST_LINK_IN_SYNC,
};

enum blkcast_verify_state {
	BLKCAST_VERIFY_RUNNING,
	BLKCAST_VERIFY_DONE,	/* what was to be compared is; REPAIR: is dirty */
	BLKCAST_VERIFY_STOPPED,	/* by BLKCAST_F_STOP, before its end */
};

/* A broken view shows nothing any more. */
enum blkcast_view_state {
	BLKCAST_VIEW_WHOLE,
	BLKCAST_VIEW_FULL,		/* broken: what it may keep is used up */
	BLKCAST_VIEW_NO_MEMORY,
	BLKCAST_VIEW_READ_ERROR,	/* of what was about to be overwritten */
	BLKCAST_VIEW_WRITE_ERROR,	/* a write that it shows failed */
	BLKCAST_VIEW_FLUSH_ERROR,	/* what the device holds is not known */
	BLKCAST_VIEW_STORE_ERROR,	/* the file or device */
	BLKCAST_VIEW_TIMEOUT,		/* a write had to wait for it too long */
	BLKCAST_VIEW_SHRUNK,		/* the volume lost a part that it shows */
};

enum blkcast_store_kind {
	BLKCAST_STORE_MEMORY,
	BLKCAST_STORE_FILE,
	BLKCAST_STORE_DEVICE,
};

enum blkcast_event {
	BLKCAST_EVENT_UNSPEC,
	BLKCAST_EVENT_LINK_UP,		/* LINK */
	BLKCAST_EVENT_LINK_DOWN,	/* LINK, ERROR: why, a positive errno */
	BLKCAST_EVENT_LINK_IN_SYNC,	/* LINK */
	BLKCAST_EVENT_LINK_BEHIND,	/* LINK: left the backlog or the in-sync set */
	BLKCAST_EVENT_VOLUME_UP,
	BLKCAST_EVENT_VOLUME_DOWN,
	BLKCAST_EVENT_ROLE,		/* ROLE, TERM */
	BLKCAST_EVENT_SUSPENDED,	/* writes wait, or fail: see ON_LOSS */
	BLKCAST_EVENT_RESUMED,
	BLKCAST_EVENT_DEPOSED,		/* TERM u32, of the newer reign */
	BLKCAST_EVENT_RESYNC_BEGIN,	/* LINK: the copies are being made equal */
	BLKCAST_EVENT_RESYNC_END,	/* LINK: they are equal */
	BLKCAST_EVENT_MEMBERS,		/* MEMBERS: the in-sync set, on stable storage */
	BLKCAST_EVENT_ERROR,		/* ERROR, ERRORS: a device here has failed */
	BLKCAST_EVENT_SIZE,		/* SECTORS or META_END have changed */
	BLKCAST_EVENT_READ,		/* LINK: a replica has served what cannot be read here */
	BLKCAST_EVENT_MEMBER_LOST,	/* LINK: managed: in the set; waited for until MEMBER */
	BLKCAST_EVENT_CAUGHT_UP,	/* LINK: managed: may be put into the set */
	BLKCAST_EVENT_LEASE_OVER,	/* nothing succeeds any more */
	BLKCAST_EVENT_LEASE_RENEWED,	/* ... does so again */
	BLKCAST_EVENT_FAILING,		/* primary: a device fails, and may be detached */
	BLKCAST_EVENT_DETACHED,		/* primary: it is */
};

/**
 * struct blkcast_read_fails - reads that failed on a primary's own device, since UP
 * @served: were answered by a replica
 * @failed: were not: there was none, or it could not read either
 * @repaired: pieces of them that were written anew here and read back right
 * @bad: bytes that could not be: known to be bad until they are written
 */
struct blkcast_read_fails {
	__u64 served;
	__u64 failed;
	__u64 repaired;
	__u64 bad;
};

enum blkcast_attr {
	BLKCAST_A_UNSPEC,
	BLKCAST_A_PAD,
	BLKCAST_A_NAME,		/* string			[GET] */
	BLKCAST_A_BACKING,	/* u32 device number		[GET] */
	BLKCAST_A_META,		/* u32 device number		[GET] */
	BLKCAST_A_BACKLOG,	/* u64 bytes			[GET] */
	BLKCAST_A_MINOR,	/* u32				[GET] */
	BLKCAST_A_TERM,		/* u32				[GET] */
	BLKCAST_A_REIGN,	/* u64 of the newest reign	[GET] */
	BLKCAST_A_FLAGS,	/* u32 BLKCAST_F_*	[GET] F_READS: links may have it */
	BLKCAST_A_ACK,		/* u8 enum blkcast_ack_mode	[GET] */
	BLKCAST_A_LINK,		/* string */
	BLKCAST_A_SOCKET,	/* u32 */
	BLKCAST_A_TIMEOUT,	/* u32 ms */
	BLKCAST_A_HISTORY,	/* struct blkcast_reign[]	[GET] */
	BLKCAST_A_FIRST,	/* u32 region */
	BLKCAST_A_COUNT,	/* u32 regions */
	BLKCAST_A_STAMPS,	/* u64[] host order */
	BLKCAST_A_EVENT,	/* u8 enum blkcast_event */
	BLKCAST_A_ERROR,	/* u32 positive errno */

	BLKCAST_A_ROLE,		/* u8 enum blkcast_role		[GET] */
	BLKCAST_A_UUID,		/* 16 bytes, volume		[GET] */
	BLKCAST_A_NODE,		/* 16 bytes, this copy		[GET] */
	BLKCAST_A_SECTORS,	/* u64				[GET] */
	BLKCAST_A_REGION_SHIFT,	/* u32 log2 bytes		[GET] */
	BLKCAST_A_REGIONS,	/* u32				[GET] */
	BLKCAST_A_SUPER_FLAGS,	/* u32 BLKCAST_SUPER_*		[GET] */
	BLKCAST_A_LSN,		/* u64 newest LSN		[GET] */
	BLKCAST_A_OPENERS,	/* u32 openers of the device	[GET] */
	BLKCAST_A_BACKLOG_USED,	/* u64 bytes			[GET] */
	BLKCAST_A_META_WRITES,	/* u64 map blocks and supers written [GET] */
	BLKCAST_A_ACTIVE_GROUPS,/* u32				[GET] */
	BLKCAST_A_DOUBT,	/* u32 regions in doubt		[GET] */
	BLKCAST_A_TOUCHED,	/* u32 regions ever written	[GET] */
	BLKCAST_A_WRITES,	/* u64 writes accepted or applied [GET] */
	BLKCAST_A_WRITE_BYTES,	/* u64				[GET] */
	BLKCAST_A_LINKS,	/* nest of BLKCAST_L_*, repeated [GET] */
	BLKCAST_A_RESYNC_RATE,	/* u64 bytes a second		[GET] */
	BLKCAST_A_ACTIVE_MAX,	/* u64 bytes			[GET] */
	BLKCAST_A_EXPOSED,	/* u32 regions to compare after a crash now [GET] */
	BLKCAST_A_MEMBERS,	/* 16 bytes each, @member of the superblock [GET] */
	BLKCAST_A_META_END,	/* u64 byte on META at which metadata end [GET] */
	BLKCAST_A_RANGES,	/* u32[] pairs of first region, number of regions */
	BLKCAST_A_READS,	/* u64 reads of the device here since it is up [GET] */
	BLKCAST_A_AWAY,		/* nest of BLKCAST_L_*, repeated	[GET] */
	BLKCAST_A_MIN_ISR,	/* u32 copies			[GET] */
	BLKCAST_A_ON_LOSS,	/* u8 enum blkcast_on_loss	[GET] */
	/* Primary: */
	BLKCAST_A_ISR,		/* u32 copies in sync, this one too [GET] */
	BLKCAST_A_SUSPENDED,	/* u32 BLKCAST_SUSPENDED_*; 0: not [GET] */
	BLKCAST_A_SUSPENDED_NS,	/* u64 since when; absent: not	[GET] */
	BLKCAST_A_PARKED,	/* u32 writes and flushes that wait, SUSPENDED [GET] */
	BLKCAST_A_HEIR,		/* 16 bytes, @heir of the superblock [GET] */
	BLKCAST_A_DEPOSED,	/* u32 newer term; absent: not deposed [GET] */
	BLKCAST_A_EVENT_SEQ,	/* u64 number of an event; [GET] of the newest */
	BLKCAST_A_EVENT_TIME,	/* u64 ns of CLOCK_REALTIME */
	BLKCAST_A_ERRORS,	/* u64 failures of the devices here since UP [GET] */
	BLKCAST_A_ROOM,		/* u64 sectors that the devices here could hold [GET] */
	BLKCAST_A_BLOCK,	/* u32 logical block size of BACKING [GET] */
	BLKCAST_A_VIEW,		/* string */
	BLKCAST_A_VIEWS,	/* nest of BLKCAST_V_*, repeated [GET] */
	BLKCAST_A_STORE_BYTES,	/* u64 */
	BLKCAST_A_STORE_FD,	/* u32 */
	BLKCAST_A_STORE_DEV,	/* u32 device number */
	BLKCAST_A_READ_FAILS,	/* struct blkcast_read_fails	[GET] */
	BLKCAST_A_MAX_LAG,	/* u32 ms; 0: no limit		[GET] */
	/* Replica: */
	BLKCAST_A_AGE_NS,	/* u64 age of what is shown here; absent: not known [GET] */
	BLKCAST_A_TURNED_AWAY,	/* u64 reads that failed by MAX_LAG [GET] */
	BLKCAST_A_LEASE,	/* u64 ns of CLOCK_BOOTTIME; absent: none [GET] */
	BLKCAST_A_MEMBERSHIP,	/* u8 enum blkcast_membership: BLKCAST_SUPER_MANAGED */
	BLKCAST_A_MEMBER,	/* u8 */
	BLKCAST_A_MISSING,	/* string, repeated: in the set, and not there [GET] */
	BLKCAST_A_ON_IO_ERROR,	/* u8 enum blkcast_on_io_error	[GET] */
	BLKCAST_A_DEVICE,	/* u8 enum blkcast_device	[GET] */
	__BLKCAST_A_MAX,
};

/*
 * Of a link.  LSNs are positions in the stream.  An age that is not known is
 * absent, never 0.
 */
enum blkcast_link_attr {
	BLKCAST_L_UNSPEC,
	BLKCAST_L_PAD,
	BLKCAST_L_NAME,		/* string */
	BLKCAST_L_STATE,	/* u8 enum blkcast_link_state */
	BLKCAST_L_FLAGS,	/* u32 BLKCAST_F_ASYNC, _READS, _TLS, _APART */
	BLKCAST_L_ID,		/* u32, as in tracepoints; unique while loaded */
	BLKCAST_L_SENT,		/* u64 LSN */
	BLKCAST_L_RECEIVED,	/* u64 LSN */
	BLKCAST_L_APPLIED,	/* u64 LSN */
	BLKCAST_L_DURABLE,	/* u64 LSN */
	BLKCAST_L_SENT_BYTES,	/* u64 on the wire, headers included */
	BLKCAST_L_RESYNC_BYTES,	/* u64 of it: content of regions copied */
	BLKCAST_L_DIRTY,	/* u32 regions that differ or may */
	/* Primary: what the replica has not applied. */
	BLKCAST_L_LAG_NS,	/* u64 age of the oldest; 0 caught up; absent unknown */
	BLKCAST_L_LAG_WRITES,	/* u64, of those in the backlog */
	BLKCAST_L_LAG_BYTES,	/* u64, of those in the backlog; dirty regions apart */
	BLKCAST_L_BEHIND_NS,	/* u64 since it left in sync; absent: in sync */
	BLKCAST_L_RTT_NS,	/* u64 newest; absent unknown */
	BLKCAST_L_APPLY_NS,	/* u64 replica's newest receipt-to-applied */
	BLKCAST_L_FLUSH_NS,	/* u64 replica's newest flush */
	BLKCAST_L_CONTACT_NS,	/* u64 since the peer was last heard */
	/* Primary, in state RESYNC. */
	BLKCAST_L_RESYNCED,	/* u32 regions made equal since it began */
	BLKCAST_L_RESYNC_NS,	/* u64 since it began */
	/* Primary: the newest verify; absent if there was none on this link. */
	BLKCAST_L_VERIFY_STATE,	/* u8 enum blkcast_verify_state */
	BLKCAST_L_VERIFY_FLAGS,	/* u32 BLKCAST_F_REPAIR */
	BLKCAST_L_VERIFY_TOTAL,	/* u32 regions to be compared */
	BLKCAST_L_VERIFY_LEFT,	/* u32 of these, not compared yet */
	BLKCAST_L_VERIFY_DIFFER,/* u32 regions that differ */
	BLKCAST_L_VERIFY_BYTES,	/* u64 in blocks of 4 KiB that differ */
	BLKCAST_L_VERIFY_UNREADABLE, /* u32 regions that cannot be read here */
	BLKCAST_L_VERIFY_NS,	/* u64 since it began, or that it took */
	/* Primary: what has not come so far, as LAG_* tells of what is not applied. */
	BLKCAST_L_UNSENT_NS,	/* u64; absent unknown, as the two that follow it */
	BLKCAST_L_UNSENT_WRITES,	/* u64 */
	BLKCAST_L_UNSENT_BYTES,	/* u64 */
	BLKCAST_L_UNRECEIVED_NS,	/* u64 */
	BLKCAST_L_UNRECEIVED_WRITES,	/* u64 */
	BLKCAST_L_UNRECEIVED_BYTES,	/* u64 */
	BLKCAST_L_UNDURABLE_NS,	/* u64 */
	BLKCAST_L_UNDURABLE_WRITES,	/* u64 */
	BLKCAST_L_UNDURABLE_BYTES,	/* u64 */
	BLKCAST_L_QUEUE_NS,	/* u64 newest write: arrival to sent */
	BLKCAST_L_DIRTY_BYTES,	/* u64 of the regions of DIRTY */
	BLKCAST_L_READ_RATE,	/* u64 reads a second of the replica; absent unknown */
	BLKCAST_L_ROOM,		/* u64 sectors its devices could hold; absent unknown */
	__BLKCAST_L_MAX,
};

/* Of a view. */
enum blkcast_view_attr {
	BLKCAST_V_UNSPEC,
	BLKCAST_V_PAD,
	BLKCAST_V_NAME,		/* string */
	BLKCAST_V_MINOR,	/* u32 */
	BLKCAST_V_STATE,	/* u8 enum blkcast_view_state */
	BLKCAST_V_ERROR,	/* u32 positive errno: why it broke, or 0 */
	BLKCAST_V_LSN,		/* u64 newest write that it shows */
	BLKCAST_V_AGE_NS,	/* u64 since then */
	BLKCAST_V_SECTORS,	/* u64 */
	BLKCAST_V_DOUBT,	/* u32 regions in doubt */
	BLKCAST_V_OPENERS,	/* u32 */
	BLKCAST_V_STORE_BYTES,	/* u64 that it may keep */
	BLKCAST_V_STORE_USED,	/* u64 that it keeps */
	BLKCAST_V_PASSED,	/* u32 regions given up */
	BLKCAST_V_STORE,	/* u8 enum blkcast_store_kind */
	BLKCAST_V_FLAGS,	/* u32 BLKCAST_F_REPLACE: a newer one has its name */
	BLKCAST_V_REIGN,	/* u64 id of the newest reign of the history it had */
	__BLKCAST_V_MAX,
};

#endif /* _UAPI_BLKCAST_NETLINK_H */
