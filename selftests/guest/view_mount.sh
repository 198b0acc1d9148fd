#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Filesystems mount from a view of a replica, while it goes on applying what is
# written: ext4 and xfs, as after a loss of power: the journal is replayed in an
# overlay, fsck finds nothing, files that were synced are there and whole. Views do
# not outlive the host; nothing else is harmed when its power fails.
#
#	a (primary) --- b		a crash in between: c
#
# kernels: both
# set: all
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

local_start -m 900 -d 24M 3 72
local_create a /dev/ram0 --size 64M
local_create b /dev/ram1 --size 64M
on 'modprobe dm-snapshot; modprobe xfs; blkcast primary a && pair a b && blkcast set a --ack disk'
check "in sync" wait_until 60 in_sync a b

# Each file is synced before its checksum is known.
cat > "$LAB/share/writer" <<'EOF2'
#!/bin/bash
n=0
while [ ! -e /run/stop ]; do
	n=$((n + 1)) dir=/mnt/$((n % 7))
	mkdir -p $dir
	head -c $((RANDOM * 4)) /dev/urandom > $dir/$n
	sync -f $dir/$n
	echo "$(md5sum $dir/$n)" >> /run/sums
	[ $n -gt 300 ] && rm -f /mnt/$(((n - 300) % 7))/$((n - 300))
done
EOF2

files() { [ "$(on 'wc -l < /run/sums')" -gt "$1" ]; }

# mounted TYPE HOW: a view of b, with an overlay for the journal
mounted() {
	local known
	known=$(on 'wc -l < /run/sums')
	on "blkcast view create b look > /dev/null &&
		dmsetup create look --table \"0 \$(blockdev --getsz /dev/blkcast/b@look) snapshot \
			/dev/blkcast/b@look /dev/ram2 N 8\" && dmsetup mknodes" || return
	wait_until 60 files $((known + 10)) || return
	on "mount -t $1 -o $2 /dev/mapper/look /look && head -n $known /run/sums | tail -n 50 |
		sed 's,/mnt/,/look/,' | md5sum -c --quiet; code=\$?; umount /look; exit \$code"
}
# fsck TYPE
fsck() {
	case $1 in
	ext4) on 'e2fsck -fn /dev/mapper/look' ;;
	xfs) on 'xfs_repair -n /dev/mapper/look' ;;
	esac
}

for type in ext4 xfs; do
	case $type in
	ext4) mkfs="mkfs.ext4 -q -F -b 4096 -J size=4" how=defaults ;;
	xfs) mkfs="mkfs.xfs -q -K -f --unsupported -l size=8m" how=nouuid ;;
	esac
	on "$mkfs /dev/blkcast/a && mkdir -p /mnt /look && mount -t $type /dev/blkcast/a /mnt &&
		rm -f /run/stop && : > /run/sums &&
		{ bash /lab/writer > /dev/null 2>&1 & echo \$! > /run/writer; disown; }"
	check "$type: files are written" wait_until 120 files 10
	for round in 1 2; do
		check "$type $round: mounted from a view of the replica, files are whole" \
			mounted "$type" "$how"
		check "$type $round: sound" fsck "$type"
		on 'dmsetup remove look && blkcast view remove b look'
	done
	on 'touch /run/stop; while kill -0 $(cat /run/writer) 2> /dev/null; do sleep 0.1; done
		umount /mnt && sync'
	check "$type: the copies are equal" same a b
done

# ---- power ----

local_uuid=
local_create c /dev/vda --size 16M
on 'blkcast primary c && dd if=/dev/urandom of=/dev/blkcast/c bs=1M count=16 oflag=direct conv=fsync status=none &&
	blkcast view create c lost && dd if=/dev/urandom of=/dev/blkcast/c bs=1M count=8 oflag=direct conv=fsync status=none'
was=$(on 'dd if=/dev/blkcast/c bs=1M iflag=direct status=none | md5sum')
vm_power_cut g1
check "back after a loss of power" vm_start g1
vm_load g1
check "the volume comes up" on "mkdir -p /etc/blkcast/volumes.d &&
	printf '[volume]\nbacking = /dev/vda\n' > /etc/blkcast/volumes.d/c.conf && blkcast up c"
is "with what was written" "$(on 'dd if=/dev/blkcast/c bs=1M iflag=direct status=none | md5sum')" "$was"
is "and without views" "$(on 'blkcast view list c')" ''
on 'blkcast down c'
ktap_done
