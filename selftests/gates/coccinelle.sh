#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The kernel's semantic patches find nothing in the module, or what they find is explained
# in place (lib/explained.sh).
#
# timeout: 1800
. "$(dirname "$0")/../lib/ktap.sh"
. "$(dirname "$0")/../lib/explained.sh"
. "$(dirname "$0")/../lib/sources.sh"

patches=${BLKCAST_CACHE:-/var/cache/blkcast}/coccinelle
out=$PWD/.build/coccinelle
rm -rf "$out"
mkdir -p "$out/planted"
export out

# All but two that want an OCaml compiler, one that reports nothing, and minmax, which
# takes as long as twenty others.
chosen() {
	(cd "$patches" && grep -rl '^virtual.*\<report\>' \
		api free iterators locks misc null tests) | sort |
		grep -vE '/(check_bq27xxx_data|badzero|add_namespace|minmax)\.cocci$'
}

# apply FOLDER PATCH: what one finds in a folder's files, each by itself.
apply() {
	local -a options
	read -ra options < <(sed -n 's,^// *Options: *,,p' "$2" | tr '\n' ' ')
	spatch --very-quiet --no-show-diff -D report "${options[@]}" \
		-I kmod -I kmod/uapi --cocci-file "$2" --dir "$1"
}

# One patch over the module, with how long it took.
one() {
	local name=${1//\//.} start=$EPOCHREALTIME
	apply kmod "$patches/$1" > "$out/$name.found" 2> "$out/$name.log" || {
		echo "$1 cannot be applied:"
		cat "$out/$name.log"
	}
	awk -v a="$start" -v b="$EPOCHREALTIME" -v n="$1" \
		'BEGIN { printf "%6.1f s %s\n", b - a, n }' >> "$out/times"
}
export patches
export -f apply one

all() { ! chosen | xargs -P "$(nproc)" -I '{}' bash -c 'one {}' | grep .; }
findings() { sed -n "s,^\./,,; /^kmod[^ ]*:[0-9]/p" "$out"/*.found | unexplained coccinelle; }

cat > "$out/planted/planted.c" <<- 'END'
	int planted(struct thing *p)
	{
		kfree(p);
		return p->number;
	}
END
planted() { apply "$out/planted" "$patches/free/kfree.cocci" | grep 'planted.c:4:.*preceded by free'; }

# Of a function that it cannot parse spatch says nothing.
understood() {
	spatch --parse-c --dir kmod 2>&1 | awk '
		/^nb good/ { print }
		match($0, /=> *[0-9.]+% good or passed/) {
			share = substr($0, RSTART + 2)
			good = share + 0 >= 99
		}
		END { exit !good }'
}

check "a planted mistake is found" planted
check "the sources are understood" understood
check "the patches can be applied" all
check "there are many of them" test "$(chosen | wc -l)" -ge 50
check "they find nothing unexplained" findings
ktap_done
