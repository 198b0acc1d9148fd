#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# With ack=disk nothing completes too early: a write not before every replica
# has written it, an fsync or a FUA write not before every replica has flushed.
# The order of the tracepoints in one guest's buffer shows it.
#
#	a (primary, ack=disk) --- b
#	                     `--- c
#
# kernels: both
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"
# shellcheck source=selftests/lib/local.sh
. "$(dirname "$0")/../lib/local.sh"

tracing=/sys/kernel/tracing

# traced COMMAND: what it does is in the trace, and nothing before it
traced() {
	on "cd $tracing && echo 0 > tracing_on && echo > trace && echo 1 > tracing_on &&
		$1 > /dev/null; status=\$?; echo 0 > tracing_on
		cat trace > /lab/trace; grep -h '^overrun' per_cpu/*/stats > /lab/overruns; exit \$status"
}

# ordered KIND: judges the trace; prints how many writes and flushes there were.
# LSN 0: what was never written was discarded, so there is nothing to do.
ordered() {
	! grep -qv ': 0$' "$LAB/share/overruns" || { echo "events are lost"; return 1; }
	python3 -I - "$1" "$minors" "$LAB/share/trace" <<-'END'
	import re, sys
	kind, minors, trace = sys.argv[1:]
	primary, *replicas = map(int, minors.split())
	applied, durable, told = {}, dict.fromkeys(replicas, 0), {}
	counts, early = {"write": 0, "flush": 0}, []
	for line in open(trace):
	    event = re.search(r" blkcast_(\w+): (.*)", line)
	    if not event:
	        continue
	    name = event[1]
	    at = {k: int(v) for k, v in re.findall(r"(\w+)=(-?\d+)", event[2])}
	    if name == "replica_applied":
	        applied.setdefault(at["lsn"], set()).add(at["minor"])
	    elif name == "replica_durable":
	        durable[at["minor"]] = max(durable[at["minor"]], at["lsn"])
	    elif name == "link_durable" and max(durable.values()) < at["lsn"]:
	        early.append(f"link_durable {at}")
	    elif name == "write_done" and at["minor"] == primary and at["lsn"]:
	        flush = at["bytes"] == 0
	        counts["flush" if flush else "write"] += 1
	        if flush or kind == "fua":
	            good = all(d >= at["lsn"] + (not flush) for d in durable.values())
	        else:
	            good = applied.get(at["lsn"]) == set(replicas)
	        if not good:
	            early.append(f"write_done {at}, durable {durable}")
	print(*early[:5], sep="\n")
	print(counts, len(early), "too early")
	sys.exit(bool(early) or not counts["write"] or (kind == "fsync" and not counts["flush"]))
	END
}

local_start 4 32
local_create a /dev/ram0 --ack disk
local_create b /dev/ram1
local_create c /dev/ram2
on 'blkcast primary a && pair -t 60000 a b && pair -t 60000 a c'
check "in sync" wait_until 30 in_sync a b c
minors="$(for name in a b c; do field $name 'v["minor"]'; done)"
on "cd $tracing && echo mono > trace_clock && echo 8192 > buffer_size_kb &&
	echo 1 > events/blkcast/enable"
fio="fio --filename=/dev/blkcast/a --direct=1 --ioengine=libaio --rw=randwrite \
	--bs=4k --size=24m --io_size=2m --numjobs=2 --iodepth=4"

check "writers" traced "$fio --name=w"
check "a write waits for every replica's device" ordered write
check "writers and flushes" traced "$fio --name=w --fsync=4"
check "a flush waits for every replica's flush" ordered fsync
check "FUA writers" traced 'dd if=/dev/urandom of=/dev/blkcast/a bs=4k count=200 oflag=direct,dsync'
check "a FUA write waits for every replica's flush" ordered fua
check "fsync of a filesystem" traced 'mkfs.ext4 -q -F /dev/blkcast/a &&
	mount /dev/blkcast/a /mnt && fio --name=w --directory=/mnt --rw=write --bs=4k \
	--size=1m --fsync=8 && umount /mnt'
check "the same below a filesystem" ordered fsync
check "the copies are equal" same a b c

# A FUA write needs a flush of its own while the backlog is full behind it.
local_create d /dev/ram3 --backlog 1M
on 'blkcast primary d --force --yes > /dev/null'
check "FUA writers do not wait for room that they hold" on 'timeout 120 fio \
	--filename=/dev/blkcast/d --direct=1 --ioengine=libaio --rw=randwrite --size=24m \
	--name=fua --bs=4k --sync=1 --number_ios=300 \
	--name=many --bs=256k --iodepth=64 --io_size=64m --output=/dev/null'
ktap_done
