#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A volume grows on all copies, while it is written to and without a link lost:
# what comes into being reads as zeros whatever the devices hold there, what was
# there stays, the copies are equal. What does not fit is refused with the reason.
#
#	a (primary) --- b, c		on dm-linear of /dev/ram0, 1, 2, full of rubbish
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

table() { echo "0 $(($2 / 512)) linear /dev/ram$1 0"; }
device() {	# NUMBER BYTES
	on "dd if=/dev/urandom of=/dev/ram$1 bs=1M count=48 status=none &&
		dmsetup create d$1 --table '$(table "$1" "$2")' && dmsetup mknodes"
}
enlarge() {	# BYTES NUMBER...
	local bytes=$1 number
	shift
	for number; do
		on "dmsetup suspend d$number && dmsetup load d$number \
			--table '$(table "$number" "$bytes")' && dmsetup resume d$number"
	done
}

bytes() { field "$1" 'v["bytes"]'; }
grow() { on "blkcast grow a $*"; }
links() { field a '[l["id"] for l in v["links"]]'; }

# Reads and writes all over the volume as large as it is when they begin.
writers_start() {
	on "fio --name=w --filename=/dev/blkcast/a --rw=randwrite --direct=1 --ioengine=libaio \
		--iodepth=16 --bssplit=512/10:4k/50:64k/30:512k/10 --norandommap --fsync=50 \
		--rate=4m --time_based --runtime=600 --randseed=$SEED --output=/tmp/fio \
		> /dev/null 2>&1 &"
	writes_pass 50
}
writers_stop() { on 'pkill -INT -x fio; while pgrep -x fio; do sleep 0.1; done; grep -q "err= 0" /tmp/fio'; }
writes() { field a 'v["writes"]'; }
writes_are() { [ "$(writes)" -gt "$1" ]; }
writes_pass() { wait_until 60 writes_are $(($(writes) + $1)); }

# zeros VOLUME FROM: from there to its end
zeros() {
	on "cmp -n \$((\$(blockdev --getsize64 /dev/blkcast/$1) - $2)) /dev/zero \
		<(dd if=/dev/blkcast/$1 bs=4k skip=$(($2 / 4096)) iflag=direct status=none)"
}

sizes_are() {	# BYTES NAME...: by their devices
	local bytes=$1 name
	shift
	for name; do
		[ "$(on "blockdev --getsize64 /dev/blkcast/$name")" = "$bytes" ] || return 1
	done
}

# has_grown WHAT FROM REPLICA...: all that has to be true afterwards
has_grown() {
	local what=$1 from=$2 now middle name
	shift 2
	now=$(bytes a)
	middle=$(((from + now) / 2))
	check "$what: larger" test "$now" -gt "$from"
	check "$what: the replicas follow" wait_until 30 sizes_are "$now" a "$@"
	for name in a "$@"; do
		check "$what: what is new on $name reads as zeros" zeros "$name" "$from"
	done
	# Across the old end, in the middle and at the end of what is new.
	check "$what: and can be written" on "for at in $((from - 32768)) \
		$((middle - middle % 65536)) $((now - 65536)); do
			dd if=/dev/urandom of=/dev/blkcast/a bs=4k count=16 oflag=direct \
				seek=\$((at / 4096)) conv=notrunc,fsync status=none || exit
		done"
}

# Bytes and content of a device.
content() { on "blockdev --getsize64 /dev/blkcast/$1; md5sum < /dev/blkcast/$1"; }

# A snapshot that has begun and cannot go on: nobody takes what it writes.
snapshot_begin() {
	on 'rm -f /tmp/snap /tmp/go
		blkcast snapshot a - --live 2> /dev/null | {
			dd bs=1 count=1 of=/tmp/snap status=none
			until [ -e /tmp/go ]; do sleep 0.1; done
			cat >> /tmp/snap
			touch /tmp/over
		} > /dev/null 2>&1 &'
	wait_until 60 on '[ -s /tmp/snap ]'
}
snapshot_end() { on 'touch /tmp/go' && wait_until 120 on '[ -e /tmp/over ]'; }

both_slow() {
	field_is a 'links["c"]["state"], links["b"]["verify"]["state"]' "('resync', 'running')"
}
verified() {
	field_is a '[links["b"]["verify"][k] for k in ("state", "left_bytes", "differing_bytes")]' \
		"['done', 0, 0]"
}

equal() { # WHAT REPLICA...
	check "$1: in sync" wait_until 60 in_sync a "${@:2}"
	check "$1: equal" same a "${@:2}"
}

local_start 3 48
on 'modprobe dm-mod && modprobe loop'
for number in 0 1 2; do
	device $number $((16 * MIB))
done
local_create a /dev/mapper/d0 --ack disk --backlog 1M
local_create b /dev/mapper/d1
local_create c /dev/mapper/d2 --meta /tmp/c.meta --size "$(bytes a)" --max-size 46M
on 'blkcast primary a && pair a b && pair a c'
check "in sync" wait_until 60 in_sync a b c
ids=$(links)
was=$(bytes a)
check "the last region is a short one" test $((was % 65536)) -ne 0

# ---- refused ----

refuses "nothing to grow into" 'fills /dev/mapper/d0 already: enlarge it first' grow
enlarge $((17 * MIB)) 0
refuses "enlarged by too little" 'move to its new end, may need' grow
enlarge $((26 * MIB)) 0
refuses "a replica is too small" 'the devices on b have room for .* enlarge them first' grow
enlarge $((26 * MIB)) 1
refuses "another one is" 'the devices on c have room for .* enlarge them first' grow
refuses "it does not shrink" 'volumes do not shrink' grow --size 8M
refuses "half a block" 'no multiple of 4096' grow --size 16777217
refuses "more than there is" 'have room for' grow --size 80M
refuses "a replica by itself" "grows with its primary: .* 'blkcast grow b' there" \
	on 'blkcast grow b'
is "none has grown" "$(bytes a) $(bytes b) $(bytes c)" "$was $was $was"

# ---- while it is written to ----

writers_start
enlarge $((26 * MIB)) 2
check "grows under writes" grow
writes_pass 50
has_grown "under writes" "$was" b c
check "no write has failed" writers_stop
equal "under writes" b c

was=$(bytes a)
writers_start
enlarge $((32 * MIB)) 0 1 2
check "grows to a size that is given" grow --size $((was + 3 * MIB + 4096))
has_grown "a given size" "$was" b c
is "is the size that was given" "$(bytes a)" $((was + 3 * MIB + 4096))
was=$(bytes a)
check "grows to what is left" grow
has_grown "the rest" "$was" b c
check "no write has failed" writers_stop
equal "twice more" b c
is "the links are those of the beginning" "$(links)" "$ids"

# ---- a replica that was away ----

was=$(bytes a)
on 'pair -d a c'
enlarge $((37 * MIB)) 0 1
check "the last region is a short one, and touched" on \
	"dd if=/dev/urandom of=/dev/blkcast/a bs=4k count=1 seek=$((was / 4096 - 1)) \
		oflag=direct conv=notrunc,fsync status=none && [ $((was % 65536)) -ne 0 ]"
check "b has it" wait_until 60 in_sync a b
on 'blkcast view create a old > /dev/null && blkcast view create b old > /dev/null'
old=$(content a@old)
is "views before it, of the size that was: the copies are equal" "$(content b@old)" "$old"
snapshot_begin
check "grows without one" grow
has_grown "without one" "$was" b
snapshot_end
on 'echo 3 > /proc/sys/vm/drop_caches'
is "the view of the primary stays what it was" "$(content a@old)" "$old"
is "the view of the replica as well" "$(content b@old)" "$old"
on 'blkcast view remove a old; blkcast view remove b old; blkcast view create b new > /dev/null'
is "a new view is larger" "$(on 'blockdev --getsize64 /dev/blkcast/b@new')" "$(bytes b)"
on 'blkcast view remove b new'
is "a snapshot under way claims nothing of the region that went on" \
	"$(on 'blkcast info /tmp/snap --json' | python3 -Ic '
import json, sys
print(json.load(sys.stdin)["in_doubt"])')" 1
equal "without one" b
enlarge $((37 * MIB)) 2
on 'pair a c'
equal "which follows when it returns" b c
check "and got little" test "$(field a 'links["c"]["sent_bytes"]')" -lt $((2 * MIB))

# ---- during resync, verify and writes ----

was=$(bytes a)
writers_start
on 'pair -d a c'
writes_pass 150
enlarge $((41 * MIB)) 0 1 2
on 'blkcast set a --resync-rate 256K && pair a c
	blkcast verify a --peer b > /tmp/verify 2>&1 &'
check "one is under resync, one is compared" wait_until 60 both_slow
check "grows meanwhile" grow
check "and they are still at it" both_slow
has_grown "meanwhile" "$was" b c
check "no write has failed" writers_stop
on 'blkcast set a --resync-rate 1G'
equal "meanwhile" b c
check "and the comparison has found nothing" wait_until 120 verified

# ---- down and up again ----

on 'pair -d a b; pair -d a c; blkcast down a && blkcast down b && blkcast down c'
for name in a b c; do
	check "the metadata of $name are whole" on "blkcast meta check $name"
done
on 'blkcast up a && blkcast up b && blkcast up c && blkcast primary a && pair a b && pair a c'
equal "up again" b c

# ---- one that has grown under a primary that is gone ----

was=$(bytes a)
on 'pair -d a b; pair -d a c; blkcast down c'
enlarge $((46 * MIB)) 0
check "a grows alone" grow
check "and is written to" on "dd if=/dev/urandom of=/dev/blkcast/a bs=64k count=4 \
	seek=$((was / 65536)) oflag=direct conv=fsync status=none"
on 'blkcast view create a lost > /dev/null'
on 'blkcast replica a --discard-mine && blkcast primary b --force --yes && pair b a'
check "it follows one that has not" wait_until 60 in_sync b a
is "to its size" "$(bytes a)" "$was"
refuses "a view of what is given up is broken" 'Input/output error' \
	on 'dd if=/dev/blkcast/a@lost of=/dev/null bs=64k iflag=direct status=none'
like "and says why" "$(on 'blkcast view list a')" 'a@lost +BROKEN: the volume lost a part'
on 'blkcast view remove a lost'
check "equal" same b a
enlarge $((46 * MIB)) 1
check "that one grows" on 'blkcast grow b'
check "and it follows" wait_until 30 sizes_are "$(bytes b)" a b
check "what it had there is gone" zeros a "$was"
check "equal" same b a
on 'pair -d b a; blkcast down a; blkcast down b'
for name in a b; do
	check "the metadata of $name are whole" on "blkcast meta check $name"
done
ktap_done
