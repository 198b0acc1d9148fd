#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A replica that is too slow: with ack=local no writer waits for it, though it is not
# asynchronous: its backlog is dropped, it turns dirty and returns by itself, once and
# not again and again. With ack=disk writers wait for at most the timeout.
#
#	a (primary, backlog 2 MiB) --- b, its disk behind a valve; lo may be narrow
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

BACKLOG=2097152
tracing=/sys/kernel/tracing

valve() { on "dmsetup $1 --noflush --nolockfs valve"; }

# writers BYTES: at depth 32, and what the backlog held at most meanwhile
writers() {
	on "fio --name=w --filename=/dev/blkcast/a --rw=randwrite --direct=1 \
		--ioengine=libaio --iodepth=32 --bssplit=4k/60:64k/40 --size=24m \
		--io_size=$1 --randseed=$SEED --output=/dev/null &
	most=0
	while kill -0 \$! 2> /dev/null; do
		used=\$(blkcast status a --json | grep -o '\"backlog_used_bytes\": *[0-9]*')
		used=\${used##*[: ]}
		[ \"\$used\" -le \$most ] || most=\$used
	done
	wait \$! && echo \$most > /lab/most"
}

most() { cat "$LAB/share/most"; }
link_id() { field a 'links["b"]["id"]'; }
# How often a link of a has come in sync since counting began.
count_begin() { on "cd $tracing && echo > trace && echo 1 > events/blkcast/blkcast_link_state/enable"; }
counted() { on "grep -c 'blkcast_link_state: minor=$(field a 'v["minor"]') .*to=4' $tracing/trace"; }

local_start -m 1024 4 32
on 'modprobe sch_netem && modprobe dm-mod &&
	dmsetup create valve --table "0 $(blockdev --getsz /dev/ram1) linear /dev/ram1 0" &&
	dmsetup mknodes'
local_create a /dev/ram0 --meta /dev/ram2 --backlog $BACKLOG
local_create b /dev/mapper/valve --meta /dev/ram3
on 'blkcast primary a && pair -m -t 300000 a b'
check "in sync" wait_until 30 in_sync a b
id=$(link_id)

# ---- ack=local: its disk stands still ----

valve suspend
check "writes of eight times the backlog complete" writers $((8 * BACKLOG))
ktap_comment "the backlog held $(most) bytes at most"
check "the backlog kept to its size" test "$(most)" -le $BACKLOG
check "and was used" test "$(most)" -gt $((BACKLOG / 2))
is "it is known to be behind" "$(field a 'links["b"]["in_sync"], links["b"]["state"]')" "(False, 'resync')"
count_begin
valve resume
check "it returns by itself" wait_until 120 in_sync a b
is "once" "$(counted)" 1
is "on the same link" "$(link_id)" "$id"
check "the copies are equal" same a b

# ---- the network is too narrow for the writers, all the time ----

on 'tc qdisc add dev lo root netem rate 16mbit'
count_begin
check "writers are not held up" writers $((24 * BACKLOG))
ktap_comment "the backlog held $(most) bytes at most"
check "the backlog kept to its size" test "$(most)" -le $BACKLOG
on 'tc qdisc del dev lo root'
check "it returns by itself" wait_until 180 in_sync a b
times=$(counted)
ktap_comment "in sync $times times"
check "not again and again" test "$times" -le 2
is "on the same link" "$(link_id)" "$id"
check "the copies are equal" same a b

# ---- ack=disk: writers wait, but not for ever ----

on 'blkcast set a --policy balanced && pair -d a b && pair -m -t 3000 a b'
check "in sync" wait_until 60 in_sync a b
valve suspend
check "a replica that answers and applies nothing is given up" writers $BACKLOG
check "the link is gone" wait_until 30 field_is a 'len(links)' 0
is "and the set is empty" "$(field a 'v["in_sync_nodes"], v["in_sync_copies"]')" '([], 1)'
valve resume
check "linked again" wait_until 60 on 'pair -m -t 3000 a b'
check "in sync" wait_until 60 in_sync a b
check "the copies are equal" same a b

# ---- ... nor with ack=memory, though all is received ----

on 'blkcast set a --ack memory && pair -d a b && pair -m -t 3000 a b'
check "in sync" wait_until 60 in_sync a b
valve suspend
check "its memory is full: given up, too" writers $((16 * BACKLOG))
ktap_comment "the backlog held $(most) bytes at most"
check "the backlog kept to its size" test "$(most)" -le $BACKLOG
valve resume
check "linked again" wait_until 60 on 'pair -m -t 3000 a b'
check "in sync" wait_until 60 in_sync a b
check "the copies are equal" same a b

# ---- who asks how things are waits for no disk ----

on 'pair -d a b && blkcast down b'
local_create c /dev/mapper/valve
valve suspend
# Until it waits for its superblock.
on 'blkcast primary c --force --yes > /lab/promoted 2>&1 &
	until grep -q "^State:.D" /proc/$!/status; do kill -0 $! || exit; sleep 0.1; done'
VM_LIMIT=60 check "status answers while the metadata device stands still" \
	on 'timeout 20 blkcast status --json > /dev/null'
is "and tells what is on the disk" "$(field c 'v["role"]')" replica
valve resume
check "which goes on where it was" wait_until 30 field_is c 'v["role"]' primary
ktap_done
