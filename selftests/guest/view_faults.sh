#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Whatever happens to a view, a write goes on; and whatever happens to the volume, a
# view shows what was there or nothing.
#
#	a (primary, dm-linear on ram0) --- b (ram1)	stores: dm-linear on ram2
#
# kernels: both
# set: all
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

MIB=1048576
bytes=$((32 * MIB))

# view NAME VIEW PYTHON: of v, that view in `view list --json`
view() {
	on "blkcast view list $1 --json" | python3 -Ic '
import json, sys
v, = [v for v in json.load(sys.stdin)["views"] if v["name"] == sys.argv[1]]
print(eval(sys.argv[2]))' "$2" "$3"
}
sum() { on "set -o pipefail; dd if=/dev/blkcast/$1 bs=1M iflag=direct status=none | md5sum"; }
# fill NAME MIB OFFSET: random bytes, in MiB
fill() {
	on "dd if=/dev/urandom of=/dev/blkcast/$1 bs=64k count=$(($2 * 16)) seek=$(($3 * 16)) \
		oflag=direct conv=notrunc status=none"
}
writing() { [ "$(field a 'v["writes"]')" -gt "$writes" ]; }
# disk NAME SECTORS TYPE...: what the whole of a dm device is now
disk() {
	on "dmsetup suspend --noflush --nolockfs $1 && dmsetup load $1 --table '0 $2 ${*:3}' &&
		dmsetup resume $1"
}

local_start 3 40
sectors=$((40 * MIB / 512))
on "modprobe dm-mod && for i in 0 2; do
	dmsetup create d\$i --table '0 $sectors linear /dev/ram'\$i' 0' || exit
done && dmsetup mknodes"
local_create a /dev/mapper/d0 --size $bytes
local_create b /dev/ram1 --size $bytes
on 'blkcast primary a && pair a b'
fill a 32 0
check "in sync" wait_until 60 in_sync a b

# ---- stores that fail ----

broken_is() { [ "$(view a "$1" 'v["broken"]')" = True ]; }
was=$(sum a)
on 'blkcast view create a good && blkcast view create a bad --store /dev/mapper/d2'
fill a 2 0
is "a view on a device" "$(sum a@bad)" "$was"
disk d2 $sectors error
check "its store fails: writes go on" fill a 2 10
check "the view is broken" wait_until 30 broken_is bad
is "and says why" "$(view a bad 'v["reason"], v["error"]')" "('its store failed', 'Input/output error')"
refuses "its readers are told" 'Input/output error' sum a@bad
on 'blkcast view remove a bad'
disk d2 $sectors linear /dev/ram2 0

on 'blkcast view create a slow --store /dev/mapper/d2 --timeout 1 &&
	dmsetup suspend --noflush --nolockfs d2'
check "its store hangs: writes go on" fill a 24 0
is "it breaks in time" "$(view a slow 'v["reason"]')" 'its store is too slow for the writers'
check "it can be removed while its store hangs" on 'blkcast view remove a slow'
refuses "then the store is still in use" '/dev/mapper/d2.*(in use|busy)' \
	on 'blkcast view create a next --store /dev/mapper/d2'
check "and the volume is not" on 'blkcast view create a next && blkcast view remove a next'
on 'dmsetup resume d2'
check "it is let go when it answers" wait_until 30 \
	on 'blkcast view create a next --store /dev/mapper/d2 2> /dev/null'
on 'blkcast view remove a next'
is "another one is whole" "$(sum a@good)" "$was"

# ---- the volume's own disk ----

on 'blkcast view create a unread'
on "dmsetup suspend --noflush --nolockfs d0 && dmsetup load d0 <<-END && dmsetup resume d0
	0 $((30 * MIB / 512)) linear /dev/ram0 0
	$((30 * MIB / 512)) 8 error
	$((30 * MIB / 512 + 8)) $((10 * MIB / 512 - 8)) linear /dev/ram0 $((30 * MIB / 512 + 8))
END"
refuses "a write that fails is told" 'Input/output error' fill a 1 30
is "what it overwrites could not be read" "$(view a unread 'v["reason"]')" \
	'old content could not be read'
disk d0 $sectors linear /dev/ram0 0
on 'blkcast view remove a good && blkcast view remove a unread'
on 'pair -d a b 2> /dev/null; pair a b'
fill a 2 30
check "in sync again" wait_until 60 in_sync a b
check "the copies are equal" same a b

# ---- a replica is made equal under a view ----

# b alone has written to regions which a never saw written; they are forgotten.
on 'blkcast down a && blkcast down b && blkcast destroy a --force && blkcast destroy b --force'
local_uuid=
local_create a /dev/mapper/d0 --size $bytes
local_create b /dev/ram1 --size $bytes
on 'blkcast primary a && pair a b'
fill a 2 0
check "a new volume" wait_until 60 in_sync a b
check "b goes on alone" on 'pair -d a b && blkcast primary b --force --yes > /dev/null'
check "and is written to" fill b 6 1
check "for nothing" on 'blkcast replica b --discard-mine'
was=$(sum b)
on 'blkcast view create b own --store memory:32M && blkcast view create b own2 --store /tmp/old:32M'
writes=$(field a 'v["writes"]')
on 'fio --name=w --filename=/dev/blkcast/a --rw=randwrite --direct=1 --bs=4k --size=1m \
	--rate_iops=50 --time_based --runtime=600 > /dev/null 2>&1 &'
wait_until 60 writing
on 'blkcast set a --resync-rate 64K && pair a b'
check "it is made equal, slowly beside a writer" wait_until 60 field_is b 'v["inconsistent"]' True
refuses "there is no view of a copy under resync" 'this copy is inconsistent' \
	on 'blkcast view create b early'
on 'blkcast set a --resync-rate 1G; pkill -x fio; while pgrep -x fio > /dev/null; do sleep 0.1; done'
check "what b alone had is given up" wait_until 60 in_sync a b
check "the copies are equal" same a b
fill a 8 0
check "and written over" wait_until 60 in_sync a b
check "the copies are equal" same a b
is "the view shows it" "$(sum b@own)" "$was"
is "the other one as well" "$(sum b@own2)" "$was"

# ---- refresh ----

like "refreshed" "$(on 'blkcast view refresh b own 2>&1')" 'b@own: the one before was .* old$'
is "it is the volume as it is now" "$(sum b@own)" "$(sum b)"
is "one of that name" "$(view b own 'v["replaced"]')" False
now=$(sum b)
on 'sleep infinity < /dev/blkcast/b@own & echo $! > /run/holder; disown'
fill a 1 20
check "in sync" wait_until 60 in_sync a b
like "refreshed while it is open" "$(on 'blkcast view refresh b own 2>&1')" 'it is open, and goes when it is closed'
is "new content under the name" "$(sum b@own)" "$(sum b)"
old=$(on 'blkcast view list b' | sed -n 's/^\(\/dev\/blkcast[0-9]*\) (own).*/\1/p')
is "the old one is what it was" "$(on "dd if=$old bs=1M iflag=direct status=none | md5sum")" "$now"
on 'kill $(cat /run/holder)'
check "and goes when it is closed" wait_until 30 on "! test -b $old"

# What the timer's unit does.
unit() {	# VOLUME AFTER
	on "export STORE=memory:32M AFTER='$2'; sed -n 's/^ExecStart=//p' \
		/blkcast/tools/packaging/blkcast-view@.service |
		sed 's/%i/$1/g; s,/usr/sbin/,,' | bash -e"
}
check "the unit makes a view" unit b 'echo made'
was=$(sum b)
is "it is the volume" "$(sum b@latest)" "$was"
fill a 1 21
check "in sync" wait_until 60 in_sync a b
is "it stays what it was" "$(sum b@latest)" "$was"
like "the unit makes it anew, and tells who mounts it" "$(unit b 'echo mount')" '^mount b latest'
is "it is the volume as it is now" "$(sum b@latest)" "$(sum b)"
on 'blkcast view remove b latest'

# ---- the end ----

on 'pair -d a b; blkcast down a && blkcast down b && rmmod blkcast'
ktap_result $? "all goes"
ktap_done
