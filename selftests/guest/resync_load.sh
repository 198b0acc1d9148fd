#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A resync ends, though writers are faster than the link: they wait for a replica that
# they will wait for anyway, as long as it goes on. For one that hangs, or nearly, they do not.
#
#	a (primary, backlog 1 MiB) --- b; lo is slow, or loses everything
#
# kernels: both
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

writer_start() {	# writer_start MIB: in the first of the volume
	on "fio --name=w --filename=/dev/blkcast/a --rw=randwrite --direct=1 --bs=4k \
		--size=$1m --numjobs=16 --group_reporting --norandommap --randseed=$SEED --time_based \
		--runtime=600 > /tmp/fio 2>&1 &"
}
writer_stop() {
	on 'pkill -INT -x fio; while pgrep -x fio > /dev/null; do sleep 0.1; done
		! grep "error=[^0]" /tmp/fio'
}
again_empty() {	# b, which then needs all of it
	on 'pair -d a b; blkcast down b && blkcast destroy b --force > /dev/null'
	local_create b /dev/ram1
	on 'pair -t 600000 a b'
}

local_start -m 1024 2 32
on 'modprobe sch_netem'
local_create a /dev/ram0 --backlog 1M --ack disk
local_create b /dev/ram1
on 'blkcast primary a && blkcast set a --resync-rate 1G && pair -t 600000 a b'
check "in sync" wait_until 30 in_sync a b
on "dd if=/dev/urandom of=/dev/blkcast/a bs=1M count=30 oflag=direct status=none"

# ---- a slow link ----

on 'tc qdisc add dev lo root netem rate 40mbit limit 10000'
for mib in 30 1; do	# all over it; and where a write is always in the region's way
	writer_start $mib
	again_empty
	check "$mib MiB: the resync ends beside the writers" wait_until 120 field_is a \
		'links["b"]["state"]' in-sync
	check "$mib MiB: who had no error" writer_stop
	check "$mib MiB: in sync" wait_until 30 in_sync a b
	check "$mib MiB: the copies are equal" same a b
done

# ---- one that hangs, and one that is too slow to wait for ----

for lo in 'loss 100%' 'rate 16kbit limit 10000'; do
	on 'tc qdisc replace dev lo root netem rate 8mbit limit 10000'	# half a minute's resync
	again_empty
	on "tc qdisc replace dev lo root netem $lo"
	check "$lo: writers are done with eight times the backlog" on 'timeout 60 fio --name=w \
		--filename=/dev/blkcast/a --rw=randwrite --direct=1 --bs=4k --numjobs=16 \
		--norandommap --size=30m --io_size=512k --output=/dev/null'
	is "$lo: the replica is still under resync" "$(field a 'links["b"]["state"]')" resync
	on 'tc qdisc replace dev lo root pfifo'
	check "$lo: in sync" wait_until 120 in_sync a b
	check "$lo: the copies are equal" same a b
done
ktap_done
