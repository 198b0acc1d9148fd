#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# `blkcast verify` finds what a replica's disk no longer holds, where it is and
# nothing else, while writes go on; --repair makes it equal.
#
#	a (primary, dm-linear on ram0) --- b (dm-linear on ram1)
#
# The disk below b is written to past the volume.
#
# kernels: both
# set: all
# timeout: 1500
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

MIB=1048576
REGION=65536
bytes=$((12 * MIB - 12288))	# the last region is short
hot=$((100 * REGION))		# half of this region is written to all the time

# Writers keep away from [0, 2M), [10M, 11M), the end, and the hot region's 2nd half.
writers_start() {
	on "fio --direct=1 --ioengine=libaio --rw=randwrite --norandommap --fsync=50 \
		--filename=/dev/blkcast/a --time_based --runtime=900 --randseed=$SEED \
		--rate=1m --iodepth=8 --bssplit=512/20:4k/60:64k/20 \
		--name=1 --offset=2m --size=4m --name=2 --offset=7m --size=3m \
		--name=3 --offset=11m --size=768k --name=4 --bssplit=4k/100 \
		--offset=$hot --size=32k > /lab/fio.log 2>&1 &"
	writes_pass 200
}
writers_stop() { on 'pkill -x fio; while pgrep -x fio; do sleep 0.1; done'; }

writes_are() { [ "$(field a 'v["writes"]')" -gt "$1" ]; }
writes_pass() { wait_until 60 writes_are "$(($(field a 'v["writes"]') + $1))"; }

# verify [OPTION...]: its JSON is kept in $LAB/share/verify
verify() { on "blkcast verify a --json $* > /lab/verify"; }
found() {	# PYTHON: of the copy b
	python3 -Ic '
import json, sys
b, = json.load(open(sys.argv[1]))["copies"]
print(eval(sys.argv[2]))' "$LAB/share/verify" "$1"
}

# scribble OFFSET BYTES: other bytes than those that are there, below the volume
scribble() {
	on "dd if=/dev/ram1 bs=512 skip=$(($1 / 512)) count=$(($2 / 512)) iflag=direct \
			status=none | tr '\000-\377' '\001-\377\000' > /tmp/other &&
		dd if=/tmp/other of=/dev/ram1 bs=512 seek=$(($1 / 512)) oflag=direct \
			status=none"
}

verify_runs() { field_is a 'links["b"]["verify"]["state"]' running; }
verify_moves() {
	field_is a '0 < links["b"]["verify"]["left_bytes"] < links["b"]["verify"]["bytes"]' True
}

# during_verify COMMAND...: while a slow one is under way; then waits for its end
during_verify() {
	on 'blkcast set a --resync-rate 64K
		{ blkcast verify a; echo "exit $?"; } > /lab/said 2>&1 &'
	wait_until 60 verify_moves && "$@" &&
		wait_until 240 grep -q '^exit' "$LAB/share/said"
	local status=$?
	on 'blkcast set a --resync-rate 1G'
	return "$status"
}
said() { cat "$LAB/share/said"; }

local_start 2 13
on "modprobe dm-mod
	for i in 0 1; do
		dmsetup create d\$i --table \"0 $((13 * MIB / 512)) linear /dev/ram\$i 0\" || exit
	done
	dmsetup mknodes"
# A replica that falls behind by chance (on a busy host) would get whole regions again, and
# with them what is to be found: nothing is left behind of what writers wait for.
local_create a /dev/mapper/d0 --size $bytes --backlog 64M
local_create b /dev/mapper/d1 --size $bytes
# A replica that is too slow falls behind long before its link is given up.
on 'blkcast primary a && pair -t 120000 a b'
on 'blkcast set a --ack memory'
check "in sync" wait_until 30 in_sync a b
refuses "a replica does not verify" 'its primary' on 'blkcast verify b'
refuses "there is nothing to stop" 'nothing is being compared' on 'blkcast verify a --stop'
check "nothing was written: nothing to compare" verify
is "equal" "$(found 'b["result"], b["bytes"]')" "('equal', 0)"
on "dd if=/dev/urandom of=/dev/blkcast/a bs=64k oflag=direct status=none 2> /dev/null
	blkcast set a --resync-rate 1G"

# ---- no false alarm ----

check "writers" writers_start
for i in 1 2; do
	check "equal while writes go on, $i" verify
	is "all of it, $i" \
		"$(found 'b["result"], b["bytes"], b["left_bytes"], b["ranges"]')" \
		"('equal', $((12 * MIB)), 0, [])"
done

# ---- what differs ----

scribble $((16 * REGION)) 512
scribble $((hot + 48 * 1024)) 4096
scribble $((161 * REGION - 4096)) 8192	# across the border of two regions
scribble $((bytes - 512)) 512
ranges="[($((16 * REGION)), $REGION), ($hot, $REGION), \
($((160 * REGION)), $((2 * REGION))), ($((191 * REGION)), $((bytes - 191 * REGION)))]"
say='[(r["offset"], r["length"]) for r in b["ranges"]]'
refuses "what was changed is found" '' verify
is "it differs" "$(found 'b["result"], b["differing_regions"], b["differing_bytes"]')" \
	"('differs', 5, 20480)"
is "these ranges and nothing else" "$(found "$say")" "$ranges"
like "status tells" "$(on 'blkcast status a')" '5 REGIONS DIFFER'
output=$(on 'blkcast verify a --peer b 2>&1; echo "exit $?"')
like "people are told" "$output" "offset $((160 * REGION)) length $((2 * REGION))"
like "and what to do" "$output" 'blkcast verify a --peer b --repair'
like "exit status 1" "$output" '^exit 1$'

check "repaired while writes go on" verify --repair
is "the same ranges" "$(found "$say")" "$ranges"
is "made equal" "$(found 'b["result"]')" repaired
check "in sync" field_is a 'links["b"]["state"]' in-sync
check "the copy is consistent" field_is b 'v["inconsistent"]' False
writers_stop
check "caught up" wait_until 60 in_sync a b
check "the copies are equal" same a b
check "verified again: equal" verify
is "nothing differs" "$(found 'b["result"], b["ranges"]')" "('equal', [])"

# ---- what comes between ----

on 'blkcast set a --ack local'
check "writers" writers_start
check "stop it" during_verify on 'blkcast verify a --stop'
like "it says so" "$(said)" '^b: stopped when [0-9]+% was compared'
like "that is no success" "$(said)" '^exit 1$'

one_only() {
	! on 'blkcast verify a --repair' && on 'blkcast set a --resync-rate 1G'
}
check "one at a time" during_verify one_only
like "the one that ran was not disturbed" "$(said)" '^b: equal, 12 MiB'

# The link is too narrow and the backlog overflows: the rest is compared afterwards.
fall_behind() {
	on 'tc qdisc add dev lo root netem rate 1mbit'
	wait_until 110 field_is a 'links["b"]["state"]' resync
	local status=$?
	on 'blkcast set a --resync-rate 1G; tc qdisc del dev lo root'
	return "$status"
}
check "the replica falls behind meanwhile" during_verify fall_behind
like "verified to the end" "$(said)" '^b: equal, 12 MiB'

check "the link is cut meanwhile" during_verify on 'pair -d a b'
like "it says so" "$(said)" '^b: interrupted: the link was lost when [0-9]+% was compared'
like "and what to do" "$(said)" 'run it again'
like "that is no success" "$(said)" '^exit 1$'
on 'pair -a a b'
check "in sync again" wait_until 60 field_is a 'links["b"]["state"]' in-sync
check "equal" verify

# ---- what cannot be read ----

writers_stop
# disk_of_a TYPE: what lies below the region 30
disk_of_a() {
	on "dmsetup suspend --nolockfs d0 && dmsetup load d0 <<-END && dmsetup resume d0
		0 $((30 * REGION / 512)) linear /dev/ram0 0
		$((30 * REGION / 512)) $((REGION / 512)) $1
		$((31 * REGION / 512)) $((13 * MIB / 512 - 31 * REGION / 512)) linear /dev/ram0 $((31 * REGION / 512))
	END"
}
disk_of_a error
refuses "the primary cannot read a region" '' verify --repair
is "it says so" "$(found 'b["result"], b["unreadable_regions"], b["ranges"]')" \
	"('unreadable', 1, [])"
disk_of_a "linear /dev/ram0 $((30 * REGION / 512))"
check "when it can again: equal" verify
check "the copies are equal" same a b

# ---- the end ----

check "writers" writers_start
on 'blkcast set a --resync-rate 64K'
on '{ blkcast verify a; echo "exit $?"; } > /lab/said 2>&1 &'
wait_until 60 verify_moves
writers_stop
on 'blkcast down a && blkcast down b && rmmod blkcast'
ktap_result $? "volumes go down and the module goes while it runs"
wait_until 60 grep -q '^exit' "$LAB/share/said"
like "it says so" "$(cat "$LAB/share/said")" '^b: (interrupted|equal)'
ktap_done
