#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The module's sources are clean to the kernel's checkpatch.
. "$(dirname "$0")/../lib/ktap.sh"
. "$(dirname "$0")/../lib/sources.sh"

checkpatch() {
	"${BLKCAST_CACHE:-/var/cache/blkcast}/kselftest/scripts/checkpatch.pl" \
		--no-tree --no-summary --terse --show-types "$@"
}

mapfile -t files < <(sources Kbuild 'kmod/*.c' 'kmod/*.h' | grep -v compat.h)
check "the module's sources" checkpatch -f "${files[@]}"
# Where the kernels' differences are kept, and nowhere else.
check "kmod/compat.h" checkpatch -f kmod/compat.h \
	--ignore LINUX_VERSION_CODE,CONSTANT_COMPARISON
ktap_done
