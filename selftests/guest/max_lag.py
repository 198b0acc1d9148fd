#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a replica with a limit shows, beside what was completed on the primary.

    write DEVICE TOLD COUNT   block 0 gets the numbers 1 to COUNT, one write after the
                              other; TOLD, outside of the guests, has the last one that
                              was completed.  It never changes its size, over which
                              9p's reader on 6.12 goes round for ever
    read DEVICE TOLD COUNT LIMIT
                              reads of block 0 until one shows COUNT; TOLD.served is made
                              when the first of them is served.  A read that is
                              served shows at least what had been completed, by a look at
                              TOLD, LIMIT seconds before it began.  So one clock is
                              enough.  Prints how many were served and turned away
"""

import errno
import mmap
import os
import struct
import sys
import time

BLOCK = 4096
PAUSE = 0.05  # seconds
DEADLINE = 120


def write(device, told, count):
    file = os.open(device, os.O_WRONLY | os.O_DIRECT)
    block = mmap.mmap(-1, BLOCK)
    for number in range(1, count + 1):
        block[:] = struct.pack("<Q", number) * (BLOCK // 8)
        os.pwrite(file, block, 0)
        with open(told + ".new", "w", encoding="ascii") as out:
            out.write(f"{number:08}")
        os.rename(told + ".new", told)
        time.sleep(PAUSE)


def shown(file, block):
    """The number in block 0; None if the reader is turned away."""
    try:
        os.preadv(file, [block], 0)
    except OSError as error:
        if error.errno != errno.ETIMEDOUT:
            raise
        return None
    return struct.unpack_from("<Q", block)[0]


def completed(told):
    try:
        with open(told, encoding="ascii") as file:
            return int(file.read())
    except FileNotFoundError:
        return 0


class Known:
    """What was known to be completed, and since when."""

    def __init__(self, limit):
        self.limit, self.seen, self.least = limit, [], 0

    def see(self, number):
        self.seen.append((time.monotonic(), number))

    def due(self, now):
        while self.seen and self.seen[0][0] <= now - self.limit:
            self.least = self.seen.pop(0)[1]
        return self.least


def read(device, told, count, limit):
    file = os.open(device, os.O_RDONLY | os.O_DIRECT)
    block, known = mmap.mmap(-1, BLOCK), Known(limit)
    served = away = number = worst = 0
    end = time.monotonic() + DEADLINE
    while number != count and time.monotonic() < end:
        known.see(completed(told))
        least = known.due(time.monotonic())
        number = shown(file, block)
        if number is None:
            away += 1
        else:
            if number > count:
                number = 0     # of before the writer began
            if not served:
                open(told + ".served", "w", encoding="ascii").close()
            served += 1
            worst = max(worst, least - number)
        time.sleep(PAUSE / 5)
    print(f"# {served} served, {away} turned away, shown at worst {worst} writes too old")
    return worst > 0 or not served or not away


if sys.argv[1] == "write":
    write(sys.argv[2], sys.argv[3], int(sys.argv[4]))
else:
    sys.exit(read(sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5])))
