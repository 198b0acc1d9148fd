#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A view is what the volume was at one moment between two writes, on a primary and
# on a replica, however much is written meanwhile, and stays it.
#
#	a (primary) --- b
#
# kernels: both
# set: core
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

# Of all three kinds together.
case $KVER in
6.1) rounds=${ROUNDS:-60} ;;
*) rounds=${ROUNDS:-200} ;;
esac
MIB=1048576
bytes=$((5 * MIB - 12288))	# the last region is short

# view NAME VIEW PYTHON: of v, that view in `view list --json`
view() {
	on "blkcast view list $1 --json" | python3 -Ic '
import json, sys
v, = [v for v in json.load(sys.stdin)["views"] if v["name"] == sys.argv[1]]
print(eval(sys.argv[2]))' "$2" "$3"
}

local_start 3 9
local_create a /dev/ram0 --size $bytes
local_create b /dev/ram1 --size $bytes
on 'blkcast primary a'

# ---- exact ----

check "views of a primary, each at one moment" \
	on "view_rounds a a $((rounds * 2 / 5)) $SEED /dev/ram2"
on 'pair a b'
check "a replica" wait_until 60 in_sync a b
check "views of a replica that follows closely" \
	on "blkcast set a --ack disk && view_rounds a b $((rounds * 7 / 20)) $SEED /dev/ram2"
check "in sync" wait_until 60 in_sync a b
check "views of a replica that trails" \
	on "blkcast set a --ack local && view_rounds -l a b $((rounds / 4)) $SEED /dev/ram2"
check "the copies are equal" wait_until 60 in_sync a b
check "all of them" same a b
is "no view is left" "$(on 'blkcast view list a; blkcast view list b')" ""

# ---- one view, by hand ----

sum() { on "set -o pipefail; dd if=/dev/blkcast/$1 bs=1M iflag=direct status=none | md5sum"; }

was=$(sum a)
is "the device of a view" "$(on 'blkcast view create a one')" /dev/blkcast/a@one
check "several at once" on 'blkcast view create a two --store /tmp/old:8M &&
	blkcast view create a three --store /dev/ram2'
refuses "names are used once" 'there is a view of this name' on 'blkcast view create a one'
refuses "a store is used once" '/dev/ram2.*(in use|busy)' \
	on 'blkcast view create a four --store /dev/ram2'
refuses "a view cannot be written to" 'Read-only|Operation not permitted' \
	on 'dd if=/dev/zero of=/dev/blkcast/a@one bs=4k count=1 conv=notrunc'
check "a file for a store has no name" on '! test -e /tmp/old'
on 'dd if=/dev/urandom of=/dev/blkcast/a bs=64k count=70 oflag=direct status=none'
for name in one two three; do
	is "view $name is what was there" "$(sum a@$name)" "$was"
done
is "it says what it keeps" "$(view a one 'v["store_used_bytes"]')" $((70 * 65536))
like "status shows views" "$(on 'blkcast status a')" 'a@one +at .*keeps 4.4 MiB of 64 MiB \(memory\)'
refuses "a view is open: the volume stays up" 'open' \
	on 'exec 3< /dev/blkcast/a@two; blkcast down a'
is "it stays primary" "$(field a 'v["role"]')" primary
refuses "a view is open: it stays" 'open' \
	on 'exec 3< /dev/blkcast/a@two; blkcast view remove a two'
check "it is removed when it is not" on 'blkcast view remove a two && ! test -e /dev/blkcast/a@two'
refuses "a view that is not there" 'no such view' on 'blkcast view remove a two'

# ---- what breaks a view breaks no write ----

on 'blkcast view create a small --store memory:1M'
check "more is overwritten than it may keep" \
	on 'dd if=/dev/urandom of=/dev/blkcast/a bs=64k count=40 oflag=direct status=none'
is "the view is broken" "$(view a small 'v["broken"], v["reason"]')" "(True, 'its store is full')"
refuses "its readers get errors" 'Input/output error' sum a@small
is "another view is not" "$(sum a@one)" "$was"

on 'blkcast down a && blkcast down b'
ktap_result $? "volumes go down, and their views with them"
check "the module goes" on 'rmmod blkcast'
ktap_done
