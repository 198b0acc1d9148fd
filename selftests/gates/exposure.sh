#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What systemd's units may do is bounded, and nobody loosens that unseen: the exposure
# that systemd-analyze computes (0: none, 10: all) is at most what README says.
. "$(dirname "$0")/../lib/ktap.sh"
. "$(dirname "$0")/../lib/sources.sh"

command -v systemd-analyze > /dev/null || skip_all "no systemd-analyze here"
[ "$(systemd-analyze --version | sed -n '1s/systemd \([0-9]*\).*/\1/p')" -ge 250 ] ||
	skip_all "systemd-analyze security --offline came with systemd 250"

exposure() { systemd-analyze security --no-pager --offline=true --threshold="$2" "$1"; }
no_more_than() {	# no_more_than UNIT TENTHS
	local output
	output=$(exposure "tools/packaging/$1.service" "$2" 2>&1) && return
	grep -E '✗|Overall|rror' <<< "$output"
	return 1
}
in_readme() { grep -qF "| \`$1\` | ${2%?}.${2: -1} |" README.md; }

while read -r unit tenths; do
	check "$unit: at most ${tenths%?}.${tenths: -1}" no_more_than "$unit" "$tenths"
	check "$unit: README says so" in_readme "$unit" "$tenths"
done <<- 'END'
	blkcastd 30
	blkcast-exporter 25
	blkcast-backup@ 26
	blkcast-view@ 51
END

units=$(sources 'tools/packaging/*.service' | wc -l)
is "all units are looked at" "$units" 4
ktap_done
