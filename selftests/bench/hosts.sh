# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Guests with the systems that are measured ($systems, see setup.sh): source it, then
# qemu/lab.sh; boot, and prepare what is wanted.
#
# shellcheck disable=SC2154 # systems: of who sources this

# The hosts' cards gather and sum up by themselves, as any on a real host does: ports of
# a bridge, which takes root. Their processors have no instruction for crc32c: the
# emulator goes through it bit by bit, so the kernel's tables do it.
[ "$(id -u)" != 0 ] || export BLKCAST_LAN=bridge
export BLKCAST_CPU=max,-sse4.2

setup=/blkcast/selftests/bench/setup.sh

replicas_of() {
	case $1 in
	raw) echo 0 ;;
	blkcast-*) echo "${1##*-}" ;;
	*) echo 1 ;;
	esac
}

# Runs "$@ N" for the guests FROM to TO at once; fails if one does. (A bare `wait`
# would wait for the lab, too.)
in_guests() {	# in_guests FROM TO COMMAND...
	local from=$1 to=$2 i pid
	local -a pids=()
	shift 2
	for ((i = from; i <= to; i++)); do
		"$@" "$i" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
}

say() { echo "# $*" >&2; }

# As many guests as the systems need; $names has them.
boot() {	# boot MEMORY-MIB RAM-DISK-MIB
	local system i
	local -a disks=()
	guests=1
	for system in "${systems[@]}"; do
		[ "$(replicas_of "$system")" -lt "$guests" ] || guests=$(($(replicas_of "$system") + 1))
		disks+=(-d 128M)
	done
	lab_start
	for ((i = 1; i <= guests; i++)); do
		vm_add "g$i" -m "$1" "${disks[@]}"
	done
	mapfile -t names < <(seq -f g%.0f "$guests")
	vm_start "${names[@]}"
	vm_exec g1 'blkcast genkey /lab/key'
	for name in "${names[@]}"; do
		vm_load "$name"
		vm_exec "$name" "$setup backing $2 ${systems[*]}"
	done
}

make_system() {	# make_system SYSTEM BACKING GUEST
	vm_exec "g$3" "$setup make_system $1 $2"
}

# The systems on a backing; the replicas first, for the primary connects at once.
prepare() {	# prepare BACKING
	local system
	for system in "${systems[@]}"; do
		say "making $system on $1"
		in_guests 2 $(($(replicas_of "$system") + 1)) make_system "$system" "$1"
		make_system "$system" "$1" 1
		VM_LIMIT=900 vm_exec g1 "$setup fill $system $1"
	done
}
