#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# membership=managed: nobody enters or leaves the in-sync set by himself. A member that
# is lost holds the writers until it is back, or `blkcast member` puts it out; what was
# acknowledged is on every member. And the lease: after it nothing succeeds, whatever was
# on its way, until there is a new one.
#
#	a (primary) --- b
#	           `--- c		a's data and metadata each behind a valve (dm)
#
# kernels: 6.12
# set: all
# timeout: 600
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

io=/blkcast/selftests/guest/managed_io.py

valve() { on "dmsetup create $1 --table \"0 \$(blockdev --getsz $2) linear $2 0\" && dmsetup mknodes"; }
shut() { on "dmsetup suspend --noflush --nolockfs $1"; }
open() { on "dmsetup resume $1"; }
set_a() { on "blkcast set a $1"; }
link() { on "pair -m -t 60000 a $1"; }
cut() { on "pair -d a $1"; }
member() { on "blkcast member a $1 $2"; }
set_is() { field_is a 'len(v["in_sync_nodes"])' "$1"; }
missing() { field_is a 'v["missing_members"], v["suspended"]' "$1"; }
state_is() { field_is a "links['$1']['state']" "$2"; }
waits() { field_is a 'v["waiting_writes"] > 0' True; }
uptime() { on 'cut -d " " -f 1 /proc/uptime'; }
past() { awk -v a="$(uptime)" -v b="$1" 'BEGIN { exit !(a > b + 1.2) }'; }
told() { on "grep -q '$1' /tmp/events"; }

# started NAME COMMAND: runs on; its exit status appears in /tmp/NAME
started() { on "rm -f /tmp/$1; { $2; echo \$? > /tmp/$1.new; mv /tmp/$1.new /tmp/$1; } \
	> /tmp/$1.out 2>&1 < /dev/null &"; }
runs() { on "test ! -e /tmp/$1"; }
ended() { wait_until "${3:-60}" on "test -e /tmp/$1" && is "$1 ends" "$(on "cat /tmp/$1")" "$2"; }
stays() { ! wait_until 3 on "test -e /tmp/$1"; }
writer() { started "$1" "$io write /dev/blkcast/a /tmp/$1.log $2 $3"; }
reader() { started "$1" "$io read /dev/blkcast/a /tmp/$1.log $2 $3"; }
# A fast host's writer is still at it when it is looked for.
slow_link() { on 'tc qdisc add dev lo root netem delay 10ms'; }
fast_link() { on 'tc qdisc del dev lo root'; }
wrote() { on "[ \$(wc -l < /tmp/$1.log) -gt $2 ]"; }
hold() { on "for n in $2; do $io has /dev/blkcast/\$n /tmp/$1.log || exit; done"; }

local_start -m 768 4 24
on 'modprobe -a sch_netem dm-mod'
valve data /dev/ram0
valve meta /dev/ram3
refuses "without ack=disk there is no such set" 'goes with --ack disk' \
	on 'blkcast create a --device /dev/mapper/data --membership managed'
local_create a /dev/mapper/data --meta /dev/mapper/meta --size 16M --ack disk --membership managed
local_create b /dev/ram1 --size 16M
local_create c /dev/ram2 --size 16M
on 'blkcast primary a'
is "managed" "$(field a 'v["membership"], v["in_sync_nodes"], v["suspended"]')" "('managed', [], [])"
on 'blkcast events a > /tmp/events 2>&1 < /dev/null &'

# ---- in ----

on 'tc qdisc add dev lo root netem delay 1000ms'
refuses "not in before it has caught up" 'has not caught up' \
	on 'pair -m -t 60000 a b; blkcast member a b in'
on 'tc qdisc del dev lo root'
link c
check "caught up, and no more than that" wait_until 60 state_is b caught-up
check "told" wait_until 20 told caught-up
like "the status says what to do" "$(on 'blkcast status a')" "blkcast member a b in"
is "nobody is in" "$(field a 'v["in_sync_copies"], links["b"]["in_sync"]')" "(1, False)"
check "in" member b in
check "in the set" set_is 1
check "the other" wait_until 60 member c in
check "two in the set" set_is 2
is "twice is once" "$(member b in; field a 'v["in_sync_copies"]')" 3
refuses "no such link" 'no such link' member d in
refuses "not in" 'not in the in-sync set' member d out
refuses "not with another ack" 'goes with ack' set_a '--ack local'

# ---- lost: writers wait ----

slow_link
writer w 0 1200
check "writers run" wait_until 60 wrote w 20
# One is on its way, to one of them at least: it is not parked at the gate.
on 'tc qdisc replace dev lo root netem loss 100%'
check "on its way" wait_until 60 field_is a 'max(links[i]["lag_writes"] for i in "bc")' 1
cut b
fast_link
check "it waits" wait_until 60 field_is a 'v["waiting_writes"], links["c"]["lag_writes"]' '(1, 0)'
check "for it" missing "(['b'], ['member'])"
check "it is in the set all the same" set_is 2
check "told" wait_until 20 told 'member-lost .*peer=b'
like "the status says what to do" "$(on 'blkcast status a')" "blkcast member a b out"
check "reads go on" on "$io read /dev/blkcast/a /tmp/r.log 0 10"
check "what was acknowledged is on all members" hold w 'b c'
on 'cp /tmp/w.log /tmp/before.log'
n=$(on 'wc -l < /tmp/w.log')
shut meta
started out 'blkcast member a b out'
check "being put out" wait_until 60 missing '([], [])'
check "not done before that is recorded" stays out
is "nothing is acknowledged before that is recorded" "$(on 'wc -l < /tmp/w.log')" "$n"
open meta
ended out 0
check "the set without it" set_is 1
ended w 0 120
check "what was acknowledged is on the member that is left" hold w c
check "and what was before on the other, too" hold before b

# ---- back: not by itself ----

link b
check "caught up" wait_until 60 state_is b caught-up
check "not in the set" set_is 1
check "in" member b in
check "the copies are equal" same a b c

# ---- back by itself, who never was out ----

cut c
writer w 2000 1
check "waits" wait_until 60 waits
link c
ended w 0
check "in the set" set_is 2
check "in sync" wait_until 60 in_sync a b c
check "the copies are equal" same a b c

# ---- or fail; min-isr ----

set_a '--on-loss error --min-isr 2'
cut b
refuses "with on-loss error writes fail" '^$' on "$io write /dev/blkcast/a /tmp/e.log 2001 1"
check "with EIO" on 'grep -q " 5$" /tmp/e.log'
check "one of two may go" member b out
refuses "the last one not" 'fewer copies than min-isr' member c out
check "writes go on" on "$io write /dev/blkcast/a /tmp/e.log 2002 5"
set_a '--on-loss suspend --min-isr 1'
cut c
check "missing" wait_until 60 missing "(['c'], ['member'])"
check "auto: who is lost leaves" set_a '--membership auto'
check "alone" wait_until 60 set_is 0
check "writes go on" on "$io write /dev/blkcast/a /tmp/e.log 2010 5"
link b
check "and who comes is in" wait_until 60 set_is 1
check "managed again" set_a '--membership managed'
check "is in" set_is 1

# ---- the lease, on what is on its way ----

refuses "a replica has none" 'not primary' on 'blkcast lease b --for 10'
check "a lease" on 'blkcast lease a --for 600'
is "left" "$(field a '580 < v["lease_seconds"] <= 600, v["lease_over"]')" '(True, False)'
check "it serves" on "$io write /dev/blkcast/a /tmp/e.log 2020 20 && $io read /dev/blkcast/a /tmp/e.log 2020 20"
shut data
writer w 2020 4
reader r 2020 4
check "on their way" wait_until 30 on 'dmsetup info data | grep -q SUSPENDED && test -e /tmp/r.log && test -e /tmp/w.log'
deadline=$(uptime)
check "over" on "blkcast lease a --until $deadline"
check "for a while" wait_until 60 past "$deadline"
open data
ended r 1
check "what was read too late fails" on 'grep -q " 5$" /tmp/r.log'
check "what was written too late waits" wait_until 30 missing "([], ['lease'])"
check "it does" waits
check "and goes on doing so" runs w
check "told" wait_until 20 told lease-over
like "the status says what to do" "$(on 'blkcast status a')" 'LEASE OVER.*blkcast lease a --for'
lsn=$(field a 'v["lsn"]')
writer w2 2100 1
check "what comes after that waits, too" wait_until 60 field_is a 'v["waiting_writes"]' 2
is "and is not on its way" "$(field a 'v["lsn"]')" "$lsn"
refuses "no read of what was never written either" '^$' on "$io read /dev/blkcast/a /tmp/r2.log 3000 1"
renewed=$(uptime)
check "renewed" on 'blkcast lease a --for 600'
ended w 0
ended w2 0
check "no write was done in between" on "$io judge /tmp/w.log $deadline $renewed"
check "no read" on "$io judge /tmp/r.log $deadline $renewed"
check "reads go on" on "$io read /dev/blkcast/a /tmp/r.log 0 10"
check "told" wait_until 20 told lease-renewed

# ---- under writers ----

slow_link
writer w 100 1100
check "writers run" wait_until 60 wrote w 20
# A busy host may be late with it.
deadline=$(on 'until=$(awk "{ print \$1 + 1 }" /proc/uptime); blkcast lease a --until $until
	awk -v u="$until" "{ print (\$1 > u) ? \$1 : u }" /proc/uptime')
check "over" wait_until 60 field_is a 'v["lease_over"]' True
check "for a while" wait_until 60 past "$deadline"
check "they wait" waits
fast_link
renewed=$(uptime)
on 'blkcast lease a --for 600'
ended w 0 120
check "no success in between" on "$io judge /tmp/w.log $deadline $renewed"
check "in sync" wait_until 60 in_sync a b
check "the copies are equal" same a b
on 'blkcast lease a --until 1 && blkcast set a --on-loss error'
refuses "or fail" '^$' on "$io write /dev/blkcast/a /tmp/e.log 2020 1"
check "with EIO" on 'grep -q " 5$" /tmp/e.log'
check "no lease" on "blkcast lease a --off && $io write /dev/blkcast/a /tmp/e.log 2020 1"
refuses "a day at most" 'a day at most' on 'blkcast lease a --for 90000'

# ---- what a restart leaves ----

on 'blkcast lease a --for 600; blkcast set a --on-loss suspend
	sed -i /membership/d /etc/blkcast/volumes.d/a.conf'
check "down and up" on 'blkcast down a && blkcast up a && blkcast primary a'
is "managed, nobody in, no lease" "$(field a 'v["membership"], v["in_sync_nodes"], "lease_over" in v')" \
	"('managed', [], False)"
check "it serves" on "$io write /dev/blkcast/a /tmp/e.log 2020 20"
on 'blkcast replica a'
refuses "a reign is for a day at most" 'a day at most' on 'blkcast primary a --lease-for 90000'
is "and has not begun" "$(field a 'v["role"]')" replica
refuses "nor with a lease that is over" 'over already' on 'blkcast primary a --lease-until 1'
is "and has not begun" "$(field a 'v["role"]')" replica
check "one that begins with a lease" on 'blkcast primary a --lease-for 60'
is "has it" "$(field a '0 < v["lease_seconds"] <= 60')" True
check "and serves" on "$io write /dev/blkcast/a /tmp/e.log 2020 20"
check "until it is over" wait_until 90 field_is a 'v["lease_over"]' True
refuses "then nobody" '^$' on "$io read /dev/blkcast/a /tmp/e.log 2020 20"
check "until it is renewed" on "blkcast lease a --for 600 && $io read /dev/blkcast/a /tmp/e.log 2020 20"
ktap_done
