#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A peer that has proved who it is, speaks the protocol well, and then lies: lengths,
# numbers, order, states. The kernel refuses what cannot be and takes the rest for what it
# is: nothing crashes, hangs or is lost, the content stays as it was, and a right peer
# gets in sync afterwards. The kernel's memory is watched meanwhile.
#
#	a (primary) --- liar --- b (replica)
#
# LINKS, MOMENTS (seconds, for each of three rounds) and SEED for long runs by hand.
#
# kernels: both
# timeout: 1200
export SEED=${SEED:-1}
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

links=${LINKS:-1000000} moments=${MOMENTS:-$((5 * LAB_SLOWNESS))}
watched="slub_debug=FZP,kmalloc-*,blkcast_op kfence.sample_interval=50"
# 4 KiB of a that cannot be read, and more than that of where nothing is.
bad=$((2 * 2048 + 64)) data=$((8 << 20))

table() {
	echo "0 $bad linear /dev/ram0 0"
	if [ "$1" = bad ]; then
		echo "$bad 8 flakey /dev/ram0 $bad 0 3600 1 error_reads"
	else
		echo "$bad 8 linear /dev/ram0 $bad"
	fi
	echo "$((bad + 8)) $((32768 - bad - 8)) linear /dev/ram0 $((bad + 8))"
}
turn() {
	on "dmsetup suspend --noflush --nolockfs da &&
		dmsetup load da <<< '$(table "$1")' && dmsetup resume da"
}

lies() {	# VOLUME [SECTOR]: the last line says what is wrong
	VM_LIMIT=$((moments * 20 + 600)) on "truncate -s \$(blockdev --getsize64 /dev/blkcast/$1) /tmp/model
		liar fuzz $1 /tmp/model $SEED $links $moments $2"
}
deep() { [[ $said =~ $1\ ([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -gt 0 ]; }
round() {	# WHAT VOLUME SECTOR REACHED...
	local what=$1 depth
	said=$(lies "$2" "$3")
	check "$what: no more than the link is lost" [ $? -eq 0 ]
	echo "${said//$'\n'/$'\n'# }"
	shift 3
	for depth; do
		check "$what: $depth" deep "$depth"
	done
}
# It may be larger by now, where nothing is.
as_modelled() {
	on "truncate -s \$(blockdev --getsize64 /dev/blkcast/a) /tmp/model" && as_model a b
}
meet() { on 'pair -t 60000 a b' && wait_until 120 in_sync a b; }

local_start -a "$watched" 2 16
on "modprobe dm-flakey && dmsetup create da --table '$(table good)' && dmsetup mknodes"
local_create a /dev/mapper/da --size 12M
local_create b /dev/ram1 --size 12M
on 'blkcast primary a && blkcast set a --ack disk'
model_new a
put a $data 0
check "a right link" meet
check "the copies are what was written" as_model a b
on 'pair -d a b'

is "one that compares nothing: the volume grows all the same" \
	"$(on 'liar mute a | tail -n 1')" good
is "one that takes a byte now and then: no writer waits for it for long" \
	"$(on 'liar slow a | tail -n 1')" good
round "to a replica" b "" "in sync" copies reads hashes handed
reached=("in sync" hashes acks)
# dm-flakey of 6.1 fails writes as well: there a reader gets all from the disk.
if [ "$KVER" != 6.1 ]; then
	turn bad
	reached+=(reads)
fi
round "to a primary" a $bad "${reached[@]}"
# It is bad until it is written to.
turn good
on "dd if=/tmp/model of=/dev/blkcast/a bs=4k skip=$((bad / 8)) seek=$((bad / 8)) count=1 \
	oflag=direct conv=notrunc status=none"
round "to a primary that changes hands" a "" "in sync" handed
check "a right link works afterwards" meet
check "the copies are what was written" as_modelled
on 'pair -d a b && blkcast down b && blkcast up b && blkcast down a && blkcast up a'
check "what is on disk is right" as_modelled
# What a lie brings beyond the volume.
check "nothing that was to be refused is on a disk" \
	on '! LC_ALL=C grep -laP "\xa5{512}" /dev/ram0 /dev/ram1'
is "no block of the map is damaged" "$(on 'dmesg | grep -c "is damaged"')" 0
ktap_done
