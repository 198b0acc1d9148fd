#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What writers see and what the copies hold, for each policy and each thing that can
# happen to the replica, the network or the primary. Prints the table that README has.
#
#   primary --- LAN --- replica		each with its disk behind a valve (dm-linear)
#
# A writer writes one block after the other and keeps, outside the guests, what was
# acknowledged (policy_table.py). After each fault: whatever a copy holds is what the
# writer had written at one moment; in the end both copies are equal. The primary is
# killed last; the replica takes over and is the primary for the next policy.
# POLICIES="balanced": these alone.
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

TIMEOUT=2000	# ms, of the link
here=$(dirname "$(readlink -f "$0")")
writer=/blkcast/selftests/guest/policy_table.py
faults=(
	"replica killed" "link cut one way" "link cut both ways" "replica's disk stalls"
	"replica's disk fails" "daemon killed" "primary killed"
)
declare -A cell
primary=g1 replica=g2
uuid=

# ---- the volume ----

valve() {	# valve GUEST linear|error
	vm_exec "$1" "dmsetup suspend --noflush --nolockfs valve
		dmsetup load valve --table \"0 \$(blockdev --getsz /dev/vda) $2\" &&
		dmsetup resume valve"
}

host() {	# host GUEST: up to where the volume can come up
	vm_exec "$1" 'modprobe -a dm-mod sch_netem &&
		dmsetup create valve --table "0 $(blockdev --getsz /dev/vda) linear /dev/vda 0" &&
		dmsetup mknodes' && host_start "$1"
}

create() {	# create GUEST
	vm_exec "$1" "blkcast create data --device /dev/mapper/valve ${uuid:+--uuid $uuid} \
		> /dev/null && blkcast up data" || return
	uuid=$(field "$1" 'v["uuid"]')
}

# A host that comes back knows its configuration, which guests do not keep.
host_again() {
	vm_start "$1" && host "$1" && vm_exec "$1" "mkdir -p /etc/blkcast/volumes.d
		printf '[volume]\nbacking = /dev/mapper/valve\n' > /etc/blkcast/volumes.d/data.conf
		blkcast up data"
}

connect() {
	vm_exec "$primary" "blkcast connect data --peer $replica --address $replica --timeout $TIMEOUT"
}

in_sync() { field_is "$primary" "link['$replica']['in_sync']" True; }
apart() { ! in_sync; }

# ---- the writer ----

log=
next=1
writer_start() {
	vm_exec "$primary" "setsid $writer write /dev/blkcast/data /lab/$log $next > /dev/null 2>&1 < /dev/null &
		echo \$! > /tmp/writer"
	goes_on
}
writer_stop() {
	vm_exec "$primary" 'kill -9 "$(cat /tmp/writer)"; while kill -0 "$(cat /tmp/writer)" 2> /dev/null; do
		sleep 0.1; done; blockdev --flushbufs /dev/blkcast/data'
}
acked() { grep -sc ' 0$' "$LAB/share/$log" || [ -e "$LAB/share/$log" ] || echo 0; }
failed() { grep -vc ' 0$' "$LAB/share/$log" || true; }
acked_past() { [ "$(acked)" -gt "$1" ]; }
goes_on() { wait_until 60 acked_past "$(($(acked) + 20))"; }
waits() { field_is "$primary" "v['suspended'], v['waiting_writes']" "['min-isr'] 1"; }

longest() {	# seconds between two acknowledgements, from the line on
	tail -n "+$(($1 + 1))" "$LAB/share/$log" |
		awk 'NR > 1 && $2 - was > most { most = $2 - was } { was = $2 } END { printf "%.1f", most / 1e9 }'
}

# How many acknowledged writes the primary lacks; nothing if it is not of one moment.
lacking=
judge() {	# judge [GUEST DEVICE]: instead of the primary's volume
	local newest
	vm_exec "${1:-$primary}" "$writer read ${2:-/dev/blkcast/data}" > "$LAB/share/found"
	read -r lacking newest < <("$here/policy_table.py" judge "$LAB/share/$log" "$LAB/share/found")
	next=$((newest + 1))
}

# ---- the faults ----

strike() {
	case $1 in
	"replica killed") vm_crash "$replica" ;;
	"link cut one way") vm_exec "$replica" 'tc qdisc add dev eth0 root netem loss 100%' ;;
	"link cut both ways") vm_lan cut g1 g2 ;;
	"replica's disk stalls") vm_exec "$replica" 'dmsetup suspend --noflush --nolockfs valve' ;;
	"replica's disk fails") valve "$replica" error ;;
	"daemon killed") vm_exec "$replica" 'kill -9 "$(cat /run/blkcast/blkcastd.pid)"' &&
		vm_exec "$primary" 'kill -9 "$(cat /run/blkcast/blkcastd.pid)"' ;;
	esac
}

heal() {
	case $1 in
	"replica killed") host_again "$replica" ;;
	"link cut one way") vm_exec "$replica" 'tc qdisc del dev eth0 root' ;;
	"link cut both ways") vm_lan heal g1 g2 ;;
	"replica's disk stalls") vm_exec "$replica" 'dmsetup resume valve' ;;
	"replica's disk fails") valve "$replica" 'linear /dev/vda 0' ;;
	"daemon killed")
		vm_exec "$replica" 'rm -f /run/blkcast/control' && daemon_start "$replica" &&
			vm_exec "$primary" 'rm -f /run/blkcast/control' && daemon_start "$primary"
		;;
	esac
}

# Below its valve.
disk_has_all() {
	judge "$replica" /dev/vda
	is "... the replica's disk has all that was acknowledged" "$lacking" 0
}

# What is promised while the fault lasts: go on, or wait.
promised() {	# promised POLICY FAULT
	case $1,$2 in
	*,"daemon killed" | available,* | balanced,*) echo "go on" ;;
	*) echo "wait" ;;
	esac
}

fault() {	# fault POLICY FAULT
	local before what
	before=$(acked)
	check "$1, $2" strike "$2"
	case $1,$2 in
	*,"daemon killed" | available,"replica's disk stalls") ;;
	*) check "... is noticed" wait_until 60 apart ;;
	esac
	what=$(promised "$1" "$2")
	if [ "$what" = wait ]; then
		check "... writers wait" wait_until 60 waits
		[ "$2" = "replica killed" ] || disk_has_all
	else
		check "... writers go on" goes_on
	fi
	[ "$what" = wait ] || what+=", longest pause $(longest "$before") s"
	check "... it ends" heal "$2"
	check "... writers go on" goes_on
	check "... in sync by itself" wait_until 120 in_sync
	is "... no write failed" "$(failed)" 0
	cell[$1,$2]=$what
}

primary_killed() {	# primary_killed POLICY
	local was=$primary
	# What is acknowledged without the replica is ahead of it.
	vm_exec "$primary" 'tc qdisc add dev eth0 root netem delay 300ms'
	check "$1: writers go on over a slow link" wait_until 60 acked_past "$(($(acked) + 5))"
	check "$1, primary killed" vm_crash "$primary"
	primary=$replica replica=$was
	check "... the replica takes over" vm_exec "$primary" 'blkcast primary data --force --yes > /dev/null'
	judge
	check "... it holds what was written up to one moment" test -n "$lacking"
	[ "$1" = available ] || is "... and all that was acknowledged" "$lacking" 0
	check "... the old primary is back" host_again "$replica"
	vm_exec "$primary" "blkcast set data --policy $1"
	cell[$1,primary killed]="the replica lacks $lacking acknowledged"
	if [ "$1" = available ]; then
		refuses "... the old primary does not give up by itself what it acknowledged alone" \
			'split brain' connect
		check "... the operator tells it to" \
			vm_exec "$replica" 'blkcast replica data --discard-mine'
		cell[$1,primary killed]+="; the old primary asks"
	fi
	check "... linked" connect
	check "... in sync" wait_until 120 in_sync
	is "... equal" "$(content g1)" "$(content g2)"
}

table() {
	local policy fault row
	echo "# | | available | balanced | consistent |"
	echo "# | --- | --- | --- | --- |"
	for fault in "${faults[@]}"; do
		row="# | $fault"
		for policy in available balanced consistent; do
			row+=" | ${cell[$policy,$fault]:-}"
		done
		echo "$row |"
	done
}

lab_start
vm_add g1 -d 8M
vm_add g2 -d 8M
vm_start g1 g2
hosts_key
host g1
host g2
create g1
create g2
vm_exec g1 'blkcast primary data --force --yes > /dev/null'
connect
for policy in ${POLICIES:-balanced consistent available}; do
	check "$policy" vm_exec "$primary" "blkcast set data --policy $policy"
	check "... in sync" wait_until 60 in_sync
	log=$policy.log
	check "... a writer" writer_start
	for fault in "${faults[@]}"; do
		[ "$fault" = "primary killed" ] || fault "$policy" "$fault"
	done
	check "$policy: the writer ends" writer_stop
	check "... caught up" wait_until 60 field_is "$primary" "link['$replica']['lag_writes']" 0
	judge
	is "... the primary lacks nothing" "$lacking" 0
	is "... the copies are equal" "$(content g1)" "$(content g2)"
	log=$policy-killed.log
	check "... a writer again" writer_start
	primary_killed "$policy"
done
table
ktap_done
