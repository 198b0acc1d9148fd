#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A volume grows on two hosts, on slow disks, and one of them loses its power, or
# both, early, halfway or late: the primary, which comes back as such; the primary,
# and the replica takes over, whatever its size is then; the replica; both. Copies
# that come back have the old or the new size and what was made durable, are made
# equal, and grow where they have not. CUTS=N moments for each of the four (3, not
# less than 2).
#
#	g1 (primary first) --- LAN --- g2	dm-linear or dm-delay of /dev/vda
#
# kernels: both
# set: all
# timeout: 1500
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/hosts.sh
. "$(dirname "$0")/../lib/hosts.sh"

MIB=1048576
bytes=$((16 * MIB))	# of each device
primary=g1 replica=g2
RANDOM=$SEED

# ---- disks ----

fast() { echo "0 $((bytes / 512)) linear /dev/vda 0"; }
slow() { echo "0 $((bytes / 512)) delay /dev/vda 0 0 /dev/vda 0 100"; }
table() {	# KIND HOST...
	local kind=$1 host
	shift
	for host; do
		vm_exec "$host" "dmsetup suspend d && dmsetup load d --table '$($kind)' &&
			dmsetup resume d" || return
	done
}

# ---- hosts ----

# What a host has on its root, which these guests do not keep, when all is quiet.
knows_end() { vm_exec "$1" "[ \$(cat /etc/blkcast/volumes.d/data.end) = $bytes ]"; }
keep_config() {
	local host
	for host in g1 g2; do
		wait_until 60 knows_end "$host" &&
			vm_exec "$host" "rm -rf /lab/etc-$host && cp -r /etc/blkcast /lab/etc-$host" ||
			return
	done
}
return_host() {
	vm_start "$1" && vm_load "$1" &&
		vm_exec "$1" "modprobe dm-mod && modprobe dm-delay && mkdir -p /etc/blkcast &&
			cp -r /lab/etc-$1/. /etc/blkcast && dmsetup create d --table '$(fast)' &&
			dmsetup mknodes" && daemon_start "$1"
}
undamaged() { ! vm_exec "$1" "blkcast meta check data" | grep -E '^(error|fatal)'; }

# ---- the volume ----

size() { field "$1" 'v["bytes"]'; }
sizes_equal() { [ "$(size g1)" = "$(size g2)" ]; }
in_sync() {
	field_is "$primary" "link['$replica']['state'], link['$replica']['lag_writes']" 'in-sync 0'
}
connect() { vm_exec "$primary" "blkcast connect data --peer $replica --address $replica --timeout 10000"; }
reign() { vm_exec "$1" 'blkcast primary data --force --yes'; }

writers_start() {
	vm_exec "$primary" "fio --name=w --filename=/dev/blkcast/data --rw=randwrite --direct=1 \
		--ioengine=libaio --iodepth=4 --bssplit=4k/60:64k/40 --norandommap --fsync=20 \
		--offset=1m --size=$((first - MIB)) --rate=1m --time_based --runtime=600 \
		--randseed=$RANDOM > /dev/null 2>&1 &"
}
writers_stop() { vm_exec "$primary" 'pkill -INT -x fio; while pgrep -x fio; do sleep 0.1; done > /dev/null'; }

# The first MiB is made durable in each round and not written to otherwise. The last
# region is touched: what follows it on the disk becomes a part of it.
keep_piece() {
	vm_exec "$primary" "dd if=/dev/urandom of=/lab/kept bs=1M count=1 status=none &&
		dd if=/lab/kept of=/dev/blkcast/data bs=1M oflag=direct conv=notrunc,fsync \
			status=none &&
		dd if=/lab/kept of=/dev/blkcast/data bs=4k count=1 oflag=direct \
			seek=$(($(size "$primary") / 4096 - 1)) conv=notrunc,fsync status=none"
}
kept_on() {
	vm_exec "$1" "cmp -n $MIB /lab/kept <(dd if=/dev/blkcast/data bs=1M count=1 \
		iflag=direct status=none)"
}
new_is_zero() {	# HOST FROM
	vm_exec "$1" "cmp -n $(($(size "$1") - $2)) /dev/zero <(dd if=/dev/blkcast/data \
		bs=4k skip=$(($2 / 4096)) iflag=direct status=none)"
}

# grow: tells when it begins; larger: enlarges what is below, and slows it down
grow() { vm_exec "$primary" 'touch /lab/began; blkcast grow data > /dev/null' > /dev/null 2>&1; }
began() { [ -e "$LAB/share/began" ]; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }
larger() { bytes=$((bytes + (RANDOM % 128 + 384) * 8192)); table slow g1 g2; } # 3 to 4 MiB

# ---- a round ----

declare -A old new

# cut KIND WHAT MS HOST...: these lose their power MS after the growth began, and
# what follows is of KIND
cut() {
	local kind=$1 what=$2 delay=$3 was now host
	local -a jobs
	shift 3
	was=$(size "$primary")
	keep_piece && writers_start && larger
	rm -f "$LAB/share/began"
	grow &
	jobs=($!)
	wait_until 60 began
	sleep "$(printf %d.%03d $((delay / 1000)) $((delay % 1000)))"
	for host; do
		vm_power_cut "$host" &
		jobs+=($!)
	done
	wait "${jobs[@]}"
	for host; do
		check "$what: $host is back" return_host "$host"
		check "$what: its metadata are whole" undamaged "$host"
		check "$what: it comes up" vm_exec "$host" 'blkcast up data'
		check "$what: it has what was durable" kept_on "$host"
	done
	case $kind in
	returns)
		check "$what: it goes on" reign "$primary"
		table fast "$replica"
		;;
	fails-over)
		read -r primary replica <<< "$replica $primary"
		check "$what: the replica takes over" reign "$primary"
		table fast "$primary"
		connect
		;;
	replica)
		writers_stop
		table fast "$primary"
		;;
	both)
		check "$what: the primary goes on" reign "$primary"
		;;
	esac
	now=$(size "$primary")
	check "$what: the old size or the new one" \
		test "$now" = "$was" -o "$now" -gt $((was + 2 * MIB))
	ktap_comment "after $delay ms, $(((now - was) / 1024)) KiB more"
	[ "$now" = "$was" ] && old[$kind]=1 || new[$kind]=1
	check "$what: in sync" wait_until 90 in_sync
	[ "$now" != "$was" ] || check "$what: it grows now" vm_exec "$primary" 'blkcast grow data'
	check "$what: of one size" wait_until 30 sizes_equal
	check "$what: in sync again" wait_until 60 in_sync
	is "$what: equal" "$(content g1)" "$(content g2)"
	check "$what: what is new is zeros on g1" new_is_zero g1 "$was"
	check "$what: ... and on g2" new_is_zero g2 "$was"
	check "$what: both know where the metadata are" keep_config
}

lab_start
for host in g1 g2; do
	vm_add $host -d 96M,keep=30
done
vm_start g1 g2
hosts_key
for host in g1 g2; do
	host_start $host
	# Whatever it has not been told to hold, the disk holds rubbish.
	vm_exec $host "modprobe dm-mod && modprobe dm-delay && dd if=/dev/urandom of=/dev/vda \
		bs=1M count=96 oflag=direct conv=fsync status=none &&
		dmsetup create d --table '$(fast)' && dmsetup mknodes &&
		blkcast create data --device /dev/mapper/d --ack disk \
			${uuid:+--uuid $uuid} > /dev/null && blkcast up data" || exit 1
	uuid=$(field $host 'v["uuid"]')
done
first=$(size g1)
reign g1 && connect
check "in sync" wait_until 60 in_sync

# One that nothing happens to, to know how long it takes.
keep_piece && writers_start && larger
before=$(now_ms)
grow
wait_until 60 sizes_equal
takes=$(($(now_ms) - before))
ktap_comment "it takes $takes ms"
writers_stop
table fast g1 g2
check "the hosts know where the metadata are" keep_config

cuts=${CUTS:-3}
for at in $(seq "$cuts"); do
	delay=$((takes * (2 * at - 1) / (2 * cuts)))
	cut returns "cut $at, the primary" $delay "$primary"
	cut fails-over "cut $at, the primary for good" $delay "$primary"
	cut replica "cut $at, the replica" $delay "$replica"
	cut both "cut $at, both" $delay g1 g2
done
# A primary whose replica goes grows all the same.
for kind in returns fails-over both; do
	is "$kind: before it had grown, and after" "${old[$kind]:-0}${new[$kind]:-0}" 11
done
ktap_done
