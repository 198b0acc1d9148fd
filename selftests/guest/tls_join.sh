#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# blkcast join where hosts have certificates and no key: the right ones are let in and
# get the content, from the replica; whoever has none that is taken is told nothing and
# sent nothing, nor does anybody join by one that is not who it should be.
#
#	authority ---- g1 (primary) ---- LAN ---- g2 (replica)
#	                                  |
#	                                 g3 (new)
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
# shellcheck source=selftests/lib/certs.sh
. "$(dirname "$0")/../lib/certs.sh"

join() { vm_exec "$1" "blkcast join data --device /dev/vda --from ${2:-g1} --json --quiet"; }
said() { python3 -Ic 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
in_sync() { field_is g1 "link['$1']['state'], link['$1']['lag_writes']" 'in-sync 0'; }
allow() {	# GUEST NODES
	vm_exec "$1" "sed -i '/^allow/d; /^\[volume\]/a allow = $2' \
		/etc/blkcast/volumes.d/data.conf && python3 -Ic '
import socket
s = socket.socket(socket.AF_UNIX)
s.connect(\"/run/blkcast/control\")
s.send(b\"{\\\"request\\\": \\\"reload\\\"}\\n\")
s.recv(99)'"
}
put() {	# MIB SEEK
	vm_exec g1 "dd if=/dev/urandom of=/dev/blkcast/data bs=1M count=$1 seek=$2 \
		oflag=direct status=none"
}
equal() { is "$1" "$(content "$2")" "$(content g1)"; }

# joins NAME GUEST SOURCE: it gets in sync, with the source's content
joins() {
	local summary
	summary=$(join "$2")
	is "$1" $? 0
	is "... with the content of $3" "$(said source <<< "$summary")" "$3"
	check "... in sync" wait_until 60 in_sync "$2"
	is "... by links that are encrypted" "$(field g1 "link['$2']['tls']")" True
	equal "... and equal" "$2"
}

# stranger NAME REGEX [FROM]: g3 gets nothing, and nobody keeps a copy there
stranger() {
	refuses "$1" "$2" join g3 "${3:-}"
	is "... nothing is here" "$(vm_exec g3 'blkcast status;
		dd if=/dev/vda bs=1M skip=68 status=none | tr -d "\0" | wc -c')" \
		"$(printf "No volumes here; 'blkcast create' makes one.\n0")"
	is "... and no link to it there" "$(field g1 "[*link]")" "['g2']"
}

lab_start
for host in g1 g2 g3; do
	vm_add $host -d 72M
done
vm_start g1 g2 g3
authority ca 70 || exit 1
authority other 70 || exit 1
for host in g1 g2 g3; do
	certificate $host $host 50 ca || exit 1
	vm_load $host
	vm_exec $host 'mkdir -p /etc/blkcast'
	use $host $host
	daemon_start $host
done
certificate unknown g3 50 other || exit 1
certificate stolen g9 50 ca || exit 1
vm_exec g1 'blkcast create data --device /dev/vda --size 64M > /dev/null && blkcast up data &&
	blkcast primary data'
put 20 3

joins "the first replica joins" g2 g1

# ---- those that are not let in ----

use g3 unknown
stranger "one by an unknown authority" 'the certificate of g3 is not by an authority that is known'
use g3 stolen
stranger "that of another host" 'the certificate of g3 is for g9, not for this node'
vm_exec g3 'rm /etc/blkcast/blkcast.conf && blkcast genkey'
stranger "a key" 'wrong key: .* takes certificates only'
vm_exec g3 'rm /etc/blkcast/key'
allow g1 g2
use g3 g3
stranger "a good one, to a volume that is for others" 'volume data on g1 is not for g3'

# ---- whom it does not trust ----

allow g1 'g2 g3'
use g3 g3 other
stranger "who is asked is by an unknown authority" \
	'the certificate of g1 is not by an authority that is known'
use g3 g3
stranger "who is asked is not who it should be" \
	'the certificate of the host at 10.77.0.1 is for g1, not for 10.77.0.1' 10.77.0.1

# ---- that is let in ----

# The replica's content: the primary has its address, which is not in its certificate.
joins "the right one joins, with nothing restarted" g3 g2
put 8 30
check "... it follows" wait_until 60 in_sync g3
equal "... and is equal again" g3
equal "... as is the first" g2
ktap_done
