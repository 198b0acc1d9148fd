#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# blkcast lag tells the truth: 0 when idle, the delay of a slowed link under
# writes, growing while the replica is cut off and gone; and it
# comes and goes at any time without a trace.
#
#   g1 (primary, netem delay 100 ms) ---- LAN ---- g2 (replica)
#
# kernels: both
# set: all
# shellcheck disable=SC2016 # for the guest's shell
# shellcheck source=selftests/lib/ktap.sh
. "$(dirname "$0")/../lib/ktap.sh"
# shellcheck source=selftests/qemu/lab.sh
. "$(dirname "$0")/../qemu/lab.sh"

DELAY=0.100

# Standard input is the JSON of "blkcast lag data"; prints an expression over
# the volume v and its only link l.
figure() {
	python3 -IS -c '
import json, sys
o = json.loads(sys.stdin.readlines()[-1])
v = o["volumes"][0]
l = v["links"][0]
print(eval(sys.argv[1]))' "$1"
}

# What must be true of such an object while writes run and g1's packets are
# delayed; a busy host makes everything slower, never faster.
claims() {
	python3 -IS -c '
import json, sys
delay = float(sys.argv[1])
o = json.loads(sys.stdin.readlines()[-1])
v = o["volumes"][0]
l = v["links"][0]
h = {**v["latency"], **l["latency"]}
sys.stderr.write("# mean of each stage: %s\n" % {k: x["mean"] for k, x in h.items()})
for name, truth in (
	("every latency was counted", o["lost"] == 0),
	("writes were seen", h["applied"]["count"] >= 20),
	("none was applied faster than the link",
	 min(h["applied"]["p50"], h["applied"]["mean"]) >= delay),
	("and none by orders of magnitude slower", h["applied"]["p50"] < 10 * delay),
	("flushes take the delay of the link", h["durable"]["p50"] >= delay),
	("a writer does not wait for an asynchronous copy", h["completed"]["p50"] < delay),
	("the round trip shows the delay", l["rtt_seconds"] >= delay),
	("lag in seconds, writes and bytes",
	 l["lag_seconds"] > delay / 10 and l["lag_bytes"] == l["lag_writes"] * 4096 > 0),
):
	print(truth, name, sep="\t")' "$DELAY"
}

# lag EXPRESSION [OPTION...]: one look on g1
lag() {
	local expression=$1
	shift
	vm_exec g1 "blkcast lag data --once --json $*" | figure "$expression"
}

lag_is() { [ "$(lag "$1" --no-bpf)" = "$2" ]; }
holds() { [ "$(python3 -IS -c "print($1)")" = True ]; }

writer_start() {
	vm_exec g1 'fio --name=w --filename=/dev/blkcast/data --rw=randwrite \
		--bs=4k --direct=1 --ioengine=libaio --iodepth=4 --rate_iops=100 \
		--fsync=20 --time_based --runtime=600 > /dev/null 2>&1 &
		echo $! > /tmp/writer'
}

writer_stop() {
	vm_exec g1 'kill "$(cat /tmp/writer)"; while pgrep -x fio > /tmp/out; do sleep 0.1; done'
}

# The volume and its daemon on a guest.
copy_create() {
	vm_exec "$1" "mkdir -p /etc/blkcast /run/blkcast
		install -m 600 /lab/key /etc/blkcast/key &&
		blkcast create data --device /dev/vda --uuid $UUID --ack local > /dev/null &&
		blkcast up data || exit" && daemon_start "$1"
}

daemon_start() { vm_exec "$1" /blkcast/selftests/lib/daemon-up; }

UUID=$(cat /proc/sys/kernel/random/uuid)

lab_start
vm_add g1 -d 64M
vm_add g2 -d 64M
vm_start g1 g2

# ---- nothing there yet ----

refuses "no module: says so" 'not loaded' vm_exec g1 'blkcast lag --once'
vm_load g1
vm_load g2
like "no volume: says so" "$(vm_exec g1 'blkcast lag --once')" '^No volume is up'
refuses "unknown volume: says so" 'volume nix: not up' vm_exec g1 'blkcast lag nix --once'
is "wrong usage is 2" "$(vm_exec g1 'blkcast lag --interval 0 2> /dev/null; echo $?')" 2

vm_exec g1 'blkcast lag > /tmp/out 2>&1 &'
# All are loaded, which takes a while, before the first is attached.
wait_until 120 vm_exec g1 "bpftool link | grep -q \"tp 'blkcast_\""
refuses "the module stays while it is probed" 'in use' vm_exec g1 'rmmod blkcast'
vm_exec g1 'pkill -9 -x blkcast-lag'
check "and goes when the probes were killed" \
	wait_until 60 vm_exec g1 'rmmod blkcast'
vm_load g1

# ---- a primary and a replica ----

vm_exec g1 'blkcast genkey /lab/key'
copy_create g1
copy_create g2
vm_exec g1 'blkcast primary data --force --yes 2> /dev/null && blkcast connect data --peer g2 --address g2' ||
	exit 1
check "in sync" wait_until 30 lag_is 'l["state"]' in-sync
is "idle: no lag" "$(lag '[l[k] for k in ("lag_seconds", "lag_writes", "lag_bytes")]')" \
	'[0.0, 0, 0]'

# ---- a slow link under writes ----

vm_exec g1 "tc qdisc add dev eth0 root netem delay ${DELAY}s"
writer_start
sleep 2
look=$(vm_exec g1 'blkcast lag data --once --json --interval 4')
while IFS=$'\t' read -r truth name; do
	is "$name" "$truth" True
done < <(claims <<< "$look")
like "the replica measures its own end" \
	"$(vm_exec g2 'blkcast lag data --once --json' | figure 'l["latency"]["replica_applied"]["count"] > 0')" True

check "ten times attached and detached under writes" vm_exec g1 '
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		blkcast lag --once --interval 0.2 > /dev/null || exit
	done'
is "nothing stays attached" "$(vm_exec g1 'bpftool prog | grep -c lag_')" 0

# ---- slow writes, who and what causes lag ----

slow_claims() {
	python3 -IS -c '
import json, sys
o = json.loads(sys.stdin.readlines()[-1])
parts = {"applied": ("queued", "network", "apply"), "completed": ("waited", "local", "ack")}
slow = o["slow"]
there = [s for s in slow if s["until"] == "applied"]
ns = lambda x: round(x * 1e9)
for name, truth in (
	("slow writes are recorded", len(there) >= 10),
	("nothing was lost", o["lost"] == 0),
	("each took as long as asked for", all(s["seconds"] >= 0.09 for s in slow)),
	("the parts of each make up the whole", all(ns(s["seconds"]) ==
		sum(ns(s[p + "_seconds"]) for p in parts[s["until"]]) for s in slow)),
	("most of it is the network", all(s["network_seconds"] >= 0.09 for s in there)),
	("with the process that wrote, the place and the size",
	 {(s["process"], s["bytes"], s["peer"]) for s in there} == {("fio", 4096, "g2")}
	 and all(s["offset"] % 4096 == 0 and s["pid"] for s in there)),
	("the process is at the top", o["top_processes"][0]["process"] == "fio"),
	("and regions are", len(o["top_regions"]) > 5 and
	 sum(r["writes"] for r in o["top_regions"]) <= o["top_processes"][0]["writes"]),
):
	print(truth, name, sep="\t")'
}

look=$(vm_exec g1 'blkcast lag data --once --json --interval 4 --slow 90 --top')
while IFS=$'\t' read -r truth name; do
	is "$name" "$truth" True
done < <(slow_claims <<< "$look")
like "slow writes in a table" "$(vm_exec g1 'blkcast lag --once --interval 2 --slow 90')" \
	'applied on g2 .*queued .*network .*apply .*fio'
refuses "more than the bound: fails" 'g2 lags .* more than 1.00ms' \
	vm_exec g1 'blkcast lag --once --no-bpf --max-lag 1ms'
check "within the bound: succeeds" vm_exec g1 'blkcast lag --once --no-bpf --max-lag 1h'

# ---- the exporter, without root ----

promtool() { "${BLKCAST_CACHE:-/var/cache/blkcast}/promtool" "$@"; }
metric() { awk -v name="$1" '$1 == name { print $2 }' <<< "$metrics"; }

vm_exec g1 'setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set=-all,+bpf,+perfmon \
	--inh-caps=-all,+bpf,+perfmon --ambient-caps=-all,+bpf,+perfmon \
	blkcast-exporter > /lab/exporter.log 2>&1 < /dev/null & echo $! > /tmp/exporter'
check "the exporter answers" wait_until 60 vm_exec g1 'curl -sf localhost:7791/metrics > /lab/metrics'
check "its probes count" wait_until 60 vm_exec g1 'curl -s localhost:7791/metrics > /lab/metrics
	grep -q "^blkcast_link_duration_seconds_count{.*applied.*[1-9]" /lab/metrics'
metrics=$(cat "$LAB/share/metrics")
check "promtool: the metrics are valid" promtool check metrics <<< "$metrics"
is "up, probes attached, nothing lost" "$(metric blkcast_up) $(metric blkcast_probes_attached) $(
	metric blkcast_probes_lost_events_total)" "1 1 0"
is "in sync" "$(metric 'blkcast_link_state{volume="data",peer="g2",blkcast_link_state="in-sync"}')" 1
like "lag, in seconds" "$(metric 'blkcast_link_lag_seconds{volume="data",peer="g2",stage="applied"}')" \
	'^[0-9]+\.[0-9]{9}$'
like "OpenMetrics for those who ask" "$(vm_exec g1 'curl -si localhost:7791/metrics \
	-H "Accept: application/openmetrics-text;version=1.0.0"' | tr -d '\r' |
	sed -n '/^Content-Type/p; $p' | tr '\n' ' ')" '^Content-Type: application/openmetrics-text.*# EOF'
refuses "a port that is none" 'want HOST:PORT' vm_exec g1 'blkcast-exporter --listen localhost:73327'
is "nothing else is served" "$(vm_exec g1 'for request in "-X POST localhost:7791/metrics" \
	localhost:7791/etc/passwd localhost:7791/; do
		curl -so /dev/null -w "%{http_code} " $request
	done')" '405 404 200 '
vm_exec g1 'kill -9 "$(cat /tmp/exporter)"'
check "killed: nothing stays attached" wait_until 60 vm_exec g1 \
	'! bpftool prog | grep -q lag_'

# ---- killed at any moment ----

# What there is of BPF in g1, by number. It goes a moment after its last user.
bpf_things() { vm_exec g1 'for what in prog map link; do bpftool $what | grep -oE "^[0-9]+:"; done'; }
bpf_is() { [ "$(bpf_things)" = "$1" ]; }

# killed TIMES COMMAND [WHILE]: begun and killed in g1 while writes run, each time at
# another moment of its first two seconds; WHILE is run again and again meanwhile.
killed() {
	vm_exec g1 "RANDOM=$SEED; for i in \$(seq $1); do
		$2 > /tmp/killed 2>&1 < /dev/null & pid=\$!
		end=\$((\${EPOCHREALTIME/.} + RANDOM % 20 * 100000))
		while [ \${EPOCHREALTIME/.} -lt \$end ]; do ${3:-sleep 0.05}; done
		kill -9 \$pid && ! wait \$pid 2> /dev/null || { cat /tmp/killed; exit 1; }
	done"
}

before=$(bpf_things)
check "blkcast lag killed at any moment" killed 8 'blkcast lag --interval 0.1 --slow 1 --top --json'
check "and nothing of it is left" wait_until 60 bpf_is "$before"
check "the exporter killed at any moment" killed 5 'blkcast-exporter' \
	'timeout 1 curl -so /tmp/metrics localhost:7791/metrics; sleep 0.05'
check "and nothing of it is left" wait_until 60 bpf_is "$before"

# ---- the one-liners of the README ----

# All at once: bpftrace takes its time to start here.
mapfile -t liners < <(sed -n "s/^    bpftrace -e '\(.*\)'$/\1/p" "$lab_tree/README.md")
printf '%s\n' "${liners[@]}" 'interval:s:4 { exit(); }' > "$LAB/share/liners.bt"
said=$(vm_exec g1 'mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing
	bpftrace /lab/liners.bt 2>&1')
is "there are one-liners" "$((${#liners[@]} >= 5))" 1
is "bpftrace understands them" "$(grep -c ERROR <<< "$said")" 0
for want in '@us\[0, [0-9]+\]:' '@written\[fio' '@ms\[0, [0-9]+\]: [0-9]+' \
	'@behind\['; do
	like "bpftrace: $want" "$said" "$want"
done

is "Ctrl-C shows the whole run and succeeds" "$(vm_exec g1 '
	timeout --preserve-status -s INT 3 blkcast lag > /tmp/out || exit
	grep -c "whole run" /tmp/out')" 1
like "without privilege: the lag, and why no latencies" \
	"$(vm_exec g1 'setpriv --reuid 65534 --clear-groups --bounding-set=-all --inh-caps=-all \
		blkcast lag --once')" 'No latencies: .*not permitted'
like "histogram" "$(vm_exec g1 'blkcast lag --histogram --once')" 'data -> g2  applied there'

# ---- caught up, cut off, gone ----

vm_exec g1 'tc qdisc del dev eth0 root'
writer_stop
check "idle again: no lag" wait_until 60 lag_is '[l[k] for k in ("lag_seconds", "lag_writes", "lag_bytes")]' \
	'[0.0, 0, 0]'
# Nobody needs the daemon for that, stopped or killed.
vm_exec g1 'kill -STOP "$(pidof blkcastd)"'
vm_lan cut g1 g2
vm_exec g1 'dd if=/dev/urandom of=/dev/blkcast/data bs=4k count=10 oflag=direct status=none'
first=$(lag 'o["time"] - l["lag_seconds"]' --no-bpf)
sleep 3
second=$(lag 'o["time"] - l["lag_seconds"]' --no-bpf)
check "cut off: the lag grows a second a second" holds "abs($first - $second) < 0.2"
check "gone: what it lacks is still counted" wait_until 30 \
	lag_is '[l[k] for k in ("state", "lag_writes", "lag_bytes")]' "['disconnected', 10, 40960]"
third=$(lag 'o["time"] - l["lag_seconds"]' --no-bpf)
check "and its age goes on growing" holds "abs($first - $third) < 0.2"
vm_exec g1 'kill -9 "$(pidof blkcastd)"; while pidof blkcastd; do sleep 0.1; done'
is "the daemon killed: all this is known" "$(lag '[l[k] for k in ("state", "lag_writes", "lag_bytes")]' --no-bpf)" \
	"['disconnected', 10, 40960]"
fourth=$(lag 'o["time"] - l["lag_seconds"]' --no-bpf)
check "and grows" holds "abs($first - $fourth) < 0.2"
daemon_start g1
vm_lan heal g1 g2
check "healed: no lag" wait_until 60 lag_is '[l["state"], l["lag_seconds"]]' "['in-sync', 0.0]"
vm_exec g1 'kill "$(pidof blkcastd)"; while pidof blkcastd; do sleep 0.1; done'
check "after all this the module goes" vm_exec g1 'blkcast down data && rmmod blkcast'

ktap_done
