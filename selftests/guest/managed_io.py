#!/usr/bin/python3 -I
# SPDX-License-Identifier: GPL-2.0-or-later
"""
managed_io: writes and reads with the time of each, and judges what was told.

	managed_io.py write DEVICE LOG FIRST COUNT
	managed_io.py read DEVICE LOG FIRST COUNT
			a block after the other, past the page cache, until one fails; a
			line of LOG for each: block, begin, end (CLOCK_BOOTTIME), ok or errno
	managed_io.py has DEVICE LOG
			the device holds what each write that was ok has written
	managed_io.py judge LOG DEADLINE RENEWED
			nothing that ended between the two was ok, and something was under
			way at the deadline or later
"""
import hashlib
import mmap
import os
import sys
import time

BLOCK = 4096
SLACK = 1	# seconds from the last look at the clock to the application's own


def content(block):
    return hashlib.sha256(f"{block}".encode()).digest() * (BLOCK // 32)


def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def run(device, log, first, count, transfer):
    buffer = mmap.mmap(-1, BLOCK)
    with open(log, "w", buffering=1) as out:
        for block in range(first, first + count):
            begin, result = now(), "ok"
            try:
                transfer(device, buffer, block)
            except OSError as error:
                result = error.errno
            out.write(f"{block} {begin:.6f} {now():.6f} {result}\n")
            if result != "ok":
                return 1
    return 0


def write(device, buffer, block):
    buffer[:] = content(block)
    os.pwrite(device, buffer, block * BLOCK)


def read(device, buffer, block):
    os.preadv(device, [buffer], block * BLOCK)


def entries(log):
    with open(log) as lines:
        for line in lines:
            block, begin, end, result = line.split()
            yield int(block), float(begin), float(end), result == "ok"


def has(device, log):
    buffer, count = mmap.mmap(-1, BLOCK), 0
    for block, _, _, ok in entries(log):
        if not ok:
            continue
        count += 1
        read(device, buffer, block)
        if buffer[:] != content(block):
            sys.exit(f"block {block} was acknowledged and is not there")
    print(f"{count} blocks")
    return count == 0


def judge(log, deadline, renewed):
    crossed = 0
    for block, begin, end, ok in entries(log):
        crossed += end > deadline and begin < renewed
        late = begin >= deadline or end > deadline + SLACK
        if ok and late and end < renewed:
            sys.exit(f"block {block}, {begin}..{end}, was ok after {deadline}")
    print(f"{crossed} at the deadline or later")
    return crossed == 0


def main(mode, *args):
    if mode == "judge":
        return judge(args[0], float(args[1]), float(args[2]))
    device = os.open(args[0], os.O_DIRECT | (os.O_RDWR if mode == "write" else os.O_RDONLY))
    if mode == "has":
        return has(device, args[1])
    return run(device, args[1], int(args[2]), int(args[3]), write if mode == "write" else read)


sys.exit(main(*sys.argv[1:]))
