#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The key of all hosts changes and links are made anew, under a writer whose every
# write needs both copies and fails if one is missing: none fails, nobody leaves the
# in-sync set, a host with a wrong key keeps the link it has.
#
#	writer -> g1 (primary, min-isr 2, on-loss error) ---- LAN ---- g2
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

io=/blkcast/selftests/guest/managed_io.py

in_sync() { field_is g1 "link['g2']['state']" in-sync; }
link_id() { field g1 "link['g2']['id']"; }
policy() { field g1 "v['min_isr'], v['on_loss']"; }
written() { vm_exec g1 'wc -l < /tmp/log'; }
goes_on() { [ "$(written)" -gt "$1" ]; }
# All that the writer can have written by now.
content_so_far() {
	vm_exec "$1" "dd if=/dev/blkcast/data bs=1M count=$(($(written) / 256 + 2)) \
		iflag=direct status=none | md5sum"
}
members() { vm_exec g1 'grep -c in-sync-set /tmp/events'; }

# keys STEP: on one host, then the file to all, whose daemons read it
keys() {
	vm_exec g1 "blkcast genkey $1 && cp /etc/blkcast/key /lab/key" || return
	for host in g1 g2; do
		vm_exec "$host" 'install -m 600 /lab/key /etc/blkcast/key
			kill -HUP $(cat /run/blkcast/blkcastd.pid)'
	done
}

# renewed NAME: by another connection, while the writer writes
renewed() {
	local id
	id=$(link_id)
	check "$1" vm_exec g1 'blkcast reconnect data'
	check "... by another connection" [ "$(link_id)" != "$id" ]
	is "... in sync" "$(field g1 "link['g2']['state'], link['g2']['tls']")" 'in-sync True'
	is "... the policy is what it was" "$(policy)" '2 error'
	check "... writes go on" wait_until 60 goes_on "$(written)"
}

lab_start
# More than the writer writes.
vm_add g1 -d 1G
vm_add g2 -d 1G
vm_start g1 g2
hosts_key
host_start g1
host_start g2
volume_create g1
volume_create g2
vm_exec g1 'blkcast primary data && blkcast connect data --peer g2 --address g2'
check "in sync" wait_until 60 in_sync
vm_exec g1 'blkcast set data --ack disk --min-isr 2 --on-loss error'
check "and in the set" wait_until 60 field_is g1 "v['in_sync_copies']" 2
vm_exec g1 "blkcast events data > /tmp/events 2>&1 & echo \$! > /tmp/events.pid; disown
	python3 -I $io write /dev/blkcast/data /tmp/log 0 260000 > /tmp/writer 2>&1 & disown
	until [ -s /tmp/log ]; do sleep 0.1; done"

check "the next key is taken, too" keys --next
is "which changes no link" "$(field g1 "link['g2']['state']")" in-sync
check "the next key is used" keys --use-next
renewed "the link is made anew by the next key"
check "the old key is dropped" keys --drop-old
renewed "and again, without the old one"

# ---- a host that was forgotten ----

id=$(link_id)
vm_exec g1 'cp /etc/blkcast/key /tmp/right && blkcast genkey --force'
refuses "a wrong key is no reason to lose the link" 'link to g2: wrong key' \
	vm_exec g1 'blkcast reconnect data'
is "it is the same one" "$(link_id) $(field g1 "link['g2']['state']") $(policy)" "$id in-sync 2 error"
check "... writes go on" wait_until 60 goes_on "$(written)"
vm_exec g1 'cp /tmp/right /etc/blkcast/key'

# ---- what the writer saw ----

check "no write has failed so far" vm_exec g1 '! grep -v " ok$" /tmp/log'
is "nobody has left the in-sync set" "$(members)" 0
vm_exec g1 'pkill -f managed_io.py; while pgrep -f managed_io.py > /dev/null; do sleep 0.1; done'
vm_exec g1 'sort -k 3n /tmp/log | awk "{ if (NR > 1 && \$3 - last > max) max = \$3 - last
	last = \$3 } END { print \"# \" NR \" writes, longest pause \" max \" s\" }"'
check "all that was acknowledged is there" vm_exec g1 \
	"python3 -I $io has /dev/blkcast/data /tmp/log"
check "in sync at the end" wait_until 60 field_is g1 \
	"link['g2']['state'], link['g2']['lag_writes']" 'in-sync 0'
is "equal" "$(content_so_far g1)" "$(content_so_far g2)"

# ---- a daemon that ended in the middle ----

daemon_stop g1
vm_exec g1 'blkcast set data --on-loss suspend
	sed -i "s/^min-isr.*/min-isr = 1/" /etc/blkcast/volumes.d/data.conf
	echo "on-loss = error" > /tmp/line
	sed -i "/^min-isr/r /tmp/line" /etc/blkcast/volumes.d/data.conf
	printf data > /run/blkcast/renewing'
is "it had writers wait" "$(policy)" '2 suspend'
daemon_start g1
is "the next one gives them the policy they are to have" "$(policy)" '1 error'
check "and forgets about it" vm_exec g1 '[ ! -e /run/blkcast/renewing ]'
ktap_done
