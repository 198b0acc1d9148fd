#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The instructions of a write, all ends together (make bench-instructions): blkcast
# with 0 to 8 replicas and DRBD, each on one host with itself over loopback, by turns.
#
#   ROUNDS=3   S="SYSTEM .."   (see instructions.py)   KVER=6.12
#
# No card and its driver is in the figures, no idle time; fio, the block layer and TCP are.
# Between hosts the same count would be of clock ticks and idling most of all.
# shellcheck source=selftests/bench/counted.sh
. "$(dirname "$(readlink -f "$0")")/counted.sh"

local_start -c 1 -m 3072 40 40
VM_LIMIT=7200 on "/blkcast/selftests/bench/instructions.py ${ROUNDS:-3} ${S:-}"
