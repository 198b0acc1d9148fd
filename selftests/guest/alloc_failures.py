#!/usr/bin/python3 -I
# SPDX-License-Identifier: GPL-2.0-or-later
"""
alloc_failures: fails allocations of modules and requests of disks, in a kernel that can.

	alloc_failures.py often PERCENT		from now on, of all tasks; 0: those that a
			task asks for (fail-nth: see failnth.c) alone
	alloc_failures.py requests PERCENT DISK		those of a disk; 0: no more
	alloc_failures.py write DEVICE MODEL BLOCKS SECONDS SEED
			blocks by lot; MODEL, which may be there from an earlier time,
			gets what each may hold from now on
	alloc_failures.py has DEVICE MODEL
			each block holds what was acknowledged last, or a later write that
			was not
"""
import hashlib
import json
import mmap
import os
import random
import sys
import time

BLOCK = 4096
DEBUG = "/sys/kernel/debug/"
POINTS = ("failslab", "fail_page_alloc")
# Where x86-64 has its modules: only what one of them has asked for fails.
MODULES = ("0xffffffffa0000000", "0xffffffffff000000")


def put(path, value):
    with open(path, "w") as file:
        file.write(str(value))


def counters():
    """The kernel's function that takes in a module's coverage: not the module's own doing."""
    with open("/proc/kallsyms") as file:
        text = sorted((int(line.split()[0], 16), line.split()[2]) for line in file
                      if line.split()[1] in "tT" and "[" not in line)
    names = [name for _, name in text]
    at = names.index("__gcov_init")
    return hex(text[at][0]), hex(next(a for a, _ in text[at:] if a > text[at][0]))


def arm_point(point, percent):
    folder = DEBUG + point + "/"
    put(folder + "task-filter", "N")
    put(folder + "interval", 1)
    put(folder + "times", -1)
    put(folder + "verbose", 0)
    put(folder + "probability", percent)
    return folder


def arm(percent):
    begin, end = counters()
    for point in POINTS:
        folder = arm_point(point, percent)
        put(folder + "reject-start", begin)
        put(folder + "reject-end", end)
        put(folder + "require-start", MODULES[0])
        put(folder + "require-end", MODULES[1])
        put(folder + "stacktrace-depth", 32)
        put(folder + "ignore-gfp-wait", "N")
    put(DEBUG + "fail_page_alloc/ignore-gfp-highmem", "N")
    put(DEBUG + "fail_page_alloc/min-order", 0)


def arm_disk(percent, disk):
    put(f"/sys/block/{disk}/make-it-fail", int(percent > 0))
    arm_point("fail_make_request", percent)


def content(block, count):
    if not count:
        return bytes(BLOCK)
    return hashlib.sha256(f"{block} {count}".encode()).digest() * (BLOCK // 32)


def write(path, model, blocks, seconds, seed):
    """MODEL: for each block the counts it may hold, the last one acknowledged first."""
    may, count = [[0] for _ in range(blocks)], 0
    if os.path.exists(model):
        with open(model) as file:
            may = json.load(file)
        count = max(map(max, may))
    dice = random.Random(f"{seed} {count}")
    device = os.open(path, os.O_RDWR | os.O_DIRECT)
    buffer = mmap.mmap(-1, BLOCK)
    deadline = time.monotonic() + seconds
    first, failed = count, 0
    while time.monotonic() < deadline:
        block = dice.randrange(blocks)
        count += 1
        buffer[:] = content(block, count)
        try:
            os.pwrite(device, buffer, block * BLOCK)
            may[block] = [count]
            if dice.random() < .05:
                os.fsync(device)
        except OSError:
            failed += 1
            may[block].append(count)
    with open(model, "w") as file:
        json.dump(may, file)
    print(f"{count - first} writes, {failed} failed")


def has(path, model):
    with open(model) as file:
        may = json.load(file)
    device = os.open(path, os.O_RDONLY | os.O_DIRECT)
    buffer = mmap.mmap(-1, BLOCK)
    for block, counts in enumerate(may):
        os.preadv(device, [buffer], block * BLOCK)
        if bytes(buffer) not in [content(block, count) for count in counts]:
            sys.exit(f"block {block} holds none of {counts}")


def main():
    verb, *args = sys.argv[1:]
    if verb == "often":
        arm(int(args[0]))
    elif verb == "requests":
        arm_disk(int(args[0]), args[1])
    elif verb == "write":
        write(args[0], args[1], *map(int, args[2:]))
    else:
        has(*args)


main()
