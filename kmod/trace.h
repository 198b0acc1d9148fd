/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tracepoints: one at each hand-over of a write.  They are an interface.
 *
 * Arguments are scalars alone, so that a raw tracepoint program needs neither
 * BTF nor the layout of a struct, and each carries the time at which the write
 * began (ktime_get_ns(), the clock of bpf_ktime_get_ns()), so that a probe
 * attached at any moment needs no table of starts: a duration is now - start.
 *
 *	minor	N of /dev/blkcastN
 *	link	id of the link (BLKCAST_L_ID)
 *	lsn	of the write or flush
 *	bytes	of the volume the write covers, 0 for a flush
 *	start	primary: when the writer submitted it; replica: when the frame
 *		had arrived.  ns
 *	error	0 or a negative errno
 *	sector	first one on the volume, of 512 bytes; 0 for a flush
 *	pid	process (thread group) that submitted it, a kernel thread for what
 *		comes out of the page cache; 0 for a flush of the module's own
 *	now	when it happened, where the module has that anyway.  ns
 *	echoed	when the newest frame left that the replica took in as it came, as
 *		the same acknowledgement says; 0: it does not say.  ns
 *	held	for how long the replica had that frame before it answered, by its
 *		own clock: the round trip is  now - echoed - held.  ns
 *
 * On the primary, for each write:
 *
 *	write_submit	handed in, in the context of its writer; no LSN yet, and it
 *			may still be refused
 *	write_start	has its LSN: it is in the backlog, local I/O begins
 *	write_local	the backing device is done with it
 *	write_done	its writer is told
 *
 * and on each link
 *
 *	link_sent	its turn has come: it is handed to the socket, which may
 *			take a while; always before link_received
 *	link_received	the acknowledgement that covers it has come in: it is there.
 *			What left before echoed has been there for held at least;
 *			what left later may have waited in the replica's socket
 *			for all that is beyond the round trip
 *	link_applied	... it is written there
 *	link_durable	... it is flushed there (a flush alone, bytes 0)
 *
 * On the replica:
 *
 *	replica_received	the frame is here
 *	replica_applied		it is written
 *	replica_durable		the flush that made it so is done (bytes 0)
 *
 * On both:
 *
 *	link_state	from one enum blkcast_link_state to another
 *
 * New arguments are added at the end, so that a program for the fewer still works.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM blkcast

#if !defined(_BLKCAST_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _BLKCAST_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(blkcast_write_submit,
	TP_PROTO(u32 minor, u64 sector, u32 bytes, u64 start, u32 pid),
	TP_ARGS(minor, sector, bytes, start, pid),
	TP_STRUCT__entry(
		__field(u32, minor)
		__field(u64, sector)
		__field(u32, bytes)
		__field(u64, start)
		__field(u32, pid)
	),
	TP_fast_assign(
		__entry->minor = minor;
		__entry->sector = sector;
		__entry->bytes = bytes;
		__entry->start = start;
		__entry->pid = pid;
	),
	TP_printk("minor=%u sector=%llu bytes=%u start=%llu pid=%u",
		  __entry->minor, __entry->sector, __entry->bytes,
		  __entry->start, __entry->pid)
);

TRACE_EVENT(blkcast_write_start,
	TP_PROTO(u32 minor, u64 lsn, u64 sector, u32 bytes, u64 start, u32 pid),
	TP_ARGS(minor, lsn, sector, bytes, start, pid),
	TP_STRUCT__entry(
		__field(u32, minor)
		__field(u64, lsn)
		__field(u64, sector)
		__field(u32, bytes)
		__field(u64, start)
		__field(u32, pid)
	),
	TP_fast_assign(
		__entry->minor = minor;
		__entry->lsn = lsn;
		__entry->sector = sector;
		__entry->bytes = bytes;
		__entry->start = start;
		__entry->pid = pid;
	),
	TP_printk("minor=%u lsn=%llu sector=%llu bytes=%u start=%llu pid=%u",
		  __entry->minor, __entry->lsn, __entry->sector,
		  __entry->bytes, __entry->start, __entry->pid)
);

DECLARE_EVENT_CLASS(blkcast_write_class,
	TP_PROTO(u32 minor, u64 lsn, u32 bytes, u64 start, int error,
		 u64 sector, u32 pid),
	TP_ARGS(minor, lsn, bytes, start, error, sector, pid),
	TP_STRUCT__entry(
		__field(u32, minor)
		__field(u64, lsn)
		__field(u32, bytes)
		__field(u64, start)
		__field(int, error)
		__field(u64, sector)
		__field(u32, pid)
	),
	TP_fast_assign(
		__entry->minor = minor;
		__entry->lsn = lsn;
		__entry->bytes = bytes;
		__entry->start = start;
		__entry->error = error;
		__entry->sector = sector;
		__entry->pid = pid;
	),
	TP_printk("minor=%u lsn=%llu bytes=%u start=%llu error=%d sector=%llu pid=%u",
		  __entry->minor, __entry->lsn, __entry->bytes, __entry->start,
		  __entry->error, __entry->sector, __entry->pid)
);

#define BLKCAST_WRITE_EVENT(name) \
DEFINE_EVENT(blkcast_write_class, name, \
	TP_PROTO(u32 minor, u64 lsn, u32 bytes, u64 start, int error, \
		 u64 sector, u32 pid), \
	TP_ARGS(minor, lsn, bytes, start, error, sector, pid))

BLKCAST_WRITE_EVENT(blkcast_write_local);
BLKCAST_WRITE_EVENT(blkcast_write_done);

TRACE_EVENT(blkcast_link_received,
	TP_PROTO(u32 minor, u32 link, u64 lsn, u32 bytes, u64 start, u64 sector,
		 u32 pid, u64 now, u64 echoed, u64 held),
	TP_ARGS(minor, link, lsn, bytes, start, sector, pid, now, echoed, held),
	TP_STRUCT__entry(
		__field(u32, minor)
		__field(u32, link)
		__field(u64, lsn)
		__field(u32, bytes)
		__field(u64, start)
		__field(u64, sector)
		__field(u32, pid)
		__field(u64, now)
		__field(u64, echoed)
		__field(u64, held)
	),
	TP_fast_assign(
		__entry->minor = minor;
		__entry->link = link;
		__entry->lsn = lsn;
		__entry->bytes = bytes;
		__entry->start = start;
		__entry->sector = sector;
		__entry->pid = pid;
		__entry->now = now;
		__entry->echoed = echoed;
		__entry->held = held;
	),
	TP_printk("minor=%u link=%u lsn=%llu bytes=%u start=%llu sector=%llu pid=%u now=%llu echoed=%llu held=%llu",
		  __entry->minor, __entry->link, __entry->lsn, __entry->bytes,
		  __entry->start, __entry->sector, __entry->pid,
		  __entry->now, __entry->echoed, __entry->held)
);

DECLARE_EVENT_CLASS(blkcast_link_class,
	TP_PROTO(u32 minor, u32 link, u64 lsn, u32 bytes, u64 start, u64 sector,
		 u32 pid, u64 now),
	TP_ARGS(minor, link, lsn, bytes, start, sector, pid, now),
	TP_STRUCT__entry(
		__field(u32, minor)
		__field(u32, link)
		__field(u64, lsn)
		__field(u32, bytes)
		__field(u64, start)
		__field(u64, sector)
		__field(u32, pid)
		__field(u64, now)
	),
	TP_fast_assign(
		__entry->minor = minor;
		__entry->link = link;
		__entry->lsn = lsn;
		__entry->bytes = bytes;
		__entry->start = start;
		__entry->sector = sector;
		__entry->pid = pid;
		__entry->now = now;
	),
	TP_printk("minor=%u link=%u lsn=%llu bytes=%u start=%llu sector=%llu pid=%u now=%llu",
		  __entry->minor, __entry->link, __entry->lsn, __entry->bytes,
		  __entry->start, __entry->sector, __entry->pid,
		  __entry->now)
);

#define BLKCAST_LINK_EVENT(name) \
DEFINE_EVENT(blkcast_link_class, name, \
	TP_PROTO(u32 minor, u32 link, u64 lsn, u32 bytes, u64 start, \
		 u64 sector, u32 pid, u64 now), \
	TP_ARGS(minor, link, lsn, bytes, start, sector, pid, now))

BLKCAST_LINK_EVENT(blkcast_link_sent);
BLKCAST_LINK_EVENT(blkcast_link_applied);
BLKCAST_LINK_EVENT(blkcast_link_durable);

DECLARE_EVENT_CLASS(blkcast_replica_class,
	TP_PROTO(u32 minor, u32 link, u64 lsn, u32 bytes, u64 start, u64 now),
	TP_ARGS(minor, link, lsn, bytes, start, now),
	TP_STRUCT__entry(
		__field(u32, minor)
		__field(u32, link)
		__field(u64, lsn)
		__field(u32, bytes)
		__field(u64, start)
		__field(u64, now)
	),
	TP_fast_assign(
		__entry->minor = minor;
		__entry->link = link;
		__entry->lsn = lsn;
		__entry->bytes = bytes;
		__entry->start = start;
		__entry->now = now;
	),
	TP_printk("minor=%u link=%u lsn=%llu bytes=%u start=%llu now=%llu",
		  __entry->minor, __entry->link, __entry->lsn, __entry->bytes,
		  __entry->start, __entry->now)
);

#define BLKCAST_REPLICA_EVENT(name) \
DEFINE_EVENT(blkcast_replica_class, name, \
	TP_PROTO(u32 minor, u32 link, u64 lsn, u32 bytes, u64 start, u64 now), \
	TP_ARGS(minor, link, lsn, bytes, start, now))

BLKCAST_REPLICA_EVENT(blkcast_replica_received);
BLKCAST_REPLICA_EVENT(blkcast_replica_applied);
BLKCAST_REPLICA_EVENT(blkcast_replica_durable);

TRACE_EVENT(blkcast_link_state,
	TP_PROTO(u32 minor, u32 link, u32 from, u32 to),
	TP_ARGS(minor, link, from, to),
	TP_STRUCT__entry(
		__field(u32, minor)
		__field(u32, link)
		__field(u32, from)
		__field(u32, to)
	),
	TP_fast_assign(
		__entry->minor = minor;
		__entry->link = link;
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("minor=%u link=%u from=%u to=%u",
		  __entry->minor, __entry->link, __entry->from, __entry->to)
);

#endif /* _BLKCAST_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
