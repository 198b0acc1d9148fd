#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Only kmod/compat.h asks for the kernel's version.
. "$(dirname "$0")/../lib/ktap.sh"
. "$(dirname "$0")/../lib/sources.sh"

others() {
	! sources 'kmod/*' 'tools/*' 'bpf/*' Kbuild | grep -v '^kmod/compat.h$' |
		xargs grep -nE 'LINUX_VERSION_CODE|KERNEL_VERSION|linux/version\.h'
}

check "no kernel version outside kmod/compat.h" others
ktap_done
