#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmark's samples as a table, a summary and a plot.

Usage: report.py BASE

Reads BASE.jsonl and, if it is there, BASE.new (whose pairs replace those of the
former: so runs of some systems or workloads gather in one file); writes
BASE.jsonl, BASE.json (medians and spread of each pair) and BASE.svg (throughput as
a part of the raw device's), prints the table.

Spread is the half of the range between the quartiles, in per cent of the median.
A ratio is made round by round, of two measurements that were neighbours in time,
and the median of these is shown.
"""

import json
import math
import os
import statistics
import sys

FIGURES = ("iops", "bytes_per_second", "latency_mean", "latency_p50", "latency_p99",
           "cpu_primary", "cpu_all", "wire_bytes", "extra_writes")
PEER = "drbd-C-tuned"   # whose throughput the systems' is compared with, too
LESS = {
    "drbd-A": "DRBD A: done when it is written here and in the send buffer",
    "drbd-C": "DRBD C: a flush is done when it is done here; it does not wait for the other side's",
    "md": "md: the write-intent bitmap is by 64 MiB chunks; no order, no term, no split brain",
}


def load(base):
    samples = {}
    for name in (base + ".jsonl", base + ".new"):
        if not os.path.exists(name):
            continue
        with open(name, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        for key in dict.fromkeys((r["workload"], r["system"]) for r in rows):
            samples[key] = [r for r in rows if (r["workload"], r["system"]) == key]
    return samples


def save(base, samples):
    with open(base + ".jsonl.tmp", "w", encoding="utf-8") as file:
        for rows in samples.values():
            for row in rows:
                file.write(json.dumps(row) + "\n")
    os.replace(base + ".jsonl.tmp", base + ".jsonl")
    if os.path.exists(base + ".new"):
        os.unlink(base + ".new")


def spread(values):
    middle = statistics.median(values)
    if len(values) < 4 or not middle:
        return None
    low, _, high = statistics.quantiles(values, n=4)
    return 50 * (high - low) / middle


def ratio(rows, others):
    """of throughput, by rounds that both have"""
    theirs = {r["round"]: r["iops"] for r in others}
    both = [r["iops"] / theirs[r["round"]] for r in rows if theirs.get(r["round"])]
    return statistics.median(both) if both else None


def summarize(samples):
    summary = {}
    for (workload, system), rows in samples.items():
        entry = {figure: statistics.median(r[figure] for r in rows) for figure in FIGURES}
        entry["rounds"] = len(rows)
        entry["iops_spread_percent"] = spread([r["iops"] for r in rows])
        raw = samples.get((workload, "raw"))
        entry["of_raw"] = ratio(rows, raw) if raw else None
        peer = samples.get((workload, PEER))
        entry["of_peer"] = ratio(rows, peer) if peer else None
        entry["backing"] = rows[0]["backing"]
        summary.setdefault(workload, {})[system] = entry
    return summary


def shown(value, text, missing="-"):
    return missing if value is None else text.format(value)


def table(summary):
    head = ("", "IOPS", "+-%", "of raw", "of peer", "p50 ms", "p99 ms", "CPU us", "all us",
            "wire B", "extra")
    layout = "  {:<18}{:>9}{:>6}{:>8}{:>8}{:>9}{:>9}{:>9}{:>9}{:>9}{:>7}"
    for workload, systems in summary.items():
        backing = next(iter(systems.values()))["backing"]
        print(f"{workload} ({backing})")
        print(layout.format(*head))
        for system, e in systems.items():
            print(layout.format(
                system, f"{e['iops']:.0f}", shown(e["iops_spread_percent"], "{:.0f}"),
                shown(e["of_raw"], "{:.2f}"), shown(e["of_peer"], "{:.2f}"), f"{1e3 * e['latency_p50']:.2f}",
                f"{1e3 * e['latency_p99']:.2f}", f"{1e6 * e['cpu_primary']:.0f}",
                f"{1e6 * e['cpu_all']:.0f}", f"{e['wire_bytes']:.0f}",
                f"{e['extra_writes']:.2f}"))
        print()
    print(f"of peer: throughput, {PEER}'s is 1.\n"
          "CPU us: of the primary, a request; all us: of all guests. wire B: sent by all,\n"
          "a request. extra: writes below beyond those asked for, on the primary.")
    names = {system for systems in summary.values() for system in systems}
    for prefix, text in LESS.items():
        if any(name.startswith(prefix) for name in names):
            print(text + ".")


COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b79a20", "#e45756", "#9d755d",
           "#72b7b2", "#b279a2", "#888888", "#3a3a3a")
BAR, GAP, HEIGHT, LEFT, TOP = 12, 18, 220, 48, 48


LOW = 0.005             # where the bars begin


def height(value, top):
    """of a bar, by the logarithm: systems are far from the raw device, near each other"""
    return HEIGHT * max(0, math.log(value / LOW)) / math.log(top / LOW)


def plot(summary, path):
    """Bars by workload: throughput, the raw device's is 1."""
    systems = []
    for entries in summary.values():
        systems += [s for s in entries if s not in systems and s != "raw"]
    group = BAR * len(systems) + GAP
    width = max(LEFT + group * len(summary) + GAP, 640)
    top = max([1.1] + [e["of_raw"] or 0 for s in summary.values() for e in s.values()])
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
             f'height="{TOP + HEIGHT + 30}" font-family="sans-serif" font-size="11">',
             '<rect width="100%" height="100%" fill="white"/>',
             f'<text x="{LEFT}" y="18" font-size="13">Throughput, raw device = 1, by its logarithm</text>']
    for step in (s for s in (.01, .02, .05, .1, .2, .5, 1, 2) if s <= top):
        y = TOP + HEIGHT - height(step, top)
        parts.append(f'<line x1="{LEFT}" x2="{width - GAP}" y1="{y:.1f}" y2="{y:.1f}" '
                     'stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
                     f'{step:g}</text>')
    for i, system in enumerate(systems):
        x = LEFT + i * 125 % (width - LEFT - 100)
        y = 34 + 14 * (i * 125 // (width - LEFT - 100))
        parts.append(f'<rect x="{x}" y="{y - 9}" width="10" height="10" '
                     f'fill="{COLOURS[i % len(COLOURS)]}"/>')
        parts.append(f'<text x="{x + 14}" y="{y}">{system}</text>')
    for g, (workload, entries) in enumerate(summary.items()):
        x = LEFT + GAP / 2 + g * group
        for i, system in enumerate(systems):
            value = entries.get(system, {}).get("of_raw")
            if not value:
                continue
            size = height(value, top)
            parts.append(
                f'<rect x="{x + i * BAR:.1f}" y="{TOP + HEIGHT - size:.1f}" '
                f'width="{BAR - 1}" height="{size:.1f}" fill="{COLOURS[i % len(COLOURS)]}">'
                f'<title>{system} {workload}: {value:.2f}</title></rect>')
        parts.append(f'<text x="{x + group / 2 - GAP / 2:.1f}" y="{TOP + HEIGHT + 16}" '
                     f'text-anchor="middle">{workload}</text>')
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(parts + ["</svg>"]) + "\n")


def main():
    base = sys.argv[1]
    samples = load(base)
    if not samples:
        sys.exit(f"report.py: no samples in {base}.jsonl or {base}.new")
    summary = summarize(samples)
    save(base, samples)
    with open(base + ".json", "w", encoding="utf-8") as file:
        json.dump(summary, file, indent=1)
    plot(summary, base + ".svg")
    table(summary)
    print(f"{base}.json, {base}.svg")


main()
