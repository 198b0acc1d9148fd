#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Wrong commands and unfit devices: a clear sentence, exit code 1 (2 for wrong
# usage), and nothing changed.
#
# kernels: both
# shellcheck disable=SC2016 # for the guest's shell

# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"

on() { vm_exec g1 "$1"; }

# What of the second device and of the configuration must not change.
state() {
	on 'dd if=/dev/vdb bs=1M iflag=direct status=none | md5sum
		ls /etc/blkcast/volumes.d 2> /dev/null'
}

# Fails as told and leaves everything as it is.
untouched() {	# NAME REGEX COMMAND
	local before
	before=$(state)
	refuses "$1" "$2" on "$3"
	is "$1: nothing has changed" "$(state)" "$before"
}

lab_start
vm_add g1 -d 16M -d 8M,plain
vm_start g1

# ---- no module, no permission ----

is "no module: each command says what to do" "$(on 'for c in status "up --all" "down data" \
	"primary data" "replica data"; do blkcast $c 2>&1; done' | sort | uniq -c | xargs)" \
	'5 blkcast: the blkcast module is not loaded: modprobe blkcast'
vm_load g1
on 'blkcast create data --device /dev/vda > /dev/null && chmod 644 /etc/blkcast/volumes.d/*'
nobody='setpriv --reuid 65534 --clear-groups --bounding-set=-all --inh-caps=-all'
refuses "no permission: up" 'ermission denied' on "$nobody blkcast up data"
on 'blkcast up data'
for command in primary down; do
	refuses "no permission: $command" 'ermission denied|CAP_SYS_ADMIN' \
		on "$nobody blkcast $command data"
done
refuses "no permission: create" 'ermission denied' \
	on "$nobody blkcast create x --device /dev/vdb"
refuses "no permission: configuration" 'ermission denied' on "$nobody blkcast set data --ack disk"
# None of the commands, by whatever program, nor by who is root where he made that himself.
others='/blkcast/selftests/guest/fuzz_netlink.py refused 1 66'
check "no permission: all that is not a question" on "$others"
check "nor for root of a namespace" on "$others namespace"
check "status is for everybody" on "$nobody blkcast status"
like "nothing has changed" "$(on 'blkcast status')" '^data +replica .* ack local'

# ---- wrong usage ----

wrong=(
	"blkcast"
	"blkcast nonsense"
	"blkcast create"
	"blkcast create x"
	"blkcast create x --device /dev/vdb --size 12Q"
	"blkcast create ../x --device /dev/vdb"
	"blkcast create x --device /dev/vdb --ack maybe"
	"blkcast create x --device /dev/vdb --region-size 96K"
	"blkcast create x --device /dev/vdb --uuid 17"
	"blkcast up"
	"blkcast up --all data"
	"blkcast connect data"
	"blkcast status --colour"
	"blkcast set data --ack maybe"
)
is "wrong usage ends with 2" "$(on "$(printf '%s > /dev/null 2>&1; echo $?\n' "${wrong[@]}")" | sort | uniq -c | xargs)" \
	"${#wrong[@]} 2"
is "--help is no error" "$(on 'for c in create up down destroy primary replica set connect \
	disconnect status genkey; do blkcast $c --help > /dev/null || echo "$c"; done')" ""

# ---- a volume that is up, or not there ----

refuses "up twice" 'in use|is up already' on 'blkcast up data'
refuses "create over it" 'data: exists on this host already' on 'blkcast create data --device /dev/vdb'
refuses "create on its device" '/dev/vda is in use' on 'blkcast create x --device /dev/vda'
refuses "destroy while up" '/dev/vda is in use' on 'blkcast destroy data --force'
refuses "no such volume: up" 'nix: not configured' on 'blkcast up nix'
refuses "no such volume: down" 'no such volume is up' on 'blkcast down nix'
refuses "no such volume: status" 'nix: not configured and not up' on 'blkcast status nix'
on 'blkcast primary data'
refuses "no permission: replica" 'CAP_SYS_ADMIN' on "$nobody blkcast replica data"
refuses "primary twice" 'is primary here already' on 'blkcast primary data'
on 'mke2fs -q /dev/blkcast/data && mkdir -p /mnt && mount /dev/blkcast/data /mnt'
refuses "down while mounted" 'is open' on 'blkcast down data'
refuses "replica while mounted" 'is open' on 'blkcast replica data'
like "still primary" "$(on 'blkcast status')" '^data +primary'
on 'umount /mnt && blkcast down data'
refuses "destroy asks" 'use --force' on 'blkcast destroy data < /dev/null'
on 'sed -i "s/^uuid = ./uuid = 0/; s/^uuid = 0./uuid = 00/" /etc/blkcast/volumes.d/data.conf'
refuses "another volume than is configured" 'wrong volume: /dev/vda holds a copy of data' \
	on 'blkcast up data'
on 'sed -i "/^uuid/d" /etc/blkcast/volumes.d/data.conf'
check "not configured, any will do" on 'blkcast up data && blkcast down data'
on 'conf=/etc/blkcast/volumes.d/data.conf && blkcast up data &&
	blkcast set data --ack disk --membership managed && blkcast down data &&
	sed -i "/^membership/d; s/^ack = .*/ack = local/" $conf'
refuses "another policy than the metadata allow" 'membership=managed goes with ack=disk' \
	on 'blkcast up data'
refuses "then it is not half up" 'no such volume is up' on 'blkcast down data'
check "what is configured is the way out" on '
	sed -i "s/^ack = .*/&\nmembership = auto/" /etc/blkcast/volumes.d/data.conf &&
	blkcast up data && blkcast down data'

# ---- damaged metadata ----

end=$((16 << 20))
on "printf x | dd of=/dev/vda bs=1 seek=$((end - (1 << 20) + 100)) conv=notrunc,fsync status=none"
check "one damaged superblock is survived" on 'blkcast up data && blkcast down data'
on "for at in $((end - (1 << 20) + 100)) $((end - 4096 + 100)); do
	printf y | dd of=/dev/vda bs=1 seek=\$at conv=notrunc,fsync status=none
done"
refuses "two are not" 'both copies of the superblock are damaged' on 'blkcast up data'
on 'blkcast destroy data --force 2> /dev/null'
is "destroy --force goes on" "$(on 'ls /etc/blkcast/volumes.d')" ""

# ---- devices that are unfit for create ----

create='blkcast create x --device /dev/vdb'
untouched "no device" 'cannot open /dev/nix' 'blkcast create x --device /dev/nix'
untouched "a file" 'is no block device' 'touch /tmp/f && blkcast create x --device /tmp/f'
untouched "too large a volume" 'has room for a volume of' "$create --size 8M"
untouched "regions too small" 'power of two from 64 KiB' "$create --region-size 32K"
on 'mke2fs -q /dev/vdb 8M && mount /dev/vdb /mnt && echo kept > /mnt/kept && sync'
refuses "mounted" '/dev/vdb is mounted on /mnt' on "$create --force"
on 'umount /mnt'
untouched "a filesystem" '/dev/vdb holds ext2; --keep-data' "$create"
untouched "a filesystem that leaves no room" 'reaches to byte 8388608 .*shrink' "$create --keep-data"
on 'dd if=/dev/zero of=/dev/vdb bs=1M count=8 status=none'
untouched "nobody knows what is kept" 'nobody can tell' "$create --keep-data"
untouched "keep-data of a further copy" "first copy" \
	"$create --keep-data --uuid 00000000-0000-0000-0000-000000000001"
untouched "configuration that cannot be written" 'cannot write|Read-only' \
	"mkdir -p /tmp/c/volumes.d && mount -t tmpfs -o ro none /tmp/c/volumes.d &&
	 BLKCAST_CONFIG_DIR=/tmp/c $create; status=\$?; umount /tmp/c/volumes.d; exit \$status"

# ---- what is fit ----

on 'mke2fs -q /dev/vdb 4M && mount /dev/vdb /mnt && echo kept > /mnt/kept && umount /mnt'
check "keep-data" on "$create --keep-data && blkcast up x && blkcast primary x"
is "the content is there" "$(on 'mount /dev/blkcast/x /mnt && cat /mnt/kept && umount /mnt')" kept
like "and counts as written" "$(on 'blkcast status --json')" '"touched_regions": [1-9]'
on 'blkcast down x && blkcast destroy x --force'
on 'modprobe loop; mke2fs -q /dev/vdb 8M'
check "keep-data with a metadata file" on "$create --keep-data --meta /tmp/meta &&
	blkcast up x && blkcast primary x && mount /dev/blkcast/x /mnt && umount /mnt"
like "a loop device carries it" "$(on 'losetup -a')" '/tmp/meta'
on 'blkcast down x'
is "and is gone with the volume" "$(on 'losetup -a')" ""
check "up again" on 'blkcast up x && blkcast down x'
on 'blkcast destroy x --force'
check "force wipes what was there" on "$create --force && ! blkid -p /dev/vdb"
ktap_done
