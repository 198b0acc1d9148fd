#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A resync reads regions ahead of their turn, while writers are at work in them: what
# has been overwritten meanwhile, or was being overwritten, is read again.
#
#	slow	its device takes its data at once and tells 100 ms later (null_blk): what
#		was read ahead is old by then, all that a writer has written since would
#		be missing on the replica
#	late	its device takes its data 100 ms after it was told to (dm-delay), and reads
#		at once: what was under way to it would be missing
#
# kernels: both
# set: all
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

TRACE=/sys/kernel/tracing
NULLB=/sys/kernel/config/nullb/slow

# Makes the replica of a primary anew: it needs all of it.
again_empty() {	# again_empty PRIMARY DISK
	on "pair -d $1 of-$1; blkcast down of-$1 && blkcast destroy of-$1 --force > /dev/null"
	local_create "of-$1" "$2"
	on "pair $1 of-$1"
}
writer_start() {
	on "fio --name=w --filename=/dev/blkcast/$1 --rw=randwrite --direct=1 --bs=4k \
		--numjobs=16 --norandommap --randseed=$SEED --time_based \
		--runtime=600 > /dev/null 2>&1 &"
}
writer_stop() { on 'pkill -x fio && while pgrep -x fio > /dev/null; do sleep 0.1; done'; }
count() { on "grep -c 'ret=0x$1' $TRACE/trace"; }	# of times that it was good (1), or not (0)

copied_exactly() {	# copied_exactly PRIMARY DISK
	local name=$1
	local_uuid=
	local_create "$name" "$2" --size 16M
	local_create "of-$name" "$3"
	on "blkcast primary $name && blkcast set $name --resync-rate 1G && pair $name of-$name"
	check "$name: in sync" wait_until 60 in_sync "$name" "of-$name"
	check "$name: written all over" on "dd if=/dev/urandom of=/dev/blkcast/$name bs=1M count=16 \
		oflag=direct status=none"
	on "echo > $TRACE/trace"
	again_empty "$name" "$3"
	check "$name: all of it is copied" wait_until 120 in_sync "$name" "of-$name"
	ktap_comment "$(count 1) of 256 regions had been read when their turn came"
	check "$name: so had most" test "$(count 1)" -gt 128
	check "$name: the copies are equal" same "$name" "of-$name"

	on "echo > $TRACE/trace"
	writer_start "$name"
	again_empty "$name" "$3"
	check "$name: all of it beside a writer" wait_until 120 field_is "$name" \
		"links['of-$name']['state']" in-sync
	check "$name: who was there all the time" writer_stop
	ktap_comment "$(count 1) regions were good, $(count 0) were not, or not read ahead"
	check "$name: some had been read ahead" test "$(count 1)" -gt 16
	check "$name: some were read again" test "$(count 0)" -gt 4
	check "$name: caught up" wait_until 60 in_sync "$name" "of-$name"
	check "$name: the copies are equal" same "$name" "of-$name"
}

local_start -m 1024 3 18
on "modprobe null_blk nr_devices=0
	mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
	mkdir $NULLB && cd $NULLB && echo 18 > size && echo 1 > memory_backed &&
	echo 2 > irqmode && echo 100000000 > completion_nsec && echo 1 > power" || exit 1
on 'modprobe -a dm-mod dm-delay && dmsetup create late --table "0 36864 delay /dev/ram2 0 0 /dev/ram2 0 100" && dmsetup mknodes' || exit 1
on "echo 'r:ahead blkcast:blkcast_ahead_take ret=\$retval:x8' > $TRACE/kprobe_events &&
	echo 1 > $TRACE/events/kprobes/ahead/enable" || exit 1
copied_exactly slow /dev/slow /dev/ram0
copied_exactly late /dev/mapper/late /dev/ram1
ktap_done
