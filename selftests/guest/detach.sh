#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# on-io-error=detach: the disk under a primary dies, and the volume lives on by its
# replicas. No writer sees an error, what was acknowledged is on every replica in sync and
# is what is read; the copy on the dead disk is as it was when it was given up, is not
# taken for whole afterwards, and gets what it lacks by its stamps. Rule 32.
#
#	a (primary, on dm) --- b, c		all in one guest
#
# kernels: both
# timeout: 600
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

io=/blkcast/selftests/guest/managed_io.py
sectors=$((20 * 2048))

turn() {	# good|dead|writes
	local table="0 $sectors linear /dev/vda 0"
	case $1 in
	dead) table="0 $sectors error" ;;
	writes) table="0 $sectors flakey /dev/vda 0 0 3600 1 error_writes" ;;
	esac
	on "dmsetup suspend --noflush --nolockfs da && dmsetup load da <<< '$table' &&
		dmsetup resume da"
}

set_a() { on "blkcast set a $1"; }
link() { on "pair -m -t 60000 $1 $2"; }
cut() { on "pair -d a $1"; }
device_is() { field_is a 'v["device_state"]' "$1"; }
state_is() { field_is a "links['$1']['state']" "$2"; }

# started NAME COMMAND: runs on; its exit status appears in /tmp/NAME
started() { on "rm -f /tmp/$1; { $2; echo \$? > /tmp/$1.new; mv /tmp/$1.new /tmp/$1; } \
	> /tmp/$1.out 2>&1 < /dev/null &"; }
runs() { on "test ! -e /tmp/$1"; }
ended() { wait_until 60 on "test -e /tmp/$1" && is "$1 ends" "$(on "cat /tmp/$1")" "$2"; }
stays() { runs "$1" && ! wait_until 2 on "test -e /tmp/$1"; }
writer() { started "$1" "$io write /dev/blkcast/a /tmp/$1.log $2 $3"; }
hold() { on "for n in $2; do $io has /dev/blkcast/\$n /tmp/$1.log || exit; done"; }
disk() { on 'dd if=/dev/vda bs=1M iflag=direct status=none | sha256sum'; }
noted() { on 'test -s /etc/blkcast/volumes.d/a.detached'; }

# What this copy alone has when its disk dies is on its way.
slow_link() { on 'tc qdisc add dev lo root netem delay 3s'; }
fast_link() { on 'tc qdisc del dev lo root'; }

begin() {	# ACK
	turn good
	set_a "--ack $1"
	link a b
	link a c
	check "$1: in sync" wait_until 60 in_sync a b c
}

give_up() {
	check "it fails" wait_until 60 device_is failing
	check "and is given up" on 'blkcast detach a'
	check "is detached" device_is detached
	check "which this host remembers" noted
}

# Hand over to b, and come back. With an argument the disk was dead until then.
go_round() {
	check "b takes over" on 'blkcast replica a --to b && blkcast primary b'
	refuses "a is not promoted" 'detached' on 'blkcast primary a --force --yes'
	refuses "and follows nobody" 'detached' link b a
	check "down" on 'blkcast down a'
	turn good
	[ -z "$1" ] || check "the dead disk could not be told" \
		on '! blkcast meta dump a --json | grep -q "\"inconsistent\": *true"'
	check "up again" on 'blkcast up a'
	check "it is known that it lacks something" field_is a 'v["inconsistent"]' True
	check "for good" on '! test -e /etc/blkcast/volumes.d/a.detached'
	refuses "so it is not promoted" 'inconsistent' on 'blkcast primary a < /dev/null'
	link b a
	link b c
	check "it gets what it lacks" wait_until 90 in_sync b a c
	check "the copies are equal" same b a c
	check "and becomes primary again" on 'blkcast replica b --to a && blkcast primary a'
}

local_start -m 768 -d 20M 2 24
on 'modprobe -a sch_netem dm-mod dm-flakey'
on "dmsetup create da --table '0 $sectors linear /dev/vda 0' && dmsetup mknodes"
local_create a /dev/mapper/da --size 16M --backlog 1M
set_a "--on-io-error detach"
local_create b /dev/ram0 --size 16M
local_create c /dev/ram1 --size 16M
on 'blkcast primary a && blkcast events a > /tmp/events 2>&1 < /dev/null &'

# ---- nobody else has it: the writer is told ----

check "written" on "$io write /dev/blkcast/a /tmp/w.log 0 100"
turn writes
refuses "alone, a write that fails is told" '^$' on "$io write /dev/blkcast/a /tmp/e.log 0 1"
check "with EIO" on 'grep -q " 5$" /tmp/e.log'
refuses "there is nobody to go on with" 'not enough replicas' on 'blkcast detach a'
check "nothing is remembered" on '! test -e /etc/blkcast/volumes.d/a.detached'
turn good

# ---- it dies under writers that wait for nobody ----

begin local
slow_link
check "written here" on "$io write /dev/blkcast/a /tmp/w0.log 400 100"
turn dead
check "and nowhere else yet" field_is a 'min(links[n]["lag_writes"] for n in "bc") > 50' True
writer w 100 300
check "it fails" wait_until 60 device_is failing
check "the writer waits" stays w
like "the status says for what" "$(on 'blkcast status a')" 'DEVICE FAILS'
before=$(disk)
fast_link
give_up
ended w 0
check "what was acknowledged is read, and everywhere" hold w0 'a b c'
check "and what came then" hold w 'a b c'
is "policy" "$(field a 'v["ack"], v["in_sync_copies"], v["losses_survived"]')" "('disk', 2, 1)"
like "the status says what to do" "$(on 'blkcast status a')" 'DETACHED.*blkcast replica a'
check "told" on 'grep -q device-failing /tmp/events && grep -q detached /tmp/events'

# Nothing touches it any more.
turn good
check "writes go on, and enter what nobody has written" \
	on "$io write /dev/blkcast/a /tmp/w2.log 2000 300 && sync /dev/blkcast/a"
check "they are read, and everywhere" hold w2 'a b c'
check "what was never written is zeros" on 'cmp -n 65536 /dev/zero \
	<(dd if=/dev/blkcast/a bs=64k skip=200 count=1 iflag=direct status=none)'
check "a discard" on 'blkdiscard -o 1M -l 1M /dev/blkcast/a'
check "reads the same everywhere" same a b c
is "the disk is as it was" "$(disk)" "$before"

refuses "another ack" 'only ack=disk' set_a '--ack local'
refuses "no view" 'is detached' on 'blkcast view create a v --store memory:1M'
refuses "nothing to compare with" 'detached' on 'blkcast verify a'
refuses "once is enough" 'detached already' on 'blkcast detach a'

# A replica that was away gets regions, from the other one.
cut c
check "it is gone" wait_until 60 field_is a 'v["in_sync_copies"]' 1
check "written meanwhile" on "$io write /dev/blkcast/a /tmp/w3.log 1000 700"
link a c
check "c is in sync again" wait_until 90 in_sync a b c
check "by regions" field_is a 'links["c"]["resync_bytes"] > 1 << 20' True
check "and has it" hold w3 'a b c'
check "the copies are equal" same a b c

# Without any replica both sides wait.
set_a '--on-loss suspend'
cut c
cut b
check "nobody is left" wait_until 60 field_is a 'v["in_sync_copies"], v["suspended"]' \
	"(0, ['min-isr'])"
writer w4 1000 5
started r "$io read /dev/blkcast/a /tmp/r.log 100 1"
check "a writer waits" stays w4
check "a reader waits" stays r
link a b
ended w4 0
ended r 0
check "in sync" wait_until 60 in_sync a b
check "that is there, too" hold w4 'a b'
cut b
set_a '--on-loss error'
check "nobody is left" wait_until 60 field_is a 'v["in_sync_copies"]' 0
refuses "or both fail: a writer" '^$' on "$io write /dev/blkcast/a /tmp/e.log 1000 1"
refuses "a reader" '^$' on "$io read /dev/blkcast/a /tmp/e.log 1000 1"
set_a '--on-loss suspend'
link a b
link a c
check "in sync" wait_until 60 in_sync a b c
go_round
check "all of it is there" hold w2 'a b c'
check "all of it is there" hold w3 'a b c'

# ---- a flush, the pen ----

begin disk
check "written" on "$io write /dev/blkcast/a /tmp/w.log 100 50"
turn writes
started f 'sync /dev/blkcast/a'
check "the flush fails" wait_until 60 device_is failing
check "and waits" stays f
writer w5 3000 50
check "and so does who enters a new region" stays w5
give_up
ended f 0
ended w5 0
check "written by the replicas" hold w5 'a b c'
go_round

# ---- by itself ----

begin memory
on 'blkcast genkey > /dev/null
	/blkcast/selftests/lib/daemon-up'
turn dead
check "the writer notices nothing" on "$io write /dev/blkcast/a /tmp/w6.log 100 50"
check "the daemon has given it up" device_is detached
check "and says so" on 'grep -q "is given up" /run/blkcastd.log'
check "what was acknowledged is there" hold w6 'a b c'
go_round dead

# ---- or not: the operator ends the wait ----

begin disk
on 'kill $(pidof blkcastd)'
turn writes
writer w7 200 5
check "it fails" wait_until 60 device_is failing
turn good
check "the writer waits" stays w7
check "let it fail" set_a '--on-io-error pass'
ended w7 1
check "with EIO" on 'grep -q " 5$" /tmp/w7.log'
check "in use" device_is in-use
check "in sync" wait_until 90 in_sync a b c
check "the copies are equal" same a b c
ktap_done
