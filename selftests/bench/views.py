#!/usr/bin/python3 -I
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a view costs who writes: in the guest of views.sh, with the number of rounds
and the name of what a nanosecond is.

What is overwritten under a view for the first time is saved; later it is only looked
for.  So each turn makes its views anew.
"""
import json
import statistics
import subprocess
import sys

AREA = 40 << 20             # bytes that are written, each once a turn
STORES = {
    "no view": (),
    "memory": ("memory:64M",),
    "file": ("/tmp/old:64M",),
    "device": ("/dev/ram1",),
    "two in memory": ("memory:64M", "memory:64M"),
}
LATER = "memory, saved before"


def run(*args):
    """A command; fails with it."""
    return subprocess.run(args, check=True, text=True, stdout=subprocess.PIPE).stdout


def write(size, seed):
    """Nanoseconds a write of @size bytes."""
    out = run("fio", "--name=w", "--filename=/dev/blkcast/data", "--rw=randwrite",
              f"--bs={size}", "--direct=1", "--ioengine=libaio", "--iodepth=8",
              f"--size={AREA}", f"--randseed={seed}", "--output-format=json")
    job = json.loads(out)["jobs"][0]
    return job["job_runtime"] * 1e6 / job["write"]["total_ios"]


def turn(size, seed, taken):
    """Add one figure of each to @taken."""
    for name, stores in STORES.items():
        views = [f"v{i}" for i in range(len(stores))]
        for view, store in zip(views, stores):
            run("blkcast", "view", "create", "data", view, "--store", store)
        taken.setdefault(name, []).append(write(size, seed))
        if name == "memory":
            taken.setdefault(LATER, []).append(write(size, seed + 1))
        for view in json.loads(run("blkcast", "view", "list", "data", "--json"))["views"]:
            assert not view["broken"], view
            run("blkcast", "view", "remove", "data", view["name"])


def main():
    """Print a table for each size of write."""
    rounds, unit = int(sys.argv[1]), sys.argv[2]
    # What was never written has nothing to be saved.
    run("dd", "if=/dev/urandom", "of=/dev/blkcast/data", "bs=1M", f"count={AREA >> 20}",
        "oflag=direct", "status=none")
    for size in 4096, 65536:
        taken = {}
        write(size, 1)
        for seed in range(rounds):
            turn(size, seed + 2, taken)
        print(f"writes of {size >> 10} KiB, {rounds} rounds: {unit} a write")
        for name in (*STORES, LATER):
            ratio = statistics.median(a / b for a, b in zip(taken[name], taken["no view"]))
            print(f"  {name:22} {statistics.median(taken[name]):8.0f} "
                  f"({min(taken[name]):.0f} .. {max(taken[name]):.0f})   {ratio:.2f}", flush=True)


main()
