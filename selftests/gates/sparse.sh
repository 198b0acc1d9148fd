#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Sparse has nothing to say about the module: endianness, locks, address spaces.
# What it says about the kernel's own headers is not ours.
#
# timeout: 300
. "$(dirname "$0")/../lib/ktap.sh"
. "$(dirname "$0")/../lib/sources.sh"

log=$PWD/.build/sparse.log

# C=2: every file, whether it is compiled or up to date.
sparse() {
	if ! make module-6.12 C=2 CHECK=sparse > "$log" 2>&1; then
		tail -n 20 "$log"
		return 1
	fi
	! grep -E '(^|/)kmod/[^ ]*: (warning|error):' "$log"
}

check "the module on 6.12" sparse
ktap_done
