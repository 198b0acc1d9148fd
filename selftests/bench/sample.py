#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One measurement: what fio and the guests' counters say, as a line of JSON.

Usage: sample.py FOLDER ROUND SYSTEM WORKLOAD BACKING

FOLDER has fio.json, and gN.before and gN.after of each guest (setup.sh counters).
Times are in seconds, sizes in bytes; "a write" is a request of fio's, reads too.
"""

import json
import os
import sys

TICK = 0.01             # of /proc/stat (proc(5): USER_HZ)


def counters(path):
    """busy seconds of all CPUs, bytes sent, requests and flushes below"""
    found = {"busy": 0.0, "sent": 0, "below": 0, "meta": 0}
    with open(path, encoding="ascii") as file:
        for line in file:
            words = line.replace(":", " ").split()
            if words[0].startswith("cpu") and words[0] != "cpu":
                user, nice, system, _idle, _iowait, irq, softirq = map(int, words[1:8])
                found["busy"] += TICK * (user + nice + system + irq + softirq)
            elif words[0] == "eth0":
                found["sent"] += int(words[9])
            elif words[0] == "disk":        # Documentation/block/stat.rst
                found["below"] += int(words[5])
            elif words[0] == "meta":
                found["meta"] += int(words[5])
    return found


def difference(folder, guest):
    before, after = (counters(f"{folder}/{guest}.{when}") for when in ("before", "after"))
    return {key: after[key] - before[key] for key in before}


def main():
    folder, round_number, system, workload, backing = sys.argv[1:]
    with open(folder + "/fio.json", encoding="utf-8") as file:
        job = json.load(file)["jobs"][0]
    done = sum(job[way]["total_ios"] for way in ("read", "write"))
    main_way = max(("write", "read"), key=lambda way: job[way]["total_ios"])
    guests = sorted(name[:-7] for name in os.listdir(folder) if name.endswith(".before"))
    spent = {guest: difference(folder, guest) for guest in guests}
    latency = job[main_way]["clat_ns"]["percentile"]
    written = job["write"]["total_ios"]
    primary = spent["g1"]
    print(json.dumps({
        "round": int(round_number), "system": system, "workload": workload,
        "backing": backing, "requests": done,
        "iops": sum(job[way]["iops"] for way in ("read", "write")),
        "bytes_per_second": sum(job[way]["bw_bytes"] for way in ("read", "write")),
        "latency_mean": job[main_way]["clat_ns"]["mean"] / 1e9,
        "latency_p50": latency["50.000000"] / 1e9,
        "latency_p99": latency["99.000000"] / 1e9,
        "cpu_primary": primary["busy"] / done,
        "cpu_all": sum(s["busy"] for s in spent.values()) / done,
        "wire_bytes": sum(s["sent"] for s in spent.values()) / done,
        "extra_writes": (max(0, primary["below"] + primary["meta"] - written) / written
                         if written else 0.0),
    }))


main()
