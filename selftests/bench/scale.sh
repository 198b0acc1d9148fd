#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What grows with the size of a volume and with their number (make bench-scale): the
# instructions of a write on volumes of 1 GiB to 64 TiB; the threads and the memory of
# 100 volumes, alone and each with a replica. (By the number of replicas: instructions.sh.)
#
# An emulated machine counts: a nanosecond of the guest's is an instruction, of its
# only processor.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
export KVER=${KVER:-6.12} BLKCAST_ICOUNT=1
make -s -C "$here/../.." "module-$KVER" tools
# shellcheck source=selftests/qemu/lab.sh
. "$here/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$here/../lib/local.sh"

local_start -c 1 -m 3072 200 8
VM_LIMIT=3600 on /blkcast/selftests/bench/scale.py
