#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A host joins while the primary is written to as fast as its replica takes it, and the
# join is killed again and again, at any moment: the same command goes on, what has come is not
# sent again, and what comes from the primary is what has been written since. How much
# the primary takes before, meanwhile and after is printed. KILLS tells how often.
#
#	old (primary, being written to) ---- LAN ---- mid (replica)
#	                                      |
#	                                     new
#
# kernels: both
# set: all
# timeout: 1500
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/hosts.sh
. "$(dirname "$0")/../lib/hosts.sh"

mib=96
area=4		# MiB that are written to all the time
kills=${KILLS:-20}

json() { python3 -Ic 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
in_sync() { field_is old "all(l['state'] == 'in-sync' and l['lag_writes'] == 0 for l in v['links'])" True; }
written() { [ "$(field old 'v["writes"]')" -gt $((writes + $1)) ]; }
# Writes a second, by the guest's clock.
begin() {
	begun=$(vm_exec old 'cut -d" " -f1 /proc/uptime')
	writes=$(field old 'v["writes"]')
}
rate() {
	local now
	now=$(vm_exec old 'cut -d" " -f1 /proc/uptime')
	python3 -Ic "print(round(($(field old 'v["writes"]') - $writes) / ($now - $begun)))"
}
command='blkcast join data --from old --device /dev/vda --json > /run/join.json 2> /run/join.log'
# Ends it once it has written MIB; prints its exit status.
join_killed() {	# join_killed MIB
	vm_exec new "$command --rate 2M & join=\$!
		while written=\$(awk '/^write_bytes/ { print \$2 }' /proc/\$join/io 2> /dev/null) &&
			[ \$written -le $(($1 << 20)) ]; do sleep 0.1; done
		kill -9 \$join; wait \$join; echo \$?" 2> /dev/null
}

lab_start
for host in old mid new; do
	vm_add $host -d $((mib + 8))M || exit 1
done
hosts_key > /dev/null || exit 1
for host in old mid new; do
	vm_start $host && host_start $host || exit 1
done
volume_create old --size ${mib}M && vm_exec old 'blkcast primary data && blkcast set data --ack disk &&
	dd if=/dev/urandom of=/dev/blkcast/data bs=1M count=96 oflag=direct status=none' || exit 1
check "the first replica joins" vm_exec mid 'blkcast join data --from old --device /dev/vda --quiet'

writes=$(field old 'v["writes"]')
vm_exec old "fio --name=w --filename=/dev/blkcast/data --rw=randwrite --bs=4k --direct=1 --iodepth=8 \
	--ioengine=libaio --time_based --runtime=1400 --offset=40M --size=${area}M > /dev/null 2>&1 &
	echo \$! > /run/writer; disown"
check "the primary is written to" wait_until 60 written 200
begin
wait_until 120 written 1000
before=$(rate)

# ---- killed ----

begin
export VM_LIMIT=1100
RANDOM=$SEED
# Each once it has written so many MiB: all of them would be about what there is.
for n in $(seq "$kills"); do
	after=$((RANDOM % 10))
	code=$(join_killed $after)
	[ "$code" -eq 137 ] || ktap_comment "$(vm_exec new 'cat /run/join.log')"
	ktap_comment "killed, $n, after $after MiB: exit status $code; there: $(vm_exec new \
		'blkcast meta dump data 2> /dev/null | grep "^of regions"')"
done
check "the same again" vm_exec new "$command --rate 8M"
summary=$(vm_exec new 'cat /run/join.json')
sent=$(json content_bytes <<< "$summary")
ktap_comment "$sent bytes of $((mib << 20)) came in the end, from $(json source <<< "$summary")"
check "what had come before was not sent again" [ "$sent" -lt $((mib << 20)) ]
is "from the replica" "$(json source <<< "$summary")" mid
during=$(rate)

# ---- what it costs ----

begin
wait_until 120 written 1000
after=$(rate)
ktap_comment "the primary took $before writes a second before, $during meanwhile, $after after it"
check "the writers went on" [ "$during" -gt $((before / 20)) ]
vm_exec old 'kill -INT $(cat /run/writer); while kill -0 $(cat /run/writer) 2> /dev/null; do sleep 0.1; done'
check "all are in sync" wait_until 120 in_sync
is "the contents are equal" "$(content new)" "$(content old)"
copied=$(field old 'link["new"]["resync_bytes"]')
ktap_comment "$copied bytes of regions came from the primary"
check "no more than what was written meanwhile" [ "$copied" -le $((area << 20)) ]
is "consistent" "$(field new 'v["inconsistent"]')" False
ktap_done
