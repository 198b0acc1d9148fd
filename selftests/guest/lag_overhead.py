#!/usr/bin/python3 -I
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes a second without and with the probes of blkcast lag, in turns; ns an event.

Runs in the guest of lag_overhead.sh, with the number of turns as its argument.
"""
import json
import statistics
import subprocess
import sys
import time

PROBES = {
    "histograms": ((), 8),
    "histograms, slow writes, sums": (("--slow", "50", "--top"), 10),
}


def run(*args):
    """A command; fails with it."""
    return subprocess.run(args, check=True, text=True, stdout=subprocess.PIPE).stdout


def programs():
    """Those of the probes, attached or not yet, as bpftool shows them."""
    return [p for p in json.loads(run("bpftool", "prog", "show", "-j"))
            if p.get("name", "").startswith("lag_")]


def switches():
    """Of context, since the start."""
    with open("/proc/stat", encoding="ascii") as stat:
        return next(int(line.split()[1]) for line in stat if line.startswith("ctxt"))


def fio(turn):
    """Writes a second, for as many writes each time; switches of context a write."""
    before = switches()
    out = run("fio", "--name=w", "--filename=/dev/blkcast/p", "--rw=randwrite", "--bs=4k",
              "--direct=1", "--ioengine=libaio", "--iodepth=16", "--size=32m",
              f"--randseed={turn + 1}", "--output-format=json")
    job = json.loads(out)["jobs"][0]
    writes = job["write"]["total_ios"]
    return writes / job["job_runtime"] * 1000, (switches() - before) / writes


def attached():
    """Links of the probes: each has one program on one tracepoint."""
    ids = {p["id"] for p in programs()}
    return sum(l["prog_id"] in ids for l in json.loads(run("bpftool", "link", "show", "-j")))


def probed(what, turn):
    """The same with probes: what fio() returns, the programs as bpftool shows them."""
    options, links = PROBES[what]
    # No look at them meanwhile: it would be in the figure once, or not.
    watch = subprocess.Popen(["blkcast", "lag", "--json", "--interval", "3600", *options],
                             text=True, stdout=subprocess.PIPE)
    while attached() < links and watch.poll() is None:
        time.sleep(0.1)
    figures, shown = fio(turn), programs()
    watch.terminate()
    last = json.loads(watch.communicate()[0].splitlines()[-1])
    assert len(shown) == links and last["total"], (shown, last)
    if last["lost"]:
        print(f"{last['lost']} events lost")
    return figures, shown


def compare(what):
    """Print what they cost."""
    off, on = [], []
    for turn in range(int(sys.argv[1])):
        off.append(fio(turn))
        on.append(probed(what, turn)[0])
    ratios = [1 - b[0] / a[0] for a, b in zip(off, on)]
    rates, changes = ([statistics.median(f[i] for f in figures) for figures in (off, on)]
                      for i in range(2))
    print(f"{what}: {rates[0]:.0f} writes/s without, {rates[1]:.0f} with: "
          f"{100 * statistics.median(ratios):+.1f}% cost "
          f"({100 * min(ratios):+.1f}% to {100 * max(ratios):+.1f}%); "
          f"{changes[0]:.2f}, {changes[1]:.2f} switches of context a write", flush=True)


def events():
    """Print what each program takes for an event, as the kernel times it."""
    run("sysctl", "-q", "kernel.bpf_stats_enabled=1")
    print("each program timed:")
    for p in sorted(probed("histograms, slow writes, sums", 0)[1], key=lambda p: p["name"]):
        if p.get("run_cnt"):
            print(f"  {p['name']:22} {p['run_cnt']:8} events "
                  f"{p['run_time_ns'] / p['run_cnt']:7.0f} ns each")


fio(0)
for name in PROBES:
    compare(name)
events()
