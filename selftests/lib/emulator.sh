# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Faults of the emulator that guests run in, told from those of what runs in them.
#
# Under load QEMU's TCG now and then has a processor go on with flags that no processor
# has: bits 3, 5, 15 and 22 up are 0 by definition and bit 1 is 1, whatever is loaded. A
# single step trap or a double fault in the middle of a kernel function is what comes of
# it. Only what the hardware has saved counts, so a kernel that errs does not look so,
# but for one that overwrites its saved registers: what is found is told, and kept.

# emulator_erred CONSOLE...: has the kernel shown such flags?
emulator_erred() {
	local flags
	while read -r flags; do
		if ((0x$flags & ~0x3f7fd7 || !(0x$flags & 2))); then
			return 0
		fi
	done < <(grep -hoE 'EFLAGS: [0-9a-f]+' "$@" 2> /dev/null | cut -d ' ' -f 2)
	return 1
}
