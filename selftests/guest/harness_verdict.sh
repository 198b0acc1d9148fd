#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The harness fails a test whose commands succeed while a guest's kernel
# complains or dies, or a sanitizer tells of an error, and leaves nothing running
# when it is killed.
#
# kernels: 6.12
. "$(dirname "$0")/../lib/ktap.sh"

vm=$(readlink -f "$(dirname "$0")/../qemu/vm")
logs=${LAB:-$(mktemp -d)}

run() { LAB=$logs/$1 "$vm" exec "$2"; }

processes_of() {
	# By their working folder: a lab and all of its children have it.
	local process
	for process in /proc/[0-9]*; do
		[ "$(readlink "$process/cwd")" != "$1" ] || echo "${process#/proc/}"
	done 2> /dev/null
}

refuses "a complaint on the console fails the test" "BUG: planted" \
	run complaint 'echo "<1>BUG: planted" > /dev/kmsg'
refuses "so does a sanitizer's report" "g1.blkcast.7: SUMMARY: planted" \
	run report 'echo "SUMMARY: planted" > /lab/sanitizers/g1.blkcast.7'
refuses "so does a kernel that dies" "ended by itself" \
	run panic '(sleep 1; echo c > /proc/sysrq-trigger) & sleep 60; true'
refuses "and a command that fails" "exit status 3" run status 'exit 3'

LAB=$logs/killed "$vm" exec 'echo up; sleep 600' > "$logs/killed.out" 2>&1 &
script=$!
for ((i = 0; i < 600; i++)); do
	grep -q '^g1: up' "$logs/killed.out" && break
	sleep 0.2
done
check "a lab has processes" test "$(processes_of "$logs/killed" | wc -l)" -ge 3
kill -KILL "$script"
for ((i = 0; i < 100; i++)); do
	[ -n "$(processes_of "$logs/killed")" ] || break
	sleep 0.1
done
is "none is left when its script is killed" "$(processes_of "$logs/killed")" ""
rm -rf "$logs/killed"
ktap_done
