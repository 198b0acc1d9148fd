#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory that is short, and files that are written while it is.

    hog MIB         takes memory until so much is available, keeps at it
    write FILE MIB  writes a file by write(2)
    dirty FILE MIB  the same through a mapping of it
    check FILE MIB  is it what was written?
"""

import mmap
import random
import sys
import time

PAGE = 4096


def available():
    with open("/proc/meminfo", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) >> 10
    raise SystemExit("no MemAvailable")


def hog(leave):
    """Never gives anything back."""
    held = []
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
        score.write("1000")
    while True:
        if available() > leave:
            held.append(bytearray(b"\1" * (1 << 20)))
        else:
            time.sleep(0.05)


def pieces(path, mib):
    """A MiB after the other: no two pages of all files are the same."""
    for number in range(mib):
        piece = bytearray(random.Random(path).randbytes(PAGE) * 256)
        for page in range(256):
            piece[page * PAGE:page * PAGE + 8] = (number << 8 | page).to_bytes(8, "big")
        yield piece


def write(path, mib):
    with open(path, "wb", buffering=0) as file:
        for piece in pieces(path, mib):
            file.write(piece)


def dirty(path, mib):
    with open(path, "w+b", buffering=0) as file:
        file.truncate(mib << 20)
        with mmap.mmap(file.fileno(), mib << 20) as memory:
            for number, piece in enumerate(pieces(path, mib)):
                memory[number << 20:(number + 1) << 20] = bytes(piece)


def check(path, mib):
    with open(path, "rb", buffering=0) as file:
        for number, piece in enumerate(pieces(path, mib)):
            if file.read(1 << 20) != piece:
                sys.exit(f"{path}: MiB {number} is not what was written")


if sys.argv[1] == "hog":
    hog(int(sys.argv[2]))
else:
    {"write": write, "dirty": dirty, "check": check}[sys.argv[1]](
        sys.argv[2], int(sys.argv[3]))
