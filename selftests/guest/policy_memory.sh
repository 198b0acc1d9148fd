#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ack=memory: a write or a flush is done once the replica has received it, however
# long its disk takes. What a replica had only received is gone when it loses power;
# so it is no proof that nothing acknowledged is lost: a primary that comes back
# after such a replica has taken over keeps its writes until the operator decides.
#
#   g1 (primary first) ---- LAN ---- g2, its disk behind a valve
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

VALVE='modprobe dm-mod && echo "0 $(blockdev --getsz /dev/vda) linear /dev/vda 0" |
	dmsetup create valve && dmsetup mknodes'

valve_close() { vm_exec g2 'dmsetup suspend --noflush --nolockfs valve'; }
in_sync() { field_is "$1" "link['$2']['state'], link['$2']['lag_writes']" 'in-sync 0'; }
connect() { vm_exec "$1" "blkcast connect data --peer $2 --address $2 $3"; }
set_ack() { vm_exec g1 "blkcast set data --ack $1"; }
write_at() { vm_exec "$1" "timeout 120 dd if=/dev/urandom of=/dev/blkcast/data bs=64k count=4 \
	seek=$2 oflag=direct conv=fsync,notrunc status=none"; }
block() { vm_exec "$1" "dd if=/dev/blkcast/data bs=64k skip=$2 count=4 iflag=direct status=none | md5sum"; }
equal() { is "$1" "$(content g1)" "$(content g2)"; }

host_return() {	# GUEST DEVICE: its configuration was in memory
	vm_start "$1" && host_start "$1" || return
	[ "$2" = /dev/vda ] || vm_exec "$1" "$VALVE" || return
	vm_exec "$1" "mkdir -p /etc/blkcast/volumes.d
		printf '[volume]\nbacking = %s\nack = memory\n' $2 > /etc/blkcast/volumes.d/data.conf
		blkcast up data"
}

lab_start
vm_add g1 -d 32M
vm_add g2 -d 32M
vm_start g1 g2
hosts_key
host_start g1
host_start g2
volume_create g1 --ack memory
vm_exec g2 "$VALVE && blkcast create data --device /dev/mapper/valve --ack memory \
	--uuid $volume_uuid --size $volume_bytes > /dev/null && blkcast up data"
vm_exec g1 'blkcast primary data' && connect g1 g2 '--timeout 60000'
check "in sync" wait_until 60 in_sync g1 g2
check "a write" write_at g1 0
equal "both have it"

# ---- the replica's disk stands still ----

write_bare() { vm_exec g1 "timeout 120 dd if=/dev/urandom of=/dev/blkcast/data bs=64k count=4 \
	seek=$1 oflag=direct conv=notrunc status=none"; }
received() { field_is g1 "link['g2']['received'] == v['lsn'], link['g2']['applied'] < v['lsn']" 'True True'; }

valve_close
check "a write is done" write_bare 10
check "received there, not written" received
check "a flush is done" write_at g1 40
check "received there, not written" received

# ---- changed while a writer waits ----

check "ack=disk" set_ack disk
writes=$(field g1 "v['writes']")
vm_exec g1 'dd if=/dev/urandom of=/dev/blkcast/data bs=64k count=1 seek=20 oflag=direct \
	conv=notrunc status=none > /dev/null 2>&1 < /dev/null && touch /tmp/done &'
check "a write is taken" wait_until 60 field_is g1 "v['writes']" $((writes + 1))
check "and written here" wait_until 60 vm_exec g1 \
	'! cmp -s -n 65536 -i $((20 * 65536)):0 /dev/vda /dev/zero'
check "but not done" vm_exec g1 'test ! -e /tmp/done'
check "ack=local" set_ack local
check "it is done" wait_until 60 vm_exec g1 'test -e /tmp/done'
check "ack=memory" set_ack memory
vm_exec g2 'dmsetup resume valve'
check "in sync again" wait_until 60 in_sync g1 g2

# ---- the replica loses what it had only received ----

valve_close
check "a write and its flush are done" write_at g1 30
mine=$(block g1 30)
vm_power_cut g2
vm_exec g1 'blkcast disconnect data --peer g2'
check "the primary goes on" write_at g1 60
check "g2 is back" host_return g2 /dev/mapper/valve
check "without what it had received" test "$(block g2 30)" != "$mine"
connect g1 g2 '--timeout 60000'
check "in sync again" wait_until 60 in_sync g1 g2
equal "the copies are equal"

# ---- both lose their power, and the one that lost writes takes over ----

valve_close
check "a write and its flush are done" write_at g1 100
mine=$(block g1 100)
vm_power_cut g2
vm_power_cut g1
check "g2 is back" host_return g2 /dev/mapper/valve
check "g2 takes over" vm_exec g2 'blkcast primary data --force --yes'
check "and goes on" write_at g2 200
check "g1 is back" host_return g1 /dev/vda
refuses "split brain" 'split brain: g1 was primary of data.*discard-mine.*on g1' \
	connect g2 g1 '--wait 5'
is "what was acknowledged is still there" "$(block g1 100)" "$mine"
check "it is told to" vm_exec g1 'blkcast replica data --discard-mine'
check "it follows" connect g2 g1
check "in sync" wait_until 60 in_sync g2 g1
equal "the copies are equal"
ktap_done
