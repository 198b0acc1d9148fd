#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A primary whose host dies has writes that nobody else has. It returns after
# another host has begun a reign: it does not follow unasked, and once told to it
# becomes equal to the new primary.
#
#   g1 (primary, loses power) ---- LAN ---- g2 (replica, then primary)
#
# kernels: both
# shellcheck disable=SC2016 # for the guest's shell

# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/hosts.sh
. "$(dirname "$0")/../lib/hosts.sh"

write_at() {	# GUEST BLOCK: 64 KiB of chance
	vm_exec "$1" "dd if=/dev/urandom of=/dev/blkcast/data bs=64k count=8 seek=$2 \
		oflag=direct conv=fsync,notrunc status=none"
}

in_sync() { field_is "$1" "link['$2']['state'], link['$2']['lag_writes']" 'in-sync 0'; }

lab_start
vm_add g1 -d 32M
vm_add g2 -d 32M
vm_start g1 g2
hosts_key
host_start g1
host_start g2
volume_create g1
volume_create g2
vm_exec g1 'blkcast primary data && blkcast connect data --peer g2 --address g2'
check "in sync" wait_until 20 in_sync g1 g2
write_at g1 0
check "equal" wait_until 20 in_sync g1 g2

vm_lan cut g1 g2
write_at g1 16
write_at g1 100
vm_power_cut g1
vm_lan heal g1 g2
check "g2 takes over" wait_until 20 vm_exec g2 'blkcast primary data'
write_at g2 50
write_at g2 100

vm_start g1
host_start g1
check "g1 is back" vm_exec g1 "mkdir -p /etc/blkcast/volumes.d
	printf '[volume]\nbacking = /dev/vda\n' > /etc/blkcast/volumes.d/data.conf
	blkcast up data"
refuses "it does not follow unasked" 'g1 went down as primary of data \(term 1\)' \
	vm_exec g2 'blkcast connect data --peer g1 --address g1 --wait 5'
is "no link" "$(field g1 'v["links"]')" '[]'
check "told to" vm_exec g1 'blkcast down data && blkcast up data --yield'
check "it follows" vm_exec g2 'blkcast connect data --peer g1 --address g1'
check "in sync" wait_until 60 in_sync g2 g1
is "equal to the new primary" "$(content g1)" "$(content g2)"

# ---- garbage for the control socket ----

answers=$(vm_exec g2 'python3 -Ic "
import socket
def ask(data):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(5)
    s.connect(\"/run/blkcast/control\")
    s.sendall(data)
    try:
        s.shutdown(socket.SHUT_WR)
        return s.recv(65536).decode()
    except OSError as e:
        return str(e)
for data in (b\"\n\", b\"{}\n\", b\"[1]\n\", b\"{\\\"request\\\": 5}\n\",
             b\"{\\\"request\\\": \\\"hold\\\"}\n\", b\"{\\\"request\\\": \\\"wait-link\\\"}\n\",
             b\"\\xff\\x00\n\", b\"x\" * 10000, b\"{\\\"request\\\": \\\"status\\\"}\" * 3):
    print(repr(ask(data)))
"')
ktap_comment "$answers"
is "each whole line that is no request is told so" \
	"$(grep -c '"error":' <<< "$answers")" 7
check "the daemon lives" vm_exec g2 'blkcast status'
check "and its link" in_sync g2 g1
ktap_done
