#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Memory that is not to be had: each allocation of each command of the module fails
# once (of the hundreds that fill pools every 23rd), then any of them while a volume is
# written; then requests of either disk. There are errors, no oops, nothing leaks, and
# what was acknowledged is there, on both copies.
#
#	a (primary) --- b		RAM disks, filled: they allocate nothing any more
#
# RUNTIME tells for how many seconds is written.
#
# kernels: 6.12-debug
# set: all
# timeout: 9000
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

kernel_checks "$KVER" || skip_all "the kernel cannot fail allocations: make check-debug"
runtime=${RUNTIME:-60}
failures=/blkcast/selftests/guest/alloc_failures.py

each() { VM_LIMIT=900 on "failnth $*"; }
often() { on "$failures often $1"; }
written() { on "$failures write /dev/blkcast/a /tmp/written 2048 $runtime $SEED"; }
holds() { on "$failures has /dev/blkcast/$1 /tmp/written"; }
meet() {
	on 'pair -d a b 2> /dev/null; pair a b' && wait_until 60 in_sync a b
}

local_start 3 24
on 'for disk in 0 1 2; do
	dd if=/dev/zero of=/dev/ram$disk bs=1M count=24 conv=fsync status=none
done'
local_create a /dev/ram0
local_create b /dev/ram1

# ---- each allocation of a command ----

on 'blkcast down a && blkcast down b && rmmod blkcast'
often 0
check "loading the module" each "load:/blkcast/.build/kmod-$KVER/blkcast.ko" unload
on "insmod /blkcast/.build/kmod-$KVER/blkcast.ko"
check "a volume comes up" each -s 23 up:a:/dev/ram0 down:a
on 'blkcast up a && blkcast up b'
check "and goes down" each down:a up:a:/dev/ram0
check "it becomes the primary" each primary:a replica:a
on 'blkcast down a && blkcast up a && blkcast primary a'
check "and a replica" each replica:a primary:a
check "a link" each -s 23 pair:a:b part:a:b
check "and its end" each part:a:b pair:a:b
check "in sync" meet
check "a view" each view:a:v:/dev/ram2 unview:a:v
check "what is told of the volume" each get:a get:a
check "its stamps" each stamps:a get:a
check "a comparison" each verify:a:b verified:a:b
check "the copies are equal" same a b

# ---- any, while it is written ----

survived() {	# survived WHAT: it fails no more
	check "$1: they meet again" meet
	check "$1: what was acknowledged is there" holds a
	check "$1: on the replica too" holds b
	check "$1: the copies are equal" same a b
}

often 2
check "writes while allocations fail" written
often 0
survived "allocations"
for disk in 1 0; do
	on "$failures requests 2 ram$disk"
	check "writes while requests of ram$disk fail" written
	on "$failures requests 0 ram$disk"
	survived "requests of ram$disk"
done
ktap_done
