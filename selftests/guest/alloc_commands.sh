#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Memory that is not to be had, for commands to a volume in use, and for what carries them
# out: each allocation fails once, in the task that gives the command, or in the module's
# threads and the kernel's workers. A command says why and has done nothing, or all; what
# only has to be recorded never fails for memory; what was acknowledged is there, on both
# copies.
#
#	a (primary) --- b, and g: on dm-linear of RAM disks, filled: they allocate nothing
#
# What is done and looked at after each failure: see failnth.
#
# kernels: 6.12-debug
# set: all
# timeout: 9000
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

kernel_checks "$KVER" || skip_all "the kernel cannot fail allocations: make check-debug"
MIB=2048	# sectors
declare -A ram=([a]=0 [b]=1 [g]=2)

each() { VM_LIMIT=900 on "failnth $*"; }
now() { on "failnth -n $*" || exit 1; }
# table VOLUME SECTORS [UNREADABLE]: how large its disk is, what cannot be read at its begin
table() {
	local disk=/dev/ram${ram[$1]} bad=${3:-0}
	[ "$bad" -eq 0 ] || echo "0 $bad flakey $disk 0 0 3600 1 error_reads"
	echo "$bad $(($2 - bad)) linear $disk $bad"
}
turn() {
	on "dmsetup suspend --noflush --nolockfs $1 && dmsetup load $1 <<< '$(table "$@")' &&
		dmsetup resume $1"
}

local_start 3 80
on 'modprobe dm-flakey && modprobe tls && modprobe chacha20poly1305 && modprobe dm-mod
	for size in 0:32 1:32 2:80; do
		dd if=/dev/zero of=/dev/ram${size%:*} bs=1M count=${size#*:} conv=fsync status=none
	done'
for v in a b g; do
	on "dmsetup create $v --table '$(table $v $((16 * MIB)))' && dmsetup mknodes"
	[ $v != g ] || local_uuid=
	local_create $v /dev/mapper/$v
done
on '/blkcast/selftests/guest/alloc_failures.py often 0 && blkcast primary a && blkcast primary g'

# ---- links ----

check "a link, and the right to the next reign" \
	each -s 13 pair:a:b part:a:b replica:a primary:a
check "the replica's end" each follow:b:a unfollow:b:a replica:a primary:a
check "a link with TLS" each -s 13 pair:a:b:tls part:a:b

# ---- what only has to be recorded ----

now mend:a:b
for set in ack:1/ack:0 ack:2/ack:0 min-isr:2/min-isr:1 on-loss:1/on-loss:0 max-lag:500/max-lag:0 \
	rate:1000000/rate:2000000 active:100000000/active:200000000; do
	check "set ${set%/*}" each "set:a:${set%/*}" write:a "set:a:${set#*/}" mend:a:b holds:b
done
now set:a:ack:1
for set in membership:1/membership:0 on-io-error:1/on-io-error:0; do
	check "set ${set%/*}" each "set:a:${set%/*}" write:a holds:b "set:a:${set#*/}" mend:a:b
done
now set:a:membership:1
check "out of the in-sync set" each member:a:b:0 write:a member:a:b:1 synced:a:b write:a holds:b
now member:a:b:0
check "into it" each member:a:b:1 synced:a:b write:a holds:b member:a:b:0
now member:a:b:1 synced:a:b set:a:membership:0 mend:a:b
check "a lease" each lease:a:1000 write:a lease:a:0
check "suspend" each suspend:a resume:a write:a
now suspend:a
check "resume" each resume:a write:a suspend:a
now resume:a

# ---- who is primary ----

check "hand over" each replica:a:b primary:b write:b mend:b:a holds:a replica:b:a primary:a mend:a:b
# The heir hears of the link's end a moment later: it is a part of what is compared.
now set:a:ack:1 replica:a:b parted:b:a
check "take over" each primary:b write:b mend:b:a holds:a replica:b:a primary:a mend:a:b \
	replica:a:b parted:b:a
now primary:b mend:b:a replica:b:a primary:a mend:a:b
check "down, and primary again" each down:a up:a:/dev/mapper/a primary:a mend:a:b holds:b
check "deposed" each depose:a force:a mend:a:b write:a
check "go on without its device" each detach:a write:a holds:b replica:a:b primary:b down:a \
	up:a:/dev/mapper/a mend:b:a holds:a replica:b:a primary:a mend:a:b

# ---- its size ----

turn a $((32 * MIB))
turn b $((32 * MIB))
check "grow" each grow:a:128 write:a mend:a:b holds:b
check "a replica grows" each -t grow:a:128 write:a mend:a:b holds:b
is "it has the size" "$(field a 'v["bytes"]')" "$(field b 'v["bytes"]')"
# By more than the superblock's place and the map: see grow_map.c.
cat > "$LAB/share/enlarge" <<'END'
step=$((2112 * 512)) end=$(cat /tmp/end)
for at in $((end - step - 1048576)) $((end - step - 4096)); do
	cmp -n 4096 /dev/zero <(dd if=/dev/mapper/g bs=4k count=1 skip=$at \
		iflag=direct,skip_bytes status=none) || exit
done
echo $((end + step)) > /tmp/end
dmsetup suspend g && dmsetup load g <<< "0 $(((end + step) / 512)) linear /dev/ram2 0" &&
	dmsetup resume g
END
on 'echo 16777216 > /tmp/end; bash /lab/enlarge' || exit 1
check "where the metadata move, no old superblock is left" \
	each -s 7 grow:g:2080 "'sh:bash /lab/enlarge'"

# ---- what carries it out ----

now set:a:ack:1 set:a:min-isr:2 set:a:on-loss:1 mend:a:b
check "writes" each -t write:a part:a:b holds:b mend:a:b holds:a
now view:a:v:m view:b:v:m
check "writes beneath views" each -t write:a seen:a:v seen:b:v mend:a:b unview:a:v unview:b:v \
	view:a:v:m view:b:v:m holds:a holds:b
now unview:a:v unview:b:v
check "a replica's view" each -s 7 view:b:v:m unview:b:v
check "a comparison" each -t compare:a:b mend:a:b
check "what it found" each differing:a:b mend:a:b
now part:a:b mend:a:b:tls
check "writes by TLS" each -t -s 3 write:a part:a:b holds:b mend:a:b:tls holds:a
turn a $((32 * MIB)) 512
check "reads that a replica serves" each -t holds:a mend:a:b
check "and who reads" each holds:a mend:a:b
turn a $((32 * MIB))
now write:a holds:a
check "a hand-over" each -t replica:a:b force:a mend:a:b write:a holds:a holds:b
check "the copies are equal" same a b
ktap_done
