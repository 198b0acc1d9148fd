#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# How soon a replica that was away is in sync again (make bench-resync): the link is
# cut, the primary is written to, the link is made again; the systems by turns.
#
#   S="A B .."   systems (see setup.sh)
#   ROUNDS=3
#   MIB=2048     size of the volumes; half of it is written while the link is cut
#   B=ram        what is below: disks in memory, so that both hosts' work is measured, not
#                a disk's; B=wait: such that take 4 ms for each request
#   KVER=6.12    kernel of the guests
#
# The table goes to the terminal and, as JSON, to .build/bench/KERNEL-resync-B.json.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
export KVER=${KVER:-6.12} BLKCAST_ICOUNT=
MIB=${MIB:-2048}
B=${B:-ram}
read -r -a systems <<< "${S:-blkcast-fast-1 drbd-C drbd-C-tuned}"
out=$here/../../.build/bench/$KVER-resync-$B.json
# shellcheck source=selftests/bench/hosts.sh
. "$here/hosts.sh"
mkdir -p "$(dirname "$out")"
# shellcheck source=selftests/qemu/lab.sh
. "$here/../qemu/lab.sh"
make -s -C "$here/../.." "module-$KVER" tools

boot $((1024 + MIB * ${#systems[@]})) "$MIB"
prepare "$B"
VM_LIMIT=7200 vm_exec g1 "/blkcast/selftests/bench/resync.py /lab/resync.json $B $MIB ${ROUNDS:-3} ${systems[*]}"
cp "$LAB/share/resync.json" "$out"
