#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A replica with a limit to the age of what it shows serves readers while it is
# young enough, idle or under load, and turns them away, never too late, when the
# primary cannot be heard, when the stream waits, here or on its way, and while it is
# made equal. Views are what they are.
#
#   g1 (primary) ---- LAN ---- g2 (replica, max-lag 4 s)
#
# kernels: both
# set: all
# timeout: 600
# shellcheck disable=SC2016 # for the guest's shell

# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/hosts.sh
. "$(dirname "$0")/../lib/hosts.sh"

LIMIT=4	# s

in_sync() { field_is g1 "link['g2']['state'], link['g2']['lag_writes']" 'in-sync 0'; }
connect() { vm_exec g1 "blkcast connect data --peer g2 --address g2 --timeout 20000"; }
block() { vm_exec "$1" 'dd if=/dev/blkcast/data bs=64k count=1 iflag=direct status=none | md5sum'; }
served() { vm_exec g2 'dd if=/dev/blkcast/data of=/dev/null bs=64k count=1 iflag=direct 2>&1'; }
turned_away() { ! served > /dev/null; }
write() { vm_exec g1 "dd if=/dev/urandom of=/dev/blkcast/data bs=64k count=$1 oflag=direct conv=notrunc,fsync status=none"; }
uptime() { vm_exec g2 'cut -d " " -f 1 /proc/uptime'; }
sum() { awk "BEGIN { print ($1) }"; }

numbers=/blkcast/selftests/guest/max_lag.py

# Reads until one fails: when, in s of uptime, the last one began that did not.
read_on='while t=$(cut -d " " -f 1 /proc/uptime)
	dd if=/dev/blkcast/data of=/dev/null bs=64k count=1 iflag=direct 2> /run/why
do last=$t; done; echo $last'

lab_start
vm_add g1 -d 32M
vm_add g2 -d 32M
vm_start g1 g2
hosts_key
host_start g1
host_start g2
# So that a PING stands behind all of a burst that is on its way.
vm_exec g1 'sysctl -qw net.ipv4.tcp_wmem="4096 4194304 4194304"'
volume_create g1 --backlog 1M
volume_create g2
vm_exec g1 'blkcast primary data'
for wrong in 5 99ms 25h -1s never; do
	refuses "a limit of $wrong" '100ms..24h' vm_exec g2 "blkcast set data --max-lag $wrong"
done
check "a limit" vm_exec g2 "blkcast set data --max-lag ${LIMIT}s"
is "which is kept" "$(vm_exec g2 'grep max-lag /etc/blkcast/volumes.d/data.conf')" \
	"max-lag = ${LIMIT}000ms"
refuses "a copy of which nobody can say how old it is" 'timed out' served
like "status says so" "$(vm_exec g2 'blkcast status data')" 'nobody knows how old: readers are turned away'
connect
check "in sync" wait_until 60 in_sync
write 16
check "caught up" wait_until 60 in_sync

# ---- young ----

check "served when it is in sync" wait_until 60 served
is "what is there" "$(block g2)" "$(block g1)"
like "status says so" "$(vm_exec g2 'blkcast status data')" 'shows what is .* old: readers are served'
vm_exec g1 'fio --name=w --filename=/dev/blkcast/data --rw=randwrite --direct=1 --bs=4k \
	--offset=16m --size=1m --rate_iops=50 --time_based --runtime=600 > /dev/null 2>&1 &'
check "under load for twice the limit" vm_exec g2 'end=$(($(cut -d . -f 1 /proc/uptime) + 8))
	while [ $(cut -d . -f 1 /proc/uptime) -lt $end ]; do
		dd if=/dev/blkcast/data of=/dev/null bs=64k count=1 iflag=direct status=none || exit 1
	done'
vm_exec g1 'pkill -x fio; while pgrep -x fio > /dev/null; do sleep 0.1; done'
check "idle for twice the limit" vm_exec g2 'end=$(($(cut -d . -f 1 /proc/uptime) + 8))
	while [ $(cut -d . -f 1 /proc/uptime) -lt $end ]; do
		dd if=/dev/blkcast/data of=/dev/null bs=64k count=1 iflag=direct status=none || exit 1
	done'

# ---- unheard ----

vm_exec g2 'blkcast view create data then > /dev/null'
was=$(block g2)
vm_lan cut g1 g2
cut=$(uptime)
write 16
last=$(vm_exec g2 "$read_on")
ktap_comment "the last read was served $(sum "$last - $cut") s after the cut"
check "turned away when it is too old" test "$(sum "$last - $cut <= $LIMIT")" = 1
like "with a reason" "$(vm_exec g2 'cat /run/why')" 'timed out'
check "which is counted" test "$(field g2 'v["reads_turned_away"]')" -gt 0
check "and its age is told" test "$(sum "$(field g2 'v["age_seconds"]') > $LIMIT")" = 1
is "a view is what it is" "$(vm_exec g2 'dd if=/dev/blkcast/data@then bs=64k count=1 iflag=direct status=none | md5sum')" "$was"
vm_exec g2 'blkcast view remove data then'
vm_lan heal g1 g2
check "served when the primary is heard again" wait_until 60 served
is "what is new" "$(block g2)" "$(block g1)"

# ---- a stream that waits ----

vm_exec g2 "$numbers read /dev/blkcast/data /lab/told 150 $LIMIT" &
reader=$!
check "there is a reader" wait_until 60 test -e "$LAB/share/told.served"
vm_exec g1 "tc qdisc add dev eth0 root netem rate 500kbit
	dd if=/dev/urandom of=/dev/blkcast/data bs=64k count=14 oflag=direct conv=notrunc status=none
	$numbers write /dev/blkcast/data /lab/told 150 > /dev/null 2>&1 < /dev/null &"
check "the stream waits" wait_until 60 field_is g1 'link["g2"]["lag_seconds"] > 2' True
first=$(field g1 'link["g2"]["lag_seconds"] or 0')
age=$(field g2 'v["age_seconds"]')
then=$(field g1 'link["g2"]["lag_seconds"] or 0')
ktap_comment "lag $first s, age $age s, lag $then s"
check "the age is no less than the lag" test "$(sum "$age >= ($first < $then ? $first : $then) - 0.1")" = 1
wait "$reader"
is "whoever was served has seen what was done before the limit" $? 0
vm_exec g1 'tc qdisc del dev eth0 root'
check "caught up" wait_until 60 in_sync
check "served again" wait_until 60 served

# ---- under a resync ----

vm_exec g1 'blkcast disconnect data --peer g2'
write 64
vm_exec g1 'blkcast set data --resync-rate 64K
	fio --name=w --filename=/dev/blkcast/data --rw=randwrite --direct=1 --bs=4k --offset=16m --size=1m \
	--rate_iops=50 --time_based --runtime=600 > /dev/null 2>&1 &'
connect
check "it is made equal" wait_until 60 field_is g2 'v["inconsistent"]' True
refuses "turned away meanwhile" 'timed out' served
vm_exec g1 'blkcast set data --resync-rate 1G; pkill -x fio; while pgrep -x fio > /dev/null; do sleep 0.1; done'
check "in sync" wait_until 60 in_sync
check "served again" wait_until 60 served
is "equal" "$(content g2)" "$(content g1)"
vm_lan cut g1 g2
check "turned away once more" wait_until 60 turned_away
check "without a limit all are served" vm_exec g2 'blkcast set data --max-lag none &&
	dd if=/dev/blkcast/data of=/dev/null bs=64k count=1 iflag=direct status=none'
ktap_done
