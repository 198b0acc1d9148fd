#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the probes of blkcast lag cost: writes a second at queue depth 16 with
# blocks of 4 KiB, without and with all of them, in turns; and ns an event of each
# program. The figures are printed, not judged.
#
# An emulated machine counts: a nanosecond of the guest's is an instruction, of its
# only processor, so that no other load on this machine is in the figures.
# BLKCAST_ICOUNT= takes this machine's time instead. Writers wait for the replica, so
# that each write's whole way is in the figure.
#
#	p (primary) ---- r (replica), RAM disks
#
# set: all
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
export BLKCAST_ICOUNT=${BLKCAST_ICOUNT-1}
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

ROUNDS=${ROUNDS:-7}
local_start -c 1 2 64
local_create p /dev/ram0
on 'blkcast primary p && blkcast set p --ack disk'
local_create r /dev/ram1
on 'pair p r'
check "in sync" wait_until 60 in_sync p r

said=$(VM_LIMIT=800 on "python3 -I /blkcast/selftests/guest/lag_overhead.py $ROUNDS" 2>&1)
while IFS= read -r line; do
	echo "# $line"
done <<< "$said"
is "all was measured" "$(grep -c ' with: ' <<< "$said") $(grep -c ' ns each' <<< "$said")" "2 8"
ktap_done
