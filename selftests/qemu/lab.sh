# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Guests for a test script: source this file, then
#
#   lab_start                  builds the harness, starts the lab (once, first)
#
#   vm_add NAME [-k KERNEL] [-m MIB] [-c CPUS] [-a ARGS] [-d DISK]...
#                              declares a guest: 10.77.0.1, .2 ... in this order,
#                              disks /dev/vda, vdb ...; KERNEL defaults to $KVER
#                              DISK: SIZE[,plain][,lbs=4096][,keep=%]
#                                    [,grain=512|4096][,seed=N][,flush=MS]
#   vm_start NAME...           boots them, all at once; ready when it returns
#   vm_exec [-i] [-l SEC] NAME COMMAND
#                              runs a bash command in the guest; its output and
#                              exit status are ours. -i: it gets our input.
#                              Killed after SEC (VM_LIMIT, 300): status 124
#   vm_stop NAME               sync and power off
#   vm_power_cut NAME          power cut: unflushed writes may be lost (by lot,
#                              $SEED), then vm_start NAME again
#   vm_crash NAME              the machine ends, its disks keep what they had
#   vm_link NAME up|down       the cable of its network card
#   vm_lan cut|heal|mute A B   the way between two guests; mute: from A to B only
#   vm_disk NAME N stall|go|fail|heal
#                              disk N answers nothing; fails writes and flushes
#   vm_load NAME               loads blkcast.ko with what it depends on
#   wait_until SECONDS COMMAND...
#                              until it succeeds; 1 with a message if it does not
#
# In a guest: the project at /blkcast, its tools in PATH, a folder shared with
# the host and all guests at /lab ($LAB/share here), $GUEST its number, $KVER its
# kernel. The other guests go by their names.
#
# When the script ends, however it does, so does the lab. A complaint of a guest's
# kernel then makes the script fail even if its commands succeeded. Consoles and
# logs stay in $LAB after a failure.
#
# BLKCAST_TOOLS=asan: guests use .build/tools-asan. What its sanitizers find, in whatever
# process, makes the script fail, too; it is in $LAB/share/sanitizers.
#
# All of these deadlines are those of a stock kernel: with a slower one they are
# multiplied (lib/kernels.sh). A kernel that looks for mistakes is asked at the end
# what it has found: see debug/finish.

lab_here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
lab_tree=$(readlink -f "$lab_here/../..")
# shellcheck source=selftests/lib/kernels.sh
. "$lab_here/../lib/kernels.sh"
export KVER=${KVER:-6.12} SEED=${SEED:-$RANDOM}
LAB_SLOWNESS=$(kernel_slowness "$KVER")
export LAB_SLOWNESS
# Those of a make that runs this script, whose jobs are not to be had here.
unset MAKEFLAGS MAKELEVEL MFLAGS

lab_start() {
	local -a net=()
	make -s -C "$lab_tree/selftests" harness || exit 1
	[ -z "${BLKCAST_TOOLS:-}" ] ||
		make -s -C "$lab_tree" "tools-$BLKCAST_TOOLS" > /dev/null || exit 1
	if [ -z "${LAB:-}" ]; then
		mkdir -p "$lab_tree/.build/labs"
		LAB=$(mktemp -d "$lab_tree/.build/labs/XXXXXX")
		lab_is_temporary=1
	fi
	mkdir -p "$LAB"
	LAB=$(readlink -f "$LAB")
	trap lab_end EXIT
	trap 'exit 130' INT TERM HUP
	[ "${BLKCAST_LAN:-}" != bridge ] || net=(unshare --net)
	setsid "${net[@]}" python3 -I "$lab_here/lab.py" "$LAB" $$ \
		< /dev/null > "$LAB/lab.log" 2>&1 &
	lab_pid=$!
	echo "# kernel $KVER, SEED=$SEED, logs in $LAB"
}

lab_ctl() {
	"$lab_here/labctl" "$LAB" "$@"
}

# The script's end: the lab's verdict joins the script's own.
lab_end() {
	local status=$? problems
	trap - EXIT INT TERM HUP
	if kernel_checks "$KVER" && ! lab_check_guests; then
		[ "$status" -ne 0 ] || status=1
	fi
	if ! problems=$(lab_ctl finish 2>&1); then
		[ "$status" -ne 0 ] || status=1
		echo "# ${problems//$'\n'/$'\n'# }"
	fi
	wait "$lab_pid"
	jobs -p | xargs -r kill 2> /dev/null
	if [ "$status" -ne 0 ] && [ "$status" -ne 4 ]; then
		lab_show_logs
	elif [ -n "${lab_is_temporary:-}" ]; then
		rm -rf "$LAB"
	fi
	rm -rf "$LAB"/*.img "$LAB"/*.sock "$LAB/ctl" "$LAB/lan"
	exit "$status"
}

# Of those that still run, all at once.
lab_check_guests() {
	local name state pid failed=0
	local -a pids=()
	while read -r name state; do
		[ "$state" = up ] || continue
		lab_check_guest "$name" &
		pids+=($!)
	done < <(lab_ctl state)
	for pid in "${pids[@]}"; do
		wait "$pid" || failed=1
	done
	return "$failed"
}

lab_check_guest() {
	set -o pipefail
	vm_exec "$1" /blkcast/selftests/debug/finish < /dev/null 2>&1 | sed "s/^/# $1: finish: /"
}

lab_show_logs() {
	local log
	for log in "$LAB"/share/sanitizers/*; do
		[ -s "$log" ] || continue
		echo "# the beginning of $log:"
		head -n 30 "$log" | sed 's/^/#   /'
	done
	for log in "$LAB"/*.console "$LAB/lab.log"; do
		[ -s "$log" ] || continue
		echo "# the end of $log:"
		tail -n 15 "$log" | tr -d '\r' | sed 's/^/#   /'
	done
}

vm_add() {
	local name=$1 option OPTIND=1 OPTARG
	local -a settings=("kernel=$KVER")
	shift
	while getopts k:m:c:a:d: option; do
		case $option in
		k) settings+=("kernel=$OPTARG") ;;
		m) settings+=("memory=$OPTARG") ;;
		c) settings+=("cpus=$OPTARG") ;;
		a) settings+=("append=$OPTARG") ;;
		d) settings+=("disk=$OPTARG") ;;
		*) return 2 ;;
		esac
	done
	lab_ctl add "$name" "${settings[@]}"
}

vm_start() { lab_ctl start "$@"; }
vm_stop() { lab_ctl stop "$1"; }
vm_power_cut() { lab_ctl cut "$1"; }
vm_crash() { lab_ctl crash "$1"; }
vm_link() { lab_ctl link "$1" "$2"; }
vm_lan() { lab_ctl lan "$1" "$2" "$3"; }
vm_disk() { lab_ctl disk "$1" "$2" "$3"; }
vm_exec() { lab_ctl exec -l "${VM_LIMIT:-300}" "$@"; }

vm_load() {
	# shellcheck disable=SC2016 # for the guest's shell
	vm_exec "$1" 'ko=/blkcast/.build/kmod-$KVER/blkcast.ko
		for dep in $(modinfo -F depends "$ko" | tr , " "); do
			modprobe "$dep" || exit
		done
		insmod "$ko"'
}

wait_until() {
	local deadline=$((SECONDS + $1 * LAB_SLOWNESS))
	shift
	until "$@"; do
		if [ "$SECONDS" -ge "$deadline" ]; then
			echo "# in vain: $*" >&2
			return 1
		fi
		sleep 0.2
	done
}
