#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Power fails at any write of a growth: the volume has the old or the new size and
# all it held. What the kernel writes is recorded and cut on this host
# (grow_cuts.py). Three ways to grow: the map moves below the old one, it stays and
# gets longer, all metadata move to the new end of the device.
#
#	v on dm-linear on dm-log-writes of /dev/ram0, the log on /dev/ram1
#
# kernels: both
# set: all
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

MIB=1048576
old_bytes=$((28 * MIB + 12288))

table() { echo "0 $(($1 * MIB / 512)) linear /dev/mapper/log 0"; }
end() { on 'cat /etc/blkcast/volumes.d/v.end'; }

# write_at BYTE...: 8 KiB each
write_at() {
	on "for at in $*; do
		dd if=/dev/urandom of=/dev/blkcast/v bs=4k count=2 seek=\$((at / 4096)) \
			oflag=direct conv=notrunc,fsync status=none || exit
	done"
}

writes_are() { [ "$(field v 'v["writes"]')" -gt "$1" ]; }

# grow NAME BYTES: after writing here and there; the end of the volume is always
# touched; the first region is being written to meanwhile.
grow() {
	local bytes
	bytes=$(field v 'v["bytes"]')
	write_at $((bytes / 3)) $((bytes - 8192))
	on "fio --name=w --filename=/dev/blkcast/v --rw=randwrite --direct=1 --bs=4k --size=64k \
		--rate_iops=20 --time_based --runtime=600 > /dev/null 2>&1 &"
	wait_until 60 writes_are $(($(field v 'v["writes"]') + 5))
	on "dd if=/dev/blkcast/v of=/lab/before-$1 bs=1M iflag=direct status=none"
	echo "$1 $bytes $2 $(end)" >> "$LAB/share/steps"
	on "dmsetup message log 0 mark begin-$1 && blkcast grow v --size $2 > /dev/null &&
		dmsetup message log 0 mark end-$1" || exit 1
	on 'pkill -x fio; while pgrep -x fio; do sleep 0.1; done'
}

local_start 2 72
on "modprobe dm-log-writes && dd if=/dev/urandom of=/dev/ram0 bs=1M count=64 status=none &&
	dd if=/dev/ram0 of=/lab/base bs=1M count=64 status=none &&
	dmsetup create log --table '0 $((64 * MIB / 512)) log-writes /dev/ram0 /dev/ram1' &&
	dmsetup mknodes && dmsetup create d --table '$(table 40)' && dmsetup mknodes"
local_create v /dev/mapper/d --size $old_bytes
on 'blkcast primary v'
grow below $((29 * MIB + 4096))
# What is idle is inactive on the disk.
on 'blkcast down v && blkcast up v && blkcast primary v'
grow longer $((33 * MIB + 4096))
on "dmsetup suspend d && dmsetup load d --table '$(table 64)' && dmsetup resume d"
grow moved $((62 * MIB + 4096))
on 'blkcast down v && dmsetup remove d && dmsetup remove log && cp /dev/ram1 /lab/log'
check "every cut of every way to grow" "$lab_here/../guest/grow_cuts.py" "$LAB/share" "$SEED"
ktap_done
