#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Memory is short and full of what has to be written to the volume: that goes through
# the network all the same, on a primary, on a replica, and while the link has to be
# made anew before any writer may go on. The last over a link without TLS, whose socket
# keeps the writes' own pages.
#
#   g1 (primary, ack=disk, ext4) ---- LAN ---- g2		384 MiB of memory each
#
# kernels: both
# set: all
# timeout: 1500
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/hosts.sh
. "$(dirname "$0")/../lib/hosts.sh"

PROGRESS=120	# seconds in which at least one write must be done
LEFT=40		# MiB that remain available
FILE=32		# MiB of each file; two at a time
pressure=/blkcast/selftests/guest/memory_pressure.py
MEMORY=384

in_sync() { field_is g1 "link['g2']['in_sync'], link['g2']['lag_writes']" 'True 0'; }
suspended() { field_is g1 "v['suspended']" "['min-isr']"; }

hog() {	# hog GUEST: until hog_end
	vm_exec "$1" "setsid $pressure hog $LEFT > /dev/null 2>&1 < /dev/null & echo \$! > /tmp/hog
		while [ \$(awk '/^MemAvailable/ { print \$2 }' /proc/meminfo) -gt $(((LEFT + 8) * 1024)) ]; do
			kill -0 \$(cat /tmp/hog) || exit; sleep 0.2
		done"
}
hog_end() { vm_exec "$1" 'kill -9 $(cat /tmp/hog)'; }

# Two files at once, by write(2) and by a mapping; what is not written back yet fills memory.
writers() {	# writers NAME
	vm_exec g1 "rm -f /mnt/*.[wd] /tmp/over; (
		$pressure write /mnt/$1.w $FILE & write=\$!; $pressure dirty /mnt/$1.d $FILE & dirty=\$!
		wait \$write && wait \$dirty && sync -f /mnt && touch /tmp/over) > /tmp/writers 2>&1 < /dev/null &"
}
over() { vm_exec g1 'test -e /tmp/over'; }
done_bytes() { field g1 "v['write_bytes']"; }
# Until the writers are done, as long as they get on.
goes_on() {
	local last=0 now since=$SECONDS begun=$SECONDS
	until over; do
		now=$(done_bytes)
		if [ "$now" != "$last" ]; then
			last=$now since=$SECONDS
		elif [ $((SECONDS - since)) -gt "$PROGRESS" ]; then
			echo "nothing for $PROGRESS s, $now bytes are written; $(vm_exec g1 "cat /tmp/writers")"
			return 1
		fi
		sleep 1
	done
	echo "$((SECONDS - begun)) s; most dirty: $(vm_exec g1 'cat /tmp/most') KiB"
}
watch_dirty() {
	vm_exec g1 'setsid bash -c "most=0; while read -r _ n _ < <(grep ^Dirty: /proc/meminfo); do
		[ \$n -le \$most ] || { most=\$n; echo \$n > /tmp/most; }; sleep 0.3; done" > /dev/null 2>&1 < /dev/null &'
}
files_are() {
	vm_exec g1 "echo 3 > /proc/sys/vm/drop_caches && $pressure check /mnt/$1.w $FILE && $pressure check /mnt/$1.d $FILE"
}
equal() { wait_until 120 in_sync && [ "$(content g1)" = "$(content g2)" ]; }

lab_start
vm_add g1 -m $MEMORY -d 288M,plain
vm_add g2 -m $MEMORY -d 288M,plain
vm_start g1 g2
hosts_key
for guest in g1 g2; do
	vm_exec $guest 'mkdir -p /etc/blkcast && printf "[daemon]\nplain = yes\n" > /etc/blkcast/blkcast.conf'
done
host_start g1
host_start g2
volume_create g1 --ack disk
volume_create g2 --ack disk
vm_exec g1 'blkcast primary data && blkcast connect data --peer g2 --address g2'
check "in sync" wait_until 60 in_sync
for guest in g1 g2; do
	# As its unit does.
	vm_exec $guest 'echo -900 > /proc/$(cat /run/blkcast/blkcastd.pid)/oom_score_adj'
	is "$guest: its daemon stays in memory" "$(vm_exec $guest \
		'awk "/^VmLck/ { print (\$2 > 0) }" /proc/$(cat /run/blkcast/blkcastd.pid)/status')" 1
done
vm_exec g1 'mkfs.ext4 -q -E nodiscard /dev/blkcast/data && mount /dev/blkcast/data /mnt &&
	sysctl -qw vm.dirty_ratio=90 vm.dirty_background_ratio=80 vm.overcommit_memory=1'
watch_dirty

check "the primary's memory is taken" hog g1
writers primary
check "writes go on" goes_on
check "the files are what was written" files_are primary
hog_end g1

check "the replica's memory is taken" hog g2
writers replica
check "writes go on" goes_on
check "the files are what was written" files_are replica
vm_exec g1 'fsfreeze -f /mnt'	# which writes in the background, too
check "the copies are equal" equal
vm_exec g1 'fsfreeze -u /mnt'

vm_exec g1 'blkcast disconnect data --peer g2 && blkcast connect data --peer g2 --address g2 --plain'
check "in sync, without TLS" wait_until 120 in_sync
check "both are to wait for the replica" vm_exec g1 'blkcast set data --policy consistent'
check "memory is taken on both" eval 'hog g1'
writers both
check "it is written to" wait_until 60 eval '[ "$(vm_exec g1 "cat /tmp/most")" -gt 0 ] && ! over'
vm_lan cut g1 g2
check "writers wait" wait_until "$PROGRESS" suspended
vm_exec g1 "grep -E '^(MemFree|MemAvailable|Dirty|Writeback):' /proc/meminfo" | sed 's/^/# /'
vm_lan heal g1 g2
check "linked anew, writes go on" goes_on
check "the files are what was written" files_are both
hog_end g1
hog_end g2
vm_exec g1 'umount /mnt'
check "the copies are equal" equal
is "no allocation has failed" "$(cat "$LAB"/g*.console | grep -c 'page allocation failure')" 0
ktap_done
