#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The harness itself: guests see each other, the LAN can be cut, and a power cut
# loses what was not flushed and nothing else.
#
#   g1 (vda, volatile) ---- LAN ---- g2
#
# kernels: both
# set: core
. "$(dirname "$0")/../lib/ktap.sh"
. "$(dirname "$0")/../qemu/lab.sh"

lab_start
vm_add g1 -d 64M,keep=0
vm_add g2
vm_start g1 g2

ping() { vm_exec "$1" "busybox ping -c 1 -W 2 $2"; }
no_ping() { ! ping "$@"; }

version=${KVER%-*}
like "the guest runs the kernel asked for" "$(vm_exec g1 'uname -r')" "^${version/./\\.}"
check "g1 reaches g2" ping g1 g2
check "g2 reaches g1" ping g2 g1
vm_lan cut g1 g2
check "a cut LAN passes nothing" no_ping g1 g2
vm_lan heal g1 g2
check "a healed LAN does" ping g1 g2
vm_link g1 down
check "a pulled cable passes nothing" no_ping g2 g1
vm_link g1 up

vm_exec g1 'echo told; echo warned >&2; exit 7' > "$LAB/out" 2> "$LAB/err"
is "a command's exit status, output and errors are ours" \
	"$? $(cat "$LAB/out") $(cat "$LAB/err")" "7 told warned"
is "large output arrives whole" \
	"$(vm_exec g1 'seq 400000' | md5sum)" "$(seq 400000 | md5sum)"
is "large input does, too" \
	"$(seq 400000 | vm_exec -i g1 md5sum)" "$(seq 400000 | md5sum)"
vm_exec -l 1 g1 'sleep 60'
is "a command that takes too long is ended" "$?" 124

vm_exec g1 'yes flushed | dd of=/dev/vda bs=4k count=16 iflag=fullblock oflag=direct conv=fsync 2>&1
	    yes dropped | dd of=/dev/vda bs=4k count=16 seek=16 iflag=fullblock oflag=direct 2>&1' |
	sed 's/^/# /'
vm_power_cut g1
refuses "a guest without power answers nothing" "not running" vm_exec g1 true
check "it starts again" vm_start g1
like "flushed data are there" "$(vm_exec g1 'head -c 64k /dev/vda | uniq')" '^flushed$'
is "unflushed data are gone" \
	"$(vm_exec g1 'head -c 128k /dev/vda | tail -c 64k | tr -d "\0" | wc -c')" 0
ktap_done
