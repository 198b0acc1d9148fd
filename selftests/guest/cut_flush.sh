#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A link ends while its replica owes a flush and has every write: it lacks nothing, and
# looking for what it lacks comes to an end, even if the backlog has no write at all.
#
#	a (primary) --- b, its disk, which has a cache, stands still
#
# kernels: both
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

sync_up() { on 'pair a b' && wait_until 60 in_sync a b; }
is_cut() { field_is a 'links["b"]["state"]' down; }
lacks() { field a '[links["b"][k] for k in ("lag_writes", "lag_seconds")]'; }
# The replica's end is there until its flush is done.
cut_flush() {
	on 'dmsetup suspend --noflush --nolockfs db &&
		dd if=/dev/null of=/dev/blkcast/a conv=fsync,notrunc status=none
		pair -d a b > /tmp/pair 2>&1 < /dev/null &'
	check "$1: the link ends" wait_until 60 is_cut
	is "$1: the replica lacks nothing" "$(lacks)" "[0, 0.0]"
	on 'dmsetup resume db; while pgrep -x pair > /tmp/out; do sleep 0.1; done'
}

local_start -d 16M 1 16
on "modprobe dm-mod && dmsetup create db --table '0 $((16 * 2048)) linear /dev/vda 0' &&
	dmsetup mknodes"
local_create a /dev/ram0
local_create b /dev/mapper/db
on 'blkcast primary a && blkcast connect a --peer b --address 127.0.0.1 2> /dev/null'

check "in sync" sync_up
cut_flush "no write"
on 'blkcast set a --on-io-error detach'
check "in sync again" sync_up
cut_flush "no write, and a setting"
check "in sync once more" sync_up
on 'dd if=/dev/urandom of=/dev/blkcast/a bs=4k count=3 oflag=direct conv=fsync,notrunc status=none'
check "caught up" wait_until 60 in_sync a b
cut_flush "three writes"
ktap_done
