#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What volumes may be made of: 64 TiB of it, blocks of 512 and of 4096 bytes, the
# smallest and the largest regions, and bios larger than a region.
#
#	big		64 TiB: a sparse file in memory
#	s64, r64	regions of 64 KiB		on RAM disks
#	s4m, r4m	regions of 4 MiB
#	s4k, r4k	blocks of 4096 bytes, below and hence above; r4k has blocks of 512
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

# pair_of PRIMARY REPLICA DISK DISK [OPTION...]: made, linked, in sync
pair_of() {
	local_uuid=
	local_create "$1" "$3" "${@:5}"
	local_create "$2" "$4" "${@:5}"
	on "blkcast primary $1 && pair $1 $2" && wait_until 60 in_sync "$1" "$2"
}

# Random sizes on both sides of a region, which read back as written.
fio_verified() {	# NAME OPTION...
	on "set -o pipefail; fio --name=w --filename=/dev/blkcast/$1 --rw=randwrite --direct=1 \
		--ioengine=libaio --iodepth=8 --verify=crc32c --verify_fatal=1 \
		--randseed=$SEED ${*:2} | grep 'err= 0'"
}

equal_to() { wait_until 60 in_sync "$1" "$2" && same "$1" "$2"; }

local_start -m 1200 6 40

# ---- regions, and bios ----

check "regions of 64 KiB" pair_of s64 r64 /dev/ram0 /dev/ram1 --region-size 64K
check "regions of 4 MiB" pair_of s4m r4m /dev/ram2 /dev/ram3 --region-size 4M
is "so it is" "$(field s64 'v["region_bytes"]') $(field s4m 'v["region_bytes"]')" \
	"65536 4194304"
on 'cd /sys/kernel/tracing && echo "nr_sector >= 2048" > events/block/block_bio_queue/filter &&
	echo 1 > events/block/block_bio_queue/enable'
for name in s64 s4m; do
	check "$name: writes of 4 MiB" fio_verified $name --bs=4m --size=16m
	check "$name: of all sizes" fio_verified $name --bsrange=512-3m \
		--blockalign=512 --size=24m --io_size=24m
	check "$name: through the page cache" on "dd if=/dev/urandom of=/dev/blkcast/$name \
		bs=1M count=12 conv=notrunc,fsync status=none"
	check "$name: zeroed and discarded at once" on "blkdiscard -z -o 4M -l 20M /dev/blkcast/$name &&
		blkdiscard -o 1M -l 22M /dev/blkcast/$name &&
		cmp -n $((23 * MIB)) -i $MIB:0 /dev/blkcast/$name /dev/zero"
	check "$name: writes behind that" fio_verified $name --bs=2m --size=8m
done
on 'echo 0 > /sys/kernel/tracing/events/block/block_bio_queue/enable'
for op in W D; do
	check "some ($op) were of 1 MiB and more" on "grep -qE \"block_bio_queue: \$(awk \
		'\$2 == \"blkcast\" { print \$1 }' /proc/devices),[0-9]+ $op\" /sys/kernel/tracing/trace"
done
check "64 KiB: equal" equal_to s64 r64
check "4 MiB: equal" equal_to s4m r4m
on 'for v in r64 s64 r4m s4m; do blkcast down $v || exit; done'

# ---- blocks of 4096 bytes ----

on 'modprobe loop && truncate -s 40M /tmp/4k && losetup -b 4096 /dev/loop0 /tmp/4k'
check "blocks of 4096 bytes" pair_of s4k r4k /dev/loop0 /dev/ram4
is "above as below" "$(on 'blockdev --getss /dev/blkcast/s4k')" 4096
refuses "half a block" 'Invalid argument' on \
	'dd if=/dev/zero of=/dev/blkcast/s4k bs=512 count=1 oflag=direct status=none'
check "whole ones" fio_verified s4k --bsrange=4k-1m --blockalign=4k \
	--size=16m
check "4096 bytes: equal" equal_to s4k r4k
on 'truncate -s 60M /tmp/4k && losetup -c /dev/loop0'
refuses "it grows with a replica that has room alone" 'the devices on r4k have room' \
	on 'blkcast grow s4k'
on 'blkcast down s4k && blkcast up s4k && blkcast primary s4k'
check "it grows" on 'blkcast grow s4k'
check "written to its end" on 'dd if=/dev/urandom of=/dev/blkcast/s4k bs=4k count=4 \
	seek=$(($(blockdev --getsize64 /dev/blkcast/s4k) / 4096 - 4)) oflag=direct status=none &&
	blkcast down s4k && blkcast down r4k && blkcast meta check s4k'

# ---- 64 TiB ----

# seconds COMMAND: how long it takes
seconds() { on "TIMEFORMAT=%R; { time { $1; } > /dev/null; } 2>&1"; }
# What nothing but an end of its use gives back: neither free, nor a cache, nor on a
# CPU's own list of free pages.
used_kib() {
	on 'sync; echo 3 > /proc/sys/vm/drop_caches
		awk "/^MemTotal/ { n += \$2 } /^(MemFree|Buffers|Cached|SReclaimable)/ { n -= \$2 }
			\$1 == \"count:\" { n -= 4 * \$2 } END { print n }" \
			/proc/meminfo /proc/zoneinfo'
}
# big_at MIB: 1 MiB there is what was put there
big_at() {
	on "cmp -n $MIB /tmp/piece$1 <(dd if=/dev/blkcast/big bs=1M skip=$1 count=1 \
		iflag=direct status=none)"
}

local_uuid=
on 'losetup -d /dev/loop0; rm /tmp/4k; rmmod brd 2> /dev/null
	truncate -s 64T /tmp/big && losetup /dev/loop0 /tmp/big'
ktap_comment "create: $(seconds 'blkcast create big --device /dev/loop0') s"
before=$(used_kib)
ktap_comment "up: $(seconds 'blkcast up big') s"
used=$((($(used_kib) - before) / 1024))
ktap_comment "its map takes $used MiB"
check "128 MiB of stamps, and little more" test "$used" -le 140
is "64 TiB but for the metadata" "$(field big 'v["bytes"] >> 30')" 65535
is "regions of 4 MiB" "$(field big 'v["region_bytes"]')" $((4 * MIB))
on 'blkcast primary big'
last=$(($(field big 'v["bytes"]') / MIB - 1))
for at in 0 4095 $((last / 2)) $((last - 3)) "$last"; do
	check "a write at $at MiB" on "head -c $MIB /dev/urandom > /tmp/piece$at &&
		dd if=/tmp/piece$at of=/dev/blkcast/big bs=1M seek=$at oflag=direct \
			conv=notrunc,fsync status=none"
done
is "each in a region of its own" "$(field big 'v["touched_regions"]')" 5
ktap_comment "down: $(seconds 'blkcast down big') s, up: $(seconds 'blkcast up big') s"
is "none is in doubt" "$(field big 'v["doubt_regions"], v["active_groups"]')" "(0, 0)"
for at in 0 4095 $((last / 2)) $((last - 3)) "$last"; do
	check "what was written at $at MiB is there" big_at "$at"
done
refuses "no larger than that" 'fills|enlarge' on 'blkcast primary big && blkcast grow big'
check "down" on 'blkcast down big'
ktap_done
