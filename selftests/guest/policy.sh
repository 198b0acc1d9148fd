#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# min_isr: without enough copies in sync no write is acknowledged: it waits, or it
# fails, as the operator says, and reads go on. With enough of them again all goes
# on, in order, and the copies are equal. The operator can end every wait, and change
# all of it while writes run.
#
#	a (primary) --- b
#	           `--- c, asynchronous at first; lo loses everything at times
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

hang() { on 'tc qdisc add dev lo root netem loss 100%'; }
unhang() { on 'tc qdisc del dev lo root'; }
set_a() { on "blkcast set a $1"; }
gate() { field_is a 'v["suspended"], v["waiting_writes"]' "$1"; }

# started NAME COMMAND: runs on; its exit status appears in /tmp/NAME
started() { on "rm -f /tmp/$1; { $2; echo \$? > /tmp/$1.new; mv /tmp/$1.new /tmp/$1; } \
	> /tmp/$1.log 2>&1 < /dev/null &"; }
runs() { on "test ! -e /tmp/$1"; }
ended() { wait_until "${3:-60}" on "test -e /tmp/$1" && is "$1" "$(on "cat /tmp/$1")" "$2"; }

# dd SEEK COUNT: blocks of 64 KiB of chance, then a flush
writer() { echo "dd if=/dev/urandom of=/dev/blkcast/a bs=64k count=$2 seek=$1 \
	oflag=direct conv=fsync,notrunc status=none"; }
reads() { on 'timeout 20 dd if=/dev/blkcast/a of=/dev/null bs=1M count=4 iflag=direct status=none'; }

local_start -m 1024 3 32
on 'modprobe sch_netem'
local_create a /dev/ram0
local_create b /dev/ram1
local_create c /dev/ram2

# ---- consistent, and nobody there ----

check "consistent" set_a '--policy consistent'
on 'blkcast primary a'
is "it is what the status says" "$(field a \
	'v["policy"], v["ack"], v["min_isr"], v["on_loss"], v["in_sync_copies"], v["losses_survived"]')" \
	"('consistent', 'disk', 2, 'suspend', 1, 0)"
started w "$(writer 0 1)"
check "a write waits" wait_until 30 gate "(['min-isr'], 1)"
check "reads go on" reads
check "it is not on the disk" on 'cmp -n 65536 /dev/ram0 /dev/zero'
on 'pair -a a c'
check "an asynchronous copy" wait_until 30 in_sync a c
check "does not count" gate "(['min-isr'], 1)"
is "and the status says so" "$(field a 'links["c"]["in_sync"], links["c"]["not_in_sync"]')" \
	"(False, 'asynchronous: never waited for')"
refuses "it cannot go down beneath a writer" 'is open and its writes wait: set' on 'blkcast down a'
on 'pair -m -t 5000 a b'
ended w 0
check "in sync" wait_until 30 in_sync a b c
check "writes go on" gate '([], 0)'
check "the copies are equal" same a b c
is "one may be lost" "$(field a 'v["in_sync_copies"], v["losses_survived"], len(v["in_sync_nodes"])')" '(2, 1, 1)'

# ---- the link falls silent under writers ----

fio="fio --name=w --filename=/dev/blkcast/a --rw=randwrite --direct=1 --ioengine=libaio \
	--iodepth=16 --bssplit=4k/80:64k/20 --size=24m --verify=crc32c --verify_fatal=1 --output=/tmp/fio.out"
started fio "$fio --io_size=96m --rate=8m --fsync=64"
check "writers run" wait_until 30 field_is a 'v["writes"] > 100' True
hang
check "after the timeout they wait" wait_until 60 field_is a 'v["suspended"]' "['min-isr']"
check "reads go on" reads
check "they wait" runs fio
is "the set still is what holds all that was acknowledged" "$(field a 'len(v["in_sync_nodes"])')" 1
unhang
on 'pair -d a c; pair -d a b; true' 2> /dev/null
check "linked again" wait_until 30 on 'pair -m -t 5000 a b'
ended fio 0 180
check "in sync" wait_until 60 in_sync a b
check "the copies are equal" same a b

# ---- the operator lets them go ----

on 'pair -d a b'
started w "$(writer 16 2)"
started z 'blkdiscard -z -o 65536 -l 1048576 /dev/blkcast/a'
check "writes and zeroes wait" wait_until 30 field_is a 'v["waiting_writes"] > 2' True
check "min-isr 1" set_a '--min-isr 1'
ended w 0
ended z 0
check "it is alone, and knows" field_is a 'v["in_sync_copies"], v["in_sync_nodes"], v["policy"]' "(1, [], 'balanced')"
on 'pair -m -t 5000 a b'
check "in sync" wait_until 60 in_sync a b
check "the copies are equal" same a b

# ---- or lets them fail ----

check "two, or an error" set_a '--min-isr 2 --on-loss error'
check "writes go on" on "$(writer 32 2)"
started fio "$fio --io_size=1g"
hang
check "in flight they fail after the timeout" wait_until 60 on 'test -e /tmp/fio'
check "with EIO" on 'grep -hq "Input/output error" /tmp/fio.log /tmp/fio.out'
refuses "new ones at once" 'Input/output error' on "timeout 20 $(writer 450 1)"
check "and are not on the disk" on 'cmp -n 65536 -i $((450 * 65536)):0 /dev/ram0 /dev/zero'
check "reads go on" reads
unhang
check "linked again" wait_until 30 on 'pair -m -t 60000 a b'
check "in sync" wait_until 60 in_sync a b
check "writes go on" on "$(writer 64 1)"
check "the copies are equal" same a b
on 'pair -d a b'
set_a '--on-loss suspend'
started w "$(writer 80 1)"
check "a write waits" wait_until 30 gate "(['min-isr'], 1)"
check "and fails when it is told to" set_a '--on-loss error'
ended w 1
check "with EIO" on 'grep -q "Input/output error" /tmp/w.log'

# ---- by hand ----

on 'pair -m -t 60000 a b && pair -m -t 60000 a c'
check "in sync" wait_until 60 in_sync a b c
set_a '--min-isr 3 --on-loss suspend'
check "suspended by hand" on 'blkcast suspend a'
started w "$(writer 96 1)"
check "a write waits" wait_until 30 gate "(['by-hand'], 1)"
on 'pair -d a c'
check "for two reasons" wait_until 30 gate "(['by-hand', 'min-isr'], 1)"
check "resumed" on 'blkcast resume a'
check "for one" gate "(['min-isr'], 1)"
refuses "not suspended by hand" 'not suspended by hand' on 'blkcast resume a'
on 'pair -m -t 60000 a c'
ended w 0
on 'pair -d a b && pair -m -t 4000 a b'
check "in sync" wait_until 60 in_sync a b c
id=$(field a 'links["b"]["id"]')
on 'blkcast suspend a'
started w "$(writer 112 1)"
check "longer than a link's timeout" wait_until 60 field_is a 'v["waiting_writes"] == 1 and v["suspended_seconds"] > 6' True
on 'blkcast resume a'
ended w 0
is "the link is the one it was" "$(field a 'links["b"]["id"]')" "$id"
refuses "a replica takes no writes" 'not primary' on 'blkcast suspend b'
on 'blkcast suspend a'
refuses "in the way" 'is open' on 'exec 3> /dev/blkcast/a; blkcast down a'
check "still suspended" gate "(['by-hand'], 0)"
on 'blkcast resume a'

# ---- all of it live ----

on 'pair -d a b && pair -m -t 60000 a b'
check "in sync" wait_until 60 in_sync a b c
started fio "$fio --io_size=128m --rate=8m --fsync=100"
check "every policy while writers run" on 'n=0; while [ ! -e /tmp/fio ]; do
	for policy in available consistent balanced "available --ack memory" \
		"consistent --ack memory" "consistent --min-isr 3" "available --min-isr 3"; do
		blkcast set a --policy $policy || exit
		n=$((n + 1))
	done
	blkcast suspend a && blkcast resume a || exit
	done; echo "$n changes"; [ $n -ge 7 ]'
ended fio 0
set_a '--policy consistent'
check "in sync" wait_until 60 in_sync a b c
check "the copies are equal" same a b c
is "it is kept" "$(on 'blkcast down a && blkcast up a && blkcast primary a' > /dev/null; field a 'v["policy"], v["suspended"]')" \
	"('consistent', ['min-isr'])"
check "a suspended volume goes down" on 'timeout 60 blkcast down a'
ktap_done
