#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A backing device that is enlarged does not hide the metadata on it: the volume
# works on while it is up, and comes up again, with all it holds. Without a
# memory of where they ended that is refused and nothing is changed; so it is if they
# cannot be read there.
#
#	v on dm-linear of /dev/ram0: 24, 32, 40 MiB
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

table() { echo "0 $(($1 * MIB / 512)) linear /dev/ram0 0"; }
reload() {	# LINE...
	printf '%s\n' "$@" > "$LAB/share/table"
	on 'dmsetup suspend d && dmsetup load d /lab/table && dmsetup resume d'
}
enlarge() { reload "$(table "$1")"; }	# MIB
ends_at() { on "[ \$(cat /etc/blkcast/volumes.d/v.end) = $(($1 * MIB)) ]"; }

local_start 1 48
on 'modprobe dm-mod && dd if=/dev/urandom of=/dev/ram0 bs=1M count=48 status=none'
on "dmsetup create d --table '$(table 24)' && dmsetup mknodes"
local_create v /dev/mapper/d
model_new v
on 'blkcast primary v'
put v 65536 0
put v 131072 $((8 * MIB))

enlarge 32
check "writes go on" put v $MIB $((16 * MIB))
check "it comes up again" on 'blkcast down v && blkcast up v'
check "the metadata stay where they are" ends_at 24
check "all is there" as_model v
is "no larger volume yet" "$(field v 'v["bytes"] < 24 << 20')" True
is "no region is in doubt" "$(field v 'v["doubt_regions"]')" 0

on 'blkcast down v'
enlarge 40
check "their check finds nothing wrong" on 'blkcast meta check v'
check "enlarged while it was down" on 'blkcast up v'
check "all is there then" as_model v
check "it is primary again" on 'blkcast primary v'
check "and takes writes" put v 65536 $((20 * MIB))
on 'blkcast down v'

sum=$(on 'md5sum < /dev/mapper/d')
on 'mv /etc/blkcast/volumes.d/v.end /tmp/'
refuses "nobody knows where they ended" 'no blkcast metadata' on 'blkcast up v'
on "echo $((30 * MIB)) > /etc/blkcast/volumes.d/v.end"
refuses "somebody is wrong" "at its end, nor at byte $((30 * MIB))" on 'blkcast up v'
is "the device is as it was" "$(on 'md5sum < /dev/mapper/d')" "$sum"
on 'mv /tmp/v.end /etc/blkcast/volumes.d/'
check "up with the right one" on 'blkcast up v'
check "all is there still" as_model v

# An older life of the device left a superblock at its end, and the one that counts
# cannot be read.
on 'blkcast down v'
for copy in $MIB 4096; do
	on "dd if=/dev/mapper/d of=/dev/mapper/d bs=4k count=1 iflag=direct,skip_bytes \
		oflag=direct,seek_bytes skip=$((24 * MIB - copy)) seek=$((40 * MIB - copy)) status=none"
done
check "its primary has written since" on 'blkcast up v && blkcast primary v && blkcast down v'
reload "$(table 23)" "$((23 * MIB / 512)) 8 error" \
	"$((23 * MIB / 512 + 8)) $((MIB / 512 - 16)) linear /dev/ram0 $((23 * MIB / 512 + 8))" \
	"$((24 * MIB / 512 - 8)) 8 error" \
	"$((24 * MIB / 512)) $((16 * MIB / 512)) linear /dev/ram0 $((24 * MIB / 512))"
refuses "what was left is not taken for it" 'cannot be read' on 'blkcast up v'
reload "$(table 40)"
check "up when the disk is well" on 'blkcast up v'
check "with all that was written" as_model v
ktap_done
