#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Power cuts at random while volumes are written to: what was acknowledged is not
# lost, and the copies become equal again by sending what differs. See
# selftests/torture/campaign.py.
#
#   g1 ---- LAN ---- g2		disks that lose what is not flushed
#
# ROUNDS=N SEED=S: `make torture`; KINDS="quiet both": these cuts alone.
# kernels: both
# timeout: 1500
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"

make -s -C "$lab_tree/selftests" guest || exit 1
lab_start
read -ra kinds <<< "${KINDS:-}"
"$lab_tree/selftests/torture/campaign.py" "$LAB" "$SEED" "${ROUNDS:-30}" "${kinds[@]}"
