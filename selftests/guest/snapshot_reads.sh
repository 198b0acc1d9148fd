#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a snapshot reads, and what it keeps writers waiting for: never a region that was
# never written, in a delta none that has not changed; what it has read already is not
# saved when it is overwritten, and what is saved is not saved again. And what a restore
# leaves alone: what is mounted, in use, or too small.
#
#	a (primary, dm on ram0; what must not be read, cannot be)
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

mib=64
MIB=1048576
total=$((72 * MIB / 512))

# readable FROM:TO...: in regions of 64 KiB; the rest of the volume cannot be read
readable() {
	local at=0 range from to lines=''
	for range; do
		from=$((${range%:*} * 128)) to=$((${range#*:} * 128))
		[ $at -ge $from ] || lines+="$at $((from - at)) error"$'\n'
		lines+="$from $((to - from)) linear /dev/ram0 $from"$'\n'
		at=$to
	done
	from=$((mib * 2048))
	[ $at -ge $from ] || lines+="$at $((from - at)) error"$'\n'
	lines+="$from $((total - from)) linear /dev/ram0 $from"
	on "dmsetup suspend --noflush --nolockfs d0 && dmsetup load d0 <<< '$lines' && dmsetup resume d0"
}
all=0:$((mib * 16))
# fill REGIONS REGION
fill() {
	on "dd if=/dev/urandom of=/dev/blkcast/a bs=64k count=$1 seek=$2 oflag=direct conv=notrunc \
		status=none"
}
sum() { on "set -o pipefail; dd if=$1 bs=1M iflag=direct status=none | md5sum"; }
json() { python3 -Ic 'import json, sys; v = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }
# view PYTHON: of v, the first of its views
view() { on 'blkcast view list a --json' | json "v['views'][0]$1"; }
# unpacks_to SUM: the snapshots /tmp/s*, one on the other
unpacks_to() {
	[ "$(on 'blkcast restore --force --quiet --verify /tmp/s* /tmp/image && md5sum < /tmp/image')" = "$1" ]
}

local_start -m 900 3 72
on "modprobe dm-mod && dmsetup create d0 --table '0 $total linear /dev/ram0 0' && dmsetup mknodes"
local_create a /dev/mapper/d0 --size ${mib}M
on 'blkcast primary a'

# ---- never written ----

fill 160 0
fill 33 671
was=$(sum /dev/blkcast/a)
readable 0:160 671:704
refuses "what was never written cannot be read here" 'Input/output error' \
	on 'dd if=/dev/mapper/d0 bs=1M skip=20 count=1 iflag=direct status=none > /dev/null'
for how in '' --live; do
	check "${how:---view}: a snapshot does not read it" on "blkcast snapshot a /tmp/s0 --force --quiet $how"
	check "and is what is there" unpacks_to "$was"
done
is "it knows what that is" "$(on 'blkcast info /tmp/s0 --json' | json 'v["never_written"]')" $((mib * 16 - 193))

# ---- not changed ----

readable $all
fill $((mib * 16)) 0
check "a full one" on 'blkcast snapshot a /tmp/s0 --force --quiet'
fill 1 5
fill 2 300
on "blkdiscard -o $((700 * 65536)) -l 65536 /dev/blkcast/a"
was=$(sum /dev/blkcast/a)
readable 5:6 300:302 700:701
for how in '' --live; do
	summary=$(on "blkcast snapshot a /tmp/s1 --since /tmp/s0 --force --json $how")
	is "${how:---view}: a delta reads nothing else" $? 0
	is "and holds nothing else" "$(json 'v["bytes"]' <<< "$summary")" $((4 * 65536))
	check "and is what is there" unpacks_to "$was"
done
on 'rm /tmp/s1 /tmp/image'
readable $all

# ---- passed ----

was=$(sum /dev/blkcast/a)
on 'rm -f /tmp/s0; mkfifo /tmp/pipe
	{ blkcast snapshot a - --store memory:8M > /tmp/pipe 2> /tmp/words; echo $? > /tmp/exit; } &
	{ head -c 44M > /tmp/s0; touch /tmp/far
	  until [ -e /tmp/go ]; do sleep 0.1; done; cat >> /tmp/s0; touch /tmp/over; } < /tmp/pipe &
	disown -a'
check "a snapshot, which has to wait for who takes it" wait_until 120 on '[ -e /tmp/far ]'
far() { [ "$(view '["passed_regions"]')" -ge 320 ]; }
check "it has passed a part" wait_until 60 far
check "where writes go on" fill 320 0
check "as do discards" on 'blkdiscard -o 2M -l 8M /dev/blkcast/a && blkdiscard -z -o 12M -l 2M /dev/blkcast/a'
is "and nothing is saved" "$(view '["store_used_bytes"]')" 0
is "of what is whole" "$(view '["broken"]')" False
fill 48 960
is "what it has not come to is saved" "$(view '["store_used_bytes"]')" $((48 * 65536))
fill 48 960
on 'blkdiscard -o 61M -l 1M /dev/blkcast/a'
is "once" "$(view '["store_used_bytes"]')" $((48 * 65536))
on "blkdiscard -o $((1010 * 65536)) -l 131072 /dev/blkcast/a"
is "before a discard as well" "$(view '["store_used_bytes"]')" $((50 * 65536))
on 'touch /tmp/go'
check "it goes on" wait_until 120 on '[ -e /tmp/over ]'
is "well" "$(on 'cat /tmp/exit')" 0
check "and is what was there" unpacks_to "$was"

# ---- not more than so much a second ----

summary=$(on 'blkcast snapshot a /tmp/s0 --force --json --rate 8M')
check "64 MiB at 8 MiB a second take 7 seconds or more" \
	[ "$(json 'int(v["seconds"])' <<< "$summary")" -ge 7 ]

# ---- what a restore leaves alone ----

# left_alone NAME DEVICE WORDS
left_alone() {
	local was
	was=$(sum "$2")
	refuses "$1" "$3" on "blkcast restore --force --update --quiet /tmp/s0 $2"
	refuses "$1, from a pipe" "$3" on "blkcast restore --force --quiet - $2 < /tmp/s0"
	is "$1: nothing is changed" "$(sum "$2")" "$was"
}
on 'dd if=/dev/urandom of=/dev/ram1 bs=1M count=72 oflag=direct status=none &&
	mkfs.ext4 -qF /dev/ram2 && mkdir -p /mnt && mount -o ro /dev/ram2 /mnt'
left_alone "what is mounted" /dev/ram2 '/dev/ram2 is mounted on /mnt'
on "umount /mnt && dmsetup create held --table '0 2048 linear /dev/ram2 0' && dmsetup mknodes"
left_alone "what another device is made of" /dev/ram2 '/dev/ram2.*in use'
on 'dmsetup remove held && mkswap /dev/ram2 > /dev/null && swapon /dev/ram2'
left_alone "what is swapped to" /dev/ram2 '/dev/ram2.*(in use|swap)'
on 'swapoff /dev/ram2'
left_alone "what a volume is made of" /dev/mapper/d0 '/dev/mapper/d0.*in use'
on "dmsetup create small --table '0 $((mib * 2048 - 8)) linear /dev/ram1 0' && dmsetup mknodes"
left_alone "what is too small by 4 KiB" /dev/mapper/small \
	"too small: it has $((mib * MIB - 4096)) bytes, the image has $((mib * MIB))"
on "dmsetup remove small && dmsetup create exact --table '0 $((mib * 2048)) linear /dev/ram1 0' && dmsetup mknodes"
check "one that has just the size" on 'blkcast restore --quiet --verify /tmp/s0 /dev/mapper/exact'
is "holds the image" "$(sum /dev/mapper/exact)" "$(sum /dev/blkcast/a)"
on 'dmsetup remove exact; blkcast down a'
ktap_done
