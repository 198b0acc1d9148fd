#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The writer of policy_table.sh and who checks what the copies hold.

write DEVICE LOG FIRST	one write after the other, numbered from FIRST, each on stable
			storage before the next; a line in LOG for each: number, when
			it was done (ns), 0 or errno
read DEVICE		the number in each slot
judge LOG FOUND		does what was found hold all that was acknowledged?

Write N is 4 KiB full of N, in slot N modulo SLOTS.  So a copy that took writes 1 to M
and nothing else has in each slot the largest N of that slot up to M.  judge says how
many acknowledged writes are behind that M, and M; it fails if there is no such M.
"""

import itertools
import mmap
import os
import struct
import sys
import time

SLOTS = 256
BLOCK = 4096


def write(device, log, first):
    fd = os.open(device, os.O_WRONLY | os.O_DIRECT | os.O_DSYNC)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    block = mmap.mmap(-1, BLOCK)
    for number in itertools.count(int(first)):
        block[:] = struct.pack("<Q", number) * (BLOCK // 8)
        error = 0
        try:
            os.pwrite(fd, block, number % SLOTS * BLOCK)
        except OSError as failure:
            error = failure.errno
        os.write(out, f"{number} {time.monotonic_ns()} {error}\n".encode())


def read(device):
    fd = os.open(device, os.O_RDONLY | os.O_DIRECT)
    block = mmap.mmap(-1, BLOCK)
    for slot in range(SLOTS):
        os.preadv(fd, [block], slot * BLOCK)
        numbers = set(struct.unpack(f"<{BLOCK // 8}Q", block[:]))
        print(numbers.pop() if len(numbers) == 1 else "torn")


def judge(log, found):
    with open(log, encoding="ascii") as file:
        lines = [line.split() for line in file if line.endswith("\n")]
    done = [int(number) for number, _, error in lines if error == "0"]
    with open(found, encoding="ascii") as file:
        slots = file.read().split()
    if "torn" in slots:
        sys.exit(f"slot {slots.index('torn')} holds two writes")
    slots = [int(number) for number in slots]
    newest = max(slots)
    for slot in range(SLOTS):
        expected = newest - (newest - slot) % SLOTS
        if slots[slot] != max(expected, 0) and expected > 0:
            sys.exit(f"slot {slot} holds write {slots[slot]}, not {expected}, "
                     f"though write {newest} is there")
    print(max(0, done[-1] - newest), newest)


{"write": write, "read": read, "judge": judge}[sys.argv[1]](*sys.argv[2:])
