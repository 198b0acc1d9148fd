#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What iostat is told: each read, write, discard and flush of a volume counts, with
# its sectors, on the primary, on a replica and of a view; what waits is in flight
# and has its time counted; what is refused is not.
#
#	a (primary) --- b
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

# The fields of /sys/block/.../stat, in this order, by name.
# counts DEVICE NAME...
counts() {
	local device=$1
	shift
	on "cat /sys/dev/block/\$(stat -Lc %Hr:%Lr $device)/stat" | python3 -Ic '
import sys
names = ("reads read_merges read_sectors read_ms writes write_merges write_sectors write_ms "
         "in_flight busy_ms queue_ms discards discard_merges discard_sectors discard_ms "
         "flushes flush_ms").split()
stat = dict(zip(names, sys.stdin.read().split()))
print(*(stat[name] for name in sys.argv[1:]))' "$@"
}

# What a command adds to them: added DEVICE "NAME..." COMMAND
added() {
	local before after i
	local -a names old new
	read -r -a names <<< "$2"
	before=$(counts "$1" "${names[@]}")
	on "$3" || return
	after=$(counts "$1" "${names[@]}")
	read -r -a old <<< "$before"
	read -r -a new <<< "$after"
	for i in "${!old[@]}"; do
		old[i]=$((new[i] - old[i]))
	done
	echo "${old[*]}"
}

all='reads read_sectors writes write_sectors discards discard_sectors flushes in_flight'
direct() { echo "dd if=$1 of=$2 bs=$3 count=$4 ${5:-} status=none"; }

local_start 2 32
local_create a /dev/ram0
local_create b /dev/ram1
on 'blkcast primary a && blkcast set a --ack disk && pair a b'
check "in sync" wait_until 60 in_sync a b
a=/dev/blkcast/a b=/dev/blkcast/b

refused() { on "! $(direct "$b" /dev/null 4k 1 iflag=direct) 2> /dev/null"; }

# ---- what is done ----

is "writes" "$(added $a "$all" "$(direct /dev/urandom $a 4k 10 oflag=direct)")" "0 0 10 80 0 0 0 0"
is "reads" "$(added $a "$all" "$(direct $a /dev/null 4k 5 iflag=direct)")" "5 40 0 0 0 0 0 0"
is "reads of what was never written" \
	"$(added $a "$all" "$(direct $a /dev/null 4k 3 'iflag=direct skip=2048')")" "3 24 0 0 0 0 0 0"
is "one over two regions is two" \
	"$(added $a "$all" "$(direct $a /dev/null 8k 1 'iflag=direct,skip_bytes skip=61440')")" \
	"2 16 0 0 0 0 0 0"
is "a discard" "$(added $a "$all" "blkdiscard -f -o 0 -l 65536 $a")" "0 0 0 0 1 128 0 0"
is "a flush" "$(added $a "$all" "python3 -Ic 'import os; os.fsync(os.open(\"$a\", os.O_RDWR))'")" \
	"0 0 0 0 0 0 1 0"
is "reads of a replica" "$(added $b "$all" "$(direct "$b" /dev/null 4k 5 iflag=direct)")" \
	"5 40 0 0 0 0 0 0"
is "what it applies is not its readers'" \
	"$(added $b "$all" "$(direct /dev/urandom $a 4k 10 oflag=direct)")" "0 0 0 0 0 0 0 0"
on 'blkcast view create a v > /dev/null'
is "reads of a view" "$(added $a@v "$all" "$(direct $a@v /dev/null 4k 5 iflag=direct)")" \
	"5 40 0 0 0 0 0 0"
on 'blkcast view remove a v'

# ---- what waits ----

on "blkcast suspend a && (dd if=/dev/urandom of=$a bs=4k count=1 oflag=direct status=none
	touch /tmp/written) > /dev/null 2>&1 < /dev/null & disown"
waits() { [ "$(counts "$a" in_flight)" = 1 ]; }
check "a write that waits is in flight" wait_until 30 waits
before=$(counts $a write_ms busy_ms)
on 'sleep 1.5; blkcast resume a'
check "it is done" wait_until 30 on 'test -e /tmp/written'
is "nothing is in flight" "$(counts $a in_flight)" 0
after=$(counts $a write_ms busy_ms)
check "its time counts" [ $((${after% *} - ${before% *})) -ge 1500 ]
check "the device was busy" [ $((${after#* } - ${before#* })) -ge 1500 ]

# ---- what is refused, and what fails ----

on 'blkcast set b --max-lag 1s; pair -d a b'
check "a reader is turned away" wait_until 30 refused
is "and does not count" "$(added $b "$all" "! $(direct "$b" /dev/null 4k 1 iflag=direct) 2> /dev/null")" \
	"0 0 0 0 0 0 0 0"

on 'blkcast down a && blkcast down b'
ktap_done
