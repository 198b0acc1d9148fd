#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A replica's disk fails and is replaced by one that is full of something else; a
# host that was primary loses its metadata and begins anew; a host is removed for
# good. One command each, which refuses what would lose data.
#
#   g1 (primary first: vda) ---- LAN ---- g2 (replica first: d on vda, then vdb)
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
equal() { is "$1: the copies are equal" "$(content g1)" "$(content g2)"; }
config() { vm_exec "$1" 'cat /etc/blkcast/volumes.d/*.conf 2> /dev/null'; }

write_at() {	# GUEST SEEK COUNT: blocks of 64 KiB
	vm_exec "$1" "dd if=/dev/urandom of=/dev/blkcast/data bs=64k seek=$2 count=$3 \
		oflag=direct conv=fsync,notrunc status=none"
}

# No primary calls from here on, but what the last one offered is not forgotten yet.
offered() { [ "$(vm_exec "$1" 'python3 -Ic "
import socket
s = socket.socket(socket.AF_UNIX)
s.connect(\"/run/blkcast/control\")
s.sendall(b\"{\\\"request\\\": \\\"offer\\\", \\\"volume\\\": \\\"data\\\"}\\n\")
print(b\"peer\" in s.recv(4096))"')" = True ]; }

lab_start
vm_add g1 -d 24M
vm_add g2 -d 24M -d 32M -d 8M
vm_start g1 g2
hosts_key
host_start g1
host_start g2
volume_create g1
vm_exec g2 "modprobe dm-mod && echo 0 $((24 * 2048)) linear /dev/vda 0 |
	dmsetup create d && dmsetup mknodes &&
	blkcast create data --device /dev/mapper/d --uuid $volume_uuid --size $volume_bytes \
		> /dev/null && blkcast up data &&
	dd if=/dev/urandom of=/dev/vdb bs=1M oflag=direct conv=fsync status=none 2> /dev/null
	mke2fs -q -F /dev/vdc"
vm_exec g1 'blkcast primary data && blkcast connect data --peer g2 --address g2'
write_at g1 16 48
write_at g1 200 16
check "in sync" wait_until 60 in_sync g1 g2
old_node=$(field g2 'v["node"]')

# ---- a replica's disk ----

vm_exec g2 "dmsetup suspend --noflush --nolockfs d &&
	echo 0 $((24 * 2048)) error | dmsetup load d && dmsetup resume d"
write_at g1 300 8
check "the disk fails, the link goes" wait_until 60 field_is g1 "'id' in link['g2']" False
refuses "not while the old copy is up" 'old copy is still up.*blkcast down data' \
	vm_exec g2 'blkcast replace data --device /dev/vdb'
vm_exec g2 'blkcast down data'
before=$(config g2)
refuses "not onto a disk that is too small" 'vdc.*has room for' \
	vm_exec g2 'blkcast replace data --device /dev/vdc'
refuses "nor onto the disk that failed" 'mapper/d' \
	vm_exec g2 'blkcast replace data --device /dev/mapper/d'
vm_exec g2 'mke2fs -q -F /dev/vdb 16M'
refuses "nor onto a filesystem" 'vdb holds ext2; --force' \
	vm_exec g2 'blkcast replace data --device /dev/vdb'
vm_exec g2 'mount /dev/vdb /mnt'
refuses "not even forced while it is mounted" 'mounted on /mnt' \
	vm_exec g2 'blkcast replace data --device /dev/vdb --force'
vm_exec g2 'umount /mnt'
is "nothing has changed" "$(config g2)" "$before"

check "the primary calls" wait_until 30 offered g2
vm_lan cut g1 g2
refuses "replaced, but the primary is gone" 'g1 has not connected within 1 s' \
	vm_exec g2 'blkcast replace data --device /dev/vdb --force --wait 1'
refuses "what is not filled yet does not become primary" 'inconsistent' \
	vm_exec g2 'blkcast primary data'
vm_lan heal g1 g2
check "filled" wait_until 120 in_sync g1 g2
equal "a replaced disk"
check "under an id of its own" test "$(field g2 'v["node"]')" != "$old_node"
is "consistent" "$(field g2 'v["inconsistent"]')" False
like "configured" "$(config g2)" '^backing = /dev/vdb'
vm_exec g2 'blkcast down data'
check "with sound metadata" vm_exec g2 'blkcast meta check data'
check "and comes up as ever" vm_exec g2 'blkcast up data'
check "in sync" wait_until 60 in_sync g1 g2

# ---- a primary's ----

refuses "a primary's disk is not replaced under it" \
	'this host is its primary.*make a replica that is in sync primary' \
	vm_exec g1 'blkcast replace data --device /dev/vda --force'
vm_exec g1 'blkcast down data'
vm_exec g1 "dd if=/dev/urandom of=/dev/vda bs=512 seek=$((23 * 2048 + 1)) count=1 \
	oflag=direct status=none && dd if=/dev/urandom of=/dev/vda bs=512 \
	seek=$((24 * 2048 - 7)) count=1 oflag=direct status=none"
refuses "its metadata are lost" 'both copies of the superblock are damaged.*blkcast replace' \
	vm_exec g1 'blkcast up data'
refuses "without a primary there is nothing to fill it" 'no primary has called this host' \
	vm_exec g1 'blkcast replace data --device /dev/vda --force --wait 1'
vm_exec g2 'blkcast primary data --force --yes &&
	blkcast connect data --peer g1 --address g1 --wait 0'
write_at g2 210 16
refuses "there is something on that disk" 'damaged.*--force' \
	vm_exec g1 'blkcast replace data --device /dev/vda'
check "made anew, the metadata elsewhere" \
	vm_exec g1 'modprobe loop && blkcast replace data --device /dev/vda --meta /root/meta --force'
check "filled" wait_until 120 in_sync g2 g1
equal "a primary that lost its metadata"
like "configured" "$(config g1)" '^meta = /root/meta'

# ---- a host goes for good ----

refuses "a replica removes nobody" 'only its primary' \
	vm_exec g1 'blkcast connect data --peer g2 --address g2 > /dev/null
		blkcast disconnect data --peer g2 --forget'
before=$(config g2)
vm_exec g1 'sleep 600 < /dev/blkcast/data > /dev/null 2>&1 & echo $! > /run/reader'
refuses "not while somebody reads there" 'g1 keeps its copy, and nothing has changed here.*open' \
	vm_exec g2 'blkcast disconnect data --peer g1 --forget'
is "nothing has changed" "$(config g2)" "$before"
vm_exec g1 'kill $(cat /run/reader)'
check "given up" vm_exec g2 'blkcast disconnect data --peer g1 --forget'
is "gone from the configuration there" "$(config g1)" ""
is "and from what is up" "$(vm_exec g1 'ls /dev/blkcast; blkcast status')" \
	"No volumes here; 'blkcast create' makes one."
refuses "it is no copy any more" 'no blkcast metadata' \
	vm_exec g1 'blkcast meta check --device /dev/vda --meta /root/meta'
is "gone here" "$(field g2 "v['links']")" "[]"
check "the primary goes on" write_at g2 0 4
vm_exec g2 'blkcast connect data --peer g1 --address g1 --wait 0'
vm_lan cut g1 g2
like "a host that is dead is removed all the same" \
	"$(vm_exec g2 'blkcast disconnect data --peer g1 --forget 2>&1')" \
	'g1 cannot be reached.*blkcast destroy data'
is "from the configuration" "$(config g2 | grep -c link)" 0
ktap_done
