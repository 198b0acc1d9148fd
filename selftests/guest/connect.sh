#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Daemons find each other and stay together: connect, disconnect, change of
# roles, a daemon that is restarted, a host that crashes and returns.
#
#   g1 ---- LAN ---- g2
#
# Their memory is watched, and that of all commands: see lab.sh.
#
# kernels: both
# shellcheck disable=SC2016 # for the guest's shell

# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/hosts.sh
. "$(dirname "$0")/../lib/hosts.sh"

write_some() {	# GUEST
	vm_exec "$1" 'dd if=/dev/urandom of=/dev/blkcast/data bs=64k count=40 \
		seek=$((RANDOM % 200)) oflag=direct conv=fsync status=none'
}

same() { is "$1" "$(content g1)" "$(content g2)"; }
in_sync() {	# PRIMARY REPLICA
	field_is "$1" "link['$2']['state'], link['$2']['lag_writes']" 'in-sync 0'
}

export BLKCAST_TOOLS=${BLKCAST_TOOLS-asan}
lab_start
vm_add g1 -d 64M
vm_add g2 -d 64M
vm_start g1 g2
hosts_key
host_start g1
host_start g2

# ---- a copy on g2 ----

volume_create g1 --ack disk
volume_create g2
check "primary" vm_exec g1 'blkcast primary data'
check "connect waits for the link" vm_exec g1 'blkcast connect data --peer g2 --address g2'
like "status shows it at once" "$(vm_exec g1 'blkcast status')" \
	'^  g2 +(comparing|resync|joining|in-sync)'
check "in sync" wait_until 60 in_sync g1 g2
write_some g1
same "what is written is on the replica"
like "the replica says whom it follows" "$(vm_exec g2 'blkcast status')" \
	'^  g1 +in-sync +follows it'
refuses "the replica takes no writes" 'ermitted|ead-only' \
	vm_exec g2 'dd if=/dev/zero of=/dev/blkcast/data bs=4k count=1 oflag=direct'

# ---- daemons come and go, links stay ----

id=$(field g1 'link["g2"]["id"]')
daemon_stop g1
daemon_stop g2
write_some g1
same "without daemons writes still arrive"
like "status without a daemon" "$(vm_exec g1 'blkcast status')" '^  g2 +in-sync'
daemon_start g1
daemon_start g2
sleep 1
is "restarted daemons leave the link alone" "$(field g1 'link["g2"]["id"]')" "$id"

# ---- disconnect, change, connect again ----

check "disconnect" vm_exec g1 'blkcast disconnect data --peer g2'
is "no link is left" "$(field g1 'v["links"]')" '[]'
check "nor on the replica" wait_until 60 field_is g2 'v["links"]' '[]'
refuses "twice is once too often" 'no peer g2' \
	vm_exec g1 'blkcast disconnect data --peer g2'
write_some g1
vm_exec g1 'blkcast connect data --peer g2 --address g2 --async --timeout 3000'
check "connected again" wait_until 60 in_sync g1 g2
is "asynchronous this time" "$(field g1 'link["g2"]["async"]')" True
check "and now not" vm_exec g1 'blkcast connect data --peer g2 --address g2 --timeout 3000'
check "in sync" wait_until 60 in_sync g1 g2
is "synchronous" "$(field g1 'link["g2"]["async"]')" False
same "what was missed is there"

# ---- the way between them breaks ----

vm_lan cut g1 g2
check "silence breaks the link" wait_until 60 field_is g1 'link["g2"]["state"]' down
like "status says why" "$(vm_exec g1 'blkcast status')" \
	'^  g2 +down .*g2:7790: .*(went down|cannot connect|no answer)'
write_some g1
vm_lan heal g1 g2
check "the daemon makes it again" wait_until 30 in_sync g1 g2
same "what was missed is there"

# ---- the replica's host crashes and returns ----

vm_crash g2
write_some g1
vm_start g2
host_start g2
vm_exec g2 "mkdir -p /etc/blkcast/volumes.d
	printf '[volume]\nbacking = /dev/vda\nuuid = $volume_uuid\n' \
		> /etc/blkcast/volumes.d/data.conf"
check "up --all" vm_exec g2 'blkcast up --all'
check "the primary comes by itself" wait_until 60 in_sync g1 g2
same "equal again"

# ---- the roles change ----

refuses "a replica does not become primary unasked" \
	'was in sync when the primary told last: nothing that was acknowledged is lost' vm_exec g2 'blkcast primary data'
check "the link has not suffered" in_sync g1 g2
like "g1 hands over" "$(vm_exec g1 'blkcast replica data')" 'handed over to g2'
refuses "and has no right any more" 'handed over to the copy' vm_exec g1 'blkcast primary data'
check "g2 takes it up" vm_exec g2 'blkcast primary data'
check "and connects g1" vm_exec g2 'blkcast connect data --peer g1 --address g1'
check "in sync" wait_until 60 in_sync g2 g1
write_some g2
same "what is written there is here"
check "down, a link and all" vm_exec g1 'blkcast down data'
is "no device is left" "$(vm_exec g1 'ls /dev/blkcast')" ""
check "status says who is missing" wait_until 60 \
	field_is g2 '"not up on g1" in link["g1"].get("reason", "")' True
check "up again" vm_exec g1 'blkcast up data'
check "and linked by itself" wait_until 60 in_sync g2 g1
vm_exec g1 'blkcast down data'
vm_exec g2 'blkcast down data'
check "the module goes" vm_exec g1 'rmmod blkcast'
ktap_done
