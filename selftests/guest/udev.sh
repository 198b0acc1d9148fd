#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# With udev's own daemon and rules: what looks for a filesystem by what it is called
# (by-uuid, by-label, mount UUID=) finds the volume's device while that is primary, and
# never its backing device, nor a partition there; be it a disk, md or device mapper.
# What is below a backing device is taken for what it is.
#
# set: all
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

U=7a7a0000-1111-2222-3333-444455556666
P=7b7b0000-1111-2222-3333-444455556666

settle() { on 'udevadm settle -t 60'; }
# Where a link leads, or nothing.
leads() { on "udevadm settle -t 60; readlink -e $1 || echo nowhere"; }
by_uuid() { leads "/dev/disk/by-uuid/$1"; }
property() { on "udevadm info -q property --property=$2 --value -n $1"; }
# To be left alone: by udisks, by systemd.
left_alone() { on "udevadm info -q property -n $1 | sed -n 's/^\(UDISKS_IGNORE\|SYSTEMD_READY\)=/\1 /p' |
	sort | xargs"; }
filesystem() { on "mkfs.ext4 -q -F -U $2 -L the-label -b 4096 $1 ${3:-}"; }

start_udev() {
	on 'mkdir -p /etc/udev/rules.d && cp /blkcast/tools/packaging/*.rules /etc/udev/rules.d &&
		ln -sf "$(command -v blkcast)" /usr/sbin/blkcast &&
		/lib/systemd/systemd-udevd --daemon && udevadm trigger -s block && udevadm settle'
}

# kept_on DEVICE: a volume with a filesystem on it, up and down, by name m
kept_on() {
	local uuid=${U%%-*}-0000-0000-0000-00000000000$2
	check "$1: a filesystem" filesystem "$1" "$uuid" 6M
	is "$1: is found" "$(by_uuid "$uuid")" "$(leads "$1")"
	check "$1: becomes a copy" on "blkcast create m --device $1 --keep-data > /dev/null"
	is "$1: is not found any more" "$(by_uuid "$uuid")" nowhere
	is "$1: is what it is" "$(property "$1" ID_FS_TYPE) $(property "$1" ID_FS_UUID)" "blkcast_member "
	is "$1: is left alone" "$(left_alone "$1")" "SYSTEMD_READY 0 UDISKS_IGNORE 1"
	on 'blkcast up m && blkcast primary m'
	is "$1: the volume is found" "$(by_uuid "$uuid")" "$(leads /dev/blkcast/m)"
	on "blkcast down m && udevadm trigger $(leads "$1")"
	is "$1: nor while it is down" "$(by_uuid "$uuid")" nowhere
}

local_start -m 900 -d 40M 3 24
check "udev" start_udev

# ---- a disk ----

check "a filesystem" filesystem /dev/vda $U 32M
is "is found" "$(by_uuid $U)" /dev/vda
is "and its disk by its number" "$(leads /dev/disk/by-id/virtio-g1-d0)" /dev/vda
check "it becomes a copy" on 'blkcast create v --device /dev/disk/by-id/virtio-g1-d0 --keep-data > /dev/null'
is "and is found no more" "$(by_uuid $U)" nowhere
is "nor by its label" "$(leads /dev/disk/by-label/the-label)" nowhere
is "its disk still is" "$(leads /dev/disk/by-id/virtio-g1-d0)" /dev/vda
is "it is what it is" "$(property /dev/vda ID_FS_TYPE)" blkcast_member
is "and is left alone" "$(left_alone /dev/vda)" "SYSTEMD_READY 0 UDISKS_IGNORE 1"
on 'blkcast up v'
is "a replica is not found" "$(by_uuid $U)" nowhere
is "and is left alone" "$(left_alone /dev/blkcast/v)" "SYSTEMD_READY 0 UDISKS_IGNORE 1"
is "but by its name" "$(leads /dev/blkcast/v)" /dev/blkcast0
on 'blkcast primary v'
is "a primary is" "$(by_uuid $U)" /dev/blkcast0
is "and by its label" "$(leads /dev/disk/by-label/the-label)" /dev/blkcast0
is "for anybody" "$(left_alone /dev/blkcast/v)" ""
on 'blkcast view create v then > /dev/null'
is "a view is found by its name" "$(leads /dev/blkcast/v@then | tr -d 0-9)" /dev/blkcast
is "and by that alone" "$(by_uuid $U)" /dev/blkcast0
is "udisks leaves it alone" "$(left_alone /dev/blkcast/v@then)" "UDISKS_IGNORE 1"
on 'blkcast view remove v then'
check "mounted by its UUID" on "mount UUID=$U /mnt"
is "it is the volume" "$(on 'findmnt -no SOURCE /mnt')" /dev/blkcast0
on 'umount /mnt && blkcast replica v'
is "a replica is not found" "$(by_uuid $U)" nowhere
on 'blkcast down v && udevadm trigger /dev/vda'
is "nor what it is on" "$(by_uuid $U)" nowhere
# Else mount looks for itself.
on 'echo EVALUATE=udev > /etc/blkid.conf'
refuses "nor mounted" 'find UUID' on "mount UUID=$U /mnt"

# ---- partitions ----

on "blkcast up v && blkcast primary v && wipefs -qa /dev/blkcast/v &&
	printf 'label: gpt\nstart=2048, size=32768, name=the-part, uuid=$P\n' | sfdisk -q /dev/blkcast/v"
settle
check "the partition has a name" test "$(leads /dev/blkcast/v-part1)" = /dev/blkcast0p1
is "the volume still has its own" "$(leads /dev/blkcast/v)" /dev/blkcast0
filesystem /dev/blkcast/v-part1 $U
is "its filesystem is found" "$(by_uuid $U)" /dev/blkcast0p1
by_part() { leads "/dev/disk/by-partuuid/$P /dev/disk/by-partlabel/the-part" | xargs; }
is "and itself" "$(by_part)" "/dev/blkcast0p1 /dev/blkcast0p1"
on 'blkcast replica v'
is "not on a replica" "$(by_uuid $U) $(leads /dev/blkcast/v-part1)" "nowhere nowhere"
on 'blkcast down v && blockdev --rereadpt /dev/vda'
is "the disk has that partition, too" "$(leads /dev/vda1)" /dev/vda1
is "which is not found" "$(by_uuid $U)" nowhere
is "and is left alone" "$(left_alone /dev/vda1)" "SYSTEMD_READY 0 UDISKS_IGNORE 1"
on 'blkcast up v && blkcast primary v'
is "on the primary it is" "$(by_uuid $U)" /dev/blkcast0p1
on 'blkcast down v && blkcast destroy v --force && udevadm trigger /dev/vda /dev/vda1'
is "no copy any more: found where it is" "$(by_uuid $U)" /dev/vda1

# ---- md, device mapper ----

on 'modprobe -a raid1 dm-mod && mdadm --create /dev/md/seven --run --level=1 --raid-devices=2 \
	--metadata=1.2 --assume-clean /dev/ram0 /dev/ram1 2> /dev/null
	modprobe loop && truncate -s 24M /tmp/disk && losetup /dev/loop0 /tmp/disk &&
	dmsetup create below --table "0 40960 linear /dev/loop0 2048"'
kept_on /dev/md/seven 1
is "its halves are what they are" "$(on 'blkcast holds /dev/ram0; blkcast holds /dev/ram1; echo')" ""
is "it has its names" "$(on 'readlink -e /dev/disk/by-id/md-uuid-* /dev/disk/by-id/md-name-* /dev/md/seven |
	uniq -c | xargs')" "3 $(leads /dev/md/seven)"
on 'blkcast destroy m --force'
kept_on /dev/mapper/below 2
is "it has its names" "$(leads /dev/disk/by-id/dm-name-below)" "$(leads /dev/mapper/below)"
is "dm's rules do not look into it" "$(property /dev/mapper/below DM_NOSCAN)" 1
ktap_done
