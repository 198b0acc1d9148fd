#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A volume whose metadata are not as they were written, with checksums that are right or
# not: superblock, history, blocks of the map. It comes up or is refused; if it does come
# up it can be read, written to and taken down, and what is known to be damage costs no
# content.
#
# MOMENTS (seconds) and SEED for long runs by hand.
#
# kernels: both
export SEED=${SEED:-1}
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

moments=${MOMENTS:-$((8 * LAB_SLOWNESS))}
watched="slub_debug=FZP,kmalloc-*,blkcast_op kfence.sample_interval=50"

local_start -a "$watched" 1 8
local_create a /dev/ram0
on 'blkcast primary a'
model_new a
put a $((3 << 20)) 0
put a 65536 $((4 << 20))
on 'blkcast down a && blkcast up a && blkcast primary a'
put a 4096 $((5 << 20))
on 'blkcast down a'
said=$(VM_LIMIT=$((moments * 4 + 300)) on "fuzz_meta a /dev/ram0 $SEED $moments")
check "metadata by lot" [ $? -eq 0 ]
echo "$said"
on 'blkcast up a'
check "what it was before" as_model a
ktap_done
