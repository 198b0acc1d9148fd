#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a view costs who writes (make bench-views): random writes, 8 at a time, on a
# primary without replicas, without a view and under views in stores of each kind, by turns.
# ROUNDS of each; medians, least and most.
#
# An emulated machine counts: a nanosecond of the guest's is an instruction, of its
# only processor, so that no other load on this machine is in the figures.
# BLKCAST_ICOUNT= takes this machine's time instead.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
export KVER=${KVER:-6.12} BLKCAST_ICOUNT=${BLKCAST_ICOUNT-1}
make -s -C "$here/../.." "module-$KVER" tools
# shellcheck source=selftests/qemu/lab.sh
. "$here/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$here/../lib/local.sh"

local_start -c 1 -m 1024 2 64
local_create data /dev/ram0 --size 48M
on 'blkcast primary data'
unit=instructions
[ -n "$BLKCAST_ICOUNT" ] || unit=ns
VM_LIMIT=1800 on "/blkcast/selftests/bench/views.py ${ROUNDS:-5} $unit"
