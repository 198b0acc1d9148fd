#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A reign is handed over to one copy, which alone may begin the next unasked. Every
# other needs the operator's word, and says what may be lost. What cannot be handed
# over in order is not: the reign goes on.
#
#	a (primary first) --- b
#	                 `--- c
#
# kernels: both
# shellcheck disable=SC2016,SC2028 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

writes() { put "$1" 65536 $((RANDOM % 200 * 65536)); }
is_heir() { field "$1" 'v["is_heir"]'; }
heirs() { is "$1: heirs" "$(is_heir a) $(is_heir b) $(is_heir c)" "$2"; }
# asked ANSWER: the command that is asked, on a terminal
asked() {
	echo "python3 -Ic \"
import os, pty, sys
pid, fd = pty.fork()
if not pid:
    os.execlp('blkcast', 'blkcast', 'primary', 'b', '--force')
os.write(fd, b'$1\\n')
try:
    while data := os.read(fd, 4096):
        sys.stdout.write(data.decode())
except OSError:
    pass
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\""
}
node() { field "$1" 'v["node"]'; }

local_start 3 20
local_create a /dev/ram0 --ack disk
local_create b /dev/ram1 --ack disk
local_create c /dev/ram2 --ack disk
model_new a
heirs "a new volume: the first copy" "True False False"
refuses "another copy has nothing" 'all that the other copies hold is lost' on 'blkcast primary b'
refuses "force asks" 'use --yes' on 'blkcast primary b --force < /dev/null'
refuses "and wants the name" 'nothing is changed' on "$(asked no)"
refuses "--yes alone" 'goes with --force' on 'blkcast primary b --yes'
is "still a replica" "$(field b 'v["role"]')" replica

# ---- a reign ----

check "primary" on 'blkcast primary a'
check "no replica yet: whoever crashes is asked nothing" test "$(is_heir a)" = True
on 'pair -m a b && pair -m a c'
check "in sync" wait_until 30 in_sync a b c
heirs "while a reigns" "False False False"
check "a replica knows who is in sync" wait_until 60 field_is b 'len(v["in_sync_nodes"])' 2
writes a
on 'pair -d a c'
check "and who is no more" wait_until 60 field_is b 'v["in_sync_nodes"]' "['$(node b)']"
writes a
refuses "one that was left behind, as far as it knows in sync" \
	'unless the primary has gone on without it' on 'blkcast primary c'
on 'blkcast down c && blkcast up c'
refuses "the same after down and up" 'unless the primary has gone on' on 'blkcast primary c'

# ---- what cannot be handed over ----

refuses "not to one that is away" 'not in sync: the reign goes on' on 'blkcast replica a --to c'
check "the reign goes on" writes a
refuses "not to a stranger" 'not in sync: the reign goes on' on 'blkcast replica a --to d'
on 'sleep 600 < /dev/blkcast/a & echo $! > /run/reader; disown'
refuses "not while somebody has it open" 'device is open' on 'blkcast replica a'
# shellcheck disable=SC2016 # for the guest's shell
on 'kill $(cat /run/reader)'
on 'pair -m a c'
check "in sync" wait_until 30 in_sync a b c
refuses "not to nobody in particular" 'say with --to' on 'blkcast replica a'
check "the reign goes on" writes a
is "it is still in sync" "$(field b 'v["in_sync_nodes"]' | wc -w)" 2

# ---- what can ----

term=$(field a 'v["term"]')
check "handed over to b" on 'blkcast replica a --to b'
heirs "b alone" "False True False"
is "all know who it is" "$(field a 'v["heir"]') $(field c 'v["heir"]')" "$(node b) $(node b)"
refuses "not a any more" "handed over to the copy $(node b)" on 'blkcast primary a'
refuses "nor c, which has it all" "all of the last reign, but .*$(node b)" on 'blkcast primary c'
on 'for v in a b c; do blkcast down $v; done; for v in a b c; do blkcast up $v; done'
heirs "after down and up" "False True False"
check "b begins its reign" on 'blkcast primary b'
is "with a new term" "$(field b 'v["term"]')" $((term + 1))
check "and has everything" as_model b
writes b
on 'blkcast set b --ack disk; pair -m b a && pair -m b c'
check "the others follow" wait_until 30 in_sync b a c
is "they had everything, too" "$(field b 'sum(l["resync_bytes"] < 65537 for l in v["links"])')" 2
check "all are equal" as_model a b c
heirs "while b reigns" "False False False"
check "back again" on 'blkcast replica b --to a && blkcast primary a'

# ---- without a replica ----

writes a
check "a ends its reign alone" on 'blkcast replica a'
check "it may go on" on 'blkcast primary a'
on 'blkcast down a && blkcast up a'
check "after down, too" on 'blkcast primary a'
writes a
check "by force b goes on without a" on 'blkcast primary b --force --yes'
refuses "a copy that was given up has no right" 'given up|give up what it alone has' \
	on 'blkcast replica a --discard-mine; blkcast primary a'
on 'blkcast down a && blkcast down b && blkcast down c'
ktap_done
