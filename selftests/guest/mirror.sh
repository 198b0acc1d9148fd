#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Whatever is written to a primary is on every replica: many writers at once,
# blocks of 512 bytes to 256 KiB, flushes in between, writers that overlap, writers
# whose data change while they are written.
# RUNTIME tells for how many seconds they write.
#
#	a (primary, ack=disk) --- b		on RAM disks, which do one thing at a time
#	                     `--- c		on a disk that does not
#
# kernels: both
# set: core
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

runtime=${RUNTIME:-60}

# writers SECONDS OPTION...: fio at depth 32; prints a line of figures
writers() {
	local limit=$1
	shift
	on "set -o pipefail
	fio --name=w --filename=/dev/blkcast/a --rw=randwrite --direct=1 \
		--ioengine=libaio --iodepth=32 --time_based --runtime=$limit \
		--group_reporting --randseed=$SEED $* | grep -E 'err=|write:'"
}

local_start -m 1024 -d 72M,plain 2 72
local_create a /dev/ram0 --ack disk
local_create b /dev/ram1
local_create c /dev/vda
on 'blkcast primary a && pair a b && pair a c'
check "the replicas get in sync" wait_until 30 in_sync a b c

check "several writers, each reads back what it wrote" writers "$runtime" \
	--numjobs=4 --size=16m --offset_increment=16m --fsync=50 \
	--bssplit=512/20:4k/40:5k/5:16k/20:64k/10:256k/5 \
	--verify=crc32c --verify_backlog=128 --verify_fatal=1
check "the replicas are still in sync" in_sync a b c
check "all copies are equal" same a b c

check "several writers of the same 16 blocks" writers $((runtime / 4 + 1)) \
	--numjobs=4 --size=64k --norandommap --bssplit=512/25:4k/50:12k/25
check "the replicas are still in sync" in_sync a b c
check "all copies are equal" same a b c

check "data that change under the write" on "scribble /dev/blkcast/a $((runtime / 8 + 1)) $SEED"
check "the replicas are still in sync" in_sync a b c
check "all copies are equal" same a b c
check "as their devices are" on 'cmp -n 67108864 /dev/ram0 /dev/ram1 &&
	cmp -n 67108864 /dev/ram0 /dev/vda'

on 'dd if=/dev/urandom of=/dev/blkcast/a bs=1M count=8 conv=fsync status=none'
check "all copies are equal after buffered writes" same a b c

on 'blkcast down a && blkcast down b && blkcast down c'
check "all backing devices are equal" on 'cmp -n 67108864 /dev/ram0 /dev/ram1 &&
	cmp -n 67108864 /dev/ram0 /dev/vda'
ktap_done
