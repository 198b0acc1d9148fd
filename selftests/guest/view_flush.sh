#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A flush of the volume's device fails: nobody knows what that holds, so the views of
# the volume are broken, whatever keeps their content, on a primary and on a replica;
# not so those of the other end. Writes go on, and so do views that are made afterwards.
#
#	a (primary, dm on vda) --- b (dm on vdb)
#
# kernels: both
# set: all
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
# view NAME VIEW PYTHON: of v, that view in `view list --json`
view() {
	on "blkcast view list $1 --json" | python3 -Ic '
import json, sys
v, = [v for v in json.load(sys.stdin)["views"] if v["name"] == sys.argv[1]]
print(eval(sys.argv[2]))' "$2" "$3"
}
broken() { [ "$(view "$1" "$2" 'v["broken"]')" = True ]; }
sum() { on "set -o pipefail; dd if=/dev/blkcast/$1 bs=1M iflag=direct status=none | md5sum"; }
fill() {	# MIB OFFSET
	on "dd if=/dev/urandom of=/dev/blkcast/a bs=64k count=$(($1 * 16)) seek=$(($2 * 16)) \
		oflag=direct conv=notrunc status=none"
}
# Whatever has failed, both are equal in the end.
meet() { on 'pair -d a b 2> /dev/null; pair a b' && wait_until 60 in_sync a b; }

reason="a flush of the volume's device failed"
# all_broken NAME
all_broken() {
	for kind in mem file; do
		check "it breaks the view $kind of $1" wait_until 30 broken "$1" $kind
		is "and says why" "$(view "$1" $kind 'v["reason"], v["error"]')" \
			"(\"$reason\", 'Input/output error')"
		refuses "its readers are told" 'Input/output error' sum "$1@$kind"
		like "and who looks at the status" "$(on "blkcast status $1")" "$1@$kind .*$reason"
	done
}

local_start -d 24M -d 24M 0 0
on 'modprobe dm-flakey && modprobe dm-mod'
for disk in a b; do
	on "dmsetup create d$disk --table '$(table $disk good)' && dmsetup mknodes"
done
local_create a /dev/mapper/da --size 16M
local_create b /dev/mapper/db --size 16M
on 'blkcast primary a'
# A store has room for all: what a flush has failed for is sent anew.
check "in sync" meet
fill 16 0
check "all is written" wait_until 60 in_sync a b
was=$(sum a)
for name in a b; do
	on "blkcast view create $name mem > /dev/null &&
		blkcast view create $name file --store /tmp/old-$name:20M > /dev/null" || exit 1
done

# ---- the primary's ----

# Written before: nothing but a flush can fail.
fill 1 0
check "all is written" wait_until 60 in_sync a b
turn a bad
refuses "the one who flushes is told" 'Input/output error' on 'sync /dev/blkcast/a'
turn a good
all_broken a
is "the replica's views are whole" "$(sum b@mem) $(sum b@file)" "$was $was"
check "writes go on" fill 1 4
check "in sync again" meet
is "a view that is made then is whole" "$(on 'blkcast view create a after > /dev/null' && sum a@after)" \
	"$(sum a)"

# ---- the replica's ----

on 'blkcast set a --ack disk'
is "its views are still whole" "$(sum b@mem) $(sum b@file)" "$was $was"
fill 1 8
check "all is written" wait_until 60 in_sync a b
was=$(on 'blkcast view create a other > /dev/null' && sum a@other)
turn b bad
check "the one who flushes does not notice" on 'sync /dev/blkcast/a'
all_broken b
turn b good
check "writes go on" fill 1 12
is "the primary's view is whole" "$(sum a@other)" "$was"
check "in sync again" meet
check "the copies are equal" same a b
is "a view that is made then is whole" "$(on 'blkcast view create b after > /dev/null' && sum b@after)" \
	"$(sum a)"
on 'blkcast down a && blkcast down b'
ktap_result $? "volumes go down, and their views with them"
ktap_done
