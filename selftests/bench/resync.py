#!/usr/bin/python3 -I
# SPDX-License-Identifier: GPL-2.0-or-later
"""How soon a replica is in sync again: in g1, the primary, of resync.sh.

Usage: resync.py FILE BACKING MIB ROUNDS SYSTEM...

FILE gets all samples.  A sample is what was written while the link was cut, the
seconds from the command that makes the link again until the replica is in sync,
and what this host has sent meanwhile, and its writers written.
"""

import json
import os
import statistics
import subprocess
import sys
import time

AWAY = 10               # seconds of the cut under load

# How what is missed is written: fio's options, and the part of the volume.
PATTERNS = {
    "64 KiB here and there": ("--rw=randwrite --bs=64k --iodepth=8", 2),
    "4 KiB here and there": ("--rw=randwrite --bs=4k --iodepth=16", 64),
}
LOAD = f"{AWAY} s of load, which goes on"


def wanted(pattern, system):
    """Under load only what nobody holds back: 8 MiB/s, stock DRBD 250 KiB/s, is what it takes."""
    return pattern != LOAD or "fast" in system or "tuned" in system


def run(*command):
    """Output of a command that must succeed."""
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def sent():
    """Bytes that this host has sent."""
    with open("/sys/class/net/eth0/statistics/tx_bytes", encoding="ascii") as file:
        return int(file.read())


def taken(target):
    """Bytes that a device has taken."""
    name = os.path.basename(os.path.realpath(target.device))
    with open(f"/sys/block/{name}/stat", encoding="ascii") as file:
        return int(file.read().split()[6]) * 512


class Blkcast:
    """A volume of ours."""

    def __init__(self, name):
        self.volume = name
        self.device = f"/dev/blkcast/{self.volume}"

    def cut(self):
        """The primary goes on alone."""
        run("blkcast", "disconnect", self.volume, "--peer", "g2")

    def link(self):
        """And is not alone any more."""
        run("blkcast", "connect", self.volume, "--peer", "g2", "--address", "g2", "--plain",
            "--timeout", "120000", "--wait", "0")

    def in_sync(self):
        """Does the replica have all?"""
        volume, = json.loads(run("blkcast", "status", self.volume, "--json"))["volumes"]
        return all(link["state"] == "in-sync" for link in volume["links"]) and volume["links"]


class Drbd:
    """A resource of the peer's."""

    def __init__(self, name):
        self.resource = name
        minors = run("drbdadm", "sh-minor", self.resource).split()
        self.minor = minors[0]
        self.device = f"/dev/drbd{self.minor}"

    def cut(self):
        """The primary goes on alone."""
        run("drbdadm", "disconnect", self.resource)

    def link(self):
        """And is not alone any more."""
        run("drbdadm", "connect", self.resource)

    def in_sync(self):
        """Does the replica have all?"""
        with open("/proc/drbd", encoding="ascii") as file:
            line, = (line for line in file if line.split()[:1] == [self.minor + ":"])
        return "cs:Connected" in line and "ds:UpToDate/UpToDate" in line


def fio(target, options, *more):
    """A running fio."""
    return subprocess.Popen(["fio", "--name=w", f"--filename={target.device}", "--direct=1",
                             "--ioengine=libaio", "--output-format=json", *options.split(), *more],
                            text=True, stdout=subprocess.PIPE)


def written(job):
    """Bytes that a fio has written, once it has ended or was interrupted."""
    out, _ = job.communicate()
    done = json.loads(out[out.index("{"):])["jobs"][0]      # behind what it warns of
    assert not done["error"] and done["write"]["io_bytes"], out
    return done["write"]["io_bytes"]


def join(target):
    """Until the replica is in sync again."""
    before, start = (sent(), taken(target)), time.monotonic()
    target.link()
    while not target.in_sync():
        time.sleep(.1)
    return {"seconds": time.monotonic() - start, "wire": sent() - before[0],
            "meanwhile": taken(target) - before[1]}


def measure_pattern(target, pattern, size, seed):
    """Write while the link is cut, then link."""
    options, part = PATTERNS[pattern]
    target.cut()
    missed = written(fio(target, options, f"--io_size={size // part}", f"--randseed={seed}"))
    return {"missed": missed, **join(target)}


def measure_load(target, seed):
    """The same under writers that go on."""
    # Told to end, 16 jobs do; one with 16 requests under way may wait for more than it has.
    options = (f"--rw=randwrite --bs=4k --numjobs=16 --ioengine=psync --group_reporting "
               f"--norandommap --time_based --randseed={seed}")
    target.cut()
    job = fio(target, options, "--runtime=3600")
    before = taken(target)
    time.sleep(AWAY)
    missed = taken(target) - before
    sample = join(target)
    job.send_signal(2)
    written(job)
    return {"missed": missed, **sample}


def table(samples, systems):
    """Medians, and least and most."""
    for pattern in (*PATTERNS, LOAD):
        print(pattern)
        for system in filter(lambda s: wanted(pattern, s), systems):
            rows = samples[pattern][system]
            times = [row["seconds"] for row in rows]
            line = (f"  {system:16} {statistics.median(times):7.1f} s "
                    f"({min(times):.1f} .. {max(times):.1f})")
            for key, name in (("missed", "written before"), ("wire", "sent"),
                              ("meanwhile", "written meanwhile")):
                line += f" {statistics.median(row[key] for row in rows) / 2**20:7.0f} MiB {name}"
            print(line, flush=True)


def main():
    """Rounds of all patterns, the systems by turns."""
    place, backing, mib, rounds, *systems = sys.argv[1:]
    targets = {s: (Blkcast if s.startswith("blkcast") else Drbd)(f"{s}-{backing}")
               for s in systems}
    samples = {p: {s: [] for s in systems} for p in (*PATTERNS, LOAD)}
    for seed in range(int(rounds)):
        for pattern in (*PATTERNS, LOAD):
            for system, target in targets.items():
                if not wanted(pattern, system):
                    continue
                sample = (measure_load(target, seed) if pattern == LOAD else
                          measure_pattern(target, pattern, int(mib) << 20, seed))
                samples[pattern][system].append(sample)
                print(f"# round {seed + 1}: {pattern}: {system}: {sample['seconds']:.1f} s",
                      file=sys.stderr, flush=True)
    with open(place + ".new", "w", encoding="utf-8") as file:
        json.dump(samples, file, indent=1)
    os.replace(place + ".new", place)
    table(samples, systems)


main()
