#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The instructions of a write, all ends together (make bench-instructions): blkcast
# with 0 to 8 replicas and DRBD, each on one host with itself over loopback, by turns.
#
#   ROUNDS=3   S="SYSTEM .."   (see instructions.py)   KVER=6.12
#
# An emulated machine counts: a nanosecond of the guest's is an instruction, of its
# only processor. So nothing else on this machine is in the figures, no card and its
# driver, no idle time; fio, the block layer and TCP are. Between hosts the same count
# would be of clock ticks and idling most of all.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
export KVER=${KVER:-6.12} BLKCAST_ICOUNT=1
make -s -C "$here/../.." "module-$KVER" tools
# shellcheck source=selftests/qemu/lab.sh
. "$here/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$here/../lib/local.sh"

local_start -c 1 -m 3072 40 40
VM_LIMIT=7200 on "/blkcast/selftests/bench/instructions.py ${ROUNDS:-3} ${S:-}"
