#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The model of the stamp map finds no divergence with all rules in force, and
# finds one as soon as any of the rules is taken away: at the seed that is known
# for it (selftests/model/witnesses.py). SEEDS=N runs more of them.
set -u
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=selftests/lib/ktap.sh
. "$here/../lib/ktap.sh"

model() {
	python3 -BEs "$here/../model/stampmap.py" "$@"
}

seeds=${SEEDS:-2000}
is "all rules: $seeds seeds end equal" "$(model -n "$seeds")" "{'ok': $seeds} {}"
if ! without=$(model --witness); then
	ktap_comment "$without"
	ktap_result 1 "the rules are taken away one by one"
fi
while read -r rule result; do
	check "without ${rule#-} it breaks" grep -q FAIL <<< "$result"
done < <(grep '^-' <<< "$without")
ktap_done
