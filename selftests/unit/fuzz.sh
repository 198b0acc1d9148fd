#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What reads what others have written survives what fuzzers make up in a bounded time:
# no memory error under ASan and UBSan, none taken without need, no leak, no hang, and
# nothing accepted that is out of range or not read again as it was saved (each target
# in selftests/fuzz says what must hold). Always by the same number, so that what fails
# is what was changed; `make fuzz T=TARGET SECONDS=N` goes on longer, and by chance.
#
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"

top=$(readlink -f "$(dirname "$0")/../..")
log=$(mktemp)
trap 'rm -f "$log"' EXIT

build() { BUILD=1 "$top/selftests/fuzz/run" "$1"; }
run_fuzzer() {
	SEED=1 "$top/selftests/fuzz/run" "$@" > "$log" 2>&1 && return
	grep -E 'ERROR:|MUST|runtime error' "$log"
	tail -n 40 "$log"
	return 1
}

while read -r target seconds; do
	check "$target: built, with its seeds" build "$target"
	check "$target: $seconds s of fuzzing find nothing" run_fuzzer "$target" "$seconds"
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	ktap_comment "${runs:-0} inputs"
	check "$target: it did run" [ "${runs:-0}" -gt 100 ]
done <<- 'END'
	snapshot 8
	handshake 8
	config 5
	control 6
	meta 8
	kernel 3
END
ktap_done
