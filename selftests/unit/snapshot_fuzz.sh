#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The reader of snapshots survives what a fuzzer makes up in a bounded time
# (SECONDS, 15): no memory error under ASan and UBSan, none taken without need,
# no hang. What made it fail is kept, to be run again by its path.
#
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"

seconds=${FUZZ_SECONDS:-15}
top=$(readlink -f "$(dirname "$0")/../..")
fuzz=$top/.build/selftests/fuzz
mkdir -p "$fuzz/seeds" "$fuzz/corpus"
build() {
	CC=${2:-gcc} "$top/selftests/lib/build-unit" "$top/selftests/fuzz/$1.c" "$fuzz/$1"
}

make_seeds() { build snapshot_seeds && "$fuzz/snapshot_seeds" "$fuzz/seeds"; }
run_fuzzer() {
	"$fuzz/snapshot" -max_total_time="$seconds" -max_len=16384 -timeout=20 \
		-rss_limit_mb=1024 -malloc_limit_mb=256 -artifact_prefix="$fuzz/" \
		-print_final_stats=1 "$fuzz/corpus" "$fuzz/seeds" > "$fuzz/log" 2>&1 && return
	tail -n 40 "$fuzz/log"
	return 1
}

check "the seeds are made" make_seeds
check "the target is built" build snapshot clang
check "$seconds s of fuzzing find nothing" run_fuzzer
runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$fuzz/log")
ktap_comment "${runs:-0} inputs, $(grep -c '' <(find "$fuzz/corpus" -type f)) of them of interest"
check "it did run" [ "${runs:-0}" -gt 100 ]
ktap_done
