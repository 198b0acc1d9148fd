#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Over and under other block devices. Below volumes: an LVM volume, md RAID-1, dm-crypt,
# a partition, a disk with blocks of 4096 bytes, one whose blocks of 4096 bytes begin at
# its sector 7. Each is what its backing device is, no more, and is held by it alone.
# Above one: partitions with ext4, LVM, md, dm-crypt; what they wrote is found by the
# next primary. A replica has no partitions.
#
#	k4 (primary) --- lv, md, crypt, part, odd
#
# kernels: both
# set: all
# timeout: 1200
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

MIB=1048576
names=(k4 lv md crypt part odd)
declare -A below=(
	[k4]=/dev/loop0 [lv]=/dev/vg/lv [md]=/dev/md7 [crypt]=/dev/mapper/crypt
	[part]=/dev/loop1p2 [odd]=/dev/sda
)

# No udev here: device mapper makes its own nodes.
lvm() { on "lvm $* --config 'devices { types=[\"blkcast\",16] filter=[\"a|$lvm_on|\",\"r|.*|\"] }
	activation { udev_sync=0 udev_rules=0 verify_udev_operations=1 }' 2>&1"; }
lvm_on=/dev/ram0

crypt() {	# crypt DEVICE NAME
	on "printf %032d 7 > /tmp/key && cryptsetup open --type plain --cipher aes-xts-plain64 \
		--key-size 256 --key-file /tmp/key $1 $2 && dmsetup mknodes"
}

make_devices() {
	on 'modprobe -a dm-mod dm-crypt raid1 loop sd_mod && export DM_DISABLE_UDEV=1
		truncate -s 40M /tmp/k4 && losetup -b 4096 /dev/loop0 /tmp/k4 &&
		truncate -s 44M /tmp/part && losetup /dev/loop1 /tmp/part &&
		printf "label: gpt\nstart=2048, size=4096\nstart=8192\n" |
			sfdisk -q --no-tell-kernel /dev/loop1 && losetup -d /dev/loop1 &&
		losetup -P /dev/loop1 /tmp/part &&
		modprobe scsi_debug dev_size_mb=40 physblk_exp=3 lowest_aligned=7 opt_blks=64 &&
		mdadm --create /dev/md7 --run --level=1 --raid-devices=2 --metadata=1.2 \
			--assume-clean /dev/ram1 /dev/ram2 2> /dev/null' &&
		lvm pvcreate -q /dev/ram0 && lvm vgcreate -q vg /dev/ram0 &&
		lvm lvcreate -q -y -Wn -Zn -l 100%FREE -n lv vg && crypt /dev/ram3 crypt &&
		wait_until 60 on '[ -b /dev/sda ] && [ "$(blockdev --getsz /dev/sda)" -gt 0 ]'
}

# limits DEVICE NAME: what the volume takes over from below, below and then above; what
# it does itself
limits() {
	on 'of() {
			node=/sys/dev/block/$(stat -Lc %Hr:%Lr $1)
			read -r align < $node/alignment_offset
			queue=$node/queue; [ -d $queue ] || queue=$node/../queue
		}
		is() { read -r value < $queue/$1; echo -n "$1=$value "; }
		for device in '"$1 /dev/blkcast/$2"'; do
			of $device
			for key in logical_block_size physical_block_size minimum_io_size \
				optimal_io_size rotational dma_alignment; do is $key; done
			echo align=$align
		done
		is write_cache; is fua; is zoned; is max_integrity_segments
		read -r granularity < $queue/discard_granularity
		read -r physical < $queue/physical_block_size
		read -r discard < $queue/discard_max_bytes; read -r zeroes < $queue/write_zeroes_max_bytes
		read -r most < $queue/max_sectors_kb
		echo $((granularity == physical && discard > 1 << 30 && zeroes > 1 << 30 && most >= 1024))'
}
OWN="write_cache=write back fua=1 zoned=none max_integrity_segments=0 1"

held() {	# held DEVICE...: nobody else gets it
	on "python3 -Ic '
import os, sys
tries = [os.O_RDWR | os.O_EXCL, os.O_RDONLY | os.O_EXCL]
for device in sys.argv[1:]:
    for flags in tries:
        try:
            os.open(device, flags)
        except OSError as error:
            if error.errno == 16:
                continue
        sys.exit(device)' $*"
	on "for device in $*; do
		! mount -t ext4 \$device /mnt 2> /tmp/why && grep -qE 'busy|already' /tmp/why || exit
	done"
}

writes() {	# writes NAME
	on "set -o pipefail; fio --name=w --filename=/dev/blkcast/$1 --rw=randtrimwrite --direct=1 \
		--ioengine=libaio --iodepth=8 --bsrange=4k-256k --blockalign=4k --size=6m \
		--fsync=16 --randseed=$SEED | grep 'err= 0' &&
	fio --name=v --filename=/dev/blkcast/$1 --rw=randwrite --direct=1 --ioengine=libaio \
		--iodepth=8 --bsrange=4k-128k --blockalign=4k --size=3m --verify=crc32c \
		--verify_fatal=1 --randseed=$SEED | grep 'err= 0'"
}
equal() { wait_until 60 in_sync "$@" && same "$@"; }
partitions() { on "ls -d /sys/class/block/\$(basename \$(readlink -f /dev/blkcast/$1))p* 2> /dev/null | wc -l"; }
device() { on "readlink -f /dev/blkcast/$1"; }	# device NAME

# filled DEVICE: a filesystem with a file; has_file DEVICE: on which all is well
filled() {
	on "mkfs.ext4 -q -F $1 && mount $1 /mnt && cp /tmp/piece /mnt/file && umount /mnt"
}
has_file() {
	on "e2fsck -fn $1 > /dev/null 2>&1 && mount $1 /mnt && cmp /tmp/piece /mnt/file; rc=\$?
		umount /mnt && exit \$rc"
}
# moves_on PRIMARY REPLICA: a reign of that, with writes, that the next has followed
moves_on() {
	on "blkcast primary $1 && pair -m $1 $2" && wait_until 60 in_sync "$1" "$2" &&
		writes "$1" && equal "$1" "$2" && on "blkcast replica $1 --to $2"
}
# moves FROM TO: the other is primary, with the same content
moves() {
	wait_until 60 in_sync "$1" "$2" && on "blkcast replica $1 --to $2 && blkcast primary $2 &&
		pair -m $2 $1" && wait_until 60 in_sync "$2" "$1" && same "$2" "$1"
}

# As a mounted filesystem, a volume keeps others from writing to what it stands on.
local_start -m 900 -a bdev_allow_write_mounted=0 4 40

# ---- below ----

check "devices" make_devices
for name in "${names[@]}"; do
	local_create "$name" "${below[$name]}" --size $((24 * MIB))
	mapfile -t found < <(limits "${below[$name]}" "$name")
	is "$name: as below" "${found[1]}" "${found[0]}"
	is "$name: its own" "${found[2]}" "$OWN"
	case $name in
	k4) like "blocks of 4096 bytes" "${found[1]}" 'logical_block_size=4096' ;;
	odd) like "blocks that begin at sector 7" "${found[1]}" 'align=3584' ;;
	esac
done
check "nobody gets what is below for itself" held "${below[@]}" /dev/ram0 /dev/ram1 /dev/ram3 /dev/loop1

written() { on "for device in $*; do ! : <> \$device || exit; done 2> /dev/null"; }
[ "$KVER" = 6.1 ] || check "nor to write to" written "${below[@]}"

on 'blkcast primary k4 && for r in lv md crypt part odd; do pair -m k4 $r || exit; done'
check "in sync" wait_until 60 in_sync k4 lv md crypt part odd
check "writes, discards" writes k4
check "all copies are equal" equal k4 lv md crypt part odd
on 'blkcast replica k4 --to odd'
was=odd
for name in part crypt md lv; do
	check "$was is written to" moves_on $was $name
	was=$name
done

# ---- above: partitions ----

on 'head -c 2M /dev/urandom > /tmp/piece; blkcast primary lv && pair -m lv md &&
	blkdiscard -f /dev/blkcast/lv 2> /dev/null'
p=$(device lv)p q=$(device md)p
table='label: gpt\nsize=8M\nsize=12M\n'
check "a table of partitions" on "printf '$table' | sfdisk -q -W always /dev/blkcast/lv"
is "they are there, and none on the replica" "$(partitions lv) $(partitions md)" "2 0"
check "a filesystem in the first" filled "${p}1"
check "dm-crypt in the second, a filesystem in that" eval 'crypt "${p}2" above && filled \
	/dev/mapper/above && on "cryptsetup close above"'
on "mount -o ro ${p}1 /mnt"
refuses "no replica while one is mounted" 'open' on 'blkcast replica lv'
on 'umount /mnt'
refuses "nor can a replica be made to have some" 'Invalid argument|failed' \
	on 'blockdev --rereadpt /dev/blkcast/md'
check "the other one is primary, and equal" moves lv md
is "now it has them" "$(partitions lv) $(partitions md)" "0 2"
check "the first is well" has_file "${q}1"
check "so is the second" eval 'crypt "${q}2" above && has_file /dev/mapper/above &&
	on "cryptsetup close above"'
check "another table" on "wipefs -qa /dev/blkcast/md && printf 'label: dos\\nstart=4096\\n' |
	sfdisk -q -W always /dev/blkcast/md"
check "a filesystem there" filled "${q}1"
check "back" moves md lv
is "it has what there is now" "$(partitions lv) $(partitions md)" "1 0"
check "which is well" has_file "${p}1"

# ---- above: LVM, md ----

# Both copies are on this host, and LVM wants one.
lvm_on="${p%p}\$"
check "LVM" lvm pvcreate -q -y -ff "${p%p}"
check "a volume of it" eval 'lvm vgcreate -q above "${p%p}" && lvm lvcreate -q -y -Wn -Zn -L 12M -n data above &&
	filled /dev/mapper/above-data && lvm vgchange -q -an above'
check "the other one is primary, and equal" moves lv md
lvm_on="${q%p}\$"
check "it has it, too" eval 'lvm vgchange -q -ay above && has_file /dev/mapper/above-data &&
	lvm vgchange -q -an above'
check "md" on "wipefs -qa /dev/blkcast/md && mdadm -q --create /dev/md8 --run --level=1 --metadata=1.2 \
	--raid-devices=2 ${q%p} missing 2> /dev/null"
check "a filesystem on it" filled /dev/md8
check "the other one is primary, and equal" eval 'on "mdadm -q --stop /dev/md8" && moves md lv'
check "it has it, too" eval 'on "mdadm -q --assemble --run /dev/md8 ${p%p}" && has_file /dev/md8'
check "down" on "mdadm -q --stop /dev/md8; blkcast down lv && blkcast down md && blkcast meta check lv"
ktap_done
