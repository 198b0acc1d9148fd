#!/usr/bin/python3 -I
# SPDX-License-Identifier: GPL-2.0-or-later
"""What grows with the size of a volume, and with their number: in the guest of scale.sh.

The volumes of part one are on null_blk without memory, which keeps nothing, their
metadata on one with memory; those of part two on RAM disks.
"""

import glob
import json
import os
import statistics
import subprocess
import time

SIZES = {"1 GiB": 1 << 10, "64 GiB": 64 << 10, "1 TiB": 1 << 20, "16 TiB": 16 << 20,
         "64 TiB": 64 << 20}                    # MiB
ROUNDS = 5
VOLUMES = 100
NEAR = 128 << 20        # bytes: a part that has been written all over
WRITES = 4096           # a measurement, by fio's milliseconds: some 250 instructions a write
CONFIGFS = "/sys/kernel/config"


def run(*command):
    """Output of a command that must succeed."""
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def put(path, text):
    """Write to a file of the kernel's."""
    with open(path, "w", encoding="ascii") as file:
        file.write(str(text))


def null_blk(name, **settings):
    """A device; its path."""
    place = f"{CONFIGFS}/nullb/{name}"
    os.mkdir(place)
    for key, value in settings.items():
        put(f"{place}/{key}", value)
    put(f"{place}/power", 1)
    return f"/dev/{name}"


def null_blk_gone(name):
    """It is not needed any more."""
    put(f"{CONFIGFS}/nullb/{name}/power", 0)
    os.rmdir(f"{CONFIGFS}/nullb/{name}")


def memory():
    """KiB that are used and cannot be had back."""
    run("sync")
    put("/proc/sys/vm/drop_caches", 3)
    with open("/proc/meminfo", encoding="ascii") as file:
        has = {line.split(":")[0]: int(line.split()[1]) for line in file}
    return has["MemTotal"] - has["MemAvailable"]


def write(volume, *options):
    """Instructions a write."""
    out = run("fio", "--name=w", f"--filename=/dev/blkcast/{volume}", "--rw=randwrite",
              "--bs=4k", "--direct=1", "--ioengine=libaio", "--iodepth=16", "--norandommap",
              "--randrepeat=0", f"--number_ios={WRITES}", "--output-format=json", *options)
    job = json.loads(out[out.index("{"):])["jobs"][0]      # behind a warning, perhaps
    return job["job_runtime"] * 1e6 / job["write"]["total_ios"]


def spread(values):
    """Median, least and most, in thousands."""
    middle, least, most = (v / 1e3 for v in (statistics.median(values), min(values), max(values)))
    return f"{middle:7.1f} ({least:.1f} .. {most:.1f})"


def volume_of(mib):
    """What a write costs on a volume of that size."""
    device = null_blk("big", size=mib, irqmode=0)
    meta = null_blk("meta", size=1024, irqmode=0, memory_backed=1)
    run("blkcast", "create", "big", "--device", device, "--meta", meta)
    before = memory()
    run("blkcast", "up", "big")
    run("blkcast", "primary", "big")
    used = memory() - before
    volume, = json.loads(run("blkcast", "status", "big", "--json"))["volumes"]
    write("big", f"--size={NEAR}", f"--number_ios={NEAR // 4096}")
    near = [write("big", f"--size={NEAR}") for _ in range(ROUNDS)]
    far = [write("big") for _ in range(ROUNDS)]
    run("blkcast", "down", "big")
    run("blkcast", "destroy", "big", "--force")
    null_blk_gone("big")
    null_blk_gone("meta")
    return volume["region_bytes"], used, near, far


def sizes():
    """Part one."""
    print(f"thousands of instructions a write, 4 KiB, 16 at a time, no replica; {ROUNDS} rounds")
    print("  volume   regions of  memory KiB   within 128 MiB        anywhere")
    for name, mib in SIZES.items():
        region, used, near, far = volume_of(mib)
        print(f"  {name:8} {region >> 10:6} KiB {used:11}   {spread(near)}  {spread(far)}", flush=True)


def threads():
    """Of the module's."""
    count = 0
    for path in glob.glob("/proc/[0-9]*/comm"):
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                name = file.read().strip()
        except OSError:
            continue
        # Those that have a queue's work done when memory is short are kworker/R-blkca...
        count += "blkca" in name and name != "blkcastd"
    return count


def linked(volume):
    """Has it a replica in sync?"""
    status, = json.loads(run("blkcast", "status", volume, "--json"))["volumes"]
    return any(link["state"] == "in-sync" for link in status["links"])


def numbers():
    """Part two."""
    print(f"{VOLUMES} primaries of 8 MiB with their replicas, both on this host")
    start = memory(), threads()
    for number in range(VOLUMES):
        names = f"p{number}", f"r{number}"
        run("blkcast", "create", names[0], "--device", f"/dev/ram{2 * number}")
        run("blkcast", "up", names[0])
        status, = json.loads(run("blkcast", "status", names[0], "--json"))["volumes"]
        run("blkcast", "create", names[1], "--device", f"/dev/ram{2 * number + 1}",
            "--uuid", status["uuid"])
        run("blkcast", "up", names[1])
        run("blkcast", "primary", names[0])
    up = memory(), threads()
    for number in range(VOLUMES):
        run("pair", f"p{number}", f"r{number}")
    while not all(linked(f"p{number}") for number in range(VOLUMES)):
        time.sleep(1)
    joined = memory(), threads()
    for what, then, now, count in (("a volume that is up", start, up, 2 * VOLUMES),
                                   ("a link, both its ends", up, joined, VOLUMES)):
        print(f"  {what:24} {(now[0] - then[0]) / count:6.0f} KiB"
              f"  {(now[1] - then[1]) / count:.1f} threads")


def main():
    """Both."""
    run("modprobe", "null_blk", "nr_devices=0")
    if not os.path.ismount(CONFIGFS):
        run("mount", "-t", "configfs", "none", CONFIGFS)
    sizes()
    numbers()


main()
