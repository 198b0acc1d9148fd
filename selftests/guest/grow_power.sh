#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Power fails while a volume grows and is written to, a replica follows, and their
# disk loses what was not flushed: both come up, each with the old or the new size,
# with what was made durable, and can go on where they were. ROUNDS=N cuts (3).
#
#	a (primary) --- b	on dm-linear of /dev/vda, first and second half
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
half=$((80 * MIB / 512))
bytes=$((20 * MIB))	# of each device
RANDOM=$SEED

table() { echo "0 $((bytes / 512)) linear /dev/vda $1"; }
devices() {
	on "dmsetup create da --table '$(table 0)' && dmsetup create db --table '$(table $half)' &&
		dmsetup mknodes"
}
enlarge() {
	on "dmsetup suspend da && dmsetup load da --table '$(table 0)' && dmsetup resume da &&
		dmsetup suspend db && dmsetup load db --table '$(table $half)' && dmsetup resume db"
}
# It remembers where the metadata of the replica went.
daemon() { on /blkcast/selftests/lib/daemon-up; }
ends_are() {
	on "[ \$(cat /etc/blkcast/volumes.d/a.end) = $bytes ] &&
		[ \$(cat /etc/blkcast/volumes.d/b.end) = $bytes ]"
}
# What a host has on its root, which these guests do not keep, when all is quiet.
keep_config() {
	check "$1 knows where the metadata are" wait_until 60 ends_are
	on 'rm -rf /lab/etc && cp -r /etc/blkcast /lab/etc'
}
return_host() {
	vm_start g1 && vm_load g1 && on 'modprobe dm-mod && mkdir -p /etc/blkcast && cp -r /lab/etc/. /etc/blkcast' &&
		devices && daemon
}

size() { field "$1" 'v["bytes"]'; }
writers() {
	on "fio --name=w --filename=/dev/blkcast/a --rw=randwrite --direct=1 --ioengine=libaio \
		--iodepth=8 --bssplit=4k/60:64k/40 --norandommap --fsync=20 --size=$((first - MIB)) \
		--offset=1m --rate=2m --time_based --runtime=600 --randseed=$RANDOM \
		> /dev/null 2>&1 &"
}
# The first MiB is made durable in each round and not written to otherwise.
keep_piece() {
	on "dd if=/dev/urandom of=/lab/kept bs=1M count=1 status=none && dd if=/lab/kept \
		of=/dev/blkcast/a bs=1M oflag=direct conv=notrunc,fsync status=none"
}
kept_on() { on "cmp -n $MIB /lab/kept <(dd if=/dev/blkcast/$1 bs=1M count=1 iflag=direct status=none)"; }
new_is_zero() {
	on "cmp -n $(($(size "$1") - first)) /dev/zero <(dd if=/dev/blkcast/$1 bs=4k \
		skip=$((first / 4096)) iflag=direct status=none)"
}
undamaged() { ! on "blkcast meta check $1" | grep -E '^(error|fatal)'; }
meet() { on 'blkcast primary a --force --yes && pair a b' && wait_until 60 in_sync a b; }

local_start -d 160M,keep=30 0 0
# Whatever it has not been told to hold, the disk holds rubbish.
on 'modprobe dm-mod && dd if=/dev/urandom of=/dev/vda bs=1M count=160 oflag=direct \
	conv=fsync status=none'
devices
on 'mkdir -p /etc/blkcast && blkcast genkey /etc/blkcast/key'
daemon || exit 1
local_create a /dev/mapper/da --ack disk
local_create b /dev/mapper/db
first=$(size a)
check "in sync" meet
keep_config "the host"

# grow: tells when it begins and, if it does, ends
grow() { on 'touch /lab/began; blkcast grow a > /dev/null; touch /lab/ended' > /dev/null 2>&1; }
began() { [ -e "$LAB/share/began" ]; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }
larger() { bytes=$((bytes + (RANDOM % 512 + 768) * 8192)); enlarge; } # by 6 to 10 MiB

# One that nothing happens to, to know how long it takes.
writers
larger
before=$(now_ms)
grow
takes=$(($(now_ms) - before))
ktap_comment "it takes $takes ms"
keep_config "the host, after one"

old=0 new=0
for round in $(seq "${ROUNDS:-3}"); do
	was=$(size a)
	keep_piece
	[ "$round" -eq 1 ] || writers
	larger
	rm -f "$LAB/share/"{began,ended}
	grow &
	wait_until 60 began
	delay=$((RANDOM % takes))
	sleep "$(printf %d.%03d $((delay / 1000)) $((delay % 1000)))"
	vm_power_cut g1
	wait $!
	[ -e "$LAB/share/ended" ] && when=after || when=within
	check "round $round: back" return_host
	for name in a b; do
		check "round $round: the metadata of $name are whole" undamaged $name
		check "round $round: $name comes up" on "blkcast up $name"
		check "round $round: $name has what was durable" kept_on $name
	done
	now=$(size a)
	is "round $round: the replica is not ahead" "$(($(size b) <= now))" 1
	check "round $round: the old size or a new one" \
		test "$now" = "$was" -o "$now" -gt $((was + 4 * MIB))
	ktap_comment "cut $when it, after $delay ms; $(((now - was) / MIB)) MiB more"
	[ "$now" = "$was" ] && old=$((old + 1)) || new=$((new + 1))
	check "round $round: in sync again" meet
	[ "$now" != "$was" ] || check "round $round: and grows now" on 'blkcast grow a'
	check "round $round: of one size" wait_until 30 field_is b 'v["bytes"]' "$(size a)"
	check "round $round: equal" same a b
	check "round $round: what is new is zeros on a" new_is_zero a
	check "round $round: ... and on b" new_is_zero b
	keep_config "round $round: the host"
done
ktap_comment "$old times the old size, $new times the new one"
ktap_done
