#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What grows with the size of a volume and with their number (make bench-scale): the
# instructions of a write on volumes of 1 GiB to 64 TiB; the threads and the memory of
# 100 volumes, alone and each with a replica. (By the number of replicas: instructions.sh.)
# shellcheck source=selftests/bench/counted.sh
. "$(dirname "$(readlink -f "$0")")/counted.sh"

local_start -c 1 -m 3072 200 8
VM_LIMIT=3600 on /blkcast/selftests/bench/scale.py
