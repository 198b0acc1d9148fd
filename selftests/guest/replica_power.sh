#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A replica loses power at any moment, and its disk what was not flushed, while a
# filesystem is written to on the primary and no writer waits (ack=local). The replica's
# copy alone, before it has met the primary again: unless it says that it was under
# resync, the filesystem on it mounts, is sound, and has every file whose fsync the
# replica had reported durable. ROUNDS=N cuts (6), the last of each three during a resync.
#
#   g1 (primary, ext4) ---- LAN ---- g2, its disk with a volatile cache
#
# kernels: both
# set: all
# timeout: 1500
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/hosts.sh
. "$(dirname "$0")/../lib/hosts.sh"

files=/blkcast/selftests/guest/replica_power.py
RANDOM=$SEED

in_sync() { field_is g1 "link['g2']['in_sync']" True; }
in_resync() { field_is g1 "link['g2']['state']" resync; }
synced() { wc -l < "$LAB/share/log"; }
synced_past() { [ "$(synced)" -gt "$1" ]; }
durable_to() { field_is g1 "link['g2']['durable'] >= $1" True; }

# Sets $durable: so many files have been reported durable by the replica.
await_durable() {
	local n until
	n=$(synced)
	until=$(field g1 "v['lsn']")
	wait_until 60 durable_to "$until" && durable=$n
}

host_again() {
	vm_start g2 && vm_load g2 && vm_exec g2 'modprobe dm-snapshot && modprobe brd rd_nr=1 rd_size=32768 &&
		install -m 600 -D /lab/key /etc/blkcast/key && mkdir -p /etc/blkcast/volumes.d &&
		printf "[volume]\nbacking = /dev/vda\n" > /etc/blkcast/volumes.d/data.conf && blkcast up data'
}

# The copy under an overlay for its journal.
mounts() {
	vm_exec g2 'dmsetup create look --table "0 $(blockdev --getsz /dev/blkcast/data) snapshot \
		/dev/blkcast/data /dev/ram0 N 8" && dmsetup mknodes && mount -t ext4 /dev/mapper/look /mnt'
}
has_files() { vm_exec g2 "$files check /mnt $1"; }
sound() { vm_exec g2 'umount /mnt && e2fsck -fn /dev/mapper/look && dmsetup remove look'; }

lab_start
vm_add g1 -d 96M,plain
vm_add g2 -d 96M,keep=50
vm_start g1 g2
hosts_key
host_start g1
host_start g2
volume_create g1
volume_create g2
vm_exec g1 'blkcast primary data && blkcast connect data --peer g2 --address g2'
check "in sync" wait_until 60 in_sync
: > "$LAB/share/log"
vm_exec g1 "mkfs.ext4 -q -b 4096 /dev/blkcast/data && mount /dev/blkcast/data /mnt &&
	setsid $files write /mnt /lab/log > /tmp/writer 2>&1 < /dev/null & "
check "files are written" wait_until 60 synced_past 20

durable=0 whole=0
for round in $(seq "${ROUNDS:-6}"); do
	if [ $((round % 3)) -ne 0 ]; then
		check "$round: in sync" wait_until 120 in_sync
		await_durable
		check "$round: $durable files are durable there" test "$durable" -gt 0
	fi
	delay=$((RANDOM % 1500))
	sleep "$(printf %d.%03d $((delay / 1000)) $((delay % 1000)))"
	vm_power_cut g2
	check "$round: the writer goes on" wait_until 60 synced_past "$(synced)"
	check "$round: the replica is back" host_again
	if [ "$(field g2 "v['inconsistent']")" = True ]; then
		is "$round: it was under resync" $((round % 3)) 0
	else
		whole=$((whole + 1))
		check "$round: its copy mounts" mounts
		check "$round: it has the $durable files" has_files "$durable"
		check "$round: it is sound" sound
	fi
	check "$round: it follows again" daemon_start g2
	[ $((round % 3)) -ne 2 ] || check "$round: a resync begins" wait_until 120 in_resync
done
ktap_comment "$whole times it was not under resync"
check "in the end, in sync" wait_until 120 in_sync
vm_exec g1 'pkill -9 -f replica_power.py; while pgrep -f replica_power.py > /dev/null; do sleep 0.1; done; umount /mnt'
caught_up() { field_is g1 "link['g2']['lag_writes']" 0; }
check "all has been applied" wait_until 60 caught_up
is "equal" "$(content g1)" "$(content g2)"
ktap_done
