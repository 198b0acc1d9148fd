# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the kernels of guests differ in: source this.
#
#   kernel_checks KERNEL     whether it is one that looks for mistakes: see
#                            debug/kernel
#   kernel_slowness KERNEL   by what all deadlines are multiplied that are meant for
#                            a stock one

kernel_checks() { [[ $1 == ?*-?* ]]; }

kernel_slowness() {
	if kernel_checks "$1"; then
		echo 5
	else
		echo 1
	fi
}
