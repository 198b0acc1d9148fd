#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A planned switch, back and forth: an application that uses the volume on whichever
# host is primary finds all it has written, meets no error, and is asked nothing.
# What was handed over survives power failing on both hosts at once.
#
#   g1 ---- LAN ---- g2		disks that lose what is not flushed
#
# ROUNDS=N: switches, 20 by default.
# kernels: both
# timeout: 900
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/hosts.sh
. "$(dirname "$0")/../lib/hosts.sh"

rounds=${ROUNDS:-20}

in_sync() { field_is "$1" "link['$2']['state'], link['$2']['lag_writes']" 'in-sync 0'; }
application() {	# GUEST SEED
	vm_exec "$1" "/blkcast/selftests/guest/switch_io.py /dev/blkcast/data /lab/model $2 400"
}
# The longest time without a volume that takes writes, in ms of the host.
switched() {	# FROM TO
	local begun=${EPOCHREALTIME/./}
	vm_exec "$1" 'blkcast replica data' && vm_exec "$2" 'blkcast primary data' || return
	stopped+=($(((${EPOCHREALTIME/./} - begun) / 1000)))
}
return_hosts() {
	local guest
	vm_start g1 g2
	for guest in g1 g2; do
		host_start "$guest" && vm_exec "$guest" 'mkdir -p /etc/blkcast/volumes.d &&
			printf "[volume]\nbacking = /dev/vda\nack = disk\n" > /etc/blkcast/volumes.d/data.conf &&
			blkcast up data' || return
	done
}

lab_start
vm_add g1 -d 24M,keep=0
vm_add g2 -d 24M,keep=0
vm_start g1 g2
hosts_key
host_start g1
host_start g2
volume_create g1 --ack disk
volume_create g2 --ack disk
vm_exec g1 'blkcast primary data && blkcast connect data --peer g2 --address g2'
check "in sync" wait_until 60 in_sync g1 g2
check "the application begins" application g1 "$SEED"
check "on g2 for the first time" switched g1 g2
vm_exec g2 'blkcast connect data --peer g1 --address g1'

primary=g2 replica=g1 stopped=() bad=0
for round in $(seq "$rounds"); do
	if ! wait_until 60 in_sync $primary $replica || ! application $primary $((SEED + round)) ||
	   ! switched $primary $replica; then
		bad=$round
		break
	fi
	swap=$primary primary=$replica replica=$swap
	# Each policy has its turn.
	[ $((round % 4)) -gt 1 ] && ack=local || ack=disk
	vm_exec $primary "blkcast set data --ack $ack"
done
is "$rounds switches" "$bad" 0
ktap_comment "ms without a primary, commands and all: ${stopped[*]}"
check "in sync at the end" wait_until 60 in_sync $primary $replica
check "the application finds everything" application $primary 0
check "the last of it, too" application $primary 1
check "caught up" wait_until 60 in_sync $primary $replica
is "the copies are equal" "$(content g1)" "$(content g2)"

# ---- power fails after a hand-over ----

vm_exec $primary 'blkcast set data --ack local'
check "handed over" vm_exec $primary 'blkcast replica data'
vm_power_cut g1
vm_power_cut g2
check "both are back" return_hosts
is "the heir is the one that was named" "$(field $primary 'v["is_heir"]') $(field $replica 'v["is_heir"]')" "False True"
refuses "the other has no right" 'handed over to the copy' vm_exec $primary 'blkcast primary data'
check "it begins its reign" vm_exec $replica 'blkcast primary data'
check "and has everything" application $replica 2

# ---- a primary that has crashed ----

vm_exec $replica "blkcast connect data --peer $primary --address $primary"
check "in sync" wait_until 60 in_sync $replica $primary
# Something is always being written, and changes nothing.
vm_exec $replica 'sync /dev/blkcast/data
	(while dd if=/dev/blkcast/data of=/dev/blkcast/data bs=4k count=1 iflag=direct \
		oflag=direct conv=notrunc status=none; do sleep 0.2; done) & disown'
check "it is written to" wait_until 60 field_is $replica 'v["active_groups"] > 0' True
vm_power_cut g1
vm_power_cut g2
check "both are back" return_hosts
refuses "it does not go on unasked" 'has not ended that reign' vm_exec $replica 'blkcast primary data'
refuses "nor does its replica" 'not handed over' vm_exec $primary 'blkcast primary data'
doubts=$(field $replica 'v["doubt_regions"]')
check "some of its regions are in doubt" test "$doubts" -gt 0
check "the operator's word" vm_exec $replica 'blkcast primary data --force --yes'
term=$(field $replica 'v["term"]')
is "none is any more" "$(field $replica 'v["doubt_regions"]')" 0
vm_exec $replica 'blkcast down data'
is "they have fresh stamps" "$(vm_exec $replica 'blkcast meta dump data --regions --json' | python3 -Ic "
import json, sys
print(sum(r['last'] - r['first'] + 1 for r in json.load(sys.stdin)['runs']
          if r.get('stamp', 0) >> 40 == $term))")" "$doubts"
vm_exec $replica 'blkcast up data && blkcast primary data'
check "it has everything that was flushed" application $replica 3
ktap_done
