#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Small things in all sources: a licence line, no blanks at the end of a line,
# a newline at the end of a file, no leftovers of a merge, Python that parses,
# manual pages without mistakes.
. "$(dirname "$0")/../lib/ktap.sh"
. "$(dirname "$0")/../lib/sources.sh"

no_blanks_at_end() { ! sources | xargs grep -nIE '[[:blank:]]+$'; }
no_merge_marks() { ! sources | xargs grep -nIE '^(<<<<<<<|>>>>>>>)( |$)'; }

newline_at_end() {
	local file status=0
	for file in $(sources); do
		if [ -n "$(tail -c 1 "$file" | tr -d '\0')" ]; then
			echo "$file"
			status=1
		fi
	done
	return "$status"
}

licence() {
	local file status=0
	for file in $(sources '*.c' '*.h' '*.sh' '*.py' '*Makefile' Kbuild) \
		$(shell_scripts); do
		! head -n 3 "$file" | grep -q 'SPDX-License-Identifier: ' || continue
		echo "$file"
		status=1
	done
	return "$status"
}

python_parses() {
	{ sources '*.py'; sources | xargs grep -lI '^#!/usr/bin/python3'; } |
		xargs python3 -c 'import sys
for name in sys.argv[1:]:
    compile(open(name).read(), name, "exec")'
}

manual_pages() { sources 'tools/man/*.[1-8]' | xargs -r mandoc -T lint -W warning; }

check "no blanks at the end of a line" no_blanks_at_end
check "a newline at the end of each file" newline_at_end
check "no leftovers of a merge" no_merge_marks
check "each source has its licence line" licence
check "Python parses" python_parses
check "manual pages are without mistakes" manual_pages
ktap_done
