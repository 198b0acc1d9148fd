# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A primary and its replicas in one guest, on RAM disks, for tests that need no
# network: source this after ktap.sh and lab.sh.
#
#   local_start [OPTION...] DISKS MIB  guest g1 (options of vm_add), module loaded,
#                                      /dev/ram0 ... of MIB each
#   on COMMAND                         in g1
#   local_create NAME DISK [OPTION...] a volume, up; the first one's uuid is the
#                                      others' too
#   field NAME PYTHON                  of `status --json`: v the volume, links by
#                                      name of the volume at the other end
#   field_is NAME PYTHON VALUE
#   in_sync PRIMARY REPLICA...         each in sync and caught up
#   same PRIMARY REPLICA...            the devices hold the same bytes
#   model_new NAME                     /tmp/model: zeros, as large as the volume
#   put NAME BYTES OFFSET              random bytes on the device and in the model
#   as_model NAME...                   the devices hold what the model does
#
# `pair PRIMARY REPLICA` in the guest links two of them, `pair -d` parts them.

# shellcheck disable=SC2154 # lab_tree: from lab.sh
local_start() {
	local -a options=()
	while [[ $1 == -* ]]; do
		options+=("$1" "$2")
		shift 2
	done
	make -s -C "$lab_tree/selftests" guest || exit 1
	lab_start
	vm_add g1 "${options[@]}" || exit 1
	vm_start g1 || exit 1
	vm_load g1 || exit 1
	[ "$1" -eq 0 ] || on "modprobe brd rd_nr=$1 rd_size=$(($2 * 1024))" || exit 1
}

on() { vm_exec g1 "PATH=/blkcast/.build/selftests/guest:\$PATH; $1"; }

local_uuid=
local_create() {
	local name=$1 disk=$2
	shift 2
	on "blkcast create $name --device $disk ${local_uuid:+--uuid $local_uuid} $* > /dev/null &&
		blkcast up $name" || exit 1
	[ -n "$local_uuid" ] || local_uuid=$(field "$name" 'v["uuid"]')
}

field() {
	on "blkcast status $1 --json" | python3 -Ic '
import json, sys
v = json.load(sys.stdin)["volumes"][0]
links = {l["peer"]: l for l in v["links"]}
print(eval(sys.argv[1]))' "$2"
}

field_is() { [ "$(field "$1" "$2" 2> /dev/null)" = "$3" ]; }

in_sync() {
	local primary=$1
	shift
	field_is "$primary" "all(links[n]['state'] == 'in-sync' and links[n]['lag_writes'] == 0
		for n in '$*'.split())" True
}

# Past the page cache.
same() {
	local primary=$1 replica
	shift
	for replica; do
		on "cmp <(dd if=/dev/blkcast/$primary bs=1M iflag=direct status=none) \
			<(dd if=/dev/blkcast/$replica bs=1M iflag=direct status=none)" || return 1
	done
}

model_new() {
	on "truncate -s \"\$(blockdev --getsize64 /dev/blkcast/$1)\" /tmp/model"
}

put() {
	on "head -c $2 /dev/urandom > /tmp/piece &&
		for to in 'of=/tmp/model' 'of=/dev/blkcast/$1 oflag=direct'; do
			dd if=/tmp/piece \$to bs=512 seek=$(($3 / 512)) \
				conv=notrunc,fsync status=none || exit
		done"
}

as_model() {
	on "for name in $*; do
		cmp /tmp/model <(dd if=/dev/blkcast/\$name bs=1M iflag=direct \
			status=none) || exit
	done"
}
