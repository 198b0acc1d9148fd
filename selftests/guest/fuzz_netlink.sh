#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Commands to the module that are not as they should be, from root, while volumes go down
# and come up: there are errors, nothing crashes or hangs, and what the volumes hold stays.
# From anybody else all are refused, also from the root of a user namespace.
#
#	a (primary) --- b	c: RAM disks
#
# MOMENTS (seconds) and SEED for long runs by hand.
#
# kernels: both
# timeout: 900
# shellcheck disable=SC2016 # for the guest's shell
export SEED=${SEED:-1}
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

moments=${MOMENTS:-$((8 * LAB_SLOWNESS))}
watched="slub_debug=FZP,kmalloc-*,blkcast_op kfence.sample_interval=50"
fuzz=/blkcast/selftests/guest/fuzz_netlink.py

meet() { on 'pair -t 60000 a b' && wait_until 120 in_sync a b; }
# Whatever they have become.
again() {
	on 'for v in a b c; do blkcast down $v; done; for v in a b c; do blkcast up $v || exit; done
		blkcast set a --membership auto --ack disk && blkcast set b --membership auto &&
		blkcast replica b --discard-mine && blkcast primary a --force --yes' && meet
}

local_start -a "$watched" 6 8
for v in a b c; do
	local_create $v /dev/ram$((${#made} / 2)) --ack disk
	made+="$v "
done
on 'blkcast primary a'
model_new a
put a $((4 << 20)) 0
check "in sync" meet
check "who is not root is refused" on "$fuzz refused $SEED 400"
check "and so is root of a namespace" on "$fuzz refused $SEED 400 namespace"
check "nothing came of it" as_model a b
on 'pair -d a b'

said=$(VM_LIMIT=$((moments * 4 + 400)) on "$fuzz fuzz $SEED $moments")
check "all sorts of commands" [ $? -eq 0 ]
echo "$said"
check "the volumes can be used again" again
check "the copies are what was written" as_model a b
ktap_done
