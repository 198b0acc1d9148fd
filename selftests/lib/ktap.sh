# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# KTAP for a test script: source this file, claim things, end with ktap_done.
#
#   check NAME COMMAND...          ok if it succeeds
#   is NAME ACTUAL EXPECTED        ok if the two strings are the same
#   like NAME TEXT REGEX           ok if the text matches (grep -E)
#   refuses NAME REGEX COMMAND...  ok if it fails and says something that matches
#   skip_all REASON                ends the script: nothing to be tested here
#   ktap_done                      plan, totals, exit status
#
# A check's own output goes before its result as a comment. A script that ends
# without ktap_done, by `set -e` for example, has no plan and so has failed.

ktap_count=0
ktap_failed=0

echo "KTAP version 1"

ktap_result() {
	local status=$1 name=$2
	ktap_count=$((ktap_count + 1))
	if [ "$status" -eq 0 ]; then
		echo "ok $ktap_count $name"
	else
		ktap_failed=$((ktap_failed + 1))
		echo "not ok $ktap_count $name"
	fi
}

ktap_comment() {
	[ -z "$1" ] || echo "# ${1//$'\n'/$'\n'# }"
}

check() {
	local name=$1 output status=0
	shift
	output=$("$@" 2>&1) || status=$?
	ktap_comment "$output"
	ktap_result "$status" "$name"
}

is() {
	local status=0
	if [ "$2" != "$3" ]; then
		status=1
		ktap_comment "found:    $2"
		ktap_comment "expected: $3"
	fi
	ktap_result "$status" "$1"
}

like() {
	local status=0
	if ! grep -qE -- "$3" <<< "$2"; then
		status=1
		ktap_comment "$2"
		ktap_comment "does not match: $3"
	fi
	ktap_result "$status" "$1"
}

refuses() {
	local name=$1 regex=$2 output
	shift 2
	if output=$("$@" 2>&1); then
		ktap_comment "$output"
		ktap_comment "succeeded: $*"
		ktap_result 1 "$name"
	else
		like "$name" "$output" "$regex"
	fi
}

skip_all() {
	echo "1..0 # SKIP $*"
	exit 4
}

ktap_done() {
	echo "1..$ktap_count"
	echo "# Totals: pass:$((ktap_count - ktap_failed)) fail:$ktap_failed"
	[ "$ktap_count" -gt 0 ] && [ "$ktap_failed" -eq 0 ]
	exit
}
