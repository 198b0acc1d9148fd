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
 *
 * On the primary, for each write:  write_start -> write_local -> write_done,
 * and on each link  link_sent -> link_received -> link_applied ->
 * link_durable (a flush alone, bytes 0); the last three when the acknowledgement
 * that covers it comes in.  On the replica:  replica_received -> replica_applied ->
 * replica_durable (the flush that made it so, bytes 0).
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM blkcast

#if !defined(_BLKCAST_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _BLKCAST_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(blkcast_write_start,
	TP_PROTO(u32 minor, u64 lsn, u64 sector, u32 bytes, u64 start),
	TP_ARGS(minor, lsn, sector, bytes, start),
	TP_STRUCT__entry(
		__field(u32, minor)
		__field(u64, lsn)
		__field(u64, sector)
		__field(u32, bytes)
		__field(u64, start)
	),
	TP_fast_assign(
		__entry->minor = minor;
		__entry->lsn = lsn;
		__entry->sector = sector;
		__entry->bytes = bytes;
		__entry->start = start;
	),
	TP_printk("minor=%u lsn=%llu sector=%llu bytes=%u start=%llu",
		  __entry->minor, __entry->lsn, __entry->sector,
		  __entry->bytes, __entry->start)
);

DECLARE_EVENT_CLASS(blkcast_write_class,
	TP_PROTO(u32 minor, u64 lsn, u32 bytes, u64 start, int error),
	TP_ARGS(minor, lsn, bytes, start, error),
	TP_STRUCT__entry(
		__field(u32, minor)
		__field(u64, lsn)
		__field(u32, bytes)
		__field(u64, start)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->minor = minor;
		__entry->lsn = lsn;
		__entry->bytes = bytes;
		__entry->start = start;
		__entry->error = error;
	),
	TP_printk("minor=%u lsn=%llu bytes=%u start=%llu error=%d",
		  __entry->minor, __entry->lsn, __entry->bytes, __entry->start,
		  __entry->error)
);

#define BLKCAST_WRITE_EVENT(name) \
DEFINE_EVENT(blkcast_write_class, name, \
	TP_PROTO(u32 minor, u64 lsn, u32 bytes, u64 start, int error), \
	TP_ARGS(minor, lsn, bytes, start, error))

BLKCAST_WRITE_EVENT(blkcast_write_local);
BLKCAST_WRITE_EVENT(blkcast_write_done);

DECLARE_EVENT_CLASS(blkcast_link_class,
	TP_PROTO(u32 minor, u32 link, u64 lsn, u32 bytes, u64 start),
	TP_ARGS(minor, link, lsn, bytes, start),
	TP_STRUCT__entry(
		__field(u32, minor)
		__field(u32, link)
		__field(u64, lsn)
		__field(u32, bytes)
		__field(u64, start)
	),
	TP_fast_assign(
		__entry->minor = minor;
		__entry->link = link;
		__entry->lsn = lsn;
		__entry->bytes = bytes;
		__entry->start = start;
	),
	TP_printk("minor=%u link=%u lsn=%llu bytes=%u start=%llu",
		  __entry->minor, __entry->link, __entry->lsn, __entry->bytes,
		  __entry->start)
);

#define BLKCAST_LINK_EVENT(name) \
DEFINE_EVENT(blkcast_link_class, name, \
	TP_PROTO(u32 minor, u32 link, u64 lsn, u32 bytes, u64 start), \
	TP_ARGS(minor, link, lsn, bytes, start))

BLKCAST_LINK_EVENT(blkcast_link_sent);
BLKCAST_LINK_EVENT(blkcast_link_received);
BLKCAST_LINK_EVENT(blkcast_link_applied);
BLKCAST_LINK_EVENT(blkcast_link_durable);
BLKCAST_LINK_EVENT(blkcast_replica_received);
BLKCAST_LINK_EVENT(blkcast_replica_applied);
BLKCAST_LINK_EVENT(blkcast_replica_durable);

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
