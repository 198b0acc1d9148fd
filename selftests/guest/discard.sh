#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What is discarded reads as zeros on every copy: parts of regions, whole ones,
# the whole device; while writes go on; also for a replica that was away.
#
#	a (primary) --- b
#
# kernels: both
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

MIB=1048576

# discard OFFSET BYTES [OPTION]: on the primary and in the model
discard() {
	on "blkdiscard ${3:-} --offset $1 --length $2 /dev/blkcast/a &&
		fallocate --punch-hole --offset $1 --length $2 /tmp/model"
}

settled() { wait_until 30 in_sync a b; }

local_start 2 32
local_create a /dev/ram0
local_create b /dev/ram1
model_new a
bytes=$(field a 'v["bytes"]')
on 'blkcast primary a && pair a b'
settled
put a $((24 * MIB)) 0

discard 512 512
discard $((MIB + 4096)) 8192
discard $((2 * MIB + 32768)) 65536		# parts of two regions
discard $((3 * MIB)) 65536			# a region
discard $((4 * MIB)) $((2 * MIB))		# many
discard $((7 * MIB - 512)) $((MIB + 1024))	# many, and parts
settled
check "what was discarded is zeros" as_model a b
discard $((8 * MIB + 512)) 131072 --zeroout
settled
check "what was zeroed is zeros" as_model a b
put a 4096 $((3 * MIB + 8192))
put a 65536 $((5 * MIB + 512))
settled
check "what is written afterwards is there, alone" as_model a b
discard $((28 * MIB)) 65536
settled
check "what was never written can be discarded" as_model a b

check "writers and discards at the same time" on 'fio --name=w \
	--filename=/dev/blkcast/a --direct=1 --ioengine=libaio --iodepth=8 \
	--size=4m --offset=16m --bs=4k --norandommap --time_based --runtime=10 \
	--randseed='"$SEED"' --numjobs=2 --rw=randwrite \
	--name=t --filename=/dev/blkcast/a --direct=1 --ioengine=psync \
	--size=4m --offset=16m --bsrange=4k-128k --norandommap --time_based \
	--runtime=10 --rw=randtrim > /dev/null'
settled
check "the copies are equal" same a b
on 'dd if=/dev/blkcast/a of=/tmp/model bs=1M iflag=direct status=none'

on 'pair -d a b'
discard $((10 * MIB)) $((2 * MIB))
discard $((12 * MIB + 4096)) 4096
on 'pair a b'
settled
check "discarded while the replica was away" as_model a b

discard 0 "$bytes"
settled
check "the whole device" as_model a b
put a 4096 $((MIB + 4096))
on 'blkcast down a && blkcast down b && blkcast up a && blkcast up b'
check "after down and up as well" as_model a b

on 'blkcast primary a && pair a b && mkfs.ext4 -q -F /dev/blkcast/a &&
	mount /dev/blkcast/a /mnt && dd if=/dev/urandom of=/mnt/file bs=1M count=8 status=none &&
	sync && rm /mnt/file && sync && fstrim /mnt && umount /mnt'
settled
check "a filesystem that trims: the copies are equal" same a b
check "and well" on 'fsck.ext4 -fn /dev/blkcast/b > /dev/null'
ktap_done
