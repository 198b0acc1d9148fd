#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the primary's disk cannot read is read from a replica, is never older than the
# newest write that was completed, and is written anew here. What cannot be written
# either is not taken from here any more. If nobody has it the reader is told.
#
#	a (primary) --- b, c: each on a RAM disk behind device-mapper
#
# The part of a's disk that fails is spoiled behind its back: what comes right has
# come from elsewhere.
#
# kernels: both
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

KIB=1024
MIB=$((1024 * KIB))
sectors=$((16 * MIB / 512))
# The part that fails: four regions and a bit.
AT=$((2 * MIB + 4 * KIB))
LEN=$((264 * KIB))

declare -A ram=([a]=0 [b]=1 [c]=2)

# table VOLUME good|bad|unreadable|lossy|held
table() {
	local disk=/dev/ram${ram[$1]} at=$((AT / 512)) len=$((LEN / 512)) end=$(((AT + LEN) / 512))
	case $2 in
	good) echo "0 $sectors linear $disk 0" ;;
	held) echo "0 $sectors delay $disk 0 0 /dev/mapper/writes 0 0" ;;
	bad | unreadable | lossy)
		echo "0 $at linear $disk 0"
		case $2 in
		bad) echo "$at $len error" ;;
		unreadable) echo "$at $len flakey $disk $at 0 3600 1 error_reads" ;;
		lossy) echo "$at $len flakey $disk $at 0 3600 1 drop_writes" ;;
		esac
		echo "$end $((sectors - end)) linear $disk $end"
		;;
	esac
}

turn() {	# VOLUME KIND
	on "dmsetup suspend --noflush --nolockfs d$1 &&
		dmsetup load d$1 <<< '$(table "$1" "$2")' && dmsetup resume d$1"
}

# It fails, and holds something else.
spoil() {
	turn a bad
	on "dd if=/dev/urandom of=/dev/ram0 bs=4k seek=$((AT / 4096)) count=$((LEN / 4096)) \
		oflag=direct conv=notrunc status=none"
}

# part FILE: what it holds where a's disk fails, read at once
part() { echo "<(dd if=$1 bs=$LEN count=1 skip=$AT iflag=${2:+$2,}skip_bytes status=none)"; }
right() { on "cmp $(part /dev/blkcast/a direct) $(part /tmp/model)"; }
repaired() { on "cmp $(part /dev/ram0 direct) $(part /tmp/model)"; }
# Once it is known here that it is not right.
unspoil() {
	wait_until 30 field_is a 'v["bad_bytes"]' $LEN
	turn a good
}
# No flush behind it, for which a replica would do all before it.
rewrite() {
	on "head -c $LEN /dev/urandom > /tmp/piece &&
		dd if=/tmp/piece of=/tmp/model bs=4k seek=$((AT / 4096)) conv=notrunc status=none &&
		dd if=/tmp/piece of=/dev/blkcast/a bs=4k seek=$((AT / 4096)) oflag=direct \
			conv=notrunc status=none"
}
errors() { field a 'v["device_errors"]'; }
more_errors() { [ "$(errors)" -ge "$1" ]; }
# Until it has found that each of the regions cannot be read here.
reader_start() {
	local failed=$(($(errors) + 5))
	on "rm -f /tmp/was-read; dd if=/dev/blkcast/a of=/tmp/read bs=$LEN count=1 skip=$AT \
		iflag=direct,skip_bytes status=none 2> /dev/null && touch /tmp/was-read" &
	reader=$!
	wait_until 60 more_errors "$failed"
}
reader_was_right() { on "test -e /tmp/was-read && cmp /tmp/read $(part /tmp/model)"; }
reader_had_none() { on 'test ! -e /tmp/was-read'; }
meet() { on "pair -d a b 2> /dev/null; pair -t ${1:-60000} a b" && wait_until 60 in_sync a b; }

local_start 3 16
on 'modprobe dm-flakey && modprobe dm-delay && modprobe sch_netem && modprobe dm-mod'
for v in a b c; do
	on "dmsetup create d$v --table '$(table $v good)' && dmsetup mknodes"
	local_create $v /dev/mapper/d$v --backlog 16M
done
on 'blkcast primary a && pair -t 60000 a b'
model_new a
put a $((8 * MIB)) 0
check "in sync" wait_until 30 in_sync a b

# ---- served, kept from here, repaired ----

spoil
check "what cannot be read here comes from the replica" right
check "nobody was told of an error" field_is a 'v["reads_failed"]' 0
check "it is counted" field_is a 'v["reads_elsewhere"] > 0 and v["reads_repaired"] == 0' True
check "what cannot be written either is known" unspoil
check "and not taken from here, though it can be read" right
check "it is written anew" wait_until 30 field_is a 'v["bad_bytes"]' 0
check "here is what was written" repaired
check "some of it was repaired" field_is a 'v["reads_repaired"] > 0' True

spoil
on "dmsetup suspend --noflush --nolockfs db"
reader_start
turn a good
on "dmsetup resume db"
wait "$reader"
check "a replica's disk that stands still for a while" reader_was_right
check "read again, it is right" right
check "what may be written is repaired" wait_until 30 repaired

spoil
on "dmsetup suspend --noflush --nolockfs db"
reader_start
turn a lossy
on "dmsetup resume db"
wait "$reader"
check "a disk that loses what is written" reader_was_right
check "is found out" wait_until 30 field_is a 'v["bad_bytes"]' $LEN
check "and not read" right
turn a good
check "read again, it is right" right
check "it is repaired" wait_until 30 repaired

# ---- the newest write, nothing else ----

# Reads of b's disk pass those writes.
hold_writes() {
	on "dmsetup create writes --table '$(table b good)' && dmsetup mknodes"
	turn b held
	on 'dmsetup suspend --noflush --nolockfs writes'
	rewrite
}
hold_writes
spoil
reader_start
check "it is not applied there yet" field_is a 'links["b"]["lag_bytes"]' $LEN
on 'dmsetup resume writes'
wait "$reader"
check "a replica that has to apply it first" reader_was_right
turn b good
on 'dmsetup remove writes'
unspoil
check "read again, it is right" right
check "it is repaired" wait_until 30 repaired

all_received() { on "ss -Htn | awk '\$2 + \$3 { exit 1 }'"; }
hold_writes
turn a bad
reader_start
wait_until 30 all_received
on "dmsetup load writes --table '0 $sectors error' && dmsetup resume writes"
wait "$reader"
check "one that cannot apply it says nothing older" reader_had_none
turn a good
turn b good
on 'dmsetup remove writes'
check "in sync again" meet
check "the copies are what was written" as_model a b

on 'sysctl -qw net.ipv4.tcp_wmem="4096 65536 65536"'
check "linked anew" meet
unsent() {
	on 'tc qdisc replace dev lo root netem rate 200kbit limit 10000'
	put a $MIB $((4 * MIB))
	rewrite
	"$@"
	reader_start
	check "it is not sent yet" field_is a "links['b']['unsent_bytes'] >= $LEN" True
}
unsent spoil
on 'tc qdisc change dev lo root netem rate 1gbit limit 10000'
wait "$reader"
check "a replica that has to be sent it first" reader_was_right
unspoil
check "read again, it is right" right
check "it is repaired" wait_until 30 repaired
# The backlog is full. What is not sent is dirty, and regions that can be read come first.
unsent turn a bad
on 'blkcast set a --resync-rate 64K'
put a $((3 * MIB / 2)) 0
on 'tc qdisc change dev lo root netem rate 1gbit limit 10000'
wait "$reader"
check "one that has fallen behind says nothing older" reader_had_none
on 'tc qdisc del dev lo root; blkcast set a --resync-rate 1G'
turn a good
check "in sync again" meet
check "the copies are what was written" as_model a b

# ---- while it is written ----

unreadable() { [ "$KVER" != 6.1 ]; }	# dm-flakey of 6.1 fails writes as well
race() {
	on "/blkcast/selftests/guest/read_repair_race.py /dev/blkcast/a /dev/ram0 \
		$((AT / 4096)) 8 $1 /tmp/model"
}

if unreadable; then
	turn a unreadable
	check "a disk that takes writes and cannot read them" right
	check "is found out" wait_until 30 field_is a 'v["bad_bytes"]' $LEN
	on 'tc qdisc add dev lo root netem delay 5ms'
	check "readers see no write that is older than the newest one done" race 8
	turn a good
	check "nothing older was written back" repaired
	on 'tc qdisc del dev lo root'
	check "the copies are equal" wait_until 30 same a b
fi

# ---- nobody has it ----

on 'pair a c'
wait_until 60 in_sync a c
spoil
turn b bad
check "the replica cannot read it either: another one can" right
on 'pair -d a c'
refuses "nobody can: the reader is told" 'Input/output error' right
turn b good
check "the replica can again" right
on 'pair -d a b'
while IFS=$'\t' read -r name verdict; do
	is "a replica answers $name" "$verdict" good
done < <(on "frames reads a $((AT / 512)) /tmp/model; echo -e \"all of that\t\${?/0/good}\"")
on 'pair -o a b'
wait_until 30 in_sync a b
refuses "a replica that knows no READ" 'Input/output error' right
meet 2000
check "one that does" right
on 'tc qdisc add dev lo root netem loss 100%'
refuses "the link is cut: the reader is told" 'Input/output error' right
on 'tc qdisc del dev lo root'
check "in sync again" meet
check "the reader has it again" right
unspoil
check "read again, it is right" right
check "the copies are what was written" as_model a b

# ---- a reign ends ----

spoil
check "it comes from the replica" right
check "and is bad here" wait_until 30 field_is a 'v["bad_bytes"]' $LEN
on 'blkcast down a'
turn a good
on 'blkcast up a'
check "what was bad is in doubt" field_is a 'v["doubt_regions"] >= 5' True
refuses "this copy is no heir" 'has not ended that reign' on 'blkcast primary a'
on 'blkcast primary b --force --yes && pair b a'
check "the next primary has it" wait_until 30 in_sync b a
check "the copies are what was written" as_model a b
on 'blkcast down a && blkcast down b && blkcast down c'
ktap_done
