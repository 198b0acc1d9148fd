#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a replica that was away gets: the writes it missed, in order, if it went in
# peace, though it was down meanwhile; else what differs, at the rate that is set
# while writers are at work, and at full speed when nobody writes.
#
#	a (primary) --- b
#
# kernels: both
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

MIB=1048576

missed_writes() {
	on 'fio --name=w --filename=/dev/blkcast/a --rw=randwrite --direct=1 --bs=4k \
		--number_ios=100 --size=32m --output=/dev/null'
}
writer_start() {
	on 'fio --name=w --filename=/dev/blkcast/a --rw=randwrite --direct=1 --bs=4k \
		--size=1m --rate_iops=50 --time_based --runtime=600 > /dev/null 2>&1 &'
}
writer_stop() { on 'pkill -x fio; while pgrep -x fio > /dev/null; do sleep 0.1; done'; }
again_empty() {	# b, which then needs all of it
	on 'pair -d a b; blkcast down b && blkcast destroy b --force > /dev/null'
	local_create b /dev/ram1
	on 'pair a b'
}

local_start -m 1024 2 64
local_create a /dev/ram0
local_create b /dev/ram1
on 'blkcast primary a && pair a b'
check "in sync" wait_until 30 in_sync a b
on "dd if=/dev/urandom of=/dev/blkcast/a bs=1M count=48 oflag=direct conv=fsync status=none"
check "48 MiB written" wait_until 60 in_sync a b

# ---- in peace ----

on 'pair -d a b && blkcast down b'
missed_writes
on 'blkcast up b && pair a b'
check "the replica is back" wait_until 30 in_sync a b
like "it goes on where it was" "$(on 'dmesg | tail -n 20')" 'link b: goes on where it was'
sent=$(field a 'links["b"]["sent_bytes"]')
ktap_comment "$sent bytes were sent for 100 writes of 4 KiB"
check "it got these writes" test "$sent" -gt $((100 * 4096))
check "and nothing else" test "$sent" -lt $((110 * 4200))
check "the copies are equal" same a b

# ---- at the rate that is set ----

check "the rate is set" on 'blkcast set a --resync-rate 1M'
refuses "one out of range is not" '64K..1T' on 'blkcast set a --resync-rate 1'
is "it is kept" "$(on 'grep resync-rate /etc/blkcast/volumes.d/a.conf')" "resync-rate = $MIB"
writer_start
again_empty
check "the resync shows its progress" wait_until 60 field_is a \
	'links["b"]["resynced_regions"] >= 48 and links["b"]["resync_left_seconds"] > 0' True
bytes_a_second=$(field a 'round(links["b"]["resynced_regions"] * 65536 / links["b"]["resync_seconds"])')
ktap_comment "$bytes_a_second bytes a second beside a writer"
check "it gives way to the writer" test "$bytes_a_second" -lt $((2 * MIB))
like "status tells people" "$(on 'blkcast status a')" 'b +resync.*resync [0-9]+%, .* left, about'
on 'blkcast set a --resync-rate 1G'
check "it is done when it may take more" wait_until 120 field_is a 'links["b"]["state"]' in-sync
writer_stop
check "caught up" wait_until 30 in_sync a b
check "the copies are equal" same a b

on 'blkcast set a --resync-rate 64K'
again_empty
check "an idle volume is copied at full speed" wait_until 120 in_sync a b
check "the copies are equal" same a b
ktap_done
