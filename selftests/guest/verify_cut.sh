#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A link that is cut during `blkcast verify`, and a replica that loses power
# during it, end it with a word; nothing else is harmed.
#
#	g1 (primary) ---- LAN ---- g2		disks that lose what is not flushed
#
# kernels: both
# set: all
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/hosts.sh
. "$(dirname "$0")/../lib/hosts.sh"

writers_start() {
	vm_exec g1 "fio --name=w --filename=/dev/blkcast/data --rw=randwrite --direct=1 \
		--ioengine=libaio --iodepth=4 --bssplit=512/20:4k/70:64k/10 --size=8m \
		--norandommap --fsync=50 --rate=1m --time_based --runtime=900 \
		--randseed=$SEED > /dev/null 2>&1 &"
	wait_until 60 writes_are "$(($(field g1 "v['writes']") + 100))"
}
writes_are() { [ "$(field g1 "v['writes']")" -gt "$1" ]; }
writers_stop() { vm_exec g1 'pkill -x fio; while pgrep -x fio; do sleep 0.1; done'; }

in_sync() { field_is g1 "link['g2']['state']" in-sync; }
equal() { is "$1: the copies are equal" "$(content g1)" "$(content g2)"; }

verify_moves() {
	field_is g1 "0 < link['g2']['verify']['left_bytes'] < link['g2']['verify']['bytes']" True
}

rate() { vm_exec g1 "blkcast set data --resync-rate $1"; }

# during_verify COMMAND...: then waits for its end
during_verify() {
	vm_exec g1 '{ blkcast verify data; echo "exit $?"; } > /lab/said 2>&1 &'
	wait_until 60 verify_moves && "$@" &&
		wait_until 60 grep -q '^exit' "$LAB/share/said"
}

interrupted() {
	local said
	said=$(cat "$LAB/share/said")
	like "$1: it says so" "$said" '^g2: interrupted: the link was lost when [0-9]+% was compared'
	like "$1: and what to do" "$said" 'run it again'
	like "$1: that is no success" "$said" '^exit 1$'
}

# Of a guest without power the disk alone is left, and here its configuration.
return_g2() {
	vm_start g2 && vm_exec g2 'mkdir -p /etc/blkcast; cp -r /lab/g2/. /etc/blkcast/' &&
		host_start g2 && vm_exec g2 'blkcast up data'
}

lab_start
vm_add g1 -d 16M,keep=30
vm_add g2 -d 16M,keep=30
vm_start g1 g2
hosts_key
host_start g1
host_start g2
volume_create g1 --backlog 2M
volume_create g2
vm_exec g1 'blkcast primary data && blkcast connect data --peer g2 --address g2 --timeout 3000'
check "in sync" wait_until 60 in_sync
vm_exec g2 'cp -r /etc/blkcast /lab/g2'
vm_exec g1 'dd if=/dev/urandom of=/dev/blkcast/data bs=1M oflag=direct status=none 2> /dev/null
	blkcast set data --ack disk'
rate 64K
wait_until 60 in_sync

check "writers" writers_start
check "the link is cut" during_verify vm_lan cut g1 g2
interrupted "the link is cut"
vm_lan heal g1 g2
# A resync at that rate would take minutes beside the writers.
rate 1G
check "in sync again" wait_until 120 in_sync

rate 64K
check "the replica loses power" during_verify vm_power_cut g2
interrupted "the replica loses power"
rate 1G
check "the replica is back" return_g2
check "in sync again" wait_until 120 in_sync

check "equal while writes go on" vm_exec g1 'blkcast verify data'
writers_stop
wait_until 60 field_is g1 "link['g2']['lag_writes']" 0
equal "at the end"
vm_exec g2 'blkcast down data'
refuses "a copy without a link is not compared" '^g2: not compared: no link' \
	vm_exec g1 'blkcast verify data'
ktap_done
