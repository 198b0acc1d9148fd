#!/usr/bin/python3 -I
# SPDX-License-Identifier: GPL-2.0-or-later
"""The truth table of blkcast lag: what was injected against what it says.

Runs in the guest of lag_truth.sh: a primary p and its replicas near and far, each
linked through the loopback device of a network namespace of its name, whose netem
delays each way; far's disk is a dm-delay device.

  - Latencies are of single writes (--slow with a bound below any of them), so that
    the lower quartile can be taken: a busy host makes some writes slow, and the
    injected delay makes all of them slow. What the same stage took without an
    injection, measured first, is not counted.
  - The truth is what was injected as others feel it at the same time: a datagram
    there and back in the same namespace, a write on a device that is delayed in
    the same way. On a busy, emulated machine a delay of 100 ms takes
    longer than that, now and then.
  - A figure is right if it is within 10% or 5 ms of the truth; counts are exact.
  - With each injection the stages and the link that it does not concern are looked
    at too: they must stay what they were.

Prints a line for each claim, "True" or "False", a tab, the claim; and the table,
each line with a "|" in front. Arguments are names of rows (the functions of ROWS):
these alone.
"""
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
import time

BLOCK = 4096
RATE = 25           # writes a second while latencies are measured
SPAN = 3            # seconds of one measurement
MIB = 1 << 20

block = mmap.mmap(-1, BLOCK)
block.write(os.urandom(BLOCK))
device = os.open("/dev/blkcast/p", os.O_WRONLY | os.O_DIRECT)
table = []
blocks = 0


def run(*args, **kwargs):
    """A command; fails with it."""
    return subprocess.run(args, check=True, text=True, stdout=subprocess.PIPE, **kwargs).stdout


def netem(space, what):
    """Change what happens to each packet in a namespace."""
    run("tc", "-n", space, "qdisc", "replace", "dev", "lo", "root", "netem", "limit", "10000",
        *what.split())


def disk(write_ms, flush_ms=0):
    """Delay far's disk, and the probe in the same way."""
    for name, start, sectors in (("far", 0, 65536), ("probe", 65536, 2048)):
        at = f"/dev/vda {start}"
        run("dmsetup", "reload", name, "--table",
            f"0 {sectors} delay {at} 0 {at} {write_ms} {at} {flush_ms}")
        run("dmsetup", "resume", name)


def write(count=1):
    """Blocks, each where another was before: no metadata have to be written."""
    global blocks
    for _ in range(count):
        os.pwrite(device, block, blocks % 64 * BLOCK)
        blocks += 1


class Load:
    """Writes at a steady rate while it is held."""

    stop = False

    def __enter__(self):
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        """Until told to stop."""
        while not self.stop:
            write()
            time.sleep(1 / RATE)

    def __exit__(self, *_):
        self.stop = True
        self.thread.join()


def lag(*options):
    """One look: links by peer."""
    text = run("blkcast", "lag", "p", "--once", "--json", *options)
    look = json.loads(text)
    return {l["peer"]: l for l in look["volumes"][0]["links"]}, look


def links():
    """As the kernel alone knows them."""
    return lag("--no-bpf")[0]


def wait(what, condition, limit=60):
    """Until it holds; a claim if it never does."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if condition(links()):
            return True
        time.sleep(0.1)
    claim(False, f"{what}, in {limit} s")
    return False


def caught_up(peers=("near", "far")):
    """In sync, and nothing that has not been applied."""
    return lambda l: all(l[p]["state"] == "in-sync" and l[p]["lag_seconds"] == 0 and
                         l[p]["lag_writes"] == 0 for p in peers)


def settle(*peers):
    """No injection is felt any more."""
    wait("all caught up", caught_up(peers or ("near", "far")))


def quartile(values):
    """The lower one, in ms; of nothing it is no number, and near to none."""
    values = sorted(values)
    return 1000 * values[len(values) // 4] if values else float("nan")


class Probes(threading.Thread):
    """What others feel while the links are measured: round trips, writes."""

    def __init__(self):
        super().__init__()
        self.stop = False
        self.samples = []
        self.echoes = {space: subprocess.Popen(
            ["ip", "netns", "exec", space, "python3", "-I", __file__, "echo"], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE) for space in ("near", "far")}
        self.disk = os.open("/dev/mapper/probe", os.O_WRONLY | os.O_DIRECT)
        self.start()

    def run(self):
        """Writes, until told to stop."""
        while not self.stop:
            start = time.monotonic()
            os.pwrite(self.disk, block, 0)
            self.samples.append(time.monotonic() - start)
            time.sleep(0.05)

    def end(self):
        """Lower quartiles, in ms."""
        self.stop = True
        self.join()
        os.close(self.disk)
        found = {"write": quartile(self.samples)}
        for space, process in self.echoes.items():
            found[space] = quartile(json.loads(process.communicate()[0]))
        return found


def echo():
    """Round trips of datagrams on this namespace's loopback, until standard input ends."""
    ends = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for end in ends:
        end.bind(("127.0.0.1", 0))
        end.settimeout(2)
    samples, done = [], threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), done.set())).start()
    while not done.wait(0.04):
        start = time.monotonic()
        ends[0].sendto(b"there", ends[1].getsockname())
        ends[1].recv(16)
        ends[1].sendto(b"back", ends[0].getsockname())
        ends[0].recv(16)
        samples.append(time.monotonic() - start)
    print(json.dumps(samples))


def measure():
    """Lower quartiles of the stages of both links, and of what the kernel tells."""
    samples = {p: [] for p in ("near", "far")}
    with Load():
        time.sleep(0.6)     # what was under way is not of this measurement
        probes = Probes()
        process = subprocess.Popen(
            ["blkcast", "lag", "p", "--once", "--json", "--interval", str(SPAN),
             "--slow", "0.001"], stdout=subprocess.PIPE, text=True)
        while process.poll() is None:
            now = links()
            for peer, sample in samples.items():
                sample.append(now[peer]["rtt_seconds"])
            time.sleep(0.3)
        look = json.loads(process.stdout.read())
    found = {"truth": probes.end()}
    for peer in samples:
        slow = [s for s in look["slow"] if s["peer"] == peer and s["until"] == "applied"]
        found[peer] = {stage: quartile([s[stage + "_seconds"] for s in slow])
                       for stage in ("queued", "network", "apply")}
        found[peer]["rtt"] = quartile([s for s in samples[peer][1:] if s is not None])
    claim(look["lost"] == 0, "no event was lost")
    claim(not add_up(look["slow"]), "the parts of each slow write are the whole")
    return found


def claim(truth, text):
    """For lag_truth.sh to count."""
    print(bool(truth), text, sep="\t", flush=True)


def row(what, figure, truth, said, good):
    """Of the table."""
    table.append((what, figure, truth, said, "ok" if good else "WRONG"))
    claim(good, f"{what}: {figure}: {truth}, said {said}")


def near_enough(said, truth):
    """Within 10% or 5 ms; both in ms."""
    return said is not None and abs(said - truth) <= max(5, 0.1 * truth)


def latencies(what, base, injected):
    """Measure under an injection: {(peer, stage): who feels it}; else all stays as it was."""
    found = measure()
    stages = ("queued", "network", "apply", "rtt")
    truths = {of: found["truth"][who] - base["truth"][who] for of, who in injected.items()}
    more = {(p, s): found[p][s] - base[p][s] for p in ("near", "far") for s in stages}
    for (peer, stage), truth in truths.items():
        said = more.pop((peer, stage))
        row(what, f"{stage} of {peer}", f"{truth:.1f} ms", f"{said:.1f} ms",
            near_enough(said, truth))
    (peer, stage), said = max(more.items(), key=lambda m: abs(m[1]))
    row(what, "all other stages", "0 ms", f"{said:.1f} ms ({stage} of {peer})",
        abs(said) <= max(5, 0.1 * max(truths.values())))


# ---- the rows ----

def slow_network(base):
    """Delays on the way there and back."""
    for ms in (50, 200):
        netem("far", f"delay {ms}ms")
        latencies(f"network of far +{ms} ms each way", base,
                  {("far", "network"): "far", ("far", "rtt"): "far"})
        netem("far", "delay 0ms")
        settle()


def two_networks(base):
    """Each link has its own."""
    netem("near", "delay 20ms")
    netem("far", "delay 100ms")
    latencies("network of near +20 ms, of far +100 ms", base,
              {("near", "network"): "near", ("near", "rtt"): "near",
               ("far", "network"): "far", ("far", "rtt"): "far"})
    netem("near", "delay 0ms")
    netem("far", "delay 0ms")
    settle()


def slow_disk(base):
    """The replica's own writes are slow."""
    disk(100)
    latencies("disk of far +100 ms a write", base, {("far", "apply"): "write"})
    disk(0)
    settle()


def measure_flushes(count=12):
    """Lower quartiles, in ms, of single flushes, of what the kernel tells, of the probe."""
    samples = {(p, s): [] for p in ("near", "far") for s in ("durable", "flush", "rtt")}
    felt, probe = [], os.open("/dev/mapper/probe", os.O_WRONLY | os.O_DIRECT)
    process = subprocess.Popen(["blkcast", "lag", "p", "--json", "--interval", "0.5"],
                               stdout=subprocess.PIPE, text=True)
    process.stdout.readline()   # attached
    for _ in range(count):
        write()
        os.fdatasync(device)
        start = time.monotonic()
        os.fdatasync(probe)
        felt.append(time.monotonic() - start)
        for l in json.loads(process.stdout.readline())["volumes"][0]["links"]:
            flushes = l["latency"] and l["latency"]["durable"]
            if flushes and flushes["count"]:
                samples[l["peer"], "durable"].append(flushes["mean"])
                samples[l["peer"], "flush"].append(l["flush_seconds"])
                samples[l["peer"], "rtt"].append(l["rtt_seconds"])
    process.send_signal(signal.SIGINT)
    process.communicate()
    os.close(probe)
    return quartile(felt), {k: quartile(v) for k, v in samples.items()}


def slow_flush(_):
    """The replica's disk takes its time to flush, and only for that."""
    what = "disk of far +100 ms a flush"
    before, base = measure_flushes()
    disk(0, 100)
    truth, said = measure_flushes()
    truth -= before
    more = {k: said[k] - base[k] for k in said}
    for stage in ("durable", "flush"):
        row(what, f"{stage} of far", f"{truth:.1f} ms", f"{more['far', stage]:.1f} ms",
            near_enough(more.pop(("far", stage)), truth))
    (peer, stage), most = max(more.items(), key=lambda m: abs(m[1]))
    row(what, "all other stages", "0 ms", f"{most:.1f} ms ({stage} of {peer})",
        abs(most) <= max(5, 0.1 * truth))
    disk(0)
    settle()


def behind_flush(base):
    """What comes while the replica flushes waits there: on no network."""
    what, rounds = "write behind a flush of far, +200 ms", 12
    disk(0, 200)
    probe, waits = os.open("/dev/mapper/probe", os.O_WRONLY | os.O_DIRECT), []
    process = subprocess.Popen(["blkcast", "lag", "p", "--json", "--slow", "0.001"],
                               stdout=subprocess.PIPE, text=True)
    looks = [process.stdout.readline()]     # attached
    for _ in range(rounds):
        settle()
        write()
        start, felt = time.monotonic(), []
        flushes = [threading.Thread(target=os.fdatasync, args=(device,)),
                   threading.Thread(target=lambda: (os.fdatasync(probe),
                                                    felt.append(time.monotonic())))]
        for flush in flushes:
            flush.start()
        time.sleep(0.02)    # the flush is there, most likely
        gap = time.monotonic()
        write()
        for flush in flushes:
            flush.join()
        waits.append(felt[0] - max(gap, start))
    settle()
    process.send_signal(signal.SIGINT)
    looks = [json.loads(l) for l in looks + process.stdout.readlines()]
    os.close(probe)
    disk(0)
    slow = sorted((s for look in looks for s in look["slow"]
                   if s["peer"] == "far" and s["until"] == "applied"),
                  key=lambda s: int(s["lsn"].split(".")[1]))
    claim(len(slow) == 2 * rounds, f"{len(slow)} records of {2 * rounds} writes")
    said = {s: quartile([w[s + "_seconds"] for w in slow[1::2]]) - base["far"][s]
            for s in ("queued", "network", "apply")}
    truth = quartile(waits)
    row(what, "apply of far", f"{truth:.1f} ms", f"{said['apply']:.1f} ms",
        near_enough(said["apply"], truth))
    for stage in ("network", "queued"):
        row(what, f"{stage} of far", "0 ms", f"{said[stage]:.1f} ms",
            near_enough(said[stage], 0))
    means = next(l["latency"] for l in looks[-1]["volumes"][0]["links"] if l["peer"] == "far")
    mean = 1000 * (means["received"]["mean"] - means["sent"]["mean"]) - base["far"]["network"]
    row(what, "mean network of far, all writes", "0 ms", f"{mean:.1f} ms",
        abs(mean) <= max(5, 0.1 * truth))
    claim(not add_up(slow), "their parts are the whole")
    settle()


def grows(what, peer, stages, since):
    """The age is that of the oldest write, and grows a second a second."""
    off = []
    for _ in range(3):
        before = time.monotonic() - since
        l = links()[peer]
        after = time.monotonic() - since
        for stage in stages:
            said = l[stage + "_seconds"]
            off.append(99 if said is None else max(before - said, said - after, 0))
        time.sleep(1)
    row(what, f"age of the oldest write of {peer}, thrice", f"{before:.1f} to {after:.1f} s",
        f"{said:.1f} s, at most {1000 * max(off):.0f} ms off", max(off) <= 0.1)


def counts(what, peer, expected):
    """Exactly what was written, stage by stage; near has everything."""
    l = links()
    said = {s: (l[peer][s + "_writes"], l[peer][s + "_bytes"]) for s in expected}
    want = {s: (n, n * BLOCK) for s, n in expected.items()}
    row(what, "writes " + ", ".join(expected), "/".join(map(str, expected.values())),
        "/".join(str(n) for n, _ in said.values()), said == want)
    if peer != "near":
        other = [l["near"][k] for k in ("lag_seconds", "lag_writes", "lag_bytes",
                                        "unsent_writes", "unreceived_writes")]
        row(what, "lag of near", "0", str(max(other)), not any(other))


class Watch:
    """blkcast lag beside what is done; found is what it has seen in all, by peer."""

    def __enter__(self):
        self.process = subprocess.Popen(["blkcast", "lag", "p", "--json"],
                                        stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()  # attached
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        look = json.loads(self.process.stdout.readlines()[-1])
        self.process.wait()
        assert look["total"] and look["lost"] == 0, look
        self.found = {l["peer"]: l["latency"]["applied"] for l in look["volumes"][0]["links"]
                      if l["latency"]}


def stuck_disk(_):
    """Its writes never end; the probes come later."""
    what = "far paused (disk suspended), 7 writes"
    os.fsync(device)
    settle()
    run("dmsetup", "suspend", "--nolockfs", "far")
    since = time.monotonic()
    write(7)
    wait("near has them", caught_up(("near",)))
    wait("far has them in memory", lambda l: l["far"]["unreceived_writes"] == 0)
    counts(what, "far", {"unsent": 0, "unreceived": 0, "lag": 7, "undurable": 7})
    grows(what, "far", ("lag", "undurable"), since)
    with Watch() as watch:
        run("dmsetup", "resume", "far")
        held = time.monotonic() - since
        settle()
    seen = watch.found["far"]
    row(what, "late attach: writes applied", "7", str(seen["count"]), seen["count"] == 7)
    row(what, "late attach: the longest took", f"{held:.2f} s", f"{seen['max']:.2f} s",
        abs(seen["max"] - held) <= 0.1 * held)
    row(what, "lag of far when it goes on", "0", str(links()["far"]["lag_seconds"]),
        links()["far"]["lag_seconds"] == 0)


def cut_network(_):
    """Nothing comes through; then it does."""
    what = "network of far cut, 5 writes"
    netem("far", "loss 100%")
    since = time.monotonic()
    write(5)
    wait("near has them", caught_up(("near",)))
    wait("far's are on their way", lambda l: l["far"]["unsent_writes"] == 0)
    counts(what, "far", {"unsent": 0, "unreceived": 5, "lag": 5})
    grows(what, "far", ("lag", "unreceived"), since)
    silence = links()["far"]["contact_seconds"]
    away = time.monotonic() - since
    row(what, "silence of far", f"{away:.1f} s or more", f"{silence:.1f} s",
        away - 0.5 <= silence <= away + 5)
    netem("far", "delay 0ms")
    settle()


PARTS = {"applied": ("queued", "network", "apply"), "completed": ("waited", "local", "ack")}


def nanoseconds(seconds):
    """As the JSON has them: nine digits."""
    return round(seconds * 1e9)


def add_up(slow):
    """How many of these records have parts that are not the whole."""
    return sum(nanoseconds(s["seconds"]) != sum(nanoseconds(s[p + "_seconds"])
                                                for p in PARTS[s["until"]]) for s in slow)


def every_write(_):
    """Each write is recorded, as its writer saw it and on each link; its parts are the whole."""
    what, count = "200 writes, each of them slow", 200
    process = subprocess.Popen(["blkcast", "lag", "p", "--json", "--slow", "0.001"],
                               stdout=subprocess.PIPE, text=True)
    looks = [process.stdout.readline()]     # attached
    netem("far", "delay 5ms")
    for _ in range(count):
        write()
    settle()
    process.send_signal(signal.SIGINT)
    looks = [json.loads(l) for l in looks + process.stdout.readlines()]
    netem("far", "delay 0ms")
    slow = [s for look in looks for s in look["slow"]]
    said = [sum(s["until"] == until and s["peer"] == peer for s in slow)
            for until, peer in (("completed", None), ("applied", "near"), ("applied", "far"))]
    row(what, "recorded: completed, on near, on far", "/".join([str(count)] * 3),
        "/".join(map(str, said)), said == [count] * 3)
    row(what, "not shown, lost", "0/0", f"{looks[-1]['slow_partial']}/{looks[-1]['lost']}",
        not looks[-1]["slow_partial"] and not looks[-1]["lost"])
    row(what, "records whose parts are not the whole", "0", str(add_up(slow)), not add_up(slow))


def burst(_):
    """Many at once, over a narrow link, which takes 6 seconds for that."""
    what = "burst of 400 writes, 2 Mbit/s"
    netem("far", "rate 2mbit")
    with Watch() as watch:
        write(400)
        told = links()["far"]
        settle()
    row(what, "bytes of far, right behind it", f"{BLOCK} a write",
        f"{told['lag_bytes']} of {told['lag_writes']} writes",
        0 < told["lag_writes"] * BLOCK == told["lag_bytes"])
    applied = [watch.found[p]["count"] for p in ("near", "far")]
    row(what, "writes applied on near, far", "400/400", "/".join(map(str, applied)),
        applied == [400, 400])
    netem("far", "delay 0ms")
    settle()


def idle(base):
    """Nothing is written: no lag, and the round trip is known all the same."""
    what = "idle after load"
    settle()
    netem("far", "delay 60ms")
    wait("a heartbeat has felt it", lambda l: near_enough(
        l["far"]["rtt_seconds"] * 1000 - base["far"]["rtt"], 120), 40)
    l = links()
    row(what, "lag of near, far", "0/0", f"{l['near']['lag_seconds']}/{l['far']['lag_seconds']}",
        l["near"]["lag_seconds"] == 0 and l["far"]["lag_seconds"] == 0)
    said = l["far"]["rtt_seconds"] * 1000 - base["far"]["rtt"]
    row(what, "rtt of far, network +60 ms each way", "120 ms", f"{said:.1f} ms",
        near_enough(said, 120))
    netem("far", "delay 0ms")


def gone(_):
    """The link is taken away; what far lacks is still known, what nobody told is not."""
    what = "link of far gone, 4 writes"
    settle()
    run("pair", "-d", "p", "far")
    since = time.monotonic()
    write(4)
    wait("near has them", caught_up(("near",)))
    l = links()
    row(what, "state of far", "disconnected", l["far"]["state"],
        l["far"]["state"] == "disconnected")
    row(what, "writes, bytes of far", f"4/{4 * BLOCK}",
        f"{l['far']['lag_writes']}/{l['far']['lag_bytes']}",
        (l["far"]["lag_writes"], l["far"]["lag_bytes"]) == (4, 4 * BLOCK))
    grows(what, "far", ("lag",), since)
    row("a peer never seen", "lag", "unknown", str(l["never"]["lag_seconds"]),
        l["never"]["lag_seconds"] is None and l["never"]["lag_writes"] is None)
    run("ip", "netns", "exec", "far", "pair", "-t", "24000", "p", "far")
    settle()


def status(volume):
    """Of `blkcast status`."""
    return json.loads(run("blkcast", "status", volume, "--json"))["volumes"][0]


def reads(_):
    """How much a replica is read from, and whether the others could take that on."""
    what = "50 reads a second from near"
    buffer, copy = mmap.mmap(-1, BLOCK), os.open("/dev/blkcast/near", os.O_RDONLY | os.O_DIRECT)
    before, start, done, said, rate = status("near")["reads"], time.monotonic(), 0, None, 0
    # The rate is told anew every 5 seconds; each acknowledgement counts.
    while time.monotonic() - start < 30 and not (said and abs(said - rate) <= 0.1 * rate):
        until = time.monotonic() + 5.5
        while time.monotonic() < until:
            os.preadv(copy, [buffer], 0)
            done += 1
            time.sleep(0.02)
        rate = done / (time.monotonic() - start)
        write()
        peers = {l["peer"]: l for l in status("p")["links"]}
        said = peers["near"].get("reads_per_second")
    row(what, "reads of near", str(done), str(status("near")["reads"] - before),
        status("near")["reads"] - before == done)
    row(what, "reads of near a second", f"{rate:.0f}", str(said),
        said is not None and abs(said - rate) <= 0.1 * rate)
    advice = status("p")["replica_reads"]
    row(what, "near and far can serve 30 each", "no loss survived",
        f"{100 * advice['load_after_loss']:.0f}% after a loss",
        not advice["survives_loss"] and advice["replicas"] == 2)
    claim("reads: 2 replicas at " in run("blkcast", "status", "p") and
          "A LOSS IS NOT SURVIVED" in run("blkcast", "status", "p"), "status warns of it")
    os.close(copy)


def show():
    """The table."""
    head = ("injected", "figure", "truth", "blkcast lag says", "")
    widths = [max(len(str(r[i])) for r in [head, *table]) for i in range(5)]
    for r in (head, *table):
        print("| " + "  ".join(str(c).ljust(w) for c, w in zip(r, widths)).rstrip())


ROWS = (slow_network, two_networks, slow_disk, slow_flush, behind_flush, stuck_disk, cut_network,
        every_write, burst, idle, gone, reads)


def main():
    """All rows, or those named."""
    write(64)
    settle()
    base = measure()
    print("# for others, ms: " + ", ".join(f"{k} {v:.1f}" for k, v in base["truth"].items()))
    for peer in ("near", "far"):
        print(f"# without injection, ms: {peer}: " + ", ".join(
            f"{k} {v:.1f}" for k, v in base[peer].items() if v is not None), flush=True)
    for test in ROWS:
        if test.__name__ in sys.argv[1:] or not sys.argv[1:]:
            test(base)
    show()


if __name__ == "__main__":
    sys.exit(echo() if sys.argv[1:] == ["echo"] else main())
