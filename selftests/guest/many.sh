#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# More volumes between two hosts than a daemon takes connections at a time (64): all of
# them come about, also when all links are made at the same moment, after either daemon
# has been away. What was written to each is on its replica.
#
#	g1 (primary of v1 ... v72) ---- LAN ---- g2
#
# kernels: 6.12
# timeout: 900
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/hosts.sh
. "$(dirname "$0")/../lib/hosts.sh"

VOLUMES=72

in_sync() {
	[ "$(vm_exec g1 'blkcast status --json' | python3 -Ic '
import json, sys
print(sum(l["state"] == "in-sync" and not l["lag_bytes"]
          for v in json.load(sys.stdin)["volumes"] for l in v["links"]))')" = "$VOLUMES" ]
}
cut() {
	vm_exec g1 "dmesg --clear && ss -K dport = 7790 > /dev/null
		until [ \$(dmesg | grep -c ': link g2: down') -ge $VOLUMES ]; do sleep 0.1; done"
}
# Each has a name of its own for what it holds.
written() {	# TEXT
	vm_exec g1 "for v in \$(seq $VOLUMES); do
			printf '%-4096s' \"$1 \$v\" | dd of=/dev/blkcast/v\$v bs=4k oflag=direct \
				conv=notrunc status=none || exit
		done"
}
same() {
	vm_exec g2 "for v in \$(seq $VOLUMES); do
			[ \"\$(dd if=/dev/blkcast/v\$v bs=4k count=1 iflag=direct status=none |
				tr -s ' ')\" = \"$1 \$v \" ] || { echo \"v\$v\"; exit 1; }
		done"
}

lab_start
for g in 1 2; do
	vm_add g$g -m 768
done
hosts_key
for g in 1 2; do
	vm_start g$g
	host_start g$g || exit 1
	vm_exec g$g "modprobe brd rd_nr=$VOLUMES rd_size=4096"
done
uuids=$(for ((v = 1; v <= VOLUMES; v++)); do cat /proc/sys/kernel/random/uuid; done)
for g in g1 g2; do
	check "$VOLUMES volumes on $g" vm_exec $g 'v=0
		for uuid in '"${uuids//$'\n'/ }"'; do
			v=$((v + 1))
			blkcast create v$v --device /dev/ram$((v - 1)) --uuid $uuid --ack disk > /dev/null &&
				blkcast up v$v || exit
		done'
done
check "linked one after the other" vm_exec g1 'for v in $(seq '$VOLUMES'); do
		blkcast primary v$v --force --yes && blkcast connect v$v --peer g2 --address g2 || exit
	done'
check "in sync" wait_until 120 in_sync
check "each is written to" written one
check "each replica has that" same one

daemon_stop g2
check "all links are cut, with nobody there" cut
check "each is written to" written two
daemon_start g2
check "all are in sync again" wait_until 120 in_sync
check "each replica has that" same two

check "all are cut, and are made at the same moment" cut
check "all are in sync once more" wait_until 120 in_sync
check "each is written to" written three
check "each replica has that" same three
ktap_done
