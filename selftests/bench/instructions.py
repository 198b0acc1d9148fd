#!/usr/bin/python3 -I
# SPDX-License-Identifier: GPL-2.0-or-later
"""The instructions of a write, of all ends together: in the guest of instructions.sh.

Usage: instructions.py ROUNDS [SYSTEM...]

The primary's alone are its writer's and its kernel threads': the writes' way, what it sends
and what it is answered. TCP over loopback delivers a segment where it is sent, so in these
is what the other end's TCP does with it, and the other way round with the answers.

A system is raw, blkcast-ACK-N (ack local, memory or disk; N replicas, 0 to 8) or
drbd-P[-tuned][-sums] (protocol A, B or C, as in setup.sh). Each has RAM disks of its own.
"""

import contextlib
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

DEFAULT = ("raw", "blkcast-disk-0", "blkcast-local-1", "blkcast-disk-1", "blkcast-disk-2",
           "blkcast-disk-4", "blkcast-disk-8", "drbd-C", "drbd-C-tuned", "drbd-C-tuned-sums")
WORKLOADS = {           # name: fio's options, requests a measurement
    "4k-d1": ("--rw=randwrite --bs=4k --iodepth=1", 4096),
    "4k-d16": ("--rw=randwrite --bs=4k --iodepth=16", 8192),
    "4k-d64": ("--rw=randwrite --bs=4k --iodepth=64", 8192),
    "1m-d4": ("--rw=write --bs=1m --iodepth=4", 128),
    "read-d16": ("--rw=randread --bs=4k --iodepth=16", 8192),
}
PEER = "drbd-C-tuned"
PARTS = "36m"           # of a disk of 40 MiB: every system has that much
DRBD = "/lib/drbd/drbdsetup-84"

disks = (f"/dev/ram{i}" for i in itertools.count())
minors = itertools.count()


def run(*command):
    """Output of a command that must succeed."""
    done = subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return done.stdout


def until(true):
    """Wait for it, for two minutes at most."""
    end = time.monotonic() + 120
    while not true():
        if time.monotonic() > end:
            sys.exit("in vain")
        time.sleep(0.1)


def blkcast(system):
    """A primary and its replicas; what to write to."""
    _, ack, replicas = system.split("-")

    def volume(name, *options):
        run("blkcast", "create", name, "--device", next(disks), "--ack", ack, *options)
        run("blkcast", "up", name)

    def status():
        return json.loads(run("blkcast", "status", system, "--json"))["volumes"][0]

    volume(system)
    for number in range(int(replicas)):
        volume(f"{system}r{number}", "--uuid", status()["uuid"])
    run("blkcast", "primary", system)
    for number in range(int(replicas)):
        run("pair", system, f"{system}r{number}")
    until(lambda: all(link["state"] == "in-sync" for link in status()["links"]))
    return f"/dev/blkcast/{system}"


def drbd(system):
    """Two resources that are each other's peers; what to write to."""
    _, protocol, *more = system.split("-")
    disk, net = [], [f"--protocol={protocol}"]
    if "tuned" in more:
        disk = ["--al-extents=6433", "--c-plan-ahead=20", "--c-max-rate=1024000",
                "--c-fill-target=2048"]
        net += ["--max-buffers=16000", "--max-epoch-size=16000", "--sndbuf-size=0"]
    if "sums" in more:
        net.append("--data-integrity-alg=crc32c")
    run("modprobe", "drbd")
    ends = next(minors), next(minors)
    for minor, peer in (ends, ends[::-1]):
        device, name = next(disks), f"r{minor}"
        run("drbdmeta", "--force", f"/dev/drbd{minor}", "v08", device, "internal", "create-md")
        run(DRBD, "new-resource", name)
        run(DRBD, "new-minor", name, str(minor), "0")
        run(DRBD, "attach", str(minor), device, device, "internal", *disk)
        run(DRBD, "connect", name, *(f"ipv4:127.0.0.1:{7800 + end}" for end in (minor, peer)),
            *net)
    first = str(ends[0])
    until(lambda: run(DRBD, "cstate", first).strip() == "Connected")
    run(DRBD, "new-current-uuid", "--clear-bitmap", first)
    run(DRBD, "primary", first)
    return f"/dev/drbd{first}"


def make(system):
    """What to write to, written full once."""
    made = {"raw": lambda _: next(disks), "blkcast": blkcast, "drbd": drbd}
    device = made[system.split("-")[0]](system)
    fio(device, f"--rw=write --bs=1m --size={PARTS}")
    return device


def fio(device, options):
    """One job of it."""
    out = run("fio", "--name=w", f"--filename={device}", "--direct=1", "--ioengine=libaio",
              "--randrepeat=0", "--norandommap", "--output-format=json", *options.split())
    return json.loads(out[out.index("{"):])["jobs"][0]      # behind a warning, perhaps


def threads(device):
    """Nanoseconds that a primary's kernel threads have run, 0 if it has none."""
    volume = os.path.basename(device)
    minor = os.path.basename(os.path.realpath(device)).removeprefix("blkcast")
    names = f"blkcast/{volume}", f"blkcast-tx/{minor}", f"blkcast-rx/{minor}"
    ran = 0
    for task in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):      # it has ended
            if (task / "comm").read_text().strip() in names:
                ran += int((task / "schedstat").read_text().split()[0])
    return ran


def measure(device, options, requests):
    """Instructions a request: all, the primary's."""
    options += f" --size={PARTS}"
    fio(device, f"{options} --number_ios={requests // 8}")
    before = threads(device)
    job = fio(device, f"{options} --number_ios={requests}")
    kernel, all_of_it = threads(device) - before, job["job_runtime"] * 1e6
    writer = all_of_it * (job["usr_cpu"] + job["sys_cpu"]) / 100
    requests = job["read"]["total_ios"] + job["write"]["total_ios"]
    return all_of_it / requests, (writer + kernel) / requests


def show(workload, counts):
    """Counts of each system."""
    print(workload)
    for system, pairs in counts.items():
        values, primary = zip(*pairs)
        ratio = ""
        if PEER in counts:
            ratio = statistics.median(
                value / peer for value, (peer, _) in zip(values, counts[PEER]))
            ratio = f"{ratio:6.2f}"
        middle = statistics.median(values)
        print(f"  {system:20}{middle / 1e3:8.1f} ({min(values) / 1e3:.1f} .. "
              f"{max(values) / 1e3:.1f}) {statistics.median(primary) / 1e3:8.1f} {ratio}",
              flush=True)


def main():
    """All systems stand ready at once and are measured by turns."""
    rounds, systems = int(sys.argv[1]), sys.argv[2:] or DEFAULT
    devices = {system: make(system) for system in systems}
    counts = {}
    print("thousands of instructions a request, all ends together; median, least and most of "
          f"{rounds} rounds; the primary's alone, median; {PEER} is 1")
    for number in range(1, rounds + 1):
        for workload, (options, requests) in WORKLOADS.items():
            for system, device in devices.items():
                counts.setdefault((workload, system), []).append(
                    measure(device, options, requests))
            print(f"# round {number}: {workload} done", file=sys.stderr, flush=True)
            if number == rounds:
                show(workload, {system: counts[workload, system] for system in systems})


os.environ["PATH"] += ":/blkcast/.build/selftests/guest:/usr/sbin:/sbin"
main()
