#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Active groups: a hot set costs no metadata I/O, their number keeps to its limit,
# and after a loss of power exactly what was active is in doubt.
#
#	v (primary, 3 GiB: 100 groups of 30 MiB)
#
# kernels: both
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

local_start -d 3100M 0 0

# One block into each of so many groups; with "forever" again and again.
cat > "$LAB/share/touch_groups" <<- 'EOF'
	import mmap, os, sys
	block = mmap.mmap(-1, 4096)
	block.write(open('/lab/piece', 'rb').read())
	fd = os.open('/dev/blkcast/v', os.O_WRONLY | os.O_DIRECT)
	while True:
	    for group in range(int(sys.argv[1])):
	        os.pwrite(fd, block, group * 30 << 20)
	    if len(sys.argv) == 2:
	        break
EOF
touch_groups() {	# COUNT [forever]
	if [ -n "${2:-}" ]; then
		on "python3 -I /lab/touch_groups $* > /dev/null 2>&1 &"
	else
		on "python3 -I /lab/touch_groups $1"
	fi
}
writes() { field v 'v["writes"]'; }
writes_are() { [ "$(writes)" -ge "$1" ]; }

local_create v /dev/vda
head -c 4096 /dev/urandom > "$LAB/share/piece"
check "a limit is set" on 'blkcast set v --active-max 64M && blkcast primary v'

touch_groups 100
active=$(field v 'v["active_groups"]')
ktap_comment "$active groups are active"
check "64 at most stay active" test "$active" -le 64
check "those that were used last stay" test "$active" -ge 16
is "100 groups were written" "$(field v 'v["touched_regions"]')" 100

on 'echo 5 > /sys/module/blkcast/parameters/map_idle'
touch_groups 20 forever
check "the others go idle" wait_until 60 field_is v 'v["active_groups"]' 20
before=$(field v 'v["meta_writes"]')
check "200 writes pass" wait_until 120 writes_are $(($(writes) + 200))
is "a hot set costs no metadata" "$(field v 'v["meta_writes"]')" "$before"
is "its regions would be compared" "$(field v 'v["exposed_regions"]')" 20
like "status tells people" "$(on 'blkcast status v')" 'metadata: .* 20 groups active: 1.2 MiB to compare'

vm_power_cut g1
vm_start g1
vm_load g1
on "mkdir -p /etc/blkcast/volumes.d
	printf '[volume]\nbacking = /dev/vda\n' > /etc/blkcast/volumes.d/v.conf"
check "it is up again" on 'blkcast up v'
is "what was active is in doubt, and nothing else" "$(field v 'v["doubt_regions"]')" 20
is "nothing is forgotten" "$(field v 'v["touched_regions"]')" 100
check "what was cleaned is what was written" on 'for g in $(seq 20 99); do
		cmp /lab/piece <(dd if=/dev/blkcast/v bs=4k skip=$((g * 7680)) count=1 \
			iflag=direct status=none) || exit
	done'
ktap_done
