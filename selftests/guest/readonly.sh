#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Nobody writes to a replica's device, whatever root does to its flags; and what
# was never written reads as zeros on every copy, whatever the disks held.
#
#	a (primary) --- b		disks full of random bytes
#
# kernels: both
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

local_start 2 16
on 'for disk in 0 1; do head -c 16M /dev/urandom > /dev/ram$disk; done'
local_create a /dev/ram0 --force
local_create b /dev/ram1 --force
model_new a
check "a new volume is zeros on every copy" as_model a b

on 'blkcast primary a && pair a b'
wait_until 30 in_sync a b
put a 4096 1048576		# the first block of a region
put a 512 $((3 * 1048576 + 4096))	# one sector within a region
put a 131072 $((5 * 1048576 - 65536 + 512))	# across three regions
check "what was not written still is, beside what was" as_model a b
on 'blkcast down a && blkcast down b && blkcast up a && blkcast up b'
check "after down and up as well" as_model a b
on 'blkcast primary a && pair a b'
wait_until 30 in_sync a b
check "and after they have met again" as_model a b

write_b='dd if=/dev/urandom of=/dev/blkcast/b bs=4k count=1 oflag=direct conv=notrunc'
refuses "a write to a replica" 'Read-only file system' on "$write_b"
refuses "an open for writing" 'Read-only file system' on ': <> /dev/blkcast/b'
refuses "a discard" 'Read-only file system|Permission' on 'blkdiscard /dev/blkcast/b'
refuses "a filesystem" 'ead-only' on 'mkfs.ext4 -q -F /dev/blkcast/b'
on 'blockdev --setrw /dev/blkcast/b'
refuses "a write, the device having been set writable" 'Read-only file system' \
	on "$write_b"
check "a write to the primary still works" put a 4096 0
check "nothing else has changed" as_model a b
on 'mkfs.ext4 -q -F /dev/blkcast/a && mount /dev/blkcast/a /mnt && echo here > /mnt/file && umount /mnt'
wait_until 30 in_sync a b
refuses "mounting a replica for writing" 'ead-only|write-protected' \
	on 'mount -o rw /dev/blkcast/b /mnt && touch /mnt/file'
is "mounting it read-only" \
	"$(on 'umount /mnt 2> /dev/null; mount -o ro,noload /dev/blkcast/b /mnt && cat /mnt/file; umount /mnt')" here
check "the copies are equal" same a b
ktap_done
