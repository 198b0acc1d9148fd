#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A planned switch whose messages are lost: at no moment may two copies begin a reign
# unasked, and one may if it knows that it was named. A valve on g2's disk holds the
# switch up until the link is cut.
#
#	HANDED lost	g2 -x-> g1	g2 knows, g1 does not know that
#	HANDOVER lost	g2 -x-> g1	nobody may go on unasked
#
# kernels: both
# set: all
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/hosts.sh
. "$(dirname "$0")/../lib/hosts.sh"

in_sync() { field_is "$1" "link['$2']['state'], link['$2']['lag_writes']" 'in-sync 0'; }
heirs() { echo "$(field g1 "v['is_heir']") $(field g2 "v['is_heir']")"; }
write() { vm_exec "$1" "dd if=/dev/urandom of=/dev/blkcast/data bs=64k count=1 seek=$2 oflag=direct conv=fsync,notrunc status=none"; }

# hands_over FROM SIGN CUT...: it hands over; g2's disk stands still until there is the
# sign and the way is cut
hands_over() {
	local command
	vm_exec g2 'dmsetup suspend --noflush --nolockfs valve'
	vm_exec "$1" 'blkcast replica data' > "$LAB/answer" 2>&1 &
	command=$!
	wait_until 60 "$2" && "${@:3}" && vm_exec g2 'dmsetup resume valve' && ! wait "$command"
}
# g1 has laid its reign down: HANDOVER is out. g2 is about to.
laid_down() { field_is g1 "v['is_heir'], 'heir' in v" 'False True'; }
ending() { vm_exec g2 'read -r ro < /sys/block/blkcast0/ro; [ "$ro" = 1 ]'; }

lab_start
vm_add g1 -d 24M
vm_add g2 -d 24M
vm_start g1 g2
hosts_key
host_start g1
host_start g2
volume_create g1
vm_exec g2 'modprobe -a dm-mod sch_netem && dmsetup create valve \
	--table "0 $(blockdev --getsz /dev/vda) linear /dev/vda 0" && dmsetup mknodes &&
	blkcast create data --device /dev/mapper/valve --uuid '"$volume_uuid --size $volume_bytes"' \
	> /dev/null && blkcast up data'
vm_exec g1 'blkcast primary data && blkcast connect data --peer g2 --address g2'
check "in sync" wait_until 60 in_sync g1 g2
check "a write" write g1 0
check "in sync" wait_until 60 in_sync g1 g2

check "handed over, HANDED is lost" hands_over g1 laid_down vm_exec g2 'tc qdisc add dev eth0 root netem loss 100%'
like "g1 says so" "$(cat "$LAB/answer")" 'does not confirm'
check "g2 knows" wait_until 60 field_is g2 "v['is_heir']" True
is "g1 has no right any more" "$(heirs)" "False True"
refuses "g1 does not go on unasked" 'handed over to the copy' vm_exec g1 'blkcast primary data'
vm_exec g2 'tc qdisc del dev eth0 root'
check "g2 does" vm_exec g2 'blkcast primary data'
check "and is followed" vm_exec g2 'blkcast connect data --peer g1 --address g1'
check "in sync" wait_until 60 in_sync g2 g1
check "a write" write g2 16
check "in sync" wait_until 60 in_sync g2 g1
is "equal" "$(content g1)" "$(content g2)"

check "handed over, HANDOVER is lost" hands_over g2 ending vm_lan cut g1 g2
like "g2 says so" "$(cat "$LAB/answer")" 'does not confirm|not in sync'
is "neither has the right" "$(heirs)" "False False"
refuses "g2 does not go on unasked" 'not ended|handed over to the copy|nobody' vm_exec g2 'blkcast primary data'
refuses "nor does g1" 'not handed over' vm_exec g1 'blkcast primary data'
vm_lan heal g1 g2
check "the operator's word" vm_exec g1 'blkcast primary data --force --yes'
refuses "g2 still does not" 'handed over|newer' vm_exec g2 'blkcast primary data'
check "it follows" vm_exec g1 'blkcast connect data --peer g2 --address g2'
check "in sync" wait_until 60 in_sync g1 g2
is "equal" "$(content g1)" "$(content g2)"
ktap_done
