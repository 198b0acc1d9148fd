#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A device that cannot hold a copy is refused with the reason and left as it is;
# a copy with one damaged superblock comes up with its content.
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

sum() { on "md5sum < $1"; }

# refuses_untouched NAME DEVICE REGEX COMMAND
refuses_untouched() {
	local before
	before=$(sum "$2")
	refuses "$1" "$3" on "$4"
	is "$1: the device is as it was" "$(sum "$2")" "$before"
}

# configure NAME DEVICE [OPTION...]: metadata, but not up
configure() {
	on "blkcast create $1 --force --device $2 ${*:3} > /dev/null"
}

# damage COPY: a sector of the superblock, on /dev/ram0, which ends at 16 MiB
damage() {
	local -a at=($((15 * MIB)) $((16 * MIB - 4096)))
	on "dd if=/dev/urandom of=/dev/ram0 bs=512 seek=$((at[$1] / 512 + 1)) count=1 \
		oflag=direct conv=notrunc status=none"
}

content() { on 'dd if=/dev/blkcast/v bs=1M iflag=direct status=none | md5sum'; }

local_start 3 16
ram=/dev/ram0

# ---- devices that work otherwise ----

on 'modprobe null_blk nr_devices=1 gb=1 zoned=1 zone_size=16'
configure zoned /dev/nullb0 --meta /dev/ram1
refuses "a zoned device" 'zoned' on 'blkcast up zoned'

on 'modprobe sd_mod && modprobe scsi_debug dev_size_mb=32 dif=1 dix=1'
wait_until 60 on '[ -b /dev/sda ] && [ "$(blockdev --getsz /dev/sda)" -gt 0 ]'
configure protected /dev/sda
refuses_untouched "a device with integrity data" /dev/sda 'integrity' \
	'blkcast up protected'

configure v $ram
on "blockdev --setro $ram"
refuses_untouched "a read-only device" $ram 'read-only' 'blkcast up v'
on "blockdev --setrw $ram; blkcast destroy v --force"

# ---- devices in use ----

on "mkfs.ext4 -q -F $ram && mount $ram /mnt"
refuses "create on a mounted device" 'mounted' \
	on "blkcast create v --device $ram --force"
on 'umount /mnt'
refuses_untouched "create on a filesystem" $ram 'ext4' \
	"blkcast create v --device $ram"
configure v $ram --meta /dev/ram1
on "mkfs.ext4 -q -F $ram && mount $ram /mnt"
refuses "up on a mounted device" 'mounted' on 'blkcast up v'
check "the filesystem is well" on "umount /mnt && fsck.ext4 -fn $ram"
on 'blkcast destroy v --force'

configure v $ram
configure w $ram
on 'blkcast up w'
refuses "a device of another volume" 'ram0' on 'blkcast up v'
on 'blkcast down w && blkcast destroy w --force; blkcast destroy v --force'

# ---- sizes ----

on 'modprobe loop; truncate -s 1M /tmp/small && losetup /dev/loop0 /tmp/small'
refuses_untouched "create on a device that is too small" /dev/loop0 'small' \
	'blkcast create v --device /dev/loop0'
on 'truncate -s 16M /tmp/small && losetup -c /dev/loop0'
configure v /dev/loop0 --meta /dev/ram1
on 'losetup -d /dev/loop0 && truncate -s 8M /tmp/small && losetup /dev/loop0 /tmp/small'
refuses_untouched "a device that has become smaller" /dev/loop0 'smaller' \
	'blkcast up v'
on 'losetup -d /dev/loop0; blkcast destroy v --force 2> /dev/null'

# ---- metadata ----

configure v $ram
on "dd if=/dev/zero of=$ram bs=1M count=16 conv=notrunc status=none"
refuses_untouched "a device without metadata" $ram 'no blkcast metadata' 'blkcast up v'
on 'blkcast destroy v --force > /dev/null 2>&1'

configure v $ram
on 'blkcast up v && blkcast primary v &&
	dd if=/dev/urandom of=/dev/blkcast/v bs=1M count=4 oflag=direct status=none'
before=$(content)
on 'blkcast down v'
for copy in 0 1; do
	damage $copy
	check "superblock $copy is damaged: it comes up" on 'blkcast up v'
	is "superblock $copy is damaged: the content is whole" "$(content)" "$before"
	# A new reign writes both.
	on 'blkcast primary v; blkcast down v'
done
damage 0
damage 1
refuses_untouched "both superblocks are damaged" $ram 'damaged' 'blkcast up v'
ktap_done
