# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A guest whose instructions are counted: source this, then as lib/local.sh has it.
#
# An emulated machine counts: a nanosecond of the guest's is an instruction, of its only
# processor, so that no other load on this machine is in the figures.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
export KVER=${KVER:-6.12} BLKCAST_ICOUNT=${BLKCAST_ICOUNT-1}
# shellcheck source=selftests/qemu/lab.sh
. "$here/../qemu/lab.sh"
make -s -C "$here/../.." "module-$KVER" tools
# shellcheck source=selftests/lib/local.sh
. "$here/../lib/local.sh"
