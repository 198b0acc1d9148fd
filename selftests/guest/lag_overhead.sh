#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the probes of blkcast lag cost: writes a second at queue depth 16 with
# blocks of 4 KiB, without and with all of them, in turns; and ns an event of each
# program. The figures are printed, not judged: an emulated machine tells little of
# a real one.
#
#	p (primary) ---- r (replica), RAM disks
#
# set: all
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

ROUNDS=${ROUNDS:-4}
local_start 2 64
local_create p /dev/ram0
on 'blkcast primary p'
local_create r /dev/ram1
on 'pair p r'
check "in sync" wait_until 60 in_sync p r

said=$(on "python3 -I /blkcast/selftests/guest/lag_overhead.py $ROUNDS" 2>&1)
while IFS= read -r line; do
	echo "# $line"
done <<< "$said"
is "all three were measured" "$(grep -c ' with: ' <<< "$said")" 3
ktap_done
