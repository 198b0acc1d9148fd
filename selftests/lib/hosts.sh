# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Guests as hosts with a blkcastd each, for tests of the tools: source this after
# ktap.sh and lab.sh.
#
#   hosts_key                      one key for all, $LAB/share/key, once
#   host_start GUEST               module loaded, key in place, daemon up
#   daemon_start GUEST             see daemon-up
#   daemon_stop GUEST
#   volume_create GUEST [OPTION...] volume data on /dev/vda, up; all but the first
#                                  get the first one's uuid and size
#   field GUEST PYTHON             of `status --json`: v the volume data, link by
#                                  peer's name
#   field_is GUEST PYTHON VALUE
#   content GUEST                  a checksum of the volume's bytes

# shellcheck disable=SC2016 # for the guest's shell

hosts_key() {
	# shellcheck disable=SC2154 # lab_tree: from lab.sh
	"$lab_tree/.build/tools/blkcast" genkey "$LAB/share/key"
}

daemon_start() { vm_exec "$1" /blkcast/selftests/lib/daemon-up; }

daemon_stop() {
	vm_exec "$1" 'kill "$(cat /run/blkcast/blkcastd.pid)"
		while [ -S /run/blkcast/control ]; do sleep 0.1; done'
}

host_start() {
	vm_load "$1" || return
	vm_exec "$1" 'mkdir -p /etc/blkcast && install -m 600 /lab/key /etc/blkcast/key' &&
		daemon_start "$1"
}

volume_uuid=
volume_bytes=
volume_create() {
	local guest=$1
	shift
	vm_exec "$guest" "blkcast create data --device /dev/vda \
		${volume_uuid:+--uuid $volume_uuid --size $volume_bytes} $* > /dev/null &&
		blkcast up data" || return
	[ -n "$volume_uuid" ] || {
		volume_uuid=$(field "$guest" 'v["uuid"]')
		volume_bytes=$(field "$guest" 'v["bytes"]')
	}
}

field() {
	vm_exec "$1" 'blkcast status data --json' | python3 -Ic "
import json, sys
v = json.load(sys.stdin)['volumes'][0]
link = {l['peer']: l for l in v['links']}
print($2)"
}

field_is() { [ "$(field "$1" "$2" 2> /dev/null)" = "$3" ]; }

content() {
	vm_exec "$1" 'dd if=/dev/blkcast/data bs=1M iflag=direct status=none | md5sum'
}
