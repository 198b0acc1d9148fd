#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The metadata after a power cut at any moment: all that a primary and its replica
# write is recorded with dm-log-writes, then cut on this host at every flush and at
# random in between.  At each cut the map must not claim a content that is not
# there (all claims: log_writes/check.h), and ext4 must be whole.
#
# Then both ends come back from cuts of these recordings, each from one of its own,
# are made equal while they are written to, and that is recorded and cut as well.
# Some more of the cut disks are brought up by the kernel, mounted and checked.
#
#	ext4 on ea --- eb	below each of the four volumes a log device, its
#	xfs  on xa --- xb	backing device and log two disks of the guest
#
# kernels: both
# set: all
# timeout: 900
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

# Of each disk of the guest its letter: vda ... vdh, then those that are mounted.
volumes=(ea eb xa xb)
declare -A backing=([ea]=a [eb]=b [xa]=c [xb]=d) log=([ea]=e [eb]=f [xa]=g [xb]=h)
samples=(ea eb eb xa xb)
sample_at=(60 45 85 50 75)	# per cent of the log
sample_disk=(i j k l m)
declare -A disk=([e]=90M [x]=350M)	# mkfs.xfs wants 300
fs_e=48 fs_x=302			# MiB, and behind them nothing but writes
log_bytes=1G
crash_at=$((20 + SEED % 75))
tracing=/sys/kernel/tracing

# ---- in the guest ----

log_devices() {
	local v
	for v in "${volumes[@]}"; do
		on "dev=/dev/vd${backing[$v]} && DM_DISABLE_UDEV=1 dmsetup create $v --table \
			\"0 \$(blockdev --getsz \$dev) log-writes \$dev /dev/vd${log[$v]}\"" || return
	done
}
# A log that has run out of room says so, and has no end.
log_devices_end() {
	on "for v in ${volumes[*]}; do
		! dmsetup status \$v | grep logging_disabled &&
			DM_DISABLE_UDEV=1 dmsetup remove \$v || exit
	done"
}
mark() { on "for v in ${volumes[*]}; do dmsetup message \$v 0 mark $1 || exit; done"; }

trace_start() {
	on "cd $tracing && echo 8192 > buffer_size_kb && echo mono > trace_clock &&
		echo 1 > events/blkcast/blkcast_write_start/enable &&
		echo 1 > events/blkcast/blkcast_write_done/enable"
}
trace_end() {
	on "cat $tracing/trace > /lab/trace && ! grep -h '^overrun' \
		$tracing/per_cpu/*/stats | grep -v ': 0\$'"
}

all() { on "for v in ${volumes[*]}; do blkcast $1 \$v || exit; done"; }
linked() {
	on 'blkcast primary ea --force --yes && blkcast primary xa --force --yes &&
		pair ea eb && pair xa xb'
}
settled() { wait_until 120 in_sync ea eb && wait_until 120 in_sync xa xb; }
equal() { same ea eb && same xa xb; }
is_idle() {
	local v
	for v in "${volumes[@]}"; do
		field_is "$v" 'v["active_groups"] + v["doubt_regions"]' 0 || return
	done
}
minors() {
	local v
	for v in "${volumes[@]}"; do
		field "$v" 'v["minor"]'
	done | tr -d '\n'
}

mounted() { on 'mkdir -p /mnt/e /mnt/x && mount /dev/blkcast/ea /mnt/e && mount /dev/blkcast/xa /mnt/x'; }
unmounted() { on 'umount /mnt/e && umount /mnt/x'; }
# work FIRST COUNT LOGS-E LOGS-X: COUNT files made durable in each filesystem, and
# marked in these logs
work() {
	on "log_writes_work /mnt/e $((SEED + $1)) $1 $2 $3 & e=\$!
		log_writes_work /mnt/x $((SEED + $1)) $1 $2 $4 && wait \$e"
}

# Writes behind the filesystems that nobody flushes.
raw() {
	on "log_writes_work -r /dev/blkcast/ea $((SEED + $1)) $fs_e 12 &&
		log_writes_work -r /dev/blkcast/xa $((SEED + $1)) $fs_x 12"
}

# sample NUMBER: the kernel takes that cut disk and mounts what is on it
sample() {
	local v=${samples[$1]}
	on "sed 's,/dev/mapper/$v,/dev/vd${sample_disk[$1]},' /lab/volumes.d/$v.conf \
			> /etc/blkcast/volumes.d/s$1.conf &&
		blkcast up s$1 && blkcast primary s$1 --force --yes > /dev/null &&
		mount /dev/blkcast/s$1 /mnt &&
		log_writes_work -c /mnt < /lab/marks$1 && umount /mnt || exit
		case $v in
		e*) fsck.ext4 -fn /dev/blkcast/s$1 ;;
		x*) xfs_repair -n /dev/blkcast/s$1 ;;
		esac > /tmp/fsck 2>&1 || { cat /tmp/fsck; exit 1; }
		blkcast down s$1"
}

# ---- on this host ----

image() { # LETTER: the file that is the disk
	echo "$LAB/g1-d$(($(printf %d "'$1") - $(printf %d "'a"))).img"
}
cutcheck() {
	# shellcheck disable=SC2154 # lab_tree: from lab.sh
	"$lab_tree/.build/selftests/guest/cutcheck" -s "$SEED" "$@"
}

# cut VOLUME [OPTION...]: of what was recorded
cut() {
	local v=$1 primary=${1%?}a
	shift
	set -- "$@" trace="$LAB/share/trace" minor="${minor[$primary]}" \
		primary="$(image "${log[$primary]}")" disk="$(image "${backing[$v]}")"
	[ "$v" = "$primary" ] || set -- "$@" replica="$(image "${log[$v]}")"
	cutcheck "$@"
}
# The same of what was recorded after the power cut.
cut_after() {
	local v=$1 primary=${1%?}a
	shift
	cut "$v" "$@" base="$LAB/base-$v.img" primary-base="$LAB/base-$primary.img" \
		before-log="$LAB/before-$primary.img" before-trace="$LAB/before-trace"
}
# power_cut VOLUME: its disk is as it was at a cut, its log is empty
power_cut() {
	cut "$1" -p "$crash_at" -x "$LAB/base-$1.img" -m "$LAB/share/marks-$1" &&
		mv "$(image "${log[$1]}")" "$LAB/before-$1.img" &&
		truncate -s "$log_bytes" "$(image "${log[$1]}")"
}

make -s -C "$lab_tree/selftests" guest || exit 1
lab_start
options=()
for v in "${volumes[@]}"; do
	options+=(-d "${disk[${v%?}]},plain")
done
for v in "${volumes[@]}"; do
	options+=(-d "$log_bytes,plain")
done
for v in "${samples[@]}"; do
	options+=(-d "${disk[${v%?}]},plain")
done
vm_add g1 -m 1024 "${options[@]}" || exit 1
for v in "${volumes[@]}"; do
	cutcheck -g "$(image "${backing[$v]}")" || exit 1
done
vm_start g1 && vm_load g1 && on 'modprobe dm-log-writes && modprobe xfs' || exit 1

# ---- record ----

on 'echo 5 > /sys/module/blkcast/parameters/map_idle'
check "log devices" log_devices
local_create ea /dev/mapper/ea --backlog 1M
local_create eb /dev/mapper/eb
# shellcheck disable=SC2034 # local.sh's
local_uuid=
local_create xa /dev/mapper/xa
local_create xb /dev/mapper/xb
mark created && trace_start || exit 1
declare -A minor=([ea]=0 [xa]=2)
check "in sync" eval 'linked && settled'
# Nothing of mkfs's is left to the background.
check "filesystems" on "mkfs.ext4 -q -F -g 2048 -O ^flex_bg -J size=4 \
	-E lazy_itable_init=0,lazy_journal_init=0 /dev/blkcast/ea ${fs_e}M &&
	mkfs.xfs -q -f -d size=${fs_x}m /dev/blkcast/xa && sync"
settled && mark mkfs && mounted || exit 1

check "work" work 0 12 ea xa
on sync && raw 0
check "groups become idle" wait_until 60 is_idle
on 'pair -d ea eb && pair -d xa xb'
raw 1
check "work while the replica is away" work 100 12 ea xa
on 'pair ea eb && pair xa xb'
check "work while it comes back" work 200 8 ea xa
check "in sync again" settled
on 'blkcast set ea --ack disk && blkcast set xa --ack disk' && settled
check "work that waits for the replica" work 300 12 "ea eb" "xa xb"
check "discards" on 'rm -r /mnt/e/dir[0-2] /mnt/x/dir[0-2] && sync &&
	fstrim /mnt/e && fstrim /mnt/x'
unmounted && settled && raw 2
check "down and up again" eval 'all down && all up && linked && settled'
mounted
check "work in a new reign" work 400 8 ea xa
unmounted && settled
is "the devices are the same" "$(minors)" 0123
check "the copies are equal" equal
raw 3 && all down && on 'cp -r /etc/blkcast/volumes.d /lab/'
check "all is in the logs" log_devices_end
check "all is in the trace" trace_end
vm_stop g1

# ---- cut ----

check "ext4, primary" cut ea -f
check "ext4, replica" cut eb -f
check "xfs, primary" cut xa
check "xfs, replica" cut xb

# ---- come back from cuts ----

for i in "${!samples[@]}"; do
	check "a cut of ${samples[i]}" cut "${samples[i]}" -p "${sample_at[i]}" \
		-x "$(image "${sample_disk[i]}")" -m "$LAB/share/marks$i"
done
# The replicas' are made with their primaries' logs.
for v in eb xb ea xa; do
	check "power is cut: $v" power_cut "$v"
done
for v in "${volumes[@]}"; do
	cp --sparse=always "$LAB/base-$v.img" "$(image "${backing[$v]}")"
done
mv "$LAB/share/trace" "$LAB/before-trace"

vm_start g1 && vm_load g1 && on 'modprobe dm-log-writes && modprobe xfs &&
	mkdir -p /etc/blkcast && cp -r /lab/volumes.d /etc/blkcast/' || exit 1
log_devices && trace_start || exit 1
check "up again" eval 'all up && linked && mounted'
is "the devices are the same" "$(minors)" 0123
check "ext4: what was fsynced is there" on 'log_writes_work -c /mnt/e < /lab/marks-ea'
check "xfs: what was fsynced is there" on 'log_writes_work -c /mnt/x < /lab/marks-xa'
check "work" work 500 8 ea xa
check "in sync" settled
check "work that waits for the replica" work 600 8 "ea eb" "xa xb"
unmounted && settled
check "the copies are equal" equal
raw 4 && all down
check "all is in the logs" log_devices_end
check "all is in the trace" trace_end

for i in "${!samples[@]}"; do
	check "a cut of ${samples[i]} is whole when mounted" sample "$i"
done
vm_stop g1

# ---- cut again ----

check "ext4, primary, after the cut" cut_after ea -f
check "ext4, replica, after the cut" cut_after eb -f
check "xfs, primary, after the cut" cut_after xa
check "xfs, replica, after the cut" cut_after xb
ktap_done
