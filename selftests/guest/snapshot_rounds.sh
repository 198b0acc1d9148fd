#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Of views that are taken at random moments while many write, snapshots are made, and
# restored: view, snapshot and copy are what a model says, which is kept outside. Ten
# deltas deep, on a primary and on a replica. ROUNDS tells how often, of both together.
#
#	a (primary) --- b
#
# kernels: both
# set: all
# timeout: 3000
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

rounds=${ROUNDS:-200}
bytes=$((5 * 1048576 - 12288))	# the last region is short
export VM_LIMIT=2400

local_start 3 9
local_create a /dev/ram0 --size $bytes
local_create b /dev/ram1 --size $bytes
on 'blkcast primary a && mkdir /tmp/a /tmp/b'
check "snapshots of views of a primary" \
	on "view_rounds -s /tmp/a a a $((rounds / 2)) $SEED /dev/ram2"
on 'pair a b && blkcast set a --ack disk'
check "a replica" wait_until 60 in_sync a b
check "snapshots of views of a replica" \
	on "view_rounds -s /tmp/b a b $((rounds - rounds / 2)) $SEED /dev/ram2"
check "in sync" wait_until 60 in_sync a b
check "the copies are equal" same a b
on 'blkcast down a && blkcast down b'
ktap_result $? "volumes go down"
ktap_done
