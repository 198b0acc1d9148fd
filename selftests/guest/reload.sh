#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The module leaves nothing behind: loaded, used and unloaded ten times, no
# thread, slab cache or claim on a device stays, and memory does not shrink by
# more than 4 MiB over the last eight rounds (a round moves 24 MiB).
#
#	a (primary) --- b
#
# kernels: both
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

# One round; every second one goes down while the link still catches up.
round() {
	on "insmod /blkcast/.build/kmod-\$KVER/blkcast.ko &&
		blkcast up a && blkcast up b && blkcast primary a && pair a b" || return
	[ $(($1 % 2)) -eq 0 ] || wait_until 30 in_sync a b || return
	on 'dd if=/dev/urandom of=/dev/blkcast/a bs=64k count=384 oflag=direct \
		conv=fsync status=none && blkcast down a && blkcast down b && rmmod blkcast'
}

threads() { on 'ps -eo comm | grep ^blkcast'; }
caches() { on 'grep ^blkcast /proc/slabinfo'; }
opens_exclusively() {
	on 'python3 -c "import os
for disk in 0, 1: os.close(os.open(f\"/dev/ram{disk}\", os.O_RDWR | os.O_EXCL))"'
}
# KiB, without caches. What the CPUs keep on lists of their own, up to an eighth of all
# since 6.7, counts as neither free nor available: it is added.
available() {
	on 'sync; echo 3 > /proc/sys/vm/drop_caches; echo 1 > /proc/sys/vm/compact_memory
		sleep 1
		awk "/^MemAvailable/ { kib += \$2 } / count:/ { kib += 4 * \$2; lists += 4 * \$2 }
			END { print kib, lists }" /proc/meminfo /proc/zoneinfo'
}

local_start 2 32
local_create a /dev/ram0
local_create b /dev/ram1
# Every page of the RAM disks is there before memory is measured.
on 'blkcast down a && blkcast down b && rmmod blkcast &&
	for disk in 0 1; do
		dd if=/dev/ram$disk of=/dev/ram$disk bs=1M conv=notrunc status=none
	done'
for i in 1 2 3 4 5 6 7 8 9 10; do
	check "round $i" round $i
	[ $i -ne 2 ] || read -r before before_lists < <(available)
done
read -r after after_lists < <(available)
is "no thread stays" "$(threads)" ""
is "no slab cache stays" "$(caches)" ""
check "the devices are free" opens_exclusively
ktap_comment "available after round 2: $before KiB, $before_lists of it on CPUs' lists"
ktap_comment "after round 10: $after KiB, $after_lists of it there"
check "memory is given back" test "$((before - after))" -lt 4096

vm_load g1
on 'blkcast up a && blkcast up b && blkcast primary a && pair a b'
check "a link again" wait_until 30 in_sync a b
check "the copies are equal" same a b
refuses "the module stays while a volume is up" 'in use' on 'rmmod blkcast'
ktap_done
