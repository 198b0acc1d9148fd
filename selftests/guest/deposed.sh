#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A primary loses its host, or its link, and another host begins a reign. When it
# comes back it follows by itself if what it has beyond was acknowledged to nobody;
# otherwise it is a split brain, which is refused until the operator has decided,
# either way. What was given up is gone and the copies are equal. Of two primaries
# the one of the older term stops as soon as it hears of the other.
#
#   g1 (primary first) ---- LAN ---- g2 (replica first)
#
# kernels: both
# timeout: 600
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
connect() { vm_exec "$1" "blkcast connect data --peer $2 --address $2 --timeout 60000 $3"; }
members() { field_is "$1" "len(v['in_sync_nodes'])" "$2"; }
equal() { is "$1" "$(content g1)" "$(content g2)"; }
block() { vm_exec "$1" "dd if=/dev/blkcast/data bs=64k skip=$2 count=1 iflag=direct status=none | md5sum"; }

# Its configuration was in memory. The kernel forgets nothing: it asks the disk.
return_host() {	# GUEST
	vm_start "$1" && host_start "$1" && vm_exec "$1" "mkdir -p /etc/blkcast/volumes.d
		printf '[volume]\nbacking = /dev/vda\nack = disk\n' > /etc/blkcast/volumes.d/data.conf
		blkcast up data"
}

lab_start
vm_add g1 -d 32M,keep=100
vm_add g2 -d 32M,keep=100
vm_start g1 g2
hosts_key
host_start g1
host_start g2
volume_create g1 --ack disk
volume_create g2 --ack disk
vm_exec g1 'blkcast primary data' && connect g1 g2
check "in sync" wait_until 60 in_sync g1 g2
check "and recorded to be" wait_until 60 members g1 1
write_at g1 0

# ---- what nobody was told is given up ----

writes=$(field g1 "v['writes']")
vm_lan cut g1 g2
vm_exec g1 'dd if=/dev/urandom of=/dev/blkcast/data bs=64k count=1 seek=20 \
	oflag=direct conv=notrunc status=none > /dev/null 2>&1 &'
check "a write waits for the replica" wait_until 60 field_is g1 "v['writes']" $((writes + 1))
check "and is done here" wait_until 60 vm_exec g1 \
	'! cmp -s -n 65536 -i $((20 * 65536)):0 /dev/vda /dev/zero'
vm_power_cut g1
vm_lan heal g1 g2
refuses "g2 does not take over unasked" 'nothing that was acknowledged is lost' \
	vm_exec g2 'blkcast primary data'
check "g2 takes over" vm_exec g2 'blkcast primary data --force --yes'
write_at g2 50
check "g1 is back" return_host g1
check "it follows" connect g2 g1
check "in sync again" wait_until 60 in_sync g2 g1
equal "what it alone had is gone"
like "the log says how much" "$(vm_exec g1 dmesg)" 'gives up what it alone wrote'

# ---- what somebody was told is not ----

vm_lan cut g1 g2
vm_exec g2 'blkcast disconnect data --peer g1'
check "g2 goes on alone" write_at g2 100
check "and has recorded that" members g2 0
mine=$(block g2 100)
vm_power_cut g2
vm_lan heal g1 g2
check "g1 takes over" vm_exec g1 'blkcast primary data --force --yes'
write_at g1 16
check "g2 is back" return_host g2
refuses "split brain" 'split brain: g2 was primary of data.*discard-mine.*on g2' connect g1 g2 '--wait 5'
is "no link" "$(field g2 'v["links"]')" '[]'
is "nothing was touched" "$(block g2 100)" "$mine"
check "it is told to" vm_exec g2 'blkcast replica data --discard-mine'
check "it follows" connect g1 g2
check "in sync" wait_until 60 in_sync g1 g2
like "one that follows has nothing to give up" \
	"$(vm_exec g2 'blkcast replica data --discard-mine')" 'follows g1 already'
is "and is not told to" "$(field g2 'v["discards_own"]')" False
equal "equal to the new primary"
check "the write is gone" test "$(block g2 100)" != "$mine"

# ---- two primaries, the other way out ----

# What a writer that has the device open is told, and how long that takes.
writer='import os, time
f = os.open("/dev/blkcast/data", os.O_RDWR | os.O_DSYNC)
for n in range(1 << 30):
    begun = time.monotonic()
    try:
        os.pwrite(f, bytes(4096), 4096 * (3600 + n % 64))
    except OSError as e:
        print(e.strerror, f"after {time.monotonic() - begun:.3f} s", flush=True)
        break
    print(n, flush=True)
    time.sleep(.05)
time.sleep(600)'

vm_lan cut g1 g2
vm_exec g1 'blkcast disconnect data --peer g2'
check "g2 becomes primary beside g1" vm_exec g2 'blkcast primary data --force --yes'
check "g1 begins another reign" vm_exec g1 'blkcast replica data && blkcast primary data'
is "the terms are the same" "$(field g1 'v["term"]')" "$(field g2 'v["term"]')"
write_at g1 200
write_at g2 220
vm_lan heal g1 g2
refuses "both are primary" 'both hosts are primary.*discard-mine' connect g1 g2 '--wait 5'
vm_exec g1 'blkcast disconnect data --peer g2'
check "nobody is newer: both go on" write_at g1 208
check "g2 is made primary once more" vm_exec g2 'blkcast replica data && blkcast primary data'
write_at g2 230
mine=$(block g2 220)
vm_exec g1 "python3 -Ic '$writer' > /run/writer 2>&1 & echo \$! > /run/writer.pid; disown"
check "a writer on g1" wait_until 60 vm_exec g1 'grep -q 5 /run/writer'
# The older of the two hears of the newer.
connect g1 g2 '--wait 5' > /dev/null 2>&1
check "its writer is told" wait_until 60 vm_exec g1 'grep "Input/output error after" /run/writer'
like "status says why" "$(vm_exec g1 'blkcast status data')" "DEPOSED: a primary of term $(field g2 'v["term"]')"
refuses "it takes no writers" 'Read-only' vm_exec g1 'dd if=/dev/zero of=/dev/blkcast/data count=1 conv=notrunc'
refuses "nor can it go on" 'was deposed here' vm_exec g1 'blkcast primary data --force --yes'
vm_exec g1 'kill "$(cat /run/writer.pid)"'
check "once its device is closed it is a replica" wait_until 60 vm_exec g1 'blkcast replica data'
refuses "which does not become primary unasked" 'somebody else' vm_exec g1 'blkcast primary data'
refuses "an orderly end does not hide it" \
	"split brain: term [0-9]+ of data was reigned twice.*discard-mine' on g1" connect g2 g1 '--wait 5'
check "g1 gives up" vm_exec g1 'blkcast replica data --discard-mine'
check "g1 follows" connect g2 g1
check "in sync" wait_until 60 in_sync g2 g1
equal "equal to g2"
is "with what g2 wrote" "$(block g1 220)" "$mine"

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
