#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a host that joins is sent is of one moment, though the volume is written to all
# the time: when its primary is lost before it has caught up, there is a copy that is
# whole. Where there can be no view, or when it breaks, it is sent all the same, and is
# inconsistent until it has caught up.
#
#	old (primary, being written to) ---- LAN ---- mid (replica)
#	                                      |
#	                                     new
#
# kernels: both
# set: all
# timeout: 1200
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/hosts.sh
. "$(dirname "$0")/../lib/hosts.sh"

mib=96
moments=/blkcast/selftests/guest/moments.py

json() { python3 -Ic 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
writer() {
	vm_exec old "$moments write /dev/blkcast/data $1 > /run/writer.log 2>&1 &
		echo \$! > /run/writer; disown"
}
stop_writer() {
	vm_exec old 'kill $(cat /run/writer) && while kill -0 $(cat /run/writer) 2> /dev/null; do
		sleep 0.1; done; cat /run/writer.log'
}
in_sync() {
	field_is old "all(link[n]['state'] == 'in-sync' and link[n]['lag_writes'] == 0
		for n in '$*'.split())" True
}
filled() { vm_exec new "[ \"\$(dd if=/dev/vda bs=1M skip=$1 count=1 iflag=direct status=none |
	tr -d '\\0' | head -c 1 | wc -c)\" -gt 0 ]"; }
written() { [ "$(field old 'v["writes"]')" -gt $((writes + $1)) ]; }
join() {	# join RATE: in the background
	vm_exec new "rm -f /run/join.*; { blkcast join data --from old --device /dev/vda --rate $1 \
		--json > /run/join.json 2> /run/join.log; echo \$? > /run/join.exit; } & disown"
}
joined() { vm_exec new '[ -e /run/join.exit ]'; }
is_up() { field_is new 'v["role"]' replica; }
# New has no copy any more, and no content.
clean() {
	vm_exec old 'blkcast disconnect data --peer new --forget > /dev/null' &&
		vm_exec new "dd if=/dev/zero of=/dev/vda bs=1M count=$((mib + 8)) oflag=direct status=none" ||
		exit 1
}

lab_start
for host in old mid new; do
	vm_add $host -d $((mib + 8))M || exit 1
done
hosts_key > /dev/null || exit 1
for host in old mid new; do
	vm_start $host && host_start $host || exit 1
done
volume_create old --size ${mib}M && vm_exec old 'blkcast primary data' || exit 1
vm_exec old "$moments fill /dev/blkcast/data" || exit 1
check "the first replica joins" vm_exec mid 'blkcast join data --from old --device /dev/vda --quiet'

# ---- the primary is lost while the copy is filled ----

writes=$(field old 'v["writes"]')
writer 15
wait_until 60 written 40 || exit 1
first=$(vm_exec old "$moments newest /dev/blkcast/data")
join 4M
check "content arrives" wait_until 120 filled 20
vm_lan cut old new
check "the copy comes up" wait_until 240 is_up
stop_writer
check "the join ends" wait_until 120 joined
is "it has not found the primary" "$(vm_exec new 'cat /run/join.exit')" 1
ktap_comment "$(vm_exec new 'cat /run/join.log')"
is "the copy is consistent" "$(field new 'v["inconsistent"]')" False
moment=$(vm_exec new "$moments check /dev/blkcast/data")
is "it is of one moment" $? 0
last=$(vm_exec old "$moments check /dev/blkcast/data")
ktap_comment "the copy is as of write $moment, of $first .. $last"
check "of one that passed while it was made" [ "$first" -le "$moment" ]
check "before the last" [ "$moment" -lt "$last" ]

# ---- it is back: only what has been written since is sent ----

vm_lan heal old new
join 4M
check "the join goes on" wait_until 120 joined
is "well" "$(vm_exec new 'cat /run/join.exit; cat /run/join.log')" 0
is "nothing was fetched" "$(vm_exec new 'cat /run/join.json' | json content_bytes)" 0
check "in sync" wait_until 60 in_sync mid new
is "the contents are equal" "$(content new)" "$(content old)"
since=$(vm_exec old "$moments regions /dev/blkcast/data $moment $last")
copied=$(field old 'link["new"]["resync_bytes"]')
ktap_comment "$copied bytes were sent to catch up, in $since regions of 64 KiB something had changed"
check "no more than was written since" [ "$copied" -le $((since << 16)) ]

# ---- there can be no view ----

clean
vm_exec mid 'for i in 1 2 3 4 5 6 7 8; do blkcast view create data v$i --store memory:1M || exit; done' || exit 1
writer 40
join 16M
check "sent without a view" wait_until 240 joined
is "well" "$(vm_exec new 'cat /run/join.exit; cat /run/join.log')" 0
is "of no one moment" "$(vm_exec new 'cat /run/join.json' | json fuzzy)" True
like "the sender says why" "$(vm_exec mid 'cat /run/blkcastd.log')" 'at most 8 views; read without a view'
stop_writer
check "in sync" wait_until 60 in_sync mid new
is "the contents are equal" "$(content new)" "$(content old)"
check "and of one moment" vm_exec new "$moments check /dev/blkcast/data"
is "consistent" "$(field new 'v["inconsistent"]')" False
vm_exec mid 'for i in 1 2 3 4 5 6 7 8; do blkcast view remove data v$i || exit; done' || exit 1

# ---- the view breaks ----

clean
vm_exec mid 'printf "[daemon]\nsend-store = memory:2M\n" > /etc/blkcast/blkcast.conf &&
	kill -HUP $(cat /run/blkcast/blkcastd.pid)' || exit 1
join 2M
check "content arrives" wait_until 120 filled 2
check "more is overwritten than the view may keep" vm_exec old 'dd if=/dev/urandom \
	of=/dev/blkcast/data bs=1M count=8 seek=86 oflag=direct conv=notrunc status=none'
check "the join goes on" wait_until 240 joined
is "well" "$(vm_exec new 'cat /run/join.exit; cat /run/join.log')" 0
like "its view has broken" "$(vm_exec mid 'cat /run/blkcastd.log')" 'its store is full; read on without it'
is "of no one moment" "$(vm_exec new 'cat /run/join.json' | json fuzzy)" True
check "in sync" wait_until 60 in_sync mid new
is "the contents are equal" "$(content new)" "$(content old)"
is "consistent" "$(field new 'v["inconsistent"]')" False
ktap_done
