#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# One command makes a copy on a new host, while the volume is written to: from a
# replica, not from the primary; through a power cut of the new host and the death of
# whoever sends; what comes from the
# primary is what was written meanwhile.
#
#	old (primary, being written to) ---- LAN ---- mid (replica)
#	                                      |
#	                                     new
#
# kernels: both
# timeout: 900
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"

mib=64
written=40	# MiB of random data

json() {	# json PYTHON: of the object on standard input, as v
	python3 -Ic 'import json, sys; v = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"
}
field() {	# field GUEST PYTHON: of `status --json`, links by peer
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
	vm_exec "$1" 'mkdir -p /etc/blkcast/volumes.d /run/blkcast &&
		install -m 600 /lab/key /etc/blkcast/key &&
		/blkcast/selftests/lib/daemon-up' || exit 1
}

lab_start
for host in old mid new; do
	vm_add $host -d 72M || exit 1
done
"$lab_tree/.build/tools/blkcast" genkey "$LAB/share/key" > /dev/null || exit 1
for host in old mid new; do
	host_start $host
done
vm_exec old "blkcast create data --device /dev/vda --size ${mib}M > /dev/null &&
	blkcast up data > /dev/null && blkcast primary data > /dev/null &&
	dd if=/dev/urandom of=/dev/blkcast/data bs=1M count=$written seek=8 oflag=direct status=none" || exit 1

# ---- the first replica: there is nobody but the primary ----

vm_exec new 'head -c 32 /dev/urandom | base64 > /etc/blkcast/bad && chmod 600 /etc/blkcast/bad &&
	printf "[daemon]\nkey = /etc/blkcast/bad\n" > /etc/blkcast/blkcast.conf' || exit 1
refuses "without the key nothing is told" "wrong key" \
	vm_exec new 'blkcast join data --from old --device /dev/vda'
vm_exec new 'rm /etc/blkcast/blkcast.conf' || exit 1
refuses "a volume that is not there" "nosuch" \
	vm_exec new 'blkcast join nosuch --from old --device /dev/vda'

summary=$(vm_exec mid 'blkcast join data --from old --device /dev/vda --json --quiet')
is "the first replica joins" $? 0
is "its content comes from the primary" "$(json 'v["source"]' <<< "$summary")" old
is "and is what was ever written" "$(json 'v["content_bytes"]' <<< "$summary")" $((written << 20))
is "the contents are equal" "$(content mid)" "$(content old)"

# ---- the second: under load, from the replica, interrupted ----

# shellcheck disable=SC2016 # for the guest's shell
vm_exec old 'fio --name=w --filename=/dev/blkcast/data --rw=randwrite --bs=4k --direct=1 --iodepth=4 \
	--ioengine=libaio --rate_iops=100 --time_based --runtime=600 --offset=40M --size=2M \
	> /dev/null 2>&1 & echo $! > /run/writer; disown'
writes=$(field old 'v["writes"]')
wait_until 60 eval "[ \$(field old 'v[\"writes\"]') -gt $((writes + 50)) ]"
vm_exec new '{ blkcast join data --from old --device /dev/vda --rate 1M > /run/join.log 2>&1 & } && disown'

# shellcheck disable=SC2016 # for the guest's shell
arrived() {	# arrived MIB: something stands there on new's disk
	vm_exec new '[ "$(dd if=/dev/vda bs=1M skip='"$1"' count=1 iflag=direct status=none |
		tr -d "\0" | head -c 1 | wc -c)" -gt 0 ]'
}
check "content arrives" wait_until 120 arrived 10
vm_exec new 'cp /etc/blkcast/volumes.d/data.* /lab/'
vm_power_cut new
host_start new
# Of the guest the disk alone is left.
vm_exec new 'cp /lab/data.* /etc/blkcast/volumes.d/' || exit 1
refuses "a copy half filled when power failed does not come up" "restore" vm_exec new 'blkcast up data'

before=$(field old 'v["writes"]') start=$SECONDS
vm_exec new '{ blkcast join data --from old --device /dev/vda --rate 1M --json > /run/join.json 2> /run/join.log
	echo $? > /run/join.exit; } & disown'
check "the replica sends again" wait_until 120 vm_exec mid 'pgrep -f "^blkcast send"'
# shellcheck disable=SC2016 # for the guest's shell
vm_exec mid 'kill -9 $(pgrep -f "^blkcast send")'
check "the join ends" wait_until 240 vm_exec new '[ -e /run/join.exit ]'
during=$(field old 'v["writes"]')
ktap_comment "meanwhile the primary took $(((during - before) / (SECONDS - start + 1))) of 100 writes a second"
ktap_comment "$(vm_exec new 'cat /run/join.log' | tr '\n' ';')"
summary=$(vm_exec new 'cat /run/join.json')
is "well" "$(vm_exec new 'cat /run/join.exit')" 0
is "from the next that has it when the sender died" "$(json 'v["source"]' <<< "$summary")" old
sent=$(json 'v["content_bytes"]' <<< "$summary")
ktap_comment "$sent bytes came with the last sender, of $((written << 20))"
# shellcheck disable=SC2016 # for the guest's shell
vm_exec old 'kill -INT $(cat /run/writer); while kill -0 $(cat /run/writer) 2> /dev/null; do sleep 0.1; done'
check "it is in sync" wait_until 60 field_is old 'links["new"]["state"]' in-sync
check "and catches up" wait_until 60 field_is old 'links["new"]["lag_writes"]' 0
is "the contents are equal, again" "$(content new)" "$(content old)"
copied=$(field old 'links["new"]["resync_bytes"]')
ktap_comment "$copied bytes of regions came from the primary, of $((mib << 20))"
check "what was copied is what the writer had touched" [ "$copied" -le $((4 << 20)) ]
is "consistent" "$(field new 'v["inconsistent"]')" False

check "a second time there is nothing to do" vm_exec new 'blkcast join data --from old --device /dev/vda --quiet'
refuses "on another device it would be another copy" "on /dev/vda already" \
	vm_exec new 'blkcast join data --from old --device /dev/vdb'
ktap_done
