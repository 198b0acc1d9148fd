# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# unexplained WORD: of what a program that reads sources has found ("FILE:LINE:...", one
# a line of our input), once each, what is not explained where it stands: by a comment
# with "WORD: why" in that line or in one of the two above. Fails if there is any.

unexplained() {
	local found file line _ status=0
	while read -r found; do
		IFS=: read -r file line _ <<< "$found"
		! sed -n "$((line > 2 ? line - 2 : 1)),${line}p" "$file" |
			grep -qE "(/\*|//| \*) $1: " || continue
		echo "$found"
		status=1
	done < <(sort -u)
	return "$status"
}
