#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A new host starts from a snapshot of a live volume, through a pipe, and gets
# only what has been written since. A power cut in the middle of the restore
# leaves a copy that refuses to come up and can be restored again.
#
#	old (primary, being written to) ---- LAN ---- new
#
# kernels: both
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"

mib=96

field() {	# field GUEST PYTHON: of `status --json`, volume v, links by peer
	vm_exec "$1" 'blkcast status data --json' | python3 -Ic '
import json, sys
v = json.load(sys.stdin)["volumes"][0]
links = {l["peer"]: l for l in v["links"]}
print(eval(sys.argv[1]))' "$2"
}

field_is() { [ "$(field "$1" "$2" 2> /dev/null)" = "$3" ]; }

content() { vm_exec "$1" 'dd if=/dev/blkcast/data bs=1M iflag=direct status=none | md5sum'; }

host_start() {
	vm_start "$1" && vm_load "$1" || exit 1
	vm_exec "$1" 'mkdir -p /etc/blkcast /run/blkcast && install -m 600 /lab/key /etc/blkcast/key &&
		/blkcast/selftests/lib/daemon-up' || exit 1
}

lab_start
vm_add old -d 104M || exit 1
vm_add new -d 104M || exit 1
"$lab_tree/.build/tools/blkcast" genkey "$LAB/share/key" > /dev/null || exit 1
host_start old
host_start new

vm_exec old "blkcast create data --device /dev/vda --size ${mib}M > /dev/null &&
	blkcast up data > /dev/null && blkcast primary data > /dev/null &&
	dd if=/dev/urandom of=/dev/blkcast/data bs=1M count=48 seek=16 oflag=direct status=none" || exit 1
uuid=$(field old 'v["uuid"]')
vm_exec new "blkcast create data --device /dev/vda --size ${mib}M --uuid $uuid > /dev/null &&
	cp /etc/blkcast/volumes.d/data.conf /lab/" || exit 1

# A writer that stays within 2 MiB.
# shellcheck disable=SC2016 # for the guest's shell
vm_exec old 'fio --name=w --filename=/dev/blkcast/data --rw=randwrite --bs=4k --direct=1 --iodepth=4 \
	--ioengine=libaio --rate_iops=100 --time_based --runtime=200 --offset=40M --size=2M \
	> /dev/null 2>&1 & echo $! > /run/writer; disown'
writes=$(field old "v['writes']")
wait_until 30 eval "[ \$(field old \"v['writes']\") -gt $writes ]"

check "a snapshot of the live volume, through a pipe" \
	vm_exec old 'set -o pipefail; blkcast snapshot data - --quiet | cat > /lab/data.snap'
check "is whole" vm_exec old 'blkcast check --quiet /lab/data.snap'

# ---- the restore, cut off ----

# shellcheck disable=SC2016 # for the guest's shell
vm_exec new '( head -c 20000000 /lab/data.snap; sleep 60 ) | blkcast restore - data --quiet &
	disown; for i in $(seq 100); do
		[ "$(dd if=/dev/vda bs=1M skip=20 count=1 iflag=direct status=none | tr -d "\0" | wc -c)" -gt 0 ] &&
			exit
		sleep 0.1
	done; exit 1'
is "it is under way" $? 0
vm_power_cut new
host_start new
# Of the guest the disk alone is left.
vm_exec new 'mkdir -p /etc/blkcast/volumes.d && cp /lab/data.conf /etc/blkcast/volumes.d/' || exit 1
refuses "a copy half restored when power failed does not come up" "restore" vm_exec new 'blkcast up data'
check "restored again, from a pipe" \
	vm_exec new 'set -o pipefail; cat /lab/data.snap | blkcast restore - data --quiet'
check "it comes up" vm_exec new 'blkcast up data'
is "consistent: it is of one moment" "$(field new "v['inconsistent']")" False

# ---- completed ----

check "it is connected" vm_exec old 'blkcast connect data --peer new --address new'
check "it gets in sync" wait_until 60 field_is old "links['new']['state']" in-sync
# shellcheck disable=SC2016 # for the guest's shell
vm_exec old 'kill -INT $(cat /run/writer); while kill -0 $(cat /run/writer) 2> /dev/null; do sleep 0.1; done'
check "and catches up" wait_until 30 field_is old "links['new']['lag_writes']" 0
is "the contents are equal" "$(content new)" "$(content old)"
is "consistent now" "$(field new "v['inconsistent']")" False
copied=$(field old "links['new']['resync_bytes']")
ktap_comment "$copied bytes of regions were copied, of $((mib << 20))"
check "what was copied is what the writer had touched" [ "$copied" -le $((4 << 20)) ]

# ---- refusals that need a real mount ----

vm_exec old 'blkcast disconnect data --peer new > /dev/null' || exit 1
vm_exec new 'blkcast down data' || exit 1
vm_exec new 'mkfs.ext4 -qF /dev/vda && mount /dev/vda /mnt'
refuses "a mounted device" "/dev/vda is mounted on /mnt" vm_exec new 'blkcast restore --force /lab/data.snap /dev/vda'
refuses "a mounted volume" "mounted on /mnt" vm_exec new 'blkcast restore --force /lab/data.snap data'
ktap_done
