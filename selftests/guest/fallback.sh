#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A primary that is lost while its replica is made equal leaves a copy of no one
# moment. With a view to fall back on, the replica's host has what it was before, and
# can reign with that. The view goes when the copy is in sync; without room for it
# there is no link, and the primary says why.
#
#   g1 (primary) ---- LAN ---- g2 (replica)
#
# kernels: both
# timeout: 600
# shellcheck disable=SC2016 # for the guest's shell

# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/hosts.sh
. "$(dirname "$0")/../lib/hosts.sh"

in_sync() { field_is g1 "link['g2']['state'], link['g2']['lag_writes']" 'in-sync 0'; }
connect() { vm_exec g1 "blkcast connect data --peer g2 --address g2"; }
views() { vm_exec g2 'blkcast view list data --json' | grep -c '"name"'; }

# More than the backlog holds.
part_and_write() {
	vm_exec g1 'blkcast disconnect data --peer g2 &&
		dd if=/dev/urandom of=/dev/blkcast/data bs=1M count=12 oflag=direct conv=fsync,notrunc status=none'
}

lab_start
vm_add g1 -d 32M
vm_add g2 -d 32M
vm_start g1 g2
hosts_key
host_start g1
host_start g2
volume_create g1 --backlog 1M
volume_create g2
vm_exec g1 'blkcast primary data'
refuses "a store that cannot be" 'memory:SIZE' vm_exec g2 'blkcast set data --fallback nowhere'
check "a copy that has nothing needs no view" \
	vm_exec g2 'blkcast set data --fallback /nowhere/store:16M'
check "it is linked" connect
check "in sync" wait_until 60 in_sync

# ---- without room ----

part_and_write
refuses "without room there is no link" 'no view to fall back on.*/nowhere/store' \
	vm_exec g1 'blkcast connect data --peer g2 --address g2 --wait 5'
is "nothing was touched" "$(field g2 'v["inconsistent"]')" False

# ---- one that ends well ----

vm_exec g2 'blkcast set data --fallback /var/tmp/store:16M; mkdir -p /var/tmp'
vm_exec g1 'blkcast disconnect data --peer g2'
check "with room there is one" connect
check "in sync" wait_until 60 in_sync
is "equal" "$(content g2)" "$(content g1)"
check "the view is gone" wait_until 30 test "$(views)" = 0
check "and its device" vm_exec g2 'test ! -e /dev/blkcast/data@fallback'

# ---- one that does not end ----

was=$(content g2)
part_and_write
vm_exec g1 'blkcast set data --resync-rate 64K
	fio --name=w --filename=/dev/blkcast/data --rw=randwrite --direct=1 --bs=4k --size=1m \
	--rate_iops=50 --time_based --runtime=600 > /dev/null 2>&1 &'
connect
check "a resync begins" wait_until 60 field_is g2 'v["inconsistent"]' True
check "and goes on" wait_until 60 field_is g1 'link["g2"]["resynced_regions"] > 3' True
vm_power_cut g1
check "the copy is of no one moment" test "$(content g2)" != "$was"
is "the view is what it was" "$(vm_exec g2 'dd if=/dev/blkcast/data@fallback bs=1M iflag=direct status=none | md5sum')" "$was"
refuses "it is not promoted unasked" 'data@fallback' vm_exec g2 'blkcast primary data'
check "falling back" vm_exec g2 'blkcast snapshot data@fallback /var/tmp/before.snap --quiet &&
	blkcast down data && blkcast restore /var/tmp/before.snap data --force --quiet &&
	blkcast up data && blkcast primary data --force --yes'
is "the volume is what it was" "$(content g2)" "$was"
check "and is written to" vm_exec g2 \
	'dd if=/dev/urandom of=/dev/blkcast/data bs=1M count=1 oflag=direct conv=fsync status=none'

# ---- the primary that was lost comes back ----

check "g1 is back" vm_start g1
host_start g1
vm_exec g1 "mkdir -p /etc/blkcast/volumes.d
	printf '[volume]\nbacking = /dev/vda\nack = local\n' > /etc/blkcast/volumes.d/data.conf
	blkcast up data && blkcast replica data --discard-mine"
check "it follows" vm_exec g2 'blkcast connect data --peer g1 --address g1'
check "in sync" wait_until 60 field_is g2 "link['g1']['state'], link['g1']['lag_writes']" 'in-sync 0'
is "equal to what g2 fell back on" "$(content g1)" "$(content g2)"
sent=$(field g2 'link["g1"]["resync_bytes"]')
ktap_comment "$sent bytes of content were sent"
check "by stamps" test "$sent" -lt $((20 << 20))
ktap_done
