#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What must not become a link does not: each refusal is a clear sentence on the
# host that asked, stands in the log of both, and changes nothing.
#
#   g1 (primary) ---- LAN ---- g2 (replica)
#
# kernels: both
# shellcheck disable=SC2016 # for the guest's shell

# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/hosts.sh
. "$(dirname "$0")/../lib/hosts.sh"

connect() { vm_exec g1 'blkcast connect data --peer g2 --address g2 --wait 3'; }
config() { vm_exec g1 'md5sum /etc/blkcast/volumes.d/data.conf'; }

# refused NAME REGEX: connect says so, g2 logs it, nothing is changed
refused() {
	local before
	before=$(config)
	vm_exec g2 ': > /run/blkcastd.log'
	refuses "$1" "$2" connect
	like "$1: the other host's log says so" "$(vm_exec g2 'cat /run/blkcastd.log')" "$2"
	is "$1: the configuration is as it was" "$(config)" "$before"
	is "$1: no link" "$(field g1 'v["links"]') $(field g2 'v["links"]')" '[] []'
}

lab_start
vm_add g1 -d 64M -d 32M
vm_add g2 -d 64M -d 32M
vm_start g1 g2
hosts_key

# ---- the daemon's own conditions ----

vm_exec g1 'mkdir -p /etc/blkcast'
refuses "no key" 'no key at /etc/blkcast/key' vm_exec g1 blkcastd
vm_exec g1 'install -m 644 /lab/key /etc/blkcast/key'
refuses "a key others can read" 'accessible to others .*chmod 600' vm_exec g1 blkcastd
vm_exec g1 'chmod 600 /etc/blkcast/key'
refuses "no module" 'the blkcast module is not loaded: modprobe blkcast' vm_exec g1 blkcastd
vm_load g1
vm_exec g1 'printf "[daemon]\nlisten = nowhere:x\n" > /etc/blkcast/blkcast.conf'
refuses "a configuration with an error" 'blkcast.conf:2: ' vm_exec g1 blkcastd
vm_exec g1 'rm /etc/blkcast/blkcast.conf'
refuses "wrong usage" 'Usage' vm_exec g1 'blkcastd something'
refuses "connect without a daemon" 'blkcastd is not running' vm_exec g1 \
	'blkcast create data --device /dev/vda > /dev/null && blkcast up data && blkcast primary data &&
	 blkcast connect data --peer g2 --address g2'
vm_exec g1 'blkcast disconnect data --peer g2; blkcast down data; blkcast destroy data --force'
daemon_start g1
refuses "two daemons at once" 'another blkcastd runs already \(pid [0-9]+' vm_exec g1 blkcastd
check "the first one is not disturbed" vm_exec g1 'blkcast status'

# ---- the other host ----

volume_create g1
vm_exec g1 'blkcast primary data'
refuses "nobody there" 'g2 at g2: cannot connect: Connection refused' connect
vm_exec g1 'blkcast disconnect data --peer g2'
refuses "no such host" 'cannot find the address' vm_exec g1 \
	'blkcast connect data --peer g2 --address no-such-host --wait 3'
vm_exec g1 'blkcast disconnect data --peer g2'
host_start g2
refuses "not up there" 'volume data is not up on g2' connect
vm_exec g1 'blkcast disconnect data --peer g2'

volume_create g2
vm_exec g2 'blkcast down data && blkcast destroy data --force &&
	blkcast create data --device /dev/vda > /dev/null && blkcast up data'
refused "wrong volume" "wrong volume: data on g1 has the uuid $volume_uuid"

vm_exec g2 "blkcast down data && blkcast destroy data --force &&
	blkcast create data --device /dev/vdb --uuid $volume_uuid > /dev/null &&
	blkcast up data"
# Not for good: it follows once it is enlarged.
refuses "smaller device" "have room for [0-9]+ bytes, the volume on g1 has $volume_bytes: enlarge them on g2" \
	connect
vm_exec g1 'blkcast disconnect data --peer g2'

vm_exec g2 "blkcast down data && blkcast destroy data --force &&
	blkcast create data --device /dev/vda --uuid $volume_uuid --size $volume_bytes \
		--region-size 128K > /dev/null && blkcast up data"
refused "other regions" 'regions of 128 KiB, on g1 of 64 KiB'

vm_exec g2 "blkcast down data && blkcast destroy data --force"
volume_create g2
vm_exec g2 'blkcast genkey --force'
daemon_stop g2
daemon_start g2
refused "wrong key" 'wrong key: g[12] and (g2|the peer) do not have the same key'
vm_exec g2 'install -m 600 /lab/key /etc/blkcast/key'
daemon_stop g2
daemon_start g2

# ---- two reigns of one term ----

vm_exec g2 'blkcast primary data --force --yes && blkcast replica data'
refused "split brain" 'split brain: term 1 of data was reigned twice'
vm_exec g2 'for _ in 1 2 3; do blkcast primary data; blkcast replica data; done
	blkcast down data && blkcast destroy data --force'
volume_create g2

# ---- strangers at the door ----

# A host that keeps all connections that it gets, and asks for more: g1 by another address.
flood_start() {
	vm_exec g1 'ip address add 10.77.0.99/24 dev eth0
		setsid python3 -Ic "
import select, socket, time
door, held, poll = (socket.gethostbyname(\"g2\"), 7790), {}, select.epoll()
while True:
    for _ in range(min(10, 300 - len(held))):
        s = socket.socket()
        s.setblocking(False)
        s.bind((\"10.77.0.99\", 0))
        s.connect_ex(door)
        held[s.fileno()] = s
        poll.register(s, select.EPOLLIN)
    for fd, _ in poll.poll(0):
        poll.unregister(fd)
        held.pop(fd).close()
    time.sleep(0.05)" < /dev/null > /dev/null 2>&1 &
		echo $! > /tmp/flood'
}
# The daemon has all hands full.
flooded() {
	[ "$(vm_exec g2 "ss -tnH state established '( sport = :7790 and dst = 10.77.0.99 )'" |
		wc -l)" -ge 60 ]
}

vm_exec g1 'for _ in $(seq 20); do
		head -c $((RANDOM % 3000)) /dev/urandom > /dev/tcp/g2/7790
		printf "\0\0\0\0" > /dev/tcp/g2/7790
		printf "\20\0\0\0{\"type\":\"hello\"" > /dev/tcp/g2/7790
		head -c 100000 /dev/zero > /dev/tcp/g2/7790
	done 2> /dev/null' > /dev/null
check "noise: the daemon lives" vm_exec g2 'blkcast status'
flood_start
check "another host holds all connections that there can be" wait_until 60 flooded
check "and links come about all the same" wait_until 60 connect
check "while it holds them" wait_until 60 flooded
check "in sync" wait_until 60 field_is g1 'link["g2"]["state"]' in-sync
vm_exec g1 'kill "$(cat /tmp/flood)"; ip address del 10.77.0.99/24 dev eth0'

# ---- configuration that is wrong while the daemon runs ----

vm_exec g1 'echo "colour = red" >> /etc/blkcast/volumes.d/data.conf
	kill -HUP "$(cat /run/blkcast/blkcastd.pid)"; sleep 1'
like "a wrong file: the log names file and line" "$(vm_exec g1 'cat /run/blkcastd.log')" \
	"data.conf:[0-9]+: unknown key 'colour'.*the old configuration stays"
is "and the link stays" "$(field g2 'link["g1"]["state"]')" in-sync
refuses "status says so" "data.conf:[0-9]+: unknown key 'colour'" vm_exec g1 'blkcast status'
like "and shows what is up all the same" "$(vm_exec g1 'blkcast status 2> /dev/null || true')" \
	'data +primary'
# A host that starts: the other volumes have no part in it.
vm_exec g1 'blkcast create other --device /dev/vdb > /dev/null'
daemon_stop g1
daemon_start g1
like "a daemon that starts leaves that volume out" "$(vm_exec g1 'cat /run/blkcastd.log')" \
	"unknown key 'colour'.*no links for a volume whose file is wrong"
refuses "so does up --all" "unknown key 'colour'" vm_exec g1 'blkcast up --all'
like "the other volume comes up" "$(vm_exec g1 'blkcast status other 2> /dev/null || true')" \
	'other +replica'
ktap_done
