// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast: keeps live copies of a block device on other hosts.
 *
 * Loading brings the doors (netlink family, block major); everything else is
 * made when a volume comes up.  While a volume is up the module cannot go.
 *
 * Where things are:
 *	netlink.c	commands		netlink_state.c	  what GET says
 *	volume.c	lifecycle, roles	netlink_map.c	  what is said of regions
 *	write.c		a write's way on the primary	range.c	  overlapping ops
 *	backlog.c	the recent writes		map.c	  the stamp map; its
 *					blocks: map_block.c, its memory: map_memory.c
 *	stream.c	primary's end of a link		super.c	  the superblock
 *	replica.c	replica's end of a link		link.c	  both ends
 *	resync.c	regions that differ		compare.c by checksum
 *	ahead.c		regions read ahead for resync.c
 *	verify.c	is a copy what it should be	lag.c	  how far it trails
 *	repair.c	reads that fail here		answer.c  a replica reads for its primary
 *	bad.c		what must not be read here	detach.c  a device is given up
 *	frame.c		frames on the socket		op.c	  ops, local I/O
 *	members.c	the in-sync set on disk		flush.c	  flushes, one at a time
 *	reads.c		a read's way, how much is read	reign.c	  who may reign next
 *	event.c		what is told			grow.c	  larger, while up
 *	fresh.c		how old what is read may be	lease.c	  until when it may serve
 *	view.c		the volume at one LSN		view_save.c  copy before write
 *	view_read.c	reading it
 *	view_store.c	what was there before	view_spill.c  ... on disk
 */
#include <linux/module.h>

#include "link.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static int __init blkcast_init(void)
{
	int err;

	err = blkcast_ops_init();
	if (err)
		return err;
	err = blkcast_flushes_init();
	if (err)
		goto out_ops_exit;
	err = blkcast_links_init();
	if (err)
		goto out_flushes_exit;
	err = blkcast_repair_init();
	if (err)
		goto out_links_exit;
	err = blkcast_views_init();
	if (err)
		goto out_repair_exit;
	err = blkcast_volumes_init();
	if (err)
		goto out_views_exit;
	err = blkcast_netlink_init();
	if (err)
		goto out_volumes_exit;
	return 0;

out_volumes_exit:
	blkcast_volumes_exit();
out_views_exit:
	blkcast_views_exit();
out_repair_exit:
	blkcast_repair_exit();
out_links_exit:
	blkcast_links_exit();
out_flushes_exit:
	blkcast_flushes_exit();
out_ops_exit:
	blkcast_ops_exit();
	return err;
}

static void __exit blkcast_exit(void)
{
	blkcast_netlink_exit();
	blkcast_links_exit();
	blkcast_volumes_exit();
	blkcast_views_exit();
	blkcast_repair_exit();
	blkcast_flushes_exit();
	blkcast_ops_exit();
}

module_init(blkcast_init);
module_exit(blkcast_exit);

MODULE_DESCRIPTION("Live copies of a block device on other hosts");
MODULE_LICENSE("GPL");
MODULE_ALIAS("net-pf-16-proto-16-family-blkcast");
