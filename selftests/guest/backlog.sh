#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A replica that hangs does not stop the writers of an asynchronous copy, nor
# does it fill the memory: the backlog keeps to its size, the rest is copied by
# regions when the replica answers again.
#
#	a (primary, backlog 4 MiB) --- b, asynchronous; lo loses everything
#
# kernels: both
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

BACKLOG=4194304

hang() { on 'tc qdisc add dev lo root netem loss 100%'; }
unhang() { on 'tc qdisc del dev lo root'; }

# writers BYTES: at depth 32, and what the backlog held at most meanwhile
writers() {
	on "fio --name=w --filename=/dev/blkcast/a --rw=randwrite --direct=1 \
		--ioengine=libaio --iodepth=32 --bssplit=4k/60:64k/40 --size=56m \
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
behind() { field_is a 'links["b"]["state"] != "in-sync"' True; }

local_start -m 1024 2 64
on 'modprobe sch_netem'
local_create a /dev/ram0 --backlog $BACKLOG
local_create b /dev/ram1
on 'blkcast primary a && pair -a -t 600000 a b'
check "in sync" wait_until 30 in_sync a b

hang
lsn=$(field b 'v["lsn"]')
check "writes of four times the backlog complete" writers $((4 * BACKLOG))
is "the replica has got none of them" "$(field b 'v["lsn"]')" "$lsn"
ktap_comment "the backlog held $(most) bytes at most"
check "the backlog kept to its size" test "$(most)" -le $BACKLOG
check "and was used" test "$(most)" -gt $((BACKLOG / 2))
check "the replica is known to be behind" behind
check "the link is the one it was" field_is a 'len(links)' 1
unhang
check "it catches up" wait_until 120 in_sync a b
check "the copies are equal" same a b
sent=$(field a 'links["b"]["sent_bytes"]')
ktap_comment "$((sent / 1024)) KiB were sent in all"

on 'blkcast set a --ack disk && pair -d a b && pair -t 2000 a b'
check "in sync, not asynchronous" wait_until 30 in_sync a b
hang
check "a replica that is waited for is given up after its timeout" \
	writers $((2 * BACKLOG))
check "the backlog kept to its size" test "$(most)" -le $BACKLOG
check "the link is gone" wait_until 60 field_is a 'len(links)' 0
unhang
on 'pair -d a b 2> /dev/null; pair a b'
check "it comes back" wait_until 120 in_sync a b
check "the copies are equal" same a b
ktap_done
