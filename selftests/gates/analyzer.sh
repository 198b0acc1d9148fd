#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Clang's analyzer, which follows the ways through a function and those it calls, finds in
# what runs in user space no leak, no null pointer, nothing used that is freed or not set
# yet; or what it finds is explained in place (lib/explained.sh). What bpftool generates is
# not ours.
#
# timeout: 900
. "$(dirname "$0")/../lib/ktap.sh"
. "$(dirname "$0")/../lib/explained.sh"
. "$(dirname "$0")/../lib/sources.sh"

out=$PWD/.build/analyzer
rm -rf "$out"
mkdir -p "$out"
export out

read -ra flags < <(pkg-config --cflags libmnl inih json-c gnutls blkid mount uuid libzstd liburing)
# How many steps it follows from one function before it gives up: three times as many are
# its own bound, take twice the time, and have found nothing else.
flags+=(-std=gnu11 -D_GNU_SOURCE '-DBLKCAST_VERSION="0"' -Itools/lib -Ikmod/uapi -I.build/bpf
	-Xclang -analyzer-config -Xclang max-nodes=75000 --analyzer-output text)
ours() { sources 'tools/*.c' 'bpf/*.c' | grep -v '\.bpf\.c$'; }

# analyze: the files of our input, each by itself.
analyze() {
	# shellcheck disable=SC2016 # for that shell
	xargs -P "$(nproc)" -I '{}' sh -c 'clang --analyze "$@" {} 2> "$(mktemp -p "$out")" ||
		echo "cannot be analyzed: {}"' - "${flags[@]}"
}
all() { ! ours | analyze | grep .; }
findings() { grep -hE '^(tools|bpf)/[^ ]*: warning: ' "$out"/* | unexplained analyzer; }

# planted BODY WARNING: what is found in a function with such a body.
planted() {
	printf '%s\n' '#include <stdlib.h>' '#include "error.h"' \
		"int planted(struct bc_error *error, int n) { int *p = malloc(4); $1 }" > "$out/planted.c"
	echo "$out/planted.c" | analyze
	grep -rh 'planted.c:3:.*warning:' "$out" | grep "$2"
}

check "a planted leak is found" \
	planted 'return !p || n ? -1 : (free(p), 0);' 'leak of memory'
check "a planted null pointer is found" \
	planted 'if (!p) n = bc_fail(error, -1, "none"); n = *p; free(p); return n;' 'null pointer'
check "a planted use of freed memory is found" \
	planted 'if (!p) return bc_fail(error, -1, "none"); *p = n; free(p); return *p;' 'after it is freed'
rm -f "${out:?}"/*
check "all can be analyzed" all
check "there are many of them" test "$(ours | wc -l)" -ge 100
check "nothing unexplained is found" findings
ktap_done
