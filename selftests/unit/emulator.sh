#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Flags that no processor has are told from those that one may have.
#
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/lib/emulator.sh
. "$(dirname "$0")/../lib/emulator.sh"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
erred() {
	printf '[   57.5] RSP: 0018:ffffc90000467600 %s\n' "EFLAGS: 00000246" "EFLAGS: $1" \
		"EFLAGS: 00010046" > "$dir/g1.console"
	echo "[   57.6] RIP: 0010:reg_set_min_max+0xbb/0x1e0" > "$dir/g2.console"
	emulator_erred "$dir"/*.console
}
fine() { ! erred "$1"; }
silent() { ! emulator_erred "$dir"/*.console; }

for flags in 06d69246 0000824e ffff888006d6d246 00000244 0000024a 00000266; do
	check "$flags is none" erred $flags
done
for flags in 00000002 00000246 00010346 00250fd7 003f7fd7; do
	check "$flags may be" fine $flags
done
rm "$dir"/*.console
check "guests without a console have not erred" silent
ktap_done
