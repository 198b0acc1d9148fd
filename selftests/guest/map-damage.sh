#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A block of the stamp map that is lost, or cannot be read, puts its regions in
# doubt: the copy comes up, is not promoted unasked, and is made equal by what
# differs alone.  Rot in the slot that counts is never taken for a torn write, which
# would make the copy what it was one write earlier: of rotten stamps the regions are
# in doubt, and known are those that were never written.
#
#	a (primary) --- b (its map block is lost)
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
WRITTEN=320	# regions

# Where the map of b is: its first block, of 480 regions, has two slots.
map_sector() {
	on 'blkcast meta dump b --json' | python3 -Ic '
import json, sys
def find(o):
    if isinstance(o, dict):
        if "map_offset" in o:
            return o["map_offset"]
        o = list(o.values())
    for i in o if isinstance(o, list) else []:
        found = find(i)
        if found is not None:
            return found
print(find(json.load(sys.stdin)) // 512)'
}

# table FIRST COUNT: the disk, with an error there
table() {
	local end=$(($1 + $2))
	printf '0 %d linear /dev/ram1 0\n%d %d error\n%d %d linear /dev/ram1 %d\n' \
		"$1" "$1" "$2" "$end" $((32 * MIB / 512 - end)) "$end"
}

turn() { on "dmsetup load db --table \"$1\" && dmsetup resume db"; }

# The slot of b's first block with the newer generation, as a block of the device;
# the bytes of a region.
newer_slot() {
	on "dd if=/dev/ram1 bs=4k skip=$((at / 8)) count=2 iflag=direct status=none" |
		python3 -Ic "
import struct, sys
slots = sys.stdin.buffer.read()
older, newer = (struct.unpack_from('<Q', slots, i * 4096 + 8)[0] for i in (0, 1))
print($at // 8 + (newer > older))"
}

# rot BLOCK OFFSET: one byte
rot() {
	on "dd if=/dev/ram1 bs=4k skip=$1 count=1 iflag=direct of=/run/block status=none &&
		printf '\\125\\252' | dd of=/run/block bs=1 seek=$2 conv=notrunc status=none &&
		dd if=/run/block of=/dev/ram1 bs=4k seek=$1 oflag=direct conv=notrunc status=none"
}

in_doubt() {	# CLAIM
	check "$1: it comes up" on 'blkcast up b'
	is "$1: all its regions are in doubt" "$(field b 'v["doubt_regions"]')" 480
	refuses "$1: it is not promoted unasked" 'inconsistent' on 'blkcast primary b'
}

made_equal() {
	on 'pair a b'
	check "$1: in sync" wait_until 60 in_sync a b
	check "$1: the copies are equal" same a b
	sent=$(field a 'links["b"]["resync_bytes"]')
	ktap_comment "$sent bytes of content were sent"
	check "$1: little was sent" test "$sent" -lt $MIB
	is "$1: it may be promoted" "$(field b 'v["inconsistent"]')" False
	on 'pair -d a b'
}

local_start 2 32
whole="0 $((32 * MIB / 512)) linear /dev/ram1 0"
on "modprobe dm-mod && dmsetup create db --table '$whole' && dmsetup mknodes"
local_create a /dev/ram0
local_create b /dev/mapper/db
on 'blkcast primary a && pair a b'
on "dd if=/dev/urandom of=/dev/blkcast/a bs=1M count=$((WRITTEN / 16)) oflag=direct conv=fsync status=none"
check "in sync" wait_until 60 in_sync a b
on 'pair -d a b && blkcast down b'
at=$(map_sector)

# One slot is what a torn write leaves: the other counts.
on "dd if=/dev/urandom of=/dev/ram1 bs=4k seek=$((at / 8)) count=2 oflag=direct conv=notrunc status=none"
in_doubt "a lost block"
like "the log says so" "$(on dmesg)" 'blkcast: b: map block 0 is damaged'
made_equal "a lost block"
on 'blkcast down b'

rot "$(newer_slot)" 700
check "rotten stamps: it comes up" on 'blkcast up b'
is "rotten stamps: what was ever written is in doubt" "$(field b 'v["doubt_regions"]')" $WRITTEN
like "the log says so" "$(on dmesg)" 'blkcast: b: map block 0 was not written whole'
is "rotten stamps: nothing is inconsistent" "$(field b 'v["inconsistent"]')" False
made_equal "rotten stamps"
on 'blkcast down b'

rot "$(newer_slot)" 50
in_doubt "a rotten head"
made_equal "a rotten head"
on 'blkcast down b'

turn "$(table "$at" 8)"
in_doubt "an unreadable slot"
on 'blkcast down b'
turn "$whole"
check "it is still in doubt when it can be read again" on 'blkcast up b'
is "all of it" "$(field b 'v["doubt_regions"]')" 480
made_equal "an unreadable slot"
on 'blkcast down b'
check "its metadata are sound again" on 'blkcast meta check b'
ktap_done
