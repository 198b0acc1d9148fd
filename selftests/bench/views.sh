#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a view costs who writes (make bench-views): random writes, 8 at a time, on a
# primary without replicas, without a view and under views in stores of each kind, by turns.
# ROUNDS of each; medians, least and most.
#
# BLKCAST_ICOUNT= takes this machine's time instead of counting instructions.
# shellcheck source=selftests/bench/counted.sh
. "$(dirname "$(readlink -f "$0")")/counted.sh"

local_start -c 1 -m 1024 2 64
local_create data /dev/ram0 --size 48M
on 'blkcast primary data'
unit=instructions
[ -n "$BLKCAST_ICOUNT" ] || unit=ns
VM_LIMIT=1800 on "/blkcast/selftests/bench/views.py ${ROUNDS:-5} $unit"
