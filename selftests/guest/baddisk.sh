#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A disk that fails: the writer is told, nothing hangs, and afterwards the
# copies are made equal, whoever's disk it was and whoever was away then.
#
#	a (primary, dm-flakey on vda) --- b (dm-flakey on vdb)
#
# kernels: both
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

MIB=1048576
sectors=$((24 * MIB / 512))

# table DISK good|bad: reads work, writes and flushes do or do not
table() {
	case $2 in
	good) echo "0 $sectors linear /dev/vd$1 0" ;;
	bad) echo "0 $sectors flakey /dev/vd$1 0 0 3600 1 error_writes" ;;
	esac
}

turn() {	# DISK good|bad
	on "dmsetup suspend --noflush --nolockfs d$1 &&
		dmsetup load d$1 --table '$(table "$1" "$2")' && dmsetup resume d$1"
}

# write OFFSET BYTES BLOCK: 0 if it succeeds
write() {
	on "dd if=/dev/urandom of=/dev/blkcast/a bs=$3 seek=$(($1 / $3)) count=$(($2 / $3)) \
		oflag=direct conv=notrunc status=none"
}

meet() { on 'pair -d a b 2> /dev/null; pair a b' && wait_until 60 in_sync a b; }

local_start -d 24M -d 24M 0 0
on 'echo 5 > /sys/module/blkcast/parameters/map_idle'
on 'modprobe dm-flakey && modprobe dm-mod'
for disk in a b; do
	on "dmsetup create d$disk --table '$(table $disk good)' && dmsetup mknodes"
done
local_create a /dev/mapper/da --backlog 1M
local_create b /dev/mapper/db
on 'blkcast primary a && pair a b'
wait_until 30 in_sync a b
write 0 $((16 * MIB)) $MIB
check "at first" meet

# ---- the primary's ----

# The map is on the same disk: regions that were just written need none of it.
write 0 $((8 * MIB)) $MIB
turn a bad
refuses "a write that fails is told" 'Input/output error' write 0 4096 4096
refuses "many, with a backlog that is full" 'Input/output error' \
	write $((4 * MIB)) $((4 * MIB)) $((4 * MIB))
refuses "a flush that fails is told" 'Input/output error' on 'sync /dev/blkcast/a'
turn a good
check "writes go on afterwards" write $((MIB / 2)) 8192 4096
check "in sync again" meet
check "the primary's disk failed: the copies are equal" same a b

# What was written is in the disk's cache when a flush fails of which no writer
# knows. It must not be told later that all is safe.
on 'dmesg --clear'
write $((2 * MIB)) 65536 4096
turn a bad
check "the cleaner meets the bad disk" \
	wait_until 30 on 'dmesg | grep "blkcast: a: flush failed"'
turn a good
refuses "the next fsync is told" 'Input/output error' on 'sync /dev/blkcast/a'
check "the one after that is not" on 'sync /dev/blkcast/a'
check "in sync again" meet
check "the copies are equal" same a b

# The replica is away; the backlog still reaches back to where it was, but not
# to all that has happened.
write $((12 * MIB)) $((MIB / 2)) 4096
wait_until 30 in_sync a b
on 'pair -d a b'
write $((8 * MIB)) 4096 4096
turn a bad
refuses "a write fails while the replica is away" 'Input/output error' \
	write $((8 * MIB)) 4096 4096
turn a good
write $((9 * MIB)) 65536 4096
check "it is back" meet
check "the copies are equal" same a b

# ---- the replica's ----

turn b bad
check "a replica's disk fails: the writers go on" write $((MIB / 2)) $((2 * MIB)) 65536
check "the link is gone" wait_until 30 field_is a 'len(links)' 0
turn b good
check "in sync again" meet
check "the replica's disk failed: the copies are equal" same a b

on 'blkcast set a --ack disk; dmesg --clear'
write 0 $((4 * MIB)) $MIB
turn b bad
check "the cleaner meets the bad disk" \
	wait_until 30 on 'dmesg | grep -E "blkcast: b: (flush failed|cannot write)"'
turn b good
check "in sync again" meet
write 0 $((4 * MIB)) $MIB
check "a flush of the cleaner failed: the copies are equal" same a b
on 'blkcast down a && blkcast down b'
ktap_done
