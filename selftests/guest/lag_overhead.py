#!/usr/bin/python3 -I
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes a second without and with the probes of blkcast lag, in turns; ns an event.

Runs in the guest of lag_overhead.sh, with the number of turns as its argument.
"""
import json
import statistics
import subprocess
import sys


def run(*args):
    """A command; fails with it."""
    return subprocess.run(args, check=True, text=True, stdout=subprocess.PIPE).stdout


def fio():
    """Writes a second."""
    out = run("fio", "--name=w", "--filename=/dev/blkcast/p", "--rw=randwrite", "--bs=4k",
              "--direct=1", "--ioengine=libaio", "--iodepth=16", "--time_based", "--runtime=3",
              "--size=32m", "--output-format=json")
    return json.loads(out)["jobs"][0]["write"]["iops"]


def probed(options):
    """The same with probes: writes a second, (events, ns) by program, events lost."""
    watch = subprocess.Popen(["blkcast", "lag", "--json", *options], text=True,
                             stdout=subprocess.PIPE)
    watch.stdout.readline()     # attached
    iops = fio()
    programs = json.loads(run("bpftool", "prog", "show", "-j"))
    watch.terminate()
    looks = watch.communicate()[0].splitlines()
    return (iops, {p["name"]: (p["run_cnt"], p["run_time_ns"]) for p in programs
                   if p.get("run_cnt")}, json.loads(looks[-1])["lost"])


def compare(title, *options):
    """Print what they cost."""
    off, on, cost = [], [], {}
    for _ in range(int(sys.argv[1])):
        off.append(fio())
        iops, programs, lost = probed(options)
        on.append(iops)
        for name, (count, ns) in programs.items():
            old = cost.get(name, (0, 0))
            cost[name] = (old[0] + count, old[1] + ns)
        if lost:
            print(f"{lost} events lost")
    ratio = statistics.median(b / a for a, b in zip(off, on))
    print(f"{title}: {statistics.median(off):.0f} writes/s without, "
          f"{statistics.median(on):.0f} with: {100 * (1 - ratio):+.1f}% cost")
    for name, (count, ns) in sorted(cost.items()):
        print(f"  {name:22} {count:8} events {ns / count:7.0f} ns each")


fio()
compare("histograms")
subprocess.run(["sysctl", "-q", "kernel.bpf_stats_enabled=1"], check=True)
compare("histograms, each program timed")
compare("histograms, slow writes and sums, each program timed", "--slow", "50", "--top")
