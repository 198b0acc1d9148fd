#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A mounted ext4 grows with its volume on two hosts. The replica's host remembers
# where its metadata went, though nobody was at its console; a replica that was
# away while the volume grew is told what it lacks, and follows once it has it.
#
#	g1 (primary) ---- LAN ---- g2		on dm-linear of /dev/vda, full of rubbish
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

MIB=1048576

table() { echo "0 $(($1 * MIB / 512)) linear /dev/vda 0"; }
enlarge() {	# HOST MIB
	vm_exec "$1" "dmsetup suspend d && dmsetup load d --table '$(table "$2")' &&
		dmsetup resume d"
}
create() {	# HOST [OPTION...]
	vm_exec "$1" "blkcast create data --device /dev/mapper/d ${*:2} > /dev/null &&
		blkcast up data"
}
size() { field "$1" 'v["bytes"]'; }
in_sync() { field_is g1 "link['g2']['state'], link['g2']['lag_writes']" 'in-sync 0'; }
sizes_equal() { [ "$(size g1)" = "$(size g2)" ]; }
ends_at() { vm_exec "$1" "[ \$(cat /etc/blkcast/volumes.d/data.end) = $(($2 * MIB)) ]"; }
says() { field_is g1 "'$1' in link['g2'].get('reason', '')" True; }
put_file() { vm_exec g1 "head -c $2 /dev/urandom > /mnt/file-$1 && sync && md5sum /mnt/file-* > /lab/sums"; }
files_whole() { vm_exec g1 'md5sum --quiet -c /lab/sums'; }

lab_start
vm_add g1 -d 40M
vm_add g2 -d 40M
vm_start g1 g2
hosts_key
for host in g1 g2; do
	host_start $host
	vm_exec $host "modprobe dm-mod && dd if=/dev/urandom of=/dev/vda bs=1M count=40 \
		oflag=direct status=none 2> /dev/null; dmsetup create d --table '$(table 14)' &&
		dmsetup mknodes" || exit 1
done
create g1
create g2 --uuid "$(field g1 'v["uuid"]')" --size "$(size g1)"
vm_exec g1 'blkcast primary data && blkcast connect data --peer g2 --address g2'
check "in sync" wait_until 60 in_sync
vm_exec g1 'mkfs.ext4 -q /dev/blkcast/data && mount /dev/blkcast/data /mnt' || exit 1
put_file one $((2 * MIB))

# ---- both ----

enlarge g1 24
refuses "the replica's device is too small" 'the devices on g2 have room for' \
	vm_exec g1 'blkcast grow data'
enlarge g2 24
check "it grows, mounted" vm_exec g1 'blkcast grow data'
check "so does the filesystem" vm_exec g1 'resize2fs /dev/blkcast/data'
check "and holds more" put_file two $((12 * MIB))
check "the replica has the same size" wait_until 30 sizes_equal
check "in sync" wait_until 60 in_sync
check "the replica's host knows where the metadata are" wait_until 30 ends_at g2 24
check "so does the primary's" ends_at g1 24

# ---- one that is away ----

vm_exec g2 'blkcast down data'
enlarge g1 34
check "it grows alone" vm_exec g1 'blkcast grow data'
check "the filesystem too" vm_exec g1 'resize2fs /dev/blkcast/data'
put_file three $((4 * MIB))
check "the replica comes up" vm_exec g2 'blkcast up data'
check "and is told what it lacks" wait_until 60 says 'enlarge them on g2'
enlarge g2 34
check "it follows when it has it" wait_until 60 in_sync
check "with the same size" sizes_equal
check "nothing is lost" files_whole
check "the filesystem is whole" vm_exec g1 'umount /mnt && e2fsck -fn /dev/blkcast/data'
wait_until 60 in_sync
is "equal" "$(content g2)" "$(content g1)"

# ---- the replica takes over ----

vm_exec g1 'blkcast replica data && blkcast down data'
check "the replica takes over" vm_exec g2 'blkcast primary data'
check "its filesystem is whole" vm_exec g2 'e2fsck -fn /dev/blkcast/data > /dev/null &&
	mount -o ro /dev/blkcast/data /mnt && md5sum --quiet -c /lab/sums; umount /mnt'
ktap_done
