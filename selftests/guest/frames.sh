#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A peer that does not keep to the protocol is dropped at once, at either end:
# the volume stays up, its content is what it was, a right link works
# afterwards. The cases are in frames.h; then as many links with frames by lot.
#
#	a (primary) --- liar --- b (replica)
#
# kernels: both
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

links=${LINKS:-100}

link_works() { on 'pair a b' && wait_until 30 in_sync a b && same a b; }

# each_case END VOLUME
each_case() {
	local name verdict
	while IFS=$'\t' read -r name verdict; do
		is "$1: $name" "$verdict" good
	done < <(on "frames run $2; echo -e \"the last case\t\${?/0/good}\"")
}

local_start 2 16
local_create a /dev/ram0
local_create b /dev/ram1
on 'blkcast primary a && dd if=/dev/urandom of=/dev/blkcast/a bs=1M count=4 \
	seek=1 oflag=direct conv=fsync status=none'
check "a right link" link_works

on 'pair -d a b'
each_case replica b
each_case primary a
check "a right link works afterwards" link_works

on 'pair -d a b'
check "frames by lot to a replica" on "frames fuzz b $SEED $links"
check "frames by lot to a primary" on "frames fuzz a $SEED $links"
check "a right link works afterwards" link_works
ktap_done
