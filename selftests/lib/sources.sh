# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# sources GLOB...: the project's own text files, one a line, from its top (where
# this leaves us), whether they are committed or not.

cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." || exit 1

# shellcheck disable=SC2120 # the globs are optional
sources() {
	{
		git ls-files -co --exclude-standard -- "$@" 2> /dev/null ||
			find . -path ./.build -prune -o -path ./.git -prune -o \
				-type f -printf '%P\n'
	} | while read -r file; do
		[ -f "$file" ] && [ "$file" != LICENSE ] && echo "$file"
	done | sort -u
}

# shell_scripts: those of them that are for sh or bash.
shell_scripts() {
	# shellcheck disable=SC2119
	sources | while read -r file; do
		case $(head -c 64 "$file" | tr -d '\0' | head -n 1) in
		'#!'*sh | '#!'*'sh -'* | '# shellcheck shell='*) echo "$file" ;;
		esac
	done
}
