#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Links are encrypted, by the kernels' TLS, unless both ends are told otherwise.
#
#	g1 (primary) ---- LAN ---- g2, which listens to its own network card
#
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/hosts.sh
. "$(dirname "$0")/../lib/hosts.sh"

SECRET='This must not be read by strangers.'

connect() { vm_exec g1 "blkcast connect data --peer g2 --address g2 $*"; }
in_sync() { field_is g1 "link['g2']['state'], link['g2']['lag_writes']" 'in-sync 0'; }
equal() { is "$1" "$(content g1)" "$(content g2)"; }
# What the kernel says of the link's sockets.
sockets() { vm_exec "$1" "ss -tinOH state established '( sport = :7790 or dport = :7790 )'"; }
# Some versions of ss have no name for ChaCha20-Poly1305, and say nothing.
cipher=' cipher: (unknown\(54\)|chacha20-poly1305)'
tls="tcp-ulp-tls version: 1\\.3($cipher)? rxconf: sw txconf: sw"
encrypts() { like "$1: TLS 1.3 in both directions" "$(sockets "$1")" "$tls"; }

# Everything that comes in by eth0, in the clear as on the cable.
listen_start() {
	vm_exec g2 'rm -f /tmp/heard
		setsid python3 -Ic "
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind((\"eth0\", 0))
s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)	# SO_RCVBUFFORCE
with open(\"/tmp/heard\", \"wb\", 0) as out:
    while True:
        out.write(s.recv(65536))" > /dev/null 2>&1 &
		echo $! > /tmp/listener
		until [ -e /tmp/heard ]; do sleep 0.1; done'
}
# How many lines of what was written were heard.
heard() {
	listen_start
	vm_exec g1 "yes '$SECRET' | dd of=/dev/blkcast/data bs=64k count=16 iflag=fullblock \
		oflag=direct conv=fsync status=none"
	wait_until 60 in_sync
	vm_exec g2 "kill \$(cat /tmp/listener); grep -aoc '$SECRET' /tmp/heard"
}

lab_start
vm_add g1 -d 32M
vm_add g2 -d 32M
vm_start g1 g2
hosts_key
host_start g1
host_start g2
volume_create g1
volume_create g2
vm_exec g1 'blkcast primary data && blkcast set data --ack disk'

# ---- TLS, which nobody has to ask for ----

check "connects" connect
check "in sync" wait_until 60 in_sync
is "the primary says that it is encrypted" "$(field g1 "link['g2']['tls']")" True
is "so does the replica" "$(field g2 "link['g1']['tls']")" True
for host in g1 g2; do
	is "$host: one connection" "$(sockets $host | wc -l)" 1
	encrypts $host
done
is "what is written is not on the cable" "$(heard)" 0
equal "but on the replica"

# All kinds of traffic both ways: writes, flushes, hashes, regions, reconnection.
vm_exec g1 'fio --name=w --filename=/dev/blkcast/data --rw=randwrite --direct=1 \
	--ioengine=libaio --iodepth=8 --bssplit=512/20:4k/60:256k/20 --norandommap \
	--fsync=20 --io_size=16m > /dev/null'
check "compared by hash" vm_exec g1 'blkcast verify data'
vm_exec g1 'blkcast disconnect data --peer g2 &&
	dd if=/dev/urandom of=/dev/blkcast/data bs=64k count=64 oflag=direct status=none'
check "connects again" connect
check "in sync again" wait_until 60 in_sync
equal "caught up"

# ---- in the clear, only if both ends say so ----

vm_exec g1 'blkcast disconnect data --peer g2'
refuses "the other end does not take it" 'g2 takes links by TLS only' connect --plain
vm_exec g2 'printf "[daemon]\nplain = yes\n" > /etc/blkcast/blkcast.conf'
daemon_stop g2
daemon_start g2
check "it does when it is told to" connect --plain
check "in sync in the clear" wait_until 60 in_sync
is "the primary says that it is not encrypted" "$(field g1 "link['g2']['tls']")" False
is "so do the kernels" "$(for host in g1 g2; do sockets $host; done | grep -c ulp-tls)" 0
like "so does the table" "$(vm_exec g2 'blkcast status data')" 'g1 .* plain'
like "what is written is on the cable" "$(heard)" '^[1-9]'
vm_exec g1 'blkcast disconnect data --peer g2'
check "TLS is taken there too" connect
is "and used" "$(field g1 "link['g2']['tls']")" True
encrypts g1
encrypts g2

# ---- strangers ----

# Each is gone from the listener within its time, and none has any effect.
strangers() {
	vm_exec g1 'for _ in 1 2 3 4 5 6 7 8; do
			{ printf "\x16\x03\x01"; head -c 3000 /dev/urandom; } > /dev/tcp/g2/7790
		done
		exec 3<> /dev/tcp/g2/7790
		printf "\x16\x03\x01\x02\x00" >&3
		timeout 30 cat <&3 > /dev/null'
}
check "half a handshake is ended by the other side" strangers
is "the link has not noticed" "$(field g1 "link['g2']['state'], link['g2']['tls']")" \
	'in-sync True'
equal "all is there"
ktap_done
