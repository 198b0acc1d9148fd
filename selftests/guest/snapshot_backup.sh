#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The nightly backup of a real volume, several nights: the chain that it leaves is the
# volume, on a plain device as well, one that an interrupted restore has marked too.
#
# set: all
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

local_start -m 700 2 24
local_create a /dev/ram0 --size 16M
on 'blkcast primary a'

night() { on "FOLDER=/tmp/backup FULL_EVERY=3 KEEP='--keep-last $1' /blkcast/tools/packaging/blkcast-backup a"; }
change() {
	on "dd if=/dev/urandom of=/dev/blkcast/a bs=64k seek=$1 count=9 oflag=direct status=none &&
		blkdiscard -o $(($1 * 65536)) -l 131072 /dev/blkcast/a"
}
kinds() { on 'ls /tmp/backup' | sed -n 's/.*Z-//p' | tr '\n' ' '; }

for n in 1 2 3; do
	change $((n * 40))
	check "night $n" night 9
done
is "one full snapshot and deltas" "$(kinds)" "full.snap delta.snap delta.snap "
is "equal to the volume, as a chain on a device with other data" "$(on '
	dd if=/dev/urandom of=/dev/ram1 bs=1M count=24 status=none
	blkcast restore --quiet --verify /tmp/backup/*.snap /dev/ram1 &&
	cmp -n 16777216 /dev/ram1 /dev/blkcast/a && echo equal')" equal
check "night 4" night 1
is "the new full one suffices" "$(kinds)" "full.snap "
refuses "cut short from a pipe, a device is incomplete" "marked incomplete.*truncated" \
	on 'head -c 1000000 /tmp/backup/*.snap | blkcast restore --quiet - /dev/ram1'
refuses "to everybody" "ram1 is incomplete" on 'blkcast snapshot /dev/ram1 /tmp/x.snap --quiet'
is "until it is whole" "$(on 'blkcast restore --quiet - /dev/ram1 < /tmp/backup/*.snap &&
	cmp -n 16777216 /dev/ram1 /dev/blkcast/a && echo equal')" equal
ktap_done
