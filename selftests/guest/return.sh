#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Whoever fails during writes comes back and is made equal, without sending the
# whole device: a replica that lost power, a link that was cut, a primary that
# lost power.
#
#   g1 (primary) ---- LAN ---- g2		disks that lose what is not flushed
#
# kernels: both
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/hosts.sh
. "$(dirname "$0")/../lib/hosts.sh"

MIB=1048576

# The writers keep to 6 MiB of the volume, all over it.
writer_start() {
	vm_exec g1 "fio --name=w --filename=/dev/blkcast/data --rw=randwrite --direct=1 \
		--ioengine=libaio --iodepth=16 --bssplit=512/20:4k/50:64k/30 --size=1m \
		--offset_increment=6m --numjobs=6 --norandommap --fsync=100 \
		--rate=1m --time_based --runtime=600 --randseed=$RANDOM > /dev/null 2>&1 &"
	writes_pass 100
}
writer_stop() { vm_exec g1 'pkill -x fio; while pgrep -x fio; do sleep 0.1; done'; }

writes() { field g1 "v['writes']"; }
writes_are() { [ "$(writes)" -gt "$1" ]; }
writes_pass() { wait_until 60 writes_are "$(($(writes) + $1))"; }

in_sync() { field_is g1 "link['g2']['state'], link['g2']['lag_writes']" 'in-sync 0'; }
is_down() { field_is g1 "'id' in link['g2']" False; }

equal() { is "$1: the copies are equal" "$(content g1)" "$(content g2)"; }

sent_little() {
	local sent
	sent=$(field g1 "link['g2']['sent_bytes']")
	ktap_comment "$((sent / 1024)) KiB were sent on the new link, of $((volume_bytes / 1024))"
	check "$1: far less than the device was sent" test "$sent" -lt $((volume_bytes / 3))
}

# Of a guest without power the disk alone is left, and here its configuration.
keep_config() { vm_exec "$1" "rm -rf /lab/$1; cp -r /etc/blkcast /lab/$1"; }
return_host() {	# and its volume is up
	vm_start "$1" && vm_exec "$1" "mkdir -p /etc/blkcast; cp -r /lab/$1/. /etc/blkcast/" &&
		host_start "$1" && vm_exec "$1" 'blkcast up data'
}

lab_start
vm_add g1 -d 40M,keep=30
vm_add g2 -d 40M,keep=30
vm_start g1 g2
hosts_key
host_start g1
host_start g2
volume_create g1 --backlog 1M
volume_create g2
vm_exec g1 'blkcast primary data &&
	blkcast connect data --peer g2 --address g2 --timeout 2000'
check "in sync" wait_until 60 in_sync
keep_config g1
keep_config g2
# All of the device holds something.
vm_exec g1 'dd if=/dev/urandom of=/dev/blkcast/data bs=1M oflag=direct conv=fsync status=none 2> /dev/null'
wait_until 120 in_sync
equal "at first"

# ---- the replica ----

writer_start
vm_power_cut g2
check "the writers go on without the replica" writes_pass 300
writer_stop
check "the replica is back" return_host g2
check "it is in sync again" wait_until 120 in_sync
equal "the replica lost power"
sent_little "the replica lost power"

writer_start
vm_power_cut g2
writes_pass 100
check "it is back while writes go on" return_host g2
check "it catches up with them" wait_until 120 field_is g1 "link['g2']['state']" in-sync
writer_stop
wait_until 60 in_sync
equal "the replica came back during writes"

# ---- the link ----

writer_start
vm_lan cut g1 g2
check "the link is given up" wait_until 30 is_down
check "the writers go on without it" writes_pass 300
vm_lan heal g1 g2
check "it comes back by itself" wait_until 60 field_is g1 "link['g2']['state']" in-sync
writer_stop
wait_until 60 in_sync
equal "the link was cut"

# ---- the primary ----

vm_exec g1 "blkcast set data --ack disk && dd if=/dev/urandom of=/tmp/kept bs=1M count=2 status=none &&
	cp /tmp/kept /lab/kept && dd if=/tmp/kept of=/dev/blkcast/data bs=1M seek=2 \
	oflag=direct conv=fsync status=none"
writer_start
vm_power_cut g1
check "the primary is back" return_host g1
check "it is made primary again" vm_exec g1 'blkcast primary data'
check "the replica follows it" wait_until 120 in_sync
equal "the primary lost power"
sent_little "the primary lost power"
check "what was flushed is there" vm_exec g2 \
	"cmp -n $((2 * MIB)) /lab/kept <(dd if=/dev/blkcast/data bs=1M skip=2 count=2 iflag=direct status=none)"
writer_start
writes_pass 200
writer_stop
wait_until 60 in_sync
equal "writes in the new reign"
ktap_done
