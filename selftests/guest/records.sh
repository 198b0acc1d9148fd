#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A peer that has shaken hands, and then lies in the records of TLS: alerts, handshakes,
# types that there are not, damage, an end in the middle. The link is dropped, and the log
# says why; the volume goes on. Where frames are cut into records, empty ones, padding:
# all that is allowed, and works. A flood of records without content holds nobody up.
#
#	a (primary) --- liar --- b (replica)
#
# kernels: both
# set: core
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

link_works() { on 'pair a b' && wait_until 30 in_sync a b && same a b; }

local_start 2 16
on 'modprobe -a tls chacha20poly1305'
local_create a /dev/ram0
local_create b /dev/ram1
on 'blkcast primary a && blkcast set a --ack disk && dd if=/dev/urandom of=/dev/blkcast/a \
	bs=1M count=4 oflag=direct conv=fsync status=none'
check "a right link" link_works
on 'pair -d a b'

while IFS=$'\t' read -r name verdict; do
	is "$name" "$verdict" good
done < <(on "records run b a; echo -e \"the last case\t\${?/0/good}\"")

# More than is taken before more comes, whoever is quick.
on 'echo 4096 6291456 6291456 > /proc/sys/net/ipv4/tcp_rmem'
check "a flood to a primary holds no writer up" on "records flood a"
check "... and its link can be taken away" on "records unlink a"
check "a flood to a replica: the link ends" on "records flood b"
check "... or it can be taken away" on "records unlink b"
on 'blkcast set a --ack local'
check "a flood to a primary that waits for nobody: the link ends" on "records flood a"
check "a right link works afterwards" link_works
on 'pair -d a b'
check "the module goes" on 'blkcast down a && blkcast down b && rmmod blkcast'
ktap_done
