#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Power cuts at random while volumes are written to, and other faults beside them if
# that is asked for: what was acknowledged is not lost, and the copies become equal
# again by sending what differs. See selftests/torture/campaign.py and faults.py.
#
#   g1 ---- LAN ---- g2		disks that lose what is not flushed
#
# ROUNDS=N SEED=S: `make torture`; MINUTES=M: as many rounds as go. KINDS="quiet both":
# these cuts alone. FAULTS="flap bits", all or none: these faults.
# kernels: both
# timeout: 1500
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"

make -s -C "$lab_tree/selftests" guest || exit 1
lab_start
read -ra kinds <<< "${KINDS:-}"
"$lab_tree/selftests/torture/campaign.py" --minutes "${MINUTES:-0}" --faults "${FAULTS:-none}" \
	"$LAB" "$SEED" "${ROUNDS:-20}" "${kinds[@]}"
