#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# policy consistent over a cut network: the primary gives nothing up and acknowledges
# nothing. Whichever way it ends, no word of the operator is needed: the network heals
# and the writers go on, or the replica takes over and the old primary, which knows
# that nothing was acknowledged without it, follows.
#
#   g1 (primary first) ---- LAN ---- g2
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

in_sync() { field_is "$1" "link['$2']['state'], link['$2']['lag_writes']" 'in-sync 0'; }
connect() { vm_exec "$1" "blkcast connect data --peer $2 --address $2 --timeout 2000 $3"; }
equal() { is "$1" "$(content g1)" "$(content g2)"; }
block() { vm_exec "$1" "dd if=/dev/blkcast/data bs=64k skip=$2 count=1 iflag=direct status=none | md5sum"; }

# A writer of one block that runs on; /tmp/done holds its status in the end.
writer() {
	vm_exec g1 "rm -f /tmp/done; { dd if=/dev/urandom of=/dev/blkcast/data bs=64k count=1 \
		seek=$1 oflag=direct conv=fsync,notrunc status=none; echo \$? > /tmp/new; mv /tmp/new /tmp/done; } \
		> /dev/null 2>&1 < /dev/null &"
}

waits() { field_is g1 "v['suspended'], v['waiting_writes']" "['min-isr'] $1"; }

lab_start
vm_add g1 -d 24M
vm_add g2 -d 24M
vm_start g1 g2
hosts_key
host_start g1
host_start g2
volume_create g1
volume_create g2
vm_exec g1 'blkcast set data --policy consistent && blkcast primary data' && connect g1 g2
check "in sync" wait_until 60 in_sync g1 g2
is "one may be lost" "$(field g1 "v['policy'], v['losses_survived']")" 'consistent 1'

# ---- a cut that heals ----

vm_lan cut g1 g2
writer 0
check "a write waits" wait_until 60 waits 1
is "the link is not in sync, and why" "$(field g1 "link['g2']['in_sync'], link['g2']['not_in_sync']")" 'False no link'
check "and since when" field_is g1 "0 < link['g2']['behind_seconds'] < 60 and 0 < v['suspended_seconds'] < 60" True
is "the set is kept" "$(field g1 "len(v['in_sync_nodes'])")" 1
vm_lan heal g1 g2
check "in sync again by itself" wait_until 60 in_sync g1 g2
check "the write is done" wait_until 60 vm_exec g1 'test "$(cat /tmp/done)" = 0'
equal "equal"

# ---- a cut that does not: g2 takes over ----

mine=$(block g1 10)
vm_lan cut g1 g2
writer 10
check "a write waits" wait_until 60 waits 1
theirs=$(block g2 10)
is "it is nowhere else" "$theirs" "$mine"
vm_power_cut g1
vm_lan heal g1 g2
check "g2 takes over" vm_exec g2 'blkcast primary data --force --yes'
vm_exec g2 'dd if=/dev/urandom of=/dev/blkcast/data bs=64k count=4 seek=50 oflag=direct conv=fsync,notrunc status=none'
check "g1 is back" eval 'vm_start g1 && host_start g1 && vm_exec g1 "mkdir -p /etc/blkcast/volumes.d
	printf \"[volume]\nbacking = /dev/vda\nack = disk\nmin-isr = 2\n\" > /etc/blkcast/volumes.d/data.conf
	blkcast up data"'
check "it follows unasked" connect g2 g1
check "in sync" wait_until 60 in_sync g2 g1
equal "equal"

# ---- error in place of the wait ----

vm_exec g2 'blkcast set data --policy consistent --on-loss error'
vm_lan cut g1 g2
refuses "a write fails" 'Input/output error' vm_exec g2 'timeout 60 dd if=/dev/urandom of=/dev/blkcast/data \
	bs=64k count=1 seek=80 oflag=direct conv=fsync,notrunc status=none'
check "reads go on" block g2 0
vm_lan heal g1 g2
check "in sync again by itself" wait_until 60 in_sync g2 g1
check "writes go on" vm_exec g2 'dd if=/dev/urandom of=/dev/blkcast/data bs=64k count=1 seek=90 \
	oflag=direct conv=fsync,notrunc status=none'
equal "equal"
ktap_done
