#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The model of the stamp map finds no divergence with all rules in force, and
# finds some as soon as one of the rules the module keeps is taken away.
# SEEDS=N runs more of them.
set -u
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=selftests/lib/ktap.sh
. "$here/../lib/ktap.sh"

model() {
	python3 -I "$here/../model/stampmap.py" "$@"
}

# Without the rule some of the seeds must end in a failure.
breaks_without() {
	local out
	out=$(model -n 400 --without "$1")
	echo "$out"
	grep -q FAIL <<< "$out"
}

seeds=${SEEDS:-400}
is "all rules: $seeds seeds end equal" "$(model -n "$seeds")" "{'ok': $seeds} {}"
for rule in alldirty gapmark skipold; do
	check "without $rule it breaks" breaks_without "$rule"
done
ktap_done
