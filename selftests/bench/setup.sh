#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# In a guest of the benchmark: what is below the systems, and the systems.
# The host calls  setup.sh backing MIB SYSTEM...       in every guest, then
#                 setup.sh make_system SYSTEM BACKING   in every guest it has, the
#                                                       replicas first
#                 setup.sh fill SYSTEM BACKING          in g1: writes it full once
#                 setup.sh device SYSTEM BACKING        in g1: what to write to
#                 setup.sh counters SYSTEM BACKING      in each, before and after
#
# A system is NAME or NAME-N, N the number of its replicas:
#
#   raw                    the device itself
#   blkcast-ACK-N          ack local, memory or disk, 1 to 8 replicas; tls: ack disk,
#                          and links with TLS, all others' are without; fast: ack
#                          disk, and no limit for a resync under load
#   drbd-P, drbd-P-tuned   protocol A, B or C, one replica; with -sums, as blkcast
#                          does, a crc32c of the data is sent and checked
#   md-1                   RAID-1 of the device and the same of g2 over NVMe/TCP,
#                          with a write-intent bitmap
#
# Each system has devices of its own on every guest, numbered alike, so that all
# stand ready at once and are measured by turns.
set -euo pipefail

ROUTE=10.77.0
STATE=/run/bench

systems() { cat $STATE/systems; }

number_of() {	# number_of SYSTEM: 0, 1 ...
	systems | awk -v s="$1" '$1 == s { print NR - 1 }'
}

replicas_of() {	# of a SYSTEM
	case $1 in
	raw) echo 0 ;;
	blkcast-*) echo "${1##*-}" ;;
	*) echo 1 ;;
	esac
}

# ---- what is below ----

null_blk() {	# null_blk NAME KEY=VALUE...
	local at=/sys/kernel/config/nullb/$1 pair
	shift
	mkdir "$at"
	for pair in "$@" power=1; do
		echo "${pair#*=}" > "$at/${pair%%=*}"
	done
}

backing() {
	local mib=$1 count i
	shift
	mkdir -p $STATE
	printf '%s\n' "$@" > $STATE/systems
	count=$#
	modprobe brd rd_nr="$count" rd_size=$((mib << 10))
	modprobe null_blk nr_devices=0
	mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
	for ((i = 0; i < count; i++)); do
		null_blk "wait$i" size="$mib" memory_backed=1 irqmode=2 \
			completion_nsec=4000000 hw_queue_depth=128
		null_blk "meta$i" size="$mib" memory_backed=1 irqmode=2 \
			completion_nsec=4000000 hw_queue_depth=128
		null_blk "cold$i" size=65536 irqmode=0 hw_queue_depth=128
	done
}

below() {	# below SYSTEM BACKING
	local i
	i=$(number_of "$1")
	case $2 in
	ram) echo "ram$i" ;;
	wait) echo "wait$i" ;;
	cold) echo "cold$i" ;;
	disk) echo "vd$(cut -c $((i + 1)) <<< abcdefghijklmnop)" ;;
	esac
}

meta() {	# meta SYSTEM: for the cold backing
	echo "/dev/meta$(number_of "$1")"
}

# ---- blkcast ----

blkcast_prepare() {
	[ ! -e $STATE/blkcast ] || return 0
	mkdir -p /etc/blkcast /run/blkcast
	install -m 600 /lab/key /etc/blkcast/key
	# As the peers: none of them encrypts.
	printf '[daemon]\nplain = yes\n' > /etc/blkcast/blkcast.conf
	setsid blkcastd > /run/bench/blkcastd.log 2>&1 < /dev/null &
	touch $STATE/blkcast
	until [ -S /run/blkcast/control ]; do sleep 0.1; done
}

uuid_of() {	# the same on every host
	md5sum <<< "$1" | sed -E 's/^(.{8})(.{4})(.{4})(.{4})(.{12}).*/\1-\2-\3-\4-\5/'
}

blkcast_make() {
	local system=$1 backing=$2 volume=$1-$2 ack replicas i
	local -a place=(--device "/dev/$(below "$1" "$2")") plain=(--plain) rate=()
	replicas=${system##*-}
	ack=${system#blkcast-}
	ack=${ack%-*}
	case $ack in
	tls)
		ack=disk plain=()
		modprobe tls
		;;
	fast) ack=disk rate=(--resync-rate 1T) ;;
	esac
	[ "$backing" != cold ] || place+=(--meta "$(meta "$system")")
	blkcast_prepare
	blkcast create "$volume" "${place[@]}" --uuid "$(uuid_of "$volume")" \
		--ack "$ack" > $STATE/out
	blkcast up "$volume"
	[ "${#rate[@]}" = 0 ] || blkcast set "$volume" "${rate[@]}"
	[ "$GUEST" = 1 ] || return 0
	# Of a volume whose uuid is given, another copy might have content.
	blkcast primary "$volume" --force --yes > $STATE/out
	for ((i = 2; i <= replicas + 1; i++)); do
		blkcast connect "$volume" --peer "g$i" --address "g$i" "${plain[@]}" \
			--timeout 120000
	done
}

# ---- DRBD ----

drbd_make() {
	local system=$1 backing=$2 resource=$1-$2 i protocol md=internal disk="" net=""
	i=$(systems_backings | awk -v s="$system $backing" '$0 == s { print NR - 1 }')
	protocol=${system#drbd-}
	protocol=${protocol%%-*}
	[ "$backing" != cold ] || md="$(meta "$system")"
	case $system in
	*-tuned*)
		disk="al-extents 6433; c-plan-ahead 20; c-max-rate 1000M; c-min-rate 0; c-fill-target 1M;"
		net="max-buffers 16000; max-epoch-size 16000; sndbuf-size 0;"
		;;
	esac
	case $system in
	*-sums) net+=" data-integrity-alg crc32c;" ;;
	esac
	modprobe drbd
	mkdir -p /etc/drbd.d /var/lib/drbd
	cat > "/etc/drbd.d/$resource.res" <<-EOF
	resource $resource {
		disk { $disk }
		net { protocol $protocol; $net }
		device minor $i;
		disk /dev/$(below "$system" "$backing");
		meta-disk $md;
		on g1 { address $ROUTE.1:$((7800 + i)); }
		on g2 { address $ROUTE.2:$((7800 + i)); }
	}
	EOF
	drbdadm create-md --force "$resource" > $STATE/out 2>&1 <<< yes
	drbdadm up "$resource"
	[ "$GUEST" = 1 ] || return 0
	until [ "$(drbdadm cstate "$resource")" = Connected ]; do sleep 0.2; done
	drbdadm -- --clear-bitmap new-current-uuid "$resource"
	drbdadm primary "$resource"
}

# All pairs that can be, for numbers that no two resources share.
systems_backings() {
	local system backing
	for system in $(systems); do
		for backing in ram wait disk cold; do
			echo "$system $backing"
		done
	done
}

drbd_device() {
	systems_backings | awk -v s="$1 $2" '$0 == s { print "/dev/drbd" NR - 1 }'
}

# ---- md over NVMe/TCP ----

md_export() {
	local name=bench-$1 root=/sys/kernel/config/nvmet device=$2
	modprobe -a nvmet nvmet-tcp
	mkdir -p "$root/subsystems/$name/namespaces/1"
	echo 1 > "$root/subsystems/$name/attr_allow_any_host"
	echo "$device" > "$root/subsystems/$name/namespaces/1/device_path"
	echo 1 > "$root/subsystems/$name/namespaces/1/enable"
	if [ ! -e "$root/ports/1" ]; then
		mkdir "$root/ports/1"
		echo ipv4 > "$root/ports/1/addr_adrfam"
		echo tcp > "$root/ports/1/addr_trtype"
		echo 4420 > "$root/ports/1/addr_trsvcid"
		echo "$ROUTE.2" > "$root/ports/1/addr_traddr"
	fi
	ln -s "$root/subsystems/$name" "$root/ports/1/subsystems/$name"
}

md_make() {
	local backing=$2 device before far
	device=/dev/$(below "$1" "$backing")
	if [ "$GUEST" != 1 ]; then
		md_export "$backing" "$device"
		return
	fi
	modprobe nvme-tcp
	before=$(cd /sys/block && ls)
	echo "transport=tcp,traddr=$ROUTE.2,trsvcid=4420,nqn=bench-$backing" > /dev/nvme-fabrics
	until far=$(comm -13 <(echo "$before") <(cd /sys/block && ls) | grep -E '^nvme[0-9]+n1$'); do
		sleep 0.1
	done
	modprobe raid1
	mdadm --create "/dev/md/$backing" --run --assume-clean --level=1 --raid-devices=2 \
		--bitmap=internal --metadata=1.2 "$device" "/dev/$far" > $STATE/out 2>&1
}

# ---- all ----

# Nothing is measured on regions that were never written: a first write is another thing
# than the ten thousandth. Of the cold device, which keeps nothing, that is the first block
# of each two MiB, and no more is written to.
fill() {	# fill SYSTEM BACKING, in g1
	local device
	device=$(device "$1" "$2")
	case $1-$2 in
	raw-cold | drbd-*-cold | md-*-cold) ;;
	*-cold) fio --name=fill --filename="$device" --direct=1 --ioengine=libaio --iodepth=64 \
		--rw=write:2044k --bs=4k --io_size=128m > $STATE/out ;;
	*) dd if=/dev/zero of="$device" bs=1M oflag=direct 2> $STATE/out || grep -q 'No space left' $STATE/out ;;
	esac
	sync "$device"
}

# What the benchmark takes the difference of, before and after.
counters() {	# counters SYSTEM BACKING
	head -n "$(($(nproc) + 1))" /proc/stat
	grep eth0: /proc/net/dev
	echo "disk $(cat "/sys/block/$(below "$1" "$2")/stat")"
	[ "$2" != cold ] || echo "meta $(cat "/sys/block/$(basename "$(meta "$1")")/stat")"
}

make_system() {
	case $1 in
	raw) ;;
	blkcast-*) blkcast_make "$1" "$2" ;;
	drbd-*) drbd_make "$1" "$2" ;;
	md-*) md_make "$1" "$2" ;;
	esac
}

device() {
	case $1 in
	raw) echo "/dev/$(below "$1" "$2")" ;;
	blkcast-*) echo "/dev/blkcast/$1-$2" ;;
	drbd-*) drbd_device "$1" "$2" ;;
	md-*) echo "/dev/md/$2" ;;
	esac
}

# What a command said that nobody was to see, unless it failed.
trap '[ $? = 0 ] || ! [ -s $STATE/out ] || cat $STATE/out >&2' EXIT
"$@"
