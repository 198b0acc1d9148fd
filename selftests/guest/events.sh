#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What happens is told: in order, with a time and a number, by `blkcast events` and by
# hooks. What is lost is told as well, and the state follows.
#
#	a (primary) --- b
#
# kernels: both
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

# told FILE PYTHON: of the lines of a listener; l: all of them, e(VOLUME): its events
told() {
	on "cat /run/$1" | python3 -Ic '
import json, sys
l = [json.loads(line) for line in sys.stdin]
def e(volume):
    return " ".join(x["event"] + (":" + x["role"] if "role" in x else "") for x in l
                    if x.get("volume") == volume and x["event"] != "state")
def gapless(x):
    return all(b - a == 1 for a, b in zip(x, x[1:]))
print(eval(sys.argv[1]))' "$2"
}
told_is() { [ "$(told "$1" "$2" 2> /dev/null)" = "$3" ]; }
listen() {	# FILE OPTION...
	local file=$1
	shift
	on "blkcast events $* > /run/$file 2>&1 & echo \$! > /run/$file.pid; disown"
}
hook() {	# NAME MODE: its text is our input
	vm_exec -i g1 "mkdir -p /etc/blkcast/hooks.d && cd /etc/blkcast/hooks.d &&
		{ echo '#!/bin/sh'; cat; } > $1 && chmod $2 $1"
}

local_start 2 16
on 'modprobe dm-mod; modprobe dm-flakey'
on "dmsetup create d --table '0 $((16 * 2048)) linear /dev/ram0 0' && dmsetup mknodes"
local_create a /dev/mapper/d --ack disk
local_create b /dev/ram1 --ack disk
listen all --json
listen text a
check "it begins with the state" wait_until 60 told_is all '[x["event"] for x in l]' "['state', 'state']"

# ---- what happens ----

on 'blkcast primary a && pair -m a b'
wait_until 30 in_sync a b
is "a reign and its replica" "$(told all 'e("a")')" \
	'role:primary link-up resync-begin resync-end in-sync-set link-in-sync'
is "the replica's end" "$(told all 'e("b")')" 'link-up resync-begin resync-end link-in-sync'
on 'dd if=/dev/urandom of=/dev/blkcast/a bs=64k count=4 oflag=direct conv=fsync status=none
	pair -d a b'
check "a link goes" wait_until 60 told_is all 'sorted(e("a").split()[-2:])' "['in-sync-set', 'link-down']"
is "who is in sync" "$(told all '[len(x["in_sync_nodes"]) for x in l if x["event"] == "in-sync-set"]')" '[1, 0]'
on "dmsetup suspend --noflush --nolockfs d &&
	dmsetup load d --table '0 $((16 * 2048)) flakey /dev/ram0 0 0 3600 1 error_writes' && dmsetup resume d
	dd if=/dev/urandom of=/dev/blkcast/a bs=4k count=64 oflag=direct status=none
	dmsetup suspend --noflush --nolockfs d &&
	dmsetup load d --table '0 $((16 * 2048)) linear /dev/ram0 0' && dmsetup resume d" > /dev/null 2>&1
check "an error" wait_until 60 told_is all '{x["error"] for x in l if x["event"] == "error"}' "{'Input/output error'}"
check "the same in the status" test "$(field a 'v["device_errors"]')" -gt 0
on 'blkcast replica a && blkcast down b'
check "down" wait_until 60 told_is all 'e("b").split()[-1]' volume-down
is "numbered without a gap" "$(told all 'gapless([x["seq"] for x in l if x["event"] != "state"])')" True
is "in the order of time" "$(told all '[x["time"] for x in l] == sorted(x["time"] for x in l)')" True
like "for people" "$(on 'cat /run/text')" '^[0-9-]{10}T[0-9:.]*Z +link-up +a peer=b$'
is "one volume alone" "$(on 'grep -c " b " /run/text')" 0

# ---- what is lost ----

on 'sysctl -qw net.core.rmem_default=2304'
listen slow --json
check "it listens" wait_until 60 told_is slow 'l[-1]["event"]' state
# Others have the room for an answer.
on 'sysctl -qw net.core.rmem_default=212992
	kill -STOP $(cat /run/slow.pid)
	for i in 1 2 3 4 5 6; do blkcast primary a --force --yes > /dev/null && blkcast replica a; done
	blkcast primary a; kill -CONT $(cat /run/slow.pid)'
check "a loss is told" wait_until 60 told_is slow '[x["event"] for x in l].count("lost")' 1
is "then the state" "$(told slow '(l[-1]["event"], l[-1].get("role"))')" \
	"('state', 'primary')"
is "and what comes then" "$(on 'blkcast replica a'; wait_until 60 told_is slow 'l[-1]["event"]' role; told slow 'l[-1]["role"]')" replica
is "who had room has lost nothing" "$(told all 'gapless([x["seq"] for x in l if x["event"] != "state"]), "lost" in [x["event"] for x in l]')" \
	'(True, False)'

# ---- hooks ----

hook 10-tell 755 << 'END'
[ "$BLKCAST_VOLUME" = a ] || exit 0
echo "$BLKCAST_SEQ $BLKCAST_EVENT $BLKCAST_ROLE $BLKCAST_TERM $#" >> /run/hook
env | grep -v -e BLKCAST -e '^PATH=/usr/sbin:/usr/bin:/sbin:/bin$' -e '^PWD=/$' -e '^_=' >> /run/hook.env
END
hook 20-slow 755 << 'END'
[ "$BLKCAST_ROLE" = primary ] || exit 3
sleep 1111 &
exec sleep 2222
END
hook 30-open 777 << 'END'
echo "$0" >> /run/hook.wrong
END
hook 40-not 644 << 'END'
echo "$0" >> /run/hook.wrong
END
on 'blkcast genkey > /dev/null
	/blkcast/selftests/lib/daemon-up'
term=$(field a 'v["term"]')
on 'blkcast primary a && blkcast replica a && blkcast down a'
check "hooks are run, one event after the other" wait_until 60 on 'grep volume-down /run/hook'
is "in order, with what there is to say" "$(on 'cut -d" " -f2- /run/hook')" \
	"role primary $((term + 1)) 0
role replica $((term + 1)) 0
volume-down   0"
is "by the numbers" "$(on 'cut -d" " -f1 /run/hook' | sort -nuC; echo $?)" 0
is "with nothing else" "$(on 'cat /run/hook.env')" ""
like "one that takes too long is killed" "$(on 'cat /run/blkcastd.log')" 'hook 20-slow takes longer than 10 s'
is "with what it has begun" "$(on 'pgrep -f "sleep (1111|2222)"')" ""
like "one that fails is told in the log" "$(on 'cat /run/blkcastd.log')" \
	'hook 20-slow, BLKCAST_EVENT=.*: exit status 3'
like "one that anybody can change is not run" "$(on 'cat /run/blkcastd.log; cat /run/hook.wrong 2>&1')" \
	'30-open .* is not run'
refuses "nor one that cannot be executed" 'No such file' on 'cat /run/hook.wrong'
check "the daemon lives" on 'blkcast status'
ktap_done
